//! One set of features after the other, each in the order of distance until its answer is certain.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, aview1};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::{Change, Features};
use xai_core::{Error, Event, ParamError, Predictor, Result, Row, Run, Status, Stop, same_shape};

use crate::combination::{Combination, Sets, band_end};
use crate::data::GridCounterfactualData;
use crate::functions::Condition;
use crate::grid::InstanceGrid;
use crate::rules::SearchRules;
use crate::target::Goal;

/// Whose closest points are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AnswerScope {
    /// Those of each set of features: what it takes to get there with these features.
    #[default]
    EachSet,
    /// Those of all sets together: the search ends with the first distance that has an answer.
    Closest,
}

/// The settings of a search.
pub(crate) struct SearchSettings {
    /// The most features that change together; 0 for all.
    pub(crate) max_length: usize,
    pub(crate) answers: AnswerScope,
    pub(crate) prune_supersets: bool,
    pub(crate) first_batch: usize,
    /// Whether the distance is the root of a sum of squares.
    pub(crate) is_rooted: bool,
    pub(crate) rules: SearchRules,
}

/// The most points asked for at once, and the most numbers in their rows.
const MAX_POINTS: usize = 8192;
const MAX_NUMBERS: usize = 1 << 17;

/// All that stays the same during a search.
pub(crate) struct Search<'a> {
    pub(crate) settings: SearchSettings,
    pub(crate) features: &'a Features,
    pub(crate) constraints: &'a BoundConstraints,
    pub(crate) grid: &'a InstanceGrid,
    /// What each feature adds to the distance when it stays.
    pub(crate) staying: &'a [f64],
    pub(crate) goal: &'a Goal,
    pub(crate) feasible: Option<Condition<'a>>,
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
    /// Where a stop left points open: no more than the least of their distances.
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

impl From<ParamError> for Halt {
    fn from(error: ParamError) -> Self {
        Halt::Error(error.into())
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Halt::Error(error)
    }
}

impl Search<'_> {
    /// The most features that may change together.
    fn length(&self) -> usize {
        let all = self.grid.axes.len();
        let length = match self.settings.max_length {
            0 => all,
            length => length.min(all),
        };
        self.constraints.max_changes().map_or(length, |most| length.min(most))
    }

    pub(crate) fn run(&self, model: &dyn Predictor, run: &mut Run<'_>) -> Result<Found> {
        let mut found = Found::default();
        if self.goal.is_reached && !self.settings.rules.searches_same_class {
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
        match self.settings.answers {
            AnswerScope::EachSet => self.each_set(&mut asking, &mut found)?,
            AnswerScope::Closest => self.closest(&mut asking, &mut found)?,
        }
        Ok(found)
    }

    fn combination(&self, set: &[usize]) -> Combination<'_> {
        let axes = set.iter().map(|&axis| &self.grid.axes[axis]).collect();
        Combination::new(axes, self.staying, self.settings.is_rooted)
    }

    /// The sets of features in their order: shorter ones first.
    fn sets(&self) -> impl Iterator<Item = Vec<usize>> + use<'_> {
        (1..=self.length()).flat_map(|length| Sets::new(self.grid.axes.len(), length))
    }

    /// The distance of the instance from itself where it is an answer that competes; infinite elsewhere.
    fn unchanged(&self) -> f64 {
        let competes = self.settings.rules.parts_compete && self.goal.is_reached;
        if competes { self.combination(&[]).distance(&[]) } else { f64::INFINITY }
    }

    /// The instance as an answer.
    fn instance(&self, distance: f64) -> Answer {
        let (row, prediction) = (self.x.to_owned(), self.goal.current);
        Answer { row, distance, prediction, changed: Vec::new(), gap: 0.0 }
    }

    /// The closest points of each set.
    fn each_set<'s>(&'s self, asking: &mut Asking<'s, '_, '_>, found: &mut Found) -> Result<()> {
        let (competes, unchanged) = (self.settings.rules.parts_compete, self.unchanged());
        let mut is_answer = self.grid.instance_alone && unchanged < f64::INFINITY;
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
            if self.settings.prune_supersets
                && parts.clone().any(|(_, least)| least < f64::INFINITY)
            {
                asking.done = asking.done.saturating_add(combination.n_points());
                found.n_pruned += 1;
                reached.insert(set, 0.0);
                continue;
            }
            // A part competes where the features it lacks have the instance's value on their grid.
            let competing =
                parts.filter(|&(left_out, _)| competes && self.grid.instance_on_grid[left_out]);
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
        let on_grid = self.grid.instance_alone || self.grid.instance_on_grid.contains(&true);
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
                    let left_open = combinations().map(|set| set.least(above, f64::INFINITY));
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
        if self.settings.is_rooted { least.sqrt() } else { least }
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

/// The points that wait for their prediction, and the model that gives it.
struct Asking<'s, 'r, 'o> {
    search: &'s Search<'s>,
    model: &'s dyn Predictor,
    run: &'r mut Run<'o>,
    /// The points that wait, of them those that the caller's condition allows have a row.
    waiting: usize,
    /// The most points that wait.
    most: usize,
    /// For each row its cells, its distance, and the place of its set.
    rows: Vec<f64>,
    distances: Vec<f64>,
    members: Vec<usize>,
    /// The features that each set with waiting points changes.
    sets: Vec<Vec<usize>>,
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
        Asking {
            search,
            model,
            run,
            waiting: 0,
            most: (MAX_NUMBERS / search.x.len()).clamp(1, MAX_POINTS),
            rows: Vec::new(),
            distances: Vec::new(),
            members: Vec::new(),
            sets: Vec::new(),
            hits: Vec::new(),
            done: 0,
            n_points: search.size().0,
            stopped: None,
        }
    }

    /// How many points the next band should have after so many: a quarter of them, and no more than the budget allows.
    fn affordable(&self, asked: u64) -> u64 {
        let wanted = (asked / 4).max(self.search.settings.first_batch as u64);
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
            let sets = || std::iter::once(combination);
            let upto = band_end(sets, above, left, self.affordable(combination.n_points() - left))
                .min(bound);
            let asked = self.band(combination, above, upto);
            match asked.and_then(|n| self.ask().map(|()| n)) {
                Ok(n) => left -= n,
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Stop(stop)) => {
                    let open = combination.least(above, f64::INFINITY);
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
        let (outer, last) = set.axes().split_at(set.len() - 1);
        let (mut n, mut member) = (0, None);
        let mut nearby = self.search.x.to_vec();
        set.band(above, upto, &mut |places, sum, range| {
            n += range.len() as u64;
            for (axis, &place) in outer.iter().zip(places) {
                axis.write(place as usize, &mut nearby);
            }
            for (place, distance) in range.clone().zip(set.along(sum, range)) {
                if self.waiting == self.most {
                    self.ask()?;
                    member = None;
                }
                self.waiting += 1;
                let begin = self.rows.len();
                self.rows.extend_from_slice(&nearby);
                let row = &mut self.rows[begin..];
                last[0].write(place, row);
                if self.search.feasible.is_some_and(|feasible| !feasible(&aview1(row))) {
                    self.rows.truncate(begin);
                    continue;
                }
                self.distances.push(distance);
                self.members.push(*member.get_or_insert_with(|| {
                    self.sets.push(set.axes().iter().map(|axis| axis.feature).collect());
                    self.sets.len() - 1
                }));
            }
            Ok::<(), Halt>(())
        })?;
        Ok(n)
    }

    /// Asks for the waiting points and keeps those that reach the target at the least distance.
    #[allow(clippy::float_cmp, reason = "a tie is the same distance to the bit")]
    fn ask(&mut self) -> Result<(), Halt> {
        let n_rows = self.members.len();
        if 0 < n_rows {
            if let Some(stop) = self.stopped {
                return Err(Halt::Stop(stop));
            }
            let left = self.run.queries_left().map(|left| usize::try_from(left).unwrap_or(n_rows));
            let asked = left.map_or(n_rows, |left| left.min(n_rows));
            let width = self.search.x.len();
            let rows = aview1(&self.rows[..asked * width]).into_shape_with_order((asked, width));
            let rows = rows.expect("rows of the instance's width");
            let outputs = self.run.predict(self.model, &rows)?;
            for (point, outputs) in outputs.rows().into_iter().enumerate() {
                same_shape("the model's output", &[self.search.goal.n_outputs()], outputs.shape())?;
                let prediction = self.search.goal.prediction(&outputs)?;
                if !self.search.goal.accepts(&outputs, prediction) {
                    continue;
                }
                let distance = self.distances[point];
                if self.hits.first().is_some_and(|best| distance < best.distance) {
                    self.hits.clear();
                }
                if self.hits.first().is_none_or(|best| distance == best.distance) {
                    let row = rows.row(point).to_owned();
                    let changed = self.sets[self.members[point]].clone();
                    self.hits.push(Answer { row, distance, prediction, changed, gap: 0.0 });
                }
            }
            if asked < n_rows {
                return Err(Halt::Stop(Stop::Budget));
            }
        }
        self.done = self.done.saturating_add(self.waiting as u64);
        self.waiting = 0;
        self.rows.clear();
        self.distances.clear();
        self.members.clear();
        self.sets.clear();
        let step = Event::Step { done: self.done, total: Some(self.n_points) };
        if let ControlFlow::Break(stop) = self.run.report(step) {
            self.stopped = Some(stop);
        }
        Ok(())
    }
}

impl Search<'_> {
    /// The answer to a search.
    #[allow(clippy::float_cmp, reason = "the closest answers have the same distance to the bit")]
    pub(crate) fn data(&self, mut found: Found) -> GridCounterfactualData {
        self.sort(&mut found.answers);
        let answers = &found.answers;
        let best = answers.first().map(|answer| answer.distance);
        let lower_bound = match (best, found.open) {
            _ if found.already_satisfied => Some(0.0),
            (Some(best), Some(open)) => Some(best.min(open)),
            (best, open) => best.or(open),
        };
        let status = match (best, found.stop) {
            _ if found.already_satisfied => Status::AlreadySatisfied,
            (Some(_), _) => Status::Found,
            (None, Some(_)) => Status::Stopped,
            (None, None) => Status::NoneExists,
        };
        let names = self.features.names();
        let mut counterfactuals = Array2::zeros((answers.len(), self.x.len()));
        for (mut row, answer) in counterfactuals.rows_mut().into_iter().zip(answers) {
            row.assign(&answer.row);
        }
        let (n_points, n_combinations) = self.size();
        GridCounterfactualData {
            status,
            stop: found.stop.unwrap_or(Stop::Converged),
            counterfactuals,
            distances: answers.iter().map(|answer| answer.distance).collect(),
            predictions: answers
                .iter()
                .map(|answer| self.goal.to_prediction(answer.prediction))
                .collect(),
            changes: answers.iter().map(|answer| self.changes(answer)).collect(),
            optimal: answers.iter().map(|answer| Some(answer.distance) == lower_bound).collect(),
            gaps: answers.iter().map(|answer| answer.gap).collect(),
            lower_bound,
            instance: self.x.to_owned(),
            instance_prediction: self.goal.to_prediction(self.goal.current),
            feature_values: (0..names.len()).map(|f| self.features.describe(f, self.x)).collect(),
            feature_names: names,
            out_of_range: self.grid.out_of_range.clone(),
            n_points,
            n_combinations,
            n_combinations_searched: found.n_searched,
            n_combinations_pruned: found.n_pruned,
        }
    }

    /// Orders answers by distance, then by the number of their features where the rules say so, then by their cells.
    fn sort(&self, answers: &mut [Answer]) {
        let by_length = self.settings.rules.orders_by_length;
        answers.sort_by(|a, b| {
            let lengths = a.changed.len().cmp(&b.changed.len());
            let lengths = if by_length { lengths } else { std::cmp::Ordering::Equal };
            let cells = || a.row.iter().zip(&b.row).map(|(a, b)| a.total_cmp(b));
            let rows = || cells().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal);
            a.distance.total_cmp(&b.distance).then(lengths).then_with(rows)
        });
    }

    /// What an answer changes. Numbers that stand for categories change by no quantity.
    fn changes(&self, answer: &Answer) -> Vec<Change> {
        let mut changes = self.features.changes(self.x, &answer.row);
        for (change, feature) in changes.iter_mut().zip(&answer.changed) {
            let axis = self.grid.axes.iter().find(|axis| axis.feature == *feature);
            if axis.is_some_and(|axis| axis.is_category) {
                change.by = None;
            }
        }
        changes
    }
}
