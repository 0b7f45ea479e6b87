//! How many rows the graph may be given at once, so that a row's output has the same bits in every batch.

use std::collections::BTreeSet;

use tract_onnx::pb::{GraphProto, NodeProto};

use crate::error::OnnxError;
use crate::input::Input;
use crate::operators::Attributes;

/// How rows are handed to the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batching {
    /// Any number at once.
    Free,
    /// The graph takes so many rows, and each row is computed alike wherever it stands.
    Blocks(usize),
    /// One row at a time: the graph has operators whose rounding may depend on where a row lies in memory.
    /// The number is how often the row is repeated, for graphs that take a fixed number of rows.
    Single(usize),
}

/// Operators that compute each cell, or each row, by itself.
const ROW_WISE: [&str; 75] = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArrayFeatureExtractor",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "Binarizer",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Constant",
    "Cos",
    "Cosh",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "Imputer",
    "IsNaN",
    "LabelEncoder",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "LinearClassifier",
    "LinearRegressor",
    "Log",
    "LogSoftmax",
    "Max",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Normalizer",
    "Not",
    "OneHotEncoder",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Scaler",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "Where",
];

/// Operators that only move cells or pick the largest; with them a graph may have its number of rows built in.
const MOVES: [&str; 15] = [
    "ArgMax",
    "ArgMin",
    "Concat",
    "ConstantOfShape",
    "Expand",
    "Flatten",
    "Gather",
    "ReduceMax",
    "ReduceMin",
    "Reshape",
    "Shape",
    "Slice",
    "Split",
    "Squeeze",
    "Unsqueeze",
];

impl Batching {
    pub(super) fn of(graph: &GraphProto, inputs: &[Input]) -> Result<Self, OnnxError> {
        let mut declared: Option<usize> = None;
        for input in inputs {
            match (declared, input.n_rows) {
                (Some(before), Some(rows)) if before != rows => {
                    let problem = format!("takes {rows} rows where another takes {before}");
                    let name = input.name.clone();
                    return Err(OnnxError::Graph { what: "input", name, problem });
                }
                (_, rows) => declared = declared.or(rows),
            }
        }
        let constants = constants(graph);
        let row_wise =
            |node: &NodeProto| ROW_WISE.contains(&&*node.op_type) || is_affine(node, &constants);
        if graph.node.iter().all(row_wise) {
            // Without a shape of its own the graph takes any number of rows, whatever its exporter wrote down.
            return Ok(Batching::Free);
        }
        let moves = |node: &NodeProto| MOVES.contains(&&*node.op_type);
        let alike = graph.node.iter().all(|node| row_wise(node) || moves(node));
        Ok(match (alike, declared) {
            (true, None) => Batching::Free,
            (true, Some(rows)) => Batching::Blocks(rows),
            (false, rows) => Batching::Single(rows.unwrap_or(1)),
        })
    }
}

/// Names of the values that do not depend on the input.
fn constants(graph: &GraphProto) -> BTreeSet<&str> {
    let mut constants: BTreeSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    for node in &graph.node {
        let given = node.input.iter().filter(|name| !name.is_empty());
        if given.clone().all(|name| constants.contains(name.as_str())) {
            constants.extend(node.output.iter().map(String::as_str));
        }
    }
    constants
}

/// Whether a node multiplies rows by a constant matrix.
fn is_affine(node: &NodeProto, constants: &BTreeSet<&str>) -> bool {
    let is_constant = |place: usize| {
        node.input
            .get(place)
            .is_none_or(|name| name.is_empty() || constants.contains(name.as_str()))
    };
    match &*node.op_type {
        "MatMul" => is_constant(1),
        "Gemm" => {
            is_constant(1) && is_constant(2) && Attributes(node).int("transA").unwrap_or(0) == 0
        }
        _ => false,
    }
}
