//! All samples of a search, and the anchors they speak of.

use xai_core::Stream;

use super::sampling::{Draw, SampleId};
use crate::bandit::Counts;
use crate::bits::Bits;

/// An anchor under consideration.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Its predicates, ascending.
    pub anchor: Vec<usize>,
    /// Its predicates in the order in which they were added.
    pub order: Vec<usize>,
    /// The samples drawn for it.
    pub own: Counts,
    /// Samples drawn for its parents that satisfy it too.
    pub inherited: Counts,
    /// The places of both in the log.
    pub rows: Bits,
    /// The rows of the coverage set that satisfy it.
    pub covered: Bits,
    /// How many these are.
    pub n_covered: usize,
    /// How many requests it has made.
    pub batches: u64,
}

/// Samples in the order in which they were drawn: one bit for each predicate, one for agreement.
#[derive(Debug)]
pub(crate) struct Log {
    satisfies: Vec<Bits>,
    agrees: Bits,
    segments: Vec<Segment>,
}

/// The samples of one request.
#[derive(Debug)]
struct Segment {
    start: usize,
    order: Vec<usize>,
    batch: u64,
    n_samples: usize,
}

impl Log {
    pub(crate) fn new(n_predicates: usize) -> Self {
        Log {
            satisfies: vec![Bits::none(0); n_predicates],
            agrees: Bits::none(0),
            segments: Vec::new(),
        }
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.agrees.len()
    }

    /// Appends the samples that a candidate asked for, and counts them for it and for no other.
    pub(crate) fn append(&mut self, candidate: &mut Candidate, draw: &Draw) {
        let (start, n_samples) = (self.len(), draw.agrees.len());
        for (all, new) in self.satisfies.iter_mut().zip(&draw.satisfies) {
            all.append(new);
        }
        self.agrees.append(&draw.agrees);
        candidate.rows.grow(start + n_samples);
        candidate.rows.insert_range(start..start + n_samples);
        candidate.own.n_samples += n_samples as u64;
        candidate.own.positives += draw.agrees.count() as u64;
        let order = candidate.order.clone();
        self.segments.push(Segment { start, order, batch: candidate.batches, n_samples });
        candidate.batches += 1;
    }

    /// The candidate with one predicate more: samples of the parent that satisfy it are samples of the child.
    pub(crate) fn child(&self, parent: &Candidate, predicate: usize, covered: &Bits) -> Candidate {
        let mut order = parent.order.clone();
        order.push(predicate);
        let mut anchor = order.clone();
        anchor.sort_unstable();
        let rows = parent.rows.and(&self.satisfies[predicate]);
        let inherited = Counts {
            n_samples: rows.count() as u64,
            positives: rows.count_common(&self.agrees) as u64,
        };
        let covered = parent.covered.and(covered);
        let n_covered = covered.count();
        let own = Counts::default();
        Candidate { anchor, order, own, inherited, rows, covered, n_covered, batches: 0 }
    }

    /// Up to `n` samples of a candidate, of those where the model agrees or of those where it does not: each such
    /// sample is as likely to be among them as any other. In the order of the log.
    pub(crate) fn choose(
        &self,
        candidate: &Candidate,
        agrees: bool,
        n: usize,
        stream: &mut Stream,
    ) -> Vec<SampleId> {
        // Reservoir sampling (Vitter 1985, algorithm R).
        let mut chosen = Vec::with_capacity(n);
        for (seen, row) in self.rows_of(candidate, agrees).enumerate() {
            if seen < n {
                chosen.push(row);
            } else {
                let place = stream.index(seen + 1);
                if place < n {
                    chosen[place] = row;
                }
            }
        }
        chosen.sort_unstable();
        chosen.into_iter().map(|row| self.id(row)).collect()
    }

    /// As [`choose`](Self::choose), but the first of the last request that the candidate made, and of all of its
    /// samples when it made none.
    pub(crate) fn first_of_last(
        &self,
        candidate: &Candidate,
        agrees: bool,
        n: usize,
    ) -> Vec<SampleId> {
        let own = self.segments.iter().rev().find(|segment| segment.order == candidate.order);
        let range = own.map_or(0..self.len(), |own| own.start..own.start + own.n_samples);
        let rows = self.rows_of(candidate, agrees).filter(|row| range.contains(row));
        rows.take(n).map(|row| self.id(row)).collect()
    }

    fn rows_of(&self, candidate: &Candidate, agrees: bool) -> impl Iterator<Item = usize> {
        candidate.rows.iter().filter(move |&row| self.agrees.get(row) == agrees)
    }

    fn id(&self, row: usize) -> SampleId {
        let place = self.segments.partition_point(|segment| segment.start <= row) - 1;
        let Segment { start, order, batch, n_samples } = &self.segments[place];
        let (order, batch, n_samples) = (order.clone(), *batch, *n_samples);
        SampleId { order, batch, n_samples, index: row - start }
    }
}
