//! A sparse background is never written out.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis};
use peak_alloc::PeakAlloc;
use sprs::TriMat;
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Predictor, Rows, Run, Seed};
use xai_shap::KernelShapParams;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const N_ROWS: usize = 1_000;
const N_COLUMNS: usize = 50_000;
/// Bytes of the table with all its cells.
const DENSE: usize = N_ROWS * N_COLUMNS * 8;
const N_GROUPS: usize = 5;
/// One cell in a thousand.
const STORED_IN_ROW: usize = N_COLUMNS / 1_000;

/// Reads few columns, and wants one row at a time, so that batches weigh nothing.
struct Narrow;

impl Predictor for Narrow {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let output = |row: ndarray::ArrayView1<'_, f64>| row.iter().step_by(N_COLUMNS / 10).sum();
        Ok(batch.map_axis(Axis(1), output).insert_axis(Axis(1)))
    }

    fn max_batch(&self) -> usize {
        1
    }
}

/// The most bytes in use at once by `work`, beside those in use before.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = work();
    (ALLOCATOR.peak_usage() - before, result)
}

#[test]
fn neither_fitting_nor_explaining_writes_the_background_out() {
    let mut stream = Seed::new(0).stream();
    let mut cells = TriMat::new((N_ROWS, N_COLUMNS));
    for row in 0..N_ROWS {
        // One in each stretch of a thousand columns.
        for stored in 0..STORED_IN_ROW {
            cells.add_triplet(row, 1_000 * stored + stream.index(1_000), 1.0 + stream.uniform());
        }
    }
    let background = cells.to_csr::<usize>();
    let params = KernelShapParams::default().with_groups(Some(
        (0..N_GROUPS).map(|group| (group..N_COLUMNS).step_by(N_GROUPS).collect()).collect(),
    ));
    let features = Features::unnamed(N_COLUMNS).unwrap();
    let (fitting, explainer) = peak(|| params.fit_sparse(background.view(), features).unwrap());
    let (explaining, explanation) =
        peak(|| explainer.explain(&Narrow, &Array1::ones(N_COLUMNS), Run::seeded(0)).unwrap());
    // Fitting keeps what is stored, 16 bytes a cell, in the rows of the matrix, in their copy, and in the distinct ones and their
    // keys, and some lists over the columns; explaining holds a few rows of that width.
    assert!(fitting < DENSE / 40, "{fitting} bytes of {DENSE}");
    assert!(explaining < DENSE / 40, "{explaining} bytes of {DENSE}");
    // Every column that is read is in the first group. All coalitions but the full one, for every row, and the row.
    let data = explanation.data;
    assert_eq!(explanation.meta.queries, 1 + 31 * N_ROWS as u64);
    let change = data.raw_prediction[0] - data.expected_value[0];
    // Means of a thousand numbers of order 10, and 32 of them.
    let tolerance = 1e4 * 32.0 * f64::EPSILON;
    assert!((data.shap_values[[0, 0]] - change).abs() < tolerance, "{}", data.shap_values);
    assert!(data.shap_values.iter().skip(1).all(|&value| value == 0.0), "{}", data.shap_values);
}
