//! The rules every explainer keeps to, for each kind of path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::models::network;
use ndarray::Array2;
use xai_core::tabular::Features;
use xai_core::{CentralDifference, Differentiable, Semantics};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    Baselines, Distribution, InputTensor, IntegratedGradientsParams, NoiseKind, NoiseTunnel, Target,
};
use xai_testkit::conformance::white_box;
use xai_testkit::{Logistic, Suite};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 4), |(i, j)| {
        ((i * 4 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

#[track_caller]
fn conforms_on(model: &dyn Differentiable, params: IntegratedGradientsParams) {
    let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
    Suite { explainer: &explainer, view: white_box, model, inputs: rows(3, 0.7) }.run();
}

#[track_caller]
fn conforms(params: IntegratedGradientsParams) {
    let target = params.target.clone().or(Some(Target::Predicted));
    let params = params.with_target(target);
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
        IntegratedGradientsParams::default()
            .with_target(Some(Target::Index(0)))
            .with_method(Method::RiemannTrapezoid)
            .with_semantics(Semantics::Reference),
    );
}

#[test]
fn the_predicted_class_of_a_probability_conforms() {
    let model = Logistic::new(&[1.0, -2.0, 0.5, 0.1], 0.3);
    conforms_on(&model, IntegratedGradientsParams::default().with_target(Some(Target::Predicted)));
}

#[test]
fn a_black_box_conforms() {
    let model = Logistic::new(&[1.0, -2.0, 0.5, 0.1], 0.3);
    let params = IntegratedGradientsParams::default().with_n_steps(5);
    conforms_on(&CentralDifference::new(&model), params);
}

#[test]
fn several_baselines_with_small_batches_and_a_curve_conform() {
    conforms(
        IntegratedGradientsParams::default()
            .with_baselines(Baselines::several(rows(3, 0.2)))
            .with_internal_batch_size(Some(7))
            .with_n_steps(6)
            .with_curve(true)
            .with_target(Some(Target::Index(2)))
            .with_multiply_by_inputs(false),
    );
}

#[test]
fn one_batch_for_all_conforms() {
    conforms(IntegratedGradientsParams::default().with_internal_batch_size(None));
}

#[test]
fn layers_conform() {
    for attribute_to_layer_inputs in [false, true] {
        conforms(
            IntegratedGradientsParams::default()
                .with_layer(Some("dense1".to_owned()))
                .with_attribute_to_layer_inputs(attribute_to_layer_inputs)
                .with_n_steps(9),
        );
    }
}

#[test]
fn refinement_conforms() {
    for max_steps in [50, 2000] {
        conforms(
            IntegratedGradientsParams::default()
                .with_method(Method::ClenshawCurtis)
                .with_n_steps(5)
                .with_tolerance(Some(1e-3))
                .with_max_steps(max_steps)
                .with_internal_batch_size(Some(13)),
        );
    }
}

#[test]
fn noise_tunnels_conform() {
    for kind in [NoiseKind::SmoothGrad, NoiseKind::SmoothGradSquare, NoiseKind::VarGrad] {
        for tolerance in [None, Some(0.1)] {
            conforms(
                IntegratedGradientsParams::default()
                    .with_noise_tunnel(Some(
                        NoiseTunnel::default().with_kind(kind).with_n_samples(6).with_stdev(0.3),
                    ))
                    .with_method(Method::ClenshawCurtis)
                    .with_baselines(Baselines::several(rows(2, 0.2)))
                    .with_n_steps(5)
                    .with_max_steps(17)
                    .with_tolerance(tolerance)
                    .with_internal_batch_size(Some(3)),
            );
        }
    }
}

#[test]
fn distributions_of_baselines_conform() {
    for (stdev, layer) in [(0.0, None), (0.2, None), (0.2, Some("dense0".to_owned()))] {
        let drawn = Distribution::new(rows(5, 0.2)).with_n_samples(20).with_stdev(stdev);
        let baselines = Baselines::Distribution(drawn);
        conforms(
            IntegratedGradientsParams::default()
                .with_baselines(baselines)
                .with_internal_batch_size(Some(8))
                .with_layer(layer),
        );
    }
}

#[test]
fn inputs_that_are_passed_on_conform() {
    conforms(
        IntegratedGradientsParams::default()
            .with_inputs(vec![InputTensor::new("a", &[3]), InputTensor::passed("mask", &[1])]),
    );
}
