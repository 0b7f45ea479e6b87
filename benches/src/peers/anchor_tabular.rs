//! Anchors of tables under comparison: the task, our answers, and what answers are worth.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Axis, s};
use serde::{Deserialize, Serialize};
use xai_anchors::{AnchorTabularData, AnchorTabularParams, RuleCondition};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Explainer, Predictor, Row, Rows, RunConfig, Seed, Stream};

use super::{
    Bound, Case, Contender, Goal, Judgement, Measure, Method, PeerMethod, Ratio, RunJudgement,
    RunReport, Sources, TaskAbout,
};
use crate::adult::Adult;
use crate::models::{Model, classes};

/// Rows of Adult before this one are the training part.
const ADULT_TEST: usize = 30_000;

/// Fresh rows that the judge draws for each instance.
const FRESH: usize = 10_000;

/// What a side must know to search for anchors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorTabularSettings {
    /// The name of each column.
    pub feature_names: Vec<String>,
    /// The columns that hold codes; all others hold numbers.
    pub categorical: Vec<Categories>,
    /// The precision that an anchor must have, in `(0, 1]`.
    pub threshold: f64,
    /// What to do with the instances.
    pub runs: Vec<AnchorRunSettings>,
}

/// What the codes of a column mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Categories {
    /// The column.
    pub column: usize,
    /// The name of each code from 0 on.
    pub categories: Vec<String>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnchorRunSettings {
    /// The seed.
    pub seed: u64,
}

/// The answer for one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    /// All of them hold for the instance.
    predicates: Vec<Predicate>,
    /// The precision that the side claims.
    precision: f64,
    /// The coverage that the side claims.
    coverage: f64,
    /// Whether the side claims to have found an anchor.
    success: bool,
}

/// A condition on a column: a code, or bounds of which one may be absent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Predicate {
    column: usize,
    code: Option<f64>,
    /// The number is larger.
    lower: Option<f64>,
    /// The number is at most this.
    upper: Option<f64>,
}

impl Predicate {
    #[allow(clippy::float_cmp, reason = "codes are whole numbers")]
    fn holds(&self, row: &Row) -> bool {
        let value = row[self.column];
        self.code.is_none_or(|code| value == code)
            && self.lower.is_none_or(|lower| lower < value)
            && self.upper.is_none_or(|upper| value <= upper)
    }
}

/// Anchors at default settings: rows of Adult, codes and numbers as they are.
pub(super) fn adult(sources: &Sources) -> Result<Vec<Case>> {
    const ROWS: usize = 25;
    let Some(folder) = &sources.adult else { return Ok(Vec::new()) };
    let task = TaskAbout {
        name: "anchor-tabular-adult".to_owned(),
        title: "Anchors on Adult".to_owned(),
        about: [
            "25 rows of UCI Adult, 4 numbers and 8 codes of categories in 12 columns, 30,000 training rows, threshold 0.95, both sides at their defaults otherwise.",
            "Case `logistic` is a logistic model, case `network` a network with 32 and 16 relu units; both take codes and encode them themselves.",
            "The precision on fresh samples is judged on 10,000 new rows for each anchor, drawn from the distribution of perturbed rows; the coverage is the share of training rows that satisfy the anchor; `found` is the share of rows for which the side claims to have met the threshold.",
        ]
        .map(str::to_owned)
        .to_vec(),
        measure: Measure::Speed,
        processor_time: false,
        memory_goal: None,
    };
    let goal = |ratio, bound| Goal { ratio, bound };
    let quality = |name: &str| Ratio::Quality(name.to_owned());
    let goals = vec![
        goal(Ratio::Speed, Bound::AtLeast(40.0)),
        goal(quality(COVERAGE), Bound::AtLeast(1.1)),
        goal(quality(PRECISION), Bound::AtLeast(1.0)),
        goal(Ratio::Queries, Bound::AtMost(1.0)),
    ];
    let alibi =
        Contender { peer: "alibi".into(), method: "default".into(), instances: ROWS, goals };
    let adult = Adult::load(folder)?;
    ensure!(ADULT_TEST + ROWS <= adult.codes.nrows(), "adult.csv has too few rows");
    let categorical = adult.coded.categorical_names().into_iter();
    let settings = AnchorTabularSettings {
        feature_names: adult.coded.names(),
        categorical: categorical
            .map(|(column, categories)| Categories { column, categories })
            .collect(),
        threshold: 0.95,
        runs: vec![AnchorRunSettings { seed: 0 }],
    };
    let case = |name: &str, network| Case {
        task: task.clone(),
        case: name.to_owned(),
        contenders: vec![alibi.clone()],
        model_share_goal: Some(0.5),
        explainer: Method::AnchorTabular(settings.clone()),
        model: Model::EncodedDense(adult.over_codes(network)),
        data: adult.codes.slice(s![..ADULT_TEST, ..]).to_owned(),
        instances: adult.codes.slice(s![ADULT_TEST..ADULT_TEST + ROWS, ..]).to_owned(),
    };
    Ok(vec![case("logistic", &adult.logistic), case("network", &adult.network)])
}

impl PeerMethod for AnchorTabularSettings {
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>> {
        explain(self, case, instances)
    }

    fn judge(&self, case: &Case, runs: &[RunReport], _: &[RunReport]) -> Result<Judgement> {
        judge(case, runs)
    }
}

/// Our answers.
///
/// # Errors
/// Those of the explainer.
fn explain(
    settings: &AnchorTabularSettings,
    case: &Case,
    instances: &Rows,
) -> Result<Vec<RunReport>> {
    let model = case.model.predictor()?;
    let feature = |(column, name): (usize, &String)| {
        let codes = settings.categorical.iter().find(|categorical| categorical.column == column);
        codes.map_or_else(
            || Feature::numeric(name),
            |codes| Feature::categorical(name, codes.categories.iter().cloned(), Encoding::Ordinal),
        )
    };
    let features = settings.feature_names.iter().enumerate().map(feature).collect();
    let params = AnchorTabularParams::default().with_threshold(settings.threshold);
    let explainer = params.fit(&case.data, Features::new(features)?)?;
    let run = |(index, run): (usize, &AnchorRunSettings)| {
        let runs = RunConfig::seeded(run.seed);
        if index == 0 {
            explainer.explain(model, &instances.row(0), runs.run(0))?;
        }
        let explain = |model: &dyn Predictor| explainer.explain_many(model, instances, &runs);
        RunReport::timed(model, explain, |explanation| answer(&explanation.data))
    };
    settings.runs.iter().enumerate().map(run).collect()
}

fn answer(data: &AnchorTabularData) -> Answer {
    let predicate = |condition: &RuleCondition| Predicate {
        column: condition.feature,
        code: condition.code.map(|code| code as f64),
        lower: condition.lower,
        upper: condition.upper,
    };
    Answer {
        predicates: data.rule.conditions.iter().map(predicate).collect(),
        precision: data.result.precision,
        coverage: data.result.coverage,
        success: data.result.valid,
    }
}

const PRECISION: &str = "precision on fresh samples";
const COVERAGE: &str = "coverage";
const FOUND: &str = "found";

/// Precision on fresh samples, coverage of the training rows, and how often an anchor was found.
///
/// # Errors
/// When an answer has another form, a predicate does not hold for its instance, or the model fails.
fn judge(case: &Case, runs: &[RunReport]) -> Result<Judgement> {
    let model = case.model.predictor()?;
    let judge = |run: &RunReport| {
        let (mut precision, mut coverage, mut found) = (0.0, 0.0, 0.0);
        for (index, answer) in run.answers.iter().enumerate() {
            let answer: Answer = serde_json::from_value(answer.clone()).context("an answer")?;
            let instance = case.instances.row(index);
            for predicate in &answer.predicates {
                ensure!(
                    predicate.column < instance.len() && predicate.holds(&instance),
                    "instance {index} does not satisfy {predicate:?}"
                );
            }
            let mut stream = Seed::new(0).child(index as u64).stream();
            let fresh = perturbed(&answer.predicates, &instance, &case.data, &mut stream);
            let class = classes(model, &instance.insert_axis(Axis(0)))?[0];
            let agree =
                classes(model, &fresh)?.iter().filter(|&&fresh_class| fresh_class == class).count();
            let covered = satisfying(&answer.predicates, &case.data).len();
            precision += agree as f64 / FRESH as f64;
            coverage += covered as f64 / case.data.nrows() as f64;
            found += f64::from(u8::from(answer.success));
        }
        let mean = |name: &str, total: f64| (name.to_owned(), total / run.answers.len() as f64);
        let qualities =
            vec![mean(PRECISION, precision), mean(COVERAGE, coverage), mean(FOUND, found)];
        Ok(RunJudgement { per_player: None, qualities })
    };
    Ok(Judgement { runs: runs.iter().map(judge).collect::<Result<_>>()?, of_truth: 0.0 })
}

/// [`FRESH`] training rows, drawn uniformly, whose columns under a predicate are overwritten so that it holds.
///
/// A category becomes that of the predicate.
/// Numbers come together from one training row that satisfies all predicates, drawn anew for each sample; where there is
/// none, each comes from a row that satisfies the predicates on its column, or else from the instance.
fn perturbed(
    predicates: &[Predicate],
    instance: &Row,
    data: &Array2<f64>,
    stream: &mut Stream,
) -> Array2<f64> {
    let together = satisfying(predicates, data);
    let mut columns: Vec<usize> = predicates.iter().map(|predicate| predicate.column).collect();
    columns.sort_unstable();
    columns.dedup();
    let rows_of = |column: usize| {
        let on_column: Vec<_> = predicates.iter().filter(|p| p.column == column).copied().collect();
        (column, satisfying(&on_column, data))
    };
    let alone: Vec<(usize, Vec<usize>)> = columns.into_iter().map(rows_of).collect();
    let mut fresh = Array2::zeros((FRESH, data.ncols()));
    for mut row in fresh.rows_mut() {
        row.assign(&data.row(stream.index(data.nrows())));
        let joint = (!together.is_empty()).then(|| together[stream.index(together.len())]);
        for (column, rows) in &alone {
            let source =
                joint.or_else(|| (!rows.is_empty()).then(|| rows[stream.index(rows.len())]));
            // Rows that satisfy a predicate on a category have its code, and so has the instance.
            row[*column] = source.map_or(instance[*column], |source| data[[source, *column]]);
        }
    }
    fresh
}

/// The rows for which all predicates hold.
fn satisfying(predicates: &[Predicate], data: &Array2<f64>) -> Vec<usize> {
    let holds = |row: &usize| predicates.iter().all(|one| one.holds(&data.row(*row)));
    (0..data.nrows()).filter(holds).collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers and their shares are exact")]
mod tests {
    use ndarray::array;
    use serde_json::{Value, json};

    use super::*;
    use crate::models::{
        Activation, CategoricalColumn, Dense, EncodedDense, Head, Layer, NumericColumn,
    };

    /// Class 1 where the code is 1 and the number above 2: elsewhere the code 0 takes 100 from the score.
    fn case() -> Case {
        let weight = array![[0.0, 1.0], [0.0, -100.0], [0.0, 0.0]];
        let layers = vec![Layer { weight, bias: array![0.0, 0.0] }];
        Case {
            task: TaskAbout {
                name: String::new(),
                title: String::new(),
                about: Vec::new(),
                measure: Measure::Speed,
                processor_time: false,
                memory_goal: None,
            },
            case: String::new(),
            contenders: Vec::new(),
            model_share_goal: None,
            explainer: Method::AnchorTabular(AnchorTabularSettings {
                feature_names: vec!["number".into(), "code".into()],
                categorical: Vec::new(),
                threshold: 0.95,
                runs: vec![AnchorRunSettings { seed: 0 }],
            }),
            model: Model::EncodedDense(EncodedDense {
                numeric: vec![NumericColumn { column: 0, mean: 2.0, deviation: 1.0 }],
                categorical: vec![CategoricalColumn { column: 1, n_categories: 2 }],
                network: Dense { layers, activation: Activation::Relu, head: Head::Softmax },
            }),
            data: array![[0.0, 0.0], [1.0, 1.0], [3.0, 0.0], [4.0, 1.0]],
            instances: array![[4.0, 1.0]],
        }
    }

    fn judged(predicates: &Value) -> Result<Vec<f64>> {
        let answer = json!({
            "predicates": predicates, "precision": 0.5, "coverage": 0.5, "success": true
        });
        let (queries, calls) = (8, 1);
        let answers = vec![answer];
        let run =
            RunReport { seconds: 1.0, model_seconds: 0.5, queries, calls, instances: 1, answers };
        let judgement = judge(&case(), &[run])?;
        Ok(judgement.runs[0].qualities.iter().map(|(_, number)| *number).collect())
    }

    #[track_caller]
    fn check(predicates: &Value, precision: f64, coverage: f64) {
        let found = judged(predicates).unwrap();
        // Five standard errors of a share.
        let bound = 5.0 * (precision * (1.0 - precision) / FRESH as f64).sqrt();
        assert!((found[0] - precision).abs() <= bound, "{predicates}: {found:?}");
        assert_eq!(found[1..], [coverage, 1.0], "{predicates}");
    }

    #[test]
    fn anchors_are_judged_on_fresh_rows() {
        // One row of four is of class 1.
        check(&json!([]), 0.25, 1.0);
        // The codes stay, and half of the numbers are above 2.
        check(&json!([{"column": 1, "code": 1.0}]), 0.5, 0.5);
        // Both come from the only row that satisfies both.
        let number = json!({"column": 0, "lower": 2.0, "upper": null});
        check(&json!([{"column": 1, "code": 1.0}, number]), 1.0, 0.25);
    }

    #[test]
    fn a_predicate_that_its_instance_does_not_satisfy_is_refused() {
        for predicate in [
            json!({"column": 1, "code": 0.0}),
            json!({"column": 0, "lower": 4.0, "upper": null}),
            json!({"column": 0, "lower": null, "upper": 3.0}),
            json!({"column": 2, "code": 0.0}),
        ] {
            assert!(judged(&json!([predicate])).is_err(), "{predicate}");
        }
    }

    /// No row satisfies both, so each column is drawn from the rows that satisfy its predicate; where there is none it
    /// stays as in the instance.
    #[test]
    fn columns_that_no_row_joins_are_drawn_apart() {
        let data = array![[0.0, 0.0], [1.0, 1.0], [3.0, 0.0], [5.0, 0.0]];
        let number = Predicate { column: 0, code: None, lower: Some(2.0), upper: None };
        let code = Predicate { column: 1, code: Some(1.0), lower: None, upper: None };
        let mut stream = Seed::new(0).stream();
        let fresh = perturbed(&[number, code], &array![7.0, 1.0], &data, &mut stream);
        assert!(fresh.rows().into_iter().all(|row| [3.0, 5.0].contains(&row[0]) && row[1] == 1.0));
        let above = Predicate { lower: Some(6.0), ..number };
        let fresh = perturbed(&[above, code], &array![7.0, 1.0], &data, &mut stream);
        assert!(fresh.column(0).iter().all(|&value| value == 7.0));
    }
}
