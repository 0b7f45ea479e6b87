//! What the pairs say about a covariance: its likelihood, the values it leads to, and how well it predicts.

use ndarray::{Array1, Array2, Axis};
use xai_core::linalg::Cholesky;
use xai_core::{Result, Rows};

use crate::paired::Regression;

/// Differences with a linear part that nothing is known about.
pub(super) struct Problem {
    /// An orthonormal basis of what lies across the ones, shape `(n_players, n_players - 1)`.
    across: Array2<f64>,
    /// The players in that basis, shape `(n_pairs, n_players - 1)`.
    linear: Array2<f64>,
    /// Shape `(n_pairs, n_outputs)`.
    targets: Array2<f64>,
    /// The variance of the noise at each pair, of mean 1.
    noise: Array1<f64>,
}

/// A covariance `V` of the differences of one output, factorised.
pub(super) struct Factor {
    /// That of `V`.
    whole: Cholesky,
    /// That of `X^T V^-1 X` for the linear part `X`.
    linear: Cholesky,
    /// An orthonormal basis of the linear part after whitening, shape `(n_pairs, n_players - 1)`.
    basis: Array2<f64>,
    /// The negative logarithm of the restricted likelihood at its best amplitude, up to a constant, summed over the
    /// outputs.
    pub(super) surprise: f64,
}

/// The model given the differences.
pub(super) struct Posterior {
    factor: Factor,
    /// `R t` of each output's targets `t`, shape `(n_pairs, n_outputs)`, where
    /// `R = V^-1 - V^-1 X (X^T V^-1 X)^-1 X^T V^-1`.
    pub(super) dual: Array2<f64>,
    /// The slopes of the linear part, shape `(n_players - 1, n_outputs)`.
    slopes: Array2<f64>,
    /// The amplitude of the covariance for each output.
    pub(super) amplitudes: Array1<f64>,
}

impl Problem {
    pub(super) fn new(regression: &Regression, targets: Array2<f64>) -> Self {
        let across = helmert(regression.centred.ncols());
        let inverse = regression.strata.weights().mapv(f64::recip);
        Problem {
            linear: regression.centred.dot(&across),
            noise: &inverse / inverse.mean().expect("not without pairs"),
            across,
            targets,
        }
    }

    /// The problem of some of the pairs.
    pub(super) fn select(&self, pairs: &[usize]) -> Self {
        Problem {
            across: self.across.clone(),
            linear: self.linear.select(Axis(0), pairs),
            targets: self.targets.select(Axis(0), pairs),
            noise: self.noise.select(Axis(0), pairs),
        }
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.targets.ncols()
    }

    /// How many numbers the linear part leaves of those of the pairs.
    fn freedom(&self) -> f64 {
        (self.linear.nrows() - self.linear.ncols()) as f64
    }

    /// Factorises `covariance` with `noise` added.
    pub(super) fn factor(&self, mut covariance: Array2<f64>, noise: f64) -> Result<Factor> {
        covariance.diag_mut().scaled_add(noise, &self.noise);
        let whole = Cholesky::new(&covariance)?;
        let whitened = whole.solve_lower(&self.linear)?;
        let linear = Cholesky::new(&whitened.t().dot(&whitened))?;
        let basis = linear.solve_lower(&whitened.t())?.t().as_standard_layout().into_owned();
        let rest = without(&basis, whole.solve_lower(&self.targets)?);
        let squares = rest.map_axis(Axis(0), |column| column.dot(&column));
        let volume = whole.log_determinant() + linear.log_determinant();
        let amplitudes: f64 = squares.iter().map(|square| self.freedom() * square.ln()).sum();
        let surprise = 0.5 * (amplitudes + self.n_outputs() as f64 * volume);
        Ok(Factor { whole, linear, basis, surprise })
    }

    /// The model with this covariance of the interactions.
    pub(super) fn posterior(&self, covariance: &Array2<f64>, noise: f64) -> Result<Posterior> {
        let factor = self.factor(covariance.clone(), noise)?;
        let whitened = factor.whole.solve_lower(&self.targets)?;
        let slopes = factor.linear.solve_transposed(&factor.basis.t().dot(&whitened))?;
        let dual = factor.whole.solve_transposed(&without(&factor.basis, whitened))?;
        let amplitudes = (&self.targets * &dual).sum_axis(Axis(0)) / self.freedom();
        Ok(Posterior { factor, dual, slopes, amplitudes })
    }
}

impl Posterior {
    /// The weight of each pair's difference in each player's value, shape `(n_pairs, n_players)`, where `shapley` is
    /// the covariance `P` of the differences with the Shapley values.
    ///
    /// `phi = change / M + Q beta + P^T R t` with `beta` the slopes for the players in a basis `Q` of what lies across
    /// the ones (Rasmussen & Williams 2.41).
    pub(super) fn weights(&self, problem: &Problem, shapley: &Rows) -> Result<Array2<f64>> {
        let Factor { whole, linear, basis, .. } = &self.factor;
        let of_slopes = basis.dot(&linear.solve_lower(&problem.across.t())?);
        let of_interactions = without(basis, whole.solve_lower(shapley)?);
        whole.solve_transposed(&(of_slopes + of_interactions))
    }

    /// How far other pairs' targets are from their predictions; `covariance` is that of their differences with those
    /// that are known.
    pub(super) fn errors(&self, others: &Problem, covariance: &Rows) -> Array2<f64> {
        &others.targets - others.linear.dot(&self.slopes) - covariance.dot(&self.dual)
    }

    /// The negative logarithm of the likelihood, see [`Factor`].
    pub(super) fn surprise(&self) -> f64 {
        self.factor.surprise
    }

    /// How many numbers' worth of the differences the interactions explain: the trace of `R K`.
    pub(super) fn explained(&self, problem: &Problem, noise: f64) -> Result<f64> {
        let inverse = self.factor.whole.solve_lower(&Array2::eye(problem.noise.len()))?;
        let squares = |rows: &Array2<f64>| rows.map_axis(Axis(0), |column| column.dot(&column));
        let diagonal = squares(&inverse) - squares(&self.factor.basis.t().dot(&inverse));
        Ok(problem.freedom() - noise * problem.noise.dot(&diagonal))
    }
}

/// What is left of the columns outside the span of an orthonormal basis.
fn without(basis: &Array2<f64>, columns: Array2<f64>) -> Array2<f64> {
    let along = basis.t().dot(&columns);
    columns - basis.dot(&along)
}

/// Helmert's basis of what lies across the ones: each column compares one entry with those before it.
fn helmert(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n - 1), |(row, column)| {
        let before = column as f64 + 1.0;
        let length = (before * (before + 1.0)).sqrt();
        if row <= column {
            1.0 / length
        } else if row == column + 1 {
            -before / length
        } else {
            0.0
        }
    })
}
