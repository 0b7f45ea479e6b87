//! LAPACK, through ndarray-linalg.

use ndarray::{Array1, Array2};
use ndarray_linalg::{Cholesky, Diag, Eigh, JobSvd, SVDDC, SolveTriangular, UPLO};

use super::LeastSquares;
use crate::model::Rows;

pub(super) fn cholesky(a: &Rows) -> Option<Array2<f64>> {
    let mut lower = a.to_owned().cholesky(UPLO::Lower).ok()?;
    lower.indexed_iter_mut().filter(|((i, j), _)| i < j).for_each(|(_, value)| *value = 0.0);
    Some(lower)
}

pub(super) fn solve_lower(lower: &Array2<f64>, b: &Rows) -> Option<Array2<f64>> {
    lower.solve_triangular(UPLO::Lower, Diag::NonUnit, &b.to_owned()).ok()
}

pub(super) fn solve_transposed(lower: &Array2<f64>, b: &Rows) -> Option<Array2<f64>> {
    let upper = lower.t().to_owned();
    upper.solve_triangular(UPLO::Upper, Diag::NonUnit, &b.to_owned()).ok()
}

pub(super) fn least_squares(a: &Rows, b: &Rows, tolerance: f64) -> Option<LeastSquares> {
    let (u, values, vt) = a.to_owned().svddc(JobSvd::Some).ok()?;
    let cut = tolerance * values.iter().fold(0.0_f64, |largest, &value| largest.max(value));
    let mut projected = u?.t().dot(&b.to_owned());
    for (mut row, &value) in projected.rows_mut().into_iter().zip(&values) {
        row *= if cut < value { value.recip() } else { 0.0 };
    }
    let rank = values.iter().filter(|&&value| cut < value).count();
    Some(LeastSquares { solution: vt?.t().dot(&projected), rank })
}

pub(super) fn symmetric_eigen(a: &Rows) -> Option<(Array1<f64>, Array2<f64>)> {
    a.to_owned().eigh(UPLO::Lower).ok()
}
