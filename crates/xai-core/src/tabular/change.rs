//! What differs between two rows, human-readable.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Features, Kind};
use crate::model::Row;

/// One changed feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The feature's name.
    pub feature: String,
    /// Its value before, human-readable.
    pub from: String,
    /// Its value after, human-readable.
    pub to: String,
    /// By how much a quantity changes, in its own unit; `None` for a category.
    pub by: Option<f64>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.feature, self.from, self.to)
    }
}

impl Features {
    /// The features in which two rows differ, in the order of the table. Both have shape `(n_columns,)`.
    ///
    /// # Panics
    /// When a row has fewer columns than the table.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "a cell is kept when it is the same number")]
    pub fn changes(&self, from: &Row, to: &Row) -> Vec<Change> {
        let differs =
            |feature: &usize| self.columns(*feature).any(|column| from[column] != to[column]);
        let change = |index: usize| {
            let feature = &self.features[index];
            let column = self.columns(index).start;
            Change {
                feature: feature.name.clone(),
                from: self.describe(index, from),
                to: self.describe(index, to),
                by: (feature.kind == Kind::Numeric).then(|| to[column] - from[column]),
            }
        };
        (0..self.len()).filter(differs).map(change).collect()
    }
}
