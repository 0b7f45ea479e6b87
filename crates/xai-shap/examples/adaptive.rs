//! Values to a tolerance: coalitions round by round until the errors are small, with intervals and certain ranks.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, Axis};
use xai_core::tabular::Features;
use xai_core::{BoxError, Budget, Event, Explainer, Rows, Run, Stop};
use xai_shap::{KernelShapParams, NSamples, Task};

const N_FEATURES: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: game
    // Each three neighbors around a circle are worth 1, 1/2, 1/3, and so on when they are together.
    let worth = |first: usize| 1.0 / (first % N_FEATURES + 1) as f64;
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let outputs = batch.map_axis(Axis(1), |row| {
            let factor = |j: usize| row[j % N_FEATURES];
            let product = |j: usize| worth(j) * factor(j) * factor(j + 1) * factor(j + 2);
            (0..N_FEATURES).map(product).sum()
        });
        Ok(outputs.insert_axis(Axis(1)))
    };
    let background = Array2::zeros((1, N_FEATURES));
    let x = Array1::ones(N_FEATURES);
    // Each factor gets a third of its three products.
    let products = |j: usize| worth(j) + worth(j + N_FEATURES - 1) + worth(j + N_FEATURES - 2);
    let truth: Vec<f64> = (0..N_FEATURES).map(|j| products(j) / 3.0).collect();
    // ANCHOR_END: game

    // ANCHOR: tolerance
    let params = KernelShapParams::default()
        .with_tolerance(Some(0.02))
        .with_nsamples(NSamples::Count(10_000))
        .with_top_k(4)
        .with_task(Task::Regression);
    let explainer = params.fit(&background, Features::unnamed(N_FEATURES)?)?;
    let data = explainer.explain(&model, &x, Run::seeded(0))?.data;
    assert!(data.converged() && !data.exact && data.n_coalitions < 10_000);
    // ANCHOR_END: tolerance
    println!("{} coalitions", data.n_coalitions);

    // ANCHOR: ranks
    let intervals = data.confidence_intervals.as_ref().ok_or("too few coalitions")?;
    let ranking = &data.ranking.as_ref().ok_or("too few coalitions")?[0];
    for (&feature, &certain) in ranking.features.iter().zip(&ranking.separated) {
        let value = data.shap_values[[0, feature]];
        let (lower, upper) = (intervals.lower[[0, feature]], intervals.upper[[0, feature]]);
        let (name, truth) = (&data.feature_names[feature], truth[feature]);
        println!("{name}: {value:.3} in {lower:.3}..{upper:.3}, {truth:.3}, certain: {certain}");
        assert!(lower <= truth && truth <= upper);
    }
    // ANCHOR_END: ranks

    // ANCHOR: budget
    let budget = Budget::queries(300);
    let cut = explainer.explain(&model, &x, Run::seeded(0).with_budget(budget))?;
    assert!(cut.meta.queries <= 300);
    assert_eq!((cut.data.converged(), cut.data.stop), (false, Stop::Budget));
    // ANCHOR_END: budget

    // ANCHOR: stop
    // An observer that stops the run after four steps: the answer is that of the rounds before.
    let mut steps = 0;
    let mut enough = |event: Event<'_>| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        if steps < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let best = explainer.explain(&model, &x, Run::seeded(0).with_observer(&mut enough))?;
    assert_eq!((best.data.converged(), best.data.stop), (false, Stop::Observer));
    // ANCHOR_END: stop
    Ok(())
}
