//! Gradient counterfactuals.

use ndarray::{Array1, Array2, Axis, s};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{
    AsJson, Error, Explainer, Input, MethodInfo, ModelKind, ModelRef, Reading, Result, Row, Rows,
    Run, Status, Stop, Valid, Warning, require, same_shape, serde_arrays,
};
use xai_optim::loss::{self, ClassScores, Hinge, SquaredError};
use xai_optim::{
    Candidate, ConstrainedRows, Cost, DescentResult, Evaluation, Evaluator, Instance, Outcome,
    Problem, Query, Route, SearchParams, median, outputs_of_rows, refine_candidates,
    require_inside,
};

use crate::data::CounterfactualData;
use crate::descent::{Descents, Trail};
use crate::params::{CounterfactualParams, DistanceFn, TargetClass};
use crate::record::Writer;

/// The closest row to which the model gives a wanted probability of a class. Made by [`CounterfactualParams::build`] or
/// [`fit`](CounterfactualParams::fit).
///
/// The model is a white box or a black box as [`ModelRef`] says.
///
/// # Cost
/// Two queries for the instance, and a gradient. Then at most [`max_iterations`](xai_optim::GradientSearchParams::max_iterations)
/// rounds of calls; in each, every lambda that is still running and not beside another one asks for one row and one gradient,
/// which costs a white box its `vjp_queries` and a black box two rows for each feature that may change. The polish asks for 20
/// rows and a gradient, at most ten times for each of three rows. Where nothing is found, up to 256 training rows are asked
/// for, and for the way to each of the nearest three that reach the target 30 rows, and for at most 32 passes 16 for each
/// column that changes.
///
/// # Source
/// Wachter, Mittelstadt and Russell 2017, "Counterfactual explanations without opening the black box", arXiv:1711.00399.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Counterfactual {
    params: Valid<CounterfactualParams>,
    features: Features,
    /// What a change of 1 counts in each column, for distances that training rows scale.
    #[serde(with = "serde_arrays::option")]
    scales: Option<Array1<f64>>,
    /// Training rows that may be of a wanted class, shape `(n_rows, n_columns)`.
    #[serde(with = "serde_arrays::option")]
    rows: Option<Array2<f64>>,
    warnings: Vec<Warning>,
    #[serde(skip)]
    derived: Derived,
}

/// What is saved of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<CounterfactualParams>,
    features: Features,
    #[serde(with = "serde_arrays::option")]
    scales: Option<Array1<f64>>,
    /// Training rows that may be of a wanted class, shape `(n_rows, n_columns)`.
    #[serde(with = "serde_arrays::option")]
    rows: Option<Array2<f64>>,
    warnings: Vec<Warning>,
}

/// What follows from the settings and the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Derived {
    constraints: BoundConstraints,
    /// The least and the largest value of each column, shape `(n_columns,)`.
    pub(crate) lower: Array1<f64>,
    pub(crate) upper: Array1<f64>,
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    pub(crate) eps: Array1<f64>,
}

impl TryFrom<Saved> for Counterfactual {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let Saved { params, features, scales, rows, warnings } = saved;
        Counterfactual::assemble(params, features, Fitted { scales, rows }, warnings)
    }
}

/// What is kept of training rows.
struct Fitted {
    scales: Option<Array1<f64>>,
    rows: Option<Array2<f64>>,
}

impl Counterfactual {
    pub(crate) fn new(
        params: Valid<CounterfactualParams>,
        features: Features,
        train_data: Option<&Rows>,
    ) -> Result<Self> {
        let mut warnings = Vec::new();
        if let Some(rows) = train_data {
            let shape = [rows.nrows().max(1), features.n_columns()];
            same_shape("the training rows", &shape, rows.shape())?;
            xai_core::input::all_finite("the training rows", rows)?;
            features.check("the training rows", rows)?;
        }
        let scales = match (params.distance_fn, train_data) {
            (DistanceFn::L1Mad, Some(rows)) => Some(scales(rows, &mut warnings)),
            _ => None,
        };
        let is_used = params.search.fallback && params.rules().falls_back();
        let rows = train_data.filter(|_| is_used).map(|rows| {
            let step = rows.nrows().div_ceil(ROWS);
            rows.slice(s![..;step, ..]).to_owned()
        });
        Counterfactual::assemble(params, features, Fitted { scales, rows }, warnings)
    }

    fn assemble(
        params: Valid<CounterfactualParams>,
        features: Features,
        fitted: Fitted,
        warnings: Vec<Warning>,
    ) -> Result<Self> {
        let Fitted { scales, rows } = fitted;
        let n = features.n_columns();
        if let Some(rows) = &rows {
            same_shape("the training rows", &[rows.nrows(), n], rows.shape())?;
            features.check("the training rows", rows)?;
        }
        let is_scaled = params.distance_fn == DistanceFn::L1Mad;
        let rule = "one that needs no training rows, unless `fit` gives it some";
        require(!is_scaled || scales.is_some(), "distance_fn", rule, AsJson(&params.distance_fn))?;
        if let Some(scales) = &scales {
            same_shape("the scales of the distance", &[n], scales.shape())?;
            for &scale in scales {
                let allowed = 0.0 < scale && scale < f64::INFINITY;
                require(allowed, "scales", "finite and above 0", scale)?;
            }
        }
        check_shape(params.shape.as_deref(), Some(n))?;
        let lower = params.feature_range.0.expand("feature_range", n)?;
        let upper = params.feature_range.1.expand("feature_range", n)?;
        for (low, high) in lower.iter().zip(&upper) {
            require(low <= high, "feature_range", "from a least to a largest value", (low, high))?;
        }
        let eps = params.eps.expand("eps", n)?;
        params.search.constraints.bind(&features)?;
        let rounded = params.search.constraints.rounded_inside(&features, (&lower, &upper));
        let constraints = rounded.bind(&features)?;
        let derived = Derived { constraints, lower, upper, eps };
        Ok(Counterfactual { params, features, scales, rows, warnings, derived })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn params(&self) -> &CounterfactualParams {
        &self.params
    }

    /// The space of its searches.
    pub(crate) fn derived(&self) -> &Derived {
        &self.derived
    }

    /// The table it was made for.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    fn cost(&self) -> Cost {
        match self.params.distance_fn {
            DistanceFn::L1 | DistanceFn::L1Mad => Cost::ABSOLUTE,
            DistanceFn::L2 => Cost { squares: 1.0, absolute: 0.0 },
        }
    }

    fn search_params(&self) -> SearchParams {
        self.params.search.to_search_params(self.cost())
    }

    /// What is wanted of an instance whose outputs are these, and the loss that leads there.
    pub(crate) fn target(
        &self,
        model: ModelRef<'_>,
        outputs: &Row,
        run: &mut Run<'_>,
    ) -> Result<Target> {
        let params = &self.params;
        let declared = model.predictor().output();
        let reading = Reading::new(&params.search.output, declared, outputs)?;
        run.record_output(&reading);
        let scores = ClassScores::new(&reading, outputs)?;
        if !is_probabilities(&scores.scores(outputs)) {
            let message = "the outputs are no probabilities; `target_proba` and `tol` count in their own unit";
            run.warn("counterfactual.not_probabilities", message);
        }
        let instance_class = scores.class(outputs);
        let class = match params.target_class {
            TargetClass::Other => loss::TargetClass::Other(instance_class),
            TargetClass::Same => loss::TargetClass::Fixed(instance_class),
            TargetClass::Class(class) => {
                let rule = format!("a class of the model, below {}", scores.n_classes());
                require(class < scores.n_classes(), "target_class", rule, class)?;
                loss::TargetClass::Fixed(class)
            }
        };
        let is_ranked = params.require_argmax.unwrap_or(params.target_class != TargetClass::Same);
        // Behind by any distance is enough where the rank does not matter.
        let ahead = if is_ranked { 0.0 } else { f64::NEG_INFINITY };
        let hinge = match class {
            loss::TargetClass::Other(class) => Hinge::other(&scores, class, ahead),
            loss::TargetClass::Fixed(class) => Hinge::same(&scores, class, ahead),
        };
        let [least, most] = self.window();
        let hinge = hinge.at_least(Some(least).filter(|&least| 0.0 < least));
        let hinge = hinge.at_most(Some(most).filter(|&most| most < 1.0));
        let margin = params.rules().decision_margin(&reading, outputs);
        let hinge = hinge.with_decision_margin(margin);
        let loss = SquaredError { scores, class, target_proba: params.target_proba };
        Ok(Target { hinge, loss })
    }

    /// The least and the largest probability that reach the target.
    fn window(&self) -> [f64; 2] {
        let CounterfactualParams { target_proba, tol, .. } = *self.params;
        let least = self.params.search.min_target_proba.unwrap_or(f64::NEG_INFINITY);
        [least.max(target_proba - tol), target_proba + tol]
    }

    /// Where an instance may go.
    fn instance(&self, rows: &ConstrainedRows<'_>, index: usize, hinge: Hinge) -> Instance {
        let Derived { lower, upper, .. } = &self.derived;
        let mut instance = rows.instance(index, hinge, lower, upper);
        if let Some(scales) = &self.scales {
            instance.scale *= scales;
        }
        instance
    }

    /// All instances in shared calls.
    pub(crate) fn explain_together(
        &self,
        model: ModelRef<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<CounterfactualData>> {
        let Derived { constraints, eps, .. } = &self.derived;
        let origins: Vec<Array1<f64>> = inputs.iter().map(|&x| x.to_owned()).collect();
        let rows = ConstrainedRows::new(constraints, origins, eps.clone());
        let outputs = outputs_of_rows(model, inputs, runs)?;
        let (mut instances, mut losses) = (Vec::new(), Vec::new());
        for (index, (outputs, run)) in outputs.iter().zip(runs.iter_mut()).enumerate() {
            let Target { hinge, loss } = self.target(model, outputs, run)?;
            instances.push(self.instance(&rows, index, hinge));
            losses.push(loss);
        }
        let evaluator = Evaluator { model, problem: &rows, instances: &instances };
        let (params, cost) = (&*self.params, self.cost());
        let trails = Descents { evaluator, params, losses: &losses, cost, eps }.run(runs)?;
        let results = trails.iter().map(Trail::to_result).collect();
        let outcomes = refine_candidates(evaluator, &self.search_params(), runs, results)?;
        let mut data = Vec::with_capacity(inputs.len());
        for (index, (outcome, trail)) in outcomes.into_iter().zip(&trails).enumerate() {
            let x = inputs[index];
            let TowardRows { outcome, none_of } = match (&outcome.found, outcome.stop) {
                (None, None) => {
                    let (hinge, run) = (&instances[index].hinge, &mut runs[index..=index]);
                    self.search_toward_training_rows(model, x, hinge, outcome, run)?
                }
                _ => TowardRows { outcome, none_of: None },
            };
            let writer = Writer {
                rules: params.rules(),
                params,
                features: &self.features,
                model,
                x,
                outputs: &outputs[index],
                instance: &instances[index],
                loss: &losses[index],
            };
            let mut written = writer.native(outcome, trail);
            if let Some(n_rows) = none_of {
                let why = format!(
                    " None of {n_rows} training rows reaches it as far as they may be followed."
                );
                written.reason.push_str(&why);
            }
            data.push(written);
        }
        Ok(data)
    }

    /// Searches once more for an instance without a counterfactual, this time on the way to training rows that reach the
    /// target. `runs` is the instance's alone.
    fn search_toward_training_rows(
        &self,
        model: ModelRef<'_>,
        x: &Row,
        hinge: &Hinge,
        outcome: Outcome,
        runs: &mut [Run<'_>],
    ) -> Result<TowardRows> {
        let Some(rows) = &self.rows else {
            return Ok(TowardRows { outcome, none_of: None });
        };
        let Derived { constraints, eps, .. } = &self.derived;
        let space = ConstrainedRows::new(constraints, vec![x.to_owned()], eps.clone());
        let instances = [self.instance(&space, 0, hinge.clone())];
        let [instance] = &instances;
        let mut queries: Vec<Query> = Vec::new();
        for row in rows.rows() {
            let mut point = row.to_owned();
            instance.confine(&mut point);
            space.snap(0, &mut point);
            // What may not change makes rows equal.
            if point != x && queries.iter().all(|other| other.point != point) {
                queries.push(Query { instance: 0, point, gradient: false });
            }
        }
        let stopped = |stop, outcome| {
            let outcome = Outcome { status: Status::Stopped, stop: Some(stop), ..outcome };
            Ok(TowardRows { outcome, none_of: None })
        };
        if !Evaluator::can_afford(&runs[0], queries.len() as u64) {
            return stopped(Stop::Budget, outcome);
        }
        let evaluator = Evaluator { model, problem: &space, instances: &instances };
        let evaluations = match evaluator.evaluate(runs, &queries, &|_, _| None) {
            Err(Error::Stopped(stop)) => return stopped(stop, outcome),
            evaluations => evaluations?,
        };
        let (cost, mut nearest) = (self.cost(), outcome.nearest_miss.clone());
        let mut anchors = Vec::new();
        for (Query { point, .. }, Evaluation { outputs, .. }) in
            queries.into_iter().zip(evaluations)
        {
            let distance = cost.of(instance, &point);
            let candidate = Candidate { point, outputs, distance };
            let missing = |candidate: &Candidate| hinge.value(&candidate.outputs);
            if hinge.accepts(&candidate.outputs) {
                anchors.push(candidate);
            } else if nearest.as_ref().is_none_or(|miss| missing(&candidate) < missing(miss)) {
                nearest = Some(candidate);
            }
        }
        if anchors.is_empty() {
            let outcome = Outcome { nearest_miss: nearest, ..outcome };
            return Ok(TowardRows { outcome, none_of: Some(rows.nrows()) });
        }
        anchors.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        anchors.truncate(ANCHORS);
        let result =
            DescentResult { found: anchors, route: Some(Route::Anchor), nearest, stop: None };
        let outcomes = refine_candidates(evaluator, &self.search_params(), runs, vec![result])?;
        let outcome = outcomes.into_iter().next().expect("one outcome for one instance");
        Ok(TowardRows { outcome, none_of: None })
    }
}

/// What is wanted of an instance.
pub(crate) struct Target {
    pub(crate) hinge: Hinge,
    pub(crate) loss: SquaredError,
}

/// How far the probabilities of all classes may be from adding up to 1. Chosen by hand, for single precision.
const SUM_TOLERANCE: f64 = 1e-3;

/// Whether numbers by class are probabilities.
fn is_probabilities(scores: &Row) -> bool {
    let in_range = scores.iter().all(|value| (0.0..=1.0).contains(value));
    in_range && (scores.sum() - 1.0).abs() <= SUM_TOLERANCE
}

/// What training rows added to a search.
struct TowardRows {
    outcome: Outcome,
    /// How many were asked for, where none of them reaches the target.
    none_of: Option<usize>,
}

/// Training rows that are kept, at most. Chosen by hand.
const ROWS: usize = 256;

/// Training rows on the way to which is searched, at most. Chosen by hand.
const ANCHORS: usize = 3;

/// One over the median absolute deviation of each column.
fn scales(rows: &Rows, warnings: &mut Vec<Warning>) -> Array1<f64> {
    /// The mean absolute deviation of a normal distribution is the standard deviation over this.
    const OF_MEAN: f64 = 1.253_314_137_315_500_3;
    let mut replaced = Vec::new();
    let mut scales = Array1::ones(rows.ncols());
    for (index, column) in rows.columns().into_iter().enumerate() {
        let middle = median(&column);
        let deviations = column.mapv(|value| (value - middle).abs());
        let deviation = median(&deviations);
        let mean = OF_MEAN * deviations.sum() / deviations.len() as f64;
        if deviation == 0.0 {
            replaced.push(index.to_string());
        }
        let spread = if 0.0 < deviation { deviation } else { mean };
        if 0.0 < spread && (1.0 / spread).is_finite() {
            scales[index] = 1.0 / spread;
        }
    }
    if !replaced.is_empty() {
        let message = format!(
            "the median absolute deviation of columns {} is 0; their mean absolute deviation, or 1, takes its place",
            replaced.join(", ")
        );
        warnings.push(Warning { code: "counterfactual.no_deviation".to_owned(), message });
    }
    scales
}

impl Explainer for Counterfactual {
    type Input = Row;
    type Model<'m> = ModelRef<'m>;
    type Data = CounterfactualData;
    const INFO: MethodInfo =
        MethodInfo { name: "counterfactual", kind: ModelKind::BlackBox, scope: &["local"] };
    const MAX_BATCH: usize = 16;

    fn kind(&self, model: Self::Model<'_>) -> ModelKind {
        model.kind()
    }

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.features.n_columns()], x.shape())?;
        x.check()?;
        self.features.check("the input", &x.view().insert_axis(Axis(0)))?;
        if self.params.rules().requires_inside() && !self.params.search.widen_range {
            for (k, &value) in x.iter().enumerate() {
                let range = [self.derived.lower[k], self.derived.upper[k]];
                require_inside(&format!("column {k}"), value, range)?;
            }
        }
        Ok(())
    }

    fn compute(
        &self,
        model: ModelRef<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<CounterfactualData> {
        let results = self.compute_batch(model, &[x], std::slice::from_mut(run))?;
        results.into_iter().next().expect("one result for one input")
    }

    fn compute_batch(
        &self,
        model: ModelRef<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CounterfactualData>>> {
        for Warning { code, message } in &self.warnings {
            runs.iter_mut().for_each(|run| run.warn(code, message.clone()));
        }
        self.params.rules().explain(self, model, inputs, runs)
    }
}
