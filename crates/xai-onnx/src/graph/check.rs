//! Checks that let a damaged or unsupported graph fail with a name, before the engine meets it.

use std::collections::BTreeSet;

use tract_onnx::model::OnnxOpRegister;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::{inner_graphs, reads};
use crate::error::OnnxError;
use crate::operators::{engine, node_name};

/// Checks the values, operators and tensors of a pruned graph.
pub(super) fn check(graph: &GraphProto, output: &str) -> Result<(), OnnxError> {
    // Operators first: what else is odd about a graph often comes from one that is unknown.
    operators(&graph.node, &engine().op_register)?;
    tensors(graph)?;
    let weights = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let mut defined: BTreeSet<&str> = weights.chain(inputs).collect();
    for node in &graph.node {
        let is_inner = |name: &String| !node.input.contains(name);
        for name in reads(node) {
            // The names inside a body are the engine's to resolve.
            if !defined.contains(name.as_str()) && !is_inner(&name) {
                let problem = format!("reads `{name}`, which no earlier node makes");
                return Err(OnnxError::Graph { what: "node", name: node_name(node), problem });
            }
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !defined.insert(name) {
                let problem = "is made twice".to_owned();
                return Err(OnnxError::Graph { what: "value", name: name.clone(), problem });
            }
        }
    }
    let made = graph.output.iter().all(|made| defined.contains(made.name.as_str()));
    if !made {
        let problem = "is made by no node".to_owned();
        return Err(OnnxError::Graph { what: "output", name: output.to_owned(), problem });
    }
    Ok(())
}

/// The operator sets whose names the engine knows. It looks at the name alone, so that another domain's operator of
/// the same name would pass for the standard one.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

fn operators(nodes: &[NodeProto], known: &OnnxOpRegister) -> Result<(), OnnxError> {
    for node in nodes {
        if !DOMAINS.contains(&&*node.domain) || !known.0.contains_key(&node.op_type) {
            let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            return Err(OnnxError::UnsupportedOperator {
                operator: node.op_type.clone(),
                domain: domain.to_owned(),
                node: node_name(node),
                hint: hint(&node.op_type).to_owned(),
            });
        }
        for body in inner_graphs(node) {
            operators(&body.node, known)?;
        }
    }
    Ok(())
}

/// What can be done about an operator that is not supported.
fn hint(operator: &str) -> &'static str {
    match operator {
        "StringNormalizer" | "TfIdfVectorizer" | "Tokenizer" | "StringConcat" | "StringSplit"
        | "RegexFullMatch" | "DictVectorizer" | "CategoryMapper" => {
            "move the work on text in front of the model and export the rest, which takes numbers"
        }
        "TreeEnsemble" => {
            "export for version 4 or lower of ai.onnx.ml, which has TreeEnsembleClassifier"
        }
        _ => {
            "export the model without it, or serve the model with a runtime that has it and explain it over the network"
        }
    }
}

fn tensors(graph: &GraphProto) -> Result<(), OnnxError> {
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map(|values| values.name.clone()).unwrap_or_default();
        let problem = "is sparse, save the model with dense weights".to_owned();
        return Err(OnnxError::Graph { what: "tensor", name, problem });
    }
    graph.initializer.iter().try_for_each(tensor)?;
    for node in &graph.node {
        for attribute in &node.attribute {
            attribute.t.iter().chain(&attribute.tensors).try_for_each(tensor)?;
        }
        inner_graphs(node).try_for_each(tensors)?;
    }
    Ok(())
}

/// The size of a cell in bytes, for the types that the engine can read.
fn cell_size(kind: DataType) -> Option<u64> {
    match kind {
        DataType::Double | DataType::Int64 | DataType::Uint64 => Some(8),
        DataType::Float | DataType::Int32 | DataType::Uint32 => Some(4),
        DataType::Float16 | DataType::Int16 | DataType::Uint16 => Some(2),
        DataType::Int8 | DataType::Uint8 | DataType::Bool => Some(1),
        _ => None,
    }
}

fn tensor(tensor: &TensorProto) -> Result<(), OnnxError> {
    let refuse =
        |problem: String| OnnxError::Graph { what: "tensor", name: tensor.name.clone(), problem };
    if tensor.data_location == Some(DataLocation::External as i32) {
        return Err(OnnxError::ExternalData { tensor: tensor.name.clone() });
    }
    let kind = DataType::try_from(tensor.data_type)
        .map_err(|_| refuse(format!("has the unknown type {}", tensor.data_type)))?;
    let cells = tensor
        .dims
        .iter()
        .try_fold(1_u64, |cells, dim| cells.checked_mul(u64::try_from(*dim).ok()?))
        .ok_or_else(|| refuse(format!("has the impossible shape {:?}", tensor.dims)))?;
    if kind == DataType::String && tensor.raw_data.is_empty() {
        return Ok(());
    }
    let Some(size) = cell_size(kind) else {
        let kind = kind.as_str_name().to_lowercase();
        return Err(refuse(format!("holds cells of type {kind}, which is not supported")));
    };
    let (expected, got) = if tensor.raw_data.is_empty() {
        let listed = match kind {
            DataType::Double => tensor.double_data.len(),
            DataType::Int64 | DataType::Uint64 => tensor.int64_data.len(),
            DataType::Float => tensor.float_data.len(),
            _ => tensor.int32_data.len(),
        };
        (Some(cells), listed as u64)
    } else {
        (cells.checked_mul(size), tensor.raw_data.len() as u64)
    };
    if expected != Some(got) {
        let shape = &tensor.dims;
        return Err(refuse(format!(
            "of shape {shape:?} holds {got} entries or bytes too many or too few"
        )));
    }
    Ok(())
}
