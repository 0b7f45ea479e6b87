//! The rows of a background, dense or sparse.

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::tabular::{Features, Kind};
use xai_core::{Error, ParamError, Result, Row, require, same_shape, serde_arrays};

use crate::rows::{canonical_bits, check_rows};

/// Background rows in the form in which they were given, in memory as in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a background is a list of rows or a table of sparse rows")]
pub(crate) enum BackgroundRows {
    Dense(#[serde(with = "serde_arrays")] Array2<f64>),
    Sparse(SparseRows),
}

/// Compressed rows: a cell that is not stored is 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SavedSparseRows")]
pub(crate) struct SparseRows {
    n_columns: usize,
    /// Row `i` stores the places `starts[i]..starts[i + 1]` of `columns` and `values`.
    starts: Vec<usize>,
    /// Ascending within each row.
    columns: Vec<usize>,
    #[serde(with = "serde_arrays")]
    values: Array1<f64>,
}

/// Sparse rows as they are read, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSparseRows {
    n_columns: usize,
    starts: Vec<usize>,
    columns: Vec<usize>,
    #[serde(with = "serde_arrays")]
    values: Array1<f64>,
}

impl TryFrom<SavedSparseRows> for SparseRows {
    type Error = ParamError;

    fn try_from(saved: SavedSparseRows) -> Result<Self, ParamError> {
        let SavedSparseRows { n_columns, starts, columns, values } = saved;
        let n_stored = columns.len();
        let in_order = starts.first() == Some(&0)
            && starts.last() == Some(&n_stored)
            && starts.is_sorted()
            && values.len() == n_stored;
        require(in_order, "background", "sparse rows that share out their values", &starts)?;
        let mut rows = SparseRows::new(n_columns);
        for row in starts.windows(2) {
            let cells = row[0]..row[1];
            rows.push(cells.map(|place| (columns[place], values[place])))?;
        }
        Ok(rows)
    }
}

impl SparseRows {
    /// No rows yet.
    pub(crate) fn new(n_columns: usize) -> Self {
        SparseRows { n_columns, starts: vec![0], columns: Vec::new(), values: Array1::zeros(0) }
    }

    /// Appends a row, given by its stored cells.
    ///
    /// # Errors
    /// [`ParamError`] when the columns are not ascending or reach beyond the table.
    pub(crate) fn push(
        &mut self,
        cells: impl IntoIterator<Item = (usize, f64)>,
    ) -> Result<(), ParamError> {
        let mut values = std::mem::take(&mut self.values).into_raw_vec_and_offset().0;
        let mut least = 0;
        for (column, value) in cells {
            let rule = format_args!("rows with ascending columns below {}", self.n_columns);
            require(least <= column && column < self.n_columns, "background", rule, column)?;
            least = column + 1;
            // A stored 0 says no more than none; a stored -0 does, to a model that divides by it.
            if value.to_bits() != 0 {
                self.columns.push(column);
                values.push(value);
            }
        }
        self.values = values.into();
        self.starts.push(self.columns.len());
        Ok(())
    }

    /// The stored cells of a row: their columns and values.
    fn row(&self, row: usize) -> (&[usize], &[f64]) {
        let cells = self.starts[row]..self.starts[row + 1];
        let values = self.values.as_slice().expect("one run of numbers");
        (&self.columns[cells.clone()], &values[cells])
    }

    /// The cells of a row that are not 0, in the columns that are asked for.
    fn key(&self, row: usize, asked_for: impl Fn(usize) -> bool) -> Vec<u64> {
        let (columns, values) = self.row(row);
        let cells = columns.iter().zip(values);
        let cells = cells.filter(|&(&column, &value)| value != 0.0 && asked_for(column));
        cells.flat_map(|(&column, &value)| [column as u64, canonical_bits(value)]).collect()
    }

    fn n_rows(&self) -> usize {
        self.starts.len() - 1
    }
}

impl BackgroundRows {
    pub(crate) fn n_rows(&self) -> usize {
        match self {
            BackgroundRows::Dense(rows) => rows.nrows(),
            BackgroundRows::Sparse(rows) => rows.n_rows(),
        }
    }

    pub(crate) fn n_columns(&self) -> usize {
        match self {
            BackgroundRows::Dense(rows) => rows.ncols(),
            BackgroundRows::Sparse(rows) => rows.n_columns,
        }
    }

    /// Writes a row into a buffer of `n_columns` numbers.
    pub(crate) fn copy_row_into(&self, row: usize, buffer: &mut [f64]) {
        match self {
            BackgroundRows::Dense(rows) => {
                let rows = rows.as_slice().expect("the background is contiguous");
                buffer.copy_from_slice(&rows[row * buffer.len()..][..buffer.len()]);
            }
            BackgroundRows::Sparse(rows) => {
                buffer.fill(0.0);
                let (columns, values) = rows.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    buffer[column] = value;
                }
            }
        }
    }

    /// The columns in which a row differs from `x`, ascending.
    pub(crate) fn differing_columns(&self, row: usize, x: &Row) -> Vec<usize> {
        let differ = |a: f64, b: f64| canonical_bits(a) != canonical_bits(b);
        match self {
            BackgroundRows::Dense(rows) => {
                let cells = rows.row(row).into_iter().zip(x).enumerate();
                cells.filter(|&(_, (&a, &b))| differ(a, b)).map(|(column, _)| column).collect()
            }
            BackgroundRows::Sparse(rows) => {
                let (columns, values) = rows.row(row);
                let mut stored = columns.iter().zip(values).peekable();
                let mut value = |column: usize| {
                    stored
                        .next_if(|&(&stored, _)| stored == column)
                        .map_or(0.0, |(_, &value)| value)
                };
                let cells = x.iter().enumerate();
                cells.filter(|&(column, &b)| differ(value(column), b)).map(|(c, _)| c).collect()
            }
        }
    }

    /// Numbers that are the same for two rows when all their cells are.
    pub(crate) fn key(&self, row: usize) -> Vec<u64> {
        match self {
            BackgroundRows::Dense(rows) => {
                rows.row(row).iter().map(|&value| canonical_bits(value)).collect()
            }
            BackgroundRows::Sparse(rows) => rows.key(row, |_| true),
        }
    }

    /// Numbers that are the same for two rows when their cells in these columns are; `columns` ascend.
    pub(crate) fn key_of_columns(&self, row: usize, columns: &[usize]) -> Vec<u64> {
        match self {
            BackgroundRows::Dense(rows) => {
                columns.iter().map(|&column| canonical_bits(rows[[row, column]])).collect()
            }
            BackgroundRows::Sparse(rows) => {
                rows.key(row, |column| columns.binary_search(&column).is_ok())
            }
        }
    }

    /// For each column, whether its cells may differ from each other.
    pub(crate) fn may_vary(&self) -> Vec<bool> {
        match self {
            BackgroundRows::Dense(rows) => {
                let varies = |column: ndarray::ArrayView1<'_, f64>| {
                    let mut bits = column.iter().map(|&value| canonical_bits(value));
                    let first = bits.next();
                    bits.any(|bits| Some(bits) != first)
                };
                rows.columns().into_iter().map(varies).collect()
            }
            BackgroundRows::Sparse(rows) => {
                let mut stored = vec![false; rows.n_columns];
                rows.columns.iter().for_each(|&column| stored[column] = true);
                stored
            }
        }
    }

    /// These rows, in this order.
    pub(crate) fn select(&self, indices: &[usize]) -> Self {
        match self {
            BackgroundRows::Dense(rows) => BackgroundRows::Dense(rows.select(Axis(0), indices)),
            BackgroundRows::Sparse(rows) => {
                let mut selected = SparseRows::new(rows.n_columns);
                for &index in indices {
                    let (columns, values) = rows.row(index);
                    let cells = columns.iter().copied().zip(values.iter().copied());
                    selected.push(cells).expect("rows of the same table");
                }
                BackgroundRows::Sparse(selected)
            }
        }
    }

    /// Requires that the rows fit the table, with NaN only where missing values are allowed.
    pub(crate) fn check(&self, allow_missing: bool, features: &Features) -> Result<()> {
        let what = "the background";
        let rows = match self {
            BackgroundRows::Dense(rows) => return check_rows(what, allow_missing, features, rows),
            BackgroundRows::Sparse(rows) => rows,
        };
        let width = features.n_columns();
        same_shape(what, &[rows.n_rows(), width], &[rows.n_rows(), rows.n_columns])?;
        let categorical = features.iter().any(|feature| feature.kind != Kind::Numeric);
        let mut buffer = Array2::zeros((usize::from(categorical), width));
        for row in 0..rows.n_rows() {
            let (columns, values) = rows.row(row);
            let allowed = |value: f64| value.is_finite() || (allow_missing && value.is_nan());
            if let Some(place) = values.iter().position(|&value| !allowed(value)) {
                let at = vec![row, columns[place]];
                return Err(Error::NotFinite { what, at, value: values[place] });
            }
            // The cells of a category have a meaning together, also where they are 0.
            if categorical {
                self.copy_row_into(row, buffer.as_slice_mut().expect("standard layout"));
                check_rows(what, allow_missing, features, &buffer).map_err(
                    |error| match error {
                        Error::Category { feature, got, rule, .. } => {
                            Error::Category { feature, row, got, rule }
                        }
                        other => other,
                    },
                )?;
            }
        }
        Ok(())
    }
}
