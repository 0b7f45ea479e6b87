//! Rows of a table: when two numbers are the same, and whether rows fit the table.

use xai_core::input::all_finite;
use xai_core::tabular::Features;
use xai_core::{Error, Result, Rows, same_shape};

/// One pattern for each number: 0.0 and -0.0 agree, and so do all NaN.
pub(crate) fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// Requires that rows fit the table, with NaN only where missing values are allowed.
pub(crate) fn check_rows(
    what: &'static str,
    allow_missing: bool,
    features: &Features,
    rows: &Rows,
) -> Result<()> {
    same_shape(what, &[rows.nrows(), features.n_columns()], rows.shape())?;
    if !allow_missing {
        all_finite(what, rows)?;
        return features.check(what, rows);
    }
    if let Some(((row, column), &value)) =
        rows.indexed_iter().find(|(_, value)| value.is_infinite())
    {
        return Err(Error::NotFinite { what, at: vec![row, column], value });
    }
    // A missing code is any code as far as the table's rules go.
    features.check(what, &rows.mapv(|value| if value.is_nan() { 0.0 } else { value }))
}
