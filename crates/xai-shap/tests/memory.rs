//! Memory is bounded by the coalitions and one block of rows, never by coalitions times background.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2};
use peak_alloc::PeakAlloc;
use xai_core::tabular::Features;
use xai_core::{Explainer, Run};
use xai_shap::{Estimator, KernelShapParams, NSamples};
use xai_testkit::Linear;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const N_FEATURES: usize = 30;
const N_SAMPLES: usize = 10_000;

/// The most bytes in use at once by an explanation over this many background rows.
fn peak(n_background: usize) -> usize {
    // Every cell differs from every other: no two rows coincide.
    let background = Array2::from_shape_fn((n_background, N_FEATURES), |(row, column)| {
        (row * N_FEATURES + column) as f64
    });
    let params = KernelShapParams::default()
        .with_nsamples(NSamples::Count(N_SAMPLES))
        .with_estimator(Estimator::Paired);
    let explainer = params.fit(&background, Features::unnamed(N_FEATURES).unwrap()).unwrap();
    let (model, x) = (Linear::new(&[1.0; N_FEATURES], 0.0), Array1::from_elem(N_FEATURES, -1.0));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    assert_eq!(explanation.meta.queries, 1 + (n_background * (N_SAMPLES + 1)) as u64);
    ALLOCATOR.peak_usage() - before
}

#[test]
fn memory_does_not_grow_with_the_background() {
    // All rows at once would take 10,000 * 100 * 30 numbers, 240 MB, and twice that for 200 background rows.
    let (one, two) = (peak(100), peak(200));
    // A block plans at least 2^18 rows and at most one background row's 10,000 more, each with 4 bytes of slot, 12 of
    // row, 24 of key and table and 8 of answer, and vectors that grow may hold three times what they need; beside it
    // stand the design (10,000 coalitions of a word and a row of 3 * 30 numbers for each pair) and eight batches of
    // 256 rows.
    let block = (262_144 + 10_000) * 48 * 3;
    let rest = 10_000 * 8 + 5_000 * 5 * N_FEATURES * 8 + 8 * 256 * N_FEATURES * 8;
    assert!(one < block + rest, "{one} bytes");
    assert!(two < one + one / 10, "{one} bytes for 100 background rows, {two} for 200");
}
