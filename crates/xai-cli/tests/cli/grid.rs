//! `xai explain` with the method `grid-counterfactual`.

use xai::core::Explanation;
use xai::core::Status;
use xai::gridcf::{GridCounterfactualData, Prediction};

use crate::folder::{Folder, IRIS_JOB, Ran};

/// The iris job with this method and other params.
fn folder(params: &str) -> Folder {
    let folder = Folder::iris();
    let job = IRIS_JOB.replace("kernel-shap", "grid-counterfactual");
    folder.write("job.toml", format!("{job}[params]\n{params}"));
    folder
}

const PARAMS: &str = r#"max_counterfactual_length = 1
default_numerical_step_size = 0.25
counterfactual_feature_indices = [2, "petal width (cm)"]
constraints = { features = { 2 = { change = "down" } } }
"#;

#[test]
fn rows_have_their_counterfactuals() {
    let folder = folder(PARAMS);
    let text = folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", "..3"]);
    for line in text.lines() {
        let explanation: Explanation<GridCounterfactualData> =
            Explanation::from_json(line).unwrap();
        let data = explanation.data;
        assert_eq!(explanation.meta.name, "grid-counterfactual");
        assert_eq!(data.status, Status::Found);
        for answer in 0..data.distances.len() {
            assert_ne!(data.predictions[answer], data.instance_prediction);
            let (row, changes) = (data.counterfactuals.row(answer), data.changed_features(answer));
            // One feature changed, by the distance, and the petal's length not upwards.
            let moved = &row - &data.instance;
            assert_eq!(changes.len(), 1);
            assert!((moved.mapv(f64::abs).sum() - data.distances[answer]).abs() < 1e-12);
            assert!(moved[2] <= 0.0 && moved[0] == 0.0 && moved[1] == 0.0);
        }
    }
}

#[test]
fn tables_name_the_classes() {
    let folder = folder(PARAMS);
    let job = folder.read("job.toml");
    let named = "[model]\noutputs = [\"setosa\", \"versicolor\", \"virginica\"]";
    folder.write("job.toml", job.replace("[model]", named));
    let text = folder.succeed(&["explain", "job.toml", "--rows", "0"]);
    assert!(text.starts_with("Row 0: Grid counterfactuals\n"), "{text}");
    assert!(text.contains("Prediction versicolor."), "{text}");
    assert!(text.contains("optimal"), "{text}");
    let line = folder.succeed(&["explain", "job.toml", "--rows", "0", "--output", "-"]);
    let explanation: Explanation<GridCounterfactualData> = Explanation::from_json(&line).unwrap();
    assert_eq!(explanation.data.instance_prediction, Prediction::Name("versicolor".to_owned()));
}

#[test]
fn wrong_settings_point_at_their_line() {
    let params = "max_counterfactual_length = 1\nstep_sizes = { height = 1.0 }\n";
    let Ran { code, stderr, .. } = folder(params).xai(&["explain", "job.toml"]);
    assert_eq!(code, Some(2));
    let expected = "error: job.toml:10: parameter `step_sizes` must be a name or an index below 4, got \"height\"\n";
    assert_eq!(stderr, expected);
}
