//! CSV files: a header row that names the columns, and numbers below it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;

use crate::job::error::{JobError, Place};

/// A CSV file whose header has been read.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    text: String,
    names: Vec<String>,
}

/// A column to read, and what its cells may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its place in the file.
    pub(crate) index: usize,
    /// What its cells may hold.
    pub(crate) cells: Cells,
}

/// What the cells of a column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cells {
    /// Finite numbers.
    Numbers,
    /// Finite numbers; an empty cell and `NaN` are missing values.
    NumbersOrMissing,
    /// Integer codes below the number of categories.
    Codes(usize),
}

impl Table {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`JobError`] when the file cannot be read, is not UTF-8, is empty, or has a column without a name or with
    /// the name of another.
    pub(crate) fn open(path: &Path) -> Result<Self, JobError> {
        let bytes = fs::read(path).map_err(|source| JobError::Read {
            what: "table",
            path: path.to_owned(),
            source,
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let byte = error.utf8_error().valid_up_to();
            let place = Place::at(Some(path.to_owned()), error.as_bytes(), byte);
            JobError::invalid(place, "the text is not UTF-8")
        })?;
        // Spreadsheets mark UTF-8 with a byte order mark, which is no part of the first name.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let mut table = Table { path: path.to_owned(), text, names: Vec::new() };
        let mut header = StringRecord::new();
        let is_there = reader(&table.text).read_record(&mut header);
        if !is_there.map_err(|error| table.unreadable(&error))? {
            return Err(JobError::invalid(Place::file(path), "the file is empty"));
        }
        let mut seen = BTreeSet::new();
        for (index, name) in header.iter().enumerate() {
            if name.is_empty() {
                let message = format!("column {} of the header has no name", index + 1);
                return Err(table.refuse(header.position(), message));
            }
            if !seen.insert(name) {
                let message = format!("two columns are named `{name}`");
                return Err(table.refuse(header.position(), message));
            }
        }
        table.names = header.iter().map(str::to_owned).collect();
        Ok(table)
    }

    /// Where the file is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names in the header, in order.
    #[must_use]
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The chosen columns of all rows, shape `(n_rows, columns.len())`. Other columns may hold anything.
    ///
    /// # Errors
    /// [`JobError`] with the line, and the column, of the first row with another number of cells than the header
    /// and of the first cell that its column may not hold; also when there is no row.
    pub(crate) fn rows(&self, columns: &[Column]) -> Result<Array2<f64>, JobError> {
        let mut numbers = Vec::new();
        let n_rows = self.each(|record| {
            for column in columns {
                let number = parse(&record[column.index], column.cells).map_err(|problem| {
                    let name = &self.names[column.index];
                    self.refuse(record.position(), format!("column `{name}`: {problem}"))
                })?;
                numbers.push(number);
            }
            Ok(())
        })?;
        let rows = Array2::from_shape_vec((n_rows, columns.len()), numbers);
        Ok(rows.expect("each row has a number for each column"))
    }

    /// The cells of a column as they stand there, without the space around them.
    ///
    /// # Errors
    /// [`JobError`] with the line of the first row with another number of cells than the header; also when there
    /// is no row.
    pub(crate) fn texts(&self, column: usize) -> Result<Vec<String>, JobError> {
        let mut texts = Vec::new();
        self.each(|record| {
            texts.push(record[column].to_owned());
            Ok(())
        })?;
        Ok(texts)
    }

    /// Hands over all rows below the header, each as wide as it, and tells how many there are: at least one.
    fn each(
        &self,
        mut take: impl FnMut(&StringRecord) -> Result<(), JobError>,
    ) -> Result<usize, JobError> {
        let mut n_rows = 0;
        let mut record = StringRecord::new();
        let mut reader = reader(&self.text);
        // The header, which `open` has read.
        reader.read_byte_record(&mut ByteRecord::new()).map_err(|error| self.unreadable(&error))?;
        while reader.read_record(&mut record).map_err(|error| self.unreadable(&error))? {
            self.check_width(&record)?;
            take(&record)?;
            n_rows += 1;
        }
        if n_rows == 0 {
            let place = Place::file(&self.path);
            return Err(JobError::invalid(place, "there are no rows below the header"));
        }
        Ok(n_rows)
    }

    /// A failure that points at the header.
    pub(crate) fn refuse_header(&self, message: impl fmt::Display) -> JobError {
        self.refuse(Some(&csv::Position::new()), message)
    }

    fn check_width(&self, record: &StringRecord) -> Result<(), JobError> {
        let (n_cells, n_columns) = (record.len(), self.names.len());
        let problem = match self.names.get(n_cells) {
            Some(name) => format!("column `{name}` has no cell"),
            None if n_cells == n_columns => return Ok(()),
            None => format!("there are cells after column `{}`", self.names[n_columns - 1]),
        };
        let message = format!("{problem}: the row has {n_cells} cells, the header {n_columns}");
        Err(self.refuse(record.position(), message))
    }

    fn refuse(&self, at: Option<&csv::Position>, message: impl fmt::Display) -> JobError {
        let Some(at) = at.and_then(|at| usize::try_from(at.byte()).ok()) else {
            return JobError::invalid(Place::file(&self.path), message);
        };
        // The reader takes the line break before a record, and blank lines, for a part of it.
        let bytes = self.text.as_bytes();
        let breaks = bytes[at..].iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
        JobError::invalid(Place::at(Some(self.path.clone()), bytes, at + breaks), message)
    }

    /// A failure of the reader, which takes any text.
    fn unreadable(&self, error: &csv::Error) -> JobError {
        JobError::invalid(Place::file(&self.path), error)
    }
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        // Rows of another width are refused below, with the name of the column.
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes())
}

fn parse(cell: &str, cells: Cells) -> Result<f64, String> {
    if cell.is_empty() && cells == Cells::NumbersOrMissing {
        return Ok(f64::NAN);
    }
    if cell.is_empty() {
        return Err("the cell is empty".to_owned());
    }
    let number: f64 = cell.parse().map_err(|_| format!("expected a number, got `{cell}`"))?;
    let is_code = |n: usize| number.fract() == 0.0 && (0.0..n as f64).contains(&number);
    match cells {
        Cells::NumbersOrMissing if number.is_nan() => Ok(number),
        Cells::Codes(n) if !is_code(n) => {
            Err(format!("expected an integer code from 0 to {}, got `{cell}`", n - 1))
        }
        _ if !number.is_finite() => Err(format!("expected a finite number, got `{cell}`")),
        _ => Ok(number),
    }
}
