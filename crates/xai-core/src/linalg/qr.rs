//! QR factors of tall matrices, by Householder reflections.

use ndarray::{Array2, ArrayViewMut1, Axis, s};

use crate::model::Rows;

/// The factors of `a = q r`, for `a` of shape `(m, n)` with `n` at most `m`.
pub(super) struct Qr {
    /// The unit normal of the `k`-th reflection in row `k`, 0 before place `k`, shape `(n, m)`; a row of zeros where there
    /// is nothing to reflect.
    normals: Array2<f64>,
    /// Upper triangular, shape `(n, n)`.
    pub(super) r: Array2<f64>,
}

impl Qr {
    /// Factorises a matrix whose squared entries are in the range of `f64`.
    ///
    /// # Source
    /// Golub and Van Loan, "Matrix Computations", 4th edition, 5.1 and 5.2.1.
    pub(super) fn new(a: &Rows) -> Self {
        let n = a.ncols();
        // Columns as rows, so that each lies together in memory.
        let mut columns = a.t().as_standard_layout().into_owned();
        let mut r = Array2::zeros((n, n));
        for k in 0..n {
            let (mut head, mut later) = columns.view_mut().split_at(Axis(0), k + 1);
            let mut column = head.row_mut(k);
            for i in 0..k {
                r[[i, k]] = std::mem::take(&mut column[i]);
            }
            let mut normal = column.slice_mut(s![k..]);
            let norm = normal.dot(&normal).sqrt();
            // Away from the first entry: the difference then cancels no digits.
            let image = if normal[0] < 0.0 { norm } else { -norm };
            r[[k, k]] = image;
            normal[0] -= image;
            let length = normal.dot(&normal).sqrt();
            normal.mapv_inplace(|entry| if 0.0 < length { entry / length } else { 0.0 });
            for mut column in later.rows_mut() {
                let column = column.slice_mut(s![k..]);
                reflect(column, &normal);
            }
        }
        Qr { normals: columns, r }
    }

    /// The product `q^T b`, shape `(n, k)`, for `b` of shape `(m, k)`.
    pub(super) fn q_transposed_times(&self, b: &Rows) -> Array2<f64> {
        let mut product = b.to_owned();
        for mut column in product.columns_mut() {
            for (k, normal) in self.normals.rows().into_iter().enumerate() {
                reflect(column.slice_mut(s![k..]), &normal.slice(s![k..]));
            }
        }
        product.slice(s![..self.r.nrows(), ..]).to_owned()
    }

    /// The product `q b`, shape `(m, k)`, for `b` of shape `(n, k)`.
    pub(super) fn q_times(&self, b: &Rows) -> Array2<f64> {
        let (n, m) = self.normals.dim();
        let mut product = Array2::zeros((m, b.ncols()));
        product.slice_mut(s![..n, ..]).assign(b);
        for mut column in product.columns_mut() {
            for (k, normal) in self.normals.rows().into_iter().enumerate().rev() {
                reflect(column.slice_mut(s![k..]), &normal.slice(s![k..]));
            }
        }
        product
    }
}

/// Reflects a vector at the plane with this unit normal.
fn reflect(mut vector: ArrayViewMut1<'_, f64>, normal: &crate::model::Row) {
    let distance = normal.dot(&vector);
    vector.scaled_add(-2.0 * distance, normal);
}
