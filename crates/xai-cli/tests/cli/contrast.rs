//! `xai explain` with the methods that look for other rows along gradients: `cem`, `counterfactual` and `cfproto`.

use serde_json::Value;
use xai::cem::CemData;
use xai::cfproto::CfProtoData;
use xai::core::{Explanation, Stop};
use xai::counterfactual::CounterfactualData;
use xai::ndarray::Array2;
use xai::onnx::{OnnxModel, OnnxOptions};

use crate::folder::{Folder, IRIS_JOB, IRIS_MODEL, IRIS_TRAIN, Ran};

/// Each method, params with which it looks for another class of irises, and where its JSON has the row it found.
const METHODS: [(&str, &str, &str); 3] = [
    ("cem", "", "/data/result/row"),
    ("counterfactual", "target_proba = 0.9\n", "/data/cf/row"),
    ("cfproto", "use_kdtree = true\ntheta = 0.5\n", "/data/cf/row"),
];

/// The iris job with another method, more keys of `[model]`, and params.
pub(crate) fn iris(method: &str, model: &str, params: &str) -> Folder {
    let folder = Folder::iris();
    let job = IRIS_JOB.replace("kernel-shap", method).replace("[data]", &format!("{model}[data]"));
    folder.write("job.toml", format!("{job}[params]\n{params}"));
    folder
}

/// The lines of the job of a folder.
#[track_caller]
pub(crate) fn explain(folder: &Folder) -> Vec<Value> {
    let text = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The row under a pointer, where there is one.
pub(crate) fn row(line: &Value, pointer: &str) -> Option<Vec<f64>> {
    let cells = line.pointer(pointer)?.as_array()?;
    Some(cells.iter().map(|cell| cell.as_f64().unwrap()).collect())
}

/// The instance of a line.
fn instance(line: &Value) -> Vec<f64> {
    row(line, "/data/X").or_else(|| row(line, "/data/instance")).unwrap()
}

/// The class that a model file gives a row: the largest output, or for one output whether it is above a half.
pub(crate) fn class(model: &[u8], row: &[f64]) -> usize {
    let model = OnnxModel::from_bytes(model, &OnnxOptions::default()).unwrap();
    let outputs = model.evaluate(&Array2::from_shape_vec((1, row.len()), row.to_vec()).unwrap());
    let outputs: Vec<f64> = outputs.unwrap().into_iter().collect();
    (1..outputs.len()).fold(0, |best, own| if outputs[best] < outputs[own] { own } else { best })
}

/// What is found is asked of the file again, with the very numbers of the JSON.
#[test]
fn what_is_found_has_another_class() {
    for (method, params, found) in METHODS {
        let lines = explain(&iris(method, "", params));
        assert_eq!(lines.len(), 40);
        let mut n_found = 0;
        for line in &lines {
            assert_eq!(line["meta"]["type"], "blackbox", "{method}");
            let Some(other) = row(line, found) else {
                assert_ne!(line["data"]["status"], "found", "{method}");
                continue;
            };
            n_found += 1;
            assert_eq!(line["data"]["status"], "found", "{method}");
            let (own, other) = (class(IRIS_MODEL, &instance(line)), class(IRIS_MODEL, &other));
            assert_ne!(own, other, "{method}: {line}");
        }
        // A pertinent negative only moves away from the median, which is not enough for every flower.
        let least = if method == "cem" { 20 } else { 40 };
        assert!(least <= n_found, "{method}: {n_found}");
    }
}

#[test]
fn what_is_enough_keeps_the_class() {
    for line in explain(&iris("cem", "", "mode = \"PP\"\n")) {
        let (own, enough) = (instance(&line), row(&line, "/data/result/row").unwrap());
        let nothing = row(&line, "/data/no_info_val").unwrap();
        assert_eq!(class(IRIS_MODEL, &own), class(IRIS_MODEL, &enough));
        for ((own, enough), nothing) in own.iter().zip(&enough).zip(&nothing) {
            let between = own.min(*nothing)..=own.max(*nothing);
            assert!(between.contains(enough), "{enough} is not in {between:?}");
        }
    }
}

#[test]
fn the_data_are_those_of_the_methods() {
    let folder = iris("cem", "", "");
    let read = |method: &str, params: &str| {
        let job = IRIS_JOB.replace("kernel-shap", method);
        folder.write("job.toml", format!("{job}[params]\n{params}"));
        folder.succeed(&["explain", "job.toml", "--output", "-", "--rows", "0"])
    };
    let cem: Explanation<CemData> = Explanation::from_json(&read("cem", "")).unwrap();
    assert_eq!(cem.meta.name, "cem");
    assert_eq!(cem.data.class, 1);
    // The medians of the training rows.
    let column = |index: usize| {
        let cell = |line: &str| line.split(',').nth(index).unwrap().parse::<f64>().unwrap();
        let mut cells: Vec<f64> = IRIS_TRAIN.lines().skip(1).map(cell).collect();
        cells.sort_by(f64::total_cmp);
        cells[cells.len() / 2]
    };
    assert_eq!(cem.data.no_info_val.to_vec(), (0..4).map(column).collect::<Vec<_>>());
    let line = read("counterfactual", "");
    let near: Explanation<CounterfactualData> = Explanation::from_json(&line).unwrap();
    assert_eq!((near.meta.name.as_str(), near.data.stop), ("counterfactual", Stop::Converged));
    let line = read("cfproto", "use_kdtree = true\ntheta = 0.5\n");
    let drawn: Explanation<CfProtoData> = Explanation::from_json(&line).unwrap();
    assert_eq!(drawn.meta.name, "cfproto");
    assert_eq!(drawn.data.id_proto, drawn.data.cf.map(|cf| cf.class));
}

/// Immutable features leave no way: that is an answer with a reason, and no failure.
#[test]
fn finding_nothing_is_an_answer() {
    let immutable = "constraints = { features = { 0 = { change = \"none\" }, 1 = { change = \"none\" }, \
         2 = { change = \"none\" }, 3 = { change = \"none\" } } }\n";
    for (method, params, found) in METHODS {
        let folder = iris(method, "", &format!("{params}{immutable}"));
        for line in explain(&folder) {
            assert_eq!(row(&line, found), None, "{method}");
            assert_eq!(line["data"]["status"], "range-infeasible", "{method}: {line}");
        }
        let text = folder.succeed(&["explain", "job.toml", "--rows", "..2"]);
        let said = if method == "cem" { ", nothing found\n" } else { ", no counterfactual\n" };
        assert!(text.starts_with("Row 0: class 1") && text.contains(said), "{text}");
        assert!(text.contains("changes"), "{text}");
        assert!(text.contains("Searches of 2 rows") && text.contains("range infeasible"), "{text}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    for (method, params, _) in METHODS {
        let folder = iris(method, "", params);
        let run = |threads: &str| {
            let more = ["--rows", "..20", "--threads", threads];
            folder.succeed(&[&["explain", "job.toml", "--output", "-"], &more[..]].concat())
        };
        assert_eq!(run("1"), run("2"), "{method}");
    }
}

#[test]
fn tables_name_features_and_classes() {
    let names = "outputs = [\"setosa\", \"versicolor\", \"virginica\"]\n";
    for (method, params, found) in METHODS {
        let folder = iris(method, names, params);
        let lines = explain(&folder);
        let place = lines.iter().position(|line| row(line, found).is_some()).unwrap();
        let (from, to) = (instance(&lines[place]), row(&lines[place], found).unwrap());
        let text = folder.succeed(&["explain", "job.toml", "--rows", &place.to_string()]);
        let class_of = |row: &[f64]| ["setosa", "versicolor", "virginica"][class(IRIS_MODEL, row)];
        let title = format!("Row {place}: {} would be {}", class_of(&from), class_of(&to));
        assert!(text.starts_with(&title), "{title:?} is not in\n{text}");
        let head = text.lines().find(|line| line.contains("feature ")).unwrap();
        assert!(head.contains("change"), "{text}");
        for (feature, name) in ["sepal length (cm)", "sepal width (cm)"].iter().enumerate() {
            let told = text.lines().find(|line| {
                line.contains(name)
                    && line.contains(&from[feature].to_string())
                    && !line.contains('│')
            });
            // A row of the table for each feature that differs: before, by how much, after.
            assert_eq!(told.is_some(), from[feature] != to[feature], "{text}");
            if let Some(told) = told {
                let cells: Vec<&str> = told.split_whitespace().rev().take(2).collect();
                assert_eq!(cells[0], to[feature].to_string());
                let by: f64 = cells[1].parse().unwrap();
                assert!((by - (to[feature] - from[feature])).abs() < 1e-3, "{told}");
            }
        }
    }
}

#[test]
fn training_rows_may_be_left_out_where_nothing_needs_them() {
    let without = |method: &str, params: &str| {
        let folder = iris(method, "", params);
        let job = folder.read("job.toml").replace("train = \"train.csv\"\n", "");
        folder.write("job.toml", job);
        folder
    };
    let free = [("cem", "no_info_val = 0.0\n"), ("counterfactual", ""), ("cfproto", "")];
    for (method, params) in free {
        let lines = explain(&without(method, params));
        assert_eq!(lines.len(), 40, "{method}");
        if method == "cem" {
            assert_eq!(row(&lines[0], "/data/no_info_val"), Some(vec![0.0; 4]));
        }
    }
    let bound = [
        ("cem", ""),
        ("counterfactual", "distance_fn = \"l1_mad\"\n"),
        ("cfproto", "use_kdtree = true\n"),
        ("cfproto", "theta = 1.0\n"),
    ];
    for (method, params) in bound {
        let expected = "error: job.toml: there are no training rows: give `train` in [data]\n";
        refused(&without(method, params), expected);
    }
    // Values that the params give are not replaced by those of the training rows.
    let line = &explain(&iris("cem", "", "no_info_val = 0.0\n"))[0];
    assert_eq!(row(line, "/data/no_info_val"), Some(vec![0.0; 4]));
    assert_eq!(line["meta"]["warnings"], serde_json::json!([]));
}

/// The scales of the distance are those of the training rows.
#[test]
fn training_rows_scale_the_distance() {
    let folder = iris("counterfactual", "", "distance_fn = \"l1_mad\"\n");
    let lines = explain(&folder);
    assert!(lines.iter().all(|line| line["data"]["status"] == "found"));
    folder.write(
        "train.csv",
        IRIS_TRAIN.lines().take(20).map(|l| format!("{l}\n")).collect::<String>(),
    );
    assert_ne!(explain(&folder), lines);
}

#[track_caller]
pub(crate) fn refused(folder: &Folder, expected: &str) {
    let Ran { code, stdout, stderr } = folder.xai(&["explain", "job.toml", "--output", "-"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.starts_with(expected), "{stderr}");
}

#[test]
fn wrong_params_are_refused_before_any_model_call() {
    let check = |method: &str, params: &str, expected: &str| {
        let folder = iris(method, "", params);
        // The network fails on this row, so that asking it would be another error.
        let lines: Vec<&str> =
            IRIS_TRAIN.lines().take(3).chain(["1e300,-1e300,1e300,1e300,0"]).collect();
        folder.write("train.csv", lines.join("\n") + "\n");
        refused(&folder, &format!("error: job.toml:{expected}"));
    };
    check(
        "cem",
        "gamma = 0.1\n",
        "9: parameter `gamma` must be 0 without an `autoencoder` in [model], got 0.1",
    );
    check(
        "cem",
        "target_class = [3]\n",
        "9: parameter `target_class` must be below the model's 3 classes, got 3",
    );
    check(
        "cem",
        "output = { interval = { min = 0.5, target = 3 } }\n",
        "9: parameter `output` must be an interval of one of the model's 3 outputs, got 3",
    );
    check("cem", "beta = -1.0\n", "9: parameter `beta` must be finite and at least 0, got -1");
    check("counterfactual", "target_class = 7\n", "9: parameter `target_class` must be below");
    check("counterfactual", "target_proba = 1.5\n", "9: parameter `target_proba` must be");
    check("cfproto", "gamma = 0.1\n", "9: parameter `gamma` must be 0 without an `autoencoder`");
    check("cfproto", "theta = 0.1\n", "9: parameter `theta` must be 0 without an encoder or");
    check(
        "cfproto",
        "instance_class = 3\n",
        "9: parameter `instance_class` must be below the model's 3",
    );
    check(
        "cfproto",
        "target_class = [0, 3]\n",
        "9: parameter `target_class` must be below the model's 3",
    );
    check("cfproto", "speed = 1\n", "9: unknown field `speed`");
    // With right params the row is reached.
    let folder = iris("cfproto", "", "use_kdtree = true\n");
    folder.write("train.csv", "a,b,c,d,target\n1e300,-1e300,1e300,1e300,0\n");
    folder.write("input.csv", "a,b,c,d\n0,0,0,0\n");
    refused(&folder, "error: the model's output must be finite, got NaN");
}

#[test]
fn keys_for_gradients_are_for_methods_that_know_them() {
    let check = |method: &str, key: &str| {
        let folder = iris(method, &format!("{key} = \"model\"\n"), "");
        refused(&folder, &format!("error: job.toml:4: `{method}` has no use for `{key}`\n"));
    };
    check("kernel-shap", "gradients");
    check("anchor-tabular", "autoencoder");
    check("counterfactual", "autoencoder");
    check("cem", "encoder");
    let folder = iris("cem", "gradients = \"exact\"\n", "");
    refused(
        &folder,
        "error: job.toml:4: unknown variant `exact`, expected `numerical` or `model`\n",
    );
    // The default may be written down.
    let default = explain(&iris("counterfactual", "", ""));
    assert_eq!(explain(&iris("counterfactual", "gradients = \"numerical\"\n", "")), default);
}

#[cfg(not(feature = "gradients"))]
#[test]
fn what_needs_gradients_of_a_network_is_named_in_a_build_without() {
    let check = |method: &str, line: &str, what: &str| {
        let expected = format!(
            "error: job.toml:4: `{what}` needs gradients of a network, which are not in this build of the command: build \
             it with `--features gradients`\n"
        );
        refused(&iris(method, line, ""), &expected);
    };
    for method in ["cem", "counterfactual", "cfproto"] {
        check(method, "gradients = \"model\"\n", "gradients = \"model\"");
    }
    check("cem", "autoencoder = \"autoencoder.onnx\"\n", "autoencoder");
    check("cfproto", "encoder = \"encoder.onnx\"\n", "encoder");
}

/// A forest is flat almost everywhere; the methods have other ways where gradients vanish.
#[test]
fn trees_are_explained_as_black_boxes() {
    let forest = include_bytes!("../../../xai-onnx/tests/fixtures/iris_random_forest.onnx");
    for (method, params, found) in METHODS {
        let folder = iris(method, "", params);
        folder.write("iris_mlp.onnx", forest);
        folder.write("train.csv", include_str!("../fixtures/iris_cm_train.csv"));
        folder.write("input.csv", include_str!("../fixtures/iris_cm_input.csv"));
        let mut n_found = 0;
        for line in explain(&folder) {
            let Some(other) = row(&line, found) else { continue };
            n_found += 1;
            assert_ne!(class(forest, &instance(&line)), class(forest, &other), "{method}");
        }
        let least = if method == "cem" { 10 } else { 30 };
        assert!(least <= n_found, "{method}: {n_found}");
    }
}

/// Categories become numbers by the training rows, and stay categories in what is found.
#[test]
fn categories_stay_categories() {
    let folder = adult();
    let forest = include_bytes!("../../../xai-onnx/tests/fixtures/adult_pipeline_gbt.onnx");
    let categories: Value =
        serde_json::from_str(include_str!("../fixtures/adult_categories.json")).unwrap();
    let n_categories = |feature: usize| {
        let lists = categories.get("category_map").unwrap_or(&categories);
        lists.get(feature.to_string()).and_then(Value::as_array).map(Vec::len)
    };
    let lines = explain(&folder);
    let mut n_found = 0;
    for line in &lines {
        let Some(other) = row(line, "/data/cf/row") else { continue };
        n_found += 1;
        assert_ne!(class(forest, &instance(line)), class(forest, &other));
        for (feature, cell) in other.iter().enumerate() {
            if let Some(n) = n_categories(feature) {
                assert!(cell.fract() == 0.0 && (0.0..n as f64).contains(cell), "{feature}: {cell}");
            }
        }
    }
    assert_eq!((lines.len(), n_found), (20, 20));
    // Without training rows there are no numbers for categories.
    let job = folder.read("job.toml").replace("train = \"train.csv\"\n", "");
    folder.write("job.toml", job);
    refused(&folder, "error: job.toml: there are no training rows");
}

/// A job on numbers, categories and trees.
pub(crate) fn adult() -> Folder {
    let folder = Folder::new();
    folder.write(
        "job.toml",
        r#"method = "cfproto"
[model]
path = "pipeline.onnx"
[data]
train = "train.csv"
input = "input.csv"
target = "Income"
categories = "categories.json"
[params]
use_kdtree = true
theta = 0.1
"#,
    );
    let trees = include_bytes!("../../../xai-onnx/tests/fixtures/adult_pipeline_gbt.onnx");
    folder.write("pipeline.onnx", trees);
    folder.write("train.csv", include_str!("../fixtures/adult_train.csv"));
    folder.write("input.csv", include_str!("../fixtures/adult_input.csv"));
    folder.write("categories.json", include_str!("../fixtures/adult_categories.json"));
    folder
}

/// An image has three maps: before, change, after.
#[test]
fn images_are_drawn_before_and_after() {
    for (method, after) in [
        ("cem", "pertinent negative"),
        ("counterfactual", "counterfactual"),
        ("cfproto", "counterfactual"),
    ] {
        let folder = Folder::new();
        folder.write("digits.onnx", include_bytes!("../fixtures/digits.onnx"));
        let scan = include_bytes!("../fixtures/digits/4_is_0.png");
        let image =
            xai::anchors::image::decode(scan, 1, xai::anchors::image::Dtype::Float).unwrap();
        let header: Vec<String> = (0..64).map(|pixel| format!("pixel {pixel}")).collect();
        let cells: Vec<String> = image.iter().map(f64::to_string).collect();
        folder.write("input.csv", format!("{}\n{}\n", header.join(","), cells.join(",")));
        let no_info = if method == "cem" { "no_info_val = 0.0\n" } else { "" };
        folder.write(
            "job.toml",
            format!(
                "method = \"{method}\"\n[model]\npath = \"digits.onnx\"\n[data]\ninput = \"input.csv\"\n[params]\n\
                 shape = [8, 8, 1]\nfeature_range = [0.0, 1.0]\n{no_info}"
            ),
        );
        let lines = explain(&folder);
        assert_eq!(lines[0]["data"]["status"], "found", "{method}");
        let text = folder.succeed(&["explain", "job.toml"]);
        let maps: Vec<&str> = text.split("█ is").collect();
        assert_eq!(maps.len(), 4, "{text}");
        assert!(
            maps[0].contains("\ninstance\n")
                && maps[1].contains("\nchange\n")
                && maps[2].contains(&format!("\n{after}\n")),
            "{text}"
        );
    }
}

#[test]
fn the_schemas_are_there() {
    let folder = Folder::new();
    let cases = [
        ("cem", "no_info_val", "CemData"),
        ("counterfactual", "target_proba", "CounterfactualData"),
        ("cfproto", "use_kdtree", "CfProtoData"),
    ];
    for (method, param, data) in cases {
        let text = folder.succeed(&["schema", method]);
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert!(schema["params"]["properties"][param]["description"].is_string(), "{text}");
        assert!(schema["explanation"]["$defs"][data].is_object(), "{text}");
    }
}

/// The jobs that the book shows.
#[test]
fn the_jobs_of_the_book_run() {
    for method in ["cem", "counterfactual", "cfproto"] {
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/iris-");
        let text =
            Folder::new().succeed(&["explain", &format!("{book}{method}.toml"), "--output", "-"]);
        let found = text.lines().filter(|line| line.contains(r#""status":"found""#)).count();
        assert_eq!(text.lines().count(), 40);
        assert!(20 <= found, "{method}: {found}");
    }
}
