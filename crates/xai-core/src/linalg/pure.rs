//! The default: Cholesky factors in blocks, QR factors by reflections, singular values and eigenvalues by Jacobi rotations.
//!
//! None of it comes from another crate. The decompositions of nalgebra 0.35 are not backward stable: one random matrix in
//! a thousand costs its singular value decomposition three to six digits, and graded matrices cost its eigenvalues as
//! many.

use ndarray::{Array1, Array2, Axis};

use super::LeastSquares;
pub(super) use super::blocked::{cholesky, solve_lower, solve_transposed};
use super::qr::Qr;
use crate::model::Rows;

/// Ten sweeps are usual.
const MAX_SWEEPS: usize = 60;

/// Through a QR factorisation and the singular values of the small factor.
pub(super) fn least_squares(a: &Rows, b: &Rows, tolerance: f64) -> Option<LeastSquares> {
    let scale = unit_of(a);
    let scaled = a.mapv(|value| value / scale);
    let (solution, rank) = if a.ncols() <= a.nrows() {
        let factors = Qr::new(&scaled);
        pseudo_solve(&factors.r, &factors.q_transposed_times(b), tolerance)?
    } else {
        // `a = r^T q^T`: the shortest solution lies in the columns of `q`.
        let factors = Qr::new(&scaled.t());
        let (small, rank) = pseudo_solve(&factors.r.t(), b, tolerance)?;
        (factors.q_times(&small), rank)
    };
    Some(LeastSquares { solution: solution / scale, rank })
}

/// The shortest least-squares solution for a square matrix, and the matrix's rank.
fn pseudo_solve(a: &Rows, b: &Rows, tolerance: f64) -> Option<(Array2<f64>, usize)> {
    let (w, v) = orthogonal_columns(a)?;
    let values: Vec<f64> = w.rows().into_iter().map(|column| column.dot(&column).sqrt()).collect();
    let cut = tolerance * values.iter().fold(0.0_f64, |largest, &value| largest.max(value));
    let mut projected = w.dot(b);
    for (mut row, &value) in projected.rows_mut().into_iter().zip(&values) {
        row *= if cut < value { (value * value).recip() } else { 0.0 };
    }
    Some((v.t().dot(&projected), values.iter().filter(|&&value| cut < value).count()))
}

pub(super) fn symmetric_eigen(a: &Rows) -> Option<(Array1<f64>, Array2<f64>)> {
    let scale = unit_of(a);
    let a = a.mapv(|value| value / scale);
    // Shifted to be positive definite and well conditioned, a symmetric matrix has its eigenvectors for right
    // singular vectors, and no two of them share a value unless they do as eigenvectors.
    let shift = 2.0 * squared_norm(&a).sqrt();
    let mut shifted = a.clone();
    shifted.diag_mut().mapv_inplace(|value| value + shift);
    let (_, vectors) = orthogonal_columns(&shifted)?;
    let images = vectors.dot(&a);
    let values = vectors.rows().into_iter().zip(images.rows());
    let values = values.map(|(vector, image)| scale * vector.dot(&image)).collect();
    Some((values, vectors.reversed_axes()))
}

/// `(w^T, v^T)` with `a v = w`, `v` orthogonal and the columns of `w` orthogonal, for a square `a`: the columns of `v` are
/// right singular vectors, the lengths of those of `w` the singular values. Both are given with columns as rows, which
/// lie together in memory.
///
/// # Source
/// One-sided Jacobi rotations: Hestenes 1958; Golub and Van Loan, "Matrix Computations", 4th edition, 8.6.3.
fn orthogonal_columns(a: &Rows) -> Option<(Array2<f64>, Array2<f64>)> {
    let (n, total) = (a.nrows(), squared_norm(a));
    let (mut w, mut v) = (a.t().as_standard_layout().into_owned(), Array2::eye(n));
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for (p, q) in (0..n).flat_map(|q| (0..q).map(move |p| (p, q))) {
            let (x, y) = (w.row(p), w.row(q));
            let (alpha, beta, gamma) = (x.dot(&x), y.dot(&y), x.dot(&y));
            // Orthogonal up to the rounding of their product, or too short to be told from zero.
            let size = (n as f64 * alpha * beta).sqrt().max(f64::EPSILON * total);
            if gamma.abs() <= f64::EPSILON * size {
                continue;
            }
            rotated = true;
            let zeta = (beta - alpha) / (2.0 * gamma);
            let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
            let cosine = tangent.hypot(1.0).recip();
            for columns in [&mut w, &mut v] {
                let (mut head, mut tail) = columns.view_mut().split_at(Axis(0), q);
                for (x, y) in head.row_mut(p).iter_mut().zip(tail.row_mut(0)) {
                    (*x, *y) = (cosine * (*x - tangent * *y), cosine * (tangent * *x + *y));
                }
            }
        }
        if !rotated {
            return Some((w, v));
        }
    }
    None
}

/// The sum of the squares of all entries.
fn squared_norm(a: &Rows) -> f64 {
    a.iter().map(|value| value * value).sum()
}

/// A power of two near the largest entry: divided by it, no square overflows or is lost, and nothing is rounded.
fn unit_of(a: &Rows) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 { 1.0 } else { largest.log2().floor().exp2() }
}
