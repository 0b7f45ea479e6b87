//! Tables in compressed form, as backgrounds and as rows to explain.

use ndarray::Array2;
use sprs::CsMatView;
use xai_core::tabular::IntoFeatures;
use xai_core::{Explainer, Explanation, Params, Predictor, Result, RunConfig};

use crate::background_rows::{BackgroundRows, SparseRows};
use crate::data::KernelShapData;
use crate::explainer::KernelShap;
use crate::params::KernelShapParams;

/// Numbers in the rows that are written out at once, and the least rows.
const WRITTEN_OUT: usize = 1 << 20;
const LEAST_ROWS: usize = 16;

impl KernelShapParams {
    /// As [`fit`](Self::fit), for a sparse background, which stays sparse: no model call, a copy of what is stored.
    ///
    /// `background` has shape `(n_background, n_columns)`; compressed columns become compressed rows first.
    /// The explanations are, to the bit, those of the same background given densely.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); sparse rows have no k-means.
    ///
    /// # Cost
    /// Some 20 bytes per stored number, and 5 per background row and group of which the rows have several values.
    pub fn fit_sparse(
        self,
        background: CsMatView<'_, f64>,
        features: impl IntoFeatures,
    ) -> Result<KernelShap> {
        let mut rows = SparseRows::new(background.cols());
        for row in background.to_csr().outer_iterator() {
            rows.push(row.iter().map(|(column, &value)| (column, value)))?;
        }
        KernelShap::fit(self.check()?, BackgroundRows::Sparse(rows), features.into_features()?)
    }
}

impl KernelShap {
    /// As [`explain_many`](Explainer::explain_many), for sparse rows, of which a few at a time are written out.
    pub fn explain_sparse_rows(
        &self,
        model: &dyn Predictor,
        rows: CsMatView<'_, f64>,
        runs: &RunConfig<'_>,
    ) -> Vec<Result<Explanation<KernelShapData>>> {
        let rows = rows.to_csr();
        let at_once = (WRITTEN_OUT / rows.cols().max(1)).max(LEAST_ROWS);
        let mut results = Vec::with_capacity(rows.rows());
        for first in (0..rows.rows()).step_by(at_once) {
            let end = (first + at_once).min(rows.rows());
            let mut dense = Array2::zeros((end - first, rows.cols()));
            let written_out = rows.slice_outer(first..end);
            for (row, cells) in written_out.outer_iterator().enumerate() {
                cells.iter().for_each(|(column, &value)| dense[[row, column]] = value);
            }
            results.extend(self.explain_many(model, &dense, runs));
        }
        results
    }
}
