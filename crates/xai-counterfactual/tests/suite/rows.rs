//! The ways to training rows, where a model is flat.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, array};
use xai_core::Status;
use xai_core::constraints::{Constraint, Constraints, Direction};
use xai_core::tabular::Features;
use xai_core::{BoxError, Budget, Explainer, ModelRef, Rows, Run, Semantics, Stop};
use xai_counterfactual::{Counterfactual, CounterfactualData, CounterfactualParams};
use xai_optim::Route;

fn instance() -> Array1<f64> {
    array![1.0, 0.5]
}

/// Rows of which only the second is in the leaf of [`Tree`].
fn rows() -> Array2<f64> {
    array![[0.0, 0.0], [5.35, 7.0], [-3.0, 2.0], [9.0, 9.0]]
}

/// Data, and the queries that they cost.
struct Counted {
    data: CounterfactualData,
    n_queries: u64,
}

/// A tree with a narrow leaf: class 1 where `5.3 <= x_0 < 5.4`. Counts the rows it is asked for.
#[derive(Default)]
struct Tree {
    asked: AtomicU64,
}

impl Tree {
    /// What an explainer says, with the count of queries, which is checked.
    fn explain(&self, explainer: &Counterfactual, run: Run<'_>) -> Counted {
        let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
            self.asked.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
            let leaf = |row: usize| f64::from((5.3..5.4).contains(&batch[[row, 0]]));
            Ok(Array2::from_shape_fn((batch.nrows(), 1), |(row, _)| leaf(row)))
        };
        let before = self.asked.load(Ordering::Relaxed);
        let explained = explainer.explain(ModelRef::BlackBox(&model), &instance(), run).unwrap();
        let asked = self.asked.load(Ordering::Relaxed) - before;
        assert_eq!(explained.meta.queries, asked);
        Counted { data: explained.data, n_queries: asked }
    }
}

fn frozen(feature: usize) -> CounterfactualParams {
    let rule = Constraint { change: Direction::None, ..Default::default() };
    let constraints = Constraints { features: [(feature.into(), rule)].into(), max_changes: None };
    CounterfactualParams::default().with_constraints(constraints)
}

fn built(params: CounterfactualParams) -> Counterfactual {
    params.build(Features::unnamed(2).unwrap()).unwrap()
}

fn fitted(params: CounterfactualParams) -> Counterfactual {
    params.fit(&rows(), Features::unnamed(2).unwrap()).unwrap()
}

#[test]
fn the_way_to_a_training_row_leads_where_nothing_else_does() {
    let tree = Tree::default();
    let none = tree.explain(&built(CounterfactualParams::default()), Run::seeded(0));
    assert_eq!(
        (none.data.cf, none.data.route, none.data.status),
        (None, None, Status::GradientVanished)
    );
    let data = tree.explain(&fitted(CounterfactualParams::default()), Run::seeded(0));
    assert_eq!((data.data.status, data.data.route), (Status::Found, Some(Route::Anchor)));
    let cf = data.data.cf.unwrap();
    assert_eq!((cf.class, data.data.step), (1, None));
    // The second feature returns to the instance's value, and the first lies between the leaf's edge and the row.
    assert_eq!(cf.row[1], 0.5);
    assert!((5.3..=5.35).contains(&cf.row[0]), "{}", cf.row);
    assert!((4.3..=4.35).contains(&cf.distances.elastic_net) && cf.changes.len() == 1);
    // The four rows, 30 on the way, 16 for each of two columns in the first pass; what comes after has fewer columns.
    let more = data.n_queries - none.n_queries;
    assert!((4 + 30 + 32..4 + 30 + 32 * 32 + 3 * 10 * 25).contains(&more), "{more}");
}

#[test]
fn rows_that_do_not_reach_the_target_are_named_in_the_reason() {
    let tree = Tree::default();
    // All rows have the first feature of the instance; their second features differ, so each is asked for once.
    let none = tree.explain(&built(frozen(0)), Run::seeded(0));
    let data = tree.explain(&fitted(frozen(0)), Run::seeded(0));
    assert_eq!(
        (data.data.cf, data.data.route, data.data.status),
        (None, None, Status::GradientVanished)
    );
    assert_eq!(data.n_queries - none.n_queries, 4);
    assert!(
        data.data.reason.starts_with(&none.data.reason)
            && data.data.reason.contains("4 training rows")
    );
    assert!(data.data.nearest_miss.is_some());
    // A second frozen feature leaves the instance itself, about which there is nothing to ask.
    let rules = [0, 1].map(|feature: usize| {
        (feature.into(), Constraint { change: Direction::None, ..Default::default() })
    });
    let constraints = Constraints { features: rules.into(), max_changes: None };
    let params = CounterfactualParams::default().with_constraints(constraints);
    let none = tree.explain(&built(params.clone()), Run::seeded(0));
    let data = tree.explain(&fitted(params), Run::seeded(0));
    assert_eq!((data.data.cf, data.n_queries), (None, none.n_queries));
}

#[test]
fn constraints_hold_on_the_way() {
    let tree = Tree::default();
    let data = tree.explain(&fitted(frozen(1)), Run::seeded(0));
    let cf = data.data.cf.unwrap();
    assert_eq!((data.data.route, cf.row[1]), (Some(Route::Anchor), 0.5));
    assert!((5.3..=5.35).contains(&cf.row[0]), "{}", cf.row);
    let constraints = Constraints { features: [].into(), max_changes: Some(1) };
    let params = CounterfactualParams::default().with_constraints(constraints);
    let data = tree.explain(&fitted(params), Run::seeded(0));
    assert_eq!((data.data.status, data.data.cf.unwrap().changes.len()), (Status::Found, 1));
}

#[test]
fn a_budget_that_ends_before_the_rows_is_the_reason() {
    let tree = Tree::default();
    let none = tree.explain(&built(CounterfactualParams::default()), Run::seeded(0));
    // Four rows and the last check are one query more than is left.
    let budget = Budget::queries(none.n_queries + 4);
    let run = Run::seeded(0).with_budget(budget);
    let data = tree.explain(&fitted(CounterfactualParams::default()), run);
    assert_eq!(
        (data.data.cf, data.data.status, data.data.stop),
        (None, Status::Stopped, Stop::Budget)
    );
    assert_eq!(data.n_queries, none.n_queries);
    // One more query pays for the rows and the last check, and the row itself is the answer.
    let budget = Budget::queries(none.n_queries + 5);
    let run = Run::seeded(0).with_budget(budget);
    let data = tree.explain(&fitted(CounterfactualParams::default()), run);
    assert_eq!((data.data.cf.unwrap().row, data.data.stop), (array![5.35, 7.0], Stop::Budget));
}

#[test]
fn rows_are_saved_only_where_they_are_of_use() {
    let tree = Tree::default();
    let explainer = fitted(CounterfactualParams::default());
    let text = serde_json::to_string(&explainer).unwrap();
    let read: Counterfactual = serde_json::from_str(&text).unwrap();
    let answers = [&explainer, &read].map(|own| tree.explain(own, Run::seeded(0)).data);
    assert_eq!(answers[0], answers[1]);
    // A number of the rows that is none.
    assert!(serde_json::from_str::<Counterfactual>(&text.replace("5.35", "null")).is_err());
    for params in [
        CounterfactualParams::default().with_fallback(false),
        CounterfactualParams::default().with_semantics(Semantics::Reference),
    ] {
        assert!(!serde_json::to_string(&fitted(params)).unwrap().contains("5.35"));
    }
}
