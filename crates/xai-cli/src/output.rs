//! Where explanations go: an array in a file, lines in a file or on the standard output, human-readable tables.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use serde_json::Value;
use tempfile::NamedTempFile;
use xai::Explanation;
use xai::alibi::{AlibiError, to_alibi};
use xai::job::{FittedJob, InputId, JobExplanation, RowError};

use crate::failure::Failure;

/// Where the explanations go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Destination {
    /// Human-readable tables, on the standard output.
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

/// The layout of explanations in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The documents of this workspace, each behind the number of its row
    #[default]
    Native,
    /// The documents of alibi's `Explanation.to_json`, one for each row
    Alibi,
}

impl Format {
    /// An explanation as one line of JSON.
    fn line(self, id: InputId<'_>, explanation: &JobExplanation) -> Result<String, NotWritten> {
        match self {
            Format::Native => Ok(explanation.to_line(id).map_err(io::Error::other)?),
            Format::Alibi => {
                let json = explanation.to_json().map_err(io::Error::other)?;
                let document = Explanation::<Value>::from_json(&json).map_err(io::Error::other)?;
                Ok(to_alibi(&document).map_err(NotWritten::Layout)?.to_string())
            }
        }
    }
}

/// Why an explanation was not written.
#[derive(Debug)]
pub enum NotWritten {
    /// It has no place in the layout; those of other rows may have one.
    Layout(AlibiError),
    /// The destination takes nothing more.
    Destination(io::Error),
}

impl From<io::Error> for NotWritten {
    fn from(error: io::Error) -> Self {
        NotWritten::Destination(error)
    }
}

/// Takes the results of the rows, in their order.
pub trait Sink {
    /// Takes an explanation.
    ///
    /// # Errors
    /// When it cannot be written; nothing of it is.
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten>;

    /// Takes the error of a row.
    ///
    /// # Errors
    /// When it cannot be written.
    fn error(&mut self, error: &RowError) -> io::Result<()>;

    /// Called when there are no more rows.
    ///
    /// # Errors
    /// When the rest cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// The sink of a destination for the explanations of a job.
///
/// # Errors
/// [`Failure::Run`] when the file cannot be written.
pub fn sink<'a>(
    destination: &Destination,
    format: Format,
    job: &'a FittedJob<'_>,
) -> Result<Box<dyn Sink + 'a>, Failure> {
    Ok(match destination {
        Destination::Tables => {
            Box::new(Tables { out: io::stdout(), job, explanations: Vec::new() })
        }
        Destination::Stdout => Box::new(Lines { out: io::stdout(), format }),
        Destination::Lines(path) => Box::new(Lines {
            out: File::create(path)
                .with_context(|| format!("cannot write `{}`", path.display()))
                .map_err(Failure::Run)?,
            format,
        }),
        Destination::Array(path) => Box::new(Array::create(path, format)?),
    })
}

/// JSON lines, each written at once, so that an interrupted run keeps the rows it had finished.
struct Lines<W> {
    out: W,
    format: Format,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Sink for Lines<W> {
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten> {
        Ok(self.write(self.format.line(id, &explanation)?)?)
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.write(error.to_line())
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
    format: Format,
    n_rows: usize,
}

impl Array {
    /// Begins an array that will be in `path`.
    ///
    /// # Errors
    /// [`Failure::Run`] when the folder cannot be written to.
    pub fn create(path: &Path, format: Format) -> Result<Self, Failure> {
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
        Ok(Array { path: path.to_owned(), file: Some(file), format, n_rows: 0 })
    }

    /// Writes an explanation.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(
        &mut self,
        id: InputId<'_>,
        explanation: &JobExplanation,
    ) -> Result<(), NotWritten> {
        Ok(self.item(&self.format.line(id, explanation)?)?)
    }

    fn item(&mut self, line: &str) -> io::Result<()> {
        let before = if self.n_rows == 0 { "[\n" } else { ",\n" };
        self.n_rows += 1;
        let file = self.file.as_mut().expect("rows come before the end");
        file.write_all(before.as_bytes())?;
        file.write_all(line.as_bytes())
    }
}

impl Sink for Array {
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten> {
        self.write(id, &explanation)
    }

    fn error(&mut self, error: &RowError) -> io::Result<()> {
        self.item(&error.to_line())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut file = self.file.take().expect("the end comes once");
        file.write_all(if self.n_rows == 0 { b"[]\n" } else { b"\n]\n" })?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// Human-readable tables, with a summary of several rows at the end.
struct Tables<'a, W> {
    out: W,
    job: &'a FittedJob<'a>,
    explanations: Vec<JobExplanation>,
}

impl<W: Write> Sink for Tables<'_, W> {
    fn explanation(
        &mut self,
        id: InputId<'_>,
        explanation: JobExplanation,
    ) -> Result<(), NotWritten> {
        let mut figure = explanation.figure(self.job.outputs());
        let name = id.file.map_or_else(|| format!("Row {}", id.row), str::to_owned);
        figure.title = format!("{name}: {}", figure.title);
        write!(self.out, "{figure}")?;
        for warning in &explanation.meta().warnings {
            writeln!(self.out, "Note: {} ({})", warning.message, warning.code)?;
        }
        writeln!(self.out)?;
        self.explanations.push(explanation);
        Ok(self.out.flush()?)
    }

    fn error(&mut self, _: &RowError) -> io::Result<()> {
        // It stands on the standard error.
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if 1 < self.explanations.len()
            && let Some(figure) = self.job.summary(&self.explanations).map_err(io::Error::other)?
        {
            write!(self.out, "{figure}")?;
        }
        self.out.flush()
    }
}
