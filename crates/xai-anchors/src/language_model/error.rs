//! Why a language model cannot be loaded.

use std::path::PathBuf;

/// Why a folder does not hold a masked language model that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageModelError {
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },

    /// The configuration does not describe a model that is supported.
    #[error("`{}` does not describe a supported model: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is missing or unknown.
        reason: String,
    },

    /// The tokenizer cannot be used, by itself or with this model.
    #[error("`{}` is not a tokenizer of this model: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The file of tensors is broken.
    #[error("`{}` holds no usable tensors: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A tensor is missing; without its head a model cannot fill words.
    #[error("`{}` lacks the tensor `{name}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },

    /// A tensor has another shape than in the configuration.
    #[error("tensor `{name}` in `{}` must have shape {expected:?}, got {got:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape it has.
        got: Vec<usize>,
    },
}
