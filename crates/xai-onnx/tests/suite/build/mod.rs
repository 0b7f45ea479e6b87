//! Tiny ONNX files, built from their protobuf messages.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::PathBuf;

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An open dimension is 0.
pub(crate) fn value(name: &str, kind: DataType, dims: &[i64]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|&size| Dimension {
            value: (size > 0).then_some(Dim::DimValue(size)),
            ..Dimension::default()
        })
        .collect();
    let tensor = Tensor { elem_type: kind as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}

pub(crate) fn floats(name: &str, dims: &[i64]) -> ValueInfoProto {
    value(name, DataType::Float, dims)
}

pub(crate) fn weights(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Float as i32,
        dims: dims.to_vec(),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(crate) fn integers(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Int64 as i32,
        dims: dims.to_vec(),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A node of either standard domain, named after its first output.
pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        name: format!("node_{}", outputs[0]),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: outputs.iter().map(ToString::to_string).collect(),
        ..NodeProto::default()
    }
}

fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

pub(crate) trait With {
    fn int(self, name: &str, value: i64) -> Self;
    fn ints(self, name: &str, values: &[i64]) -> Self;
    fn float(self, name: &str, value: f32) -> Self;
    fn floats(self, name: &str, values: &[f32]) -> Self;
    fn word(self, name: &str, value: &str) -> Self;
    fn words(self, name: &str, values: &[&str]) -> Self;
}

impl With for NodeProto {
    fn int(self, name: &str, value: i64) -> Self {
        let r#type = AttributeType::Int as i32;
        with(self, AttributeProto { name: name.into(), r#type, i: value, ..Default::default() })
    }

    fn ints(self, name: &str, values: &[i64]) -> Self {
        let r#type = AttributeType::Ints as i32;
        let ints = values.to_vec();
        with(self, AttributeProto { name: name.into(), r#type, ints, ..Default::default() })
    }

    fn float(self, name: &str, value: f32) -> Self {
        let r#type = AttributeType::Float as i32;
        with(self, AttributeProto { name: name.into(), r#type, f: value, ..Default::default() })
    }

    fn floats(self, name: &str, values: &[f32]) -> Self {
        let r#type = AttributeType::Floats as i32;
        let floats = values.to_vec();
        with(self, AttributeProto { name: name.into(), r#type, floats, ..Default::default() })
    }

    fn word(self, name: &str, value: &str) -> Self {
        let r#type = AttributeType::String as i32;
        let s = value.as_bytes().to_vec();
        with(self, AttributeProto { name: name.into(), r#type, s, ..Default::default() })
    }

    fn words(self, name: &str, values: &[&str]) -> Self {
        let r#type = AttributeType::Strings as i32;
        let strings = values.iter().map(|word| word.as_bytes().to_vec()).collect();
        with(self, AttributeProto { name: name.into(), r#type, strings, ..Default::default() })
    }
}

pub(crate) fn model(
    nodes: &[NodeProto],
    weights: &[TensorProto],
    inputs: &[ValueInfoProto],
    outputs: &[ValueInfoProto],
) -> Vec<u8> {
    let graph = GraphProto {
        name: "graph".into(),
        node: nodes.to_vec(),
        initializer: weights.to_vec(),
        input: inputs.to_vec(),
        output: outputs.to_vec(),
        ..GraphProto::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset("", 17), opset("ai.onnx.ml", 1)],
        graph: Some(graph),
        ..ModelProto::default()
    }
    .encode_to_vec()
}

/// A model of one node with the input `x` of shape `(?, width)` and the last of its outputs as the output.
pub(crate) fn single(node: &NodeProto, width: i64) -> Result<OnnxModel, OnnxError> {
    let output = node.output.last().expect("a node has an output").clone();
    let bytes = model(
        std::slice::from_ref(node),
        &[],
        &[floats("x", &[0, width])],
        &[floats(&output, &[0, 0])],
    );
    OnnxModel::from_bytes(&bytes, &OnnxOptions::default())
}
