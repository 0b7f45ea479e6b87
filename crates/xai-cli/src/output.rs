//! Where explanations go: an array in a file, lines in a file or on the standard output, tables for people.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use schemars::JsonSchema;
use serde::Serialize;
use tempfile::NamedTempFile;
use xai_core::figure::Figure;
use xai_core::{Explanation, Meta};

use crate::explain::Prepared;
use crate::failure::Failure;
use crate::method::Method;
use crate::text;

/// The schema of [`RowError`].
pub const ERROR_SCHEMA: &str = "xai-error/1";

/// Where the explanations go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// Tables for people, on the standard output.
    #[default]
    Tables,
    /// One line of JSON a row, on the standard output: `-`.
    Stdout,
    /// One line of JSON a row, written as the rows finish: `FILE.jsonl`.
    Lines(PathBuf),
    /// A JSON array, in the file only when it is complete: `FILE.json`.
    Array(PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if text == "-" => Ok(Destination::Stdout),
            Some("json") => Ok(Destination::Array(path)),
            Some("jsonl") => Ok(Destination::Lines(path)),
            _ => Err("expected a file that ends in .json or .jsonl, or `-`".to_owned()),
        }
    }
}

/// Which input a result is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its row in the input, counted from 0.
    pub row: usize,
    /// Its file, where it has one of its own.
    pub file: Option<&'a str>,
}

/// An explanation as it is written: that of an input with a file of its own says which.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Line_for_{D}")]
pub struct Line<'a, D> {
    /// The schema of the explanation.
    schema: &'a str,
    /// The file of the input, as the job or the command line has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    /// Where the explanation comes from.
    meta: &'a Meta,
    /// The answer.
    data: &'a D,
}

impl<'a, D> Line<'a, D> {
    fn new(place: Place<'a>, explanation: &'a Explanation<D>) -> Self {
        let Explanation { schema, meta, data } = explanation;
        Line { schema, file: place.file, meta, data }
    }
}

/// What stands in the place of the explanation of a row that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    schema: &'static str,
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    error: String,
}

impl RowError {
    /// The error of a row of the input, with all its causes.
    #[must_use]
    pub fn new(place: Place<'_>, error: &xai_core::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        let file = place.file.map(str::to_owned);
        RowError { schema: ERROR_SCHEMA, row: place.row, file, error: text }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}: {}", self.error),
            None => write!(f, "row {}: {}", self.row, self.error),
        }
    }
}

/// Takes the results of the rows, in their order.
pub trait Sink<D> {
    /// Takes an explanation.
    ///
    /// # Errors
    /// When it cannot be written.
    fn explanation(&mut self, place: Place<'_>, explanation: Explanation<D>) -> io::Result<()>;

    /// Takes the error of a row.
    ///
    /// # Errors
    /// When it cannot be written.
    fn error(&mut self, error: &RowError) -> io::Result<()>;

    /// Is told that there are no more rows.
    ///
    /// # Errors
    /// When the rest cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// How the explanations of a job look to people.
pub trait Present<D> {
    /// One explanation.
    fn figure(&self, data: &D) -> Figure;

    /// What several explanations say together, if anything.
    ///
    /// # Errors
    /// Those of the method.
    fn summary(&self, data: &[D]) -> xai_core::Result<Option<Figure>>;
}

impl<M: Method> Present<M::Data> for Prepared<M> {
    fn figure(&self, data: &M::Data) -> Figure {
        M::figure(data, self.outputs())
    }

    fn summary(&self, data: &[M::Data]) -> xai_core::Result<Option<Figure>> {
        M::summary(data, self)
    }
}

/// The sink of a destination for the explanations of a job.
///
/// # Errors
/// [`Failure::Run`] when the file cannot be written.
pub fn sink<'a, D: Serialize + 'a>(
    destination: &Destination,
    job: &'a dyn Present<D>,
) -> Result<Box<dyn Sink<D> + 'a>, Failure> {
    Ok(match destination {
        Destination::Tables => Box::new(Tables::new(io::stdout(), job)),
        Destination::Stdout => Box::new(Lines { out: io::stdout() }),
        Destination::Lines(path) => Box::new(Lines {
            out: File::create(path)
                .with_context(|| format!("cannot write `{}`", path.display()))
                .map_err(Failure::Run)?,
        }),
        Destination::Array(path) => Box::new(Array::create(path)?),
    })
}

/// JSON lines, each written at once, so that an interrupted run keeps the rows it had finished.
struct Lines<W> {
    out: W,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

impl<D: Serialize, W: Write> Sink<D> for Lines<W> {
    fn explanation(&mut self, place: Place<'_>, explanation: Explanation<D>) -> io::Result<()> {
        self.line(&Line::new(place, &explanation))
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.line(error)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A JSON array, one row a line, in a file beside its final place until it is complete.
pub struct Array {
    path: PathBuf,
    /// `None` once the file is in its place.
    file: Option<NamedTempFile>,
    n_rows: usize,
}

impl Array {
    /// Begins an array that will be in `path`.
    ///
    /// # Errors
    /// [`Failure::Run`] when the folder cannot be written to.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What the user's mask leaves of these, as for any other file, not the owner's eyes only.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .prefix(".xai-")
            .suffix(".json")
            .tempfile_in(folder)
            .with_context(|| format!("cannot write `{}`", path.display()))
            .map_err(Failure::Run)?;
        Ok(Array { path: path.to_owned(), file: Some(file), n_rows: 0 })
    }

    fn item(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = if self.n_rows == 0 { b"[\n".to_vec() } else { b",\n".to_vec() };
        serde_json::to_writer(&mut line, value)?;
        self.n_rows += 1;
        self.file.as_mut().expect("rows come before the end").write_all(&line)
    }
}

impl<D: Serialize> Sink<D> for Array {
    fn explanation(&mut self, place: Place<'_>, explanation: Explanation<D>) -> io::Result<()> {
        self.item(&Line::new(place, &explanation))
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.item(error)
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut file = self.file.take().expect("the end comes once");
        file.write_all(if self.n_rows == 0 { b"[]\n" } else { b"\n]\n" })?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// Tables for people, with a summary of several rows at the end.
struct Tables<'a, D, W> {
    out: W,
    job: &'a dyn Present<D>,
    data: Vec<D>,
}

impl<'a, D, W: Write> Tables<'a, D, W> {
    fn new(out: W, job: &'a dyn Present<D>) -> Self {
        Tables { out, job, data: Vec::new() }
    }
}

impl<D, W: Write> Sink<D> for Tables<'_, D, W> {
    fn explanation(&mut self, place: Place<'_>, explanation: Explanation<D>) -> io::Result<()> {
        let mut figure = self.job.figure(&explanation.data);
        let name = place.file.map_or_else(|| format!("Row {}", place.row), str::to_owned);
        figure.title = format!("{name}: {}", figure.title);
        write!(self.out, "{}", text::draw(&figure, usize::MAX))?;
        for warning in &explanation.meta.warnings {
            writeln!(self.out, "Note: {} ({})", warning.message, warning.code)?;
        }
        writeln!(self.out)?;
        self.data.push(explanation.data);
        self.out.flush()
    }

    fn error(&mut self, _: &RowError) -> io::Result<()> {
        // It has been told on the standard error.
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if 1 < self.data.len()
            && let Some(figure) = self.job.summary(&self.data).map_err(io::Error::other)?
        {
            write!(self.out, "{}", text::draw(&figure, usize::MAX))?;
        }
        self.out.flush()
    }
}
