//! What is done to the graph before the engine sees it: the output is chosen, ZipMap is taken off, all that the output
//! does not need is cut away, and what is left is checked.

mod batching;
mod check;
mod labels;
mod meaning;

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

pub(crate) use batching::Batching;
pub(crate) use meaning::Ending;

use crate::error::OnnxError;
use crate::input::{Input, inputs};

/// What is known about a model before the engine has seen it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The inputs, whether the output needs them or not.
    pub(crate) inputs: Vec<Input>,
    pub(crate) output: String,
    pub(crate) outputs: Vec<String>,
    pub(crate) operators: Vec<String>,
    pub(crate) class_labels: Option<Vec<String>>,
    pub(crate) ending: Option<Ending>,
    pub(crate) batching: Batching,
}

/// The graph with one output, checked; `output` is the name of an output.
pub(crate) fn prepare(
    mut proto: ModelProto,
    output: Option<&str>,
) -> Result<(ModelProto, Prepared), OnnxError> {
    let graph = proto.graph.as_mut().expect("a decoded model has a graph");
    let outputs: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let chosen = choose(graph, output)?;
    let output = chosen.name.clone();
    let class_labels = labels::class_labels(graph, &output);
    let ending = Ending::of(graph, &output);
    if let Some(zip_map) = zip_map(graph, &output) {
        // The map is a presentation; the matrix under it has the classes as columns.
        let name = zip_map.input.first().cloned().unwrap_or_default();
        graph.output = vec![ValueInfoProto { name, ..ValueInfoProto::default() }];
    } else {
        graph.output = vec![ValueInfoProto { name: output.clone(), ..ValueInfoProto::default() }];
    }
    prune(graph);
    let mut inputs = inputs(graph)?;
    check::check(graph, &output)?;
    let batching = Batching::of(graph, &inputs)?;
    let names = graph.node.iter().map(|node| node.op_type.clone()).collect::<BTreeSet<_>>();
    let used = used_names(graph);
    graph.input.retain(|input| used.contains(&input.name));
    for input in &mut inputs {
        input.is_used = used.contains(&input.name);
    }
    proto.functions.clear();
    proto.training_info.clear();
    let operators = names.into_iter().collect();
    let prepared = Prepared { inputs, output, outputs, operators, class_labels, ending, batching };
    Ok((proto, prepared))
}

/// What an output holds.
enum Holds {
    Floats,
    Integers,
    Other(String),
}

fn choose<'a>(graph: &'a GraphProto, name: Option<&str>) -> Result<&'a ValueInfoProto, OnnxError> {
    let available = || graph.output.iter().map(|output| output.name.clone()).collect();
    let Some(name) = name else {
        let floats = |output: &&ValueInfoProto| matches!(holds(graph, output), Holds::Floats);
        let last = graph.output.iter().rev().find(floats);
        return last.ok_or_else(|| OnnxError::NoFloatOutput { available: available() });
    };
    let Some(output) = graph.output.iter().find(|output| output.name == name) else {
        return Err(OnnxError::UnknownOutput { name: name.to_owned(), available: available() });
    };
    match holds(graph, output) {
        Holds::Floats | Holds::Integers => Ok(output),
        Holds::Other(got) => Err(OnnxError::OutputType { output: name.to_owned(), got }),
    }
}

fn holds(graph: &GraphProto, output: &ValueInfoProto) -> Holds {
    if zip_map(graph, &output.name).is_some() {
        return Holds::Floats;
    }
    let Some(Type::TensorType(tensor)) = output.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Holds::Other("a sequence or a map".into());
    };
    match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float | DataType::Double | DataType::Float16) => Holds::Floats,
        Ok(DataType::String) => Holds::Other("strings".into()),
        Ok(
            DataType::Int64
            | DataType::Int32
            | DataType::Int16
            | DataType::Int8
            | DataType::Uint64
            | DataType::Uint32
            | DataType::Uint16
            | DataType::Uint8
            | DataType::Bool,
        ) => Holds::Integers,
        Ok(other) => Holds::Other(format!("cells of type {}", other.as_str_name().to_lowercase())),
        Err(_) => Holds::Other(format!("cells of the unknown type {}", tensor.elem_type)),
    }
}

fn zip_map<'a>(graph: &'a GraphProto, output: &str) -> Option<&'a NodeProto> {
    producer(graph, output).filter(|node| node.op_type == "ZipMap")
}

/// The node that makes a value.
fn producer<'a>(graph: &'a GraphProto, value: &str) -> Option<&'a NodeProto> {
    graph.node.iter().find(|node| node.output.iter().any(|output| output == value))
}

/// Keeps the nodes and the weights that the output needs, so that what is not supported matters only where it is used.
fn prune(graph: &mut GraphProto) {
    let mut makers: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, node) in graph.node.iter().enumerate() {
        makers.extend(node.output.iter().map(|output| (output.as_str(), place)));
    }
    let mut pending: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let mut needed = BTreeSet::new();
    while let Some(value) = pending.pop() {
        if let Some(&place) = makers.get(value.as_str())
            && needed.insert(place)
        {
            pending.extend(reads(&graph.node[place]));
        }
    }
    let mut place = 0;
    graph.node.retain(|_| {
        place += 1;
        needed.contains(&(place - 1))
    });
    let used = used_names(graph);
    graph.initializer.retain(|tensor| used.contains(&tensor.name));
    graph.value_info.clear();
    graph.quantization_annotation.clear();
}

/// All names that the nodes or the outputs read.
fn used_names(graph: &GraphProto) -> BTreeSet<String> {
    let outputs = graph.output.iter().map(|output| output.name.clone());
    graph.node.iter().flat_map(reads).chain(outputs).collect()
}

/// The values that a node reads, those that its inner graphs may read included.
pub(crate) fn reads(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> =
        node.input.iter().filter(|name| !name.is_empty()).cloned().collect();
    for graph in inner_graphs(node) {
        names.extend(graph.node.iter().flat_map(reads));
        names.extend(graph.output.iter().map(|output| output.name.clone()));
    }
    names
}

/// The bodies of a control-flow node.
fn inner_graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}
