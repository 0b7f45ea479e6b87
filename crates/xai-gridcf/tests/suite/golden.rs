//! Numbers computed by FAT Forensics; the test kit's fixtures say how.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking, and compares exact values and codes"
)]

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use serde::Deserialize;
use serde_json::Value;
use xai_core::tabular::{Encoding, Feature, FeatureKey, Features};
use xai_core::{Explainer, Explanation, Predictor, Run, Semantics, Stop};
use xai_gridcf::{
    AnswerScope, FeatureRange, GridCounterfactualData, GridCounterfactualParams, Prediction, Target,
};
use xai_testkit::{Elementwise, Fixture, reference};

/// A case as it stands in the file. Cells are numbers or text, and the dataset of the network is only named.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: Option<String>,
    columns: Option<Vec<String>>,
    dataset: Value,
    instance: Vec<Value>,
    max_counterfactual_length: usize,
    counterfactual_class: Option<i64>,
    #[serde(default)]
    normalise_distance: bool,
    default_numerical_step_size: Option<f64>,
    counterfactual_feature_indices: Option<Vec<FeatureKey>>,
    categorical_indices: Option<Vec<FeatureKey>>,
    step_sizes: Option<BTreeMap<FeatureKey, f64>>,
    feature_ranges: Option<BTreeMap<FeatureKey, (f64, f64)>>,
    counterfactuals: Vec<Vec<Value>>,
    distances: Vec<f64>,
    predictions: Vec<Prediction>,
    instance_class: Option<i64>,
    grid_rows_predicted: Option<u64>,
}

impl Case {
    fn params(&self) -> GridCounterfactualParams {
        let ranges = self.feature_ranges.iter().flatten();
        let default = GridCounterfactualParams::default();
        default
            .with_max_counterfactual_length(self.max_counterfactual_length)
            .with_counterfactual_class(
                self.counterfactual_class.map(|class| Target::Class(class.into())),
            )
            .with_normalise_distance(self.normalise_distance)
            .with_default_numerical_step_size(self.default_numerical_step_size.unwrap_or(1.0))
            .with_counterfactual_feature_indices(self.counterfactual_feature_indices.clone())
            .with_categorical_indices(self.categorical_indices.clone())
            .with_step_sizes(self.step_sizes.clone().unwrap_or_default())
            .with_feature_ranges(
                ranges
                    .map(|(key, &(min, max))| (key.clone(), FeatureRange::between(min, max)))
                    .collect(),
            )
            .with_semantics(Semantics::Reference)
    }

    /// The same case of our table, model and names.
    fn explain(&self, params: GridCounterfactualParams) -> Explanation<GridCounterfactualData> {
        let (features, dataset, model, params) = match (&self.model, &self.columns) {
            (Some(name), _) => {
                let fixture = Fixture::load(name);
                let features = Features::numeric(&fixture.feature_names).unwrap();
                let rounded = fixture.x_train.mapv(|value| (value * 100.0).round() / 100.0);
                (features, rounded, Box::new(fixture.network) as Box<dyn Predictor>, params)
            }
            (None, None) => {
                let rule = |row: &[f64]| f64::from(u8::from(row[0] == 2.0 || 3.0 < row[2]));
                let features = Features::unnamed(3).unwrap();
                (features, self.rows(&self.dataset), Box::new(Elementwise(rule)) as _, params)
            }
            (None, Some(_)) => {
                let rule = |row: &[f64]| {
                    let high = JOBS[row[1] as usize] == "boss" || (50.0 < row[0] && 40.0 <= row[2]);
                    f64::from(u8::from(high))
                };
                let features = Features::new(vec![
                    Feature::numeric("age"),
                    Feature::categorical("job", JOBS, Encoding::Ordinal),
                    Feature::numeric("hours"),
                ]);
                let class_names = Some(vec!["low".to_owned(), "high".to_owned()]);
                let params = params.with_class_names(class_names);
                let dataset = self.rows(&self.dataset);
                (features.unwrap(), dataset, Box::new(Elementwise(rule)) as _, params)
            }
        };
        let explainer = params.fit(&dataset, features).unwrap();
        explainer.explain(&*model, &self.row(&self.instance), Run::seeded(0)).unwrap()
    }

    fn rows(&self, table: &Value) -> Array2<f64> {
        let rows: Vec<Vec<Value>> = serde_json::from_value(table.clone()).unwrap();
        let width = self.instance.len();
        let cells: Vec<f64> = rows.iter().flat_map(|row| self.row(row).to_vec()).collect();
        Array2::from_shape_vec((rows.len(), width), cells).unwrap()
    }

    /// Text becomes its code.
    fn row(&self, cells: &[Value]) -> Array1<f64> {
        let code = |name: &str| JOBS.iter().position(|job| *job == name).unwrap() as f64;
        let number = |cell: &Value| cell.as_f64().unwrap_or_else(|| code(cell.as_str().unwrap()));
        cells.iter().map(number).collect()
    }
}

/// In alphabetical order, so that codes are ordered as the reference orders text.
const JOBS: [&str; 3] = ["boss", "clerk", "nurse"];

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_str(&reference("grid_counterfactual.json")).unwrap();
    assert_eq!(file.cases.len(), 14, "the reference holds fourteen cases");
    file.cases
}

#[test]
fn the_reference_semantics_give_the_references_answers() {
    for case in cases() {
        let explanation = case.explain(case.params());
        let data = &explanation.data;
        // The reference takes roots by a routine that rounds the sum of squares once or twice, as the processor likes:
        // half a unit in the last place of the sum, and with the root's own rounding one of the distance.
        let tolerance = if case.normalise_distance { f64::EPSILON } else { 0.0 };
        assert_eq!(data.distances.len(), case.distances.len(), "{}", case.name);
        for (&got, &expected) in data.distances.iter().zip(&case.distances) {
            let close = (got - expected).abs() <= tolerance * expected;
            assert!(close, "{}: {got} for {expected}", case.name);
        }
        // In its order, which sorts by distance alone: rows at one distance stand in any order.
        let mut expected: Vec<(f64, Vec<f64>, &Prediction)> = case
            .counterfactuals
            .iter()
            .zip(data.distances.iter().zip(&case.predictions))
            .map(|(row, (&distance, prediction))| (distance, case.row(row).to_vec(), prediction))
            .collect();
        expected.sort_by(|a, b| (a.0, &a.1).partial_cmp(&(b.0, &b.1)).unwrap());
        let got: Vec<(f64, Vec<f64>, &Prediction)> = data
            .counterfactuals
            .rows()
            .into_iter()
            .zip(data.distances.iter().zip(&data.predictions))
            .map(|(row, (&distance, prediction))| (distance, row.to_vec(), prediction))
            .collect();
        assert_eq!(got, expected, "{}", case.name);
        if let Some(class) = case.instance_class {
            assert_eq!(data.instance_prediction, Prediction::Class(class), "{}", case.name);
        }
    }
}

#[test]
fn the_references_answers_cost_fewer_predictions_than_the_reference_spends() {
    let (mut ours, mut theirs) = (0, 0);
    for case in cases() {
        let Some(rows) = case.grid_rows_predicted else { continue };
        let explanation = case.explain(case.params());
        // A requested class spares the reference the instance.
        let own = rows + u64::from(case.counterfactual_class.is_some());
        assert!(explanation.meta.queries <= own, "{}: {}", case.name, explanation.meta.queries);
        (ours, theirs) = (ours + explanation.meta.queries, theirs + own);
    }
    assert!(2 * ours < theirs, "{ours} of {theirs}");
}

#[test]
fn the_closest_of_the_references_answers_cost_a_fraction() {
    let (mut ours, mut theirs) = (0, 0);
    for case in cases() {
        let answers = AnswerScope::Closest;
        let explanation = case.explain(case.params().with_answers(answers));
        let all = case.explain(case.params()).data;
        let closest =
            all.distances.iter().filter(|&&distance| distance == all.distances[0]).count();
        assert_eq!(explanation.data.distances.len(), closest, "{}", case.name);
        for answer in 0..closest {
            let row = explanation.data.counterfactuals.row(answer);
            assert_eq!(row, all.counterfactuals.row(answer), "{}", case.name);
        }
        (ours, theirs) =
            (ours + explanation.meta.queries, theirs + case.grid_rows_predicted.unwrap_or(0));
    }
    assert!(4 * ours < theirs, "{ours} of {theirs}");
}

#[test]
fn the_default_semantics_find_answers_at_least_as_close() {
    for case in cases() {
        let native = case.explain(case.params().with_semantics(Semantics::Native));
        let (ours, theirs) = (native.data.distances[0], case.distances[0]);
        // The grid holds that of the reference, up to the rounding of its multiples, and the ends of the ranges.
        assert!(ours <= theirs * (1.0 + 1e-12), "{}: {ours} for {theirs}", case.name);
        assert!(native.data.optimal[0] && native.data.stop == Stop::Converged, "{}", case.name);
    }
}
