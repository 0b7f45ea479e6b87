//! The training rows, indexed by what predicates can say of them.

use ndarray::{Array2, Axis};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Features, Kind};
use xai_core::{Error, Result, Row, Rows, Seed, Semantics, require, same_shape};

use super::condition::Condition;
use super::params::{AnchorTabularParams, CoverageSet, Missing};
use crate::bits::Bits;

/// What follows from the training rows and the params; made anew when an explainer is loaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub columns: Vec<Column>,
    /// Training rows that make up the coverage set; `None` for all of them.
    pub coverage_rows: Option<Vec<usize>>,
    /// The weights of the training rows added up; `None` when all are equal.
    pub cumulative_weights: Option<Vec<f64>>,
    n_rows: usize,
}

/// One feature of the training rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    /// The rows of each category.
    Categorical { sets: Vec<Bits> },
    /// A quantity in bins.
    Numeric {
        /// The cuts between bins.
        edges: Edges,
        /// For each edge, the rows up to it.
        at_most: Vec<Bits>,
        /// The rows that hold a number.
        present: Bits,
        /// The smallest and largest number; none when all are missing.
        range: Option<(f64, f64)>,
    },
}

/// The label of the seed of a sampled coverage set.
const COVERAGE: u64 = 0x636f_7665_7261_6765;

/// The most training rows for which coverage is exact by default.
const EXACT: usize = 1_000_000;

impl Table {
    pub(crate) fn new(
        params: &AnchorTabularParams,
        features: &Features,
        rows: &Rows,
    ) -> Result<Self> {
        let n_rows = rows.nrows();
        same_shape("the training rows", &[n_rows, features.n_columns()], rows.shape())?;
        require(0 < n_rows, "training", "at least one row", n_rows)?;
        require(u32::try_from(n_rows).is_ok(), "training", "fewer than 2^32 rows", n_rows)?;
        features.check("the training rows", rows)?;
        let codes = features.encode(rows, Encoding::Ordinal)?;
        for name in params.edges.keys() {
            let named = features
                .iter()
                .any(|feature| feature.name == *name && matches!(feature.kind, Kind::Numeric));
            require(named, "edges", "of numeric features of the table", name)?;
        }
        let mut columns = Vec::with_capacity(features.len());
        for (index, feature) in features.iter().enumerate() {
            let values = codes.column(index);
            columns.push(match &feature.kind {
                Kind::Categorical { categories, .. } => categorical(&values, categories.len()),
                Kind::Numeric => {
                    let first = features.columns(index).start;
                    check_numbers(&values, first, params.missing)?;
                    let edges = match params.edges.get(&feature.name) {
                        Some(edges) => edges.clone(),
                        None => Edges::percentiles(&values, &params.disc_perc)?,
                    };
                    numeric(&values, edges, params.semantics)?
                }
            });
        }
        let cumulative_weights = match &params.row_weights {
            Some(weights) => {
                let rule = || format!("one for each of the {n_rows} training rows");
                require(weights.len() == n_rows, "row_weights", rule(), weights.len())?;
                let mut sum = 0.0;
                Some(
                    weights
                        .iter()
                        .map(|weight| {
                            sum += weight;
                            sum
                        })
                        .collect(),
                )
            }
            None => None,
        };
        let exact = match params.coverage {
            CoverageSet::Auto => n_rows <= EXACT && params.semantics == Semantics::Native,
            CoverageSet::Exact => true,
            CoverageSet::Sampled => false,
        };
        Ok(Table { columns, coverage_rows: None, cumulative_weights, n_rows }
            .with_coverage(exact, params.coverage_samples))
    }

    /// A sample of training rows as the coverage set: the same for every instance and every seed of a run, so that
    /// coverages compare.
    fn with_coverage(mut self, exact: bool, n_samples: usize) -> Self {
        if !exact {
            let mut stream = Seed::new(COVERAGE).stream();
            self.coverage_rows = Some((0..n_samples).map(|_| stream.index(self.n_rows)).collect());
        }
        self
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The training rows that a condition allows.
    pub(crate) fn allowed(&self, feature: usize, condition: Condition) -> Bits {
        match (&self.columns[feature], condition) {
            (Column::Categorical { sets }, Condition::Code(code)) => sets[code].clone(),
            (Column::Numeric { present, .. }, Condition::Missing) => present.not(),
            (Column::Numeric { at_most, present, .. }, Condition::Range { lower, upper }) => {
                let below = upper.map_or_else(|| present.clone(), |edge| at_most[edge].clone());
                match lower {
                    Some(edge) => below.and(&at_most[edge].not()),
                    None => below,
                }
            }
            _ => unreachable!("conditions are made for the kind of their feature"),
        }
    }

    /// The rows of the coverage set among some training rows.
    pub(crate) fn in_coverage_set(&self, rows: Bits) -> Bits {
        match &self.coverage_rows {
            None => rows,
            Some(chosen) => Bits::from_fn(chosen.len(), |place| rows.get(chosen[place])),
        }
    }

    pub(crate) fn n_coverage(&self) -> usize {
        self.coverage_rows.as_ref().map_or(self.n_rows, Vec::len)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes were checked to be whole numbers in range"
)]
fn categorical(values: &Row, n_categories: usize) -> Column {
    let mut sets = vec![Bits::none(values.len()); n_categories];
    for (row, &code) in values.iter().enumerate() {
        sets[code as usize].insert(row);
    }
    Column::Categorical { sets }
}

fn numeric(values: &Row, edges: Edges, semantics: Semantics) -> Result<Column> {
    let n = values.len();
    let present = Bits::from_fn(n, |row| !values[row].is_nan());
    let numbers = || values.iter().copied().filter(|value| !value.is_nan());
    let range = numbers().reduce(f64::min).zip(numbers().reduce(f64::max));
    let below = |edge: f64| Bits::from_fn(n, |row| values[row] <= edge);
    // An edge with all numbers on one side tells no training row from another.
    let tells = |&edge: &f64| range.is_some_and(|(least, most)| least <= edge && edge < most);
    let edges = match semantics {
        Semantics::Native => {
            Edges::new(edges.as_slice().iter().copied().filter(|edge| tells(edge)).collect())?
        }
        Semantics::Reference => edges,
    };
    let at_most = edges.as_slice().iter().map(|&edge| below(edge)).collect();
    Ok(Column::Numeric { edges, at_most, present, range })
}

/// Infinities are never allowed, NaN only where it stands for a missing value.
fn check_numbers(values: &Row, column: usize, missing: Missing) -> Result<()> {
    let bad = |value: f64| value.is_infinite() || (missing == Missing::Error && value.is_nan());
    match values.iter().position(|&value| bad(value)) {
        Some(row) => Err(Error::NotFinite {
            what: "the training rows",
            at: vec![row, column],
            value: values[row],
        }),
        None => Ok(()),
    }
}

/// One row in the order of features: codes of categories, and numbers.
pub(crate) fn coded(features: &Features, x: &Row) -> Result<Vec<f64>> {
    let row: Array2<f64> = x.to_owned().insert_axis(Axis(0));
    Ok(features.encode(&row, Encoding::Ordinal)?.into_raw_vec_and_offset().0)
}
