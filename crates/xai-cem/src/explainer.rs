//! The contrastive explanation method.

use ndarray::{Array1, Axis};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{
    Error, Explainer, Input, MethodInfo, ModelKind, ModelRef, PerFeature, Result, Row, Rows, Run,
    Semantics, Stop, Valid, Warning, require, same_shape, serde_arrays,
};
use xai_optim::loss::{Hinge, Outputs};
use xai_optim::{
    ConstrainedRows, Cost, Evaluator, Instance, Outcome, Problem, Question, SearchParams, Status,
    require_inside, search,
};

use crate::data::{CemData, Distances, Prediction};
use crate::model::CemModel;
use crate::params::{CemParams, Mode, NoInfo};
use crate::problem::Contrast;

/// Pertinent negatives and positives. Made by [`CemParams::build`] or [`CemParams::fit`].
///
/// # Cost
/// One query for the instance and one gradient at the start. Then at most
/// [`max_iterations`](CemParams::max_iterations) rounds of calls for each of two rounds of weights; in each, every weight
/// that is still running asks for at most two rows and one gradient, which costs a white box its own price and a black box
/// two rows for each feature that may change. An autoencoder is asked for one row and its gradient for each weight and
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

/// What is kept of an explainer; the rest follows from it.
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
        Cem::assemble(params, features, (no_info_val, spread), warnings)
    }
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
            return Cem::assemble(params, features, (given, None), warnings);
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
        Cem::assemble(params, features, (no_info, Some(spread)), warnings)
    }

    fn assemble(
        params: Valid<CemParams>,
        features: Features,
        (no_info_val, spread): (Array1<f64>, Option<Array1<f64>>),
        warnings: Vec<Warning>,
    ) -> Result<Self> {
        let n = features.n_columns();
        same_shape("the values without information", &[n], no_info_val.shape())?;
        check_shape(params.shape.as_deref(), Some(n))?;
        let lower = params.feature_range.0.expand("feature_range", n)?;
        let upper = params.feature_range.1.expand("feature_range", n)?;
        for (low, high) in lower.iter().zip(&upper) {
            require(low <= high, "feature_range", "from a least to a largest value", (low, high))?;
        }
        let native = params.semantics == Semantics::Native;
        if native && params.mode == Mode::PertinentPositive {
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
                let own = spread.as_ref().map(|spread| spread[k]).filter(|&own| 0.0 < own);
                1e-3 * bounded.or(own).filter(|_| native).unwrap_or(1.0)
            }),
        };
        params.constraints.bind(&features)?;
        let rules = params.constraints.rounded_inside(&features, (&lower, &upper));
        let constraints = rules.bind(&features)?;
        let derived = Derived { constraints, lower, upper, eps };
        Ok(Cem { params, features, no_info_val, spread, warnings, derived })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn params(&self) -> &CemParams {
        &self.params
    }

    /// The values without information, shape `(n_columns,)`.
    #[must_use]
    pub fn no_info_val(&self) -> &Array1<f64> {
        &self.no_info_val
    }

    fn search_params(&self) -> SearchParams {
        let params = &self.params;
        let native = params.semantics == Semantics::Native;
        SearchParams {
            cost: Cost::elastic_net(params.beta),
            learning_rate_init: params.learning_rate_init,
            max_iterations: params.max_iterations,
            c_init: params.c_init,
            c_steps: params.c_steps,
            clip: params.clip,
            update_num_grad: params.update_num_grad,
            // An autoencoder's term makes points worse for a while before it makes them better.
            patience: Some(params.patience)
                .filter(|&patience| native && 0 < patience && params.gamma == 0.0),
            momentum: params.momentum,
            attack: true,
            polish: params.polish.unwrap_or(true),
            sparsify: params.sparsify,
            fallback: params.fallback,
            semantics: params.semantics,
        }
    }

    /// What is wanted of an instance whose outputs are these.
    fn hinge(&self, answer: &Row, run: &mut Run<'_>) -> Result<Hinge> {
        let params = &self.params;
        if let Some(interval) = params.target_interval {
            let (min, max) = interval.limits();
            return Hinge::interval(answer.len(), interval.output, min, max);
        }
        let outputs = Outputs::of(answer)?;
        let is_proba = answer.iter().all(|value| (0.0..=1.0).contains(value));
        if 1 < answer.len() && !(is_proba && (answer.sum() - 1.0).abs() <= 1e-3) {
            let message = "the outputs are no probabilities; `kappa` counts in their own unit";
            run.warn("cem.not_probabilities", message);
        } else {
            let rule = "below 1 for probabilities";
            require(params.kappa < 1.0, "kappa", rule, params.kappa)?;
        }
        let class = outputs.class(answer);
        let hinge = match (params.mode, &params.target_class) {
            (Mode::PertinentPositive, _) => Hinge::same(outputs, class, params.kappa),
            (_, None) => Hinge::other(outputs, class, params.kappa),
            (_, Some(targets)) => Hinge::one_of(outputs, class, targets, params.kappa)?,
        };
        Ok(hinge.at_least(params.min_target_proba).judged(params.semantics))
    }

    /// Where an instance may go.
    fn instance(&self, contrast: &Contrast<'_>, index: usize, hinge: Hinge) -> Instance {
        let x = &contrast.origins[index];
        if self.params.semantics == Semantics::Reference {
            return Instance::free(x.clone(), hinge);
        }
        let limits = (&*contrast.range.0, &*contrast.range.1);
        let mut instance = contrast.rows.instance(index, hinge, limits);
        for (k, (&own, &nothing)) in x.iter().zip(&self.no_info_val).enumerate() {
            let (lower, upper) = (&mut instance.lower[k], &mut instance.upper[k]);
            match self.params.mode {
                _ if contrast.mirror(index, k).is_some() => {}
                // Only away from the value without information.
                Mode::PertinentNegative if nothing < own => *lower = own,
                Mode::PertinentNegative if own < nothing => *upper = own,
                Mode::PertinentNegative => {}
                Mode::PertinentPositive => {
                    *lower = lower.max(own.min(nothing));
                    *upper = upper.min(own.max(nothing));
                }
            }
        }
        if self.params.mode == Mode::PertinentPositive {
            instance.center.assign(&self.no_info_val);
            let mut start = instance.center.clone();
            instance.confine(&mut start);
            contrast.snap(index, &mut start);
            instance.start = start;
        }
        instance
    }

    fn data(
        &self,
        contrast: &Contrast<'_>,
        (index, answer): (usize, &Row),
        outcome: Outcome,
        gradients: Option<Gradients>,
        n_queries: u64,
    ) -> CemData {
        let input = |point: &Row| {
            let mut input = Array1::zeros(point.len());
            contrast.decode(index, point, &mut input);
            input
        };
        let predicted = |answer: &Row| match self.params.target_interval {
            Some(interval) => Prediction::Value(answer[interval.output]),
            None => {
                Prediction::Class(Outputs::of(answer).map_or(0, |outputs| outputs.class(answer)))
            }
        };
        let positive = self.params.mode == Mode::PertinentPositive;
        let x = &contrast.origins[index];
        let center = if positive { &self.no_info_val } else { x };
        let result = outcome.found.as_ref().map(|found| input(&found.point));
        let pred = outcome.found.as_ref().map(|found| predicted(&found.outputs));
        let changes =
            result.as_ref().map_or_else(Vec::new, |result| self.features.changes(center, result));
        let status = match outcome.status {
            Status::Found if positive && changes.is_empty() => Status::EmptyPp,
            other => other,
        };
        let distances = outcome.found.as_ref().map(|found| {
            let change =
                &found.point - if self.params.semantics == Semantics::Native { center } else { x };
            let weights = self.weights();
            let change = change * weights;
            let (l1, l2) = (change.mapv(f64::abs).sum(), change.dot(&change));
            Distances { l1, l2, elastic_net: found.distance }
        });
        let (grads_graph, grads_num) = gradients.unzip();
        CemData {
            mode: self.params.mode,
            status,
            reason: reason(status, outcome.stop).to_owned(),
            x: x.clone(),
            x_pred: predicted(answer),
            pn: result.clone().filter(|_| !positive),
            pn_pred: pred.filter(|_| !positive),
            pp: result.filter(|_| positive),
            pp_pred: pred.filter(|_| positive),
            grads_graph,
            grads_num,
            x_outputs: answer.to_owned(),
            outputs: outcome.found.map(|found| found.outputs),
            distances,
            changes,
            nearest_miss: outcome.nearest_miss.as_ref().map(|miss| input(&miss.point)),
            nearest_miss_outputs: outcome.nearest_miss.map(|miss| miss.outputs),
            route: outcome.route,
            trials: outcome.trials,
            feature_names: self.features.names(),
            no_info_val: self.no_info_val.clone(),
            shape: self.params.shape.clone(),
            n_queries,
            stop: outcome.stop.unwrap_or(Stop::Converged),
        }
    }

    /// What a change of 1 counts in each column.
    fn weights(&self) -> Array1<f64> {
        let constraints = &self.derived.constraints;
        let mut weights = Array1::zeros(self.features.n_columns());
        for feature in 0..self.features.len() {
            for column in self.features.columns(feature) {
                weights[column] = constraints.weight(feature);
            }
        }
        weights
    }

    /// The gradients of the loss at the results, clipped.
    fn gradients(
        &self,
        asker: Evaluator<'_>,
        outcomes: &[Outcome],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Option<Gradients>>> {
        let mut gradients = vec![None; outcomes.len()];
        let with_autoencoder = 0.0 < self.params.gamma;
        let mut questions: Vec<Question> = Vec::new();
        for (instance, outcome) in outcomes.iter().enumerate() {
            let Some(found) = &outcome.found else { continue };
            let question = Question { instance, point: found.point.clone(), gradient: true };
            let price = asker.price(&question) + if with_autoencoder { 2 } else { 0 };
            let left = runs[instance].queries_left();
            if outcome.stop.is_none() && left.is_none_or(|left| price <= left) {
                questions.push(question);
            }
        }
        let Some(first) = questions.first() else { return Ok(gradients) };
        let answers = asker.ask(runs, &questions, &|index, outputs| {
            let hinge = &asker.instances[questions[index].instance].hinge;
            Some(-hinge.margin(outputs).cotangent)
        })?;
        let instances: Vec<usize> = questions.iter().map(|question| question.instance).collect();
        let mut points = ndarray::Array2::zeros((questions.len(), first.point.len()));
        for (question, mut row) in questions.iter().zip(points.rows_mut()) {
            row.assign(&question.point);
        }
        let smooth = asker.problem.smooth(runs, &instances, &points)?;
        let clip = |sum: Array1<f64>| {
            sum.mapv(|slope| slope.clamp(self.params.clip.0, self.params.clip.1))
        };
        for (row, (question, answer)) in questions.iter().zip(answers).enumerate() {
            let instance = &asker.instances[question.instance];
            let mut graph =
                (&question.point - &instance.center) * &instance.scale * &instance.scale * 2.0;
            if let Some(smooth) = &smooth {
                graph += &smooth.row(row);
            }
            let best = outcomes[question.instance]
                .trials
                .iter()
                .filter_map(|trial| Some((trial.distance?, trial.c)));
            let c = best.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(self.params.c_init, |(_, c)| c);
            let attack = answer.gradient.map(|gradient| gradient * c);
            let attack = attack.unwrap_or_else(|| Array1::zeros(graph.len()));
            gradients[question.instance] = Some(match asker.access {
                ModelRef::WhiteBox(_) => {
                    (clip(graph + attack), Array1::zeros(question.point.len()))
                }
                ModelRef::BlackBox(_) => (clip(graph), clip(attack)),
            });
        }
        Ok(gradients)
    }
}

/// The gradient of the graph and the numeric one, each of shape `(n_columns,)`.
type Gradients = (Array1<f64>, Array1<f64>);

/// The middle of a column, or the mean of the two in the middle.
fn median(column: &Row) -> f64 {
    let mut values = column.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

fn reason(status: Status, stop: Option<Stop>) -> &'static str {
    match (status, stop) {
        (Status::Found, None) => "Found.",
        (Status::Found, Some(_)) => "The best that was found before the search was stopped.",
        (Status::EmptyPp, _) => {
            "Empty: the model decides so for the values without information alone."
        }
        (Status::GradientVanished, _) => {
            "Not found: the model is flat around the instance, and other ways found nothing."
        }
        (Status::TargetNotReached, _) => "Not found: the search did not reach the target.",
        (Status::RangeInfeasible, _) => {
            "Not found: only changes that are not allowed would lead closer."
        }
        (Status::TrustRejected, _) => "Not found: what reached the target was not trusted.",
        (Status::Budget, _) => "Not found before the search was stopped.",
    }
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
        if self.params.semantics == Semantics::Native && !self.params.widen_range {
            for (k, &value) in x.iter().enumerate() {
                let range = (self.derived.lower[k], self.derived.upper[k]);
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
        let answers = self.instances_outputs(model, inputs, runs)?;
        let mut hinges = Vec::with_capacity(inputs.len());
        for (answer, run) in answers.iter().zip(runs.iter_mut()) {
            hinges.push(self.hinge(answer, run)?);
        }
        let mut found = self.found(model, (inputs, &answers, &hinges), false, runs)?;
        for (index, best) in found.iter_mut().enumerate() {
            let own = index..=index;
            if !self.crosses(inputs[index]) {
                continue;
            }
            // Beyond the value without information the space falls apart: what was found without going there counts too.
            let own_outputs = (&inputs[own.clone()], &answers[own.clone()], &hinges[own.clone()]);
            let crossed = self.found(model, own_outputs, true, &mut runs[own])?;
            let cost = |data: &CemData| data.distances.map_or(f64::INFINITY, |own| own.elastic_net);
            for other in crossed {
                if cost(&other) < cost(best) {
                    *best = other;
                }
            }
            best.n_queries = runs[index].queries();
        }
        Ok(found.into_iter().map(Ok).collect())
    }
}

impl Cem {
    /// Whether some feature of an instance may pass its value without information.
    #[allow(clippy::float_cmp, reason = "a feature says nothing when it is the very number")]
    fn crosses(&self, x: &Row) -> bool {
        let params = &self.params;
        let searched = params.crossing
            && params.mode == Mode::PertinentNegative
            && params.semantics == Semantics::Native;
        searched
            && (0..x.len()).any(|k| {
                let mirror = 2.0 * self.no_info_val[k] - x[k];
                let inside = (self.derived.lower[k]..=self.derived.upper[k]).contains(&mirror);
                inside && mirror != x[k]
            })
    }

    /// What is found for instances with these outputs and hinges.
    fn found(
        &self,
        model: CemModel<'_>,
        (inputs, answers, hinges): (&[&Row], &[Array1<f64>], &[Hinge]),
        crossing: bool,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<CemData>> {
        let Derived { constraints, lower, upper, eps } = &self.derived;
        let origins: Vec<Array1<f64>> = inputs.iter().map(|&x| x.to_owned()).collect();
        let contrast = Contrast {
            rows: ConstrainedRows::new(constraints, origins.clone(), eps.clone()),
            mode: self.params.mode,
            semantics: self.params.semantics,
            origins,
            no_info: &self.no_info_val,
            crossing: crossing && self.params.mode == Mode::PertinentNegative,
            range: (lower.clone(), upper.clone()),
            gamma: self.params.gamma,
            is_drawn: 0.0 < self.params.gamma && self.params.polish.is_none(),
            autoencoder: model.autoencoder,
        };
        let instance =
            |(index, hinge): (usize, &Hinge)| self.instance(&contrast, index, hinge.clone());
        let instances: Vec<Instance> = hinges.iter().enumerate().map(instance).collect();
        let asker = Evaluator { access: model.model, problem: &contrast, instances: &instances };
        let outcomes = search(asker, &self.search_params(), runs)?;
        let gradients = self.gradients(asker, &outcomes, runs)?;
        let both = outcomes.into_iter().zip(gradients).enumerate();
        let data = both.map(|(index, (outcome, gradients))| {
            let queries = runs[index].queries();
            self.data(&contrast, (index, &answers[index]), outcome, gradients, queries)
        });
        Ok(data.collect())
    }

    /// The model's outputs for the instances.
    fn instances_outputs(
        &self,
        model: CemModel<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Array1<f64>>> {
        let sizes = vec![1; inputs.len()];
        let batch = xai_core::BatchPlan {
            sizes: &sizes,
            gradients: &vec![0; inputs.len()],
            n_features: self.features.n_columns(),
        };
        let mut answers = Vec::with_capacity(inputs.len());
        Run::query_batched(
            runs,
            ModelRef::BlackBox(model.model.predictor()),
            batch,
            |run, _, cells| cells.assign(inputs[run]),
            |_, _, _| None,
            |_, _, outputs, _| {
                answers.push(outputs.to_owned());
                Ok(())
            },
        )?;
        Ok(answers)
    }
}
