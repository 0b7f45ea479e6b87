//! The first search of the book: what would get this loan approved?
//!
//! Prints the answers in words and, as the book shows it, a part of the document.

#![allow(clippy::print_stdout, reason = "an example shows its result")]
#![allow(clippy::float_cmp, reason = "codes and whole distances are exact")]

use std::error::Error;

use ndarray::array;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Budget, Explainer, OutputNames, Run, Semantics, Status, Stop, per_row};
use xai_gridcf::{GridCounterfactualParams, Target};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // Approved: enough income for the debt, where a steady job counts as ten of income. One output per class.
    let model = per_row(|row| {
        let steady = if row[2] == 2.0 { 10.0 } else { 0.0 };
        let score = row[0] + steady - 2.0 * row[1] - 25.0;
        [-score, score]
    })
    .with_class_names(["refused", "approved"]);
    // ANCHOR_END: model

    // ANCHOR: explain
    let features = Features::new(vec![
        Feature::numeric("income"),
        Feature::numeric("debt"),
        Feature::categorical("job", ["none", "seasonal", "steady"], Encoding::Ordinal),
    ])?;
    // Ranges come from data: incomes from 20 to 60, debts from 0 to 12, all three jobs.
    let dataset = array![[20.0, 0.0, 0.0], [60.0, 12.0, 1.0], [35.0, 4.0, 2.0]];
    let params =
        GridCounterfactualParams::default().with_step_sizes([("income".into(), 5.0)].into());
    let explainer = params.clone().fit(&dataset, features.clone())?;
    let x = array![30.0, 6.0, 1.0];
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;

    let data = &explanation.data;
    assert_eq!(data.status, Status::Found);
    // A steady job is a distance of 1 away, and no point of the grid is closer.
    assert_eq!(data.changed_features(0), ["job"]);
    assert_eq!((data.distances[0], data.optimal[0]), (1.0, true));
    // ANCHOR_END: explain
    println!("{}", data.textualise(&OutputNames::default()));

    // ANCHOR: constraints
    // No other job, and debts only go down; income is counted in tens.
    let rule = |change, scale| Constraint { change, scale, ..Default::default() };
    let constraints = Constraints {
        features: [
            ("job".into(), rule(Direction::None, None)),
            ("debt".into(), rule(Direction::Down, None)),
            ("income".into(), rule(Direction::Any, Some(10.0))),
        ]
        .into(),
        max_changes: None,
    };
    let params = params.with_constraints(constraints);
    let constrained = params.clone().fit(&dataset, features.clone())?;
    let data = constrained.explain(&model, &x, Run::seeded(0))?.data;
    assert_eq!(data.counterfactuals.row(0), array![40.0, 6.0, 1.0]);
    assert_eq!(data.distances[0], 1.0);
    // ANCHOR_END: constraints

    // ANCHOR: budget
    let run = Run::seeded(0).with_budget(Budget::queries(3));
    let data = constrained.explain(&model, &x, run)?.data;
    assert_eq!(data.status, Status::Stopped);
    // Two points were asked; what is left is no closer than this.
    assert!(data.stop == Stop::Budget && data.lower_bound.is_some_and(|bound| 0.0 < bound));

    // That there is none is another status: no debt and no income of the grid turn this model around.
    let never = Some(Target::Probability { class: "approved".into(), at_least: 1000.0 });
    let params = params.with_counterfactual_class(never);
    let explainer = params.fit(&dataset, features.clone())?;
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;
    assert_eq!(explanation.data.status, Status::NoneExists);
    assert_eq!(explanation.meta.queries, 1 + explanation.data.n_points);
    // ANCHOR_END: budget

    // ANCHOR: reference
    let reference = GridCounterfactualParams::default().with_semantics(Semantics::Reference);
    let data = reference.fit(&dataset, features)?.explain(&model, &x, Run::seeded(0))?.data;
    assert_eq!(data.distances[0], 1.0);
    // ANCHOR_END: reference
    Ok(())
}
