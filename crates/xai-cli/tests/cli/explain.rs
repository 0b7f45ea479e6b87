//! `xai explain`: what is explained, and that the answers are right.

use serde::Deserialize;
use xai::core::serde_arrays;
use xai::ndarray::{Array1, Array3, Axis, s};

use crate::folder::{Folder, IRIS_INPUT, IRIS_JOB, IRIS_TRAIN, lines, table_of};

/// Values of another implementation for the same network in `f64`.
#[derive(Deserialize)]
struct Reference {
    background_rows: Vec<usize>,
    instance_rows: Vec<usize>,
    #[serde(with = "serde_arrays")]
    expected_value: Array1<f64>,
    /// Outputs, instances, features.
    #[serde(with = "serde_arrays")]
    shap_values: Array3<f64>,
}

/// The header and the chosen rows of a table.
fn choose(table: &str, rows: &[usize]) -> String {
    let all: Vec<&str> = table.lines().collect();
    let chosen: Vec<&str> = rows.iter().map(|&row| all[row + 1]).collect();
    table_of(all[0], &chosen)
}

#[test]
fn iris_agrees_with_the_reference() {
    let reference: Reference =
        serde_json::from_str(include_str!("../fixtures/iris_exact_identity.json")).unwrap();
    let folder = Folder::iris();
    folder.write("train.csv", choose(IRIS_TRAIN, &reference.background_rows));
    folder.write("input.csv", choose(IRIS_INPUT, &reference.instance_rows));
    let explanations = lines(&folder.succeed(&["explain", "job.toml", "--output", "-"]));
    assert_eq!(explanations.len(), reference.instance_rows.len());
    for (instance, explanation) in explanations.iter().enumerate() {
        let expected = reference.shap_values.slice(s![.., instance, ..]);
        // The file holds the weights in f32: seven digits, and a few operations on them.
        let error = (&explanation.data.shap_values - &expected).mapv(f64::abs);
        assert!(error.iter().all(|&error| error < 1e-5), "row {instance}: {error}");
        let error = (&explanation.data.expected_value - &reference.expected_value).mapv(f64::abs);
        assert!(error.iter().all(|&error| error < 1e-5), "row {instance}: {error}");
    }
}

#[test]
fn columns_are_matched_by_name() {
    let folder = Folder::iris();
    let expected = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    // Backwards, and without the target.
    let backwards = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.pop();
        cells.reverse();
        cells.join(",") + "\n"
    };
    folder.write("other.csv", IRIS_INPUT.lines().map(backwards).collect::<String>());
    let arguments = ["explain", "job.toml", "--output", "-", "--input", "other.csv"];
    assert_eq!(folder.succeed(&arguments), expected);
}

#[test]
fn a_spreadsheets_habits_change_nothing() {
    let folder = Folder::iris();
    let expected = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    let habits = IRIS_INPUT.replace('\n', "\r\n").replace(',', " , ");
    folder.write("input.csv", format!("\u{feff}{habits}"));
    assert_eq!(folder.succeed(&["explain", "job.toml", "--output", "-"]), expected);
}

#[test]
fn rows_are_selected() {
    let folder = Folder::iris();
    let all = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all.len(), 40);
    for (selection, range) in
        [("3..7", 3..7), ("38..", 38..40), ("..2", 0..2), ("39", 39..40), ("..", 0..40)]
    {
        let some = folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", selection]);
        assert_eq!(some.lines().collect::<Vec<_>>(), all[range], "--rows {selection}");
    }
}

#[test]
fn paths_of_the_job_are_relative_to_it_and_the_inputs_to_the_caller() {
    let folder = Folder::iris();
    std::fs::create_dir(folder.path("below")).unwrap();
    for name in ["job.toml", "iris_mlp.onnx", "train.csv", "input.csv"] {
        std::fs::rename(folder.path(name), folder.path("below").join(name)).unwrap();
    }
    let from_job = folder.succeed(&["explain", "below/job.toml", "--output", "-", "--rows", "1"]);
    folder.write("mine.csv", choose(IRIS_INPUT, &[1]));
    let arguments = ["explain", "below/job.toml", "--output", "-", "--input", "mine.csv"];
    // It is row 1 of one table and row 0 of the other.
    let from_mine = folder.succeed(&arguments).replacen("{\"row\":0,", "{\"row\":1,", 1);
    assert_eq!(from_mine, from_job);
}

#[test]
fn the_background_is_a_seeded_sample_of_the_training_rows() {
    let folder = Folder::iris();
    let with = |n: usize| IRIS_JOB.replace("[data]\n", &format!("[data]\nbackground_rows = {n}\n"));
    let explain = |seed: &str| {
        let arguments = ["explain", "job.toml", "--output", "-", "--rows", "0", "--seed", seed];
        lines(&folder.succeed(&arguments)).remove(0)
    };
    let all = explain("0");
    folder.write("job.toml", with(20));
    let (some, again, other) = (explain("0"), explain("0"), explain("1"));
    assert_eq!(some, again);
    assert_ne!(some.data, other.data);
    assert_ne!(some.data, all.data);
    assert!(some.meta.queries < all.meta.queries);
    // All of them are all of them, in their order, whatever the seed.
    folder.write("job.toml", with(105));
    assert_eq!(explain("0"), all);
    assert_eq!(explain("1").data, all.data);
}

#[test]
fn the_seed_comes_from_the_command_line_or_else_from_the_job() {
    let folder = Folder::iris();
    folder.write("job.toml", format!("seed = 5\n{IRIS_JOB}"));
    let seed = |more: &[&str]| {
        let arguments = [&["explain", "job.toml", "--output", "-", "--rows", "0"], more].concat();
        lines(&folder.succeed(&arguments)).remove(0).meta.seed
    };
    assert_eq!(seed(&[]), "5");
    assert_eq!(seed(&["--seed", "18446744073709551615"]), "18446744073709551615");
}

#[test]
fn params_reach_the_method() {
    let folder = Folder::iris();
    let groups = "[params]\nlink = \"logit\"\ngroups = [[0, 1], [2, 3]]\ngroup_names = [\"sepal\", \"petal\"]\n";
    folder.write("job.toml", format!("{IRIS_JOB}{groups}"));
    let explanation =
        lines(&folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", "0"])).remove(0);
    assert_eq!(explanation.meta.params["link"], "logit");
    assert_eq!(explanation.data.feature_names, ["sepal", "petal"]);
    assert_eq!(explanation.data.shap_values.dim(), (3, 2));
    assert!(explanation.data.expected_value.sum_axis(Axis(0)).into_scalar() < 0.0);
}

#[test]
fn categories_name_the_codes() {
    let folder = Folder::iris();
    folder.write("job.toml", format!("{IRIS_JOB}categories = \"categories.json\"\n"));
    folder.write("train.csv", "a,target,b,c,d\n0.5,x,0,1,2\n1.5,y,1,0,0\n");
    folder.write("input.csv", "a,b,c,d\n0.25,1,1,2\n");
    let values = |categories: &str| {
        folder.write("categories.json", categories);
        let stdout = folder.succeed(&["explain", "job.toml", "--output", "-"]);
        lines(&stdout).remove(0).data.feature_values
    };
    // By name, and by the index among the features, which the target is not one of.
    let plain = r#"{"b": ["no", "yes"], "3": ["red", "green", "blue"]}"#;
    assert_eq!(values(plain), ["0.25", "yes", "1", "blue"]);
    let nested = format!(r#"{{"source": "somewhere", "category_map": {plain}}}"#);
    assert_eq!(values(&nested), ["0.25", "yes", "1", "blue"]);
}

#[test]
fn missing_values_are_read_where_the_method_takes_them() {
    let folder = Folder::iris();
    folder.write("job.toml", format!("{IRIS_JOB}[params]\nallow_missing = true\n"));
    let header = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)";
    folder.write("input.csv", table_of(header, &["0.5,,0.25,NaN"]));
    let ran = folder.xai(&["explain", "job.toml", "--output", "-"]);
    // This network makes NaN of NaN; what matters is that the table was read.
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("row 0: the model's output must be finite, got NaN"), "{ran:?}");
}
