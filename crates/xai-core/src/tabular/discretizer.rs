//! Bins of numeric features: the cuts, the bin of a value, and the words for a range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Row;
use crate::params::{ParamError, require};

/// The percentiles that cut a feature into four bins of about as many rows, the default of the methods that bin.
pub const QUARTILES: [f64; 3] = [25.0, 50.0, 75.0];

/// The percentiles that cut a feature into ten bins of about as many rows.
pub const DECILES: [f64; 9] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0];

/// The cuts of one numeric feature, in its own units: `k` edges make `k + 1` bins.
///
/// Bin 0 holds the values up to the first edge, bin `i` those above edge `i - 1` and up to edge `i`, the last bin those
/// above the last edge; an edge belongs to the bin below it.
/// Without edges there is one bin.
///
/// In JSON the edges are an array of numbers, which is refused on reading unless they are finite and ascend strictly.
///
/// # Example
///
/// ```
/// use ndarray::Array1;
/// use xai_core::tabular::discretizer::{Edges, QUARTILES};
///
/// let values: Array1<f64> = (0..100).map(f64::from).collect();
/// let edges = Edges::percentiles(&values, &QUARTILES)?;
/// assert_eq!(edges.as_slice(), [24.75, 49.5, 74.25]);
/// assert_eq!(edges.bin(49.5), 1);
/// assert_eq!(edges.describe_bin("age", 1), "24.75 < age <= 49.50");
/// # Ok::<(), xai_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Edges(Vec<f64>);

impl Edges {
    /// Edges in any order; equal ones count once.
    ///
    /// # Errors
    /// [`ParamError`] when an edge is not finite.
    pub fn new(mut edges: Vec<f64>) -> Result<Self, ParamError> {
        for edge in &mut edges {
            require(edge.is_finite(), "edges", "finite", *edge)?;
            // The two zeros are one cut, and it prints without a sign.
            *edge += 0.0;
        }
        edges.sort_unstable_by(f64::total_cmp);
        edges.dedup();
        Ok(Edges(edges))
    }

    /// Edges at percentiles of a column, `values` of shape `(n_rows,)`.
    ///
    /// `percentiles` is not empty, each in `[0, 100]`, in any order.
    /// Between two neighbouring values they are interpolated linearly, with the bits of `numpy.percentile`, the sign of
    /// zero excepted.
    /// NaN is a missing value and ignored; a column without any value has no edges.
    /// Percentiles that coincide give one edge, so that a constant column has one, with no value above it.
    ///
    /// # Errors
    /// [`Error::Param`] for percentiles out of range or none, [`Error::NotFinite`] for an infinite value.
    ///
    /// # Cost
    /// One sort of the column.
    ///
    /// # Source
    /// R. J. Hyndman, Y. Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996) 361-365,
    /// definition 7.
    pub fn percentiles(values: &Row, percentiles: &[f64]) -> Result<Self> {
        require(!percentiles.is_empty(), "percentiles", "at least one number", 0)?;
        for &percentile in percentiles {
            let is_in_range = (0.0..=100.0).contains(&percentile);
            require(is_in_range, "percentiles", "in [0, 100]", percentile)?;
        }
        if let Some(at) = values.iter().position(|value| value.is_infinite()) {
            let (what, value) = ("values", values[at]);
            return Err(Error::NotFinite { what, at: vec![at], value });
        }
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        if sorted.is_empty() {
            return Ok(Edges(Vec::new()));
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Ok(Edges::new(percentiles.iter().map(|&p| interpolate(&sorted, p)).collect())?)
    }

    /// The edges, strictly ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Number of edges, one less than the number of bins.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no edge, and so a single bin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bin of a value: the number of edges strictly less than it, `0..=len`.
    ///
    /// No edge is less than NaN, so that it falls in bin 0; a caller for whom it means a missing value looks first.
    ///
    /// # Cost
    /// A binary search.
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.0.partition_point(|&edge| edge < value)
    }

    /// A human-readable range, by the indices of its edges: `lo < name <= hi`, `name <= hi`, `name > lo`, or `any name`.
    ///
    /// All edges of a feature are written with as many decimals, two or as many more as keep them apart.
    /// Where sixteen do not, or an edge is 1e16 or more away from 0, they are written exactly, in powers of ten.
    /// A number near an edge may be on the other side of the edge as written;
    /// [`describe_beside`](Self::describe_beside) writes as many decimals as keep given numbers on their side.
    ///
    /// # Panics
    /// When there is no such edge.
    #[must_use]
    pub fn describe(&self, name: &str, lower: Option<usize>, upper: Option<usize>) -> String {
        let decimals = self.decimals();
        let written = |edge: usize| write(self.0[edge], decimals);
        range(name, lower.map(written), upper.map(written))
    }

    /// As [`describe`](Self::describe), with as few decimals for each edge, two at least, as keep it apart from the other
    /// edges, and numbers on the side of it on which they are: those of `neighbors`, and `value`.
    ///
    /// `neighbors` has an element for each edge ([`neighbors`](Self::neighbors)).
    /// Ranges of several values then differ only where a value is nearer to an edge than its neighbors.
    ///
    /// # Panics
    /// When there is no such edge.
    #[must_use]
    pub fn describe_beside(
        &self,
        name: &str,
        lower: Option<usize>,
        upper: Option<usize>,
        neighbors: &[Neighbors],
        value: f64,
    ) -> String {
        let written = |edge: usize| {
            let cut = self.0[edge];
            let beside = neighbors[edge].with(cut, value);
            let is_enough = |decimals: &usize| {
                let read = |edge: usize| read(self.0[edge], Some(*decimals));
                let is_above = edge.checked_sub(1).is_none_or(|below| read(below) < read(edge));
                let is_below = edge + 1 == self.len() || read(edge) < read(edge + 1);
                is_above && is_below && beside.are_kept(cut, Some(*decimals))
            };
            let is_short = cut.abs() < 1e16;
            write(cut, (2..=MOST_DECIMALS).filter(|_| is_short).find(is_enough))
        };
        range(name, lower.map(written), upper.map(written))
    }

    /// For each edge the nearest of some numbers on either side; NaN is ignored.
    ///
    /// # Cost
    /// A binary search for each number.
    #[must_use]
    pub fn neighbors(&self, numbers: impl IntoIterator<Item = f64>) -> Vec<Neighbors> {
        // The least and the largest number of each bin.
        let mut bins = vec![(f64::INFINITY, f64::NEG_INFINITY); self.len() + 1];
        for number in numbers.into_iter().filter(|number| !number.is_nan()) {
            let (least, most) = &mut bins[self.bin(number)];
            *least = least.min(number);
            *most = most.max(number);
        }
        let mut neighbors = vec![Neighbors::default(); self.len()];
        let mut below = f64::NEG_INFINITY;
        for (edge, (_, most)) in bins[..self.len()].iter().enumerate() {
            below = below.max(*most);
            neighbors[edge].at_most = below;
        }
        let mut above = f64::INFINITY;
        for edge in (0..self.len()).rev() {
            above = above.min(bins[edge + 1].0);
            neighbors[edge].above = above;
        }
        neighbors
    }

    /// The human-readable range of a bin, as [`describe`](Self::describe) writes it.
    ///
    /// # Panics
    /// When there is no such bin, `bin` above [`len`](Self::len).
    #[must_use]
    pub fn describe_bin(&self, name: &str, bin: usize) -> String {
        self.describe(name, bin.checked_sub(1), (bin != self.len()).then_some(bin))
    }

    /// The fewest decimals, at least two, that keep all edges apart; `None` where plain decimals are too long.
    fn decimals(&self) -> Option<usize> {
        let is_short = self.0.iter().all(|edge| edge.abs() < 1e16);
        (2..=MOST_DECIMALS).filter(|_| is_short).find(|&decimals| {
            let decimals = Some(decimals);
            // Compared as numbers, since `-0.00` and `0.00` are one; rounding keeps the order.
            self.0.windows(2).all(|pair| read(pair[0], decimals) < read(pair[1], decimals))
        })
    }
}

/// The most decimals that an edge is written with.
const MOST_DECIMALS: usize = 16;

/// The numbers nearest to an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbors {
    /// The largest number that is at most the edge; negative infinity where there is none.
    pub at_most: f64,
    /// The least number above the edge; infinity where there is none.
    pub above: f64,
}

impl Default for Neighbors {
    /// No number on either side.
    fn default() -> Self {
        Neighbors { at_most: f64::NEG_INFINITY, above: f64::INFINITY }
    }
}

impl Neighbors {
    /// The neighbors of `edge` with one more number, which is ignored if it is NaN.
    fn with(mut self, edge: f64, number: f64) -> Self {
        if number <= edge {
            self.at_most = self.at_most.max(number);
        } else if edge < number {
            self.above = self.above.min(number);
        }
        self
    }

    /// Whether they are on the same sides of the edge as written.
    fn are_kept(&self, edge: f64, decimals: Option<usize>) -> bool {
        let written = read(edge, decimals);
        self.at_most <= written && written < self.above
    }
}

/// The number that an edge as written is.
fn read(edge: f64, decimals: Option<usize>) -> f64 {
    write(edge, decimals).parse().expect("a number was written")
}

/// A range as text.
fn range(name: &str, lower: Option<String>, upper: Option<String>) -> String {
    match (lower, upper) {
        (Some(lower), Some(upper)) => format!("{lower} < {name} <= {upper}"),
        (None, Some(upper)) => format!("{name} <= {upper}"),
        (Some(lower), None) => format!("{name} > {lower}"),
        (None, None) => format!("any {name}"),
    }
}

impl TryFrom<Vec<f64>> for Edges {
    type Error = ParamError;

    /// The edges of a document, which are in order already.
    fn try_from(edges: Vec<f64>) -> Result<Self, ParamError> {
        let ascends = edges.windows(2).all(|pair| pair[0] < pair[1]);
        require(ascends, "edges", "strictly ascending", &edges)?;
        Edges::new(edges)
    }
}

impl From<Edges> for Vec<f64> {
    fn from(edges: Edges) -> Self {
        edges.0
    }
}

/// A percentile of sorted values, at least one of them.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rank lies between 0 and the last index"
)]
fn interpolate(sorted: &[f64], percentile: f64) -> f64 {
    let last = sorted.len() - 1;
    let rank = percentile / 100.0 * last as f64;
    let index = rank.floor() as usize;
    if index >= last {
        return sorted[last];
    }
    let (low, high, part) = (sorted[index], sorted[index + 1], rank - rank.floor());
    let step = high - low;
    if step.is_infinite() {
        return low * (1.0 - part) + high * part;
    }
    // From the nearer of the two, so that the result never leaves the interval.
    if part < 0.5 { low + part * step } else { high - step * (1.0 - part) }
}

fn write(edge: f64, decimals: Option<usize>) -> String {
    match decimals {
        Some(decimals) => format!("{edge:.decimals$}"),
        None => format!("{edge:e}"),
    }
}
