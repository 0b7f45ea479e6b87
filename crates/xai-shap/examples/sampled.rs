//! Sampled values with standard errors, under a budget, and under a flag that cancels.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{Array1, Array2, Axis};
use xai_core::tabular::Features;
use xai_core::{BoxError, Budget, Explainer, Rows, Run, Stop};
use xai_shap::{KernelShapParams, NSamples, Task};

const N_FEATURES: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    // The product of each three neighbors, around a circle.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let outputs = batch.map_axis(Axis(1), |row| {
            (0..N_FEATURES)
                .map(|j| row[j] * row[(j + 1) % N_FEATURES] * row[(j + 2) % N_FEATURES])
                .sum()
        });
        Ok(outputs.insert_axis(Axis(1)))
    };
    let background = Array2::zeros((1, N_FEATURES));
    let x = Array1::ones(N_FEATURES);
    // Each product is 1 and belongs to its three factors alike; each feature is in three of them.
    let truth = 1.0;

    // ANCHOR: sampled
    let params =
        KernelShapParams::default().with_nsamples(NSamples::Count(400)).with_task(Task::Regression);
    let explainer = params.fit(&background, Features::unnamed(N_FEATURES)?)?;
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;
    let data = &explanation.data;
    assert!(!data.exact && data.n_coalitions == 400);

    let errors = data.standard_errors.as_ref().ok_or("too few coalitions")?;
    for (value, error) in data.shap_values.iter().zip(errors).take(3) {
        println!("{value:.3} ± {error:.3}, the truth is {truth}");
    }
    // ANCHOR_END: sampled

    // ANCHOR: budget
    let budget = Budget::queries(200);
    let cut = explainer.explain(&model, &x, Run::seeded(0).with_budget(budget))?;
    assert_eq!(cut.data.stop, Stop::Budget);
    assert!(cut.meta.queries <= 200);

    // Below the least budget that gives an answer, the error names that budget.
    let budget = Budget::queries(20);
    let refused = explainer.explain(&model, &x, Run::seeded(0).with_budget(budget));
    assert_eq!(
        refused.err().map(|error| error.to_string()).as_deref(),
        Some("the budget of queries must be at least 40 for an answer, got 20")
    );
    // ANCHOR_END: budget

    // ANCHOR: cancel
    // Shared with whoever may cancel: a signal handler, a request that went away, a timer.
    let canceled = AtomicBool::new(false);
    let is_canceled = || canceled.load(Ordering::Relaxed);
    let budget = Budget::cancelled_by(&is_canceled);
    canceled.store(true, Ordering::Relaxed);
    let stopped = explainer.explain(&model, &x, Run::seeded(0).with_budget(budget));
    assert!(matches!(stopped, Err(xai_core::Error::Stopped(Stop::Deadline))));
    // ANCHOR_END: cancel
    Ok(())
}
