//! What methods explain, and how a job gives it to them: rows, texts or images.

mod categories;
#[cfg(feature = "image")]
mod images;
#[cfg(feature = "image")]
mod pixels;
mod rows;
mod table;
#[cfg(feature = "text")]
mod texts;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use xai_core::{Inputs, OutputNames};

#[cfg(feature = "image")]
pub(crate) use self::images::{ImageData, ImageRequirements, ImageShape, Images};
#[cfg(feature = "image")]
pub(crate) use self::pixels::ImageModel;
pub(crate) use self::rows::{DataRequirements, RowData, RowInput};
#[cfg(feature = "text")]
pub(crate) use self::texts::{TextData, Texts};

use super::Job;
use super::error::JobError;
use super::models::ModelRequirements;

/// What a method explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// Rows of a table.
    Rows,
    /// Texts.
    Texts,
    /// Images.
    Images,
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputKind::Rows => "rows",
            InputKind::Texts => "texts",
            InputKind::Images => "images",
        })
    }
}

/// Which input a result is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputId<'i> {
    /// Its row, text or image among all inputs of the job, counted from 0.
    pub row: usize,
    /// Its file, as the job names it, where each input has one.
    pub file: Option<&'i str>,
}

impl fmt::Display for InputId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => f.write_str(file),
            None => write!(f, "row {}", self.row),
        }
    }
}

/// A kind of input: how a job gives methods what they are fitted to and what they explain.
pub(crate) trait JobInput: Sized + 'static {
    /// Its name.
    const KIND: InputKind;
    /// What a method needs of the data.
    type Requirements;
    /// One input.
    type One: xai_core::Input + ?Sized;
    /// The inputs to explain.
    type Many: Inputs<Self::One>;
    /// What methods are fitted to.
    type Training: Sync;
    /// The models, as methods of this input ask them.
    type Models<'j>: Sync;

    /// Reads the data and the models of a job.
    fn load<'j>(
        job: &'j Job<'j>,
        data: &Self::Requirements,
        model: &ModelRequirements,
    ) -> Result<Loaded<'j, Self>, JobError>;
}

/// Data and models of a job, read and checked.
pub(crate) struct Loaded<'j, I: JobInput> {
    pub(crate) training: I::Training,
    pub(crate) models: I::Models<'j>,
    /// Names of the model's outputs; empty where there are none.
    pub(crate) outputs: OutputNames,
    /// The inputs to explain: those of `range` of all that there are.
    pub(crate) inputs: I::Many,
    pub(crate) range: Range<usize>,
    /// The names of the files of these inputs; empty where an input is no file.
    pub(crate) files: Vec<String>,
}

impl<I: JobInput> Loaded<'_, I> {
    /// The input at an index among those to explain.
    pub(crate) fn id(&self, index: usize) -> InputId<'_> {
        let file = self.files.get(index).map(String::as_str);
        InputId { row: self.range.start + index, file }
    }
}

impl Job<'_> {
    /// The file of the model, for messages.
    #[cfg(feature = "image")]
    fn model_path(&self) -> PathBuf {
        let of_document = || self.model().and_then(|section| section.path.as_ref());
        let named = || of_document().map(|path| self.resolve(path)).unwrap_or_default();
        self.model.file.clone().unwrap_or_else(named)
    }

    /// The file of the inputs in tables or texts, where there is one.
    fn input_file(&self) -> Option<PathBuf> {
        let named = || self.data().input.as_ref().map(|path| self.resolve(path.get_ref()));
        self.data.input_file.clone().or_else(named)
    }
}
