//! One model of one probability in all nine methods: the same reading, and the same names of its classes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use xai::core::{CentralDifference, Differentiable, OutputNames};
use xai::job::{JobExplanation, methods};
use xai::ndarray::{Array1, Array4, array};
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
