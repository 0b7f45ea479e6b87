//! `xai explain` with anchors.

#![allow(clippy::float_cmp, reason = "codes, shares of counted rows and edges are exact")]

use serde_json::Value;
use xai::anchors::AnchorTabularData;
use xai::core::Explanation;
use xai::core::Status;

use crate::folder::{Folder, Ran};

const FOREST: &[u8] = include_bytes!("../../../xai-onnx/tests/fixtures/iris_random_forest.onnx");
const PIPELINE: &[u8] = include_bytes!("../../../xai-onnx/tests/fixtures/adult_pipeline_gbt.onnx");

/// A job on the irises in centimeters.
const IRIS: &str = r#"method = "anchor-tabular"
[model]
path = "forest.onnx"
outputs = ["setosa", "versicolor", "virginica"]
[data]
train = "train.csv"
input = "input.csv"
target = "target"
"#;

/// A job on numbers and categories.
const ADULT: &str = r#"method = "anchor-tabular"
[model]
path = "pipeline.onnx"
outputs = ["at most 50K", "more than 50K"]
[data]
train = "train.csv"
input = "input.csv"
target = "Income"
categories = "categories.json"
"#;

fn iris() -> Folder {
    let folder = Folder::new();
    folder.write("job.toml", IRIS);
    folder.write("forest.onnx", FOREST);
    folder.write("train.csv", include_str!("../fixtures/iris_cm_train.csv"));
    folder.write("input.csv", include_str!("../fixtures/iris_cm_input.csv"));
    folder
}

fn adult() -> Folder {
    let folder = Folder::new();
    folder.write("job.toml", ADULT);
    folder.write("pipeline.onnx", PIPELINE);
    folder.write("train.csv", include_str!("../fixtures/adult_train.csv"));
    folder.write("input.csv", include_str!("../fixtures/adult_input.csv"));
    folder.write("categories.json", include_str!("../fixtures/adult_categories.json"));
    folder
}

#[track_caller]
fn explanations(text: &str) -> Vec<Explanation<AnchorTabularData>> {
    text.lines().map(|line| Explanation::from_json(line).unwrap()).collect()
}

/// The explanations of all rows of the input, with more text at the end of the job.
#[track_caller]
fn explain(folder: &Folder, job: &str, more: &str) -> Vec<Explanation<AnchorTabularData>> {
    folder.write("job.toml", format!("{job}{more}"));
    explanations(&folder.succeed(&["explain", "job.toml", "--output", "-"]))
}

/// The cells of a table, without its header.
fn cells(table: &str) -> Vec<Vec<f64>> {
    let row = |line: &str| line.split(',').map(|cell| cell.parse().unwrap()).collect();
    table.lines().skip(1).map(row).collect()
}

/// Checks what every explanation promises, against the table it was made from.
#[track_caller]
fn check(explanation: &Explanation<AnchorTabularData>, training: &[Vec<f64>]) {
    let data = &explanation.data;
    assert_eq!(explanation.meta.name, "anchor-tabular");
    let asked =
        data.result.queries.instance + data.result.queries.search + data.result.queries.certificate;
    assert_eq!(explanation.meta.queries, asked);
    assert_eq!(data.anchor.len(), data.rule.conditions.len());
    // The coverage is counted here once more.
    let holds = |row: &&Vec<f64>| {
        data.rule.conditions.iter().all(|condition| {
            let value = row[condition.feature];
            match condition.code {
                Some(code) => value == code as f64,
                None => {
                    condition.lower.is_none_or(|lower| lower < value)
                        && condition.upper.is_none_or(|upper| value <= upper)
                }
            }
        })
    };
    let n_covered = training.iter().filter(holds).count();
    assert_eq!(data.result.coverage_of.n_covered, n_covered, "{:?}", data.anchor);
    assert_eq!(data.result.coverage, n_covered as f64 / training.len() as f64);
    assert!(holds(&&data.instance.to_vec()), "{:?} is not about its row", data.anchor);
    if data.result.status == Status::Found {
        let certificate = data.result.certificate.as_ref().unwrap();
        // Accepted for at least 95 of 100 samples, which has probability 2e-5 at a precision of 0.8.
        assert!(0.8 < certificate.precision, "{:?}: {certificate:?}", data.anchor);
    }
}

#[test]
fn a_forest_is_explained_by_the_petals() {
    let explanations = explain(&iris(), IRIS, "");
    assert_eq!(explanations.len(), 40);
    let training = cells(include_str!("../fixtures/iris_cm_train.csv"));
    explanations.iter().for_each(|explanation| check(explanation, &training));
    // A flower of the smallest species, told by the petals that no other species has.
    let setosa = &explanations[1].data;
    assert_eq!((setosa.rule.decision, setosa.result.status), (0.0, Status::Found));
    assert!(setosa.anchor.iter().all(|condition| condition.starts_with("petal")), "{setosa:?}");
}

#[test]
fn a_pipeline_of_numbers_and_categories_is_explained_by_their_names() {
    let explanations = explain(&adult(), ADULT, "");
    assert_eq!(explanations.len(), 20);
    let training = cells(include_str!("../fixtures/adult_train.csv"));
    explanations.iter().for_each(|explanation| check(explanation, &training));
    let said = |words: &str| {
        explanations.iter().any(|one| one.data.anchor.iter().any(|text| text.contains(words)))
    };
    assert!(said("Marital Status = Never-Married"), "no anchor names it");
}

#[test]
fn explanations_satisfy_the_schema_and_read_back() {
    let folder = iris();
    let text = folder.succeed(&["schema", "anchor-tabular"]);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["method"], "anchor-tabular");
    for name in ["threshold", "disc_perc", "edges", "missing", "strict"] {
        let description = &schema["params"]["properties"][name]["description"];
        assert!(description.is_string(), "{name}: {description}");
    }
    let lines = folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", "..5"]);
    let definitions = &schema["explanation"]["$defs"];
    for line in lines.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        let params = schema["params"]["properties"].as_object().unwrap();
        assert_eq!(keys(&document["meta"]["params"]), params.keys().collect::<Vec<_>>());
        // Every key of the document is in its schema, and all that the schema requires is there.
        for (part, definition) in [
            (&document["data"], "AnchorTabularData"),
            (&document["data"]["rule"], "Rule"),
            (&document["data"]["queries"], "Queries"),
            (&document["data"]["coverage_of"], "Coverage"),
            (&document["data"]["base_rate"], "Estimate"),
            (&document["data"]["predicates"][0], "Predicate"),
        ] {
            let definition = &definitions[definition];
            let known = keys(&definition["properties"]);
            assert!(keys(part).iter().all(|key| known.contains(key)), "{part}");
            for required in definition["required"].as_array().unwrap() {
                assert!(part.get(required.as_str().unwrap()).is_some(), "{required} in {part}");
            }
        }
        let read: Explanation<AnchorTabularData> = Explanation::from_json(line).unwrap();
        let row = document["row"].as_u64().unwrap();
        assert_eq!(format!("{{\"row\":{row},{}", &read.to_json().unwrap()[1..]), line);
    }
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = adult();
    let run = |threads: &str| {
        folder.succeed(&["explain", "job.toml", "--output", "-", "--threads", threads])
    };
    let one = run("1");
    assert_eq!(run("2"), one);
    // Nor does a row depend on those beside it.
    let alone = folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", "3"]);
    assert_eq!(Some(alone.trim_end()), one.lines().nth(3));
}

#[test]
fn the_job_chooses_the_bins() {
    let folder = iris();
    let deciles = "[params]\ndisc_perc = [10, 20, 30, 40, 50, 60, 70, 80, 90]\n";
    let by_deciles = explain(&folder, IRIS, deciles);
    let training = cells(include_str!("../fixtures/iris_cm_train.csv"));
    by_deciles.iter().for_each(|explanation| check(explanation, &training));
    let last = |one: &Explanation<AnchorTabularData>| {
        one.data.predicates.iter().filter_map(|predicate| predicate.edge_index).max()
    };
    // Quartiles have the places 0 to 2.
    assert!(by_deciles.iter().filter_map(last).max() > Some(2));

    let own = "[params.edges]\n\"petal width (cm)\" = [0.8, 1.75]\n\"petal length (cm)\" = []\n\
               \"sepal width (cm)\" = []\n\"sepal length (cm)\" = []\n";
    let by_own = explain(&folder, IRIS, own);
    assert_eq!(by_own[1].data.anchor, ["petal width (cm) <= 0.80"]);
}

#[test]
fn the_trees_of_the_model_give_the_bins() {
    let folder = iris();
    let explanations = explain(&folder, IRIS, "edges = \"model\"\n");
    let training = cells(include_str!("../fixtures/iris_cm_train.csv"));
    explanations.iter().for_each(|explanation| check(explanation, &training));
    let model = xai::onnx::OnnxModel::from_bytes(FOREST, &xai::onnx::OnnxOptions::default());
    let thresholds = model.unwrap().thresholds().unwrap();
    let names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"];
    for explanation in &explanations {
        for (name, expected) in names.iter().zip(&thresholds) {
            let edges = &explanation.meta.params["edges"][name];
            let edges: Vec<f64> = serde_json::from_value(edges.clone()).unwrap();
            assert_eq!(&edges, expected, "{name}");
        }
        // Within its bins the forest is constant, so that enough of them leave nothing open.
        assert_eq!(explanation.data.result.status, Status::Found);
        for predicate in &explanation.data.predicates {
            assert!(thresholds[predicate.feature].contains(&predicate.value.unwrap()));
        }
    }

    // The params have the last word on a feature that they cut.
    let more = "edges = \"model\"\n[params.edges]\n\"petal width (cm)\" = [0.8]\n";
    let explanations = explain(&folder, IRIS, more);
    let edges = &explanations[0].meta.params["edges"];
    assert_eq!(edges["petal width (cm)"], serde_json::json!([0.8]));
    assert_eq!(edges["petal length (cm)"], serde_json::json!(thresholds[2]));
}

#[test]
fn categories_keep_their_names_beside_bins_of_the_model() {
    let explanations = explain(&adult(), ADULT, "edges = \"model\"\n");
    let training = cells(include_str!("../fixtures/adult_train.csv"));
    explanations.iter().for_each(|explanation| check(explanation, &training));
    let edges = explanations[0].meta.params["edges"].as_object().unwrap();
    assert!(edges.contains_key("Age") && !edges.contains_key("Marital Status"), "{edges:?}");
}

#[test]
fn missing_values_get_a_bin_where_the_params_say_so() {
    let folder = iris();
    folder.write(
        "input.csv",
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3,,0.2\n",
    );
    let Ran { code, stderr, .. } = folder.xai(&["explain", "job.toml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: input.csv:2: "), "{stderr}");
    let explanation = explain(&folder, IRIS, "[params]\nmissing = \"own-bin\"\n").remove(0);
    assert!(explanation.data.instance[2].is_nan());
}

#[test]
fn tables_say_what_is_decided_and_what_covers_the_training_rows() {
    let folder = iris();
    let stdout = folder.succeed(&["explain", "job.toml"]);
    for said in [
        "Row 1: Anchor for setosa: petal",
        "conditions so far",
        "on fresh samples",
        "Anchors of 40 rows\n",
        "How the searches ended\n",
        "Anchors that together cover most of the 105 training rows\n",
        "covered so far",
    ] {
        assert!(stdout.contains(said), "{said:?} is not in\n{stdout}");
    }
    // A score in bins is named by its range.
    let bins = "[params]\noutput = { bins = { edges = [0.5], target = 0 } }\n";
    folder.write("job.toml", format!("{IRIS}{bins}"));
    let stdout = folder.succeed(&["explain", "job.toml", "--rows", "1"]);
    assert!(stdout.contains("Row 1: Anchor for setosa >= 0.5: "), "{stdout}");
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let refuse = |folder: &Folder, job: String, expected: &str| {
        folder.write("job.toml", job);
        let Ran { code, stdout, stderr } = folder.xai(&["explain", "job.toml", "--output", "-"]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.starts_with(expected), "{stderr}\ndoes not start with\n{expected}");
    };
    let folder = iris();
    refuse(
        &folder,
        format!("{IRIS}[params]\ntreshold = 0.9\n"),
        "error: job.toml:10: unknown field `treshold`, expected one of `disc_perc`, ",
    );
    refuse(
        &folder,
        format!("{IRIS}[params]\nthreshold = 1.5\n"),
        "error: job.toml:10: parameter `threshold` must be ",
    );
    refuse(
        &folder,
        format!("{IRIS}[params.edges]\nheight = [1.0]\n"),
        "error: job.toml:9: parameter `edges` must be of numeric features of the table, got ",
    );
    refuse(
        &folder,
        format!("{IRIS}edges = \"trees\"\n"),
        "error: job.toml:9: unknown variant `trees`, expected `model`",
    );
    refuse(
        &folder,
        format!("{IRIS}edges = \"model\"\n").replace("anchor-tabular", "kernel-shap"),
        "error: job.toml:9: `kernel-shap` has no bins that `edges` could cut\n",
    );
    // A network has no thresholds.
    let network = Folder::iris();
    let job = crate::folder::IRIS_JOB.replace("kernel-shap", "anchor-tabular");
    refuse(&network, format!("{job}edges = \"model\"\n"), "error: job.toml:8: `edges`: ");
}
