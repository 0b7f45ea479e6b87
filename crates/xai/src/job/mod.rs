//! Jobs: which method explains what of which model, in memory or from TOML and files.
//!
//! A [`Job`] names a method and holds, or names the files of, its settings, a model and data.
//! [`Job::explain`] hands over one result after the other; [`Job::load`] and [`LoadedJob::fit`] are the steps before,
//! for callers that want all errors of the job before they open an output.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use xai::job::Job;
//! use xai::ndarray::array;
//! use xai::prelude::*;
//! # #[cfg(feature = "shap")]
//! # fn main() -> Result<(), xai::job::JobError> {
//! let model = per_row(|row| 2.0 * row[0] - row[1]);
//! let job = Job::new("kernel-shap")
//!     .with_model(&model)
//!     .with_training_rows(array![[0.0, 0.0], [1.0, 1.0]])
//!     .with_rows(array![[1.0, 0.0]]);
//! job.explain(&mut |id, result| {
//!     assert_eq!((id.row, result.unwrap().meta().name.as_str()), (0, "kernel-shap"));
//!     ControlFlow::Continue(())
//! })
//! # }
//! # #[cfg(not(feature = "shap"))]
//! # fn main() {}
//! ```

#![cfg_attr(
    not(all(
        feature = "anchors",
        feature = "cem",
        feature = "cfproto",
        feature = "counterfactual",
        feature = "image",
        feature = "intgrad",
        feature = "onnx",
        feature = "shap",
        feature = "text",
    )),
    allow(
        dead_code,
        unused_imports,
        reason = "what methods share is not used in full by a build with some of them"
    )
)]

mod document;
mod error;
mod explanation;
mod input;
mod keys;
mod method;
mod models;
mod named;
mod params;
mod run;
mod selection;
mod vectoriser;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array4};
use serde::Serialize;
use toml::Spanned;
use xai_core::observer::InputObserver;
use xai_core::tabular::Features;
use xai_core::{Budget, Differentiable, ModelRef, Predictor, RunConfig, Seed};

pub use self::error::{JobError, Place};
pub use self::explanation::{ERROR_SCHEMA, JobExplanation, PictureFile, RowError};
pub use self::input::{InputId, InputKind};
pub use self::method::{DynMethod, MethodSchema, find, methods};
pub use self::run::{FittedJob, LoadedJob, OnResult};
pub use self::selection::{Selection, SelectionError};

use self::document::{DataSection, Document, ModelSection, Origin};
use self::params::JobParams;
#[cfg(feature = "image")]
use self::params::Placed;

/// A method by name, its settings, a model, and what to explain.
///
/// What is given in memory takes the place of the file of the same kind.
pub struct Job<'j> {
    document: Document,
    origin: Origin,
    params: JobParams,
    seed: Seed,
    budget: Budget<'j>,
    observer: Option<&'j dyn InputObserver>,
    selection: Selection,
    model: GivenModel<'j>,
    data: GivenData,
}

/// The models that are in memory, and a file in the place of the document's.
#[derive(Default)]
struct GivenModel<'j> {
    file: Option<PathBuf>,
    rows: Option<ModelRef<'j>>,
    texts: Option<&'j dyn Predictor<[String]>>,
    autoencoder: Option<&'j dyn Differentiable>,
    encoder: Option<&'j dyn Differentiable>,
    outputs: Option<Vec<String>>,
}

/// The data that are in memory, and a file in the place of the document's.
#[derive(Default)]
struct GivenData {
    input_file: Option<PathBuf>,
    features: Option<Features>,
    training_rows: Option<Array2<f64>>,
    rows: Option<Array2<f64>>,
    corpus: Option<Vec<String>>,
    texts: Option<Vec<String>>,
    images: Option<Array4<f64>>,
    background_images: Option<Array4<f64>>,
}

impl<'j> Job<'j> {
    /// A job in memory for a method by its name, one of [`methods`]; all else is given by the other functions.
    #[must_use]
    pub fn new(method: &str) -> Self {
        Job::of(Document::of_method(method), Origin::default(), JobParams::Defaults)
    }

    /// Reads a job from the text of a job file. Paths in it are relative to `folder`.
    ///
    /// # Errors
    /// [`JobError::Invalid`] with line and column of what is no TOML, an unknown key or a value of the wrong type.
    pub fn from_toml(text: &str, folder: impl Into<PathBuf>) -> Result<Self, JobError> {
        Job::parse(Origin { path: None, folder: folder.into(), text: text.to_owned() })
    }

    /// Reads a job file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`JobError::Read`], or as [`from_toml`](Self::from_toml) with the file as well.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, JobError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| JobError::Read {
            what: "job file",
            path: path.to_owned(),
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Job::parse(Origin { path: Some(path.to_owned()), folder, text })
    }

    fn parse(origin: Origin) -> Result<Self, JobError> {
        let (document, params) = Document::parse(&origin)?;
        Ok(Job::of(document, origin, params))
    }

    fn of(document: Document, origin: Origin, params: JobParams) -> Self {
        let seed = Seed::new(document.seed);
        let budget = document.budget.queries.map_or_else(Budget::default, Budget::queries);
        Job {
            document,
            origin,
            params,
            seed,
            budget,
            observer: None,
            selection: Selection::default(),
            model: GivenModel::default(),
            data: GivenData::default(),
        }
    }

    /// The name of the method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.document.method.get_ref()
    }

    /// The settings of the method: its params struct, a [`serde_json::Value`] or a TOML table. They replace all others;
    /// what is left out has its default.
    ///
    /// # Errors
    /// [`JobError::Invalid`] when they cannot be written as JSON.
    pub fn with_params(mut self, params: &impl Serialize) -> Result<Self, JobError> {
        let value = serde_json::to_value(params)
            .map_err(|error| JobError::invalid(Place::default(), format!("params: {error}")))?;
        self.params = JobParams::Value(value);
        Ok(self)
    }

    /// The seed, from which everything random follows. Default 0.
    #[must_use]
    pub fn with_seed(mut self, seed: impl Into<Seed>) -> Self {
        self.seed = seed.into();
        self
    }

    /// The budget of each explanation. Default: no limit.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget<'j>) -> Self {
        self.budget = budget;
        self
    }

    /// An observer of the work on all inputs. Default: none.
    #[must_use]
    pub fn with_observer(mut self, observer: &'j dyn InputObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The inputs to explain, of all that there are. Default: all.
    #[must_use]
    pub fn with_selection(mut self, selection: impl Into<Selection>) -> Self {
        self.selection = selection.into();
        self
    }

    /// The model, for rows or for images, whose numbers it takes pixel after pixel, row by row, the channels of a pixel
    /// together. Its gradients are used where it has any.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<ModelRef<'j>>) -> Self {
        self.model.rows = Some(model.into());
        self
    }

    /// The model, for texts.
    #[must_use]
    pub fn with_text_model(mut self, model: &'j dyn Predictor<[String]>) -> Self {
        self.model.texts = Some(model);
        self
    }

    /// The model's ONNX file, relative to the current folder.
    #[must_use]
    pub fn with_model_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.model.file = Some(path.into());
        self
    }

    /// A network from rows to rows like those of the training data, for `cem` and `cfproto`.
    #[must_use]
    pub fn with_autoencoder(mut self, autoencoder: &'j dyn Differentiable) -> Self {
        self.model.autoencoder = Some(autoencoder);
        self
    }

    /// A network from rows to encodings, for `cfproto`.
    #[must_use]
    pub fn with_encoder(mut self, encoder: &'j dyn Differentiable) -> Self {
        self.model.encoder = Some(encoder);
        self
    }

    /// Names of the model's outputs, for figures. Default: those that the model has.
    #[must_use]
    pub fn with_output_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.model.outputs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// A table, texts, an image or a folder of images in the place of the inputs of the document, relative to the
    /// current folder.
    #[must_use]
    pub fn with_input_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.data.input_file = Some(path.into());
        self
    }

    /// What the columns of rows in memory mean. Default: numbers without names. Tables name their features themselves.
    #[must_use]
    pub fn with_features(mut self, features: Features) -> Self {
        self.data.features = Some(features);
        self
    }

    /// The training rows, shape `(n_rows, n_columns)`.
    #[must_use]
    pub fn with_training_rows(mut self, rows: Array2<f64>) -> Self {
        self.data.training_rows = Some(rows);
        self
    }

    /// The rows to explain, shape `(n_rows, n_columns)`, columns as in the training rows.
    #[must_use]
    pub fn with_rows(mut self, rows: Array2<f64>) -> Self {
        self.data.rows = Some(rows);
        self
    }

    /// Texts that explanations count the words of an anchor in.
    #[must_use]
    pub fn with_corpus(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.data.corpus = Some(texts.into_iter().map(Into::into).collect());
        self
    }

    /// The texts to explain.
    #[must_use]
    pub fn with_texts(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.data.texts = Some(texts.into_iter().map(Into::into).collect());
        self
    }

    /// The images to explain, shape `(n_images, height, width, channels)`, numbers as the setting `dtype` says.
    #[must_use]
    pub fn with_images(mut self, images: Array4<f64>) -> Self {
        self.data.images = Some(images);
        self
    }

    /// Images that replace superpixels of others, shape `(n_images, height, width, channels)`.
    #[must_use]
    pub fn with_background_images(mut self, images: Array4<f64>) -> Self {
        self.data.background_images = Some(images);
        self
    }

    /// Explains the inputs and hands each result to `on_result`, in the order of the inputs, as soon as it is there;
    /// `Break` ends the work. An input that fails is an error handed over and costs no other input its explanation.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`LoadedJob::fit`].
    pub fn explain(&self, on_result: OnResult<'_>) -> Result<(), JobError> {
        self.load()?.fit()?.explain(on_result);
        Ok(())
    }

    /// Explains the inputs: one result for each, in order.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn explain_all(&self) -> Result<Vec<xai_core::Result<JobExplanation>>, JobError> {
        let mut results = Vec::new();
        self.explain(&mut |_, result| {
            results.push(result);
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(results)
    }

    /// Finds the method, checks the keys of the job, and reads all that it names.
    ///
    /// # Errors
    /// [`JobError`] for everything that is wrong with the job, before any model call.
    pub fn load(&self) -> Result<LoadedJob<'_>, JobError> {
        let name = &self.document.method;
        let method = method::find_or_refuse(name.get_ref(), || self.place_of(name))?;
        method.load(self)
    }

    fn model(&self) -> Option<&ModelSection> {
        self.document.model.as_ref().map(Spanned::get_ref)
    }

    fn data(&self) -> &DataSection {
        &self.document.data
    }

    fn config(&self) -> RunConfig<'_> {
        let config = RunConfig::seeded(self.seed).with_budget(self.budget);
        match self.observer {
            Some(observer) => config.with_observer(observer),
            None => config,
        }
    }

    /// Whether a network from rows to encodings is given.
    #[cfg(feature = "cfproto")]
    fn has_encoder(&self) -> bool {
        let of_document = self.model().is_some_and(|section| section.encoder.is_some());
        of_document || self.model.encoder.is_some()
    }

    /// Whether features have categories.
    #[cfg(feature = "cfproto")]
    fn has_categories(&self) -> bool {
        let of_memory = self.data.features.as_ref();
        let of_memory = of_memory.is_some_and(|features| !features.categorical_names().is_empty());
        of_memory || self.data().categories.is_some()
    }

    /// The shape of images that the job gives, and its place. Alibi has it among the settings.
    #[cfg(feature = "image")]
    fn placed_image_shape(&self) -> Result<Option<Placed<input::ImageShape>>, JobError> {
        let placed = match self.model().and_then(|section| section.image_shape.as_ref()) {
            Some(shape) => Some(Placed { value: *shape.get_ref(), place: self.place_of(shape) }),
            None => self.params.setting("image_shape", &self.origin)?,
        };
        Ok(placed.map(|Placed { value: (height, width, channels), place }| Placed {
            value: input::ImageShape { height, width, channels },
            place,
        }))
    }

    /// The shape of images that the job gives.
    #[cfg(feature = "image")]
    fn image_shape(&self) -> Option<input::ImageShape> {
        // Another form is refused when the images are read.
        Some(self.placed_image_shape().ok()??.value)
    }

    /// Requires a shape that images can have, those of files with one channel or three.
    #[cfg(feature = "image")]
    fn check_image_shape(&self) -> Result<(), JobError> {
        let Some(Placed { value: shape, place }) = self.placed_image_shape()? else {
            return Ok(());
        };
        let input::ImageShape { height, width, channels } = shape;
        let is_drawn = matches!(channels, 1 | 3) || self.data.images.is_some();
        if 0 < height && 0 < width && 0 < channels && is_drawn {
            return Ok(());
        }
        let message = format!(
            "`image_shape` must be height, width and channels, each at least 1, with 1 or 3 channels for images from \
             files, got [{height}, {width}, {channels}]"
        );
        Err(JobError::invalid(place, message))
    }

    /// The place of a key or value of the document.
    fn place_of<T>(&self, value: &Spanned<T>) -> Place {
        // A job in memory has no text.
        if self.origin.text.is_empty() {
            return Place::default();
        }
        self.origin.place(Some(value.span()))
    }

    /// The document as a whole.
    fn place(&self) -> Place {
        self.origin.place(None)
    }

    /// A path of the document, seen from the current folder.
    fn resolve(&self, path: &Path) -> PathBuf {
        self.origin.resolve(path)
    }

    /// What a method says of the job's settings or data.
    fn refuse(&self, error: xai_core::Error) -> JobError {
        match error {
            xai_core::Error::Param(error) => self.params.refuse(&self.origin, error),
            error => JobError::Method(error),
        }
    }
}
