//! Memory is bounded by one batch of points, never by the path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::Array1;
use peak_alloc::PeakAlloc;
use xai_core::{Explainer, Run};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{InputTensor, IntegratedGradientsParams};
use xai_testkit::Linear;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const WIDTH: usize = 20_000;
const BATCH: usize = 10;

/// The most bytes held at once by a path with this many points.
fn peak(n_steps: usize, tolerance: Option<f64>) -> usize {
    let params = IntegratedGradientsParams::default()
        .with_method(Method::ClenshawCurtis)
        .with_n_steps(n_steps)
        .with_tolerance(tolerance)
        .with_absolute_tolerance(0.0)
        .with_internal_batch_size(Some(BATCH))
        .with_inputs(vec![InputTensor::new("image", &[WIDTH])]);
    let explainer = params.build_inputs().unwrap();
    let model = Linear::new(&vec![0.1; WIDTH], 0.0);
    let x = Array1::ones(WIDTH);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let data = explainer.explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert!(n_steps <= data.steps[0]);
    ALLOCATOR.peak_usage() - before
}

#[test]
fn memory_does_not_grow_with_the_path() {
    // 40 and 320 MB, if all points were held; their gradients would take as much again.
    let (short, long) = (peak(250, None), peak(2000, None));
    let row = WIDTH * 8;
    // The points and gradients of a batch, and a few rows of inputs, sums and results.
    assert!(short < (2 * BATCH + 24) * row, "{short} bytes");
    assert!(long < short + row, "{short} bytes for 250 points, {long} for 2000");
    // A refinement holds one row more for each rule that may come.
    let refined = peak(9, Some(1e-300));
    assert!(refined < (3 * BATCH + 48) * row, "{refined} bytes");
}
