//! Integrated gradients under comparison: the task, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use xai_core::{Differentiable, Explainer, Predictor, Rows, Run, RunConfig, Seed};
use xai_intgrad::{InputTensor, IntegratedGradientsParams, Target};

use super::{
    Bound, Case, Contender, Goal, Judgement, Measure, Method, PeerMethod, Ratio, RunJudgement,
    RunReport, Sources, TaskAbout,
};
use crate::models::Model;
use crate::networks::Network;
use crate::{digits, timed};

/// What a side must know to integrate gradients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntegratedGradientsSettings {
    /// The class that is explained.
    pub target: usize,
    /// Points on each path.
    pub n_steps: usize,
    /// Points in one call of the model.
    pub internal_batch_size: usize,
    /// What to do with the instances.
    pub runs: Vec<IntegratedGradientsRunSettings>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntegratedGradientsRunSettings {}

/// The answer for one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    /// One number for each column.
    attributions: Vec<f64>,
}

/// Three networks, from small to large.
pub(super) fn tasks(_: &Sources) -> Result<Vec<Case>> {
    let task = TaskAbout {
        name: "integrated-gradients".to_owned(),
        title: "Integrated gradients".to_owned(),
        about: [
            "50 points of the Gauss-Legendre rule, baseline 0, class 3, float32, weights that need no gradient.",
            "Case `dense`: 784 numbers, 128 relu units, 10 classes, random weights, 100 rows, 100 points a call. Case `digits`: a trained network of two convolutions (8 and 16 channels) and two dense layers, 100 images of 8 by 8 cells, 100 points a call. Case `residual`: the shape of ResNet-18 with random weights, one image of 224 by 224 cells, 10 points a call.",
            "The share in the model is here the time of as many bare passes forward and backward on the same points, in calls of the same size, over the time of the explanation; it was measured for ours alone. The completeness gap is the mean of the difference between the sum of the attributions and the change of the output, over the change.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: None,
    };
    let case = |name: &str, network, instances: Array2<f64>, internal_batch_size| {
        let goals = |is_goal: bool| {
            let goal = Goal { ratio: Ratio::Speed, bound: Bound::AtLeast(1.0) };
            if is_goal { vec![goal] } else { Vec::new() }
        };
        let contender = |peer: &str| Contender {
            peer: peer.to_owned(),
            method: "default".to_owned(),
            instances: instances.nrows(),
            goals: goals(name != "residual"),
        };
        Case {
            task: task.clone(),
            case: name.to_owned(),
            contenders: ["alibi", "captum"].map(contender).to_vec(),
            model_share_goal: Some(1.0 / 1.15),
            explainer: Method::IntegratedGradients(IntegratedGradientsSettings {
                target: 3,
                n_steps: 50,
                internal_batch_size,
                runs: vec![IntegratedGradientsRunSettings {}],
            }),
            model: Model::Network(network),
            data: Array2::zeros((0, instances.ncols())),
            instances,
        }
    };
    Ok(vec![
        case("dense", Network::dense_784()?, noise(100, 784), 100),
        case("digits", Network::digits()?, digits::images()?, 100),
        case("residual", Network::residual_18()?, noise(1, 224 * 224 * 3), 10),
    ])
}

/// Rows of numbers that are uniform in `[0, 1)`.
fn noise(n_rows: usize, n_columns: usize) -> Array2<f64> {
    let mut stream = Seed::new(1).stream();
    Array2::from_shape_simple_fn((n_rows, n_columns), || stream.uniform())
}

impl PeerMethod for IntegratedGradientsSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, case: &Case, runs: &[RunReport], _: &[RunReport]) -> Result<Judgement> {
        judge(self, case, runs)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(
    settings: &IntegratedGradientsSettings,
    case: &Case,
    instances: &Rows,
) -> Result<Vec<RunReport>> {
    let model = case.model.network()?.model(settings.internal_batch_size)?;
    let explainer = IntegratedGradientsParams::default()
        .with_n_steps(settings.n_steps)
        .with_internal_batch_size(Some(settings.internal_batch_size))
        .with_target(Some(Target::Index(settings.target)))
        .with_inputs(vec![InputTensor::new("input", &case.model.network()?.shape)])
        .build_inputs()?;
    let points = points(instances, settings.n_steps);
    let n_outputs = Run::seeded(0).predict(&model, &points.slice(ndarray::s![..1, ..]))?.ncols();
    let mut cotangent = Array2::zeros((points.nrows(), n_outputs));
    cotangent.column_mut(settings.target).fill(1.0);
    let run = |_: &IntegratedGradientsRunSettings| {
        let explain = || explainer.explain_many(&model, instances, &RunConfig::seeded(0));
        let bare = || Run::seeded(0).vjp(&model, &points, &cotangent);
        // Once outside the clock: the first calls ask the system for memory.
        explain();
        bare()?;
        let (explanations, seconds) = timed(explain);
        let (gradients, model_seconds) = timed(bare);
        gradients?;
        let mut queries = 0;
        let mut answers = Vec::new();
        for explanation in explanations {
            let explanation = explanation?;
            queries += explanation.meta.queries;
            let attributions = explanation.data.attributions[0].iter().copied().collect();
            answers.push(serde_json::to_value(Answer { attributions })?);
        }
        let calls = points.nrows().div_ceil(settings.internal_batch_size) as u64;
        let instances = answers.len();
        Ok(RunReport { seconds, model_seconds, queries, calls, instances, answers })
    };
    settings.runs.iter().map(run).collect()
}

/// Points between 0 and each instance, as many as a path has.
fn points(instances: &Rows, n_steps: usize) -> Array2<f64> {
    let mut points = Array2::zeros((instances.nrows() * n_steps, instances.ncols()));
    for (k, mut point) in points.rows_mut().into_iter().enumerate() {
        let alpha = (k % n_steps) as f64 / n_steps as f64;
        point.assign(&(&instances.row(k / n_steps) * alpha));
    }
    points
}

const GAP: &str = "completeness gap";

/// The completeness gap.
///
/// # Errors
/// When an answer has another form, or the model fails.
fn judge(
    settings: &IntegratedGradientsSettings,
    case: &Case,
    runs: &[RunReport],
) -> Result<Judgement> {
    let model = case.model.network()?.model(settings.internal_batch_size)?;
    let model: &dyn Differentiable = &model;
    let mut ask = Run::seeded(0);
    let mut output = |row: ArrayView1<'_, f64>| {
        let outputs = ask.predict(model as &dyn Predictor, &row.insert_axis(Axis(0)))?;
        anyhow::Ok(outputs[[0, settings.target]])
    };
    let baseline = output(Array2::zeros((1, case.instances.ncols())).row(0))?;
    let mut judge = |run: &RunReport| {
        let mut gap = 0.0;
        for (answer, instance) in run.answers.iter().zip(case.instances.rows()) {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            ensure!(answer.attributions.len() == instance.len(), "an attribution for each column");
            let change = output(instance)? - baseline;
            gap += ((answer.attributions.iter().sum::<f64>() - change) / change).abs();
        }
        let qualities = vec![(GAP.to_owned(), gap / run.answers.len() as f64)];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement { runs: runs.iter().map(&mut judge).collect::<Result<_>>()?, of_truth: 0.0 })
}
