//! One set of features after the other, each in the order of distance until its answer is certain.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, s};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::Features;
use xai_core::{Error, Event, Predictor, Result, Row, Run, Semantics, Stop};

use crate::combination::{Combination, Sets, band_end};
use crate::data::{Change, GridCounterfactualData, Outcome};
use crate::grid::InstanceGrid;
use crate::params::{AnswerScope, GridCounterfactualParams};
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

/// One row of the answer, before it has its place.
struct Answer {
    row: Array1<f64>,
    distance: f64,
    prediction: f64,
    /// Features that change, ascending.
    changed: Vec<usize>,
    gap: f64,
}

/// What a search found.
#[derive(Default)]
pub(crate) struct Found {
    answers: Vec<Answer>,
    already_satisfied: bool,
    n_searched: u64,
    n_pruned: u64,
    stop: Option<Stop>,
    /// Where a stop left points open, no more than the least of their distances.
    open: Option<f64>,
}

/// Why the search of a set ended early, and the least distance of the points that are left open, infinite when none is.
#[derive(Clone, Copy)]
struct Left {
    stop: Stop,
    open: f64,
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
        let mut asking = Asking::new(self, model, run);
        match self.params.answers {
            AnswerScope::EachSet => self.each_set(&mut asking, &mut found)?,
            AnswerScope::Closest => self.closest(&mut asking, &mut found)?,
        }
        Ok(found)
    }

    fn combination(&self, set: &[usize]) -> Combination<'_> {
        let axes = set.iter().map(|&axis| &self.grid.axes[axis]).collect();
        Combination::new(axes, self.staying, self.params.normalise_distance)
    }

    /// The sets of features in their order: shorter ones first.
    fn sets(&self) -> impl Iterator<Item = Vec<usize>> + use<'_> {
        (1..=self.length()).flat_map(|length| Sets::new(self.grid.axes.len(), length))
    }

    /// The distance of the instance from itself where it is an answer that competes; infinite elsewhere.
    fn unchanged(&self) -> f64 {
        let competes = self.parts_compete() && self.goal.is_reached;
        if competes { self.combination(&[]).distance(&[]) } else { f64::INFINITY }
    }

    /// The instance as an answer.
    fn instance(&self, distance: f64) -> Answer {
        let (row, prediction) = (self.x.to_owned(), self.goal.current);
        Answer { row, distance, prediction, changed: Vec::new(), gap: 0.0 }
    }

    /// The closest points of each set.
    fn each_set<'s>(&'s self, asking: &mut Asking<'s, '_, '_>, found: &mut Found) -> Result<()> {
        let (competes, unchanged) = (self.parts_compete(), self.unchanged());
        let mut is_answer = self.grid.own_alone && unchanged < f64::INFINITY;
        // The least distance of an answer of each set of the length before, or of those of its parts that compete.
        let mut before = BTreeMap::from([(Vec::new(), unchanged)]);
        let mut reached = BTreeMap::new();
        for set in self.sets() {
            if before.keys().next().is_none_or(|part: &Vec<usize>| part.len() + 1 < set.len()) {
                before = std::mem::take(&mut reached);
            }
            let combination = self.combination(&set);
            let parts = (0..set.len()).filter_map(|place| {
                let mut part = set.clone();
                let left_out = part.remove(place);
                before.get(&part).map(|&least| (left_out, least))
            });
            if self.params.prune_supersets && parts.clone().any(|(_, least)| least < f64::INFINITY)
            {
                asking.done = asking.done.saturating_add(combination.n_points());
                found.n_pruned += 1;
                reached.insert(set, 0.0);
                continue;
            }
            // A part competes where the features it lacks have the instance's value on their grid.
            let competing =
                parts.filter(|&(left_out, _)| competes && self.grid.own_on_grid[left_out]);
            let bound = competing.fold(f64::INFINITY, |bound, (_, least)| bound.min(least));
            let (mut hits, stopped) = asking.search(&combination, bound)?;
            let least = hits.first().map_or(bound, |hit| bound.min(hit.distance));
            // Alone with the instance's value a feature is the instance.
            is_answer |= set.len() == 1 && bound < f64::INFINITY && bound <= least;
            if let Some(Left { open, .. }) = stopped {
                hits.iter_mut().for_each(|hit| hit.gap = (hit.distance - open).max(0.0));
            }
            found.answers.append(&mut hits);
            if let Some(Left { stop, open }) = stopped {
                found.stop = Some(stop);
                found.open = Some(open.min(self.least_not_begun(set.len())));
                break;
            }
            found.n_searched += 1;
            reached.insert(set, least);
        }
        if is_answer {
            found.answers.push(self.instance(unchanged));
        }
        Ok(())
    }

    /// The closest points of all sets together.
    fn closest<'s>(&'s self, asking: &mut Asking<'s, '_, '_>, found: &mut Found) -> Result<()> {
        let on_grid = self.grid.own_alone || self.grid.own_on_grid.contains(&true);
        let bound = if on_grid { self.unchanged() } else { f64::INFINITY };
        let (mut left, mut above) = (self.size().0, f64::NEG_INFINITY);
        let n_points = left;
        let combinations = || self.sets().map(|set| self.combination(&set));
        while 0 < left && above < bound && asking.hits.is_empty() {
            let upto =
                band_end(combinations, above, left, asking.affordable(n_points - left)).min(bound);
            let asked =
                combinations().try_fold(0, |n, set| Ok(n + asking.band(&set, above, upto)?));
            match asked.and_then(|n| asking.ask().map(|()| n)) {
                Ok(n) => left -= n,
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Stop(stop)) => {
                    found.stop = Some(stop);
                    let left_open = combinations().map(|set| set.least_above(above));
                    found.open = Some(left_open.fold(f64::INFINITY, f64::min));
                    break;
                }
            }
            above = upto;
        }
        found.answers = std::mem::take(&mut asking.hits);
        if let Some(open) = found.open {
            found.answers.iter_mut().for_each(|hit| hit.gap = (hit.distance - open).max(0.0));
        } else {
            found.n_searched = self.size().1;
        }
        if bound < f64::INFINITY && found.answers.first().is_none_or(|hit| bound <= hit.distance) {
            found.answers.push(self.instance(bound));
        }
        Ok(())
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

/// The points that wait for their prediction, and the door to the model.
struct Asking<'s, 'r, 'o> {
    search: &'s Search<'s>,
    model: &'s dyn Predictor,
    run: &'r mut Run<'o>,
    instance: Vec<f64>,
    rows: Array2<f64>,
    /// The sets that have points waiting.
    sets: Vec<Combination<'s>>,
    /// For each waiting point the place of its set, and its places on the axes of that set, padded to `stride`.
    members: Vec<u32>,
    places: Vec<u32>,
    stride: usize,
    /// The closest points so far that reach the target.
    hits: Vec<Answer>,
    /// Grid points whose fate is known, and all of them.
    done: u64,
    n_points: u64,
    /// A request to stop, for the next batch.
    stopped: Option<Stop>,
}

impl<'s, 'r, 'o> Asking<'s, 'r, 'o> {
    fn new(search: &'s Search<'s>, model: &'s dyn Predictor, run: &'r mut Run<'o>) -> Self {
        let width = search.x.len();
        let n_points = search.size().0;
        let most = (MAX_NUMBERS / width).clamp(1, MAX_POINTS);
        let n_rows = usize::try_from(n_points).unwrap_or(most).clamp(1, most);
        Asking {
            search,
            model,
            run,
            instance: search.x.to_vec(),
            rows: Array2::zeros((n_rows, width)),
            sets: Vec::new(),
            members: Vec::new(),
            places: Vec::new(),
            stride: search.length(),
            hits: Vec::new(),
            done: 0,
            n_points,
            stopped: None,
        }
    }

    /// How many points the next band should have after so many: a quarter of them, and no more than the budget allows.
    fn affordable(&self, asked: u64) -> u64 {
        let wanted = (asked / 4).max(self.search.params.first_batch as u64);
        self.run.queries_left().map_or(wanted, |most| wanted.min(most).max(1))
    }

    /// Searches one set up to a distance, and returns its closest points; when it was stopped also what is left.
    fn search(
        &mut self,
        combination: &Combination<'s>,
        bound: f64,
    ) -> Result<(Vec<Answer>, Option<Left>)> {
        let begun = self.done;
        let (mut left, mut above) = (combination.n_points(), f64::NEG_INFINITY);
        let mut stopped = None;
        while 0 < left && above < bound && self.hits.is_empty() {
            let sets = || std::iter::once(combination.clone());
            let upto = band_end(sets, above, left, self.affordable(combination.n_points() - left))
                .min(bound);
            let asked = self.band(combination, above, upto);
            match asked.and_then(|n| self.ask().map(|()| n)) {
                Ok(n) => left -= n,
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Stop(stop)) => {
                    let open = combination.least_above(above);
                    stopped =
                        Some(Left { stop, open: if open <= bound { open } else { f64::INFINITY } });
                    break;
                }
            }
            above = upto;
        }
        if stopped.is_none() {
            self.done = begun.saturating_add(combination.n_points());
        }
        Ok((std::mem::take(&mut self.hits), stopped))
    }

    /// Takes all points of a band, asks for them whenever a batch is full, and returns how many there are.
    fn band(&mut self, set: &Combination<'s>, above: f64, upto: f64) -> Result<u64, Halt> {
        let (mut n, padding) = (0, self.stride - set.len());
        let mut member = None;
        let walked: Result<(), Halt> = set.band(above, upto, &mut |outer, last| {
            n += last.len() as u64;
            for place in last {
                if self.members.len() == self.rows.nrows() {
                    self.ask()?;
                    member = None;
                }
                let member = *member.get_or_insert_with(|| {
                    self.sets.push(set.clone());
                    index(self.sets.len() - 1)
                });
                self.members.push(member);
                self.places.extend_from_slice(outer);
                self.places.push(index(place));
                self.places.resize(self.places.len() + padding, 0);
            }
            Ok(())
        });
        walked.map(|()| n)
    }

    /// Asks for the waiting points and keeps those that reach the target at the least distance.
    #[allow(clippy::float_cmp, reason = "a tie is the same distance to the bit")]
    fn ask(&mut self) -> Result<(), Halt> {
        let n_waiting = self.members.len() as u64;
        let n_rows = self.write();
        if 0 < n_rows {
            if let Some(stop) = self.stopped {
                return Err(Halt::Stop(stop));
            }
            let left = self.run.queries_left().map(|left| usize::try_from(left).unwrap_or(n_rows));
            let asked = left.map_or(n_rows, |left| left.min(n_rows));
            let outputs = self.run.predict(self.model, &self.rows.slice(s![..asked, ..]))?;
            for (point, outputs) in outputs.rows().into_iter().enumerate() {
                let prediction = self.search.goal.prediction(&outputs)?;
                if !self.search.goal.accepts(&outputs, prediction) {
                    continue;
                }
                let set = &self.sets[self.members[point] as usize];
                let distance = set.distance(&self.places[point * self.stride..][..set.len()]);
                if self.hits.first().is_some_and(|best| distance < best.distance) {
                    self.hits.clear();
                }
                if self.hits.first().is_none_or(|best| distance == best.distance) {
                    let row = self.rows.row(point).to_owned();
                    let changed = set.axes().iter().map(|axis| axis.feature).collect();
                    self.hits.push(Answer { row, distance, prediction, changed, gap: 0.0 });
                }
            }
            if asked < n_rows {
                return Err(Halt::Stop(Stop::Budget));
            }
        }
        self.sets.clear();
        self.members.clear();
        self.places.clear();
        self.done = self.done.saturating_add(n_waiting);
        let step = Event::Step { done: self.done, total: Some(self.n_points) };
        if let ControlFlow::Break(stop) = self.run.report(step) {
            self.stopped = Some(stop);
        }
        Ok(())
    }

    /// Writes the rows of the waiting points and returns how many there are; those that the caller's condition refuses
    /// no longer wait.
    fn write(&mut self) -> usize {
        let mut kept = 0;
        for point in 0..self.members.len() {
            let mut row = self.rows.row_mut(kept);
            let cells = row.as_slice_mut().expect("rows of a matrix in standard order");
            cells.copy_from_slice(&self.instance);
            let set = &self.sets[self.members[point] as usize];
            let places = point * self.stride..(point + 1) * self.stride;
            for (axis, &place) in set.axes().iter().zip(&self.places[places.clone()]) {
                axis.write(place as usize, &mut row);
            }
            if self.search.feasible.is_none_or(|feasible| feasible(&row)) {
                self.members[kept] = self.members[point];
                self.places.copy_within(places, kept * self.stride);
                kept += 1;
            }
        }
        self.members.truncate(kept);
        self.places.truncate(kept * self.stride);
        kept
    }
}

/// Sets in a batch and values of an axis are few.
fn index(place: usize) -> u32 {
    u32::try_from(place).expect("at most 2^20")
}

impl Search<'_> {
    /// The answer to a search.
    #[allow(clippy::float_cmp, reason = "the closest answers have the same distance to the bit")]
    pub(crate) fn data(&self, mut found: Found, run: &Run<'_>) -> GridCounterfactualData {
        let by_length = self.params.semantics == Semantics::Native;
        let answers = &mut found.answers;
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
        for (mut row, answer) in counterfactuals.rows_mut().into_iter().zip(answers.iter()) {
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
