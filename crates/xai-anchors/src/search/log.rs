//! All samples of a search, and the anchors that they are drawn for.

use xai_core::Stream;

use super::sampling::{Neighborhood, SampleId};
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
    pub drawn: Counts,
    /// Samples drawn for its parents that satisfy it too.
    pub inherited: Counts,
    /// How many rows of the coverage set satisfy it.
    pub n_covered: usize,
    /// How many requests it has made.
    pub batches: u64,
    /// Whether it is tested for its coverage and not for its precision.
    pub is_swept: bool,
    /// The candidate it extends; itself for the empty anchor.
    parent: usize,
    /// The length of the log when it was proposed: what it inherits lies before.
    proposed_at: usize,
    /// What its children need of it.
    sets: Option<Sets>,
}

/// Rows of a candidate, written out only when it is extended or shown: most candidates never are.
#[derive(Clone, Debug)]
struct Sets {
    /// The samples that count for it, drawn and inherited, by position in the log.
    rows: Bits,
    /// The rows of the coverage set that satisfy it.
    covered: Bits,
    /// How many of its requests are among the rows.
    batches: u64,
}

impl Candidate {
    /// The empty anchor.
    pub(crate) fn empty(n_coverage: usize) -> Self {
        Candidate {
            anchor: Vec::new(),
            order: Vec::new(),
            drawn: Counts::default(),
            inherited: Counts::default(),
            n_covered: n_coverage,
            batches: 0,
            is_swept: false,
            parent: 0,
            proposed_at: 0,
            sets: Some(Sets { rows: Bits::none(0), covered: Bits::all(n_coverage), batches: 0 }),
        }
    }

    fn sets(&self) -> &Sets {
        self.sets.as_ref().expect("written out before it is extended or shown")
    }
}

/// Samples in the order in which they were drawn: one bit for agreement, and one for each predicate where a candidate
/// that was extended drew them.
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
    candidate: usize,
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
    pub(crate) fn append(&mut self, id: usize, candidate: &mut Candidate, agrees: &Bits) {
        let (start, n_samples) = (self.len(), agrees.len());
        self.agrees.insert_shifted(agrees, start);
        candidate.drawn.n_samples += n_samples as u64;
        candidate.drawn.positives += agrees.count() as u64;
        self.segments.push(Segment { start, candidate: id, batch: candidate.batches, n_samples });
        candidate.batches += 1;
    }

    /// Writes out the rows of a candidate whose parent's are, and the predicates that samples drawn for it satisfy.
    pub(crate) fn write_out(
        &mut self,
        candidates: &mut [Candidate],
        id: usize,
        neighborhood: &impl Neighborhood,
    ) {
        let candidate = &candidates[id];
        let known = candidate.sets.as_ref().map_or(0, |sets| sets.batches);
        let mut sets = candidate.sets.clone().unwrap_or_else(|| {
            let parent = candidates[candidate.parent].sets();
            let predicate = candidate.order[candidate.order.len() - 1];
            let mut rows = parent.rows.and(&self.satisfies[predicate]);
            rows.resize(rows.len().min(candidate.proposed_at));
            let covered = parent.covered.and(neighborhood.covered(predicate));
            Sets { rows, covered, batches: 0 }
        });
        let new = self
            .segments
            .iter()
            .filter(|segment| segment.candidate == id && known <= segment.batch);
        for segment in new {
            let end = segment.start + segment.n_samples;
            sets.rows.resize(end);
            sets.rows.insert_range(segment.start..end);
            let sample = segment.id(candidate, 0);
            for (all, satisfied) in self.satisfies.iter_mut().zip(neighborhood.satisfies(&sample)) {
                all.insert_shifted(&satisfied, segment.start);
            }
        }
        sets.batches = candidate.batches;
        candidates[id].sets = Some(sets);
    }

    /// The candidate `id` with one predicate more: samples of the parent that satisfy it are inherited by the child.
    pub(crate) fn child(
        &self,
        candidates: &[Candidate],
        id: usize,
        predicate: usize,
        neighborhood: &impl Neighborhood,
    ) -> Candidate {
        let parent = &candidates[id];
        let mut order = parent.order.clone();
        order.push(predicate);
        let mut anchor = order.clone();
        anchor.sort_unstable();
        let sets = parent.sets();
        let (n_samples, positives) =
            sets.rows.count_common_twice(&self.satisfies[predicate], &self.agrees);
        let counted = sets.covered.count_common(neighborhood.covered(predicate));
        let n_covered = neighborhood.n_covered(&anchor, counted);
        Candidate {
            anchor,
            order,
            drawn: Counts::default(),
            inherited: Counts { n_samples: n_samples as u64, positives: positives as u64 },
            n_covered,
            batches: 0,
            is_swept: false,
            parent: id,
            proposed_at: self.len(),
            sets: None,
        }
    }

    /// Up to `n` samples of a candidate, of those where the model agrees or of those where it does not: each such
    /// sample is as likely to be among them as any other. In the order of the log.
    pub(crate) fn choose(
        &self,
        candidates: &[Candidate],
        id: usize,
        agrees: bool,
        n: usize,
        stream: &mut Stream,
    ) -> Vec<SampleId> {
        // Reservoir sampling (Vitter 1985, algorithm R).
        let mut chosen = Vec::with_capacity(n);
        for (seen, row) in self.rows_of(&candidates[id], agrees).enumerate() {
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
        chosen.into_iter().map(|row| self.id(candidates, row)).collect()
    }

    /// As [`choose`](Self::choose), but the first of the last request that the candidate made, and of all of its
    /// samples when it made none.
    pub(crate) fn first_of_last(
        &self,
        candidates: &[Candidate],
        id: usize,
        agrees: bool,
        n: usize,
    ) -> Vec<SampleId> {
        let last = self.segments.iter().rev().find(|segment| segment.candidate == id);
        let range = last.map_or(0..self.len(), |last| last.start..last.start + last.n_samples);
        let rows = self.rows_of(&candidates[id], agrees).filter(|row| range.contains(row));
        rows.take(n).map(|row| self.id(candidates, row)).collect()
    }

    fn rows_of(&self, candidate: &Candidate, agrees: bool) -> impl Iterator<Item = usize> {
        candidate.sets().rows.iter().filter(move |&row| self.agrees.get(row) == agrees)
    }

    fn id(&self, candidates: &[Candidate], row: usize) -> SampleId {
        let place = self.segments.partition_point(|segment| segment.start <= row) - 1;
        let segment = &self.segments[place];
        segment.id(&candidates[segment.candidate], row - segment.start)
    }
}

impl Segment {
    fn id(&self, candidate: &Candidate, index: usize) -> SampleId {
        let Segment { batch, n_samples, .. } = *self;
        SampleId { order: candidate.order.clone(), batch, n_samples, index }
    }
}
