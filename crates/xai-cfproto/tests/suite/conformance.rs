//! The rules every explainer keeps to, with and without gradients, prototypes and categories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_cfproto::{CfProto, CfProtoModel, CfProtoParams};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Run, Semantics};
use xai_testkit::{Linear, Probe, Suite};

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

fn white_box<'p>(probe: &'p Probe<'p>) -> CfProtoModel<'p> {
    CfProtoModel::white_box(probe)
}

fn black_box<'p>(probe: &'p Probe<'p>) -> CfProtoModel<'p> {
    CfProtoModel::black_box(probe)
}

fn small() -> CfProtoParams {
    CfProtoParams::default().with_max_iterations(20).with_c_steps(3)
}

#[track_caller]
fn conforms(explainer: &CfProto, view: for<'p> fn(&'p Probe<'p>) -> CfProtoModel<'p>) {
    Suite { explainer, view, model: &model(), inputs: rows(3, 0.7) }.run();
}

#[test]
fn a_white_box_without_training_rows_conforms() {
    conforms(&small().build(Features::unnamed(4).unwrap()).unwrap(), white_box);
}

#[test]
fn a_black_box_with_training_rows_conforms() {
    let model = model();
    let features = Features::unnamed(4).unwrap();
    let params = small().with_use_kdtree(true).with_theta(1.0).with_threshold(0.5);
    let view = CfProtoModel::black_box(&model);
    let explainer = params.fit(view, &rows(20, 0.3), features, &mut Run::seeded(0)).unwrap();
    conforms(&explainer, black_box);
}

#[test]
fn the_references_search_conforms() {
    for view in [white_box, black_box] {
        let params = small().with_semantics(Semantics::Reference).with_c_init(1000.0);
        conforms(&params.build(Features::unnamed(4).unwrap()).unwrap(), view);
    }
}

#[test]
fn a_search_that_finds_nothing_conforms() {
    let range = Some((vec![-1.0; 4].into(), vec![1.0; 4].into()));
    let params = small().with_kappa(100.0).with_feature_range(range);
    conforms(&params.build(Features::unnamed(4).unwrap()).unwrap(), white_box);
}

#[test]
fn categories_conform() {
    // A category in two columns and two quantities; the suite's rows are made of its codes.
    let category = Feature::categorical("kind", ["a", "b"], Encoding::OneHot);
    let features =
        Features::new(vec![category, Feature::numeric("u"), Feature::numeric("v")]).unwrap();
    let coded = |n: usize, offset: f64| {
        let mut rows = rows(n, offset);
        for (row, mut cells) in rows.rows_mut().into_iter().enumerate() {
            let code = f64::from(u8::from(row % 3 == 0));
            (cells[0], cells[1]) = (code, 1.0 - code);
        }
        rows
    };
    let model = model();
    for view in [CfProtoModel::white_box(&model), CfProtoModel::black_box(&model)] {
        let params = small().with_widen_range(true);
        let explainer =
            params.fit(view, &coded(20, 0.3), features.clone(), &mut Run::seeded(0)).unwrap();
        let white = matches!(view.model, xai_core::ModelRef::WhiteBox(_));
        let view = if white { white_box } else { black_box };
        let suite = Suite { explainer: &explainer, view, model: &model, inputs: coded(3, 0.7) };
        suite.run();
    }
}
