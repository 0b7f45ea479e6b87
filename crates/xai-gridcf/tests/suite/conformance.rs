//! The rules every explainer keeps to, in both semantics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_core::Semantics;
use xai_core::tabular::Features;
use xai_gridcf::{AnswerScope, GridCounterfactualParams, Target};
use xai_testkit::conformance::black_box;
use xai_testkit::{Linear, Logistic, Suite};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 4), |(i, j)| {
        ((i * 4 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

/// Two outputs whose larger is decided by a plane.
fn model() -> Linear {
    Linear::outputs(array![[1.0, -2.0, 0.5, 0.1], [-1.0, 2.0, -0.5, -0.1]], array![0.3, -0.3])
}

#[track_caller]
fn conforms(params: GridCounterfactualParams) {
    let params = params.with_default_numerical_step_size(0.2);
    let explainer = params.fit(&rows(8, 0.3), Features::unnamed(4).unwrap()).unwrap();
    Suite { explainer: &explainer, view: black_box, model: &model(), inputs: rows(3, 0.7) }.run();
}

#[test]
fn the_default_search_conforms() {
    conforms(GridCounterfactualParams::default());
}

#[test]
fn the_references_search_conforms() {
    let semantics = Semantics::Reference;
    conforms(
        GridCounterfactualParams::default().with_semantics(semantics).with_normalise_distance(true),
    );
}

#[test]
fn a_search_for_an_interval_that_is_never_reached_conforms() {
    let never = Target::Interval { output: 1, min: Some(100.0), max: None };
    let counterfactual_class = Some(never);
    conforms(GridCounterfactualParams::default().with_counterfactual_class(counterfactual_class));
}

#[test]
fn a_pruned_search_conforms() {
    let params = GridCounterfactualParams::default().with_prune_supersets(true).with_first_batch(3);
    conforms(params);
}

#[test]
fn a_search_for_the_closest_of_all_conforms() {
    let answers = AnswerScope::Closest;
    conforms(GridCounterfactualParams::default().with_answers(answers).with_first_batch(2));
}

#[test]
fn a_search_of_a_probability_conforms() {
    let explainer = GridCounterfactualParams::default()
        .with_default_numerical_step_size(0.2)
        .fit(&rows(8, 0.3), Features::unnamed(4).unwrap())
        .unwrap();
    let model = Logistic::new(&[1.0, -2.0, 0.5, 0.1], 0.3);
    Suite { explainer: &explainer, view: black_box, model: &model, inputs: rows(3, 0.7) }.run();
}
