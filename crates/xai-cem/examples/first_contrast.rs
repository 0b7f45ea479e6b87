//! The first contrast of the book: what would have refused this loan, and what alone would have approved it?

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_cem::{CemModel, CemParams, Mode, Status};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, PerFeature, Rows, Run};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // The probability that a loan is approved. A single output is the probability of class 1.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let scores = batch.map_axis(Axis(1), |row| 0.2 * row[0] - row[1] + row[2] - 2.0);
        Ok(scores.mapv(|score| 1.0 / (1.0 + (-score).exp())).insert_axis(Axis(1)))
    };
    // ANCHOR_END: model

    // ANCHOR: negative
    let features = Features::numeric(["income", "debt", "years employed"])?;
    // Zeros say nothing: a negative adds to what is there.
    let params = CemParams::default().with_no_info_val(Some(PerFeature::All(0.0)));
    let view = CemModel::black_box(&model);
    let x = array![20.0, 1.0, 0.5];

    let explainer = params.clone().build(features.clone())?;
    let negative = explainer.explain(view, &x, Run::seeded(0))?.data;
    assert_eq!(negative.status, Status::Found);
    // Approved: a debt of 2.5 would have been too much.
    let changes = &negative.result.as_ref().ok_or("nothing found")?.changes;
    assert_eq!(changes[0].feature, "debt");
    // ANCHOR_END: negative
    println!("{}", negative.reason);
    for change in changes {
        println!("{}: {} -> {}", change.feature, change.from, change.to);
    }

    // ANCHOR: positive
    let mode = Mode::PertinentPositive;
    let explainer = params.clone().with_mode(mode).build(features.clone())?;
    let positive = explainer.explain(view, &x, Run::seeded(0))?.data;
    // Without debt less than half of the income, and the time at work, are enough.
    assert!(positive.result.as_ref().is_some_and(|pp| pp.row[0] < x[0] && pp.row[1] == 0.0));
    // ANCHOR_END: positive
    for change in positive.result.iter().flat_map(|result| &result.changes) {
        println!("{}: {} -> {}", change.feature, change.from, change.to);
    }

    // ANCHOR: constraints
    // Debts are what they are, and so are the years: nothing is left that could refuse this loan.
    let fixed = || Constraint { change: Direction::None, ..Default::default() };
    let constraints = Constraints {
        features: [("debt".into(), fixed()), ("years employed".into(), fixed())].into(),
        max_changes: None,
    };
    let explainer = params.with_constraints(constraints).build(features)?;
    let none = explainer.explain(view, &x, Run::seeded(0))?.data;
    assert_eq!(none.status, Status::RangeInfeasible);
    // ANCHOR_END: constraints
    println!("{}", none.reason);
    Ok(())
}
