//! Files as users have them, against outputs computed elsewhere.

use crate::build::fixture;
use ndarray::{Array2, s};
use serde_json::Value;
use xai_core::{Predictor, Rows, Run};
use xai_onnx::{OnnxModel, OnnxOptions};

const CLASSIFIERS: [&str; 5] = [
    "iris_pipeline_logistic",
    "iris_random_forest",
    "adult_pipeline_mlp",
    "adult_pipeline_random_forest",
    "adult_pipeline_gbt",
];

const NETWORKS: [&str; 6] =
    ["iris_mlp", "wine_mlp", "wine_softmax", "cancer_mlp", "diabetes_mlp", "diabetes_linear"];

fn open(name: &str) -> OnnxModel {
    OnnxModel::open(fixture(&format!("{name}.onnx"))).expect("the fixture loads")
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_vec(shape, rows.into_iter().flatten().collect()).expect("equal rows")
}

fn golden(file: &str, name: &str) -> (Array2<f64>, Array2<f64>) {
    let text = std::fs::read_to_string(fixture(file)).expect("the fixture is there");
    let all: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let case = &all["models"][name];
    (matrix(&case["inputs"]), matrix(&case["outputs"]))
}

fn expected(name: &str) -> (Array2<f64>, Array2<f64>) {
    let is_network = NETWORKS.contains(&name);
    golden(if is_network { "networks_expected.json" } else { "sklearn_expected.json" }, name)
}

fn all_models() -> impl Iterator<Item = &'static str> {
    CLASSIFIERS.into_iter().chain(NETWORKS).chain(["diabetes_gbt_regressor"])
}

/// The largest difference, relative to the outputs where they are above 1.
fn difference(got: &Rows, expected: &Rows) -> f64 {
    assert_eq!(got.dim(), expected.dim());
    let pairs = got.iter().zip(expected.iter());
    pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn outputs_agree_with_the_reference() {
    for name in all_models() {
        let (inputs, outputs) = expected(name);
        let model = open(name);
        assert_eq!(model.n_features(), inputs.ncols(), "{name}");
        assert_eq!(model.n_outputs(), Some(outputs.ncols()), "{name}");
        let got = model.evaluate(&inputs).unwrap();
        let difference = difference(&got, &outputs);
        assert!(difference <= 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn a_row_has_the_same_bits_in_every_batch() {
    for name in all_models() {
        let (inputs, _) = expected(name);
        let model = open(name);
        // Different rows, so that a mixed-up row shows.
        let many = Array2::from_shape_fn((2500, inputs.ncols()), |(row, column)| {
            inputs[[(row * 7 + column * (row / 20)) % inputs.nrows(), column]]
        });
        let together = model.evaluate(&many).unwrap();
        for size in [1, 2, 3, 7, 16, 33, 250, 1000, 1024, 1025] {
            for start in [0, 1, 5, 640, 1023, 1031] {
                let batch = many.slice(s![start..start + size, ..]);
                let outputs = model.evaluate(&batch).unwrap();
                let same = outputs
                    .iter()
                    .zip(together.slice(s![start..start + size, ..]))
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{name}: {size} rows from {start}");
            }
        }
    }
}

#[test]
fn a_run_takes_a_model_as_its_predictor() {
    let (inputs, outputs) = expected("iris_random_forest");
    let model = open("iris_random_forest");
    assert_eq!(Predictor::n_features(&model), Some(4));
    let mut run = Run::seeded(0);
    let got = run.predict(&model, &inputs).unwrap();
    assert!(difference(&got, &outputs) <= 1e-5);
    assert!(run.predict(&model, &inputs.slice(s![.., ..3])).is_err());
}

#[test]
fn a_classifier_tells_its_classes() {
    for name in CLASSIFIERS {
        let model = open(name);
        let classes = if name.starts_with("iris") { &["0", "1", "2"][..] } else { &["0", "1"] };
        assert_eq!(model.class_labels().unwrap(), classes, "{name}");
        assert_eq!(model.output_name(), "output_probability");
        assert_eq!(model.output_names(), ["output_label", "output_probability"]);
        assert_eq!(model.input_names().collect::<Vec<_>>(), ["X"]);
        assert!(!model.operators().iter().any(|operator| operator == "ZipMap"));
    }
    assert_eq!(open("iris_mlp").class_labels(), None);
}

#[test]
fn the_label_can_be_asked_for_by_name() {
    for name in CLASSIFIERS {
        let (inputs, outputs) = expected(name);
        let bytes = std::fs::read(fixture(&format!("{name}.onnx"))).unwrap();
        let options = OnnxOptions { output: Some("output_label".into()), ..OnnxOptions::default() };
        let model = OnnxModel::from_bytes(&bytes, &options).unwrap();
        let labels = model.evaluate(&inputs).unwrap();
        assert_eq!(labels.dim(), (inputs.nrows(), 1), "{name}");
        for (label, scores) in labels.iter().zip(outputs.rows()) {
            let others = scores.iter().enumerate();
            let best = others.max_by(|a, b| a.1.total_cmp(b.1)).expect("there are classes").0;
            assert_eq!(format!("{label}"), format!("{best}"), "{name}");
        }
    }
}

#[test]
fn an_empty_batch_has_no_rows() {
    let model = open("wine_mlp");
    assert_eq!(model.evaluate(&Array2::zeros((0, 13))).unwrap().dim(), (0, 3));
}
