//! The job file: which method, which model, which data.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use toml::Spanned;
use xai_core::ParamError;

use crate::failure::Failure;

/// A job file that was read, all but its params, whose type is the method's.
#[derive(Debug)]
pub struct Job {
    path: PathBuf,
    text: String,
    document: Document<BTreeMap<Spanned<String>, IgnoredAny>>,
}

/// The job file; `P` are the method's params.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "P: Default + Deserialize<'de>")]
struct Document<P> {
    method: Spanned<String>,
    #[serde(default)]
    seed: u64,
    model: ModelSection,
    data: DataSection,
    #[serde(default)]
    params: P,
}

/// The `[model]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// The ONNX file.
    pub path: PathBuf,
    /// The output of the graph to explain. Default: the last one of floating-point numbers.
    pub output: Option<String>,
    /// Names of the model's outputs, for tables. Default: `output 0`, `output 1`, and so on.
    pub outputs: Option<Spanned<Vec<String>>>,
    /// How texts become the rows that the model takes, for methods that explain texts.
    pub vectoriser: Option<Spanned<PathBuf>>,
    /// The order of an image's numbers, for methods that explain images. Default: as the model's input says.
    pub layout: Option<Spanned<Layout>>,
    /// What the model takes for a pixel, for methods that explain images. Default: bytes or shares of one, as the
    /// method has them.
    pub pixels: Option<Spanned<Pixels>>,
    /// Where the gradients come from, for methods that search along them. Default: from the outputs.
    pub gradients: Option<Spanned<Gradients>>,
    /// The ONNX file of a network from rows to rows like those of the training data, for methods that are drawn there.
    pub autoencoder: Option<Spanned<PathBuf>>,
    /// The ONNX file of a network from rows to encodings, for methods that compare rows by them.
    pub encoder: Option<Spanned<PathBuf>>,
}

/// Where the gradients of a model come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gradients {
    /// Differences of its outputs: any model, in every build of the command.
    #[default]
    Numerical,
    /// The model itself: a network whose operators have gradients.
    Model,
}

/// The order of an image's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
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
pub enum Pixels {
    /// A range with a name.
    Named(PixelRange),
    /// What black and full light become.
    Between([f64; 2]),
    /// Parts of full light, of which a mean is taken and which are then divided: a number for each channel.
    Standardised(Standardised),
}

/// Ranges of pixels with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PixelRange {
    /// From 0 to 255.
    Byte,
    /// From 0 to 1.
    Unit,
}

/// What pixels between 0 and 1 are standardised with, a number for each channel.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardised {
    /// What is taken off.
    pub mean: Vec<f64>,
    /// What it is divided by then.
    pub std: Vec<f64>,
}

/// The `[data]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSection {
    /// The training rows, whose header names the features; for texts a corpus, which may be left out, and for methods
    /// that need none the rows to explain name the features.
    pub train: Option<Spanned<PathBuf>>,
    /// The rows or texts to explain, unless the command line names others.
    pub input: Option<Spanned<PathBuf>>,
    /// The images to explain, unless the command line names others: files and folders of them.
    pub images: Option<Spanned<Vec<PathBuf>>>,
    /// Images that replace parts of others, for methods that explain images.
    pub background_images: Option<Spanned<Vec<PathBuf>>>,
    /// The column of the texts, for methods that explain texts. Default: files of one text a line.
    pub column: Option<Spanned<String>>,
    /// Word vectors, for methods that replace words by similar ones: word2vec, GloVe or fastText.
    pub vectors: Option<Spanned<PathBuf>>,
    /// A column to leave out of both.
    pub target: Option<Spanned<String>>,
    /// A JSON file with the names of categories.
    pub categories: Option<Spanned<PathBuf>>,
    /// How many training rows to draw as the background. Default: all.
    pub background_rows: Option<Spanned<usize>>,
    /// Where the cuts of numeric features come from, for a method that puts their values in bins. Default: the method
    /// makes its own.
    pub edges: Option<Spanned<EdgesFrom>>,
}

/// Where the cuts of numeric features come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgesFrom {
    /// The thresholds of the model's trees; features that no tree asks, and those that the params cut, are left alone.
    Model,
}

/// What a method explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows of a table.
    Rows,
    /// Texts.
    Texts,
    /// Image files.
    Images,
}

impl Kind {
    fn plural(self) -> &'static str {
        match self {
            Kind::Rows => "rows",
            Kind::Texts => "texts",
            Kind::Images => "images",
        }
    }
}

impl Job {
    /// Reads a job file.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file and, where there is one, the line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the job file `{}`", path.display());
            Failure::Input(anyhow::Error::new(error).context(message))
        })?;
        let document = parse(path, &text)?;
        Ok(Job { path: path.to_owned(), text, document })
    }

    /// The name of the method, and where it stands.
    #[must_use]
    pub fn method(&self) -> &Spanned<String> {
        &self.document.method
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.document.seed
    }

    /// The `[model]` table.
    #[must_use]
    pub fn model(&self) -> &ModelSection {
        &self.document.model
    }

    /// The `[data]` table.
    #[must_use]
    pub fn data(&self) -> &DataSection {
        &self.document.data
    }

    /// The `[params]` table as the method's own type.
    ///
    /// # Errors
    /// [`Failure::Input`] with the line of an unknown key or a value of the wrong type.
    pub fn params<P: Default + DeserializeOwned>(&self) -> Result<P, Failure> {
        // The whole file once more, so that positions in errors are positions in the file.
        Ok(parse::<P>(&self.path, &self.text)?.params)
    }

    /// Requires that the job has no key that only methods of other inputs know, and of those for gradients only `known`.
    ///
    /// # Errors
    /// [`Failure::Input`] with the line of the key.
    pub fn check_keys(&self, kind: Kind, known: &[&str]) -> Result<(), Failure> {
        fn at<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
            value.as_ref().map(Spanned::span)
        }
        const ROWS: &[Kind] = &[Kind::Rows];
        const TEXTS: &[Kind] = &[Kind::Texts];
        const IMAGES: &[Kind] = &[Kind::Images];
        const TABLES: &[Kind] = &[Kind::Rows, Kind::Texts];
        let Document { model, data, .. } = &self.document;
        let keys = [
            ("vectoriser", TEXTS, at(&model.vectoriser)),
            ("layout", IMAGES, at(&model.layout)),
            ("pixels", IMAGES, at(&model.pixels)),
            ("train", TABLES, at(&data.train)),
            ("input", TABLES, at(&data.input)),
            ("images", IMAGES, at(&data.images)),
            ("background_images", IMAGES, at(&data.background_images)),
            ("column", TEXTS, at(&data.column)),
            ("vectors", TEXTS, at(&data.vectors)),
            ("target", ROWS, at(&data.target)),
            ("categories", ROWS, at(&data.categories)),
            ("background_rows", ROWS, at(&data.background_rows)),
            ("edges", ROWS, at(&data.edges)),
        ];
        for (key, kinds, at) in keys {
            if at.is_some() && !kinds.contains(&kind) {
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind.plural()).collect();
                let (kinds, method) = (kinds.join(" or "), self.method().get_ref());
                let message = format!(
                    "`{key}` is for methods of {kinds}, and `{method}` explains {}",
                    kind.plural()
                );
                return Err(self.refuse(at, message));
            }
        }
        let of_gradients = [
            ("gradients", at(&model.gradients)),
            ("autoencoder", at(&model.autoencoder)),
            ("encoder", at(&model.encoder)),
        ];
        for (key, at) in of_gradients {
            if at.is_some() && !known.contains(&key) {
                let message = format!("`{}` has no use for `{key}`", self.method().get_ref());
                return Err(self.refuse(at, message));
            }
        }
        Ok(())
    }

    /// A path of the job file, seen from where the command runs.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A failure that points at a place in the file, or at the file.
    pub fn refuse(&self, at: Option<Range<usize>>, message: impl std::fmt::Display) -> Failure {
        refuse(&self.path, &self.text, at, message)
    }

    /// A failure that points at the parameter, or at the file when the parameter has its default.
    #[must_use]
    pub fn refuse_param(&self, error: &ParamError) -> Failure {
        let at = self.document.params.keys().find(|key| key.get_ref() == error.name);
        self.refuse(at.map(Spanned::span), error)
    }
}

fn parse<P: Default + DeserializeOwned>(path: &Path, text: &str) -> Result<Document<P>, Failure> {
    toml::from_str(text)
        .map_err(|error: toml::de::Error| refuse(path, text, error.span(), error.message()))
}

fn refuse(
    path: &Path,
    text: &str,
    at: Option<Range<usize>>,
    message: impl std::fmt::Display,
) -> Failure {
    let path = path.display();
    match at {
        Some(at) => {
            let line = 1 + text.bytes().take(at.start).filter(|&byte| byte == b'\n').count();
            Failure::refuse(format!("{path}:{line}: {message}"))
        }
        None => Failure::refuse(format!("{path}: {message}")),
    }
}
