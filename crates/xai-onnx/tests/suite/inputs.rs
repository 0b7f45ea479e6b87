//! From rows to inputs of many shapes and types, and from outputs back to rows.

use crate::build::{With, floats, integers, model, node, value, weights};
use ndarray::{Array2, array, s};
use tract_onnx::pb::tensor_proto::DataType;
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

fn load(bytes: &[u8]) -> Result<OnnxModel, OnnxError> {
    OnnxModel::from_bytes(bytes, &OnnxOptions::default())
}

#[test]
fn named_inputs_are_blocks_of_columns() {
    let nodes = [
        node("Cast", &["count"], &["counted"]).int("to", 1),
        node("Cast", &["flag"], &["flagged"]).int("to", 1),
        node("Concat", &["flagged", "counted", "pair"], &["y"]).int("axis", 1),
    ];
    let inputs = [
        floats("pair", &[0, 2]),
        value("count", DataType::Int64, &[0, 1]),
        floats("idle", &[0, 1]),
        value("flag", DataType::Bool, &[0, 1]),
    ];
    let model = load(&model(&nodes, &[], &inputs, &[floats("y", &[0, 4])])).unwrap();
    assert_eq!(model.input_names().collect::<Vec<_>>(), ["pair", "count", "idle", "flag"]);
    assert_eq!(model.n_features(), 5);
    // Without the idle one.
    assert_eq!(model.input_shapes().collect::<Vec<_>>(), [&[2], &[1], &[1]]);
    let rows = array![[1.5, 2.5, 3.0, 9.9, 1.0], [4.5, 5.5, -6.0, 9.9, 0.0]];
    let got = model.evaluate(&rows).unwrap();
    assert_eq!(got, array![[1.0, 3.0, 1.5, 2.5], [0.0, -6.0, 4.5, 5.5]]);

    let mut broken = rows.clone();
    broken[[1, 2]] = 0.5;
    let error = model.evaluate(&broken).unwrap_err();
    assert!(
        matches!(&error, OnnxError::Cell { input, row: 1, column: 2, value: 0.5, .. } if input == "count"),
        "{error}"
    );
    broken[[1, 2]] = 0.0;
    broken[[0, 4]] = 2.0;
    let error = model.evaluate(&broken).unwrap_err().to_string();
    assert_eq!(error, "input `flag` takes integers from 0 to 1, got 2 in row 0, column 4");
    broken[[0, 4]] = f64::NAN;
    assert!(model.evaluate(&broken).is_err());
}

#[test]
fn an_image_is_a_row() {
    // The mean over the channel is not computed alike for all rows, so that rows run one by one.
    let nodes = [
        node("ReduceMean", &["x"], &["mean"]).ints("axes", &[1]).int("keepdims", 0),
        node("Relu", &["mean"], &["y"]),
    ];
    for batch in [0, 1, 4] {
        let bytes =
            model(&nodes, &[], &[floats("x", &[batch, 3, 2, 2])], &[floats("y", &[batch, 2, 2])]);
        let model = load(&bytes).unwrap();
        assert_eq!((model.n_features(), model.n_outputs()), (12, Some(4)));
        assert_eq!(model.input_shapes().collect::<Vec<_>>(), [&[3, 2, 2]]);
        let rows = Array2::from_shape_fn((9, 12), |(i, j)| (i * 12 + j) as f64);
        let got = model.evaluate(&rows).unwrap();
        assert_eq!(got, rows.slice(s![.., 4..8]).to_owned(), "{batch}");
    }
}

#[test]
fn a_fixed_number_of_rows_is_filled_up() {
    let nodes = [node("Reshape", &["x", "shape"], &["y"])];
    let shape = integers("shape", &[2], &[4, 2]);
    let bytes = model(&nodes, &[shape], &[floats("x", &[4, 2, 1])], &[floats("y", &[4, 2])]);
    let model = load(&bytes).unwrap();
    for n_rows in [0, 1, 3, 4, 5, 9] {
        let rows = Array2::from_shape_fn((n_rows, 2), |(i, j)| (i * 2 + j) as f64);
        assert_eq!(model.evaluate(&rows).unwrap(), rows);
    }
}

#[test]
fn a_vector_of_outputs_is_a_column() {
    let nodes = [node("ReduceMax", &["x"], &["y"]).ints("axes", &[1]).int("keepdims", 0)];
    let model = load(&model(&nodes, &[], &[floats("x", &[0, 3])], &[floats("y", &[0])])).unwrap();
    assert_eq!(model.n_outputs(), Some(1));
    let got = model.evaluate(&array![[1.0, 5.0, 2.0], [7.0, 0.0, 6.0]]).unwrap();
    assert_eq!(got, array![[5.0], [7.0]]);
}

#[test]
fn double_precision_is_kept() {
    let nodes = [node("Identity", &["x"], &["y"])];
    let double = |name| value(name, DataType::Double, &[0, 1]);
    let model = load(&model(&nodes, &[], &[double("x")], &[double("y")])).unwrap();
    assert_eq!(model.evaluate(&array![[0.1]]).unwrap(), array![[0.1]]);
}

#[test]
fn an_open_width_comes_from_the_weights_or_the_options() {
    let gemm = model(
        &[node("Gemm", &["x", "w"], &["y"])],
        &[weights("w", &[3, 1], &[1.0, 2.0, 3.0])],
        &[floats("x", &[0, 0])],
        &[floats("y", &[0, 1])],
    );
    assert_eq!(load(&gemm).unwrap().n_features(), 3);

    let relu = model(
        &[node("Relu", &["x"], &["y"])],
        &[],
        &[floats("x", &[0, 0])],
        &[floats("y", &[0, 0])],
    );
    let error = load(&relu).unwrap_err();
    assert!(matches!(&error, OnnxError::OpenInput { input, .. } if input == "x"), "{error}");
    let wide = |bytes, n_features| {
        let options = OnnxOptions { n_features: Some(n_features), ..OnnxOptions::default() };
        OnnxModel::from_bytes(bytes, &options)
    };
    assert_eq!(wide(&relu, 2).unwrap().evaluate(&array![[-1.0, 2.0]]).unwrap(), array![[0.0, 2.0]]);
    assert!(wide(&gemm, 2).is_err());
    assert_eq!(wide(&gemm, 3).unwrap().n_features(), 3);
}
