//! Which rows of the input to explain.

use std::ops::Range;
use std::str::FromStr;

use super::error::JobError;

/// A half-open range of rows, counted from 0: `A..B`, `A..`, `..B`, `..`, or a single `N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    start: Option<usize>,
    end: Option<usize>,
}

impl Selection {
    /// The first `n` rows.
    #[must_use]
    pub fn first(n: usize) -> Self {
        Selection { start: None, end: Some(n) }
    }

    /// The selected rows of a table of `n_rows`.
    ///
    /// # Errors
    /// [`JobError::Selection`] when the selection is empty or reaches past the last row.
    pub fn within(self, n_rows: usize) -> Result<Range<usize>, JobError> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(n_rows);
        if range.is_empty() || n_rows < range.end {
            return Err(JobError::Selection { range, n_rows });
        }
        Ok(range)
    }
}

impl From<Range<usize>> for Selection {
    fn from(range: Range<usize>) -> Self {
        Selection { start: Some(range.start), end: Some(range.end) }
    }
}

/// Why a text is no selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// It has another form.
    #[error("expected `A..B`, `A..`, `..B` or a row number")]
    Form,
    /// Its end is not behind its start.
    #[error("the range holds no row: its end is not included")]
    Empty,
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let number = |text: &str| text.parse::<usize>().map_err(|_| SelectionError::Form);
        let bound = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
        let Some((start, end)) = text.split_once("..") else {
            let row = number(text)?;
            let end = row.checked_add(1).ok_or(SelectionError::Form)?;
            return Ok(Selection { start: Some(row), end: Some(end) });
        };
        let selection = Selection { start: bound(start)?, end: bound(end)? };
        match selection {
            Selection { start: Some(start), end: Some(end) } if end <= start => {
                Err(SelectionError::Empty)
            }
            _ => Ok(selection),
        }
    }
}
