//! One model of one probability in all nine methods: the same reading, and the same names of its classes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use xai::core::{CentralDifference, Differentiable, OutputNames};
use xai::job::{JobExplanation, methods};
use xai::ndarray::{Array1, Array2, Array4, Axis, array};
use xai::prelude::*;

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// The job of a method with default settings, but for the target that integrated gradients and the grid need.
fn explained(method: &str, declared: Option<&Output>, names: &[&str]) -> JobExplanation {
    let of_row =
        per_row(|row| sigmoid(8.0 * (row[0] - 0.5))).with_class_names(names.iter().copied());
    let of_texts = text_predictor(|texts: &[String]| {
        let score = |text: &String| sigmoid(if text.contains("yes") { 4.0 } else { -4.0 });
        texts.iter().map(score).collect::<Array1<f64>>()
    });
    let of_texts = of_texts.with_class_names(names.iter().copied());
    let (of_row, of_texts) = match declared {
        Some(output) => (of_row.with_output(output.clone()), of_texts.with_output(output.clone())),
        None => (of_row, of_texts),
    };
    let gradients = CentralDifference::new(&of_row);
    let params = match method {
        "integrated-gradients" => json!({ "target": "predicted" }),
        "anchor-image" => json!({ "segmentation_fn": { "slic": { "n_segments": 4 } } }),
        _ => json!({}),
    };
    let training = array![[0.1, 0.2], [0.4, 0.9], [0.6, 0.1], [0.9, 0.8], [0.2, 0.5], [0.8, 0.4]];
    let job = Job::new(method).with_params(&params).unwrap();
    let job = match method {
        "anchor-text" => job.with_text_model(&of_texts).with_texts(["no it is"]),
        "anchor-image" => job.with_model(&of_row).with_images(Array4::from_elem((1, 8, 8, 1), 0.2)),
        _ => {
            let job = job.with_model(&gradients as &dyn Differentiable);
            let job = job.with_features(Features::numeric(["income", "age"]).unwrap());
            job.with_training_rows(training).with_rows(array![[0.2, 0.3]])
        }
    };
    job.explain_all().unwrap().remove(0).unwrap()
}

#[test]
fn the_names_of_classes_are_the_same_in_all_methods() {
    let all = methods();
    assert_eq!(all.len(), 9);
    for method in all {
        let explanation = explained(method.name(), None, &["refused", "granted"]);
        let meta = serde_json::to_value(explanation.meta()).unwrap();
        let reading = json!({ "meaning": "probability", "source": "assumed" });
        assert_eq!(meta["output"], reading, "{}", method.name());
        let shown = explanation.figure(&OutputNames::default()).to_string();
        assert!(shown.contains("refused") || shown.contains("granted"), "{shown}");
        assert!(!shown.contains("class 0") && !shown.contains("class 1"), "{shown}");
    }
}

/// An answer keeps its class in single precision, and with nine digits, also where a forest of an even number of trees may
/// be divided equally.
#[test]
#[allow(clippy::cast_possible_truncation, reason = "the precision of other engines")]
fn a_counterfactual_is_no_tie() {
    let logistic = per_row(|row| sigmoid(3.0 * row[0] - 2.0 * row[1] - 0.7));
    let vote = per_row(|row| {
        let cuts = [0.3, 0.45, 0.6, 0.75].iter().filter(|&&cut| cut < row[0]).count() as f64;
        (cuts + if 0.5 < row[1] { 2.0 } else { 0.0 }) / 6.0
    });
    let training =
        Array2::from_shape_fn((36, 2), |(row, column)| [row % 6, row / 6][column] as f64 / 5.0);
    let decides = |model: &dyn Predictor, row: &Array1<f64>| {
        let rows = row.clone().insert_axis(Axis(0));
        0.5 < Run::seeded(0).predict(model, &rows).unwrap()[[0, 0]]
    };
    let mut n_found = 0;
    for model in [&logistic as &dyn Predictor, &vote] {
        for method in ["cem", "cfproto", "counterfactual", "grid-counterfactual"] {
            let params = match method {
                "grid-counterfactual" => {
                    json!({ "default_numerical_step_size": 0.05, "answers": "closest" })
                }
                "cem" => json!({ "crossing": true, "feature_range": [0.0, 1.0] }),
                _ => json!({ "feature_range": [0.0, 1.0] }),
            };
            let job = Job::new(method).with_params(&params).unwrap().with_model(model);
            let job = job.with_features(Features::unnamed(2).unwrap());
            let job = job.with_training_rows(training.clone()).with_rows(training.clone());
            for (x, explained) in training.rows().into_iter().zip(job.explain_all().unwrap()) {
                let document: Value =
                    serde_json::from_str(&explained.unwrap().to_json().unwrap()).unwrap();
                let data = &document["data"];
                let found =
                    [&data["cf"]["row"], &data["result"]["row"], &data["counterfactuals"][0]];
                let Some(row) = found.into_iter().find_map(|row| row.as_array()) else { continue };
                let row: Array1<f64> = row.iter().map(|value| value.as_f64().unwrap()).collect();
                let nine_digits = |value: &f64| format!("{value:.8e}").parse().unwrap();
                for shown in [
                    row.clone(),
                    row.mapv(|value| f64::from(value as f32)),
                    row.iter().map(nine_digits).collect(),
                ] {
                    let other = decides(model, &x.to_owned()) != decides(model, &shown);
                    assert!(other, "{method}: {x} and {shown}");
                }
                n_found += 1;
            }
        }
    }
    assert!(200 < n_found, "{n_found}");
}

/// What the model declares reaches the methods through all that stands between them.
#[test]
fn what_a_model_declares_is_what_is_read() {
    for method in methods() {
        let explanation = explained(method.name(), Some(&Output::Probability), &["no", "yes"]);
        let output: Value = serde_json::to_value(explanation.meta()).unwrap()["output"].clone();
        let reading = json!({ "meaning": "probability", "source": "declared" });
        assert_eq!(output, reading, "{}", method.name());
    }
}
