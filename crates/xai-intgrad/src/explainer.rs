//! Integrated gradients: the ends of the paths, the gradients along them, the attributions.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use xai_core::tabular::{Features, Kind};
use xai_core::{
    Error, Explainer, Input, MethodInfo, ModelKind, OutputNames, Params, Result, Row, Run, Side,
    Status, Stop, Valid, WhiteBox, require, same_shape,
};

use crate::baselines::{Baselines, Starts};
use crate::data::IntegratedGradientsData;
use crate::layout::{InputTensor, Layout};
use crate::params::IntegratedGradientsParams;
use crate::quadrature::{Rule, nested};
use crate::sampling::expected_gradients;
use crate::semantics::{Conventions, conventions};
use crate::session::{Answer, Session, Work};
use crate::target::{Target, TargetSettings};

/// Integrated gradients of a differentiable model. Made by [`IntegratedGradientsParams::build`] or
/// [`build_inputs`](IntegratedGradientsParams::build_inputs).
///
/// # Cost
/// With `m` baselines, `n` steps and a model whose gradient costs `c` queries
/// ([`Differentiable::vjp_queries`](xai_core::Differentiable::vjp_queries): 1 for a white box, twice the columns for central differences) an explanation costs
/// `1 + m + m n c` queries. A layer adds `1 + m` for the values at it, a curve `m (n - 1)`. With `s` noisy copies it is
/// `1 + m + s (1 + m n c)`, and one more for each copy at a layer. A distribution of `m` rows costs `1 + m + s c` for
/// `s` draws. Refinement ends at `max_steps` points for each path, and asks for none twice.
/// Rows explained in one call share the model's batches.
///
/// # Source
/// Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", equation 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct IntegratedGradients {
    params: Valid<IntegratedGradientsParams>,
    features: Option<Features>,
    #[serde(skip)]
    derived: Derived,
}

/// What is kept of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<IntegratedGradientsParams>,
    features: Option<Features>,
}

impl TryFrom<Saved> for IntegratedGradients {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        IntegratedGradients::new(saved.params, saved.features)
    }
}

/// What follows from the settings.
#[derive(Clone, Debug, PartialEq)]
struct Derived {
    layout: Layout,
    starts: Starts,
    /// One rule, or with a tolerance all nested ones.
    rules: Vec<Rule>,
}

impl IntegratedGradients {
    pub(crate) fn new(
        params: Valid<IntegratedGradientsParams>,
        features: Option<Features>,
    ) -> Result<Self> {
        let n_columns = features.as_ref().map(Features::n_columns);
        let layout = match n_columns {
            Some(n_columns) if params.inputs.is_empty() => {
                Layout::new(&[InputTensor::new("input", &[n_columns])])
            }
            _ => Layout::new(&params.inputs),
        };
        if let Some(n_columns) = n_columns {
            same_shape("the columns of `inputs`", &[n_columns], &[layout.n_columns()])?;
        }
        let starts = params.baselines.lay_out(&layout)?;
        let rules = match params.tolerance {
            None => vec![conventions(params.semantics).rule(params.method, params.n_steps)?],
            Some(_) => nested(params.n_steps, params.max_steps)?,
        };
        Ok(IntegratedGradients { params, features, derived: Derived { layout, starts, rules } })
    }

    /// The settings it was built with.
    #[must_use]
    pub fn params(&self) -> &IntegratedGradientsParams {
        &self.params
    }

    /// The same explainer of another output, for instance of the true class of a row.
    ///
    /// # Errors
    /// [`Error::Param`] when `output_shape` is known and has no such output.
    pub fn with_target(&self, target: Target) -> Result<Self> {
        let params = self.params.clone().into_inner().with_target(Some(target));
        IntegratedGradients::new(params.check()?, self.features.clone())
    }

    /// The same explainer with other starts, for instance those of one row.
    ///
    /// # Errors
    /// As [`IntegratedGradientsParams::build`].
    pub fn with_baselines(&self, baselines: Baselines) -> Result<Self> {
        let params = IntegratedGradientsParams { baselines, ..self.params.clone().into_inner() };
        IntegratedGradients::new(params.check()?, self.features.clone())
    }
}

impl Explainer for IntegratedGradients {
    type Input = Row;
    type Model<'m> = WhiteBox<'m>;
    type Data = IntegratedGradientsData;
    const INFO: MethodInfo =
        MethodInfo { name: "integrated-gradients", kind: ModelKind::WhiteBox, scope: &["local"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.derived.layout.n_columns()], x.shape())?;
        x.check()
    }

    /// The points of one row leave a part of a batch empty.
    const MAX_BATCH: usize = 32;

    fn compute(
        &self,
        model: WhiteBox<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<IntegratedGradientsData> {
        let mut computed = self.compute_batch(model, &[x], std::slice::from_mut(run))?;
        computed.pop().expect("one result for one input")
    }

    fn compute_batch(
        &self,
        model: WhiteBox<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<IntegratedGradientsData>>> {
        let model = model.differentiable();
        let Derived { layout, starts, rules } = &self.derived;
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let params = &*self.params;
        let split = match &params.layer {
            None => None,
            Some(layer) => {
                let side =
                    if params.attribute_to_layer_inputs { Side::Before } else { Side::After };
                let split = model.split_at(layer, side);
                let rule = "the name of a layer that the model can be split at";
                require(split.is_some(), "layer", rule, layer)?;
                split
            }
        };
        let class_names = OutputNames::new(model.class_names().unwrap_or_default().iter().cloned());
        let target = TargetSettings {
            target: params.target.as_ref(),
            output: &params.output,
            output_shape: params.output_shape.as_deref(),
            declared: model.output(),
            class_names: &class_names,
            conventions: self.conventions(),
        };
        let work = Work { params, layout, starts, rules, model, split, target };
        if work.split.is_none() {
            self.afford(&work, layout.n_columns(), runs)?;
        }
        let sessions = work.begin(inputs, runs)?;
        let at = self.at_layout(&sessions[0])?;
        if work.split.is_some() {
            self.afford(&work, at.n_columns(), runs)?;
        }
        let answers = match &params.baselines {
            Baselines::Distribution(distribution) => {
                expected_gradients(&work, distribution, &sessions, runs)?
            }
            _ => work.integrate(&sessions, runs)?,
        };
        let stopped = answers.iter().any(|answer| answer.stop != Stop::Converged);
        let curves = match params.curve && !stopped {
            true => work.curves(&sessions, runs)?.into_iter().map(Some).collect(),
            false => vec![None; sessions.len()],
        };
        let parts = sessions.into_iter().zip(answers).zip(curves).zip(runs);
        Ok(parts
            .map(
                |(((session, answer), curve), run)| Ok(self.data(&at, session, answer, curve, run)),
            )
            .collect())
    }
}

impl IntegratedGradients {
    /// What the settings say where the semantics differ.
    fn conventions(&self) -> &'static dyn Conventions {
        conventions(self.params.semantics)
    }

    /// The tensors where gradients are taken.
    fn at_layout(&self, session: &Session) -> Result<Layout> {
        let Some(layer) = &self.params.layer else { return Ok(self.derived.layout.clone()) };
        let width = session.at_x.len();
        if self.params.layer_tensors.is_empty() {
            return Ok(Layout::new(&[InputTensor::new(layer, &[width])]));
        }
        let layout = Layout::new(&self.params.layer_tensors);
        same_shape("the columns of `layer_tensors`", &[width], &[layout.n_columns()])?;
        Ok(layout)
    }

    /// Refuses a budget that is below the price of an answer, where that is known before.
    fn afford(&self, work: &Work<'_>, width: usize, runs: &[Run<'_>]) -> Result<()> {
        let params = work.params;
        let sampled = matches!(params.baselines, Baselines::Distribution(_));
        if sampled || params.tolerance.is_some() || params.noise_tunnel.is_some() {
            return Ok(());
        }
        let (m, n) = (work.starts.len() as u64, params.n_steps as u64);
        let gradients = m * n * work.head().vjp_queries(width);
        // At a layer the ends are paid for already.
        let ends = if work.split.is_some() { 0 } else { 1 + m };
        let curve = if params.curve { m * (n - 1) } else { 0 };
        let needed = ends + gradients + curve;
        match runs.iter().filter_map(Run::queries_left).min() {
            Some(left) if left < needed => {
                let spent = runs.first().map_or(0, Run::queries);
                let what = "the budget of model queries";
                Err(Error::Budget { what, given: left + spent, needed: needed + spent })
            }
            _ => Ok(()),
        }
    }

    fn data(
        &self,
        at: &Layout,
        session: Session,
        answer: Answer,
        curve: Option<Array2<f64>>,
        run: &mut Run<'_>,
    ) -> IntegratedGradientsData {
        let Derived { layout, starts, .. } = &self.derived;
        self.warn_about_gap(&answer, run);
        let is_one_of_two = session.outputs.len() == 1 && session.explained.target.is_some();
        let conventions = self.conventions();
        let deltas: Array1<f64> = answer
            .deltas
            .iter()
            .zip(&answer.changes)
            .map(|(&delta, &change)| conventions.reported_delta(delta, change, is_one_of_two))
            .collect();
        let relative: Array1<f64> = deltas
            .iter()
            .zip(&answer.changes)
            .map(|(delta, change)| delta / change.abs().max(SMALLEST_CHANGE))
            .collect();
        let reason = self.reason(&answer, &relative);
        let shape = self.params.output_shape.clone().unwrap_or_else(|| vec![session.outputs.len()]);
        let predictions = ArrayD::from_shape_vec(IxDyn(&shape), session.outputs.to_vec())
            .expect("the outputs were compared with their shape");
        let names = |layout: &Layout| layout.attributed().map(|(t, _)| t.name.clone()).collect();
        let plain = self.params.inputs.is_empty() && self.params.layer.is_none();
        IntegratedGradientsData {
            attributions: at.split(&answer.attributions),
            standard_errors: answer.standard_errors.map(|errors| at.split(&errors)),
            quadrature_errors: answer.quadrature_errors.map(|errors| at.split(&errors)),
            instance: layout.split(&session.x),
            passed_inputs: layout
                .passed()
                .map(|(tensor, columns)| {
                    (tensor.name.clone(), layout.tensor(tensor, columns, &session.x))
                })
                .collect::<BTreeMap<_, _>>(),
            baselines: layout.split_rows(&session.starts),
            baseline_weights: Array1::from(starts.weights.clone()),
            predictions,
            output: session.output,
            baseline_outputs: session.start_outputs,
            reason,
            deltas,
            relative_deltas: relative,
            delta_standard_errors: answer.delta_standard_errors,
            target: session.explained.target,
            target_name: session.explained.name,
            steps: answer.steps,
            n_samples: answer.n_samples,
            status: answer.status,
            stop: answer.stop,
            curve,
            input_names: names(layout),
            tensor_names: names(at),
            feature_names: self.features.as_ref().filter(|_| plain).map(columns),
        }
    }

    /// Warns of a gap that the authors of the method call too large.
    fn warn_about_gap(&self, answer: &Answer, run: &mut Run<'_>) {
        let gaps = answer.deltas.iter().zip(&answer.changes);
        let large = gaps.filter(|(delta, change)| {
            (LARGE_GAP * change.abs()).max(self.params.absolute_tolerance) < delta.abs()
        });
        let drawn = answer.delta_standard_errors.is_some();
        if let Some((delta, change)) = large.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))
            && !drawn
        {
            let message = format!(
                "the attributions miss the change of the output, {change}, by {delta}: a larger `n_steps` or a `tolerance` shows which is right"
            );
            run.warn("intgrad.gap", message);
        }
    }

    fn reason(&self, answer: &Answer, relative: &Array1<f64>) -> String {
        let most = answer.steps.iter().max().copied().unwrap_or_default();
        let gap = relative.iter().fold(0.0_f64, |gap, value| gap.max(value.abs()));
        let done = match (&self.params.baselines, self.params.noise_tunnel) {
            (Baselines::Distribution(_), _) => format!("{} draws", answer.n_samples),
            (_, Some(_)) => {
                format!("{} noisy copies with up to {most} points each", answer.n_samples)
            }
            _ => format!("{most} points on each path"),
        };
        match answer.status {
            Status::Stopped => format!("{done}, then {}", answer.stop),
            Status::WithinTolerance => {
                format!("every gap is within the tolerance with at most {most} points on a path")
            }
            Status::MaxSteps => format!(
                "{done} are the most that `max_steps` allows, and a gap is {gap:.1e} of the change of the output"
            ),
            _ => format!("{done}, as asked for"),
        }
    }
}

/// Changes below this count as this much in relative gaps.
const SMALLEST_CHANGE: f64 = 1e-12;

/// The gap, as a part of the change of the output, that Sundararajan et al. 2017, section 5, ask to stay below.
const LARGE_GAP: f64 = 0.05;

/// Names of the columns of a table: of the feature, and of the category where it has one column for each.
fn columns(features: &Features) -> Vec<String> {
    let names = features.iter().flat_map(|feature| match &feature.kind {
        Kind::Categorical { categories, encoding } => match encoding.first_code() {
            Some(first) => {
                let named = categories[first..].iter();
                named.map(|category| format!("{}={category}", feature.name)).collect()
            }
            None => vec![feature.name.clone()],
        },
        Kind::Numeric => vec![feature.name.clone()],
    });
    names.collect()
}
