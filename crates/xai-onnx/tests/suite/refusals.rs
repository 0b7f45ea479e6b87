//! Files and rows that cannot be used, and the errors that say why.

use crate::build::{fixture, floats, model, node, value, weights};
use ndarray::Array2;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

fn load(bytes: &[u8]) -> Result<OnnxModel, OnnxError> {
    OnnxModel::from_bytes(bytes, &OnnxOptions::default())
}

fn named(bytes: &[u8], output: &str) -> Result<OnnxModel, OnnxError> {
    let options = OnnxOptions { output: Some(output.into()), ..OnnxOptions::default() };
    OnnxModel::from_bytes(bytes, &options)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("the fixture is there")
}

#[test]
fn an_unknown_operator_is_named() {
    let mut mystery = node("NoSuchOperator", &["x"], &["h"]);
    mystery.name = "mystery".into();
    let nodes = [mystery, node("Relu", &["h"], &["y"]), node("Abs", &["x"], &["z"])];
    let outputs = [floats("y", &[0, 2]), floats("z", &[0, 2])];
    let bytes = model(&nodes, &[], &[floats("x", &[0, 2])], &outputs);
    let error = named(&bytes, "y").unwrap_err();
    assert_eq!(
        error.to_string(),
        "operator `NoSuchOperator` of domain `ai.onnx` (node `mystery`) is not supported; export the model without \
         it, or serve the model with a runtime that has it and explain it over the network"
    );
    // The last output does not need it.
    assert!(load(&bytes).is_ok());

    let mut foreign = node("Relu", &["x"], &["y"]);
    foreign.domain = "my.company".into();
    let bytes = model(&[foreign], &[], &[floats("x", &[0, 2])], &[floats("y", &[0, 2])]);
    let error = load(&bytes).unwrap_err();
    assert!(
        matches!(&error, OnnxError::UnsupportedOperator { domain, .. } if domain == "my.company"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = OnnxModel::open("no/such/model.onnx").unwrap_err();
    assert_eq!(error.to_string(), "cannot read `no/such/model.onnx`");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn what_is_no_model_is_said_so() {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0";
    let pickle = b"\x80\x04\x95\x10\0\0\0\0\0\0\0";
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for bytes in [&b""[..], png, pickle, pointer, b"{\"a\": 1}", b"<html>", b"PK\x03\x04", b"hello"]
    {
        let error = load(bytes).unwrap_err();
        assert!(matches!(error, OnnxError::NotOnnx { .. }), "{error}");
    }
}

#[test]
fn a_cut_file_says_how_much_is_missing() {
    let bytes = read("cancer_mlp.onnx");
    let error = load(&bytes[..1000]).unwrap_err();
    assert!(matches!(&error, OnnxError::Truncated { what, .. } if what == "graph"), "{error}");
    let huge = b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x00";
    let error = load(huge).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model is cut short: graph needs 9223372036854775807 bytes, 2 are left"
    );
}

#[test]
fn a_wrong_width_is_told() {
    let model = load(&read("iris_mlp.onnx")).unwrap();
    let error = model.evaluate(&Array2::zeros((2, 5))).unwrap_err();
    assert_eq!(error.to_string(), "a row must have 4 features, got 5");
}

#[test]
fn outputs_that_hold_no_numbers_are_refused() {
    let forest = read("iris_random_forest.onnx");
    let error = named(&forest, "probabilities").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model has no output `probabilities`, its outputs are [\"output_label\", \"output_probability\"]"
    );
    let nodes = [node("Identity", &["x"], &["y"]), node("Identity", &["x"], &["z"])];
    let inputs = [floats("x", &[0, 2])];
    let outputs = [value("y", DataType::String, &[0, 2]), value("z", DataType::Int64, &[0, 2])];
    let bytes = model(&nodes, &[], &inputs, &outputs);
    let error = load(&bytes).unwrap_err();
    assert!(
        matches!(&error, OnnxError::NoFloatOutput { available } if available == &["y", "z"]),
        "{error}"
    );
    let error = named(&bytes, "y").unwrap_err();
    assert!(matches!(error, OnnxError::OutputType { .. }), "{error}");
}

#[test]
fn outputs_without_a_row_for_each_row_are_refused() {
    let nodes = [node("Transpose", &["x"], &["y"])];
    let bytes = model(&nodes, &[], &[floats("x", &[0, 2])], &[floats("y", &[2, 0])]);
    let error = load(&bytes).unwrap_err();
    assert!(matches!(error, OnnxError::OutputShape { .. }), "{error}");
}

#[test]
fn inputs_that_rows_cannot_feed_are_refused() {
    let nodes = [node("Identity", &["x"], &["y"])];
    let with = |inputs: &[_]| load(&model(&nodes, &[], inputs, &[floats("y", &[0, 2])]));
    let error = with(&[value("x", DataType::String, &[0, 2])]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `x` takes strings, which a row of numbers cannot feed; encode the categories as numbers before the \
         model"
    );
    assert!(matches!(with(&[]).unwrap_err(), OnnxError::NoInput));
    let error = with(&[floats("other", &[0, 2])]).unwrap_err();
    assert_eq!(error.to_string(), "node `node_y` reads `x`, which no earlier node makes");
    let error = with(&[floats("x", &[])]).unwrap_err();
    assert!(matches!(error, OnnxError::InputType { .. }), "{error}");
}

#[test]
fn damaged_weights_are_refused() {
    let nodes = [node("MatMul", &["x", "w"], &["y"])];
    let with = |weights| {
        load(&model(&nodes, &[weights], &[floats("x", &[0, 2])], &[floats("y", &[0, 2])]))
    };
    assert!(with(weights("w", &[2, 2], &[1.0; 4])).is_ok());
    for dims in [&[2, 3][..], &[-2, -2], &[1 << 40, 1 << 40]] {
        let error = with(weights("w", dims, &[1.0; 4])).unwrap_err();
        assert!(matches!(&error, OnnxError::Graph { name, .. } if name == "w"), "{error}");
    }
    let mut elsewhere = weights("w", &[2, 2], &[]);
    elsewhere.data_location = Some(DataLocation::External as i32);
    let error = with(elsewhere).unwrap_err();
    assert!(matches!(&error, OnnxError::ExternalData { tensor } if tensor == "w"), "{error}");
    // The weights fit themselves but not the input.
    let error = with(weights("w", &[3, 2], &[1.0; 6])).unwrap_err();
    assert!(matches!(error, OnnxError::Prepare { .. }), "{error}");
}
