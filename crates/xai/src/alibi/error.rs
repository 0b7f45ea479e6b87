//! What can be wrong with a document.

use thiserror::Error;

/// Why an explanation cannot be written in alibi's layout, or a document of alibi cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AlibiError {
    /// The text is no JSON, even with the tokens NaN, Infinity and -Infinity allowed.
    #[error("the text is no JSON document of alibi: {0}")]
    Json(#[from] serde_json::Error),

    /// The method has no layout here.
    #[error("unknown method `{name}` under `meta.name`; known are {known}")]
    UnknownMethod {
        /// The name that was given.
        name: String,
        /// The names that have a layout.
        known: String,
    },

    /// A key is absent.
    #[error("the {document} document lacks `{key}`")]
    Missing {
        /// The method's name in the document.
        document: String,
        /// The path of the key.
        key: String,
    },

    /// A key has another form than the layout says.
    #[error("`{key}` of the {document} document must be {expected}, got {found}")]
    Form {
        /// The method's name in the document.
        document: String,
        /// The path of the key.
        key: String,
        /// What is allowed.
        expected: String,
        /// The beginning of what was given.
        found: String,
    },

    /// Explanations that are written as one document differ where the layout has one value.
    #[error("explanations of one {document} document must agree in `{key}`")]
    Differ {
        /// The method's name.
        document: String,
        /// The path of the key.
        key: String,
    },

    /// The layout cannot hold the value.
    #[error("alibi's layout of {document} has no place for `{key}`: {reason}")]
    NoPlace {
        /// The method's name.
        document: String,
        /// The path of the key in the native document.
        key: String,
        /// Why there is no place.
        reason: String,
    },

    /// The number of explanations is not that of the layout.
    #[error("{document}: expected {expected}, got {given}")]
    Count {
        /// The method's name, or `alibi` before it is known.
        document: String,
        /// How many are allowed, and what to call otherwise.
        expected: &'static str,
        /// How many were given.
        given: usize,
    },
}

/// A result with [`AlibiError`].
pub(super) type Result<T, E = AlibiError> = std::result::Result<T, E>;
