//! Grid counterfactuals under comparison: the task, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Axis, s};
use serde::{Deserialize, Serialize};
use xai_core::tabular::{FeatureKey, Features};
use xai_core::{Explainer, Predictor, Row, Rows, RunConfig, Semantics, serde_arrays};
use xai_gridcf::{AnswerScope, GridCounterfactualParams};

use super::{
    Bound, Case, Contender, Goal, Judgement, Measure, Method, PeerMethod, Ratio, RunJudgement,
    RunReport, Sources, TaskAbout,
};
use crate::adult::Adult;
use crate::models::{Dense, Model, classes};

/// Rows of Adult before this one are the training part.
const ADULT_TEST: usize = 30_000;

/// What a side must know to search a grid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GridCounterfactualSettings {
    /// The columns that may change.
    pub changing: Vec<usize>,
    /// The columns that hold categories.
    pub categorical: Vec<usize>,
    /// The step of all other columns.
    pub step: f64,
    /// The most columns that change together.
    pub length: usize,
    /// Whether only the closest of all answers is wanted; a side that knows no such thing gives all of them.
    pub closest: bool,
    /// What to do with the instances.
    pub runs: Vec<GridRunSettings>,
}

/// One call of a method for all instances; nothing is random.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GridRunSettings {}

/// The answer for one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    counterfactuals: Vec<Vec<f64>>,
    distances: Vec<f64>,
}

/// The bundled table and network of irises.
#[derive(Deserialize)]
struct Iris {
    model: Dense,
    #[serde(with = "serde_arrays")]
    data: Array2<f64>,
}

/// All tasks' cases: irises in steps of a millimetre, and five columns of Adult.
pub(super) fn tasks(sources: &Sources) -> Result<Vec<Case>> {
    let task = TaskAbout {
        name: "grid-counterfactual".to_owned(),
        title: "Grid counterfactuals".to_owned(),
        about: [
            "The reference semantics on our side, whose answers are those of FAT Forensics: for each set of columns the closest points of the grid with another class.",
            "Cases `iris`: 150 rows of 4 columns in steps of 0.1, a network with 16 relu units, 9 instances (every 53rd row, 3 of each class); `length-2` is a grid of 7,523 points, `length-3` of 168,599.",
            "Case `adult-length-2`: age, education, occupation, marital status and hours a week of rows of UCI Adult, numbers in steps of 5, a network with 32 and 16 relu units, 10 instances.",
            "In cases `closest` we search for the closest of all answers alone, which FAT Forensics does not offer; it gives all of them.",
            "Where a set of columns has no answer, only asking for all its points proves it, so that the queries depend on how far the answers are.",
            "`agreement` is the share of instances whose answers are those of exhaustive search, to the bit (in cases `closest` the first of them); `distance` is that of the closest answer, the mean over the instances that have one.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: Some(30_000_000),
    };
    let fatf = |instances| {
        let goal = |ratio, bound| Goal { ratio, bound };
        let goals = vec![
            goal(Ratio::Speed, Bound::AtLeast(100.0)),
            goal(Ratio::Queries, Bound::AtMost(0.1)),
            goal(Ratio::Quality(AGREEMENT.to_owned()), Bound::AtLeast(1.0)),
        ];
        Contender { peer: "fatf".into(), method: "default".into(), instances, goals }
    };
    let iris: Iris = serde_json::from_str(include_str!("../../peers/models/iris.json"))?;
    let chosen: Vec<usize> = (0..9).map(|index| index * 53 % iris.data.nrows()).collect();
    let instances = iris.data.select(Axis(0), &chosen);
    let mut cases = Vec::new();
    for (length, n_instances) in [(2, 9), (3, 3)] {
        for closest in [false, true] {
            let suffix = if closest { "-closest" } else { "" };
            let settings = GridCounterfactualSettings {
                changing: (0..4).collect(),
                categorical: Vec::new(),
                step: 0.1,
                length,
                closest,
                runs: vec![GridRunSettings {}],
            };
            cases.push(Case {
                task: task.clone(),
                case: format!("iris-length-{length}{suffix}"),
                contenders: vec![fatf(n_instances)],
                model_share_goal: None,
                explainer: Method::GridCounterfactual(settings),
                model: Model::Dense(iris.model.clone()),
                data: iris.data.clone(),
                instances: instances.clone(),
            });
        }
    }
    let Some(folder) = &sources.adult else { return Ok(cases) };
    let adult = Adult::load(folder)?;
    let names = adult.coded.names();
    let column =
        |name: &str| names.iter().position(|other| other == name).context("a column of Adult");
    let changing = ["Age", "Education", "Marital Status", "Occupation", "Hours per week"];
    let changing = changing.into_iter().map(column).collect::<Result<Vec<_>>>()?;
    let categorical: Vec<usize> = adult.coded.categorical_names().into_keys().collect();
    for closest in [false, true] {
        let suffix = if closest { "-closest" } else { "" };
        let settings = GridCounterfactualSettings {
            changing: changing.clone(),
            categorical: categorical.clone(),
            step: 5.0,
            length: 2,
            closest,
            runs: vec![GridRunSettings {}],
        };
        cases.push(Case {
            task: task.clone(),
            case: format!("adult-length-2{suffix}"),
            contenders: vec![fatf(10)],
            model_share_goal: None,
            explainer: Method::GridCounterfactual(settings),
            model: Model::EncodedDense(adult.over_codes(&adult.network)),
            data: adult.codes.slice(s![..ADULT_TEST, ..]).to_owned(),
            instances: adult.codes.slice(s![ADULT_TEST..ADULT_TEST + 10, ..]).to_owned(),
        });
    }
    Ok(cases)
}

impl PeerMethod for GridCounterfactualSettings {
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
    settings: &GridCounterfactualSettings,
    case: &Case,
    instances: &Rows,
) -> Result<Vec<RunReport>> {
    let model = case.model.predictor()?;
    let keys = |columns: &[usize]| columns.iter().map(|&column| FeatureKey::from(column)).collect();
    let has_categories = !settings.categorical.is_empty();
    let params = GridCounterfactualParams::default()
        .with_counterfactual_feature_indices(Some(keys(&settings.changing)))
        .with_categorical_indices(has_categories.then(|| keys(&settings.categorical)))
        .with_default_numerical_step_size(settings.step)
        .with_max_counterfactual_length(settings.length)
        .with_answers(if settings.closest { AnswerScope::Closest } else { AnswerScope::EachSet })
        .with_semantics(Semantics::Reference);
    let explainer = params.fit(&case.data, Features::unnamed(case.data.ncols())?)?;
    let runs = RunConfig::seeded(0);
    explainer.explain(model, &instances.row(0), runs.run(0))?;
    let run = |_: &GridRunSettings| {
        let explain = |model: &dyn Predictor| explainer.explain_many(model, instances, &runs);
        RunReport::timed(model, explain, |explanation| Answer {
            counterfactuals: explanation
                .data
                .counterfactuals
                .rows()
                .into_iter()
                .map(|row| row.to_vec())
                .collect(),
            distances: explanation.data.distances.to_vec(),
        })
    };
    settings.runs.iter().map(run).collect()
}

const AGREEMENT: &str = "agreement";
const DISTANCE: &str = "distance";
const ANSWERS: &str = "answers";

/// How often the answers are those of exhaustive search, how far the closest is, and how many there are.
///
/// # Errors
/// When an answer has another form, or the model fails.
fn judge(
    settings: &GridCounterfactualSettings,
    case: &Case,
    runs: &[RunReport],
) -> Result<Judgement> {
    let mut truths = Vec::new();
    for instance in case.instances.rows() {
        truths.push(exhaust(settings, case, &instance)?);
    }
    let judge = |run: &RunReport| {
        let (mut agreement, mut distances, mut answers) = (0.0, Vec::new(), 0.0);
        for (answer, truth) in run.answers.iter().zip(&truths) {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            ensure!(
                answer.counterfactuals.len() == answer.distances.len(),
                "an answer has distances for other rows"
            );
            let mut got: Vec<(f64, Vec<f64>)> =
                answer.distances.iter().copied().zip(answer.counterfactuals).collect();
            got.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| by_cells(&a.1, &b.1)));
            let first = got.first().map(|answer| answer.0);
            let closest = |answer: &&(f64, Vec<f64>)| !settings.closest || Some(answer.0) == first;
            let same = got.iter().filter(closest).eq(truth.iter().filter(closest));
            agreement += f64::from(u8::from(same));
            distances.extend(first);
            answers += got.len() as f64;
        }
        let mean = |name: &str, total: f64| (name.to_owned(), total / run.answers.len() as f64);
        // Of those that have an answer.
        let distance = distances.iter().sum::<f64>() / distances.len() as f64;
        let qualities = vec![
            mean(AGREEMENT, agreement),
            (DISTANCE.to_owned(), distance),
            mean(ANSWERS, answers),
        ];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement { runs: runs.iter().map(judge).collect::<Result<_>>()?, of_truth: 0.0 })
}

fn by_cells(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let cells = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
    cells.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// The answers of exhaustive search, by distance and cells: the rules of FAT Forensics, point by point.
///
/// The grid of a number is that of `numpy.arange` from its least to its largest value in the data, the end left out; that
/// of a category are the other categories in the data.
/// For each set of columns the closest points of another class are answers, whether all its columns change or not.
#[allow(clippy::float_cmp, reason = "ties and categories are compared to the bit")]
fn exhaust(
    settings: &GridCounterfactualSettings,
    case: &Case,
    instance: &Row,
) -> Result<Vec<(f64, Vec<f64>)>> {
    let model = case.model.predictor()?;
    let instance_class = classes(model, &instance.view().insert_axis(Axis(0)))?[0];
    let is_category = |column: usize| settings.categorical.contains(&column);
    let grid = |&column: &usize| -> Vec<f64> {
        let mut values = case.data.column(column).to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if is_category(column) {
            values.retain(|&value| value != instance[column]);
            return values;
        }
        let (min, max) = (values[0], values[values.len() - 1]);
        let second = min + settings.step;
        let multiples = (0..)
            .map(|index| if index == 1 { second } else { min + f64::from(index) * (second - min) });
        let n = (0..).take_while(|&index| f64::from(index) < (max - min) / settings.step).count();
        multiples.take(n).collect()
    };
    let grids: Vec<Vec<f64>> = settings.changing.iter().map(grid).collect();
    let distance = |row: &[f64]| {
        let columns = row.iter().zip(instance).enumerate();
        columns.fold(0.0, |sum, (column, (a, b))| {
            sum + if is_category(column) { f64::from(u8::from(a != b)) } else { (a - b).abs() }
        })
    };
    let mut answers: Vec<(f64, Vec<f64>)> = Vec::new();
    for mask in 1_u32..1 << grids.len() {
        if settings.length < mask.count_ones() as usize {
            continue;
        }
        let mut rows = vec![instance.to_vec()];
        for place in (0..grids.len()).filter(|place| mask >> place & 1 == 1) {
            let extended = rows.iter().flat_map(|row| {
                grids[place].iter().map(|&value| {
                    let mut row = row.clone();
                    row[settings.changing[place]] = value;
                    row
                })
            });
            rows = extended.collect();
        }
        let table = Array2::from_shape_vec((rows.len(), instance.len()), rows.concat())?;
        let other = classes(model, &table)?.into_iter().zip(rows);
        let found: Vec<(f64, Vec<f64>)> = other
            .filter(|(class, _)| *class != instance_class)
            .map(|(_, row)| (distance(&row), row))
            .collect();
        let least = found.iter().map(|answer| answer.0).fold(f64::INFINITY, f64::min);
        for answer in found.into_iter().filter(|answer| answer.0 == least) {
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
    }
    answers.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| by_cells(&a.1, &b.1)));
    Ok(answers)
}
