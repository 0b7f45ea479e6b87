//! Why a job cannot be run, as data.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use xai_core::{BoxError, ParamError};

use super::method::unknown_method;

/// A place in a document: the prefix of a message, `job.toml:3: `.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file; `None` for a document in memory.
    pub path: Option<PathBuf>,
    /// The line, counted from 1; `None` for the whole document.
    pub line: Option<usize>,
    /// The character in the line, counted from 1, where it is known.
    pub column: Option<usize>,
}

impl Place {
    /// A file as a whole.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Place { path: Some(path.into()), line: None, column: None }
    }

    /// The place of a byte of a text.
    pub(crate) fn at(path: Option<PathBuf>, text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        // The first byte of a character is none of those that go on with it.
        let column = 1 + before[start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        Place { path, line: Some(line), column: Some(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, self.line, self.column) {
            (Some(path), Some(line), _) => write!(f, "{}:{line}: ", path.display()),
            (Some(path), None, _) => write!(f, "{}: ", path.display()),
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}: "),
            (None, Some(line), None) => write!(f, "line {line}: "),
            (None, None, _) => Ok(()),
        }
    }
}

/// Why a job cannot be run. All but [`Method`](Self::Method) are found before any model call.
///
/// The causes of a message are its [`source`](std::error::Error::source)s;
/// [`with_causes`](Self::with_causes) has them all in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A file cannot be read.
    #[error("cannot read the {what} `{}`", path.display())]
    Read {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },

    /// A key of the job, a cell of a table or a part of another document is wrong.
    #[error("{place}{message}")]
    Invalid {
        /// Where.
        place: Place,
        /// What was given and what is allowed.
        message: String,
    },

    /// A setting of the method is out of range.
    #[error("{place}{error}")]
    Param {
        /// The key in the job, or the job where the setting has its default.
        place: Place,
        /// Which setting, what is allowed and what was given.
        error: ParamError,
    },

    /// No method has this name.
    #[error("{place}{}", unknown_method(name))]
    UnknownMethod {
        /// Where the name is.
        place: Place,
        /// The name.
        name: String,
    },

    /// What the job needs is behind a feature that is off.
    #[error("{place}{subject} not in this build of `xai`: turn on its feature `{feature}`")]
    NotInBuild {
        /// Where the job asks for it.
        place: Place,
        /// What is not there, with its verb: "`cem` is".
        subject: String,
        /// The feature of the crate `xai` that brings it.
        feature: &'static str,
    },

    /// The job names no input.
    #[error("{place}there is nothing to explain: give `{key}` in [data]")]
    NothingToExplain {
        /// The job.
        place: Place,
        /// The key that names some.
        key: &'static str,
    },

    /// The selected rows are not all there.
    #[error("rows {}..{} are not there: the input has {n_rows} rows, counted from 0", range.start, range.end)]
    Selection {
        /// The rows that were selected.
        range: Range<usize>,
        /// The rows that there are.
        n_rows: usize,
    },

    /// A model, an image or another file does not hold what it should.
    #[error("the {what} `{}` cannot be used", path.display())]
    File {
        /// What the file is.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BoxError,
    },

    /// The method refused the data, or the model failed while the method was fitted.
    #[error(transparent)]
    Method(#[from] xai_core::Error),
}

impl JobError {
    /// A wrong document.
    pub(crate) fn invalid(place: Place, message: impl fmt::Display) -> Self {
        JobError::Invalid { place, message: message.to_string() }
    }

    /// The message and those of all its causes, in one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// The message of an error and those of all its causes, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
