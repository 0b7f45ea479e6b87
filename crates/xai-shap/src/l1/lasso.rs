//! The lasso with a fixed penalty, on a Gram matrix.

use ndarray::{Array1, Axis};
use xai_core::{Error, Result, Rows, linalg};

/// Cyclic coordinate descent, until a sweep changes no coefficient by more than the tolerance times the largest one
/// and the duality gap is at most the tolerance times the square of the target.
///
/// # Source
/// Friedman, Hastie & Tibshirani 2010, "Regularization paths for generalized linear models via coordinate descent",
/// equation 5; the gap is Kim et al. 2007, "An interior-point method for large-scale l1-regularized least squares",
/// equation 10.
pub(crate) struct Descent {
    pub(crate) tolerance: f64,
    pub(crate) max_sweeps: usize,
}

impl Descent {
    /// Minimises half the squared residuals plus the penalty times the sum of magnitudes; `square` is the target's.
    pub(crate) fn solve(
        &self,
        gram: &Rows,
        correlations: &Array1<f64>,
        square: f64,
        penalty: f64,
    ) -> Array1<f64> {
        let mut coefficients = Array1::<f64>::zeros(gram.nrows());
        let mut residual_correlations = correlations.clone();
        for _ in 0..self.max_sweeps {
            let (mut largest, mut largest_change) = (0.0_f64, 0.0_f64);
            for column in 0..gram.nrows() {
                let curvature = gram[[column, column]];
                if curvature.is_nan() || curvature <= 0.0 {
                    continue;
                }
                let old = coefficients[column];
                let pull = residual_correlations[column] + curvature * old;
                let new = pull.signum() * (pull.abs() - penalty).max(0.0) / curvature;
                let change = new - old;
                if change != 0.0 {
                    coefficients[column] = new;
                    residual_correlations.scaled_add(-change, &gram.row(column));
                }
                largest = largest.max(new.abs());
                largest_change = largest_change.max(change.abs());
            }
            if largest_change <= self.tolerance * largest {
                let explained = coefficients.dot(correlations);
                let residual_square = square - explained - coefficients.dot(&residual_correlations);
                let steepest =
                    residual_correlations.fold(0.0_f64, |most, value| most.max(value.abs()));
                let feasible = if penalty < steepest { penalty / steepest } else { 1.0 };
                let magnitudes: f64 = coefficients.iter().map(|value| value.abs()).sum();
                let gap = 0.5 * residual_square * (1.0 + feasible * feasible)
                    + penalty * magnitudes
                    - feasible * (square - explained);
                if gap <= self.tolerance * square {
                    break;
                }
            }
        }
        coefficients
    }
}

/// The shortest solution without a penalty.
pub(crate) fn unpenalised(gram: &Rows, correlations: &Array1<f64>) -> Result<Array1<f64>> {
    let targets = correlations.view().insert_axis(Axis(1));
    let solution = match linalg::cholesky_solve(gram, &targets) {
        Err(Error::Singular { .. }) => linalg::least_squares(gram, &targets)?.solution,
        solution => solution?,
    };
    Ok(solution.column(0).to_owned())
}
