//! Networks with gradients: outputs against the black box, gradients against central differences.

#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "the model itself is under test, weights are single precision, what is not differentiated is exactly zero, and a test may panic"
)]

use std::path::PathBuf;

use crate::build::{With, fixture, floats, integers, model, node, value, weights};
use ndarray::{Array2, array};
use serde_json::Value;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};
use xai_candle::candle_core::{Device, safetensors};
use xai_core::{
    CentralDifference, Differentiable, ModelKind, ModelRef, Output, Predictor, Rows, Seed, Side,
    Split,
};
use xai_onnx::{NetworkOptions, OnnxError, OnnxModel, OnnxNetwork, OnnxOptions};

fn double() -> NetworkOptions {
    NetworkOptions { double: true, ..NetworkOptions::default() }
}

fn random(shape: (usize, usize), seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    Array2::from_shape_simple_fn(shape, || 2.0 * stream.uniform() - 1.0)
}

#[track_caller]
fn close(what: &str, got: &Rows, expected: &Rows, tolerance: f64) {
    assert_eq!(got.dim(), expected.dim(), "{what}");
    for ((place, got), expected) in got.indexed_iter().zip(expected) {
        let error = (got - expected).abs() / expected.abs().max(1.0);
        assert!(error <= tolerance, "{what} at {place:?}: {got}, {expected}");
    }
}

/// Outputs agree with those of the black box in either precision, and gradients with central differences in double
/// precision, whose rounding and truncation are far below the tolerance.
#[track_caller]
fn check(what: &str, bytes: &[u8], rows: &Rows) -> OnnxNetwork {
    let black_box = OnnxModel::from_bytes(bytes, &OnnxOptions::default()).unwrap();
    let expected = black_box.evaluate(rows).unwrap();
    let single = OnnxNetwork::from_bytes(bytes, &NetworkOptions::default()).unwrap();
    close(what, &single.predict(rows).unwrap(), &expected, 1e-5);
    let network = OnnxNetwork::from_bytes(bytes, &double()).unwrap();
    close(what, &network.predict(rows).unwrap(), &expected, 1e-5);
    let cotangent = random(expected.dim(), 99);
    let got = network.vjp(rows, &cotangent).unwrap();
    assert!(got.iter().any(|gradient| *gradient != 0.0), "{what}");
    let numeric = CentralDifference::new(&network).vjp(rows, &cotangent).unwrap();
    close(what, &got, &numeric, 1e-6);
    // Single precision has about seven digits, of which a network loses some.
    close(what, &single.vjp(rows, &cotangent).unwrap(), &got, 1e-3);
    network
}

fn rows_of(file: &str, name: &str) -> Array2<f64> {
    let text = std::fs::read_to_string(fixture(file)).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let rows: Vec<Vec<f64>> =
        serde_json::from_value(all["models"][name]["inputs"].clone()).unwrap();
    let shape = (rows.len(), rows[0].len());
    Array2::from_shape_vec(shape, rows.into_iter().flatten().collect()).unwrap()
}

#[test]
fn networks_have_their_gradients() {
    let names =
        ["iris_mlp", "wine_mlp", "wine_softmax", "cancer_mlp", "diabetes_mlp", "diabetes_linear"];
    for name in names {
        let bytes = std::fs::read(fixture(&format!("{name}.onnx"))).unwrap();
        check(name, &bytes, &rows_of("networks_expected.json", name));
    }
}

#[test]
fn a_pipeline_has_gradients_in_its_numbers_and_none_in_its_categories() {
    let name = "adult_pipeline_mlp";
    let rows = rows_of("sklearn_expected.json", name);
    let path = fixture(&format!("{name}.onnx"));
    let expected = OnnxModel::open(&path).unwrap().evaluate(&rows).unwrap();
    let network = OnnxNetwork::open_with(&path, &double()).unwrap();
    close(name, &network.predict(&rows).unwrap(), &expected, 1e-5);
    assert_eq!(network.class_labels().unwrap(), ["0", "1"]);
    assert_eq!((network.n_features(), network.n_outputs()), (rows.ncols(), 2));
    let cotangent = random(expected.dim(), 5);
    let got = network.vjp(&rows, &cotangent).unwrap();
    let numeric = CentralDifference::new(&network).vjp(&rows, &cotangent).unwrap();
    let is_number = |column: &usize| got.column(*column).iter().any(|slope| *slope != 0.0);
    let numbers: Vec<usize> = (0..rows.ncols()).filter(is_number).collect();
    assert_eq!(numbers.len(), 4);
    for column in numbers {
        let [got, numeric] =
            [&got, &numeric].map(|all| all.column(column).insert_axis(ndarray::Axis(1)));
        close(name, &got, &numeric, 1e-6);
    }
}

/// The network for digits as exporters write it, for a size of batch, 0 for any.
fn digits(n_rows: i64, shape: &[i64]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../xai-testkit/fixtures/models/digits.safetensors");
    let tensors = safetensors::load(path, &Device::Cpu).unwrap();
    let weight = |name: &str| -> TensorProto {
        let tensor = &tensors[&format!("cnn.{name}")];
        let dims: Vec<i64> = tensor.dims().iter().map(|&size| size as i64).collect();
        weights(name, &dims, &tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
    };
    let names = ["conv0", "conv1", "dense0", "dense1"];
    let mut tensors: Vec<TensorProto> = names
        .iter()
        .flat_map(|name| [weight(&format!("{name}.weight")), weight(&format!("{name}.bias"))])
        .collect();
    tensors.push(integers("shape", &[shape.len() as i64], shape));
    let convolution = |x, name: &str, out| {
        node("Conv", &[x, &format!("{name}.weight"), &format!("{name}.bias")], &[out])
            .ints("kernel_shape", &[3, 3])
    };
    let dense = |x, name: &str, out| {
        node("Gemm", &[x, &format!("{name}.weight"), &format!("{name}.bias")], &[out])
            .int("transB", 1)
    };
    let nodes = [
        convolution("x", "conv0", "z0").ints("pads", &[1, 1, 1, 1]),
        node("Relu", &["z0"], &["a0"]),
        node("MaxPool", &["a0"], &["p0"]).ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]),
        convolution("p0", "conv1", "z1").word("auto_pad", "SAME_UPPER"),
        node("Relu", &["z1"], &["a1"]),
        node("Transpose", &["a1"], &["t1"]).ints("perm", &[0, 2, 3, 1]),
        node("Reshape", &["t1", "shape"], &["f1"]),
        dense("f1", "dense0", "z2"),
        node("Relu", &["z2"], &["a2"]),
        dense("a2", "dense1", "z3"),
        node("Softmax", &["z3"], &["y"]).int("axis", 1),
    ];
    model(&nodes, &tensors, &[floats("x", &[n_rows, 1, 8, 8])], &[floats("y", &[n_rows, 10])])
}

#[test]
fn a_convolutional_network_has_its_gradients_and_layers() {
    let rows = random((7, 64), 3) / 2.0;
    let network = check("digits", &digits(0, &[-1, 256]), &rows);
    let cotangent = random((7, 10), 4);
    let (outputs, gradient) =
        (network.predict(&rows).unwrap(), network.vjp(&rows, &cotangent).unwrap());
    for (layer, side, shape) in [
        ("x", Side::After, &[1, 8, 8][..]),
        ("z0", Side::Before, &[1, 8, 8]),
        ("a1", Side::After, &[16, 4, 4]),
        ("node_a1", Side::After, &[16, 4, 4]),
        ("z2", Side::Before, &[256]),
        ("y", Side::After, &[10]),
    ] {
        assert_eq!(network.layer_shapes(layer, side).unwrap(), [shape], "{layer}");
        let Split { body, head } = network.split_at(layer, side).unwrap();
        let values = body.predict(&rows).unwrap();
        assert_eq!(values.ncols(), shape.iter().product::<usize>());
        close(layer, &head.predict(&values).unwrap(), &outputs, 1e-12);
        let at_layer = head.vjp(&values, &cotangent).unwrap();
        if values.ncols() == 64 {
            close(layer, &at_layer, &gradient, 1e-12);
        }
    }
    assert!(network.split_at("nothing", Side::After).is_none());
    assert!(network.split_at("conv0.weight", Side::After).is_none());
    assert!(network.split_at("x", Side::Before).is_none());
}

#[test]
fn a_graph_for_one_size_of_batch_takes_others() {
    let rows = random((5, 64), 6) / 2.0;
    let free = OnnxNetwork::from_bytes(&digits(0, &[-1, 256]), &double()).unwrap();
    let cotangent = random((5, 10), 7);
    let (outputs, gradient) = (free.predict(&rows).unwrap(), free.vjp(&rows, &cotangent).unwrap());
    for (n_rows, shape) in
        [(1, &[1, 256][..]), (1, &[1, -1]), (2, &[2, -1]), (3, &[0, -1]), (4, &[-1, 256])]
    {
        let fixed = OnnxNetwork::from_bytes(&digits(n_rows, shape), &double()).unwrap();
        close("fixed", &fixed.predict(&rows).unwrap(), &outputs, 1e-12);
        close("fixed", &fixed.vjp(&rows, &cotangent).unwrap(), &gradient, 1e-12);
    }
    // A mean over the batch is none for a batch of one, and must stay none.
    let nodes =
        [node("ReduceMean", &["x"], &["m"]).ints("axes", &[0]), node("Add", &["x", "m"], &["y"])];
    let bytes = model(&nodes, &[], &[floats("x", &[1, 2])], &[floats("y", &[1, 2])]);
    let network = OnnxNetwork::from_bytes(&bytes, &double()).unwrap();
    let rows = array![[1.0, 2.0], [30.0, 40.0]];
    assert_eq!(network.predict(&rows).unwrap(), &rows * 2.0);
    assert_eq!(network.vjp(&rows, &rows).unwrap(), &rows * 2.0);
}

/// A graph from `x` of shape `(?, shape)` to `y`, on six random rows.
#[track_caller]
fn operators(nodes: &[NodeProto], tensors: &[TensorProto], shape: &[i64]) {
    let n_axes = shape.len();
    let dims = [&[0], shape].concat();
    let bytes = model(nodes, tensors, &[floats("x", &dims)], &[floats("y", &vec![0; n_axes + 1])]);
    let width = usize::try_from(shape.iter().product::<i64>()).unwrap();
    let names: Vec<&str> = nodes.iter().map(|node| node.op_type.as_str()).collect();
    check(&names.join(", "), &bytes, &random((6, width), 11));
}

fn y(operator: &str, inputs: &[&str]) -> NodeProto {
    node(operator, inputs, &["y"])
}

#[test]
fn every_cell_wise_operator_has_its_gradient() {
    let plain = [
        "Identity",
        "Relu",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Softplus",
        "Erf",
        "Exp",
        "Neg",
        "Abs",
        "Sin",
        "Cos",
        "Dropout",
    ];
    for operator in plain {
        operators(&[y(operator, &["x"])], &[], &[5]);
    }
    operators(&[y("LeakyRelu", &["x"]).float("alpha", 0.2)], &[], &[5]);
    operators(&[y("Elu", &["x"]).float("alpha", 0.7)], &[], &[5]);
    for approximate in ["none", "tanh"] {
        operators(&[y("Gelu", &["x"]).word("approximate", approximate)], &[], &[5]);
    }
    let slope = weights("slope", &[5], &[0.1, 0.2, 0.3, 0.4, -0.5]);
    operators(&[y("PRelu", &["x", "slope"])], &[slope], &[5]);
    // Above zero.
    let square = node("Mul", &["x", "x"], &["square"]);
    let one = weights("one", &[], &[1.0]);
    let above = node("Add", &["square", "one"], &["above"]);
    for operator in ["Sqrt", "Log", "Reciprocal"] {
        operators(
            &[square.clone(), above.clone(), y(operator, &["above"])],
            std::slice::from_ref(&one),
            &[4],
        );
    }
    for exponent in [1.0, 2.0, 3.0, 0.5, -1.5] {
        let exponent = weights("exponent", &[], &[exponent]);
        let nodes = [square.clone(), above.clone(), y("Pow", &["above", "exponent"])];
        operators(&nodes, &[one.clone(), exponent], &[4]);
    }
    let pair = weights("pair", &[4], &[0.3, -0.2, 0.5, 2.0]);
    for operator in ["Add", "Sub", "Mul", "Div", "Max", "Min"] {
        operators(&[y(operator, &["x", "pair"])], std::slice::from_ref(&pair), &[4]);
        // Not a quotient by numbers near zero.
        let turned = [square.clone(), above.clone(), y(operator, &["pair", "above"])];
        operators(&turned, &[one.clone(), pair.clone()], &[3, 4]);
        let both = [square.clone(), above.clone(), y(operator, &["x", "above"])];
        operators(&both, std::slice::from_ref(&one), &[4]);
    }
    // Both inputs are smaller than the sum.
    let turned = node("Transpose", &["x"], &["turned"]).ints("perm", &[0, 2, 1]);
    operators(&[turned, y("Add", &["x", "turned"])], &[], &[4, 1]);
    let (low, high) = (weights("low", &[], &[-0.5]), weights("high", &[], &[0.4]));
    operators(&[y("Clip", &["x", "low", "high"])], &[low.clone(), high.clone()], &[5]);
    operators(&[y("Clip", &["x", "", "high"])], &[high], &[5]);
    let nodes = [
        node("Greater", &["x", "low"], &["c"]),
        node("Exp", &["x"], &["e"]),
        y("Where", &["c", "e", "x"]),
    ];
    operators(&nodes, &[low], &[5]);
    operators(&[y("Cast", &["x"]).int("to", DataType::Float as i64)], &[], &[3]);
}

#[test]
fn products_reductions_and_normalisations_have_their_gradients() {
    let of = |name: &str, dims: &[i64], seed| {
        let n = usize::try_from(dims.iter().product::<i64>()).unwrap();
        let numbers: Vec<f32> = random((1, n), seed).iter().map(|&x| x as f32).collect();
        weights(name, dims, &numbers)
    };
    let (w, b) = (of("w", &[4, 3], 1), of("b", &[3], 2));
    operators(&[y("MatMul", &["x", "w"])], std::slice::from_ref(&w), &[4]);
    operators(&[y("MatMul", &["x", "w"])], std::slice::from_ref(&w), &[2, 4]);
    let gemm = y("Gemm", &["x", "w", "b"]).float("alpha", 0.5).float("beta", 2.0);
    operators(&[gemm], &[w, b], &[4]);
    let turned = [of("w", &[3, 4], 3), of("b", &[1, 3], 4)];
    operators(&[y("Gemm", &["x", "w", "b"]).int("transB", 1)], &turned, &[4]);
    // Attention: a product of two values.
    let nodes = [
        node("Transpose", &["x"], &["t"]).ints("perm", &[0, 2, 1]),
        node("MatMul", &["x", "t"], &["s"]),
        node("Softmax", &["s"], &["p"]).int("axis", -1),
        y("MatMul", &["p", "x"]),
    ];
    operators(&nodes, &[], &[3, 4]);
    operators(&[y("Softmax", &["x"]).int("axis", 1)], &[], &[3, 4]);
    operators(&[y("LogSoftmax", &["x"]).int("axis", -1)], &[], &[3, 4]);
    operators(&[y("ReduceMean", &["x"]).ints("axes", &[1, -1])], &[], &[3, 4]);
    operators(&[y("ReduceMean", &["x"]).ints("axes", &[1]).int("keepdims", 0)], &[], &[3, 4]);
    let axes = integers("axes", &[1], &[2]);
    operators(&[y("ReduceSum", &["x", "axes"])], &[axes], &[3, 4]);
    operators(&[y("ReduceMax", &["x"]).ints("axes", &[2])], &[], &[3, 4]);
    operators(&[y("ReduceMin", &["x"]).ints("axes", &[1])], &[], &[3, 4]);
    let parts = [
        of("s", &[3], 5),
        of("b", &[3], 6),
        of("m", &[3], 7),
        weights("v", &[3], &[0.5, 1.0, 2.0]),
    ];
    let normalise = y("BatchNormalization", &["x", "s", "b", "m", "v"]).float("epsilon", 1e-3);
    operators(std::slice::from_ref(&normalise), &parts, &[3, 2, 2]);
    operators(&[normalise], &parts, &[3]);
    let parts = [of("s", &[4], 8), of("b", &[4], 9)];
    operators(&[y("LayerNormalization", &["x", "s", "b"]).int("axis", -1)], &parts, &[3, 4]);
}

#[test]
fn convolutions_and_pools_have_their_gradients() {
    let of = |dims: &[i64], seed| {
        let n = usize::try_from(dims.iter().product::<i64>()).unwrap();
        let numbers: Vec<f32> = random((1, n), seed).iter().map(|&x| x as f32).collect();
        weights("w", dims, &numbers)
    };
    let convolve = || y("Conv", &["x", "w"]);
    let padded = convolve().ints("pads", &[1, 0, 0, 2]).ints("strides", &[2, 1]);
    operators(&[padded], &[of(&[3, 2, 3, 2], 1)], &[2, 6, 5]);
    let grouped = convolve().int("group", 2).ints("dilations", &[2, 2]);
    operators(&[grouped], &[of(&[4, 1, 2, 2], 2)], &[2, 6, 5]);
    let same = convolve().word("auto_pad", "SAME_LOWER").ints("strides", &[2, 2]);
    operators(&[same], &[of(&[2, 1, 3, 3], 3)], &[1, 6, 5]);
    // A sequence.
    operators(&[convolve().ints("pads", &[1, 1])], &[of(&[3, 2, 3], 4)], &[2, 7]);
    let pools = [
        |node: NodeProto| node.ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]),
        |node: NodeProto| {
            node.ints("kernel_shape", &[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1])
        },
        |node: NodeProto| node.ints("kernel_shape", &[3, 2]),
    ];
    for pool in pools {
        operators(&[pool(y("MaxPool", &["x"]))], &[], &[2, 6, 7]);
        operators(&[pool(y("AveragePool", &["x"]))], &[], &[2, 6, 7]);
        operators(&[pool(y("AveragePool", &["x"])).int("count_include_pad", 1)], &[], &[2, 6, 7]);
    }
    operators(&[y("GlobalAveragePool", &["x"])], &[], &[2, 3, 4]);
    operators(&[y("GlobalMaxPool", &["x"])], &[], &[2, 3, 4]);
}

#[test]
fn operators_that_move_cells_have_their_gradients() {
    let list = |name: &str, entries: &[i64]| integers(name, &[entries.len() as i64], entries);
    let exp = node("Exp", &["x"], &["e"]);
    for shape in [&[0, -1][..], &[-1, 4, 3], &[0, 2, 0, 2]] {
        operators(
            &[exp.clone(), y("Reshape", &["e", "shape"])],
            &[list("shape", shape)],
            &[2, 3, 2],
        );
    }
    operators(&[exp.clone(), y("Flatten", &["e"])], &[], &[2, 3]);
    operators(&[exp.clone(), y("Transpose", &["e"]).ints("perm", &[0, 2, 1])], &[], &[2, 3]);
    let nodes =
        [exp.clone(), node("Unsqueeze", &["e", "axes"], &["u"]), y("Squeeze", &["u", "axes"])];
    operators(&nodes, &[list("axes", &[1, -1])], &[2, 3]);
    operators(&[exp.clone(), y("Concat", &["e", "x"]).int("axis", 2)], &[], &[2, 3]);
    let [starts, ends, axes, steps] =
        [("s", [1, -3]), ("n", [9, -1]), ("a", [1, 2]), ("t", [2, 1])]
            .map(|(name, entries)| list(name, &entries));
    let slice = y("Slice", &["e", "s", "n", "a", "t"]);
    operators(&[exp.clone(), slice], &[starts, ends, axes, steps], &[5, 4]);
    let backwards = [list("s", &[-1]), list("n", &[-9]), list("a", &[1]), list("t", &[-2])];
    operators(&[exp.clone(), y("Slice", &["e", "s", "n", "a", "t"])], &backwards, &[5]);
    let picked = [integers("i", &[2, 2], &[0, -1, 2, 2])];
    operators(&[exp.clone(), y("Gather", &["e", "i"]).int("axis", 1)], &picked, &[3]);
    let parts = node("Split", &["e", "sizes"], &["first", "second"]).int("axis", 1);
    let nodes = [exp.clone(), parts, y("Concat", &["second", "x", "first"]).int("axis", 1)];
    operators(&nodes, &[list("sizes", &[1, 3])], &[4]);
    let pads = [list("pads", &[0, 1, 0, 2]), weights("value", &[], &[0.5])];
    operators(&[exp.clone(), y("Pad", &["e", "pads", "value"])], &pads, &[3]);
    // A shape that is computed: that of the input, its last axes joined.
    let nodes = [
        exp,
        node("Shape", &["x"], &["shape"]),
        node("Gather", &["shape", "zero"], &["rows"]).int("axis", 0),
        node("Concat", &["rows", "rest"], &["flat"]).int("axis", 0),
        y("Reshape", &["e", "flat"]),
    ];
    operators(&nodes, &[list("zero", &[0]), list("rest", &[-1])], &[2, 3]);
}

#[test]
fn several_inputs_and_integers_are_columns() {
    let inputs = [
        floats("a", &[0, 2]),
        value("index", DataType::Int64, &[0, 1]),
        floats("unused", &[0, 3]),
        floats("b", &[0, 2]),
    ];
    let table = weights("table", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let nodes = [
        node("Gather", &["table", "index"], &["rows"]),
        node("Squeeze", &["rows", "axes"], &["picked"]),
        node("Mul", &["a", "picked"], &["m"]),
        node("Mul", &["m", "b"], &["y"]),
    ];
    let axes = integers("axes", &[1], &[1]);
    let bytes = model(&nodes, &[table, axes], &inputs, &[floats("y", &[0, 2])]);
    let network = OnnxNetwork::from_bytes(&bytes, &NetworkOptions::default()).unwrap();
    let rows = array![[2.0, 3.0, 2.0, 9.0, 9.0, 9.0, 0.5, 4.0]];
    assert_eq!(network.predict(&rows).unwrap(), array![[5.0, 72.0]]);
    let gradient = network.vjp(&rows, &array![[1.0, 1.0]]).unwrap();
    assert_eq!(gradient, array![[2.5, 24.0, 0.0, 0.0, 0.0, 0.0, 10.0, 18.0]]);
    // One value of a product does not separate the inputs from the output, both of them do.
    assert!(network.split_at("m", Side::After).is_none());
    let Split { body, head } = network.split_at("y", Side::Before).unwrap();
    assert_eq!(network.layer_shapes("y", Side::Before).unwrap(), [[2], [2]]);
    let values = body.predict(&rows).unwrap();
    assert_eq!(values, array![[10.0, 18.0, 0.5, 4.0]]);
    assert_eq!(head.predict(&values).unwrap(), array![[5.0, 72.0]]);
    let at_layer = head.vjp(&values, &array![[1.0, 1.0]]).unwrap();
    assert_eq!(at_layer, array![[0.5, 4.0, 10.0, 18.0]]);
    assert!(network.predict(&array![[2.0, 3.0, 0.5, 9.0, 9.0, 9.0, 0.5, 4.0]]).is_err());
    assert!(network.predict(&array![[2.0, 3.0, 7.0, 9.0, 9.0, 9.0, 0.5, 4.0]]).is_err());
}

#[test]
fn what_has_no_gradient_is_named() {
    let refused = |nodes: &[NodeProto], tensors: &[TensorProto], part: &str| {
        let bytes = model(nodes, tensors, &[floats("x", &[0, 3])], &[floats("y", &[0, 3])]);
        let error = OnnxNetwork::from_bytes(&bytes, &NetworkOptions::default()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        error
    };
    for operator in ["Floor", "Round", "Sign"] {
        let error = refused(&[y(operator, &["x"])], &[], "has no gradient here");
        let OnnxError::UnsupportedOperator { operator: name, node, .. } = error else {
            panic!("another error")
        };
        assert_eq!((&*name, &*node), (operator, "node_y"));
    }
    let exponents = weights("e", &[3], &[1.0, 2.0, 3.0]);
    refused(&[y("Pow", &["x", "e"])], &[exponents], "one constant exponent");
    let to_int8 = y("Cast", &["x"]).int("to", DataType::Int8 as i64);
    refused(&[to_int8], &[], "casts to int8");
    let bytes = std::fs::read(fixture("iris_random_forest.onnx")).unwrap();
    let error = OnnxNetwork::from_bytes(&bytes, &NetworkOptions::default()).unwrap_err();
    assert!(error.to_string().contains("TreeEnsembleClassifier"), "{error}");
}

#[test]
fn a_network_says_what_its_outputs_mean_and_has_gradients() {
    let cases = [
        ("iris_mlp", Some(Output::Classes)),
        ("cancer_mlp", Some(Output::Classes)),
        ("diabetes_mlp", None),
        ("adult_pipeline_mlp", Some(Output::Classes)),
    ];
    for (name, expected) in cases {
        let path = fixture(&format!("{name}.onnx"));
        let network = OnnxNetwork::open(&path).unwrap();
        assert_eq!(Predictor::output(&network), expected, "{name}");
        assert_eq!(network.class_names(), network.class_labels(), "{name}");
        assert_eq!(ModelRef::from(&network).kind(), ModelKind::WhiteBox);
        let black_box = OnnxModel::open(&path).unwrap();
        assert_eq!(Predictor::output(&black_box), expected, "{name}");
        assert_eq!(ModelRef::from(&black_box).kind(), ModelKind::BlackBox);
    }
}
