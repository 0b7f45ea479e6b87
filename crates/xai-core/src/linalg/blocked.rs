//! Cholesky factors and triangular systems in blocks: all but a sliver of the work is in products of matrices, which
//! makes large ones several times faster than column by column.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Axis, s};

use crate::model::Rows;

/// Rows and columns of a block: three blocks fit into the fastest cache.
const BLOCK: usize = 48;

/// The factor `l` of `a = l l^T`; `None` when a pivot is not positive.
///
/// # Source
/// Golub and Van Loan, "Matrix Computations", 4th edition, 4.2.6, looking to the left.
pub(super) fn cholesky(a: &Rows) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut lower = Array2::from_shape_fn((n, n), |(i, j)| if j <= i { a[[i, j]] } else { 0.0 });
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let (done, mut panel) = lower.slice_mut(s![start.., ..end]).split_at(Axis(1), start);
        general_mat_mul(-1.0, &done, &done.slice(s![..end - start, ..]).t(), 1.0, &mut panel);
        for i in 0..n - start {
            for j in 0..(i + 1).min(end - start) {
                let known = panel.slice(s![i, ..j]).dot(&panel.slice(s![j, ..j]));
                let rest = panel[[i, j]] - known;
                if i == j && !(0.0 < rest && rest < f64::INFINITY) {
                    return None;
                }
                panel[[i, j]] = if i == j { rest.sqrt() } else { rest / panel[[j, j]] };
            }
            // The product has also filled what lies above the diagonal.
            panel.slice_mut(s![i, (i + 1).min(end - start)..]).fill(0.0);
        }
    }
    Some(lower)
}

/// The solution of `lower x = b`.
pub(super) fn solve_lower(lower: &Array2<f64>, b: &Rows) -> Option<Array2<f64>> {
    let n = lower.nrows();
    let mut x = b.as_standard_layout().into_owned();
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let (known, mut open) = x.slice_mut(s![..end, ..]).split_at(Axis(0), start);
        general_mat_mul(-1.0, &lower.slice(s![start..end, ..start]), &known, 1.0, &mut open);
        for i in start..end {
            let (above, mut rest) = open.view_mut().split_at(Axis(0), i - start);
            let mut row = rest.row_mut(0);
            for (j, solved) in above.rows().into_iter().enumerate() {
                row.scaled_add(-lower[[i, start + j]], &solved);
            }
            row /= lower[[i, i]];
        }
    }
    Some(x)
}

/// The solution of `lower^T x = b`.
pub(super) fn solve_transposed(lower: &Array2<f64>, b: &Rows) -> Option<Array2<f64>> {
    let n = lower.nrows();
    let mut x = b.as_standard_layout().into_owned();
    for start in (0..n).step_by(BLOCK).rev() {
        let end = n.min(start + BLOCK);
        let (mut open, known) = x.slice_mut(s![start.., ..]).split_at(Axis(0), end - start);
        general_mat_mul(-1.0, &lower.slice(s![end.., start..end]).t(), &known, 1.0, &mut open);
        for i in (start..end).rev() {
            let (mut rest, below) = open.view_mut().split_at(Axis(0), i - start + 1);
            let mut row = rest.row_mut(i - start);
            for (j, solved) in below.rows().into_iter().enumerate() {
                row.scaled_add(-lower[[i + 1 + j, i]], &solved);
            }
            row /= lower[[i, i]];
        }
    }
    Some(x)
}
