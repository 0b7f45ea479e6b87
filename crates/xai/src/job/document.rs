//! The document of a job: TOML, parsed once, with the place of every key.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;
use toml::de::{DeTable, Deserializer};

use super::error::{JobError, Place};
use super::params::JobParams;

/// Where a job comes from, for messages and for the paths in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The file, where there is one.
    pub(crate) path: Option<PathBuf>,
    /// The folder that paths are relative to.
    pub(crate) folder: PathBuf,
    /// The text.
    pub(crate) text: String,
}

impl Origin {
    /// The place of a span, or the document as a whole.
    pub(crate) fn place(&self, span: Option<Range<usize>>) -> Place {
        match span {
            Some(span) => Place::at(self.path.clone(), self.text.as_bytes(), span.start),
            None => Place { path: self.path.clone(), ..Place::default() },
        }
    }

    /// A path of the job, seen from the current folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

/// The keys of a job, all but its params, whose type is the method's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) method: Spanned<String>,
    #[serde(default)]
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) budget: BudgetSection,
    #[serde(default)]
    pub(crate) model: Option<Spanned<ModelSection>>,
    #[serde(default)]
    pub(crate) data: DataSection,
    #[serde(default, rename = "params")]
    _params: IgnoredAny,
}

/// The `[budget]` table.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetSection {
    /// The most rows the model may be asked for, for each explanation. Default: no limit.
    pub(crate) queries: Option<u64>,
}

/// The `[model]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSection {
    /// The ONNX file; required unless the model is in memory.
    pub(crate) path: Option<PathBuf>,
    /// The output of the graph to explain. Default: the last one of floating-point numbers.
    pub(crate) output: Option<String>,
    /// Names of the model's outputs, for tables. Default: `output 0`, `output 1`, and so on.
    pub(crate) outputs: Option<Spanned<Vec<String>>>,
    /// How texts become the rows that the model takes, for methods that explain texts.
    pub(crate) vectoriser: Option<Spanned<PathBuf>>,
    /// The order of an image's numbers, for methods that explain images. Default: as the model's input says.
    pub(crate) layout: Option<Spanned<Layout>>,
    /// What the model takes for a pixel, for methods that explain images. Default: bytes or shares of one, as the
    /// method has them.
    pub(crate) pixels: Option<Spanned<Pixels>>,
    /// Height, width and channels of an image, for methods that explain images. Default: those of the first image, with
    /// as many channels as the model takes.
    pub(crate) image_shape: Option<Spanned<(usize, usize, usize)>>,
    /// Where the gradients come from, for methods that search along them. Default: from the outputs of a file, and
    /// from a model in memory where it has any.
    pub(crate) gradients: Option<Spanned<Gradients>>,
    /// The ONNX file of a network from rows to rows like those of the training data.
    pub(crate) autoencoder: Option<Spanned<PathBuf>>,
    /// The ONNX file of a network from rows to encodings, for methods that compare rows by them.
    pub(crate) encoder: Option<Spanned<PathBuf>>,
}

/// Where the gradients of a model come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Gradients {
    /// Differences of its outputs: any model, in every build.
    Numerical,
    /// The model itself: a network whose operators have gradients.
    Model,
}

/// The order of an image's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// Pixel after pixel, row by row, the channels of a pixel together: `(height, width, channels)`.
    ChannelsLast,
    /// Channel after channel: `(channels, height, width)`.
    ChannelsFirst,
}

/// What the model takes for a pixel of a picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "`pixels` must be \"byte\", \"unit\", two numbers or a table of `mean` and `std`"
)]
pub(crate) enum Pixels {
    /// A range with a name.
    Named(PixelRange),
    /// What black and full light become.
    Between([f64; 2]),
    /// Parts of full light, of which a mean is subtracted and which are then divided: a number for each channel.
    Standardised(Standardised),
}

/// Ranges of pixels with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PixelRange {
    /// From 0 to 255.
    Byte,
    /// From 0 to 1.
    Unit,
}

/// What pixels between 0 and 1 are standardised with, a number for each channel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Standardised {
    /// What is subtracted.
    pub(crate) mean: Vec<f64>,
    /// What the difference is divided by.
    pub(crate) std: Vec<f64>,
}

/// The `[data]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSection {
    /// The training rows, whose header names the features; for texts a corpus, which may be left out, and for methods
    /// that need none the rows to explain name the features.
    pub(crate) train: Option<Spanned<PathBuf>>,
    /// The rows or texts to explain.
    pub(crate) input: Option<Spanned<PathBuf>>,
    /// The images to explain: files and folders of them.
    pub(crate) images: Option<Spanned<Vec<PathBuf>>>,
    /// Images that replace parts of others, for methods that explain images.
    pub(crate) background_images: Option<Spanned<Vec<PathBuf>>>,
    /// The column of the texts, for methods that explain texts. Default: files of one text a line.
    pub(crate) column: Option<Spanned<String>>,
    /// Word vectors, for methods that replace words by similar ones: word2vec, GloVe or fastText.
    pub(crate) vectors: Option<Spanned<PathBuf>>,
    /// A column to leave out of both tables.
    pub(crate) target: Option<Spanned<String>>,
    /// A JSON file with the names of categories.
    pub(crate) categories: Option<Spanned<PathBuf>>,
    /// How many training rows to draw as the background. Default: all.
    pub(crate) background_rows: Option<Spanned<usize>>,
    /// Where the cuts of numeric features come from, for a method that puts their values in bins. Default: the method
    /// makes its own.
    pub(crate) edges: Option<Spanned<EdgesFrom>>,
}

/// Where the cuts of numeric features come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EdgesFrom {
    /// The thresholds of the model's trees; features that no tree asks, and those that the params cut, keep the cuts of
    /// the method.
    Model,
}

impl Document {
    /// The document of a job in memory.
    pub(crate) fn of_method(name: &str) -> Self {
        Document {
            method: Spanned::new(0..0, name.to_owned()),
            seed: 0,
            budget: BudgetSection::default(),
            model: None,
            data: DataSection::default(),
            _params: IgnoredAny,
        }
    }

    /// Parses the text of a job.
    pub(crate) fn parse(origin: &Origin) -> Result<(Self, JobParams), JobError> {
        let refuse =
            |error: toml::de::Error| JobError::invalid(origin.place(error.span()), error.message());
        let table = DeTable::parse(&origin.text).map_err(refuse)?;
        let params = match table.get_ref().get("params") {
            Some(params) => JobParams::of_document(params).map_err(refuse)?,
            None => JobParams::Defaults,
        };
        let document = Document::deserialize(Deserializer::from(table)).map_err(refuse)?;
        Ok((document, params))
    }
}
