//! The first counterfactual of the book: what would get this loan approved, and stay believable?
//!
//! Prints the changes, and as the book shows it a part of the document.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_cfproto::{CfProtoModel, CfProtoParams};
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Rows, Run};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // Approved: enough income for the debt, where a steady job counts as ten of income. One output per class.
    let predict = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let approved = batch.map_axis(Axis(1), |row| {
            let job = [0.0, 4.0, 10.0][if row[2] < 0.5 {
                0
            } else if row[2] < 1.5 {
                1
            } else {
                2
            }];
            1.0 / (1.0 + (-(row[0] + job - 2.0 * row[1] - 25.0) / 5.0).exp())
        });
        Ok(ndarray::stack![Axis(1), 1.0 - &approved, approved])
    };
    let model = CfProtoModel::black_box(&predict);
    // ANCHOR_END: model

    // ANCHOR: fit
    let features = Features::new(vec![
        Feature::numeric("income"),
        Feature::numeric("debt"),
        Feature::categorical("job", ["none", "seasonal", "steady"], Encoding::Ordinal),
    ])?;
    let train = Array2::from_shape_fn((60, 3), |(row, column)| match column {
        0 => 20.0 + (row * 7 % 40) as f64,
        1 => (row * 5 % 12) as f64,
        _ => (row % 3) as f64,
    });
    let params =
        CfProtoParams::default().with_use_kdtree(true).with_theta(1.0).with_learning_rate_init(0.1);
    let explainer = params.clone().fit(model, &train, features.clone(), &mut Run::seeded(0))?;
    // ANCHOR_END: fit

    // ANCHOR: explain
    let x = array![30.0, 6.0, 1.0];
    let explanation = explainer.explain(model, &x, Run::seeded(0))?;
    let cf = explanation.data.cf.as_ref().ok_or("no counterfactual")?;
    assert_eq!((explanation.data.class, cf.class), (0, 1));
    // ANCHOR_END: explain
    for change in &cf.changes {
        println!("{change}");
    }
    println!(
        "distance {:.3}, trust {:.2}",
        cf.distances.elastic_net,
        explanation.data.trust.unwrap_or(0.0)
    );

    // ANCHOR: constraints
    // Debts are what they are, and so is the job: income has to make up for them, in whole numbers.
    let fixed = || Constraint { change: Direction::None, ..Default::default() };
    let whole = Constraint { integer: true, change: Direction::Up, ..Default::default() };
    let constraints = Constraints {
        features: [("job".into(), fixed()), ("debt".into(), fixed()), ("income".into(), whole)]
            .into(),
        max_changes: None,
    };
    let params = params.with_constraints(constraints);
    let constrained = params.fit(model, &train, features, &mut Run::seeded(0))?;
    let data = constrained.explain(model, &x, Run::seeded(0))?.data;
    let cf = data.cf.as_ref().ok_or("no counterfactual")?;
    // 33 is exactly on the boundary.
    assert_eq!((cf.changes.len(), cf.changes[0].to.as_str()), (1, "34"));
    // ANCHOR_END: constraints
    println!("{}", data.reason);
    for change in &cf.changes {
        println!("{change}");
    }
    Ok(())
}
