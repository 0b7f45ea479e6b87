//! `xai explain` with integrated gradients.

use serde_json::Value;
use xai::core::Explanation;
use xai::core::Status;
use xai::intgrad::{IntegratedGradientsData, Target};
use xai::ndarray::{Array2, array};

use crate::folder::{Folder, IRIS_JOB, Ran};

/// The iris job with this method and other params; training rows are not needed.
fn iris(params: &str) -> Folder {
    let folder = Folder::iris();
    let job = IRIS_JOB
        .replace("kernel-shap", "integrated-gradients")
        .replace("train = \"train.csv\"\n", "");
    folder.write("job.toml", format!("{job}[params]\n{params}"));
    folder
}

#[track_caller]
fn explain(folder: &Folder) -> Vec<Explanation<IntegratedGradientsData>> {
    let lines = folder.succeed(&["explain", "job.toml", "--output", "-"]);
    lines.lines().map(|line| Explanation::from_json(line).unwrap()).collect()
}

#[test]
fn attributions_add_up_to_the_change_of_the_output() {
    let folder = iris("target = \"predicted\"\n");
    let explanations = explain(&folder);
    assert_eq!(explanations.len(), 40);
    for Explanation { meta, data, .. } in &explanations {
        assert_eq!((meta.name.as_str(), data.status), ("integrated-gradients", Status::Complete));
        let Some(Target::Index(target)) = data.target else { panic!("{:?}", data.target) };
        let largest = data.predictions.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(data.predictions[[target]], largest);
        let gap = data.attributions[0].sum() - (data.output - data.baseline_outputs[0]);
        assert!((gap - data.deltas[0]).abs() < 1e-6, "{gap}");
        // Fifty points of Gauss-Legendre and a network of relu units: a kink costs about a part in a thousand.
        assert!(gap.abs() < 0.02, "{gap}");
        let names = data.feature_names.as_ref().unwrap();
        assert_eq!((names[0].as_str(), names.len()), ("sepal length (cm)", 4));
    }
    // Training rows that are there change nothing: the method is not fitted to them.
    let job = folder.read("job.toml");
    folder.write("job.toml", job.replace("[data]\n", "[data]\ntrain = \"train.csv\"\n"));
    assert_eq!(explain(&folder), explanations);
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let folder = iris("target = 1\nbaselines = { distribution = [[0, 0, 0, 0], [1, 1, 1, 1]] }\n");
    let run = |threads: &str| {
        folder.succeed(&["explain", "job.toml", "--output", "-", "--threads", threads])
    };
    assert_eq!(run("1"), run("4"));
}

#[test]
fn tables_have_bars_and_the_names_of_outputs() {
    let folder = iris("target = 1\n");
    let job = folder.read("job.toml");
    let names = "outputs = [\"setosa\", \"versicolor\", \"virginica\"]\n[data]\n";
    folder.write("job.toml", job.replace("[data]\n", names));
    let text = folder.succeed(&["explain", "job.toml", "--rows", "0"]);
    assert!(text.starts_with("Row 0: Integrated gradients\n"), "{text}");
    for said in ["\n versicolor ", "petal width (cm)", "│", "sum of attributions"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
}

/// The digits network and two scans as rows of 64 columns.
fn digits(params: &str) -> Folder {
    let folder = Folder::new();
    folder.write("digits.onnx", include_bytes!("../fixtures/digits.onnx"));
    let scans: [&[u8]; 2] = [
        include_bytes!("../fixtures/digits/4_is_0.png"),
        include_bytes!("../fixtures/digits/2_is_2.png"),
    ];
    let header: Vec<String> = (0..64).map(|pixel| format!("pixel {pixel}")).collect();
    let mut table = header.join(",") + "\n";
    for scan in scans {
        let image =
            xai::anchors::image::decode(scan, 1, xai::anchors::image::Dtype::Float).unwrap();
        let cells: Vec<String> = image.iter().map(f64::to_string).collect();
        table += &(cells.join(",") + "\n");
    }
    folder.write("input.csv", table);
    let job = "method = \"integrated-gradients\"\n[model]\npath = \"digits.onnx\"\n[data]\ninput = \"input.csv\"\n[params]\n";
    folder.write("job.toml", format!("{job}{params}"));
    folder
}

const IMAGE: &str =
    "target = \"predicted\"\n[[params.inputs]]\nname = \"image\"\nshape = [8, 8, 1]\n";

#[test]
fn rows_may_be_images() {
    let folder = digits(IMAGE);
    let explanations = explain(&folder);
    let targets: Vec<_> = explanations.iter().map(|own| own.data.target.clone().unwrap()).collect();
    assert_eq!(targets, [Target::Index(0), Target::Index(2)]);
    for Explanation { data, .. } in &explanations {
        let attributions = &data.attributions[0];
        assert_eq!(attributions.shape(), [8, 8, 1]);
        // Where there is no ink the image is its baseline, so that nothing is attributed.
        for (value, ink) in attributions.iter().zip(&data.instance[0]) {
            assert!(*ink != 0.0 || *value == 0.0, "{ink}: {value}");
        }
    }
    let text = folder.succeed(&["explain", "job.toml", "--rows", "0"]);
    assert!(text.contains("\nimage\n") && text.contains("- below 0"), "{text}");
}

#[test]
fn layers_have_the_shapes_of_the_network() {
    let folder = digits("target = 0\nlayer = \"a0\"\n");
    for Explanation { data, .. } in explain(&folder) {
        assert_eq!(data.attributions[0].shape(), [8, 8, 8]);
        assert_eq!(data.tensor_names, ["a0"]);
    }
}

/// The bytes of a model `y = Round(x)`, which has outputs and no gradient.
fn rounding() -> Vec<u8> {
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let size = u8::try_from(value.len()).unwrap();
        assert!(size < 128);
        [&[number << 3 | 2, size], value].concat()
    }
    let dims = [field(1, &field(2, b"n")), field(1, &[8, 4])].concat();
    let tensor = [vec![8, 1], field(2, &dims)].concat();
    let value = |name: &[u8]| [field(1, name), field(2, &field(1, &tensor))].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(3, b"the_rounding"), field(4, b"Round")];
    let graph = [
        field(1, &node.concat()),
        field(2, b"g"),
        field(11, &value(b"x")),
        field(12, &value(b"y")),
    ];
    let opset = field(8, &[field(1, b""), vec![16, 17]].concat());
    [vec![8, 8], field(7, &graph.concat()), opset].concat()
}

#[test]
fn a_node_without_gradient_is_named_before_any_work() {
    let folder = iris("target = 1\n");
    folder.write("iris_mlp.onnx", rounding());
    let arguments = ["explain", "job.toml", "--output", "rows.jsonl"];
    let Ran { code, stderr, .. } = folder.xai(&arguments);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("error: the model `iris_mlp.onnx` cannot be used: "), "{stderr}");
    assert!(stderr.contains("Round") && stderr.contains("the_rounding"), "{stderr}");
    assert!(!folder.path("rows.jsonl").exists());
    // It is a black box all the same.
    folder.write("job.toml", IRIS_JOB);
    folder.succeed(&["explain", "job.toml", "--rows", "0"]);
}

#[test]
fn wrong_params_are_refused_before_any_row() {
    let refused = |folder: &Folder, expected: &str| {
        let Ran { code, stdout, stderr } = folder.xai(&["explain", "job.toml", "--output", "-"]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(
        &iris(""),
        "error: job.toml: parameter `target` must be given for the model's 3 outputs",
    );
    refused(&iris("target = 3\n"), "job.toml:8: parameter `target` must be within the model's 3");
    refused(&iris("target = 0\nlayer = \"z\"\n"), "job.toml:9: parameter `layer` must be a value");
    refused(&iris("target = 0\nn_steps = 0\n"), "job.toml:9: parameter `n_steps` must be");
    refused(
        &digits("target = 0\n[[params.inputs]]\nname = \"image\"\nshape = [8, 9]\n"),
        "the columns of `inputs`",
    );
    let folder = iris("target = 0\n");
    folder.write(
        "job.toml",
        folder.read("job.toml").replace("[params]", "edges = \"model\"\n[params]"),
    );
    refused(&folder, "`integrated-gradients` has no bins");
}

#[test]
fn the_schema_is_there() {
    let text = Folder::new().succeed(&["schema", "integrated-gradients"]);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(schema["params"]["properties"]["n_steps"]["description"].is_string(), "{text}");
    assert!(schema["explanation"]["$defs"]["IntegratedGradientsData"].is_object(), "{text}");
}

/// The gradient of a linear model is the same everywhere, so that the attributions are known.
#[test]
fn a_linear_model_shares_its_change_by_its_coefficients() {
    let folder = Folder::new();
    folder.write(
        "linear.onnx",
        include_bytes!("../../../xai-testkit/fixtures/models/diabetes_linear.onnx"),
    );
    let header = "a,b,c,d,e,f,g,h,i,j";
    let unit = |hot: usize| -> String {
        let cells: Vec<&str> = (0..10).map(|place| if place == hot { "1" } else { "0" }).collect();
        cells.join(",")
    };
    let rows: Vec<String> = (0..10).map(unit).collect();
    folder.write("input.csv", format!("{header}\n{}\n", rows.join("\n")));
    folder.write(
        "job.toml",
        "method = \"integrated-gradients\"\n[model]\npath = \"linear.onnx\"\n[data]\ninput = \"input.csv\"\n",
    );
    let explanations = explain(&folder);
    for (hot, Explanation { data, .. }) in explanations.iter().enumerate() {
        let change = data.output - data.baseline_outputs[0];
        let mut expected = Array2::zeros((1, 10));
        expected[[0, hot]] = change;
        let gap = (&data.attributions[0] - &expected.row(0)).mapv(f64::abs);
        // Outputs of about 150 in single precision, whose differences these are.
        assert!(gap.iter().all(|gap| *gap < 1e-3), "{gap}");
        assert_eq!(data.predictions, array![data.output].into_dyn());
    }
}

/// The job that the book shows.
#[test]
fn the_job_of_the_book_runs() {
    let folder = Folder::new();
    let job = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/iris-gradients.toml");
    let text = folder.succeed(&["explain", job, "--output", "-"]);
    assert_eq!(text.lines().count(), 40);
}
