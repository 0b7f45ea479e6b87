//! The largest grid that fits into a coffee break of the reference: 13 features of 50 values each, up to three of which
//! change, 36 million points, none of which is an answer, so that all have to be asked.
//!
//! Prints the points, the seconds, the most memory that was held by the heap, and by the process where the system tells.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement shows its result and has a clock"
)]

use std::error::Error;
use std::time::Instant;

use ndarray::{Array1, Array2, Axis};
use peak_alloc::PeakAlloc;
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Predictor, Rows, Run, Status};
use xai_gridcf::{FeatureRange, GridCounterfactualParams};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const N_FEATURES: usize = 13;
const N_VALUES: u32 = 50;

/// Two classes, divided by a plane beyond the grid.
struct Plane(Array2<f64>);

impl Predictor for Plane {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut scores = batch.dot(&self.0);
        scores.column_mut(0).fill(1e6);
        Ok(scores)
    }

    fn max_batch(&self) -> usize {
        1024
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let between = FeatureRange::between(0.0, f64::from(N_VALUES - 1));
    let params = GridCounterfactualParams::default()
        .with_feature_ranges(
            (0..N_FEATURES).map(|feature| (feature.into(), between.clone())).collect(),
        )
        .with_max_counterfactual_length(3);
    let explainer = params.build(Features::unnamed(N_FEATURES)?)?;
    let weights = Array1::linspace(1.0, 2.0, N_FEATURES).insert_axis(Axis(1));
    let model = Plane(ndarray::concatenate![Axis(1), weights, weights]);
    let x = Array1::linspace(0.3, 40.3, N_FEATURES);
    let start = Instant::now();
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(explanation.data.status, Status::NoneExists);
    // 13 * 50 + 78 * 50^2 + 286 * 50^3 points, and the instance.
    assert_eq!(explanation.meta.queries, 35_945_651);
    println!("points {}, seconds {seconds:.2}", explanation.data.n_points);
    println!("peak heap {:.1} MB", ALLOCATOR.peak_usage() as f64 / 1e6);
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(line) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        println!("peak process {}", line.trim_start_matches("VmHWM:").trim());
    }
    Ok(())
}
