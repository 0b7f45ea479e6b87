//! The first explanation: how much income and debt contribute to a decision about a loan.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use xai::ndarray::array;
use xai::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: explain
    let model = per_row(|row| {
        let granted = 1.0 / (1.0 + (2.0 * row[1] - row[0]).exp());
        [1.0 - granted, granted]
    })
    .with_class_names(["refused", "granted"]);
    let background = array![[3.0, 1.0], [1.0, 0.5], [2.0, 2.0]];
    let features = Features::numeric(["income", "debt"])?;

    let explainer = KernelShapParams::default().fit(&background, features)?;
    let explanation = explainer.explain(&model, &array![4.0, 0.5], Run::seeded(0))?;

    let values = &explanation.data.shap_values;
    // High income and low debt both speak for the loan.
    assert!(0.0 < values[[1, 0]] && 0.0 < values[[1, 1]]);
    // ANCHOR_END: explain
    println!("income {:+.3}, debt {:+.3}", values[[1, 0]], values[[1, 1]]);
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
