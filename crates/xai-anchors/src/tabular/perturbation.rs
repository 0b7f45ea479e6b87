//! How perturbations of a row are drawn, and the model's decisions for them.
//!
//! A perturbation is a training row in which the features of the anchor are replaced.
//! What is drawn depends on the seed of the call and on the anchor's conditions, not on the instance: two instances that
//! share an anchor share its perturbations, and those of one call share the model's answers too.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ndarray::{Array2, ArrayView2};
use xai_core::tabular::Features;
use xai_core::{Error, Predictor, Result, Row, Rows, Run, Seed, Stop};

use super::condition::{Condition, Predicate, merge, seed_of};
use super::params::Sampling;
use super::plan::{Plan, Pools};
use super::table::{Column, Table};
use crate::bits::Bits;
use crate::decision::Decision;
use crate::search::{Neighborhood, Purpose, Request, SampleId};

/// The label of the seed of perturbations.
const PERTURBATIONS: u64 = 0x7065_7274_7572_6261;

/// Below it, the labels of training rows and of replacements.
const BASES: u64 = 0;
const REPLACEMENTS: u64 = 1;

/// Perturbations drawn from one stream; a constant, so that their order never depends on threads or batches.
const CHUNK: usize = 128;

/// The most rows written before the model is asked.
const ROWS_AT_ONCE: usize = 8192;

/// What perturbations of all instances are made from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub features: &'a Features,
    pub training: &'a Rows,
    pub table: &'a Table,
    pub sampling: Sampling,
}

/// The instance that is explained.
#[derive(Clone, Copy)]
pub(crate) struct Instance<'a> {
    /// The row, shape `(n_columns,)`.
    pub x: &'a Row,
    pub predicates: &'a [Predicate],
    pub decision: &'a Decision,
}

/// What the rows of one call share. Each of it is a function of its key and of the seed of the call, so that it never
/// matters who came first.
#[derive(Default)]
pub(crate) struct Shared<'a> {
    /// The model's answers, by what was asked.
    answers: BTreeMap<Asked, Answer>,
    /// The training rows of perturbations, by purpose, batch and size.
    bases: BTreeMap<(Purpose, u64, usize), Rc<Vec<u32>>>,
    pools: Pools<'a>,
}

/// All that a draw depends on, besides the seed: conditions, the numbers of the instance that no training row can
/// replace, purpose, batch, size.
pub(crate) type Asked = (Vec<(usize, Condition)>, Vec<u64>, Purpose, u64, usize);

/// Perturbations, and the decision of the model for each.
#[derive(Debug)]
pub(crate) struct Answer {
    decisions: Vec<f64>,
    drawn: Drawn,
}

/// Perturbations as places in the training rows.
#[derive(Debug)]
pub(super) struct Drawn {
    /// The training row of each perturbation.
    pub base: Rc<Vec<u32>>,
    /// The features of the anchor, and their values.
    pub replacements: Vec<(usize, Replacement)>,
}

/// Where the values of a feature of the anchor come from.
#[derive(Debug)]
pub(super) enum Replacement {
    /// From the instance, or any row that satisfies the condition: a category, or a missing value.
    Fixed(Vec<f64>),
    /// From a training row for each perturbation.
    Rows(Vec<u32>),
    /// A number for each perturbation.
    Numbers(Vec<f64>),
}

/// The neighbourhood of one instance.
pub(crate) struct Perturbations<'a, 't> {
    source: Source<'t>,
    model: &'a dyn Predictor,
    instance: Instance<'a>,
    shared: &'a mut Shared<'t>,
    /// What was asked for this instance.
    used: BTreeSet<Asked>,
    buffer: Vec<f64>,
}

impl<'a, 't> Perturbations<'a, 't> {
    pub(crate) fn new(
        source: Source<'t>,
        model: &'a dyn Predictor,
        instance: Instance<'a>,
        shared: &'a mut Shared<'t>,
    ) -> Self {
        Perturbations { source, model, instance, shared, used: BTreeSet::new(), buffer: Vec::new() }
    }

    fn asked(&self, order: &[usize], purpose: Purpose, batch: u64, n_samples: usize) -> Asked {
        let conditions = merge(order.iter().map(|&id| self.instance.predicates[id]));
        let Source { table, features, .. } = self.source;
        let unseen =
            |&(feature, condition): &(usize, Condition)| match (&table.columns[feature], condition)
            {
                (Column::Numeric(numeric), Condition::Range { lower, upper })
                    if numeric.in_range(lower, upper).is_empty()
                        && numeric.unseen_range(lower, upper).is_none() =>
                {
                    Some(self.instance.x[features.columns(feature).start].to_bits())
                }
                _ => None,
            };
        let unseen = conditions.iter().filter_map(unseen).collect();
        (conditions, unseen, purpose, batch, n_samples)
    }

    /// Perturbations of the search once more, shape `(n, n_columns)`.
    pub(crate) fn examples(&self, ids: &[SampleId]) -> Array2<f64> {
        let width = self.source.features.n_columns();
        let mut cells = vec![0.0; ids.len() * width];
        let mut rows = cells.chunks_exact_mut(width);
        for group in ids.chunk_by(|a, b| a.is_of_the_request_of(b)) {
            let drawn = &self.answer(&group[0]).drawn;
            for (id, row) in group.iter().zip(&mut rows) {
                self.write(drawn, id.index, row);
            }
        }
        Array2::from_shape_vec((ids.len(), width), cells).expect("as many cells as columns")
    }

    /// The answer to a request of the search that was made.
    fn answer(&self, id: &SampleId) -> &Answer {
        &self.shared.answers[&self.asked(&id.order, Purpose::Search, id.batch, id.n_samples)]
    }

    /// Writes perturbations from `first` on into the rows of a block.
    fn write(&self, drawn: &Drawn, first: usize, block: &mut [f64]) {
        let width = self.source.features.n_columns();
        let training = self.source.training.as_slice().expect("laid out when it was fitted");
        let of_row = |row: u32| &training[row as usize * width..][..width];
        for (row, &base) in block.chunks_exact_mut(width).zip(&drawn.base[first..]) {
            row.copy_from_slice(of_row(base));
        }
        for (feature, replacement) in &drawn.replacements {
            let columns = self.source.features.columns(*feature);
            let rows = block.chunks_exact_mut(width);
            match replacement {
                Replacement::Fixed(cells) => {
                    rows.for_each(|row| row[columns.clone()].copy_from_slice(cells));
                }
                Replacement::Rows(from) => rows.zip(&from[first..]).for_each(|(row, &from)| {
                    row[columns.start] = of_row(from)[columns.start];
                }),
                Replacement::Numbers(numbers) => rows
                    .zip(&numbers[first..])
                    .for_each(|(row, &number)| row[columns.start] = number),
            }
        }
    }

    /// Asks the model for what is not known yet, in one go.
    fn ask(&mut self, asked: &[Asked], run: &mut Run<'_>) -> Result<()> {
        // What this instance has asked before is free; what only others have asked it pays for as if it were alone.
        let new: Vec<&Asked> =
            asked.iter().filter(|&asked| self.used.insert(asked.clone())).collect();
        let n_rows: usize = new.iter().map(|(.., n)| n).sum();
        if run.queries_left().is_some_and(|left| left < n_rows as u64) {
            return Err(Error::Stopped(Stop::Budget));
        }
        let unknown: Vec<&Asked> =
            new.into_iter().filter(|asked| !self.shared.answers.contains_key(*asked)).collect();
        let mut drawn = Vec::with_capacity(unknown.len());
        for asked in &unknown {
            drawn.push(self.drawn(asked, run));
        }
        let n_unknown: usize = drawn.iter().map(|drawn: &Drawn| drawn.base.len()).sum();
        run.charge_cached((n_rows - n_unknown) as u64)?;
        let mut decisions = Vec::with_capacity(n_unknown);
        // The perturbations of all requests one after the other, in pieces that fit in memory.
        let width = self.source.features.n_columns();
        let (mut request, mut index) = (0, 0);
        while decisions.len() < n_unknown {
            let size = ROWS_AT_ONCE.min(n_unknown - decisions.len());
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(size * width, 0.0);
            let mut written = 0;
            while written < size {
                let of = &drawn[request];
                let n = (size - written).min(of.base.len() - index);
                self.write(of, index, &mut buffer[written * width..(written + n) * width]);
                (written, index) = (written + n, index + n);
                if index == of.base.len() {
                    (request, index) = (request + 1, 0);
                }
            }
            let rows = ArrayView2::from_shape((size, width), &buffer).expect("as many cells");
            let outputs = run.predict(self.model, &rows);
            self.buffer = buffer;
            self.instance.decision.read(&outputs?, &mut decisions)?;
        }
        let mut decisions = decisions.into_iter();
        for (key, drawn) in unknown.into_iter().zip(drawn) {
            let decisions = decisions.by_ref().take(drawn.base.len()).collect();
            self.shared.answers.insert(key.clone(), Answer { decisions, drawn });
        }
        Ok(())
    }

    /// Draws what a request is for.
    fn drawn(&mut self, asked: &Asked, run: &Run<'_>) -> Drawn {
        let (conditions, _, purpose, batch, n_samples) = asked;
        let n_samples = *n_samples;
        let root = run.shared_seed().child(PERTURBATIONS).child(match purpose {
            Purpose::Search => 0,
            Purpose::Certificate => 1,
        });
        let chunks = || {
            let sizes = |first| (first, CHUNK.min(n_samples - first));
            (0..n_samples).step_by(CHUNK).map(sizes)
        };
        let stream = |seed: Seed, first: usize| seed.child((first / CHUNK) as u64).stream();
        let pools = &mut self.shared.pools;
        let plan = Plan::new(&self.source, conditions, n_samples, self.instance.x, pools);
        let mut replacements = plan.empty(n_samples);
        let mut rows_of_anchor = Vec::new();
        if plan.draws() {
            let seed = seed_of(conditions, root.child(REPLACEMENTS)).child(*batch);
            for (first, n) in chunks() {
                plan.draw(
                    first..first + n,
                    &mut stream(seed, first),
                    &mut rows_of_anchor,
                    &mut replacements,
                );
            }
        }
        let base = if plan.is_whole() {
            Rc::new(rows_of_anchor)
        } else {
            let table = self.source.table;
            let draw = || {
                let seed = root.child(BASES).child(*batch);
                let mut bases = Vec::with_capacity(n_samples);
                for (first, n) in chunks() {
                    Plan::bases(table, n, &mut stream(seed, first), &mut bases);
                }
                Rc::new(bases)
            };
            Rc::clone(self.shared.bases.entry((*purpose, *batch, n_samples)).or_insert_with(draw))
        };
        Drawn { base, replacements }
    }
}

impl Neighborhood for Perturbations<'_, '_> {
    fn n_predicates(&self) -> usize {
        self.instance.predicates.len()
    }

    fn covered(&self, predicate: usize) -> &Bits {
        self.source.table.satisfying(self.instance.predicates[predicate]).covered()
    }

    fn n_coverage(&self) -> usize {
        self.source.table.n_coverage()
    }

    fn implied(&self, predicate: usize, anchor: &[usize]) -> bool {
        let Predicate { feature, test } = self.instance.predicates[predicate];
        let of_feature = anchor
            .iter()
            .map(|&id| self.instance.predicates[id])
            .filter(|other| other.feature == feature);
        match merge(of_feature).first() {
            Some((_, condition)) => condition.and(test.condition()) == *condition,
            None => false,
        }
    }

    fn draw(&mut self, requests: &[Request<'_>], run: &mut Run<'_>) -> Result<Vec<Bits>> {
        let asked: Vec<Asked> =
            requests.iter().map(|r| self.asked(r.order, r.purpose, r.batch, r.n_samples)).collect();
        self.ask(&asked, run)?;
        let agrees = |asked: &Asked| {
            let decisions = &self.shared.answers[asked].decisions;
            let agrees = |index: usize| self.instance.decision.agrees(decisions[index]);
            Bits::from_fn(decisions.len(), agrees)
        };
        Ok(asked.iter().map(agrees).collect())
    }

    fn satisfies(&self, sample: &SampleId) -> Vec<Bits> {
        let drawn = &self.answer(sample).drawn;
        let among = |rows: &Bits, from: &[u32]| {
            Bits::from_fn(from.len(), |index| rows.get(from[index] as usize))
        };
        let one = |predicate: &Predicate| {
            let rows = &self.source.table.satisfying(*predicate).rows;
            let found =
                drawn.replacements.iter().find(|(feature, _)| *feature == predicate.feature);
            match found {
                None => among(rows, &drawn.base),
                Some((_, Replacement::Rows(from))) => among(rows, from),
                Some((_, Replacement::Numbers(numbers))) => Bits::from_fn(numbers.len(), |index| {
                    self.source.table.satisfies(*predicate, numbers[index])
                }),
                // The instance's value, which satisfies all predicates of the instance.
                Some((_, Replacement::Fixed(_))) => Bits::all(drawn.base.len()),
            }
        };
        self.instance.predicates.iter().map(one).collect()
    }
}
