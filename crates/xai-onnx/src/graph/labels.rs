//! The names of the classes.

use tract_onnx::pb::{GraphProto, NodeProto};

use super::producer;
use crate::operators::Attributes;

/// The class labels of the columns of an output: those of its ZipMap, else of the classifier that it comes from.
pub(super) fn class_labels(graph: &GraphProto, output: &str) -> Option<Vec<String>> {
    let mut value = output;
    // As many steps as there are nodes: a damaged graph may run in circles.
    for _ in &graph.node {
        let node = producer(graph, value)?;
        let is_first = node.output.first().is_some_and(|first| first == value);
        match &*node.op_type {
            "ZipMap" => {
                if let Some(labels) = labels(node, "classlabels_int64s") {
                    return Some(labels);
                }
            }
            // Their first output is the label; the second has the classes as columns.
            "LinearClassifier" if !is_first => return labels(node, "classlabels_ints"),
            "TreeEnsembleClassifier" if !is_first => return labels(node, "classlabels_int64s"),
            // Nodes that keep the columns as they are.
            "Cast" | "Identity" | "Normalizer" | "Softmax" | "Sigmoid" => {}
            _ => return None,
        }
        value = node.input.first()?;
    }
    None
}

fn labels(node: &NodeProto, ints: &str) -> Option<Vec<String>> {
    let node = Attributes(node);
    let mut labels = node.strings("classlabels_strings");
    if labels.is_empty() {
        labels = node.ints(ints).iter().map(i64::to_string).collect();
    }
    (!labels.is_empty()).then_some(labels)
}
