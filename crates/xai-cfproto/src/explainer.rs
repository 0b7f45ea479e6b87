//! The method: a point for each instance, the prototype it is drawn to, and the search between them.

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{
    Error, Explainer, Input, MethodInfo, ModelKind, Reading, Result, Row, Rows, Run, Status, Stop,
    Valid, Warning, require, same_shape,
};
use xai_optim::loss::{ClassScores, Hinge};
use xai_optim::{
    Candidate, Classes, Cost, Counterfactual, Distances, Evaluator, Instance, Outcome, Query,
    Route, SearchParams, outputs_of_rows, reason, require_inside,
};

use crate::data::CfProtoData;
use crate::fit::{self, Learned, batch};
use crate::model::CfProtoModel;
use crate::objective::{Places, PrototypeObjective, Target};
use crate::params::CfProtoParams;
use crate::prototype::Prototypes;
use crate::space::{Codes, Origin, Space};

/// Counterfactuals guided by prototypes. Made by [`CfProtoParams::fit`] or [`build`](CfProtoParams::build).
///
/// # Cost
/// One query for the instance; then for each step of each weight a check, and a gradient: one vector-Jacobian product of a
/// white box, or two queries for each feature of a black box. Encoder and autoencoder are asked for a gradient in each
/// step; their rows count as queries too.
///
/// # Source
/// Van Looveren and Klaise 2021, "Interpretable counterfactual explanations guided by prototypes", with the search of
/// [`xai_optim`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct CfProto {
    params: Valid<CfProtoParams>,
    features: Features,
    codes: Codes,
    /// The range by feature.
    #[serde(with = "xai_core::serde_arrays")]
    lower: Array1<f64>,
    #[serde(with = "xai_core::serde_arrays")]
    upper: Array1<f64>,
    #[serde(with = "xai_core::serde_arrays")]
    eps: Array1<f64>,
    /// The training rows as points, by class.
    rows: Option<Prototypes>,
    encodings: Option<Prototypes>,
    n_outputs: Option<usize>,
    /// Rows that fitting asked the models for.
    fit_queries: u64,
    warnings: Vec<Warning>,
    #[serde(skip)]
    constraints: BoundConstraints,
}

/// What is saved of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<CfProtoParams>,
    features: Features,
    codes: Codes,
    #[serde(with = "xai_core::serde_arrays")]
    lower: Array1<f64>,
    #[serde(with = "xai_core::serde_arrays")]
    upper: Array1<f64>,
    #[serde(with = "xai_core::serde_arrays")]
    eps: Array1<f64>,
    rows: Option<Prototypes>,
    encodings: Option<Prototypes>,
    n_outputs: Option<usize>,
    /// Rows that fitting asked the models for.
    fit_queries: u64,
    warnings: Vec<Warning>,
}

impl TryFrom<Saved> for CfProto {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let n = saved.features.len();
        for n_numbers in
            [saved.lower.len(), saved.upper.len(), saved.eps.len(), saved.codes.numbers.len()]
        {
            same_shape("a setting by feature", &[n], &[n_numbers])?;
        }
        saved.codes.check(&saved.features)?;
        let learned = Learned {
            codes: saved.codes,
            range: (saved.lower, saved.upper),
            eps: saved.eps,
            rows: saved.rows,
            encodings: saved.encodings,
            n_outputs: saved.n_outputs,
            queries: saved.fit_queries,
            warnings: saved.warnings,
        };
        CfProto::new(saved.params, saved.features, learned)
    }
}

impl CfProto {
    pub(crate) fn fit(
        params: Valid<CfProtoParams>,
        model: CfProtoModel<'_>,
        train_data: &Rows,
        features: Features,
        run: &mut Run<'_>,
    ) -> Result<Self> {
        params.search.constraints.bind(&features)?;
        check_shape(params.shape.as_deref(), Some(features.n_columns()))?;
        let learned = fit::learned(&params, model, train_data, &features, run)?;
        CfProto::new(params, features, learned)
    }

    pub(crate) fn build(params: Valid<CfProtoParams>, features: Features) -> Result<Self> {
        let learned = fit::unlearned(&params, &features)?;
        CfProto::new(params, features, learned)
    }

    fn new(params: Valid<CfProtoParams>, features: Features, learned: Learned) -> Result<Self> {
        let constraints = params.search.constraints.bind(&features)?;
        check_shape(params.shape.as_deref(), Some(features.n_columns()))?;
        let Learned { codes, range, eps, rows, encodings, n_outputs, queries, warnings } = learned;
        let (lower, upper) = range;
        Ok(CfProto {
            params,
            features,
            codes,
            lower,
            upper,
            eps,
            rows,
            encodings,
            n_outputs,
            fit_queries: queries,
            warnings,
            constraints,
        })
    }

    /// The settings it was fitted with.
    #[must_use]
    pub fn params(&self) -> &CfProtoParams {
        &self.params
    }

    /// The table it was fitted to.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The number of each category, by feature, shape `(n_categories,)`; `None` for quantities.
    #[must_use]
    pub fn category_numbers(&self) -> &[Option<Vec<f64>>] {
        &self.codes.numbers
    }

    /// The range that is searched, by feature: the least and the largest values or numbers of categories.
    #[must_use]
    pub fn feature_range(&self) -> (&Row, &Row) {
        (&self.lower, &self.upper)
    }

    /// What prototypes are made of; `None` where the search has none.
    #[must_use]
    pub fn prototypes(&self) -> Option<&Prototypes> {
        let rows = self.rows.as_ref().filter(|_| self.params.use_kdtree);
        self.encodings.as_ref().or(rows)
    }

    /// Rows that [`CfProtoParams::fit`] asked the model and the encoder for, 0 after [`CfProtoParams::build`]. They are in
    /// no explanation's `meta.queries`.
    #[must_use]
    pub fn fit_queries(&self) -> u64 {
        self.fit_queries
    }

    /// Whether the models that the search needs are there, before any of them is asked.
    fn check_model(&self, model: CfProtoModel<'_>) -> Result<()> {
        let gamma = self.params.gamma;
        let has = model.autoencoder.is_some();
        require(has || gamma <= 0.0, "gamma", "0 without an autoencoder", gamma)?;
        let needed = self.encodings.is_some();
        let rule = "given, since the explainer was fitted with one";
        require(!needed || model.encoder.is_some(), "encoder", rule, "none")?;
        Ok(())
    }

    fn origin(&self, x: &Row) -> Origin {
        Origin { row: x.to_owned(), point: self.codes.point(&self.features, x) }
    }

    /// The classes that a counterfactual may have.
    fn targets(&self, n_classes: usize, class: usize) -> Vec<usize> {
        let all = || (0..n_classes).collect();
        let mut targets = self.params.target_class.clone().unwrap_or_else(all);
        targets.retain(|&target| target != class);
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn hinge(&self, scores: &ClassScores, outputs: &Row, class: usize) -> Result<Hinge> {
        let params = &self.params;
        require(class < scores.n_classes(), "instance_class", "a class of the model", class)?;
        if scores.is_interval() {
            require(params.kappa == 0.0, "kappa", "0 for an `interval`", params.kappa)?;
        }
        let hinge = match &params.target_class {
            None => Hinge::other(scores, class, params.kappa),
            Some(targets) => Hinge::one_of(scores, class, targets, params.kappa)?,
        };
        let margin = params.rules().decision_margin(scores.reading(), outputs);
        Ok(hinge.at_least(params.search.min_target_proba).with_decision_margin(margin))
    }

    /// Where each instance starts and where it may go.
    fn instance(&self, space: &Space<'_>, index: usize, hinge: Hinge) -> Result<Instance> {
        let point = &space.origins[index].point;
        let mut instance = Instance::free(point.clone(), hinge);
        instance.max_changes = self.constraints.max_changes();
        let requires_inside = space.rules.requires_inside() && !self.params.search.widen_range;
        for (feature, name) in self.features.names().into_iter().enumerate() {
            let value = point[feature];
            let range = [self.lower[feature], self.upper[feature]];
            if requires_inside && !space.is_categorical(feature) {
                require_inside(&format!("`{name}`"), value, range)?;
            }
            let limits = space.limits(index, feature);
            (instance.lower[feature], instance.upper[feature]) = limits;
            let weight = self.constraints.weight(feature);
            require(0.0 < weight, "cost", format!("above 0 for `{name}`"), weight)?;
            instance.scale[feature] = weight;
        }
        Ok(instance)
    }

    /// Whether an autoencoder or a prototype draws the search.
    fn is_guided(&self) -> bool {
        let drawn = 0.0 < self.params.theta && self.prototypes().is_some();
        drawn || 0.0 < self.params.gamma
    }

    fn search_params(&self) -> SearchParams {
        let params = &self.params;
        SearchParams {
            clip: params.clip,
            update_num_grad: params.update_num_grad,
            momentum: params.momentum,
            attack: params.attacks(),
            ..params.search.to_search_params(Cost::elastic_net(params.beta))
        }
    }

    /// How the outputs for the instances are read.
    fn read(
        &self,
        model: CfProtoModel<'_>,
        outputs: &[Array1<f64>],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<ClassScores>> {
        let mut scores = Vec::with_capacity(outputs.len());
        for (outputs, run) in outputs.iter().zip(runs.iter_mut()) {
            if let Some(n_outputs) = self.n_outputs {
                same_shape("the model's output", &[1, n_outputs], &[1, outputs.len()])?;
            }
            let declared = model.model.predictor().output();
            let reading = Reading::new(&self.params.search.output, declared, outputs)?;
            run.record_output(&reading);
            scores.push(ClassScores::new(&reading, outputs)?);
        }
        Ok(scores)
    }

    /// The search for several instances, whose model calls are shared.
    fn explain_all(
        &self,
        model: CfProtoModel<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<CfProtoData>> {
        self.check_model(model)?;
        for Warning { code, message } in &self.warnings {
            runs.iter_mut().for_each(|run| run.warn(code, message.clone()));
        }
        let origins: Vec<Origin> = inputs.iter().map(|x| self.origin(x)).collect();
        let outputs = outputs_of_rows(model.model, inputs, runs)?;
        let scores = self.read(model, &outputs, runs)?;
        let rules = self.params.rules();
        let space = Space {
            constraints: &self.constraints,
            codes: &self.codes,
            origins: &origins,
            range: (&self.lower, &self.upper),
            eps: &self.eps,
            rules,
        };
        let (mut instances, mut classes) = (Vec::new(), Vec::new());
        for (index, scores) in scores.iter().enumerate() {
            let of_model = || scores.class(&outputs[index]);
            let class = self.params.instance_class.unwrap_or_else(of_model);
            let mut instance =
                self.instance(&space, index, self.hinge(scores, &outputs[index], class)?)?;
            if let Some(rows) = &self.rows {
                let targets = self.targets(scores.n_classes(), class);
                instance.anchors = fit::anchors(rows, &origins[index].point, &targets);
            }
            instances.push(instance);
            classes.push(class);
        }
        let places = Places { space, prototypes: self.prototypes(), encoder: model.encoder };
        let targets = self.choose(places, &classes, runs)?;
        let objective = PrototypeObjective {
            space,
            targets: &targets,
            places,
            scores: &scores,
            autoencoder: model.autoencoder,
            gamma: self.params.gamma,
            theta: self.params.theta,
            threshold: self.params.threshold,
            keeps_attraction: self.is_guided() && self.params.search.polish != Some(true),
        };
        let problem = rules.problem(&objective);
        let evaluator = Evaluator { model: model.model, problem: &*problem, instances: &instances };
        let outcomes = rules.search(evaluator, &self.search_params(), runs)?;
        let found = Found { model, objective: &objective, evaluator: &evaluator };
        let mut all = Vec::with_capacity(inputs.len());
        for (index, (outcome, outputs)) in outcomes.into_iter().zip(outputs).enumerate() {
            all.push(self.data(&found, runs, index, outputs, outcome)?);
        }
        Ok(all)
    }

    /// The prototypes that the instances are attracted by.
    fn choose(
        &self,
        places: Places<'_>,
        classes: &[usize],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Target>> {
        let without = |&class: &usize| Target { class, prototype: None, id: None };
        let Some(prototypes) = places.prototypes else {
            return Ok(classes.iter().map(without).collect());
        };
        let each: Vec<usize> = (0..classes.len()).collect();
        let mut points = Array2::zeros((classes.len(), self.features.len()));
        for (origin, mut point) in places.space.origins.iter().zip(points.rows_mut()) {
            point.assign(&origin.point);
        }
        let located = places.of(runs, &each, &points)?;
        let mut chosen_targets = Vec::with_capacity(classes.len());
        for ((place, &class), run) in located.iter().zip(classes).zip(runs) {
            let targets = self.targets(prototypes.n_classes(), class);
            let chosen = prototypes.nearest(place, &targets, self.params.k, self.params.k_type)?;
            let rule = "a class that the model puts training rows in";
            require(chosen.is_some(), "target_class", rule, &targets)?;
            if chosen.as_ref().is_some_and(|chosen| chosen.clamped) {
                run.warn("cfproto.few_rows", "a class has fewer than `k` rows and is taken whole");
            }
            let id = chosen.as_ref().map(|chosen| chosen.class);
            let prototype = chosen.map(|chosen| chosen.prototype);
            chosen_targets.push(Target { class, prototype, id });
        }
        Ok(chosen_targets)
    }

    fn data(
        &self,
        found: &Found<'_>,
        runs: &mut [Run<'_>],
        index: usize,
        outputs: Array1<f64>,
        outcome: Outcome,
    ) -> Result<CfProtoData> {
        let objective = found.objective;
        let (origin, target) = (&objective.space.origins[index], &objective.targets[index]);
        let (scores, names) = (&objective.scores[index], self.features.names());
        let gradients = match &outcome.found {
            Some(candidate) => found.gradients(runs, index, candidate)?,
            None => Gradients::default(),
        };
        let cf = outcome.found.map(|candidate| self.counterfactual(found, index, candidate));
        let trust = match &cf {
            Some(cf) => self.trust(found, runs, index, cf)?,
            None => None,
        };
        let miss = outcome.nearest_miss;
        let nearest_miss = miss.map(|candidate| self.counterfactual(found, index, candidate));
        let status = match (outcome.status, outcome.route) {
            (Status::Found, Some(Route::Start)) => Status::AlreadySatisfied,
            (status, _) => status,
        };
        let described = |feature| self.features.describe(feature, &origin.row);
        Ok(CfProtoData {
            status,
            reason: reason(status, outcome.stop).to_owned(),
            instance: origin.row.clone(),
            outputs,
            class: target.class,
            classes: Classes::new(scores, found.model.model.predictor().class_names()),
            cf,
            grads_graph: gradients.graph,
            grads_num: gradients.numeric,
            trust,
            nearest_miss,
            route: outcome.route,
            trials: outcome.trials,
            id_proto: target.id,
            feature_values: (0..names.len()).map(described).collect(),
            feature_names: names,
            fit_queries: self.fit_queries,
            shape: self.params.shape.clone(),
            stop: outcome.stop.unwrap_or(Stop::Converged),
        })
    }

    /// A point as a row. Its distances are those of the decoded row.
    fn counterfactual(
        &self,
        found: &Found<'_>,
        index: usize,
        candidate: Candidate,
    ) -> Counterfactual {
        let space = &found.objective.space;
        let mut row = Array1::zeros(self.features.n_columns());
        space.decode(index, &candidate.point, &mut row);
        let instance = &found.evaluator.instances[index];
        let point = self.codes.point(&self.features, &row);
        let distance = Cost::elastic_net(self.params.beta).of(instance, &point);
        let decoded = Candidate { point, outputs: candidate.outputs, distance };
        let distances = Distances::of(instance, &decoded);
        let changes = self.features.changes(&space.origins[index].row, &row);
        let class = found.objective.scores[index].class(&decoded.outputs);
        Counterfactual::new(row, decoded.outputs, class, distances, changes)
    }

    /// How much a counterfactual is trusted; `None` without prototypes, or where a budget forbids to ask for it.
    fn trust(
        &self,
        found: &Found<'_>,
        runs: &mut [Run<'_>],
        index: usize,
        cf: &Counterfactual,
    ) -> Result<Option<f64>> {
        let places = found.objective.places;
        let Some(prototypes) = places.prototypes.filter(|prototypes| prototypes.has(cf.class))
        else {
            return Ok(None);
        };
        let points = batch(&self.codes.point(&self.features, &cf.row)).to_owned();
        let Some(located) = stopped(places.of(runs, &[index], &points))? else { return Ok(None) };
        prototypes.trust(&located[0], found.objective.targets[index].class, cf.class)
    }
}

/// What a search was made with.
struct Found<'a> {
    model: CfProtoModel<'a>,
    objective: &'a PrototypeObjective<'a>,
    evaluator: &'a Evaluator<'a>,
}

/// The gradients at a point by feature, `None` where a budget forbids to ask for them.
#[derive(Default)]
struct Gradients {
    graph: Option<Array1<f64>>,
    numeric: Option<Array1<f64>>,
}

impl Found<'_> {
    /// The gradients at a point that was found.
    fn gradients(
        &self,
        runs: &mut [Run<'_>],
        index: usize,
        candidate: &Candidate,
    ) -> Result<Gradients> {
        let instance = &self.evaluator.instances[index];
        let query = Query { instance: index, point: candidate.point.clone(), gradient: true };
        let cost = self.evaluator.cost(&query);
        let mut gradients = Gradients::default();
        if runs[index].queries_left().is_none_or(|left| cost <= left) {
            let margin = |_: usize, outputs: &Row| Some(instance.hinge.margin(outputs).cotangent);
            let evaluations = stopped(self.evaluator.evaluate(runs, &[query], &margin))?;
            gradients.numeric =
                evaluations.and_then(|evaluations| evaluations.into_iter().next()?.gradient);
        }
        let points = batch(&candidate.point).to_owned();
        if let Some(slopes) = stopped(self.objective.slopes(runs, &[index], &points))? {
            let change = &candidate.point - &instance.center;
            let mut graph = 2.0 * &instance.scale * &instance.scale * change;
            if let Some(slopes) = slopes {
                graph += &slopes.row(0);
            }
            gradients.graph = Some(graph);
        }
        Ok(gradients)
    }
}

/// What a budget allowed, `None` where it did not.
fn stopped<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Stopped(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

impl Explainer for CfProto {
    type Input = Row;
    type Model<'m> = CfProtoModel<'m>;
    type Data = CfProtoData;
    const INFO: MethodInfo =
        MethodInfo { name: "cfproto", kind: ModelKind::BlackBox, scope: &["local"] };
    const MAX_BATCH: usize = 16;

    fn kind(&self, model: Self::Model<'_>) -> ModelKind {
        model.model.kind()
    }

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn task(&self) -> Option<String> {
        Some("classification".to_owned())
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.features.n_columns()], x.shape())?;
        x.check()?;
        self.features.check("the input", &batch(x))
    }

    fn compute(&self, model: CfProtoModel<'_>, x: &Row, run: &mut Run<'_>) -> Result<CfProtoData> {
        let mut all = self.explain_all(model, &[x], std::slice::from_mut(run))?;
        Ok(all.pop().expect("one answer for one instance"))
    }

    fn compute_batch(
        &self,
        model: CfProtoModel<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<CfProtoData>>> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.explain_all(model, inputs, runs)?.into_iter().map(Ok).collect())
    }
}
