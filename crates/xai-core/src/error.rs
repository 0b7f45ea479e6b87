//! Everything that can go wrong, as data.

use crate::explanation::Stop;
use crate::model::BoxError;
use crate::params::ParamError;

/// The result of every fallible call of the workspace's libraries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Finding nothing is not an error: that is a result with a reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is outside its allowed range.
    #[error(transparent)]
    Param(#[from] ParamError),

    /// An array has another shape than the one it must have.
    #[error("{what} must have shape {expected:?}, got {got:?}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape it has.
        got: Vec<usize>,
    },

    /// A number is NaN or infinite where only finite numbers have a meaning.
    #[error("{what} must be finite, got {value} at {at:?}")]
    NotFinite {
        /// Which array.
        what: &'static str,
        /// The index of the number in that array.
        at: Vec<usize>,
        /// The number.
        value: f64,
    },

    /// Something without which there is nothing to explain, a text for instance, is empty.
    #[error("{what} is empty")]
    Empty {
        /// What.
        what: &'static str,
    },

    /// A cell of a categorical feature holds no code of a category.
    #[error("feature `{feature}` of row {row} must hold {rule}, got {got:?}")]
    Category {
        /// The feature's name.
        feature: String,
        /// The row, counted from 0.
        row: usize,
        /// The cells it holds.
        got: Vec<f64>,
        /// What a valid cell holds.
        rule: String,
    },

    /// The model failed; its own error is the source.
    #[error("the model failed on a batch of {rows} rows")]
    Predictor {
        /// Rows in the batch it was asked for.
        rows: usize,
        /// The model's error.
        #[source]
        source: BoxError,
    },

    /// The budget is too small for any answer.
    #[error("{what} must be at least {needed} for an answer, got {given}")]
    Budget {
        /// Which budget.
        what: &'static str,
        /// What was given.
        given: u64,
        /// The least that allows an answer.
        needed: u64,
    },

    /// A matrix has no inverse where one is needed.
    #[error("{what} is singular")]
    Singular {
        /// Which matrix.
        what: &'static str,
    },

    /// The run was stopped before there was anything to return.
    #[error("stopped before there was an answer: {0}")]
    Stopped(Stop),

    /// A document follows another schema than the one this version reads.
    #[error("schema `{found}` is not readable, expected `{known}`")]
    Schema {
        /// The schema the document names.
        found: String,
        /// The schema this version knows.
        known: &'static str,
    },

    /// A document is not the JSON it should be.
    #[error("invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Requires that an array has the expected shape.
///
/// # Errors
/// [`Error::Shape`] when it has not.
pub fn same_shape(what: &'static str, expected: &[usize], got: &[usize]) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Shape { what, expected: expected.to_vec(), got: got.to_vec() })
}
