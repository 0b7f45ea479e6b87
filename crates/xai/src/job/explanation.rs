//! The results of a job, whatever its method.

use std::any::Any;
use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use xai_core::{Explanation, Figure, Meta, OutputNames, Result, ToFigure};

use super::error::with_causes;
use super::input::InputId;
use super::method::Method;

/// The schema of [`RowError`].
pub const ERROR_SCHEMA: &str = "xai-error/1";

/// An explanation of an input, whatever the method.
pub struct JobExplanation(Box<dyn Render>);

/// A picture of an explanation, for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PictureFile {
    /// The end of the file's name: `overlay.png`.
    pub suffix: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What an explanation of any method can do.
trait Render: Send {
    fn meta(&self) -> &Meta;
    fn to_json(&self) -> Result<String>;
    fn to_line(&self, id: InputId<'_>) -> Result<String>;
    fn figure(&self, outputs: &OutputNames) -> Figure;
    fn pictures(&self) -> Vec<PictureFile>;
    fn explanation(&self) -> &dyn Any;
}

/// An explanation of a method.
struct OfMethod<M: Method>(Explanation<M::Data>);

impl<M: Method> Render for OfMethod<M> {
    fn meta(&self) -> &Meta {
        &self.0.meta
    }

    fn to_json(&self) -> Result<String> {
        self.0.to_json()
    }

    fn to_line(&self, id: InputId<'_>) -> Result<String> {
        let Explanation { schema, meta, data } = &self.0;
        Ok(serde_json::to_string(&Line { row: id.row, file: id.file, schema, meta, data })?)
    }

    fn figure(&self, outputs: &OutputNames) -> Figure {
        self.0.data.figure(outputs)
    }

    fn pictures(&self) -> Vec<PictureFile> {
        M::pictures(&self.0.data)
    }

    fn explanation(&self) -> &dyn Any {
        &self.0
    }
}

impl JobExplanation {
    pub(crate) fn new<M: Method>(explanation: Explanation<M::Data>) -> Self {
        JobExplanation(Box::new(OfMethod::<M>(explanation)))
    }

    /// Where the explanation comes from.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.0.meta()
    }

    /// The explanation as one line of JSON; equal explanations give equal bytes.
    ///
    /// # Errors
    /// [`xai_core::Error::Json`] when it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.0.to_json()
    }

    /// The explanation as one line of JSON with the row of its input in front, and its file where it has one.
    ///
    /// # Errors
    /// As [`to_json`](Self::to_json).
    pub fn to_line(&self, id: InputId<'_>) -> Result<String> {
        self.0.to_line(id)
    }

    /// What the explanation looks like, with names of the model's outputs, which may be none.
    #[must_use]
    pub fn figure(&self, outputs: &OutputNames) -> Figure {
        self.0.figure(outputs)
    }

    /// Pictures of the explanation, of a method that draws some.
    #[must_use]
    pub fn pictures(&self) -> Vec<PictureFile> {
        self.0.pictures()
    }

    /// The explanation as the method's own type, where `D` is the data of the method.
    #[must_use]
    pub fn typed<D: 'static>(&self) -> Option<&Explanation<D>> {
        self.0.explanation().downcast_ref()
    }
}

impl fmt::Debug for JobExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobExplanation").field("meta", self.meta()).finish_non_exhaustive()
    }
}

/// An explanation as a line of the output: the input first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Line_for_{D}")]
pub(crate) struct Line<'a, D> {
    /// The row, text or image among all inputs of the job, counted from 0.
    row: usize,
    /// The file of the input, as the job or the command line has it, where each input has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    /// The schema of the explanation.
    schema: &'a str,
    /// Where the explanation comes from.
    meta: &'a Meta,
    /// The answer.
    data: &'a D,
}

/// What stands in the place of the explanation of an input that failed; its JSON is a line of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    schema: &'static str,
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    error: String,
}

impl RowError {
    /// The error of an input, with all its causes.
    #[must_use]
    pub fn new(id: InputId<'_>, error: &(dyn Error + 'static)) -> Self {
        let file = id.file.map(str::to_owned);
        RowError { schema: ERROR_SCHEMA, row: id.row, file, error: with_causes(error) }
    }

    /// The error as one line of JSON.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "texts and numbers are always JSON")]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = InputId { row: self.row, file: self.file.as_deref() };
        write!(f, "{id}: {}", self.error)
    }
}
