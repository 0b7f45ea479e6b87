//! Counterfactuals by gradient under comparison: our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Axis};
use serde::{Deserialize, Serialize};
use xai_cem::{CemModel, CemParams, Mode};
use xai_cfproto::{CfProtoModel, CfProtoParams};
use xai_core::tabular::Features;
use xai_core::{
    Differentiable, Explainer, ModelRef, PerFeature, Predictor, Row, Rows, Run, RunConfig,
};
use xai_counterfactual::CounterfactualParams;

use super::report::{Meter, Metered};
use super::{Case, Judgement, PeerMethod, RunJudgement, RunReport};
use crate::networks::Network;

pub(super) mod tasks;

/// The most rows in one call of a network.
const MAX_BATCH: usize = 256;

/// What a side must know to search for counterfactuals; everything else is at its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradientCounterfactualSettings {
    /// The method.
    pub search: Search,
    /// What it may see of the model.
    pub access: ModelAccess,
    /// Whether all instances are explained in one call, by a side that can.
    pub together: bool,
    /// The least and the largest value of each column.
    pub feature_range: (Vec<f64>, Vec<f64>),
    /// What to do with the instances.
    pub runs: Vec<GradientRunSettings>,
}

/// A method with what it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Search {
    /// Contrastive explanations.
    Cem {
        /// Pertinent negatives or positives.
        mode: Mode,
        /// The value of a feature that says nothing.
        no_info_val: f64,
        /// Whether features may lie beyond that value, as those of alibi always may.
        crossing: bool,
    },
    /// Counterfactuals guided by prototypes.
    Cfproto {
        /// The weight of the distance from the prototype.
        theta: f64,
        /// In whose space prototypes are near; without one they are training rows, by a k-d tree.
        encoder: Option<Network>,
    },
    /// The counterfactuals of Wachter, Mittelstadt and Russell.
    Counterfactual,
}

impl Search {
    /// The encoder, where there is one.
    pub(super) fn encoder_mut(&mut self) -> Option<&mut Network> {
        match self {
            Search::Cfproto { encoder, .. } => encoder.as_mut(),
            _ => None,
        }
    }
}

/// What a method may see of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelAccess {
    /// Its gradients.
    WhiteBox,
    /// Its outputs alone.
    BlackBox,
}

/// One call of a method for all instances; nothing is random.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradientRunSettings {}

/// The answer for one instance: the row that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    found: Option<Vec<f64>>,
}

/// From instances to what is found for each.
type Explain<'e> =
    Box<dyn Fn(ModelRef<'_>, &Rows) -> Vec<xai_core::Result<Option<Array1<f64>>>> + 'e>;

impl PeerMethod for GradientCounterfactualSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, case: &Case, runs: &[RunReport], others: &[RunReport]) -> Result<Judgement> {
        judge(self, case, runs, others)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(
    settings: &GradientCounterfactualSettings,
    case: &Case,
    instances: &Rows,
) -> Result<Vec<RunReport>> {
    let model = case.model.differentiable(MAX_BATCH)?;
    let meter = Meter::default();
    let metered = Metered::new(&*model, &meter);
    let access = match settings.access {
        ModelAccess::WhiteBox => ModelRef::WhiteBox(&metered),
        ModelAccess::BlackBox => ModelRef::BlackBox(&metered),
    };
    let encoder = match &settings.search {
        Search::Cfproto { encoder: Some(encoder), .. } => Some(encoder.model(MAX_BATCH)?),
        _ => None,
    };
    let encoder = encoder.as_ref().map(|encoder| Metered::guide(encoder, &meter));
    let encoder = encoder.as_ref().map(|encoder| encoder as &dyn Differentiable);
    let explain = explainer(settings, case, access, encoder)?;
    let each = || instances.axis_chunks_iter(Axis(0), 1);
    each().take(1).try_for_each(|first| explain(access, &first).remove(0).map(drop))?;
    let run = |_: &GradientRunSettings| {
        let all = || {
            if settings.together {
                explain(access, instances)
            } else {
                each().flat_map(|one| explain(access, &one)).collect()
            }
        };
        RunReport::by_processor(&meter, all, |found| Answer {
            found: found.map(|row| row.to_vec()),
        })
    };
    settings.runs.iter().map(run).collect()
}

/// The explainer of the settings, fitted to the case's data where it needs them.
fn explainer<'e>(
    settings: &GradientCounterfactualSettings,
    case: &Case,
    access: ModelRef<'_>,
    encoder: Option<&'e dyn Differentiable>,
) -> Result<Explain<'e>> {
    let runs = RunConfig::seeded(0);
    let features = Features::unnamed(case.instances.ncols())?;
    let (least, most) = settings.feature_range.clone();
    let feature_range = (PerFeature::Each(least), PerFeature::Each(most));
    Ok(match &settings.search {
        Search::Cem { mode, no_info_val, crossing } => {
            let params = CemParams::default()
                .with_mode(*mode)
                .with_no_info_val(Some(PerFeature::All(*no_info_val)))
                .with_crossing(*crossing)
                .with_feature_range(feature_range);
            let explainer = params.build(features)?;
            Box::new(move |model, rows| {
                let model = CemModel { model, autoencoder: None };
                let explained = explainer.explain_many(model, rows, &runs);
                explained
                    .into_iter()
                    .map(|one| Ok(one?.data.result.map(|result| result.row)))
                    .collect()
            })
        }
        Search::Cfproto { theta, .. } => {
            let params = CfProtoParams::default()
                .with_theta(*theta)
                .with_use_kdtree(encoder.is_none())
                .with_feature_range(Some(feature_range));
            let model = CfProtoModel { model: access, encoder, autoencoder: None };
            let explainer = params.fit(model, &case.data, features, &mut Run::seeded(0))?;
            Box::new(move |model, rows| {
                let model = CfProtoModel { model, encoder, autoencoder: None };
                let explained = explainer.explain_many(model, rows, &runs);
                explained.into_iter().map(|one| Ok(one?.data.cf.map(|cf| cf.row))).collect()
            })
        }
        Search::Counterfactual => {
            let params = CounterfactualParams::default().with_feature_range(feature_range);
            let explainer = params.build(features)?;
            Box::new(move |model, rows| {
                let explained = explainer.explain_many(model, rows, &runs);
                explained.into_iter().map(|one| Ok(one?.data.cf.map(|cf| cf.row))).collect()
            })
        }
    })
}

const VALID: &str = "valid answers";
const FOUND: &str = "found";
const DISTANCE: &str = "distance";

/// How often an answer is valid and how often there is one, of the instances that the other side explained too, and how
/// far it is, the mean over those for which both have a valid one.
///
/// # Errors
/// When an answer has another form or another shape, or the model fails.
fn judge(
    settings: &GradientCounterfactualSettings,
    case: &Case,
    runs: &[RunReport],
    others: &[RunReport],
) -> Result<Judgement> {
    let model = case.model.differentiable(MAX_BATCH)?;
    let model: &dyn Predictor = &*model;
    let distances = |run: &RunReport| {
        let mut distances = Vec::new();
        for (answer, instance) in run.answers.iter().zip(case.instances.rows()) {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            let found = answer.found.map(Array1::from);
            let distance =
                |found: &Array1<f64>| distance(&settings.search, model, &instance, found);
            distances.push(found.as_ref().map(distance).transpose()?);
        }
        anyhow::Ok(distances)
    };
    let judge = |(index, run): (usize, &RunReport)| {
        let mut found = distances(run)?;
        let other = others.get(index).map_or_else(|| Ok(found.clone()), distances)?;
        found.truncate(other.len());
        let both = found.iter().zip(&other).filter(|(_, other)| matches!(other, Some(Some(_))));
        let shared: Vec<f64> = both.filter_map(|(found, _)| found.flatten()).collect();
        let share = |n: usize| n as f64 / found.len() as f64;
        let qualities = vec![
            (VALID.to_owned(), share(found.iter().flatten().flatten().count())),
            (FOUND.to_owned(), share(found.iter().flatten().count())),
            (DISTANCE.to_owned(), shared.iter().sum::<f64>() / shared.len() as f64),
        ];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement {
        runs: runs.iter().enumerate().map(judge).collect::<Result<_>>()?,
        of_truth: 0.0,
    })
}

/// How far an answer is from where the search starts, if it is valid: the model is asked again about the row that was
/// handed in.
///
/// The distance is `l1` for the counterfactuals of Wachter et al., else `beta * l1` plus the sum of squares.
///
/// # Errors
/// When the answer has another width, or the model fails.
fn distance(
    search: &Search,
    model: &dyn Predictor,
    instance: &Row,
    found: &Array1<f64>,
) -> Result<Option<f64>> {
    ensure!(found.len() == instance.len(), "an answer has {} columns", found.len());
    let outputs = |row: &Row| -> Result<Array1<f64>> {
        let rows = row.view().insert_axis(Axis(0));
        Ok(Run::seeded(0).predict(model, &rows)?.row(0).to_owned())
    };
    let class = |outputs: &Array1<f64>| {
        (0..outputs.len())
            .fold(0, |best, class| if outputs[best] < outputs[class] { class } else { best })
    };
    let (before, after) = (outputs(instance)?, outputs(found)?);
    let own_class = class(&before);
    let change = found - &instance.view();
    let l1 = |change: &Array1<f64>| change.iter().map(|value| value.abs()).sum::<f64>();
    let elastic_net = |beta: f64, change: &Array1<f64>| beta * l1(change) + change.dot(change);
    let (is_valid, distance) = match search {
        Search::Cem { mode, no_info_val, .. } => {
            let beta = CemParams::default().beta;
            match mode {
                Mode::PertinentNegative => (class(&after) != own_class, elastic_net(beta, &change)),
                Mode::PertinentPositive => {
                    (class(&after) == own_class, elastic_net(beta, &(found - *no_info_val)))
                }
            }
        }
        Search::Cfproto { .. } => {
            (class(&after) != own_class, elastic_net(CfProtoParams::default().beta, &change))
        }
        Search::Counterfactual => {
            let CounterfactualParams { target_proba, tol, .. } = CounterfactualParams::default();
            let others = (0..after.len()).filter(|&other| other != own_class);
            let largest = others.fold(0.0_f64, |best, other| best.max(after[other]));
            ((largest - target_proba).abs() <= tol, l1(&change))
        }
    };
    Ok(is_valid.then_some(distance))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "shares of few instances are exact")]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::models::{Activation, Dense, Head, Layer, Model};
    use crate::peers::{Generator, Method, Report, Sources, TASKS};

    fn cases(name: &str) -> Result<Vec<Case>> {
        let find = |(task, generate): &(&str, Generator)| (*task == name).then_some(*generate);
        let generate = TASKS.iter().find_map(find).context("a task of this name")?;
        generate(&Sources { adult: None })
    }

    /// Two classes with the odds `exp(x0)`; the second column says nothing. Instance `[1, 0]` three times.
    fn logistic(search: Search) -> (GradientCounterfactualSettings, Case) {
        let layer = Layer { weight: array![[1.0, 0.0], [0.0, 0.0]], bias: array![0.0, 0.0] };
        let network =
            Dense { layers: vec![layer], activation: Activation::Relu, head: Head::Softmax };
        let settings = GradientCounterfactualSettings {
            search,
            access: ModelAccess::WhiteBox,
            together: false,
            feature_range: (vec![-9.0; 2], vec![9.0; 2]),
            runs: vec![GradientRunSettings {}],
        };
        let case = cases("cem").map(|mut cases| cases.remove(0)).expect("the task has cases");
        let case = Case {
            explainer: Method::GradientCounterfactual(settings.clone()),
            model: Model::Dense(network),
            data: Array2::zeros((0, 2)),
            instances: array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]],
            ..case
        };
        (settings, case)
    }

    fn run(found: &[Option<[f64; 2]>]) -> RunReport {
        let answer = |found: &Option<[f64; 2]>| serde_json::json!({ "found": found });
        RunReport {
            seconds: 1.0,
            model_seconds: 1.0,
            queries: 1,
            calls: 1,
            instances: found.len(),
            answers: found.iter().map(answer).collect(),
        }
    }

    #[test]
    fn answers_are_judged_by_what_the_model_says_of_them() -> Result<()> {
        let positive =
            Search::Cem { mode: Mode::PertinentPositive, no_info_val: 2.0, crossing: false };
        let negative =
            Search::Cem { mode: Mode::PertinentNegative, no_info_val: 0.0, crossing: false };
        let prototype = Search::Cfproto { theta: 1.0, encoder: None };
        // A row beyond the boundary, one before it, and the distance of the valid one.
        for (search, valid, invalid, expected) in [
            (negative, [-1.0, 0.5], [0.5, 3.0], 0.1 * 2.5 + 4.25),
            (prototype, [-1.0, 0.5], [0.5, 3.0], 0.1 * 2.5 + 4.25),
            (positive, [1.0, 2.0], [-1.0, 2.0], 0.1 + 1.0),
            // The probability of the other class is 1 / (1 + exp(x0)): 0.982 and 0.731.
            (Search::Counterfactual, [-4.0, 0.5], [-1.0, 0.5], 5.5),
        ] {
            let (settings, case) = logistic(search);
            let found = run(&[Some(valid), Some(invalid), None]);
            let judgement = judge(&settings, &case, &[found], &[])?;
            let qualities = &judgement.runs[0].qualities;
            assert_eq!((qualities[0].1, qualities[1].1), (1.0 / 3.0, 2.0 / 3.0), "{settings:?}");
            assert!((qualities[2].1 - expected).abs() < 1e-12, "{settings:?} {qualities:?}");
        }
        Ok(())
    }

    #[test]
    fn distances_are_those_of_instances_that_both_have_answers_for() -> Result<()> {
        let (settings, case) = logistic(Search::Counterfactual);
        let three_rows = || run(&[Some([-4.0, 0.0]), Some([-5.0, 0.0]), Some([-6.0, 0.0])]);
        // The second answer is not valid, the third is missing.
        let other = run(&[Some([-7.0, 0.0]), Some([-1.0, 0.0])]);
        let distance = |others: &[RunReport]| -> Result<f64> {
            Ok(judge(&settings, &case, &[three_rows()], others)?.runs[0].qualities[2].1)
        };
        assert_eq!(distance(&[])?, 6.0);
        assert_eq!(distance(&[other])?, 5.0);
        assert!(distance(&[run(&[None])])?.is_nan());
        Ok(())
    }

    #[test]
    fn an_answer_of_another_width_is_refused() {
        let (settings, case) = logistic(Search::Counterfactual);
        let mut other = run(&[None]);
        other.answers[0] = serde_json::json!({ "found": [1.0, 2.0, 3.0] });
        assert!(judge(&settings, &case, &[other], &[]).is_err());
    }

    #[test]
    fn ours_answers_every_case_of_the_irises_and_the_model_agrees() -> Result<()> {
        for name in ["cem", "cfproto", "counterfactual"] {
            let folder = tempfile::tempdir()?;
            for case in cases(name)? {
                case.write(folder.path())?;
                let read = Case::read(&folder.path().join(format!("{}.json", case.case)))?;
                assert_eq!(read.instances, case.instances);
                if !case.case.starts_with("iris") {
                    continue;
                }
                let report = Report::of(&read, Some(1))?;
                let run = &report.runs[0];
                assert!(run.queries > 0 && run.model_seconds < run.seconds, "{name} {run:?}");
                let judgement = Judgement::of(&read, &report, None)?;
                assert_eq!(judgement.runs[0].qualities[0], (VALID.to_owned(), 1.0), "{name}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_batch_finds_what_each_row_finds_alone() -> Result<()> {
        // On more threads a call of so few rows would be cut into single ones.
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        let of_name = |case: &Case| case.case == "digits-batch";
        let mut case = cases("cem")?.into_iter().find(of_name).context("a batch")?;
        let together = one_thread.install(|| Report::of(&case, Some(8)))?;
        if let Method::GradientCounterfactual(settings) = &mut case.explainer {
            settings.together = false;
        }
        let alone = one_thread.install(|| Report::of(&case, Some(8)))?;
        assert_eq!(together.runs[0].answers, alone.runs[0].answers);
        assert!(together.runs[0].calls < alone.runs[0].calls);
        Ok(())
    }
}
