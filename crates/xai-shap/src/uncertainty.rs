//! How far sampled values may be off: standard errors, simultaneous intervals, separated ranks.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use xai_core::serde_arrays;

use crate::params::KernelShapParams;

/// Simultaneous confidence intervals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Intervals {
    /// The probability that all the intervals of one output contain the exact values.
    pub confidence: f64,
    /// Lower ends, shape `(n_outputs, n_groups)`.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub lower: Array2<f64>,
    /// Upper ends, same shape.
    #[serde(with = "serde_arrays")]
    #[schemars(with = "Vec<Vec<f64>>")]
    pub upper: Array2<f64>,
}

/// The features of largest effect on one output, and how sure their order is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Ranking {
    /// The first ranks: indices of the features of largest magnitude, descending; ties in the order of the features.
    pub features: Vec<usize>,
    /// For each rank, whether the magnitude of its feature is certified to exceed that of every feature ranked lower. With
    /// the probability `confidence`, all certified ranks of an output hold for the exact values.
    pub separated: Vec<bool>,
}

/// What each draw adds to the error of the values of one game: the covariance of the values is
/// `rows^T rows`.
pub(crate) struct Influences {
    /// Shape `(n_draws, n_players)`.
    pub(crate) rows: Array2<f64>,
    /// Degrees of freedom of that covariance.
    pub(crate) freedom: f64,
}

impl Influences {
    /// Of values that hold to rounding.
    pub(crate) fn none(n_players: usize) -> Self {
        Influences { rows: Array2::zeros((0, n_players)), freedom: f64::INFINITY }
    }

    /// Standard errors of the values.
    pub(crate) fn standard_errors(&self) -> Array1<f64> {
        self.rows.map_axis(Axis(0), |column| column.dot(&column).sqrt())
    }

    /// Those of sums of players' values.
    pub(crate) fn of_sums(&self, sums: &[Vec<usize>]) -> Self {
        let mut rows = Array2::zeros((self.rows.nrows(), sums.len()));
        for (mut column, players) in rows.columns_mut().into_iter().zip(sums) {
            players.iter().for_each(|&player| column += &self.rows.column(player));
        }
        Influences { rows, freedom: self.freedom }
    }

    /// The half-width, in standard errors, of `n` intervals that hold all at once.
    ///
    /// # Source
    /// Šidák 1967, "Rectangular confidence regions": for normal errors of any correlation the probability that all
    /// hold is at least the product of theirs. Student's t for the estimated variance.
    fn half_width(&self, n: usize, confidence: f64) -> f64 {
        let outside = -(confidence.ln() / n.max(1) as f64).exp_m1();
        quantile(self.freedom, 0.5 * outside)
    }

    /// The first `k` ranks of the values by magnitude.
    ///
    /// Any two features `a`, `b` may be compared, by `|a| - b` and `|a| + b`: the level is shared among all
    /// `n (n - 1)` of these (Bonferroni), so that it holds whatever order the estimate has.
    fn ranking(&self, values: &Array1<f64>, k: usize, confidence: f64) -> Ranking {
        let n = values.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()).then(a.cmp(&b)));
        let comparisons = (n * n.saturating_sub(1)).max(1) as f64;
        let width = quantile(self.freedom, (1.0 - confidence) / comparisons);
        let k = k.min(n);
        let above = |a: usize, b: usize| {
            let sign = values[a].signum();
            [1.0, -1.0].into_iter().all(|other| {
                let gap = sign * values[a] - other * values[b];
                let error: f64 = self
                    .rows
                    .rows()
                    .into_iter()
                    .map(|row| sign * row[a] - other * row[b])
                    .map(|influence| influence * influence)
                    .sum();
                let rounding = ROUNDING * values[a].abs();
                rounding.max(width * error.sqrt()) < gap
            })
        };
        let separated = |rank: usize| (rank + 1..n).all(|lower| above(order[rank], order[lower]));
        Ranking { separated: (0..k).map(separated).collect(), features: order[..k].to_vec() }
    }
}

/// Values this close, relative to the larger one, may differ by rounding alone.
const ROUNDING: f64 = 1e-12;

/// The number of standard errors that a Student's t of so much freedom exceeds with this probability, below one half.
fn quantile(freedom: f64, tail: f64) -> f64 {
    if freedom.is_infinite() {
        return 0.0;
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| -t.inverse_cdf(tail))
}

/// How far the values of all outputs may be off: standard errors, shape `(n_outputs, n_groups)`, and what follows from them.
#[derive(Default)]
pub(crate) struct Uncertainty {
    pub(crate) standard_errors: Option<Array2<f64>>,
    pub(crate) intervals: Option<Intervals>,
    pub(crate) ranking: Option<Vec<Ranking>>,
}

impl Uncertainty {
    /// That of values, shape `(n_outputs, n_groups)`, with these influences, one for each output.
    pub(crate) fn new(
        values: &Array2<f64>,
        influences: &[Influences],
        params: &KernelShapParams,
    ) -> Self {
        let mut standard_errors = Array2::zeros(values.dim());
        for (mut row, influences) in standard_errors.rows_mut().into_iter().zip(influences) {
            row.assign(&influences.standard_errors());
        }
        let intervals = intervals(values, &standard_errors, influences, params.confidence);
        let rank = |(influences, values): (&Influences, ArrayView1<'_, f64>)| {
            influences.ranking(&values.to_owned(), params.top_k, params.confidence)
        };
        let ranking =
            (0 < params.top_k).then(|| influences.iter().zip(values.rows()).map(rank).collect());
        Uncertainty { standard_errors: Some(standard_errors), intervals: Some(intervals), ranking }
    }
}

/// Simultaneous intervals around the values of each output, shape `(n_outputs, n_groups)`.
fn intervals(
    values: &Array2<f64>,
    standard_errors: &Array2<f64>,
    influences: &[Influences],
    confidence: f64,
) -> Intervals {
    let mut reach = standard_errors.clone();
    for (mut row, influences) in reach.rows_mut().into_iter().zip(influences) {
        let uncertain = row.iter().filter(|&&error| 0.0 < error).count();
        row *= influences.half_width(uncertain, confidence);
    }
    Intervals { confidence, lower: values - &reach, upper: values + &reach }
}
