//! The method: a point for each instance, the prototype it is drawn to, and the search between them.

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{
    Error, Explainer, Input, MethodInfo, ModelKind, Result, Row, Rows, Run, Semantics, Valid,
    Warning, require, same_shape,
};
use xai_optim::loss::{Hinge, Outputs};
use xai_optim::{
    Candidate, Cost, Evaluator, Instance, Outcome, Question, SearchParams, Status, require_inside,
    search,
};

use crate::data::{CfProtoData, Change, Counterfactual};
use crate::fit::{self, Learned, batch};
use crate::guided::{Guide, Guided, ask};
use crate::model::CfProtoModel;
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

/// What is kept of an explainer; the rest follows from it.
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
        for own in
            [saved.lower.len(), saved.upper.len(), saved.eps.len(), saved.codes.numbers.len()]
        {
            same_shape("a setting by feature", &[n], &[own])?;
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
        fit::constraints(&params, &features)?;
        check_shape(params.shape.as_deref(), Some(features.n_columns()))?;
        let learned = fit::learned(&params, model, train_data, &features, run)?;
        CfProto::new(params, features, learned)
    }

    pub(crate) fn build(params: Valid<CfProtoParams>, features: Features) -> Result<Self> {
        let learned = fit::unlearned(&params, &features)?;
        CfProto::new(params, features, learned)
    }

    fn new(params: Valid<CfProtoParams>, features: Features, learned: Learned) -> Result<Self> {
        let constraints = fit::constraints(&params, &features)?;
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

    fn hinge(&self, outputs: Outputs, class: usize) -> Result<Hinge> {
        let params = &self.params;
        require(class < outputs.n_classes(), "instance_class", "a class of the model", class)?;
        let hinge = match &params.target_class {
            None => Hinge::other(outputs, class, params.kappa),
            Some(targets) => Hinge::one_of(outputs, class, targets, params.kappa)?,
        };
        Ok(hinge.at_least(params.min_target_proba).judged(params.semantics))
    }

    /// Where each instance starts and where it may go.
    fn instance(&self, space: &Space<'_>, index: usize, hinge: Hinge) -> Result<Instance> {
        let point = &space.origins[index].point;
        let mut instance = Instance::free(point.clone(), hinge);
        instance.max_changes = self.constraints.max_changes();
        let native = self.params.semantics == Semantics::Native;
        for (feature, name) in self.features.names().into_iter().enumerate() {
            let value = point[feature];
            let range = (self.lower[feature], self.upper[feature]);
            if native && !self.params.widen_range && !space.is_categorical(feature) {
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
        let native = params.semantics == Semantics::Native;
        SearchParams {
            cost: Cost::elastic_net(params.beta),
            learning_rate_init: params.learning_rate_init,
            max_iterations: params.max_iterations,
            c_init: params.c_init,
            c_steps: params.c_steps,
            clip: params.clip,
            update_num_grad: params.update_num_grad,
            patience: Some(params.patience).filter(|&steps| native && 0 < steps),
            momentum: params.momentum,
            attack: params.attacks(),
            polish: native && params.polish.unwrap_or(true),
            sparsify: native && params.sparsify,
            fallback: native && params.fallback,
            semantics: params.semantics,
        }
    }

    /// The search for several instances, whose model calls are shared.
    fn explain_all(
        &self,
        model: CfProtoModel<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<CfProtoData>> {
        self.check_model(model)?;
        for run in runs.iter_mut() {
            for Warning { code, message } in &self.warnings {
                run.warn(code, message.clone());
            }
        }
        let each: Vec<usize> = (0..inputs.len()).collect();
        let origins: Vec<Origin> = inputs.iter().map(|x| self.origin(x)).collect();
        let mut rows = Array2::zeros((inputs.len(), self.features.n_columns()));
        for (x, mut row) in inputs.iter().zip(rows.rows_mut()) {
            row.assign(x);
        }
        let predictor = model.model.predictor();
        let access = xai_core::ModelRef::BlackBox(predictor);
        let answers = ask(runs, access, (&each, &rows), &|_, _| None)?;
        let answers: Vec<Array1<f64>> = answers.into_iter().map(|(outputs, _)| outputs).collect();
        let outputs = Outputs::of(&answers[0])?;
        if let Some(n_outputs) = self.n_outputs {
            same_shape("the model's output", &[1, n_outputs], &[1, answers[0].len()])?;
        }
        let mut guides: Vec<Guide> = Vec::new();
        for answer in &answers {
            let class = self.params.instance_class.unwrap_or_else(|| outputs.class(answer));
            guides.push(Guide { class, prototype: None });
        }
        let space = Space {
            constraints: &self.constraints,
            codes: &self.codes,
            origins: &origins,
            range: (&self.lower, &self.upper),
            eps: &self.eps,
            semantics: self.params.semantics,
        };
        let mut instances = Vec::new();
        for (index, guide) in guides.iter().enumerate() {
            let hinge = self.hinge(outputs, guide.class)?;
            let mut instance = self.instance(&space, index, hinge)?;
            if let Some(rows) = &self.rows {
                let targets = self.targets(outputs.n_classes(), guide.class);
                instance.anchors = fit::anchors(rows, &origins[index].point, &targets);
            }
            instances.push(instance);
        }
        let guided = |guides| Guided {
            space,
            guides,
            prototypes: self.prototypes(),
            outputs,
            encoder: model.encoder,
            autoencoder: model.autoencoder,
            gamma: self.params.gamma,
            theta: self.params.theta,
            threshold: self.params.threshold,
            is_drawn: self.is_guided() && self.params.polish != Some(true),
        };
        let ids = self.choose(&guided(&[]), runs, &mut guides)?;
        let problem = guided(&guides);
        let asker = Evaluator { access: model.model, problem: &problem, instances: &instances };
        let outcomes = search(asker, &self.search_params(), runs)?;
        let mut all = Vec::with_capacity(inputs.len());
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let answer = outputs.classes(&answers[index]);
            all.push(self.data((&problem, &asker), runs, index, (answer, ids[index], outcome))?);
        }
        Ok(all)
    }

    /// The prototype that each instance is drawn to, and its class.
    fn choose(
        &self,
        guided: &Guided<'_>,
        runs: &mut [Run<'_>],
        guides: &mut [Guide],
    ) -> Result<Vec<Option<usize>>> {
        let Some(prototypes) = self.prototypes() else { return Ok(vec![None; guides.len()]) };
        let each: Vec<usize> = (0..guides.len()).collect();
        let mut points = Array2::zeros((guides.len(), self.features.len()));
        for (origin, mut point) in guided.space.origins.iter().zip(points.rows_mut()) {
            point.assign(&origin.point);
        }
        let places = guided.encodings(runs, &each, &points)?;
        let mut ids = Vec::with_capacity(guides.len());
        for ((place, guide), run) in places.iter().zip(guides).zip(runs) {
            let targets = self.targets(prototypes.n_classes(), guide.class);
            let chosen = prototypes.nearest(place, &targets, self.params.k, self.params.k_type)?;
            let rule = "a class that the model puts training rows in";
            require(chosen.is_some(), "target_class", rule, &targets)?;
            ids.push(chosen.as_ref().map(|chosen| chosen.class));
            if chosen.as_ref().is_some_and(|chosen| chosen.clamped) {
                run.warn("cfproto.few_rows", "a class has fewer than `k` rows and is taken whole");
            }
            guide.prototype = chosen.map(|chosen| chosen.prototype);
        }
        Ok(ids)
    }

    fn data(
        &self,
        asked: (&Guided<'_>, &Evaluator<'_>),
        runs: &mut [Run<'_>],
        index: usize,
        (orig_proba, id_proto, outcome): (Array1<f64>, Option<usize>, Outcome),
    ) -> Result<CfProtoData> {
        let (problem, _) = asked;
        let origin = &problem.space.origins[index];
        let names = self.features.names();
        let described = |feature| self.features.describe(feature, &origin.row);
        let Outcome { status, found, nearest_miss, route, trials, stop } = outcome;
        let mut record = |candidate: Option<Candidate>| {
            candidate.map(|own| self.record(asked, runs, index, &own)).transpose()
        };
        let (cf, nearest_miss) = (record(found)?, record(nearest_miss)?);
        let status =
            if cf.is_none() && status == Status::Found { Status::TargetNotReached } else { status };
        Ok(CfProtoData {
            status,
            cf,
            nearest_miss,
            route,
            trials,
            orig_class: problem.guides[index].class,
            orig_proba,
            id_proto,
            shape: self.params.shape.clone(),
            instance: origin.row.clone(),
            feature_values: (0..names.len()).map(described).collect(),
            feature_names: names,
            fit_queries: self.fit_queries,
            stop,
        })
    }

    /// A point as a row, with its gradients where they can be paid for.
    fn record(
        &self,
        (problem, asker): (&Guided<'_>, &Evaluator<'_>),
        runs: &mut [Run<'_>],
        index: usize,
        candidate: &Candidate,
    ) -> Result<Counterfactual> {
        let (space, instance) = (&problem.space, &asker.instances[index]);
        let origin = &space.origins[index];
        let mut x = Array1::zeros(self.features.n_columns());
        space.decode(index, &candidate.point, &mut x);
        let point = self.codes.point(&self.features, &x);
        let outputs = problem.outputs;
        let (class, proba) =
            (outputs.class(&candidate.outputs), outputs.classes(&candidate.outputs));
        let question = Question { instance: index, point: candidate.point.clone(), gradient: true };
        let grads_num =
            if runs[index].queries_left().is_none_or(|left| asker.price(&question) <= left) {
                let margin =
                    |_: usize, outputs: &Row| Some(instance.hinge.margin(outputs).cotangent);
                let answers = stopped(asker.ask(runs, &[question], &margin))?;
                answers.and_then(|answers| answers.into_iter().next()?.gradient)
            } else {
                None
            };
        let mut grads_graph = None;
        let points = batch(&candidate.point).to_owned();
        if let Some(slopes) = stopped(problem.slopes(runs, &[index], &points))? {
            let change = &candidate.point - &instance.center;
            let mut gradient = 2.0 * &instance.scale * &instance.scale * change;
            if let Some(slopes) = slopes {
                gradient += &slopes.row(0);
            }
            grads_graph = Some(gradient);
        }
        let change = &point - &origin.point;
        let mut changes = Vec::new();
        for (feature, name) in self.features.names().into_iter().enumerate() {
            let (from, to) =
                (self.features.value(feature, &origin.row), self.features.value(feature, &x));
            if from != to {
                changes.push(Change {
                    feature: name,
                    from: self.features.describe(feature, &origin.row),
                    to: self.features.describe(feature, &x),
                    by: change[feature],
                });
            }
        }
        let trust = match problem.prototypes {
            Some(prototypes) if prototypes.has(class) => {
                let points = batch(&point).to_owned();
                match stopped(problem.encodings(runs, &[index], &points))? {
                    Some(places) => {
                        prototypes.trust(&places[0], problem.guides[index].class, class)?
                    }
                    None => None,
                }
            }
            _ => None,
        };
        let distance = Cost::elastic_net(self.params.beta).of(instance, &point);
        let l1 = change.iter().map(|by| by.abs()).sum();
        let l2 = change.dot(&change).sqrt();
        Ok(Counterfactual {
            x,
            class,
            proba,
            grads_graph,
            grads_num,
            distance,
            l1,
            l2,
            trust,
            changes,
        })
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
