//! The search of alibi 0.9.6, `semantics = "reference"`: ten lambdas after one another, then a bisection between two of
//! them.

use ndarray::{Array1, Array2, Axis, s};
use xai_core::constraints::Constraints;
use xai_core::{
    AsJson, Error, Event, ModelRef, ParamError, Reading, Result, Row, Run, Status, Stop, require,
};
use xai_optim::loss::{SquaredError, TargetClass};
use xai_optim::{Adam, Candidate, GradientSearchParams, Instance, Route, linear_decay};

use crate::data::{self, CounterfactualData, Lambda};
use crate::explainer::{Counterfactual, Derived, Target};
use crate::params::{CounterfactualParams, DistanceFn};
use crate::record::Writer;
use crate::rules::Rules;

/// Refuses settings that the reference does not have.
pub(crate) fn validate(params: &CounterfactualParams) -> Result<(), ParamError> {
    let of = |rule: &str| format!("{rule} with the reference semantics");
    let is_l1 = params.distance_fn == DistanceFn::L1;
    require(is_l1, "distance_fn", of("\"l1\""), AsJson(&params.distance_fn))?;
    let free = params.search.constraints == Constraints::default();
    require(free, "constraints", of("left out"), AsJson(&params.search.constraints))?;
    let least = params.search.min_target_proba;
    require(least.is_none(), "min_target_proba", of("left out"), least)?;
    let unranked = params.require_argmax != Some(true);
    require(unranked, "require_argmax", of("left out or false"), params.require_argmax)
}

/// The search of alibi.
pub(crate) struct Reference;

impl Rules for Reference {
    /// A tie is a change of class.
    fn decision_margin(&self, _: &Reading, _: &Row) -> f64 {
        0.0
    }

    /// Each lambda of the sweep takes a tenth of the steps.
    fn least_iterations(&self) -> usize {
        10
    }

    /// Training rows are not asked for.
    fn falls_back(&self) -> bool {
        false
    }

    /// An instance outside the range is cut to it by the first step.
    fn requires_inside(&self) -> bool {
        false
    }

    /// The largest probability counts, whichever class it is of.
    fn recorded_error(&self, loss: &SquaredError, outputs: &Row) -> f64 {
        let largest = loss.scores.scores(outputs)[loss.scores.class(outputs)];
        (largest - loss.target_proba).powi(2)
    }

    /// One instance after the other.
    fn explain(
        &self,
        explainer: &Counterfactual,
        model: ModelRef<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CounterfactualData>>> {
        let alone = |(x, run): (&&Row, &mut Run<'_>)| self.explain_alone(explainer, model, x, run);
        Ok(inputs.iter().zip(runs.iter_mut()).map(alone).collect())
    }
}

impl Reference {
    fn explain_alone(
        &self,
        explainer: &Counterfactual,
        model: ModelRef<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<CounterfactualData> {
        let outputs = run.predict(model.predictor(), &x.view().insert_axis(Axis(0)))?;
        let outputs = outputs.row(0);
        let Target { hinge, loss } = explainer.target(model, &outputs, run)?;
        let Derived { lower, upper, eps, .. } = explainer.derived();
        let params = explainer.params();
        let range = [&**lower, &**upper];
        let search = Search { model, params, loss: loss.clone(), x, range, eps };
        let found = search.run(run)?;
        let instance = Instance::free(x.to_owned(), hinge);
        let writer = Writer {
            rules: self,
            params,
            features: explainer.features(),
            model,
            x,
            outputs: &outputs,
            instance: &instance,
            loss: &loss,
        };
        Ok(writer.reference(found))
    }
}

/// Lambdas of the sweep, as in alibi.
const DECADES: i32 = 10;

/// Hits that make a lambda of the bisection a success, as in alibi.
const ENOUGH: usize = 5;

/// A row that reached the target.
#[derive(Clone, Debug)]
struct Hit {
    point: Array1<f64>,
    outputs: Array1<f64>,
    distance: f64,
    lambda: f64,
    index: usize,
}

/// A lambda of the bisection.
#[derive(Clone, Debug)]
struct Tried {
    lambda: f64,
    n_steps: usize,
    n_hits: usize,
    /// The closest hit.
    best: Option<Hit>,
    trace: Vec<Hit>,
}

/// How far the search came.
#[derive(Default)]
struct Found {
    /// The closest hit of all.
    best: Option<Hit>,
    tried: Vec<Tried>,
    /// Whether the bisection began.
    began: bool,
    stop: Option<Stop>,
    /// The row whose probability came closest to the target without reaching it.
    nearest: Option<Miss>,
}

/// A row that did not reach the target.
struct Miss {
    squared_error: f64,
    point: Array1<f64>,
    outputs: Array1<f64>,
}

struct Search<'a> {
    model: ModelRef<'a>,
    params: &'a CounterfactualParams,
    loss: SquaredError,
    x: &'a Row,
    /// The least and the largest value of each column.
    range: [&'a Row; 2],
    eps: &'a Row,
}

/// A step with one lambda, counted from 0.
#[derive(Clone, Copy)]
struct Step {
    index: usize,
    lambda: f64,
}

/// Where a search stands.
#[derive(Clone)]
struct Place {
    point: Array1<f64>,
    outputs: Array1<f64>,
    /// The derivative of the squared error.
    gradient: Array1<f64>,
}

impl Search<'_> {
    fn run(&self, run: &mut Run<'_>) -> Result<Found> {
        let mut found = Found::default();
        match self.both_phases(run, &mut found) {
            Err(Error::Stopped(stop)) => found.stop = Some(stop),
            other => other?,
        }
        Ok(found)
    }

    fn both_phases(&self, run: &mut Run<'_>, found: &mut Found) -> Result<()> {
        let total = Some(u64::from(DECADES.unsigned_abs()) + self.params.search.c_steps as u64);
        let mut done = 0;
        let mut report = |run: &mut Run<'_>| {
            done += 1;
            match run.report(Event::Step { done, total }).break_value() {
                Some(stop) => Err(Error::Stopped(stop)),
                None => Ok(()),
            }
        };
        let start = self.at(self.x.to_owned(), run)?;
        let mut place = start.clone();
        let mut hits = Vec::new();
        for decade in 0..DECADES {
            let lambda = self.params.first_lambda() / 10.0_f64.powi(decade);
            hits.push((lambda, self.sweep(lambda, &mut place, run, found)?));
            report(run)?;
        }
        let Some(&(lower, _)) = hits.iter().filter(|(_, count)| 0 < *count).nth(1) else {
            return Ok(());
        };
        found.began = true;
        let last_miss = hits.iter().rev().find(|(_, count)| *count == 0);
        let upper = last_miss.map_or(self.params.first_lambda(), |(lambda, _)| *lambda);
        let (mut lower, mut upper) = (lower, upper);
        let mut lambda = f64::midpoint(lower, upper);
        place = start;
        for step in 0..self.params.search.c_steps {
            self.descend(step, lambda, &mut place, run, found)?;
            if found.tried.last().is_some_and(|tried| ENOUGH <= tried.n_hits) {
                lower = lower.max(lambda);
                lambda = if upper < 1e9 { f64::midpoint(lower, upper) } else { lambda * 10.0 };
            } else {
                upper = upper.min(lambda);
                lambda = if 0.0 < lower { f64::midpoint(lower, upper) } else { lambda / 10.0 };
            }
            report(run)?;
        }
        Ok(())
    }

    /// A tenth of the steps with one lambda; says how many of them reached the target.
    fn sweep(
        &self,
        lambda: f64,
        place: &mut Place,
        run: &mut Run<'_>,
        found: &mut Found,
    ) -> Result<usize> {
        let mut adam = Adam::new(self.x.len());
        let mut n_hits = 0;
        for step in 0..self.params.search.max_iterations / 10 {
            self.step(Step { index: step, lambda }, &mut adam, place, run)?;
            n_hits += usize::from(self.reaches(place, found));
        }
        Ok(n_hits)
    }

    /// Steps with one lambda of the bisection, until many in a row reach the target or many in a row miss it.
    fn descend(
        &self,
        outer: usize,
        lambda: f64,
        place: &mut Place,
        run: &mut Run<'_>,
        found: &mut Found,
    ) -> Result<()> {
        let mut adam = Adam::new(self.x.len());
        let (mut in_row, mut missed) = (0, 0);
        found.tried.push(Tried { lambda, n_steps: 0, n_hits: 0, best: None, trace: Vec::new() });
        for step in 0..self.params.search.max_iterations {
            self.step(Step { index: step, lambda }, &mut adam, place, run)?;
            let hit = self.reaches(place, found);
            (in_row, missed) = if hit { (in_row + 1, 0) } else { (0, missed + 1) };
            let tried = &mut found.tried[outer];
            tried.n_steps += 1;
            if hit {
                tried.n_hits += 1;
                let index = outer * self.params.search.max_iterations + step;
                let distance = (&place.point - &self.x.view()).mapv(f64::abs).sum();
                let (point, outputs) = (place.point.clone(), place.outputs.clone());
                let hit = Hit { point, outputs, distance, lambda, index };
                if tried.trace.len() < self.params.trace {
                    tried.trace.push(hit.clone());
                }
                for best in [&mut tried.best, &mut found.best] {
                    if best.as_ref().is_none_or(|best| distance < best.distance) {
                        *best = Some(hit.clone());
                    }
                }
            }
            if self.params.search.patience <= in_row || self.params.search.patience <= missed {
                break;
            }
        }
        Ok(())
    }

    fn reaches(&self, place: &Place, found: &mut Found) -> bool {
        if self.loss.accepts(&place.outputs, self.params.tol) {
            return true;
        }
        let error = self.loss.value(&place.outputs);
        if found.nearest.as_ref().is_none_or(|nearest| error < nearest.squared_error) {
            let (point, outputs) = (place.point.clone(), place.outputs.clone());
            found.nearest = Some(Miss { squared_error: error, point, outputs });
        }
        false
    }

    fn step(
        &self,
        step: Step,
        adam: &mut Adam,
        place: &mut Place,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let GradientSearchParams { learning_rate_init, max_iterations, .. } = self.params.search;
        let mut gradient = place.gradient.clone();
        let mut point = place.point.clone();
        for (k, slope) in gradient.iter_mut().enumerate() {
            let change = point[k] - self.x[k];
            *slope += step.lambda * if change == 0.0 { 0.0 } else { change.signum() };
        }
        let rate = match self.params.decay {
            true => linear_decay(learning_rate_init, step.index, max_iterations),
            false => learning_rate_init,
        };
        adam.step(&mut point, &gradient, rate);
        for (k, value) in point.iter_mut().enumerate() {
            *value = value.max(self.range[0][k]).min(self.range[1][k]);
        }
        *place = self.at(point, run)?;
        Ok(())
    }

    /// Outputs and gradient at a point; the rows of a numeric gradient are in the call of the point.
    fn at(&self, point: Array1<f64>, run: &mut Run<'_>) -> Result<Place> {
        let model = match self.model {
            ModelRef::WhiteBox(model) => {
                let row = point.view().insert_axis(Axis(0));
                let along = |_, outputs: &Row| Some(self.loss.cotangent(outputs));
                let (outputs, gradients) = run.value_and_vjp(model, &row, along)?;
                let (outputs, gradient) = (outputs.row(0).to_owned(), gradients.row(0).to_owned());
                return Ok(Place { point, outputs, gradient });
            }
            ModelRef::BlackBox(model) => model,
        };
        let n = point.len();
        let mut rows = Array2::zeros((2 * n + 1, n));
        rows.rows_mut().into_iter().for_each(|mut row| row.assign(&point));
        for k in 0..n {
            rows[[1 + k, k]] += self.eps[k];
            rows[[1 + n + k, k]] -= self.eps[k];
        }
        let outputs = run.predict(model, &rows)?;
        // The class of the difference quotients is that of the first row that is moved.
        let class = self.loss.class(&outputs.row(1));
        let fixed = SquaredError { class: TargetClass::Fixed(class), ..self.loss.clone() };
        let proba = outputs.map_axis(Axis(1), |row| fixed.proba(&row));
        let slope = 2.0 * (self.loss.proba(&outputs.row(0)) - self.loss.target_proba);
        let change = &proba.slice(s![1..=n]) - &proba.slice(s![n + 1..]);
        let gradient = change / (&self.eps.view() * 2.0) * slope;
        Ok(Place { point, outputs: outputs.row(0).to_owned(), gradient })
    }
}

impl Writer<'_> {
    /// What the search of the reference found.
    fn reference(&self, found: Found) -> CounterfactualData {
        let candidate = |hit: &Hit| Candidate {
            point: hit.point.clone(),
            outputs: hit.outputs.clone(),
            distance: hit.distance,
        };
        let step = found.best.as_ref().map(|hit| data::Step {
            lambda: hit.lambda,
            index: hit.index,
            loss: self.loss(&candidate(hit), hit.lambda),
        });
        let cf = found.best.as_ref().map(|hit| self.counterfactual(candidate(hit)));
        let status = match (&cf, found.stop) {
            (Some(_), _) => Status::Found,
            (None, Some(_)) => Status::Stopped,
            (None, None) => Status::NotFound,
        };
        let mut data = self.data(cf, step, status, found.stop);
        data.route = data.cf.as_ref().map(|_| Route::Descent);
        if status == Status::NotFound && !found.began {
            let reason = "Not found: fewer than two lambdas of the sweep reached the target.";
            reason.clone_into(&mut data.reason);
        }
        for tried in &found.tried {
            let hits: Vec<&Hit> = match self.params.trace {
                0 => tried.best.iter().collect(),
                _ => tried.trace.iter().collect(),
            };
            let hit = |hit: &Hit| self.hit(&candidate(hit), hit.lambda, hit.index);
            data.lambdas.push(Lambda {
                lambda: tried.lambda,
                n_steps: tried.n_steps,
                n_hits: tried.n_hits,
                distance: tried.best.as_ref().map(|hit| hit.distance),
                hits: hits.into_iter().map(hit).collect(),
            });
        }
        if data.cf.is_none() {
            data.nearest_miss = found.nearest.map(|miss| {
                let distance = (&miss.point - &self.x.view()).mapv(f64::abs).sum();
                let (point, outputs) = (miss.point, miss.outputs);
                self.counterfactual(Candidate { point, outputs, distance })
            });
        }
        data
    }
}
