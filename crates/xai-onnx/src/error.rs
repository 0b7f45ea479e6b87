//! Everything that can go wrong between a file and its outputs, as data.

use std::path::PathBuf;

use xai_core::BoxError;

/// Why a model could not be loaded or could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The file could not be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// The bytes are something else than an ONNX model.
    #[error("not an ONNX model: {reason}")]
    NotOnnx {
        /// What gives them away.
        reason: String,
    },

    /// The bytes end before the model does.
    #[error("the model is cut short: {what} needs {expected} bytes, {left} are left")]
    Truncated {
        /// The part that is incomplete.
        what: String,
        /// Bytes that the part announces.
        expected: u64,
        /// Bytes that are there.
        left: u64,
    },

    /// The graph needs an operator that this crate lacks.
    #[error("operator `{operator}` of domain `{domain}` (node `{node}`) is not supported; {hint}")]
    UnsupportedOperator {
        /// The operator's name.
        operator: String,
        /// Its operator set: `ai.onnx`, `ai.onnx.ml` or a vendor's.
        domain: String,
        /// The node that uses it.
        node: String,
        /// What can be done about it.
        hint: String,
    },

    /// An attribute of a node has a value that is invalid or not supported.
    #[error("attribute `{attribute}` of {operator} node `{node}` must {rule}, got {got}")]
    Attribute {
        /// The node's operator.
        operator: String,
        /// The node.
        node: String,
        /// The attribute.
        attribute: String,
        /// What it must be or hold.
        rule: String,
        /// What it is.
        got: String,
    },

    /// The graph contradicts itself.
    #[error("{what} `{name}` {problem}")]
    Graph {
        /// The kind of thing: a node, a tensor, an output.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },

    /// The weights are in other files, which this crate does not read.
    #[error("tensor `{tensor}` lies in another file; save the model with its weights inside")]
    ExternalData {
        /// The tensor.
        tensor: String,
    },

    /// No output of the graph holds floating-point numbers.
    #[error("no output holds floating-point numbers, the outputs are {available:?}")]
    NoFloatOutput {
        /// The names of the outputs.
        available: Vec<String>,
    },

    /// The graph has no output of the name that was asked for.
    #[error("the model has no output `{name}`, its outputs are {available:?}")]
    UnknownOutput {
        /// The name.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },

    /// The output holds something else than numbers.
    #[error("output `{output}` must hold numbers, it holds {got}")]
    OutputType {
        /// The output.
        output: String,
        /// What it holds.
        got: String,
    },

    /// The output does not have one row for each row of the input.
    #[error("output `{output}` must hold one row for each input row, its shape is {got}")]
    OutputShape {
        /// The output.
        output: String,
        /// Its shape.
        got: String,
    },

    /// The graph takes no input.
    #[error("the model takes no input")]
    NoInput,

    /// An input cannot be fed from a row of numbers.
    #[error("input `{input}` takes {got}, which a row of numbers cannot feed; {hint}")]
    InputType {
        /// The input.
        input: String,
        /// The type of its cells.
        got: String,
        /// What can be done about it.
        hint: &'static str,
    },

    /// The graph leaves the width of an input open.
    #[error("input `{input}` has the open shape {got}; {hint}")]
    OpenInput {
        /// The input.
        input: String,
        /// Its shape; `?` stands for an open dimension.
        got: String,
        /// What can be done about it.
        hint: &'static str,
    },

    /// Rows have another width than the model takes.
    #[error("a row must have {expected} features, got {got}")]
    Width {
        /// Features the model takes.
        expected: usize,
        /// Features given.
        got: usize,
    },

    /// A cell cannot be handed to an integer input.
    #[error("input `{input}` takes {rule}, got {value} in row {row}, column {column}")]
    Cell {
        /// The input.
        input: String,
        /// What its cells must be.
        rule: String,
        /// The row in the batch, counted from 0.
        row: usize,
        /// The column in the batch, counted from 0.
        column: usize,
        /// The cell.
        value: f64,
    },

    /// The model is not made of trees that split its columns.
    #[error("the model has no thresholds: {reason}")]
    NoThresholds {
        /// What prevents it.
        reason: String,
    },

    /// The inference engine could not prepare the graph.
    #[error("the model cannot be prepared for inference")]
    Prepare {
        /// The engine's error.
        #[source]
        source: BoxError,
    },

    /// The inference engine failed on a batch.
    #[error("running the graph on {rows} rows failed")]
    Evaluate {
        /// Rows in the batch.
        rows: usize,
        /// The engine's error.
        #[source]
        source: BoxError,
    },
}
