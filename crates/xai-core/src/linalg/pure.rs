//! The default: Cholesky factors in blocks, QR factors from nalgebra, singular values and eigenvalues by Jacobi rotations.
//!
//! The rotations are our own, since those of nalgebra 0.35 are not backward stable: one random matrix in a thousand
//! costs its singular value decomposition three to six digits, and graded matrices cost its eigenvalues as many.

use nalgebra::DMatrix;
use ndarray::{Array1, Array2};

use super::LeastSquares;
pub(super) use super::blocked::{cholesky, solve_lower, solve_transposed};
use crate::model::Rows;

/// Ten sweeps are usual.
const MAX_SWEEPS: usize = 60;

/// Through a QR factorisation and the singular values of the small factor.
pub(super) fn least_squares(a: &Rows, b: &Rows, tolerance: f64) -> Option<LeastSquares> {
    let scale = unit_of(a);
    let (a, mut b) = (matrix(a) / scale, matrix(b));
    let (solution, rank) = if a.ncols() <= a.nrows() {
        let factors = a.qr();
        factors.q_tr_mul(&mut b);
        let small = factors.r();
        pseudo_solve(small.clone(), &b.rows(0, small.nrows()).into_owned(), tolerance)?
    } else {
        // `a = r^T q^T`: the shortest solution lies in the columns of `q`.
        let factors = a.transpose().qr();
        let (small, rank) = pseudo_solve(factors.r().transpose(), &b, tolerance)?;
        (factors.q() * small, rank)
    };
    Some(LeastSquares { solution: array(&(solution / scale)), rank })
}

/// The shortest least-squares solution for a square matrix, and the matrix's rank.
fn pseudo_solve(
    a: DMatrix<f64>,
    b: &DMatrix<f64>,
    tolerance: f64,
) -> Option<(DMatrix<f64>, usize)> {
    let (w, v) = orthogonal_columns(a)?;
    let values: Vec<f64> = w.column_iter().map(|column| column.norm()).collect();
    let cut = tolerance * values.iter().fold(0.0_f64, |largest, &value| largest.max(value));
    let mut projected = w.tr_mul(b);
    for (mut row, &value) in projected.row_iter_mut().zip(&values) {
        row *= if cut < value { (value * value).recip() } else { 0.0 };
    }
    Some((v * projected, values.iter().filter(|&&value| cut < value).count()))
}

pub(super) fn symmetric_eigen(a: &Rows) -> Option<(Array1<f64>, Array2<f64>)> {
    let scale = unit_of(a);
    let a = matrix(a) / scale;
    // Shifted to be positive definite and well conditioned, a symmetric matrix has its eigenvectors for right
    // singular vectors, and no two of them share a value unless they do as eigenvectors.
    let shift = DMatrix::from_diagonal_element(a.nrows(), a.nrows(), 2.0 * a.norm());
    let (_, vectors) = orthogonal_columns(&a + shift)?;
    let images = &a * &vectors;
    let value = |k: usize| scale * vectors.column(k).dot(&images.column(k));
    Some(((0..a.nrows()).map(value).collect(), array(&vectors)))
}

/// `(w, v)` with `a v = w`, `v` orthogonal and the columns of `w` orthogonal, for a square `a`: the columns of `v` are
/// right singular vectors, the lengths of those of `w` the singular values.
///
/// # Source
/// One-sided Jacobi rotations: Hestenes 1958; Golub and Van Loan, "Matrix Computations", 4th edition, 8.6.3.
fn orthogonal_columns(a: DMatrix<f64>) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let (n, total) = (a.nrows(), a.norm_squared());
    let (mut w, mut v) = (a, DMatrix::identity(n, n));
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for (p, q) in (0..n).flat_map(|q| (0..q).map(move |p| (p, q))) {
            let (alpha, beta) = (w.column(p).norm_squared(), w.column(q).norm_squared());
            let gamma = w.column(p).dot(&w.column(q));
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
                let (head, tail) = columns.as_mut_slice().split_at_mut(q * n);
                for (x, y) in head[p * n..][..n].iter_mut().zip(&mut tail[..n]) {
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

/// A power of two near the largest entry: divided by it, no square overflows or is lost, and nothing is rounded.
fn unit_of(a: &Rows) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 { 1.0 } else { largest.log2().floor().exp2() }
}

fn matrix(a: &Rows) -> DMatrix<f64> {
    DMatrix::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}

fn array(m: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn(m.shape(), |(i, j)| m[(i, j)])
}
