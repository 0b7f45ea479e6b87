//! The contrastive explanation method.

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{
    Error, Explainer, Input, MethodInfo, ModelKind, ModelRef, PerFeature, Reading, Result, Row,
    Rows, Run, Status, Stop, Valid, Warning, require, same_shape, serde_arrays,
};
use xai_optim::loss::{ClassScores, Hinge};
use xai_optim::{
    Candidate, Classes, ConstrainedRows, Cost, Counterfactual, Distances, Evaluation, Evaluator,
    Instance, Outcome, Query, SearchParams, median, outputs_of_rows, reason, require_inside,
};

use crate::data::CemData;
use crate::model::CemModel;
use crate::params::{CemParams, Mode, NoInfo};
use crate::problem::{Contrast, Reconstruction};

/// Pertinent negatives and positives. Made by [`CemParams::build`] or [`CemParams::fit`].
///
/// # Cost
/// One query for the instance and one gradient at the start. Then at most
/// [`max_iterations`](xai_optim::GradientSearchParams::max_iterations) rounds of calls for each of two rounds of weights; in each, every weight
/// that is still running asks for at most two rows and one gradient, which costs a white box its
/// [`vjp_queries`](xai_core::Differentiable::vjp_queries) and a black box two rows for each feature that may change. An autoencoder is asked for one row and its gradient for each weight and
/// step. The polish asks for 20 rows and a gradient, at most ten times for each of three points.
///
/// # Source
/// Dhurandhar et al. 2018, "Explanations based on the missing: towards contrastive explanations with pertinent negatives",
/// arXiv:1802.07623.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Cem {
    params: Valid<CemParams>,
    features: Features,
    #[serde(with = "serde_arrays")]
    no_info_val: Array1<f64>,
    /// Standard deviations of the training rows; none without.
    #[serde(with = "serde_arrays::option")]
    spread: Option<Array1<f64>>,
    warnings: Vec<Warning>,
    #[serde(skip)]
    derived: Derived,
}

/// What is saved of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<CemParams>,
    features: Features,
    #[serde(with = "serde_arrays")]
    no_info_val: Array1<f64>,
    #[serde(with = "serde_arrays::option")]
    spread: Option<Array1<f64>>,
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq)]
struct Derived {
    constraints: BoundConstraints,
    lower: Array1<f64>,
    upper: Array1<f64>,
    eps: Array1<f64>,
}

impl TryFrom<Saved> for Cem {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let Saved { params, features, no_info_val, spread, warnings } = saved;
        Cem::assemble(params, features, Fitted { no_info_val, spread }, warnings)
    }
}

/// What training rows say, or the settings instead.
struct Fitted {
    no_info_val: Array1<f64>,
    spread: Option<Array1<f64>>,
}

impl Cem {
    pub(crate) fn new(
        params: Valid<CemParams>,
        features: Features,
        train_data: Option<&Rows>,
    ) -> Result<Self> {
        let n = features.n_columns();
        let mut warnings = Vec::new();
        let Some(rows) = train_data else {
            let rule = "given, unless `fit` takes it from training rows";
            require(params.no_info_val.is_some(), "no_info_val", rule, "none")?;
            let given = params.no_info_val.clone().unwrap_or(PerFeature::All(0.0));
            let given = given.expand("no_info_val", n)?;
            let fitted = Fitted { no_info_val: given, spread: None };
            return Cem::assemble(params, features, fitted, warnings);
        };
        same_shape("the training rows", &[rows.nrows().max(1), n], rows.shape())?;
        xai_core::input::all_finite("the training rows", rows)?;
        features.check("the training rows", rows)?;
        if params.no_info_val.is_some() {
            warnings.push(Warning {
                code: "cem.no_info_overwritten".to_owned(),
                message: "`fit` replaced `no_info_val`".to_owned(),
            });
        }
        let n_rows = rows.nrows() as f64;
        let means = rows.sum_axis(Axis(0)) / n_rows;
        let spread =
            (&rows.view() - &means).mapv(|deviation| deviation * deviation).sum_axis(Axis(0));
        let spread = spread.mapv(|sum| (sum / n_rows).sqrt());
        let no_info = match params.no_info_type {
            NoInfo::Mean => means,
            NoInfo::Median => rows.columns().into_iter().map(|column| median(&column)).collect(),
        };
        let fitted = Fitted { no_info_val: no_info, spread: Some(spread) };
        Cem::assemble(params, features, fitted, warnings)
    }

    fn assemble(
        params: Valid<CemParams>,
        features: Features,
        fitted: Fitted,
        warnings: Vec<Warning>,
    ) -> Result<Self> {
        let Fitted { no_info_val, spread } = fitted;
        let n = features.n_columns();
        same_shape("the uninformative reference values", &[n], no_info_val.shape())?;
        check_shape(params.shape.as_deref(), Some(n))?;
        let lower = params.feature_range.0.expand("feature_range", n)?;
        let upper = params.feature_range.1.expand("feature_range", n)?;
        for (low, high) in lower.iter().zip(&upper) {
            require(low <= high, "feature_range", "from a least to a largest value", (low, high))?;
        }
        let rules = params.rules();
        if rules.requires_inside() && params.mode == Mode::PertinentPositive {
            let inside = no_info_val
                .iter()
                .zip(lower.iter().zip(&upper))
                .find(|(value, (low, high))| !(*low..=*high).contains(value));
            let rule = "inside `feature_range` for pertinent positives";
            require(inside.is_none(), "no_info_val", rule, inside)?;
        }
        let eps = match &params.eps {
            Some((_, features)) => features.expand("eps", n)?,
            None => Array1::from_shape_fn(n, |k| {
                let width = upper[k] - lower[k];
                // The default range is wide enough to mean none.
                let bounded = (0.0 < width && width < 1e9).then_some(width);
                let deviation =
                    spread.as_ref().map(|spread| spread[k]).filter(|&deviation| 0.0 < deviation);
                rules.step(bounded.or(deviation))
            }),
        };
        params.search.constraints.bind(&features)?;
        let rounded = params.search.constraints.rounded_inside(&features, (&lower, &upper));
        let constraints = rounded.bind(&features)?;
        let derived = Derived { constraints, lower, upper, eps };
        Ok(Cem { params, features, no_info_val, spread, warnings, derived })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn params(&self) -> &CemParams {
        &self.params
    }

    /// The uninformative reference values, shape `(n_columns,)`.
    #[must_use]
    pub fn no_info_val(&self) -> &Array1<f64> {
        &self.no_info_val
    }

    fn search_params(&self) -> SearchParams {
        let params = &self.params;
        let shared = params.search.to_search_params(Cost::elastic_net(params.beta));
        SearchParams {
            clip: params.clip,
            update_num_grad: params.update_num_grad,
            // An autoencoder's term makes points worse for a while before it makes them better.
            patience: shared.patience.filter(|_| params.gamma == 0.0),
            momentum: params.momentum,
            ..shared
        }
    }

    /// How an instance with these outputs is decided, and what is wanted of it.
    fn target(&self, model: CemModel<'_>, outputs: &Row, run: &mut Run<'_>) -> Result<Target> {
        let params = &self.params;
        let declared = model.model.predictor().output();
        let reading = Reading::new(&params.search.output, declared, outputs)?;
        run.record_output(&reading);
        let scores = ClassScores::new(&reading, outputs)?;
        if scores.is_interval() {
            require(params.kappa == 0.0, "kappa", "0 for an `interval`", params.kappa)?;
        } else if is_probabilities(&scores.scores(outputs)) {
            require(params.kappa < 1.0, "kappa", "below 1 for probabilities", params.kappa)?;
        } else {
            let message = "the outputs are no probabilities; `kappa` counts in their own unit";
            run.warn("cem.not_probabilities", message);
        }
        let class = scores.class(outputs);
        let hinge = match (params.mode, &params.target_class) {
            (Mode::PertinentPositive, _) => Hinge::same(&scores, class, params.kappa),
            (_, None) => Hinge::other(&scores, class, params.kappa),
            (_, Some(targets)) => Hinge::one_of(&scores, class, targets, params.kappa)?,
        };
        let margin = params.rules().decision_margin(&reading, outputs);
        let hinge = hinge.at_least(params.search.min_target_proba).with_decision_margin(margin);
        Ok(Target { outputs: outputs.to_owned(), scores, class, hinge })
    }

    /// A found point as an answer.
    fn answer(
        &self,
        evaluator: &Evaluator<'_>,
        index: usize,
        target: &Target,
        x: &Row,
        candidate: Candidate,
    ) -> Counterfactual {
        let mut row = Array1::zeros(x.len());
        evaluator.problem.decode(index, &candidate.point, &mut row);
        let center = match self.params.mode {
            Mode::PertinentNegative => x,
            Mode::PertinentPositive => &self.no_info_val,
        };
        let changes = self.features.changes(center, &row);
        let distances = Distances::of(&evaluator.instances[index], &candidate);
        let class = target.scores.class(&candidate.outputs);
        Counterfactual::new(row, candidate.outputs, class, distances, changes)
    }

    /// The data of one instance.
    fn data(
        &self,
        evaluator: &Evaluator<'_>,
        index: usize,
        explained: Explained<'_>,
        outcome: Outcome,
        gradients: Option<Gradients>,
    ) -> CemData {
        let Explained { model, x, target } = explained;
        let answer = |candidate| self.answer(evaluator, index, target, x, candidate);
        let result = outcome.found.map(answer);
        let nearest_miss = outcome.nearest_miss.map(answer);
        let positive = self.params.mode == Mode::PertinentPositive;
        let is_empty = result.as_ref().is_some_and(|result| result.changes.is_empty());
        let status = match outcome.status {
            Status::Found if positive && is_empty => Status::Empty,
            other => other,
        };
        let gradients = gradients.map(|Gradients { graph, numeric }| (graph, numeric));
        let (grads_graph, grads_num) = gradients.unzip();
        CemData {
            mode: self.params.mode,
            status,
            reason: reason(status, outcome.stop).to_owned(),
            instance: x.to_owned(),
            outputs: target.outputs.clone(),
            class: target.class,
            classes: Classes::new(&target.scores, model.model.predictor().class_names()),
            result,
            grads_graph,
            grads_num,
            nearest_miss,
            route: outcome.route,
            trials: outcome.trials,
            feature_names: self.features.names(),
            no_info_val: self.no_info_val.clone(),
            shape: self.params.shape.clone(),
            stop: outcome.stop.unwrap_or(Stop::Converged),
        }
    }

    /// The gradients of the loss at the results, clipped.
    fn gradients(
        &self,
        evaluator: &Evaluator<'_>,
        outcomes: &[Outcome],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Option<Gradients>>> {
        let mut gradients = vec![None; outcomes.len()];
        let autoencoder_cost = if 0.0 < self.params.gamma { 2 } else { 0 };
        let mut queries: Vec<Query> = Vec::new();
        for (instance, outcome) in outcomes.iter().enumerate() {
            let Some(found) = &outcome.found else { continue };
            let query = Query { instance, point: found.point.clone(), gradient: true };
            let cost = evaluator.cost(&query) + autoencoder_cost;
            let left = runs[instance].queries_left();
            if outcome.stop.is_none() && left.is_none_or(|left| cost <= left) {
                queries.push(query);
            }
        }
        let Some(first) = queries.first() else { return Ok(gradients) };
        let evaluations = evaluator.evaluate(runs, &queries, &|index, outputs| {
            let hinge = &evaluator.instances[queries[index].instance].hinge;
            Some(-hinge.margin(outputs).cotangent)
        })?;
        let instances: Vec<usize> = queries.iter().map(|query| query.instance).collect();
        let mut points = Array2::zeros((queries.len(), first.point.len()));
        for (query, mut row) in queries.iter().zip(points.rows_mut()) {
            row.assign(&query.point);
        }
        let smooth = evaluator.problem.smooth(runs, &instances, &points)?;
        for (row, (query, evaluation)) in queries.iter().zip(evaluations).enumerate() {
            let smooth = smooth.as_ref().map(|smooth| smooth.row(row));
            let trials = &outcomes[query.instance].trials;
            let found = trials.iter().filter_map(|trial| Some((trial.distance?, trial.c)));
            let best = found.min_by(|a, b| a.0.total_cmp(&b.0));
            let c = best.map_or(self.params.search.c_init, |(_, c)| c);
            gradients[query.instance] =
                Some(self.clipped(evaluator, query, evaluation, smooth.as_deref(), c));
        }
        Ok(gradients)
    }

    /// The two gradients of the loss with the weight `c` at a point.
    fn clipped(
        &self,
        evaluator: &Evaluator<'_>,
        query: &Query,
        evaluation: Evaluation,
        smooth: Option<&Row>,
        c: f64,
    ) -> Gradients {
        let clip = |sum: Array1<f64>| {
            sum.mapv(|slope| slope.clamp(self.params.clip.0, self.params.clip.1))
        };
        let instance = &evaluator.instances[query.instance];
        let mut graph = (&query.point - &instance.center) * &instance.scale * &instance.scale * 2.0;
        if let Some(smooth) = smooth {
            graph += &smooth.view();
        }
        let zeros = || Array1::zeros(query.point.len());
        let attack = evaluation.gradient.map_or_else(zeros, |gradient| gradient * c);
        match evaluator.model {
            ModelRef::WhiteBox(_) => Gradients { graph: clip(graph + attack), numeric: zeros() },
            ModelRef::BlackBox(_) => Gradients { graph: clip(graph), numeric: clip(attack) },
        }
    }
}

/// The gradient of the terms that are differentiated exactly and the numeric one, each of shape `(n_columns,)`.
#[derive(Clone)]
struct Gradients {
    graph: Array1<f64>,
    numeric: Array1<f64>,
}

/// How an instance is decided, and what is wanted of it.
struct Target {
    outputs: Array1<f64>,
    scores: ClassScores,
    class: usize,
    hinge: Hinge,
}

/// One instance with its model.
#[derive(Clone, Copy)]
struct Explained<'a> {
    model: CemModel<'a>,
    x: &'a Row,
    target: &'a Target,
}

/// How far the probabilities of all classes may be from adding up to 1. Chosen by hand, for single precision.
const SUM_TOLERANCE: f64 = 1e-3;

/// Whether numbers by class are probabilities.
fn is_probabilities(scores: &Row) -> bool {
    let in_range = scores.iter().all(|value| (0.0..=1.0).contains(value));
    in_range && (scores.sum() - 1.0).abs() <= SUM_TOLERANCE
}

impl Explainer for Cem {
    type Input = Row;
    type Model<'m> = CemModel<'m>;
    type Data = CemData;
    const INFO: MethodInfo =
        MethodInfo { name: "cem", kind: ModelKind::BlackBox, scope: &["local"] };
    const MAX_BATCH: usize = 16;

    fn kind(&self, model: Self::Model<'_>) -> ModelKind {
        model.model.kind()
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

    fn compute(&self, model: CemModel<'_>, x: &Row, run: &mut Run<'_>) -> Result<CemData> {
        let results = self.compute_batch(model, &[x], std::slice::from_mut(run))?;
        results.into_iter().next().expect("one result for one input")
    }

    fn compute_batch(
        &self,
        model: CemModel<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CemData>>> {
        let needs = 0.0 < self.params.gamma;
        let rule = "0 without an autoencoder";
        require(!needs || model.autoencoder.is_some(), "gamma", rule, self.params.gamma)?;
        for Warning { code, message } in &self.warnings {
            runs.iter_mut().for_each(|run| run.warn(code, message.clone()));
        }
        let outputs = outputs_of_rows(model.model, inputs, runs)?;
        let mut targets = Vec::with_capacity(inputs.len());
        for (outputs, run) in outputs.iter().zip(runs.iter_mut()) {
            targets.push(self.target(model, outputs, run)?);
        }
        let mut found = self.find(model, inputs, &targets, false, runs)?;
        for (index, best) in found.iter_mut().enumerate() {
            if !self.crosses(inputs[index]) {
                continue;
            }
            // Beyond the uninformative value the space falls apart: what was found without going there counts too.
            let single = index..=index;
            let (inputs, targets) = (&inputs[single.clone()], &targets[single.clone()]);
            let crossed = self.find(model, inputs, targets, true, &mut runs[single])?;
            let cost = |data: &CemData| {
                data.result.as_ref().map_or(f64::INFINITY, |found| found.distances.elastic_net)
            };
            for other in crossed {
                if cost(&other) < cost(best) {
                    *best = other;
                }
            }
        }
        Ok(found.into_iter().map(Ok).collect())
    }
}

impl Cem {
    /// Whether some feature of an instance may pass its uninformative reference value.
    #[allow(clippy::float_cmp, reason = "a feature says nothing when it is the very number")]
    fn crosses(&self, x: &Row) -> bool {
        let params = &self.params;
        let searched =
            params.crossing && params.mode == Mode::PertinentNegative && params.rules().crosses();
        searched
            && (0..x.len()).any(|k| {
                let mirror = 2.0 * self.no_info_val[k] - x[k];
                let inside = (self.derived.lower[k]..=self.derived.upper[k]).contains(&mirror);
                inside && mirror != x[k]
            })
    }

    /// What is found for instances with these targets.
    fn find(
        &self,
        model: CemModel<'_>,
        inputs: &[&Row],
        targets: &[Target],
        crossing: bool,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<CemData>> {
        let Derived { constraints, lower, upper, eps } = &self.derived;
        let CemParams { gamma, mode, ref search, .. } = *self.params;
        let origins: Vec<Array1<f64>> = inputs.iter().map(|&x| x.to_owned()).collect();
        let contrast = Contrast {
            rows: ConstrainedRows::new(constraints, origins.clone(), eps.clone()),
            origins,
            no_info: &self.no_info_val,
            mode,
            crossing: crossing && mode == Mode::PertinentNegative,
            range: (lower.clone(), upper.clone()),
            keeps_attraction: 0.0 < gamma && search.polish.is_none(),
            reconstruction: Reconstruction { gamma, autoencoder: model.autoencoder },
        };
        let rules = self.params.rules();
        let mut instances: Vec<Instance> = Vec::with_capacity(inputs.len());
        for (index, target) in targets.iter().enumerate() {
            instances.push(rules.instance(&contrast, index, target.hinge.clone()));
        }
        let problem = rules.problem(contrast, eps);
        let evaluator = Evaluator { model: model.model, problem: &*problem, instances: &instances };
        let outcomes = rules.search(evaluator, &self.search_params(), runs)?;
        let gradients = self.gradients(&evaluator, &outcomes, runs)?;
        let mut data = Vec::with_capacity(inputs.len());
        for (index, (outcome, gradients)) in outcomes.into_iter().zip(gradients).enumerate() {
            let explained = Explained { model, x: inputs[index], target: &targets[index] };
            data.push(self.data(&evaluator, index, explained, outcome, gradients));
        }
        Ok(data)
    }
}
