//! The rules every explainer keeps to, for each kind of path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod models;

use models::network;
use ndarray::Array2;
use xai_core::tabular::Features;
use xai_core::{CentralDifference, Differentiable, Semantics};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    Baselines, InputTensor, IntegratedGradientsParams, NoiseKind, NoiseTunnel, Target,
    TargetFunction,
};
use xai_testkit::{Logistic, Probe, Suite};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 4), |(i, j)| {
        ((i * 4 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

fn differentiable<'p>(probe: &'p Probe<'p>) -> &'p (dyn Differentiable + 'p) {
    probe
}

#[track_caller]
fn conforms_on(model: &dyn Differentiable, params: IntegratedGradientsParams) {
    let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
    Suite { explainer: &explainer, view: differentiable, model, rows: rows(3, 0.7) }.run();
}

#[track_caller]
fn conforms(params: IntegratedGradientsParams) {
    let target_fn = params.target.is_none().then_some(TargetFunction::Argmax);
    let params = IntegratedGradientsParams { target_fn, ..params };
    conforms_on(&network("iris_mlp"), params);
}

#[test]
fn the_default_conforms() {
    conforms(IntegratedGradientsParams::default());
}

#[test]
fn the_reference_semantics_conform() {
    conforms_on(
        &Logistic::new(&[1.0, -2.0, 0.5, 0.1], 0.3),
        IntegratedGradientsParams {
            target: Some(Target::Index(0)),
            method: Method::RiemannTrapezoid,
            semantics: Semantics::Reference,
            ..Default::default()
        },
    );
}

#[test]
fn a_black_box_conforms() {
    let model = Logistic::new(&[1.0, -2.0, 0.5, 0.1], 0.3);
    let params = IntegratedGradientsParams { n_steps: 5, ..Default::default() };
    conforms_on(&CentralDifference::new(&model), params);
}

#[test]
fn several_baselines_with_small_batches_and_a_curve_conform() {
    conforms(IntegratedGradientsParams {
        baselines: Baselines::several(rows(3, 0.2)),
        internal_batch_size: Some(7),
        n_steps: 6,
        curve: true,
        target: Some(Target::Index(2)),
        multiply_by_inputs: false,
        ..Default::default()
    });
}

#[test]
fn one_batch_for_all_conforms() {
    conforms(IntegratedGradientsParams { internal_batch_size: None, ..Default::default() });
}

#[test]
fn layers_conform() {
    for attribute_to_layer_inputs in [false, true] {
        conforms(IntegratedGradientsParams {
            layer: Some("dense1".to_owned()),
            attribute_to_layer_inputs,
            n_steps: 9,
            ..Default::default()
        });
    }
}

#[test]
fn refinement_conforms() {
    for max_steps in [50, 2000] {
        conforms(IntegratedGradientsParams {
            method: Method::ClenshawCurtis,
            n_steps: 5,
            tolerance: Some(1e-3),
            max_steps,
            internal_batch_size: Some(13),
            ..Default::default()
        });
    }
}

#[test]
fn noise_tunnels_conform() {
    for kind in [NoiseKind::SmoothGrad, NoiseKind::SmoothGradSquare, NoiseKind::VarGrad] {
        for tolerance in [None, Some(0.1)] {
            conforms(IntegratedGradientsParams {
                noise_tunnel: Some(NoiseTunnel { kind, n_samples: 6, stdev: 0.3 }),
                method: Method::ClenshawCurtis,
                baselines: Baselines::several(rows(2, 0.2)),
                n_steps: 5,
                max_steps: 17,
                tolerance,
                internal_batch_size: Some(3),
                ..Default::default()
            });
        }
    }
}

#[test]
fn distributions_of_baselines_conform() {
    for (stdev, layer) in [(0.0, None), (0.2, None), (0.2, Some("dense0".to_owned()))] {
        let mut baselines = Baselines::distribution(rows(5, 0.2), 20);
        if let Baselines::Distribution(own) = &mut baselines {
            own.stdev = stdev;
        }
        conforms(IntegratedGradientsParams {
            baselines,
            internal_batch_size: Some(8),
            layer,
            ..Default::default()
        });
    }
}

#[test]
fn inputs_that_are_passed_on_conform() {
    conforms(IntegratedGradientsParams {
        inputs: vec![InputTensor::new("a", &[3]), InputTensor::passed("mask", &[1])],
        ..Default::default()
    });
}
