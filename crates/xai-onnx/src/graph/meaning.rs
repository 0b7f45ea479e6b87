//! What the outputs mean, as far as the graph says so.

use tract_onnx::pb::{GraphProto, NodeProto};
use xai_core::Output;

use super::producer;
use crate::operators::Attributes;

/// What makes the output of a graph, past the nodes that keep its values as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The scores or probabilities of a classifier, one for each of its classes.
    Classes,
    /// The label of a classifier.
    Label,
    /// The values of a regressor.
    Score,
    /// Numbers that add up to one along axis 1 or the last axis, or their logarithms.
    Softmax,
    /// Numbers from 0 to 1.
    Sigmoid,
}

impl Ending {
    /// What makes the value `output`; `None` where that says nothing about its meaning.
    pub(super) fn of(graph: &GraphProto, output: &str) -> Option<Self> {
        let (mut value, mut is_normalized, mut is_moved) = (output, None, false);
        // As many steps as there are nodes: a damaged graph may run in circles.
        for _ in &graph.node {
            let Some(node) = producer(graph, value) else { break };
            let is_label = node.output.first().is_some_and(|first| first == value);
            match &*node.op_type {
                // Its columns are classes, whatever is below it.
                "ZipMap" => return Some(Ending::Classes),
                "LinearClassifier" | "TreeEnsembleClassifier" if is_label => {
                    return is_normalized.is_none().then_some(Ending::Label);
                }
                // In another shape the columns may be no classes.
                "LinearClassifier" | "TreeEnsembleClassifier" => {
                    return if is_moved { is_normalized } else { Some(Ending::Classes) };
                }
                "ArgMax" => return is_normalized.is_none().then_some(Ending::Label),
                "ArrayFeatureExtractor" if picks_by_label(graph, node) => {
                    return is_normalized.is_none().then_some(Ending::Label);
                }
                // The leaves may be labels: then the numbers themselves tell more than the operator.
                "TreeEnsembleRegressor" if has_whole_sums(node) => return is_normalized,
                "LinearRegressor" | "TreeEnsembleRegressor" => {
                    return is_normalized.or_else(|| of_regressor(node));
                }
                "Softmax" | "LogSoftmax" if is_normalized.is_none() && !is_moved => {
                    let axis = Attributes(node).int("axis");
                    is_normalized =
                        Some(Ending::Softmax).filter(|_| matches!(axis, None | Some(1 | -1)));
                    is_normalized?;
                }
                "Sigmoid" if is_normalized.is_none() => is_normalized = Some(Ending::Sigmoid),
                "Cast" | "Identity" | "Normalizer" => {}
                "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => is_moved = true,
                _ => break,
            }
            let Some(first) = node.input.first() else { break };
            value = first;
        }
        is_normalized
    }

    /// The meaning of outputs of a shape, without the axis of the rows; axes of unknown length are `None`.
    pub(crate) fn meaning(self, shape: &[Option<usize>]) -> Option<Output> {
        let n_outputs: Option<usize> = shape.iter().copied().product();
        let several = shape.len() == 1 && n_outputs.is_some_and(|n_outputs| 1 < n_outputs);
        let single = n_outputs == Some(1);
        match self {
            Ending::Classes | Ending::Softmax => several.then_some(Output::Classes),
            Ending::Label => single.then_some(Output::Label),
            Ending::Sigmoid => single.then_some(Output::Probability),
            Ending::Score => Some(Output::Score),
        }
    }
}

/// Whether a regressor of trees gives whole numbers alone: labels or counts, and not quantities.
fn has_whole_sums(node: &NodeProto) -> bool {
    let attributes = Attributes(node);
    let is_sum = matches!(&*attributes.word("aggregate_function", "SUM"), "SUM" | "MIN" | "MAX");
    let is_plain = attributes.word("post_transform", "NONE") == "NONE";
    let are_whole = |name: &str| {
        attributes
            .reals(name)
            .is_ok_and(|numbers| numbers.iter().all(|number| number.fract() == 0.0))
    };
    is_sum && is_plain && are_whole("target_weights") && are_whole("base_values")
}

/// What the transform of a regressor makes of its values.
fn of_regressor(node: &NodeProto) -> Option<Ending> {
    match &*Attributes(node).word("post_transform", "NONE") {
        "NONE" | "PROBIT" => Some(Ending::Score),
        "LOGISTIC" => Some(Ending::Sigmoid),
        "SOFTMAX" => Some(Ending::Softmax),
        _ => None,
    }
}

/// Whether a node picks from a constant list of labels by the place of the largest score.
fn picks_by_label(graph: &GraphProto, node: &NodeProto) -> bool {
    let [labels, places] = &*node.input else { return false };
    if !graph.initializer.iter().any(|tensor| tensor.name == *labels) {
        return false;
    }
    let mut value = places;
    for _ in &graph.node {
        match producer(graph, value) {
            Some(node) if node.op_type == "ArgMax" => return true,
            Some(node) if matches!(&*node.op_type, "Cast" | "Identity" | "Reshape" | "Squeeze") => {
                let Some(first) = node.input.first() else { return false };
                value = first;
            }
            _ => return false,
        }
    }
    false
}
