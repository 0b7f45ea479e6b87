//! One set of features after the other, each in the order of distance until its answer is certain.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, s};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::Features;
use xai_core::{Error, Event, Predictor, Result, Row, Run, Semantics, Stop};

use crate::combination::{Combination, Sets};
use crate::data::{Change, GridCounterfactualData, Outcome};
use crate::grid::InstanceGrid;
use crate::params::GridCounterfactualParams;
use crate::target::Goal;

/// The most points asked for at once, and the most numbers in their rows.
const MAX_POINTS: usize = 8192;
const MAX_NUMBERS: usize = 1 << 17;

/// All that stays the same during a search.
pub(crate) struct Search<'a> {
    pub(crate) params: &'a GridCounterfactualParams,
    pub(crate) features: &'a Features,
    pub(crate) constraints: &'a BoundConstraints,
    pub(crate) grid: &'a InstanceGrid,
    /// What each feature adds to the distance when it stays.
    pub(crate) staying: &'a [f64],
    pub(crate) goal: &'a Goal,
    pub(crate) feasible: Option<&'a (dyn Fn(&Row) -> bool + Sync)>,
    pub(crate) x: &'a Row,
}

/// The closest points of one set of features.
struct Answers {
    /// Indices of its axes.
    set: Vec<usize>,
    distance: f64,
    /// Places of the values of each point, one after the other.
    places: Vec<u32>,
    predictions: Vec<f64>,
    /// Where a stop left points of the set open, the least of their distances.
    open: Option<f64>,
}

/// What a search found.
#[derive(Default)]
pub(crate) struct Found {
    answers: Vec<Answers>,
    /// The distance of the instance, when it is an answer itself.
    unchanged: Option<f64>,
    already_satisfied: bool,
    n_searched: u64,
    n_pruned: u64,
    stop: Option<Stop>,
    /// Where a stop left points open, no more than the least of their distances.
    open: Option<f64>,
}

/// Why a walk over points ends early.
enum Halt {
    Stop(Stop),
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Error(error)
    }
}

impl Search<'_> {
    /// Whether sets of features compete with their parts, as in the reference.
    fn parts_compete(&self) -> bool {
        self.params.include_instance_value || self.params.semantics == Semantics::Reference
    }

    /// The most features that may change together.
    fn length(&self) -> usize {
        let all = self.grid.axes.len();
        let length = match self.params.max_counterfactual_length {
            0 => all,
            length => length.min(all),
        };
        self.constraints.max_changes().map_or(length, |most| length.min(most))
    }

    pub(crate) fn run(&self, model: &dyn Predictor, run: &mut Run<'_>) -> Result<Found> {
        let mut found = Found::default();
        let reference = self.params.semantics == Semantics::Reference;
        if self.goal.is_reached && !(self.params.allow_same_class || reference) {
            let message = "the instance itself reaches the target; with `allow_same_class` it is searched for all the \
                           same";
            run.warn("gridcf.already_satisfied", message);
            found.already_satisfied = true;
            return Ok(found);
        }
        if self.goal.is_impossible {
            return Ok(found);
        }
        let at_rest = Combination::new(Vec::new(), self.staying, self.params.normalise_distance);
        let at_rest = at_rest.distance(&[]);
        let competes = self.parts_compete();
        let unchanged = if competes && self.goal.is_reached { at_rest } else { f64::INFINITY };
        if competes && self.goal.is_reached && self.grid.own_alone {
            found.unchanged = Some(at_rest);
        }
        // The least distance of an answer of each set of the length before, or of those of its parts that compete.
        let mut before = BTreeMap::from([(Vec::new(), unchanged)]);
        let mut asking = Asking::new(self, model, run);
        for length in 1..=self.length() {
            let mut reached = BTreeMap::new();
            for set in Sets::new(self.grid.axes.len(), length) {
                let axes = set.iter().map(|&axis| &self.grid.axes[axis]).collect();
                let combination =
                    Combination::new(axes, self.staying, self.params.normalise_distance);
                let parts = (0..length).filter_map(|place| {
                    let mut part = set.clone();
                    let left_out = part.remove(place);
                    before.get(&part).map(|&least| (left_out, least))
                });
                if self.params.prune_supersets
                    && parts.clone().any(|(_, least)| least < f64::INFINITY)
                {
                    asking.done = asking.done.saturating_add(combination.n_points());
                    found.n_pruned += 1;
                    reached.insert(set, 0.0);
                    continue;
                }
                // A part competes where the features it lacks have the instance's value on their grid.
                let competing = parts.filter(|&(left_out, _)| self.grid.own_on_grid[left_out]);
                let bound = competing.fold(f64::INFINITY, |bound, (_, least)| bound.min(least));
                let bound = if competes { bound } else { f64::INFINITY };
                let (hits, stopped) = asking.search(&combination, bound)?;
                let least = bound.min(hits.distance);
                if least <= unchanged && unchanged < f64::INFINITY && bound <= least && length == 1
                {
                    found.unchanged = Some(at_rest);
                }
                let open = stopped.map(|(_, open)| open).filter(|open| open.is_finite());
                if hits.distance < f64::INFINITY {
                    let Hits { distance, places, predictions } = hits;
                    let set = set.clone();
                    found.answers.push(Answers { set, distance, places, predictions, open });
                }
                if let Some((stop, _)) = stopped {
                    found.stop = Some(stop);
                    let not_begun = self.least_not_begun(length);
                    found.open = Some(open.map_or(not_begun, |open| open.min(not_begun)));
                    return Ok(found);
                }
                found.n_searched += 1;
                if least < f64::INFINITY {
                    reached.insert(set, least);
                }
            }
            before = reached;
        }
        Ok(found)
    }

    /// No more than the distance of any point that changes `length` features or more.
    fn least_not_begun(&self, length: usize) -> f64 {
        let at_rest: f64 = self.staying.iter().sum();
        let mut dearer: Vec<f64> =
            self.grid.axes.iter().map(|axis| axis.terms[0] - self.staying[axis.feature]).collect();
        dearer.sort_unstable_by(f64::total_cmp);
        let mut sum = at_rest;
        let sums = dearer.iter().map(|term| {
            sum += term;
            sum
        });
        let lengths = sums.take(self.length()).skip(length - 1);
        let least = lengths.fold(f64::INFINITY, f64::min).max(0.0);
        // Sums in another order may round up.
        let least = least * (1.0 - 1e-12);
        if self.params.normalise_distance { least.sqrt() } else { least }
    }

    /// Number of grid points, and of sets of features: elementary symmetric sums over the axes.
    fn size(&self) -> (u64, u64) {
        let length = self.length();
        let mut sums = vec![(0_u64, 0_u64); length + 1];
        sums[0] = (1, 1);
        for axis in &self.grid.axes {
            let n = axis.values.len() as u64;
            for l in (1..=length).rev() {
                let (points, sets) = sums[l - 1];
                sums[l].0 = sums[l].0.saturating_add(points.saturating_mul(n));
                sums[l].1 = sums[l].1.saturating_add(sets);
            }
        }
        let longer = &sums[1..];
        longer.iter().fold((0, 0), |(points, sets): (u64, u64), more| {
            (points.saturating_add(more.0), sets.saturating_add(more.1))
        })
    }
}

/// The best points of a set so far.
struct Hits {
    distance: f64,
    places: Vec<u32>,
    predictions: Vec<f64>,
}

/// The points that wait for their prediction, and the door to the model.
struct Asking<'s, 'r, 'o> {
    search: &'s Search<'s>,
    model: &'s dyn Predictor,
    run: &'r mut Run<'o>,
    instance: Vec<f64>,
    rows: Array2<f64>,
    /// Places of the waiting points.
    waiting: Vec<u32>,
    hits: Hits,
    /// Grid points whose fate is known, and all of them.
    done: u64,
    n_points: u64,
    /// A request to stop, for the next batch.
    stopped: Option<Stop>,
}

impl<'s, 'r, 'o> Asking<'s, 'r, 'o> {
    fn new(search: &'s Search<'s>, model: &'s dyn Predictor, run: &'r mut Run<'o>) -> Self {
        let width = search.x.len();
        let n_rows = (MAX_NUMBERS / width).clamp(1, MAX_POINTS);
        let n_points = search.size().0;
        Asking {
            search,
            model,
            run,
            instance: search.x.to_vec(),
            rows: Array2::zeros((
                n_rows.min(usize::try_from(n_points).unwrap_or(n_rows)).max(1),
                width,
            )),
            waiting: Vec::new(),
            hits: Hits { distance: f64::INFINITY, places: Vec::new(), predictions: Vec::new() },
            done: 0,
            n_points,
            stopped: None,
        }
    }

    /// Searches one set up to a distance, and returns its closest points; when it was stopped also why, and the least
    /// distance of the points that are left open, infinite when none is.
    fn search(
        &mut self,
        combination: &Combination<'_>,
        bound: f64,
    ) -> Result<(Hits, Option<(Stop, f64)>)> {
        self.hits = Hits { distance: f64::INFINITY, places: Vec::new(), predictions: Vec::new() };
        let begun = self.done;
        let (mut left, mut above) = (combination.n_points(), f64::NEG_INFINITY);
        let mut wanted = self.search.params.first_batch as u64;
        let mut stopped = None;
        while 0 < left && above < bound && self.hits.distance == f64::INFINITY {
            let affordable = self.run.queries_left().map_or(wanted, |most| wanted.min(most).max(1));
            let upto = combination.band_end(above, left, affordable).min(bound);
            match self.band(combination, above, upto) {
                Ok(n) => left -= n,
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Stop(stop)) => {
                    let open = combination.least_above(above);
                    stopped = Some((stop, if open <= bound { open } else { f64::INFINITY }));
                    break;
                }
            }
            above = upto;
            wanted = wanted.saturating_add(wanted.div_ceil(2));
        }
        if stopped.is_none() {
            self.done = begun.saturating_add(combination.n_points());
        }
        let none = Hits { distance: f64::INFINITY, places: Vec::new(), predictions: Vec::new() };
        Ok((std::mem::replace(&mut self.hits, none), stopped))
    }

    /// Asks for all points of a band and returns how many there are.
    fn band(&mut self, combination: &Combination<'_>, above: f64, upto: f64) -> Result<u64, Halt> {
        let mut n = 0;
        let full = self.rows.nrows() * combination.len();
        self.waiting.clear();
        let walked: Result<(), Halt> = combination.band(above, upto, &mut |outer, last| {
            n += last.len() as u64;
            for place in last {
                self.waiting.extend_from_slice(outer);
                self.waiting.push(u32::try_from(place).expect("at most 2^20 values"));
                if self.waiting.len() == full {
                    self.ask(combination)?;
                }
            }
            Ok(())
        });
        walked?;
        self.ask(combination)?;
        Ok(n)
    }

    /// Asks for the waiting points and keeps those that reach the target at the least distance.
    #[allow(clippy::float_cmp, reason = "a tie is the same distance to the bit")]
    fn ask(&mut self, combination: &Combination<'_>) -> Result<(), Halt> {
        let length = combination.len();
        let n_waiting = self.waiting.len() / length;
        self.write(combination);
        let n_rows = self.waiting.len() / length;
        if 0 < n_rows {
            if let Some(stop) = self.stopped {
                return Err(Halt::Stop(stop));
            }
            let left = self.run.queries_left().map(|left| usize::try_from(left).unwrap_or(n_rows));
            let asked = left.map_or(n_rows, |left| left.min(n_rows));
            let outputs = self.run.predict(self.model, &self.rows.slice(s![..asked, ..]))?;
            for (outputs, places) in
                outputs.rows().into_iter().zip(self.waiting.chunks_exact(length))
            {
                let prediction = self.search.goal.prediction(&outputs)?;
                if !self.search.goal.accepts(&outputs, prediction) {
                    continue;
                }
                let distance = combination.distance(places);
                if distance < self.hits.distance {
                    self.hits.distance = distance;
                    self.hits.places.clear();
                    self.hits.predictions.clear();
                }
                if distance == self.hits.distance {
                    self.hits.places.extend_from_slice(places);
                    self.hits.predictions.push(prediction);
                }
            }
            if asked < n_rows {
                return Err(Halt::Stop(Stop::Budget));
            }
        }
        self.waiting.clear();
        self.done = self.done.saturating_add(n_waiting as u64);
        let step = Event::Step { done: self.done, total: Some(self.n_points) };
        if let ControlFlow::Break(stop) = self.run.report(step) {
            self.stopped = Some(stop);
        }
        Ok(())
    }

    /// Writes the rows of the waiting points; those that the caller's condition refuses no longer wait.
    fn write(&mut self, combination: &Combination<'_>) {
        let length = combination.len();
        let mut kept = 0;
        for point in 0..self.waiting.len() / length {
            let mut row = self.rows.row_mut(kept);
            let cells = row.as_slice_mut().expect("rows of a matrix in standard order");
            cells.copy_from_slice(&self.instance);
            let places = point * length..(point + 1) * length;
            for (axis, &place) in combination.axes().iter().zip(&self.waiting[places.clone()]) {
                axis.write(place as usize, &mut row);
            }
            if self.search.feasible.is_none_or(|feasible| feasible(&row)) {
                self.waiting.copy_within(places, kept * length);
                kept += 1;
            }
        }
        self.waiting.truncate(kept * length);
    }
}

/// One row of the answer, before it has its place.
struct Answer {
    row: Array1<f64>,
    distance: f64,
    prediction: f64,
    /// Features that change, ascending.
    changed: Vec<usize>,
    gap: f64,
}

impl Search<'_> {
    /// The answer to a search.
    #[allow(clippy::float_cmp, reason = "the closest answers have the same distance to the bit")]
    pub(crate) fn data(&self, found: &Found, run: &Run<'_>) -> GridCounterfactualData {
        let mut answers: Vec<Answer> = Vec::new();
        if let Some(distance) = found.unchanged {
            let (row, prediction) = (self.x.to_owned(), self.goal.current);
            answers.push(Answer { row, distance, prediction, changed: Vec::new(), gap: 0.0 });
        }
        for own in &found.answers {
            let changed: Vec<usize> =
                own.set.iter().map(|&axis| self.grid.axes[axis].feature).collect();
            let points = own.places.chunks_exact(own.set.len()).zip(&own.predictions);
            for (places, &prediction) in points {
                let mut row = self.x.to_owned();
                for (&axis, &place) in own.set.iter().zip(places) {
                    self.grid.axes[axis].write(place as usize, &mut row);
                }
                let gap = own.open.map_or(0.0, |open| (own.distance - open).max(0.0));
                let (distance, changed) = (own.distance, changed.clone());
                answers.push(Answer { row, distance, prediction, changed, gap });
            }
        }
        let by_length = self.params.semantics == Semantics::Native;
        answers.sort_by(|a, b| {
            let lengths = if by_length {
                a.changed.len().cmp(&b.changed.len())
            } else {
                std::cmp::Ordering::Equal
            };
            let cells = || a.row.iter().zip(&b.row).map(|(a, b)| a.total_cmp(b));
            let rows = || cells().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal);
            a.distance.total_cmp(&b.distance).then(lengths).then_with(rows)
        });
        let best = answers.first().map(|answer| answer.distance);
        let lower_bound = match (best, found.open) {
            _ if found.already_satisfied => Some(0.0),
            (Some(best), Some(open)) => Some(best.min(open)),
            (best, open) => best.or(open),
        };
        let outcome = match (best, found.stop) {
            _ if found.already_satisfied => Outcome::AlreadySatisfied,
            (Some(_), _) => Outcome::Found,
            (None, Some(_)) => Outcome::NotFoundWithinBudget,
            (None, None) => Outcome::NoneExists,
        };
        let names = self.features.names();
        let told = |prediction: f64| self.goal.told(prediction, self.params.class_names.as_deref());
        let changes = |answer: &Answer| {
            let change = |&feature: &usize| Change {
                feature: names[feature].clone(),
                from: self.features.describe(feature, self.x),
                to: self.features.describe(feature, &answer.row),
            };
            answer.changed.iter().map(change).collect()
        };
        let mut counterfactuals = Array2::zeros((answers.len(), self.x.len()));
        for (mut row, answer) in counterfactuals.rows_mut().into_iter().zip(&answers) {
            row.assign(&answer.row);
        }
        let (n_points, n_combinations) = self.size();
        GridCounterfactualData {
            outcome,
            counterfactuals,
            distances: answers.iter().map(|answer| answer.distance).collect(),
            predictions: answers.iter().map(|answer| told(answer.prediction)).collect(),
            changed_features: answers
                .iter()
                .map(|answer| answer.changed.iter().map(|&f| names[f].clone()).collect())
                .collect(),
            changes: answers.iter().map(changes).collect(),
            optimal: answers.iter().map(|answer| Some(answer.distance) == lower_bound).collect(),
            gaps: answers.iter().map(|answer| answer.gap).collect(),
            lower_bound,
            instance: self.x.to_owned(),
            instance_prediction: told(self.goal.current),
            feature_values: (0..names.len()).map(|f| self.features.describe(f, self.x)).collect(),
            feature_names: names,
            out_of_range: self.grid.out_of_range.clone(),
            n_predictions: run.queries(),
            n_points,
            n_combinations,
            n_combinations_searched: found.n_searched,
            n_combinations_pruned: found.n_pruned,
            truncated: found.stop.is_some(),
            stop: found.stop.unwrap_or(Stop::Converged),
        }
    }
}
