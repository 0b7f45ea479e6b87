//! The rules every explainer keeps to, for white and black boxes, in both semantics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_cem::{CemModel, CemParams, Mode};
use xai_core::Semantics;
use xai_core::tabular::Features;
use xai_testkit::{Linear, Probe, Suite};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 4), |(i, j)| {
        ((i * 4 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

/// Two scores whose larger is decided by a plane.
fn model() -> Linear {
    Linear::outputs(array![[1.0, -2.0, 0.5, 0.1], [-1.0, 2.0, -0.5, -0.1]], array![0.3, -0.3])
}

fn white_box<'p>(probe: &'p Probe<'p>) -> CemModel<'p> {
    CemModel::white_box(probe)
}

fn black_box<'p>(probe: &'p Probe<'p>) -> CemModel<'p> {
    CemModel::black_box(probe)
}

#[track_caller]
fn conforms(params: CemParams, view: for<'p> fn(&'p Probe<'p>) -> CemModel<'p>) {
    let params = params.with_max_iterations(12).with_c_steps(3);
    let explainer = params.fit(&rows(8, 0.3), Features::unnamed(4).unwrap()).unwrap();
    Suite { explainer: &explainer, view, model: &model(), inputs: rows(3, 0.7) }.run();
}

#[test]
fn negatives_of_a_white_box_conform() {
    conforms(CemParams::default(), white_box);
}

#[test]
fn negatives_of_a_black_box_conform() {
    conforms(CemParams::default(), black_box);
}

#[test]
fn positives_of_a_black_box_conform() {
    conforms(CemParams::default().with_mode(Mode::PertinentPositive), black_box);
}

#[test]
fn the_references_search_conforms() {
    let semantics = Semantics::Reference;
    conforms(CemParams::default().with_semantics(semantics), white_box);
    conforms(CemParams::default().with_semantics(semantics).with_update_num_grad(2), black_box);
}

#[test]
fn a_search_that_finds_nothing_conforms() {
    conforms(CemParams::default().with_kappa(1e6), black_box);
}
