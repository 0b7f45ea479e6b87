//! The first search of the book: what is the least that would get this loan approved?
//!
//! Prints the counterfactual and what changed.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_core::Status;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{BoxError, Differentiable, Explainer, ModelRef, Predictor, Rows, Run, RunConfig};
use xai_counterfactual::{CounterfactualParams, DistanceFn, TargetClass};

// ANCHOR: model
/// The probability of an approved loan, by income, debt and age: a single output is the probability of class 1.
struct Loan;

const WEIGHTS: [f64; 3] = [0.1, -0.4, 0.01];

impl Predictor for Loan {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let score = |row: ndarray::ArrayView1<'_, f64>| {
            row.iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum::<f64>() - 3.0
        };
        let scores = batch.map_axis(Axis(1), score);
        Ok(scores.mapv(|score| 1.0 / (1.0 + (-score).exp())).insert_axis(Axis(1)))
    }
}

impl Differentiable for Loan {
    #[allow(clippy::disallowed_methods, reason = "a model calls itself")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let p = self.predict(batch)?;
        let slope = |(row, feature)| {
            let p: f64 = p[[row, 0]];
            cotangent[[row, 0]] * p * (1.0 - p) * WEIGHTS[feature]
        };
        Ok(Array2::from_shape_fn(batch.dim(), slope))
    }
}
// ANCHOR_END: model

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: explain
    let features = Features::numeric(["income", "debt", "age"])?;
    let params = CounterfactualParams::default().with_target_proba(0.8);
    let explainer = params.clone().build(features.clone())?;
    let x = array![30.0, 6.0, 40.0];
    let data = explainer.explain(ModelRef::WhiteBox(&Loan), &x, Run::seeded(0))?.data;

    let cf = data.cf.as_ref().ok_or("no counterfactual")?;
    assert_eq!((data.class, cf.class), (0, 1));
    // Debt weighs most, so it alone changes.
    assert_eq!(cf.changes.len(), 1);
    assert_eq!(cf.changes[0].feature, "debt");
    // ANCHOR_END: explain
    println!("{}, approved with probability {:.3}", cf.changes[0], cf.outputs[0]);

    // ANCHOR: constraints
    // Nobody changes age; debt can only fall, and not below 2.
    let rule = |change, min| Constraint { change, min, ..Default::default() };
    let rules = [
        ("age".into(), rule(Direction::None, None)),
        ("debt".into(), rule(Direction::Down, Some(2.0))),
    ];
    let constraints = Constraints { features: rules.into(), max_changes: None };
    let constrained = params.clone().with_constraints(constraints);
    let data = constrained.build(features.clone())?.explain(
        ModelRef::WhiteBox(&Loan),
        &x,
        Run::seeded(0),
    )?;
    for change in data.data.cf.iter().flat_map(|cf| &cf.changes) {
        println!("{change}");
    }
    // ANCHOR_END: constraints

    // ANCHOR: scaled
    // Changes count by how much the training rows vary.
    let train = array![[20.0, 2.0, 20.0], [40.0, 8.0, 40.0], [60.0, 5.0, 60.0], [35.0, 4.0, 30.0]];
    let scaled = params.clone().with_distance_fn(DistanceFn::L1Mad);
    let scaled = scaled.fit(&train, features.clone())?;
    // Any function is a black box; all rows share its calls.
    let model = |batch: &Rows| {
        Ok(batch.map_axis(Axis(1), |row| decide(row[0], row[1])).insert_axis(Axis(1)))
    };
    for result in scaled.explain_many(ModelRef::BlackBox(&model), &train, &RunConfig::seeded(0)) {
        println!("{}", result?.data.reason);
    }
    // ANCHOR_END: scaled

    // ANCHOR: nothing
    // Only more debt is allowed: that leads away from an approval.
    let worse = [
        ("income".into(), rule(Direction::None, None)),
        ("age".into(), rule(Direction::None, None)),
        ("debt".into(), rule(Direction::Up, None)),
    ];
    let constraints = Constraints { features: worse.into(), max_changes: None };
    let target_class = TargetClass::Class(1);
    let params = params.with_constraints(constraints).with_target_class(target_class);
    let data = params.build(features)?.explain(ModelRef::WhiteBox(&Loan), &x, Run::seeded(0))?.data;
    assert_eq!(data.status, Status::RangeInfeasible);
    // ANCHOR_END: nothing
    println!("{}", data.reason);
    Ok(())
}

fn decide(income: f64, debt: f64) -> f64 {
    1.0 / (1.0 + (3.0 - 0.1 * income + 0.4 * debt).exp())
}
