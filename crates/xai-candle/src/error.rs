//! What goes wrong between rows and tensors, as data.

/// Why a model of candle could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CandleError {
    /// A stage of the model failed.
    #[error("stage `{stage}` failed")]
    Stage {
        /// The stage's name.
        stage: String,
        /// Candle's error.
        #[source]
        source: candle_core::Error,
    },

    /// A stage returned something else than one entry along axis 0 for each row.
    #[error(
        "stage `{stage}` must return tensors with {rows} rows along axis 0, got the shapes {got:?}"
    )]
    Rows {
        /// The stage's name.
        stage: String,
        /// Rows of the batch.
        rows: usize,
        /// Shapes of what came back.
        got: Vec<Vec<usize>>,
    },

    /// A cell cannot be handed to an integer tensor.
    #[error(
        "an input of type {dtype} takes whole numbers in its range, got {value} in row {row}, column {column}"
    )]
    Cell {
        /// The row in the batch, counted from 0.
        row: usize,
        /// The column in the batch, counted from 0.
        column: usize,
        /// The cell.
        value: f64,
        /// The type of the tensor.
        dtype: &'static str,
    },

    /// The gradient could not be computed.
    #[error("the backward pass failed")]
    Backward(#[source] candle_core::Error),

    /// Candle failed outside the model.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
