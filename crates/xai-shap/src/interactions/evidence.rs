//! What the pairs say about a kernel: its likelihood, the values it leads to, and how well it predicts.

use ndarray::{Array1, Array2, Axis};
use xai_core::linalg::Cholesky;
use xai_core::{Result, Rows};

use super::kernel::Kernel;
use crate::paired::{LEAST_REST, Regression};

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

/// The players' values given the differences.
pub(super) struct Posterior {
    factor: Factor,
    /// The weight of each pair's difference in each player's value, shape `(n_pairs, n_players)`.
    pub(super) weights: Array2<f64>,
    /// `R t` of each output's targets `t`, shape `(n_pairs, n_outputs)`, where
    /// `R = V^-1 - V^-1 X (X^T V^-1 X)^-1 X^T V^-1`.
    pub(super) dual: Array2<f64>,
    /// The amplitude of the covariance for each output.
    pub(super) amplitudes: Array1<f64>,
    /// The diagonal of `R`.
    diagonal: Array1<f64>,
    /// The variance of the noise, in units of the interactions'.
    pub(super) noise: f64,
    /// The same at each pair.
    noises: Array1<f64>,
    pub(super) surprise: f64,
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

    /// The values under this kernel.
    ///
    /// `phi = change / M + Q beta + P^T R t` with `beta` the generalised least-squares solution for the players across
    /// the ones and `P` the covariance of the differences with the Shapley values (Rasmussen & Williams 2.41).
    pub(super) fn posterior(&self, kernel: &Kernel, noise: f64) -> Result<Posterior> {
        let factor = self.factor(kernel.pairs.clone(), noise)?;
        let of_players = factor.linear.solve_lower(&self.across.t())?;
        let shapley = without(&factor.basis, factor.whole.solve_lower(&kernel.shapley)?);
        let weights = factor.whole.solve_transposed(&(factor.basis.dot(&of_players) + shapley))?;
        let dual = factor.dual(&self.targets)?;
        let inverse = factor.whole.solve_lower(&Array2::eye(self.linear.nrows()))?;
        let total = inverse.map_axis(Axis(0), |column| column.dot(&column));
        let explained =
            factor.basis.t().dot(&inverse).map_axis(Axis(0), |column| column.dot(&column));
        let mut diagonal = &total - &explained;
        diagonal.zip_mut_with(&total, |rest, &total| *rest = rest.max(LEAST_REST * total));
        let amplitudes = (&self.targets * &dual).sum_axis(Axis(0)) / self.freedom();
        Ok(Posterior {
            surprise: factor.surprise,
            noises: &self.noise * noise,
            factor,
            weights,
            dual,
            amplitudes,
            diagonal,
            noise,
        })
    }
}

impl Factor {
    /// `R` times each column.
    fn dual(&self, columns: &Rows) -> Result<Array2<f64>> {
        self.whole.solve_transposed(&without(&self.basis, self.whole.solve_lower(columns)?))
    }
}

impl Posterior {
    /// How far the targets, shape `(n_pairs, n_outputs)`, are from their predictions by the other pairs (Rasmussen &
    /// Williams 5.12).
    pub(super) fn left_out(&self, targets: &Rows) -> Result<Array2<f64>> {
        Ok(self.factor.dual(targets)? / &self.diagonal.view().insert_axis(Axis(1)))
    }

    /// How many numbers' worth of the differences the interactions explain.
    pub(super) fn explained(&self) -> f64 {
        let (n_pairs, n_linear) = self.factor.basis.dim();
        (n_pairs - n_linear) as f64 - self.noises.dot(&self.diagonal)
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
