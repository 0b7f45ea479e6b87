//! `xai explain` with the gradients of networks: `gradients = "model"`, autoencoders and encoders.

use serde_json::Value;

use crate::contrast::{adult, class, explain, iris, refused, row};
use crate::folder::{Folder, IRIS_MODEL};

const WHITE: &str = "gradients = \"model\"\n";

#[test]
fn both_ways_to_the_gradient_lead_to_the_same_class() {
    let cases = [
        ("cem", "", "/data/result/row"),
        ("counterfactual", "target_proba = 0.9\n", "/data/cf/row"),
        ("cfproto", "use_kdtree = true\ntheta = 0.5\n", "/data/cf/row"),
    ];
    for (method, params, found) in cases {
        let black = explain(&iris(method, "", params));
        let white = explain(&iris(method, WHITE, params));
        for (place, (black, white)) in black.iter().zip(&white).enumerate() {
            assert_eq!(black["meta"]["type"], "blackbox");
            assert_eq!(white["meta"]["type"], "whitebox");
            assert_eq!(black["data"]["status"], white["data"]["status"], "{method}, row {place}");
            let classes =
                [black, white].map(|line| row(line, found).map(|found| class(IRIS_MODEL, &found)));
            assert_eq!(classes[0], classes[1], "{method}, row {place}");
        }
        // A gradient of this network costs one query in the place of eight.
        let queries = |lines: &[Value]| -> u64 {
            lines.iter().map(|line| line["meta"]["queries"].as_u64().unwrap()).sum()
        };
        assert!(queries(&white) < queries(&black), "{method}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    for method in ["cem", "counterfactual", "cfproto"] {
        let folder = iris(method, WHITE, "");
        let run = |threads: &str| {
            folder.succeed(&["explain", "job.toml", "--output", "-", "--threads", threads])
        };
        assert_eq!(run("1"), run("2"), "{method}");
    }
}

#[test]
fn trees_have_no_gradients_and_their_node_is_named() {
    let folder = adult();
    let job = folder.read("job.toml").replace("[data]", "gradients = \"model\"\n[data]");
    folder.write("job.toml", job);
    refused(
        &folder,
        "error: job.toml:4: `gradients = \"model\"`: the model `pipeline.onnx` cannot be used: ",
    );
    let folder = Folder::iris();
    folder.write("job.toml", iris("cem", WHITE, "").read("job.toml"));
    let forest = include_bytes!("../../../xai-onnx/tests/fixtures/iris_random_forest.onnx");
    folder.write("iris_mlp.onnx", forest);
    refused(
        &folder,
        "error: job.toml:4: `gradients = \"model\"`: the model `iris_mlp.onnx` cannot be used: ",
    );
    let stderr = folder.xai(&["explain", "job.toml"]).stderr;
    assert!(stderr.contains("TreeEnsembleClassifier"), "{stderr}");
}

/// The bytes of a model `y = x W` with as many columns as `weights` has rows.
fn linear(weights: &[Vec<f32>]) -> Vec<u8> {
    fn varint(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while 127 < value {
            bytes.push(u8::try_from(value % 128).unwrap() | 128);
            value /= 128;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    }
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2][..], &varint(value.len()), value].concat()
    }
    fn number(of: u8, value: usize) -> Vec<u8> {
        [vec![of << 3], varint(value)].concat()
    }
    let (n, m) = (weights.len(), weights[0].len());
    let value = |name: &[u8], width: usize| {
        let dims = [field(1, &field(2, b"n")), field(1, &number(1, width))].concat();
        let tensor = [number(1, 1), field(2, &dims)].concat();
        [field(1, name), field(2, &field(1, &tensor))].concat()
    };
    let raw: Vec<u8> = weights.iter().flatten().flat_map(|weight| weight.to_le_bytes()).collect();
    let initializer =
        [number(1, n), number(1, m), number(2, 1), field(8, b"w"), field(9, &raw)].concat();
    let node = [field(1, b"x"), field(1, b"w"), field(2, b"y"), field(3, b"product")];
    let node = [node.concat(), field(4, b"MatMul")].concat();
    let graph = [
        field(1, &node),
        field(2, b"g"),
        field(5, &initializer),
        field(11, &value(b"x", n)),
        field(12, &value(b"y", m)),
    ];
    let opset = field(8, &[field(1, b""), number(2, 17)].concat());
    [number(1, 8), field(7, &graph.concat()), opset].concat()
}

/// An autoencoder that knows rows whose last two columns are equal.
fn tied() -> Vec<u8> {
    let mut weights = vec![vec![0.0; 4]; 4];
    (weights[0][0], weights[1][1]) = (1.0, 1.0);
    for (from, to) in [(2, 2), (2, 3), (3, 2), (3, 3)] {
        weights[from][to] = 0.5;
    }
    linear(&weights)
}

#[test]
fn an_autoencoder_draws_to_its_rows() {
    // Its reconstruction error is half the squared difference of the last two columns.
    let error = |row: &[f64]| (row[2] - row[3]).powi(2) / 2.0;
    // Below the data, so that every feature of a pertinent negative may go up.
    let cases =
        [("cem", "/data/result/row", "no_info_val = -5.0\n"), ("cfproto", "/data/cf/row", "")];
    for (method, found, params) in cases {
        let mean = |gamma: f64| {
            let folder = iris(
                method,
                "autoencoder = \"autoencoder.onnx\"\n",
                &format!("{params}gamma = {gamma:?}\n"),
            );
            folder.write("autoencoder.onnx", tied());
            let lines = explain(&folder);
            let errors: Vec<f64> =
                lines.iter().filter_map(|line| row(line, found)).map(|row| error(&row)).collect();
            assert_eq!(errors.len(), 40, "{method}");
            errors.iter().sum::<f64>() / errors.len() as f64
        };
        let (free, drawn) = (mean(0.0), mean(10.0));
        assert!(drawn < 0.9 * free, "{method}: {drawn} with the autoencoder, {free} without");
    }
}

#[test]
fn an_encoder_gives_the_prototypes() {
    let folder = iris("cfproto", "encoder = \"encoder.onnx\"\n", "theta = 1.0\n");
    // The petals alone.
    let weights = [vec![0.0, 0.0], vec![0.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0]];
    folder.write("encoder.onnx", linear(&weights));
    let lines = explain(&folder);
    for line in &lines {
        assert_eq!(line["data"]["status"], "found");
        let found = row(line, "/data/cf/row").unwrap();
        let own = row(line, "/data/instance").unwrap();
        assert_ne!(class(IRIS_MODEL, &found), class(IRIS_MODEL, &own));
        assert!(line["data"]["id_proto"].is_u64() && line["data"]["trust"].is_number());
    }
    // Prototypes by encodings are of training rows.
    let job = folder.read("job.toml");
    folder.write("job.toml", job.replace("train = \"train.csv\"\n", ""));
    refused(&folder, "error: job.toml: there are no training rows");
}

#[test]
fn networks_of_another_shape_are_refused_before_any_row() {
    let check = |method: &str, key: &str, network: Vec<u8>, expected: &str| {
        let folder = iris(method, &format!("{key} = \"network.onnx\"\n"), "");
        folder.write("network.onnx", network);
        refused(&folder, &format!("error: job.toml:4: {expected}"));
    };
    let rows = |n: usize, m: usize| linear(&vec![vec![0.5; m]; n]);
    for method in ["cem", "cfproto"] {
        check(
            method,
            "autoencoder",
            rows(4, 3),
            "the autoencoder `network.onnx` makes 3 numbers of 4, and should give rows like those it takes\n",
        );
        check(
            method,
            "autoencoder",
            rows(5, 5),
            "the autoencoder `network.onnx` takes 5 features, the table `train.csv` has 4\n",
        );
        check(
            method,
            "autoencoder",
            b"nothing".to_vec(),
            "the autoencoder `network.onnx` cannot be used: not an ONNX model",
        );
    }
    check(
        "cfproto",
        "encoder",
        rows(3, 2),
        "the encoder `network.onnx` takes 3 features, the table `train.csv` has 4\n",
    );
    let forest = include_bytes!("../../../xai-onnx/tests/fixtures/iris_random_forest.onnx");
    check("cfproto", "encoder", forest.to_vec(), "the encoder `network.onnx` cannot be used: ");
}
