//! The training rows, indexed by predicates.

use std::borrow::Cow;

use xai_core::tabular::discretizer::{Edges, Neighbors};
use xai_core::tabular::{Encoding, Features, Kind};
use xai_core::{Error, Result, Row, Rows, Seed, require, same_shape};

use super::condition::{Condition, Predicate, Test};
use super::params::{AnchorTabularParams, CoverageSet, Missing};
use crate::bits::Bits;

/// What follows from the training rows and the params; made anew when an explainer is loaded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub columns: Vec<Column>,
    /// Training rows that make up the coverage set; `None` for all of them.
    coverage_rows: Option<Vec<usize>>,
    /// The weights of the training rows added up; `None` when all are equal.
    pub cumulative_weights: Option<Vec<f64>>,
    n_rows: usize,
}

/// One feature of the training rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    /// The rows of each category.
    Categorical { sets: Vec<RowSet> },
    /// A quantity in bins.
    Numeric(Box<Numeric>),
}

/// A quantity in bins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numeric {
    /// The cuts between bins.
    pub edges: Edges,
    /// The training numbers beside each edge.
    pub neighbors: Vec<Neighbors>,
    /// For each edge, the rows up to it, and those above it.
    at_most: Vec<RowSet>,
    above: Vec<RowSet>,
    /// The rows with a number, and those without.
    pub present: RowSet,
    missing: RowSet,
    /// The rows with a number, by that number.
    sorted: Vec<u32>,
    /// The smallest and largest number; none when all are missing.
    range: Option<(f64, f64)>,
}

/// Training rows, and those of them in the coverage set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowSet {
    pub rows: Bits,
    pub count: usize,
    covered: Option<Bits>,
}

impl RowSet {
    fn new(rows: Bits, coverage_rows: Option<&[usize]>) -> Self {
        let count = rows.count();
        let covered = coverage_rows
            .map(|chosen| Bits::from_fn(chosen.len(), |place| rows.get(chosen[place])));
        RowSet { rows, count, covered }
    }

    /// The rows of the coverage set among them, by their places in it.
    pub(crate) fn covered(&self) -> &Bits {
        self.covered.as_ref().unwrap_or(&self.rows)
    }
}

/// The label of the seed of a sampled coverage set.
const COVERAGE: u64 = 0x636f_7665_7261_6765;

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
        let exact = match params.coverage {
            CoverageSet::Auto => params.conventions().is_exact_by_default(n_rows),
            CoverageSet::Exact => true,
            CoverageSet::Sampled => false,
        };
        let coverage_rows = (!exact).then(|| {
            // The same for every instance and every seed of a run, so that coverages compare.
            let mut stream = Seed::new(COVERAGE).stream();
            (0..params.search.coverage_samples).map(|_| stream.index(n_rows)).collect::<Vec<_>>()
        });
        let chosen = coverage_rows.as_deref();
        let mut columns = Vec::with_capacity(features.len());
        for (index, feature) in features.iter().enumerate() {
            let values = codes.column(index);
            columns.push(match &feature.kind {
                Kind::Categorical { categories, .. } => {
                    categorical(&values, categories.len(), chosen)
                }
                Kind::Numeric => {
                    let first = features.columns(index).start;
                    check_numbers(&values, first, params.missing)?;
                    let edges = match params.edges.get(&feature.name) {
                        Some(edges) => edges.clone(),
                        None => {
                            let edges = Edges::percentiles(&values, &params.disc_perc)?;
                            let neighbors = edges.neighbors(values.iter().copied());
                            params.conventions().percentile_edges(edges, &neighbors)?
                        }
                    };
                    Column::Numeric(Box::new(Numeric::new(&values, edges, chosen)))
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
        Ok(Table { columns, coverage_rows, cumulative_weights, n_rows })
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Whether coverage is counted on all training rows.
    pub(crate) fn is_exact(&self) -> bool {
        self.coverage_rows.is_none()
    }

    pub(crate) fn n_coverage(&self) -> usize {
        self.coverage_rows.as_ref().map_or(self.n_rows, Vec::len)
    }

    /// The training rows that satisfy a predicate.
    pub(crate) fn satisfying(&self, predicate: Predicate) -> &RowSet {
        match (&self.columns[predicate.feature], predicate.test) {
            (Column::Categorical { sets }, Test::Equal(code)) => &sets[code],
            (Column::Numeric(numeric), Test::AtMost(edge)) => &numeric.at_most[edge],
            (Column::Numeric(numeric), Test::Above(edge)) => &numeric.above[edge],
            (Column::Numeric(numeric), Test::Missing) => &numeric.missing,
            (Column::Numeric(numeric), Test::Present) => &numeric.present,
            _ => unreachable!("predicates are made for the kind of their feature"),
        }
    }

    /// Whether a number that is in no training row satisfies a predicate.
    pub(crate) fn satisfies(&self, predicate: Predicate, number: f64) -> bool {
        match (&self.columns[predicate.feature], predicate.test) {
            (Column::Numeric(numeric), Test::AtMost(edge)) => {
                number <= numeric.edges.as_slice()[edge]
            }
            (Column::Numeric(numeric), Test::Above(edge)) => {
                numeric.edges.as_slice()[edge] < number
            }
            (Column::Numeric(_), Test::Present) => true,
            _ => unreachable!("numbers are of numeric features and not missing"),
        }
    }

    /// The training rows that a condition allows.
    pub(crate) fn allowed(&self, feature: usize, condition: Condition) -> Cow<'_, Bits> {
        let one = |test: Test| &self.satisfying(Predicate { feature, test }).rows;
        Cow::Borrowed(match condition {
            Condition::Code(code) => one(Test::Equal(code)),
            Condition::Missing => one(Test::Missing),
            Condition::Range { lower: None, upper: None } => one(Test::Present),
            Condition::Range { lower: None, upper: Some(upper) } => one(Test::AtMost(upper)),
            Condition::Range { lower: Some(lower), upper: None } => one(Test::Above(lower)),
            Condition::Range { lower: Some(lower), upper: Some(upper) } => {
                return Cow::Owned(one(Test::Above(lower)).and(one(Test::AtMost(upper))));
            }
        })
    }

    /// How many training rows a condition allows.
    pub(crate) fn n_allowed(&self, feature: usize, condition: Condition) -> usize {
        match (&self.columns[feature], condition) {
            (Column::Categorical { sets }, Condition::Code(code)) => sets[code].count,
            (Column::Numeric(numeric), Condition::Missing) => numeric.missing.count,
            (Column::Numeric(numeric), Condition::Range { lower, upper }) => {
                numeric.in_range(lower, upper).len()
            }
            _ => unreachable!("conditions are made for the kind of their feature"),
        }
    }
}

impl Numeric {
    fn new(values: &Row, edges: Edges, chosen: Option<&[usize]>) -> Self {
        let n = values.len();
        let numbers = || values.iter().copied().filter(|value| !value.is_nan());
        let range = numbers().reduce(f64::min).zip(numbers().reduce(f64::max));
        let set = |holds: &dyn Fn(f64) -> bool| {
            RowSet::new(Bits::from_fn(n, |row| holds(values[row])), chosen)
        };
        let mut sorted: Vec<u32> =
            (0..).zip(values).filter(|(_, v)| !v.is_nan()).map(|(row, _)| row).collect();
        sorted.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        Numeric {
            at_most: edges.as_slice().iter().map(|&edge| set(&|value| value <= edge)).collect(),
            above: edges.as_slice().iter().map(|&edge| set(&|value| edge < value)).collect(),
            present: set(&|value| !value.is_nan()),
            missing: set(&f64::is_nan),
            neighbors: edges.neighbors(numbers()),
            edges,
            sorted,
            range,
        }
    }

    /// The rows whose number is in a range, by that number.
    pub(crate) fn in_range(&self, lower: Option<usize>, upper: Option<usize>) -> &[u32] {
        let first = lower.map_or(0, |edge| self.at_most[edge].count);
        let end = upper.map_or(self.sorted.len(), |edge| self.at_most[edge].count);
        // An instance is in its range, so that the edges of it are in order.
        &self.sorted[first..end]
    }

    /// The part of a range that lies within the training numbers: above the first bound, up to the second; `None` when
    /// there is no such part.
    pub(crate) fn unseen_range(
        &self,
        lower: Option<usize>,
        upper: Option<usize>,
    ) -> Option<(f64, f64)> {
        let (least, most) = self.range?;
        let above = lower.map_or(least, |edge| self.edges.as_slice()[edge].max(least));
        let up_to = upper.map_or(most, |edge| self.edges.as_slice()[edge].min(most));
        (above < up_to).then_some((above, up_to))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes were checked to be whole numbers in range"
)]
fn categorical(values: &Row, n_categories: usize, chosen: Option<&[usize]>) -> Column {
    let mut sets = vec![Bits::none(values.len()); n_categories];
    for (row, &code) in values.iter().enumerate() {
        sets[code as usize].insert(row);
    }
    Column::Categorical { sets: sets.into_iter().map(|rows| RowSet::new(rows, chosen)).collect() }
}

/// Infinities are never allowed, NaN only as a missing value.
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
