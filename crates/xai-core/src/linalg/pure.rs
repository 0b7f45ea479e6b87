//! The default: nalgebra.

use nalgebra::{Cholesky, DMatrix};
use ndarray::{Array1, Array2};

use super::LeastSquares;
use crate::model::Rows;

/// Enough sweeps for any matrix that converges at all.
const MAX_ITERATIONS: usize = 10_000;

pub(super) fn cholesky_solve(a: &Rows, b: &Rows) -> Option<(Array2<f64>, Array1<f64>)> {
    let factor = Cholesky::new(matrix(a))?;
    let pivots = factor.l_dirty().diagonal().iter().copied().collect();
    Some((array(&factor.solve(&matrix(b))), pivots))
}

pub(super) fn least_squares(a: &Rows, b: &Rows, tolerance: f64) -> Option<LeastSquares> {
    let svd = matrix(a).try_svd(true, true, f64::EPSILON, MAX_ITERATIONS)?;
    let cut = tolerance * svd.singular_values.max();
    let solution = svd.solve(&matrix(b), cut).ok()?;
    Some(LeastSquares { solution: array(&solution), rank: svd.rank(cut) })
}

pub(super) fn symmetric_eigen(a: &Rows) -> Option<(Array1<f64>, Array2<f64>)> {
    let eigen = matrix(a).try_symmetric_eigen(f64::EPSILON, MAX_ITERATIONS)?;
    Some((eigen.eigenvalues.iter().copied().collect(), array(&eigen.eigenvectors)))
}

fn matrix(a: &Rows) -> DMatrix<f64> {
    DMatrix::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}

fn array(m: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn(m.shape(), |(i, j)| m[(i, j)])
}
