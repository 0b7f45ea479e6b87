//! The rules every explainer keeps to, as a white box, as a black box and in both semantics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, array};
use xai_core::constraints::{Constraint, Constraints};
use xai_core::tabular::Features;
use xai_core::{ModelRef, PerFeature, Semantics};
use xai_counterfactual::{CounterfactualParams, DistanceFn};
use xai_testkit::{Network, Probe, Suite};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 4), |(i, j)| {
        ((i * 4 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

/// Three classes of a plane each.
fn model() -> Network {
    let weights = array![[1.0, -2.0, 0.5], [-1.0, 2.0, -0.5], [0.3, 0.1, -1.2], [0.7, -0.4, 0.2]];
    Network::tanh(vec![(weights, Array1::zeros(3))]).softmax()
}

fn white_box<'p>(probe: &'p Probe<'p>) -> ModelRef<'p> {
    ModelRef::WhiteBox(probe)
}

fn black_box<'p>(probe: &'p Probe<'p>) -> ModelRef<'p> {
    ModelRef::BlackBox(probe)
}

#[track_caller]
fn conforms(params: CounterfactualParams, view: for<'p> fn(&'p Probe<'p>) -> ModelRef<'p>) {
    let params = params.with_max_iterations(40).with_c_steps(3);
    let explainer = params.fit(&rows(8, 0.3), Features::unnamed(4).unwrap()).unwrap();
    Suite { explainer: &explainer, view, model: &model(), inputs: rows(3, 0.7) }.run();
}

#[test]
fn a_white_box_conforms() {
    conforms(CounterfactualParams::default(), white_box);
}

#[test]
fn a_black_box_conforms() {
    conforms(CounterfactualParams::default(), black_box);
}

#[test]
fn the_references_search_conforms() {
    let semantics = Semantics::Reference;
    let params = CounterfactualParams::default().with_semantics(semantics);
    conforms(params.clone(), white_box);
    conforms(params, black_box);
}

#[test]
fn a_search_that_finds_nothing_conforms() {
    // Three classes of which none can be more than twice as likely as the others in so narrow a range.
    let params = CounterfactualParams::default()
        .with_feature_range((PerFeature::All(-0.1), PerFeature::All(0.1)))
        .with_widen_range(true);
    conforms(params, white_box);
}

#[test]
fn a_constrained_search_conforms() {
    let step = Constraint { step: Some(0.5), ..Default::default() };
    let params = CounterfactualParams::default()
        .with_target_proba(0.8)
        .with_distance_fn(DistanceFn::L1Mad)
        .with_constraints(Constraints { features: [(0.into(), step)].into(), max_changes: Some(2) })
        .with_trace(3);
    conforms(params, black_box);
}
