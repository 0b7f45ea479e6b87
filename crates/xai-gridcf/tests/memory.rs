//! Memory is bounded by one batch of points, never by the grid.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, array};
use peak_alloc::PeakAlloc;
use xai_core::tabular::Features;
use xai_core::{Explainer, Run, Status};
use xai_gridcf::{FeatureRange, GridCounterfactualParams};
use xai_testkit::Linear;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const N_FEATURES: usize = 6;

/// The most bytes held at once by a search of all triples of a grid with this many values of each feature, none of
/// which is an answer.
fn peak(n_values: u32) -> usize {
    let between = FeatureRange::between(0.0, f64::from(n_values - 1));
    let params = GridCounterfactualParams::default()
        .with_feature_ranges(
            (0..N_FEATURES).map(|feature| (feature.into(), between.clone())).collect(),
        )
        .with_max_counterfactual_length(3);
    let explainer = params.build(Features::unnamed(N_FEATURES).unwrap()).unwrap();
    let zeros = ndarray::Array2::zeros((2, N_FEATURES));
    let model = Linear::outputs(zeros, array![1.0, 0.0]);
    let x = Array1::from_elem(N_FEATURES, -1.0);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    let n = u64::from(n_values);
    assert_eq!(explanation.meta.queries, 1 + 6 * n + 15 * n * n + 20 * n * n * n);
    assert_eq!(explanation.data.status, Status::NoneExists);
    ALLOCATOR.peak_usage() - before
}

#[test]
fn memory_does_not_grow_with_the_grid() {
    // 1,304,241 and 2,537,801 points of six numbers, 63 and 122 MB, if they were all held; both fill whole batches.
    let (small, large) = (peak(40), peak(50));
    // 8192 rows of the batch and of the answers, the distance and the set of each, and what the vectors may have to spare.
    let batch = 8192 * (N_FEATURES * 8 + 2 * 8 * 2 + 2 * 8);
    assert!(small < batch + (1 << 18), "{small} bytes");
    assert!(large < small + small / 10, "{small} bytes for 40 values, {large} for 50");
}
