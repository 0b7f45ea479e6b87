//! KernelSHAP under comparison: its settings, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Array3, Axis};
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::{Explainer, Row, Rows, RunConfig, serde_arrays};
use xai_shap::{Estimator, KernelShapParams, Link, NSamples};

use super::{Case, Judgement, PeerMethod, RunJudgement, RunReport};

pub(super) mod tasks;
mod truth;

/// What a side must know to compute Shapley values, and what they should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelShapSettings {
    /// Our way to the values.
    pub estimator: Estimator,
    /// The scale of the values.
    pub link: Link,
    /// Columns that join together; each column by itself when absent.
    pub groups: Option<Vec<Vec<usize>>>,
    /// What to do with the instances, once or several times.
    pub runs: Vec<RunSettings>,
    /// The model's outputs on the scale of the link, shape `(n_instances, n_outputs)`.
    #[serde(with = "serde_arrays")]
    pub predictions: Array2<f64>,
    /// The values to be found.
    pub truth: Option<Truth>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSettings {
    /// The most coalitions besides the empty and the full one; the method's default when absent.
    pub nsamples: Option<usize>,
    /// The seed.
    pub seed: u64,
}

/// The values to be found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Truth {
    /// Shape `(n_instances, n_outputs, n_players)`.
    #[serde(with = "serde_arrays")]
    pub values: Array3<f64>,
    /// Where they come from.
    pub source: String,
    /// The mean over instances of the squared standard error relative to the squared values; 0 for exact values.
    pub relative_squared_error: f64,
}

/// The answer for one instance.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// Shape `(n_outputs, n_players)`.
    #[serde(with = "serde_arrays")]
    values: Array2<f64>,
    /// Shape `(n_outputs,)`.
    #[serde(with = "serde_arrays")]
    expected_values: Array1<f64>,
}

impl KernelShapSettings {
    /// The parameters of ours, but for the number of coalitions.
    fn params(&self) -> KernelShapParams {
        KernelShapParams::default()
            .with_estimator(self.estimator)
            .with_link(self.link)
            .with_groups(self.groups.clone())
    }
}

impl PeerMethod for KernelShapSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, _: &Case, runs: &[RunReport], _: &[RunReport]) -> Result<Judgement> {
        judge(self, runs)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(settings: &KernelShapSettings, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
    let model = case.model.predictor()?;
    let run = |(index, run): (usize, &RunSettings)| {
        let nsamples = run.nsamples.map_or(NSamples::Auto, NSamples::Count);
        let params = settings.params().with_nsamples(nsamples);
        let explainer = params.fit(&case.data, Features::unnamed(case.data.ncols())?)?;
        let runs = RunConfig::seeded(run.seed);
        if index == 0 {
            explainer.explain(model, &instances.row(0), runs.run(0))?;
        }
        RunReport::timed(
            model,
            |model| explainer.explain_many(model, instances, &runs),
            |explanation| Answer {
                values: explanation.data.shap_values,
                expected_values: explanation.data.expected_value,
            },
        )
    };
    settings.runs.iter().enumerate().map(run).collect()
}

/// The squared error, where the true values are known, and the gap.
///
/// # Errors
/// When an answer has another form or shape than the true values.
fn judge(settings: &KernelShapSettings, runs: &[RunReport]) -> Result<Judgement> {
    let judge = |(run, allowed): (&RunReport, &RunSettings)| {
        let answers = run
            .answers
            .iter()
            .map(|answer| serde_json::from_value(answer.clone()).context("an answer"))
            .collect::<Result<Vec<Answer>>>()?;
        let n_outputs = settings.predictions.ncols();
        for answer in &answers {
            ensure!(
                answer.values.nrows() == n_outputs && answer.expected_values.len() == n_outputs,
                "an answer has another number of outputs than the model"
            );
        }
        let mut qualities = Vec::new();
        let mut n_players = None;
        if let Some(truth) = &settings.truth {
            let (_, _, players) = truth.values.dim();
            ensure!(
                answers.iter().all(|answer| answer.values.ncols() == players),
                "an answer has another number of players than the true values"
            );
            let pairs = answers.iter().zip(truth.values.outer_iter());
            let errors = pairs.map(|(a, truth)| relative_squared_error(&a.values, &truth));
            let squared_error = errors.sum::<f64>() / answers.len() as f64;
            qualities.push(("squared error".to_owned(), squared_error));
            n_players = Some(players);
        }
        let pairs = answers.iter().zip(settings.predictions.outer_iter());
        let gap = pairs.map(|(answer, predictions)| gap(answer, &predictions)).fold(0.0, f64::max);
        qualities.push(("gap".to_owned(), gap));
        let per_player = allowed.nsamples.zip(n_players).map(|(n, players)| (n / players) as u64);
        Ok(RunJudgement { per_player, qualities })
    };
    ensure!(runs.len() == settings.runs.len(), "a report has another number of runs");
    Ok(Judgement {
        runs: runs.iter().zip(&settings.runs).map(judge).collect::<Result<_>>()?,
        of_truth: settings.truth.as_ref().map_or(0.0, |truth| truth.relative_squared_error),
    })
}

/// `||found - truth||^2 / ||truth||^2` over all outputs and players of one instance.
fn relative_squared_error(found: &Rows, truth: &Rows) -> f64 {
    let pairs = found.iter().zip(truth);
    let distance: f64 = pairs.map(|(found, truth)| (found - truth).powi(2)).sum();
    distance / truth.iter().map(|truth| truth.powi(2)).sum::<f64>()
}

/// The largest distance between an output and the sum of its expected value and its values.
fn gap(answer: &Answer, predictions: &Row) -> f64 {
    let sums = &answer.expected_values + &answer.values.sum_axis(Axis(1));
    (sums - predictions).fold(0.0, |largest, difference| largest.max(difference.abs()))
}

/// One matrix for each instance, on a new first axis.
fn stacked(matrices: &[Array2<f64>]) -> Array3<f64> {
    let views: Vec<_> = matrices.iter().map(|matrix| matrix.view()).collect();
    ndarray::stack(Axis(0), &views).expect("all instances have as many outputs and players")
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers and powers of two are exact")]
mod tests {
    use ndarray::{Array, array};
    use serde_json::{Value, json};

    use super::*;

    fn settings() -> KernelShapSettings {
        let values = Array::from_shape_vec((2, 1, 2), vec![3.0, 4.0, 1.0, 0.0]).unwrap();
        KernelShapSettings {
            estimator: Estimator::Auto,
            link: Link::Identity,
            groups: None,
            runs: vec![RunSettings { nsamples: Some(16), seed: 0 }],
            predictions: array![[8.0], [1.0]],
            truth: Some(Truth { values, source: String::new(), relative_squared_error: 0.5 }),
        }
    }

    fn run(answers: Vec<Value>) -> RunReport {
        let instances = answers.len();
        RunReport { seconds: 1.0, model_seconds: 0.5, queries: 8, calls: 1, instances, answers }
    }

    #[test]
    fn answers_are_judged_by_error_and_gap() {
        let answers = vec![
            json!({"values": [[3.0, 2.0]], "expected_values": [1.0]}),
            json!({"values": [[1.0, 0.5]], "expected_values": [-0.25]}),
        ];
        let judgement = judge(&settings(), &[run(answers)]).unwrap();
        // 4 / 25 and 0.25 / 1; the sums miss 8 by 2 and 1 by 0.25.
        let expected = [("squared error", f64::midpoint(0.16, 0.25)), ("gap", 2.0)];
        let expected = expected.map(|(name, number)| (name.to_owned(), number));
        assert_eq!(judgement.runs[0].qualities, expected);
        assert_eq!(judgement.runs[0].per_player, Some(8));
        assert_eq!(judgement.of_truth, 0.5);
    }

    #[test]
    fn an_answer_of_another_form_is_refused() {
        for answer in [
            json!({"values": [[3.0, 2.0]]}),
            json!({"values": [[3.0, 2.0]], "expected_values": [1.0, 2.0]}),
            json!({"values": [[3.0, 2.0, 1.0]], "expected_values": [1.0]}),
            json!({"values": [[null, 2.0]], "expected_values": [1.0]}),
        ] {
            assert!(judge(&settings(), &[run(vec![answer.clone()])]).is_err(), "{answer}");
        }
    }
}
