//! Which rows of the input to explain.

use std::ops::Range;
use std::str::FromStr;

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
    /// A sentence when the selection is empty or reaches past the last row.
    pub fn within(self, n_rows: usize) -> Result<Range<usize>, String> {
        let range = self.start.unwrap_or(0)..self.end.unwrap_or(n_rows);
        if range.is_empty() || n_rows < range.end {
            let Range { start, end } = range;
            return Err(format!(
                "rows {start}..{end} are not there: the input has {n_rows} rows, counted from 0"
            ));
        }
        Ok(range)
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected `A..B`, `A..`, `..B` or a row number".to_owned();
        let number = |text: &str| text.parse::<usize>().map_err(|_| expected());
        let bound = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
        let Some((start, end)) = text.split_once("..") else {
            let row = number(text)?;
            let end = row.checked_add(1).ok_or_else(expected)?;
            return Ok(Selection { start: Some(row), end: Some(end) });
        };
        let selection = Selection { start: bound(start)?, end: bound(end)? };
        match selection {
            Selection { start: Some(start), end: Some(end) } if end <= start => {
                Err("the range holds no row: its end is not included".to_owned())
            }
            _ => Ok(selection),
        }
    }
}
