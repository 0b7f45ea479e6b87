//! How perturbations of a row are drawn, and what the model says of them.
//!
//! A perturbation is a training row in which the features that the anchor holds come from elsewhere.
//! What is drawn depends on the seed of the call and on the anchor's conditions, not on the instance: two instances that
//! share an anchor share its perturbations, and those of one call share the model's answers too.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, s};
use xai_core::tabular::Features;
use xai_core::{Error, Predictor, Result, Row, Rows, Run, Stop};

use super::condition::{Condition, Predicate, merge, seed_of};
use super::params::Sampling;
use super::plan::Plan;
use super::table::Table;
use crate::bits::Bits;
use crate::output::Output;
use crate::search::{Draw, Neighborhood, Purpose, Request, SampleId};

/// The label of the seed of perturbations.
const PERTURBATIONS: u64 = 0x7065_7274_7572_6261;

/// Perturbations drawn from one stream; a constant, so that their order never depends on threads or batches.
const CHUNK: usize = 64;

/// The most rows written before the model is asked.
const ROWS_AT_ONCE: usize = 8192;

/// What perturbations of all instances are made from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub features: &'a Features,
    pub training: &'a Rows,
    pub table: &'a Table,
    pub sampling: Sampling,
    pub output: &'a Output,
}

/// Answers of the model to requests of one call, by what was asked.
pub(crate) type Answers = BTreeMap<Asked, Answer>;

/// All that a draw depends on, besides the seed: conditions, the numbers of the instance that no training row can stand
/// for, purpose, batch, size.
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
    pub base: Vec<u32>,
    /// The features that come from elsewhere.
    pub held: Vec<(usize, Held)>,
}

/// Where a held feature comes from.
#[derive(Debug)]
pub(super) enum Held {
    /// From the instance, or any row that satisfies the condition: a category, or a missing value.
    Fixed(Vec<f64>),
    /// From a training row for each perturbation.
    Rows(Vec<u32>),
    /// A number for each perturbation.
    Numbers(Vec<f64>),
}

/// The neighbourhood of one instance.
pub(crate) struct Perturbations<'a> {
    source: Source<'a>,
    model: &'a dyn Predictor,
    x: &'a Row,
    predicates: &'a [Predicate],
    /// The training rows that satisfy each predicate, and those of the coverage set.
    satisfied: Vec<Bits>,
    covered: Option<Vec<Bits>>,
    /// The decision for the instance.
    decision: f64,
    answers: &'a mut Answers,
    /// What was asked for this instance.
    used: BTreeSet<Asked>,
    buffer: Array2<f64>,
}

impl<'a> Perturbations<'a> {
    pub(crate) fn new(
        source: Source<'a>,
        model: &'a dyn Predictor,
        x: &'a Row,
        predicates: &'a [Predicate],
        decision: f64,
        answers: &'a mut Answers,
    ) -> Self {
        let allowed = |p: &Predicate| source.table.allowed(p.feature, p.test.condition());
        let satisfied: Vec<Bits> = predicates.iter().map(allowed).collect();
        let covered = source.table.coverage_rows.is_some().then(|| {
            satisfied.iter().map(|rows| source.table.in_coverage_set(rows.clone())).collect()
        });
        let buffer = Array2::zeros((0, source.features.n_columns()));
        Perturbations {
            source,
            model,
            x,
            predicates,
            satisfied,
            covered,
            decision,
            answers,
            used: BTreeSet::new(),
            buffer,
        }
    }

    fn asked(&self, order: &[usize], purpose: Purpose, batch: u64, n_samples: usize) -> Asked {
        let conditions = merge(order.iter().map(|&id| self.predicates[id]));
        let own = |&(feature, condition): &(usize, Condition)| match condition {
            Condition::Range { lower, upper }
                if self.source.table.takes_own(feature, lower, upper) =>
            {
                Some(self.x[self.source.features.columns(feature).start].to_bits())
            }
            _ => None,
        };
        let own = conditions.iter().filter_map(own).collect();
        (conditions, own, purpose, batch, n_samples)
    }

    /// A perturbation of the search once more, shape `(n_columns,)`.
    pub(crate) fn example(&self, id: &SampleId) -> Vec<f64> {
        let asked = self.asked(&id.order, Purpose::Search, id.batch, id.n_samples);
        let answer = &self.answers[&asked];
        let mut row = Array2::zeros((1, self.source.features.n_columns()));
        self.write(&answer.drawn, id.index, &mut row);
        row.into_raw_vec_and_offset().0
    }

    /// Writes perturbations from `first` on into the rows of a block.
    fn write(&self, drawn: &Drawn, first: usize, block: &mut Rows) {
        let Source { features, training, .. } = self.source;
        for (place, mut row) in block.rows_mut().into_iter().enumerate() {
            let index = first + place;
            row.assign(&training.row(drawn.base[index] as usize));
            for (feature, held) in &drawn.held {
                let columns = features.columns(*feature);
                match held {
                    Held::Fixed(cells) => {
                        for (column, &cell) in columns.zip(cells) {
                            row[column] = cell;
                        }
                    }
                    Held::Rows(rows) => {
                        row[columns.start] = training[[rows[index] as usize, columns.start]];
                    }
                    Held::Numbers(numbers) => row[columns.start] = numbers[index],
                }
            }
        }
    }

    /// Which perturbations satisfy each predicate.
    fn satisfies(&self, drawn: &Drawn) -> Vec<Bits> {
        let one = |(predicate, rows): (&Predicate, &Bits)| {
            let held = drawn.held.iter().find(|(feature, _)| *feature == predicate.feature);
            let n = drawn.base.len();
            match held {
                None => Bits::from_fn(n, |index| rows.get(drawn.base[index] as usize)),
                Some((_, Held::Rows(from))) => {
                    Bits::from_fn(n, |index| rows.get(from[index] as usize))
                }
                // The instance's own category, or a number that no training row can vouch for.
                Some((_, Held::Fixed(_) | Held::Numbers(_))) => Bits::all(n),
            }
        };
        self.predicates.iter().zip(&self.satisfied).map(one).collect()
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
            new.into_iter().filter(|asked| !self.answers.contains_key(*asked)).collect();
        let drawn: Vec<Drawn> = unknown.iter().map(|asked| self.drawn(asked, run)).collect();
        let n_unknown: usize = drawn.iter().map(|drawn| drawn.base.len()).sum();
        run.recall((n_rows - n_unknown) as u64)?;
        let mut decisions = Vec::with_capacity(n_unknown);
        // The perturbations of all requests one after the other, in pieces that fit in memory.
        let (mut request, mut index) = (0, 0);
        while decisions.len() < n_unknown {
            let size = ROWS_AT_ONCE.min(n_unknown - decisions.len());
            let mut buffer = std::mem::take(&mut self.buffer);
            if buffer.nrows() < size {
                buffer = Array2::zeros((size, self.source.features.n_columns()));
            }
            let mut written = 0;
            while written < size {
                let of = &drawn[request];
                let n = (size - written).min(of.base.len() - index);
                self.write(of, index, &mut buffer.slice_mut(s![written..written + n, ..]));
                (written, index) = (written + n, index + n);
                if index == of.base.len() {
                    (request, index) = (request + 1, 0);
                }
            }
            let outputs = run.predict(self.model, &buffer.slice(s![..size, ..]));
            self.buffer = buffer;
            for row in outputs?.rows() {
                decisions.push(self.source.output.decision(&row)?);
            }
        }
        let mut decisions = decisions.into_iter();
        for (key, drawn) in unknown.into_iter().zip(drawn) {
            let decisions = decisions.by_ref().take(drawn.base.len()).collect();
            self.answers.insert(key.clone(), Answer { decisions, drawn });
        }
        Ok(())
    }

    /// Draws what a request is for.
    fn drawn(&self, asked: &Asked, run: &Run<'_>) -> Drawn {
        let (conditions, _, purpose, batch, n_samples) = asked;
        let root = run.shared_seed().child(PERTURBATIONS).child(match purpose {
            Purpose::Search => 0,
            Purpose::Certificate => 1,
        });
        let seed = seed_of(conditions, root).child(*batch);
        let plan = Plan::new(&self.source, conditions, *n_samples, self.x);
        let mut drawn = plan.empty(*n_samples);
        for first in (0..*n_samples).step_by(CHUNK) {
            let mut stream = seed.child((first / CHUNK) as u64).stream();
            for _ in first..(first + CHUNK).min(*n_samples) {
                plan.draw(&mut stream, &mut drawn);
            }
        }
        drawn
    }
}

impl Neighborhood for Perturbations<'_> {
    fn n_predicates(&self) -> usize {
        self.predicates.len()
    }

    fn covered(&self, predicate: usize) -> &Bits {
        &self.covered.as_ref().unwrap_or(&self.satisfied)[predicate]
    }

    fn n_coverage(&self) -> usize {
        self.source.table.n_coverage()
    }

    fn implied(&self, predicate: usize, anchor: &[usize]) -> bool {
        let Predicate { feature, test } = self.predicates[predicate];
        let of_feature =
            anchor.iter().map(|&id| self.predicates[id]).filter(|own| own.feature == feature);
        match merge(of_feature).first() {
            Some((_, condition)) => condition.and(test.condition()) == *condition,
            None => false,
        }
    }

    fn draw(&mut self, requests: &[Request<'_>], run: &mut Run<'_>) -> Result<Vec<Draw>> {
        let asked: Vec<Asked> =
            requests.iter().map(|r| self.asked(r.order, r.purpose, r.batch, r.n_samples)).collect();
        self.ask(&asked, run)?;
        let draw = |(key, request): (&Asked, &Request<'_>)| {
            let Answer { decisions, drawn } = &self.answers[key];
            let agrees = |index: usize| self.source.output.agrees(decisions[index], self.decision);
            let satisfies = match request.purpose {
                Purpose::Search => self.satisfies(drawn),
                Purpose::Certificate => Vec::new(),
            };
            Draw { agrees: Bits::from_fn(decisions.len(), agrees), satisfies }
        };
        Ok(asked.iter().zip(requests).map(draw).collect())
    }
}
