//! What is refused, when, and how it is said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::models::network;
use ndarray::{Array1, array};
use serde_json::json;
use xai_core::figure::Panel;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Error, Explainer, Output, OutputNames, Params, Run, Semantics};
use xai_intgrad::quadrature::{MAX_POINTS, Method};
use xai_intgrad::{Baselines, InputTensor, IntegratedGradientsParams, NoiseTunnel, Target};
use xai_testkit::{Linear, Logistic, Probe, refused};

fn plain() -> IntegratedGradientsParams {
    IntegratedGradientsParams::default()
}

#[test]
fn settings_outside_their_range_are_refused_by_name() {
    let one = |method, n_steps| plain().with_method(method).with_n_steps(n_steps);
    refused("n_steps", one(Method::GaussLegendre, 0));
    for method in [Method::RiemannLeft, Method::RiemannTrapezoid, Method::ClenshawCurtis] {
        refused("n_steps", one(method, 1));
    }
    assert!(one(Method::GaussLegendre, 1).check().is_ok());
    refused("n_steps", one(Method::GaussLegendre, MAX_POINTS + 1));
    refused("internal_batch_size", plain().with_internal_batch_size(Some(0)));
    refused("output", plain().with_output(Output::Label));
    refused("output", plain().with_output(Output::Within { tolerance: 1.0, target: 0 }));
    refused("layer_tensors", plain().with_layer_tensors(vec![InputTensor::new("a", &[1])]));
    let layer = Some("dense0".to_owned());
    refused(
        "layer_tensors",
        plain().with_layer(layer).with_layer_tensors(vec![InputTensor::passed("a", &[1])]),
    );
    for inputs in [
        vec![InputTensor::new("a", &[1]), InputTensor::new("a", &[2])],
        vec![InputTensor::new("a", &[])],
        vec![InputTensor::new("a", &[2, 0])],
        vec![InputTensor::new("a", &[usize::MAX, 2])],
        vec![InputTensor::passed("a", &[2])],
    ] {
        refused("inputs", plain().with_inputs(inputs));
    }
    for output_shape in [vec![], vec![0], vec![2, 0]] {
        refused("output_shape", plain().with_output_shape(Some(output_shape)));
    }
    let nested = plain().with_method(Method::ClenshawCurtis);
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused("tolerance", nested.clone().with_tolerance(Some(tolerance)));
    }
    refused("tolerance", plain().with_tolerance(Some(1e-3)));
    for absolute_tolerance in [-1.0, f64::NAN, f64::INFINITY] {
        refused("absolute_tolerance", plain().with_absolute_tolerance(absolute_tolerance));
    }
    let refine = nested.with_tolerance(Some(1e-3));
    for max_steps in [0, 50, MAX_POINTS + 1] {
        refused("max_steps", refine.clone().with_max_steps(max_steps));
    }
    assert!(refine.clone().with_max_steps(51).check().is_ok());
    let noise = |n_samples, stdev| {
        plain().with_noise_tunnel(Some(
            NoiseTunnel::default().with_n_samples(n_samples).with_stdev(stdev),
        ))
    };
    refused("n_samples", noise(1, 1.0));
    for stdev in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused("stdev", noise(5, stdev));
    }
    let baselines = Baselines::distribution(array![[0.0]], 5);
    refused("noise_tunnel", noise(5, 1.0).with_baselines(baselines.clone()));
    refused("curve", plain().with_baselines(baselines.clone()).with_curve(true));
    refused("tolerance", refine.with_baselines(baselines));
}

#[test]
fn baselines_outside_their_range_are_refused() {
    let with = |baselines| plain().with_baselines(baselines);
    for bad in [f64::NAN, f64::INFINITY] {
        refused("baselines", with(Baselines::Constant(bad)));
        refused("baselines", with(Baselines::Row(vec![0.0, bad])));
        refused("baselines", with(Baselines::several(array![[0.0, bad]])));
    }
    refused("baselines", with(Baselines::several(ndarray::Array2::zeros((0, 2)))));
    let read = |value: serde_json::Value| with(serde_json::from_value(value).unwrap());
    for weights in [json!([1.0]), json!([0.0, 0.0]), json!([-1.0, 2.0])] {
        refused("baselines", read(json!({ "rows": [[0.0], [1.0]], "weights": weights })));
    }
    refused("n_samples", read(json!({ "distribution": [[0.0]], "n_samples": 1 })));
    refused("stdev", read(json!({ "distribution": [[0.0]], "stdev": -1.0 })));
    // What depends on the columns is refused when they are known.
    let build = |baselines| with(baselines).build(Features::unnamed(2).unwrap()).unwrap_err();
    for baselines in [Baselines::Row(vec![1.0]), Baselines::several(array![[1.0, 2.0, 3.0]])] {
        assert!(matches!(build(baselines), Error::Shape { .. }));
    }
    for (inputs, allowed) in [
        (json!({ "input": 0.5 }), true),
        (json!({ "input": [1.0, 2.0] }), true),
        (json!({ "input": [1.0] }), false),
        (json!({ "other": 1.0 }), false),
    ] {
        let baselines = serde_json::from_value(inputs).unwrap();
        assert_eq!(with(baselines).build(Features::unnamed(2).unwrap()).is_ok(), allowed);
    }
}

/// Targets that the model does not have: refused before a gradient, and before any call where the shape is known.
#[test]
fn impossible_targets_are_refused() {
    let network = network("iris_mlp");
    let x = array![0.1, 0.2, 0.3, 0.4];
    let single = Logistic::new(&[1.0, 2.0, 3.0, 4.0], 0.0);
    let message = |params: IntegratedGradientsParams, one: bool| {
        let model: &dyn xai_core::Differentiable = if one { &single } else { &network };
        let probe = Probe::new(model);
        let explainer = params.build(Features::unnamed(4).unwrap())?;
        let result = explainer.explain(&probe, &x, Run::seeded(0));
        // The ends of the path, and no gradient.
        assert_eq!(probe.rows(), if result.is_err() { 2 } else { 2 + 50 });
        result.map(|_| ())
    };
    let target = |target| plain().with_target(Some(target));
    let shaped = |shape: &[usize], own: Option<Target>| {
        plain().with_output_shape(Some(shape.to_vec())).with_target(own)
    };
    let check = |params: IntegratedGradientsParams, one: bool, expected: &str| {
        assert_eq!(message(params, one).unwrap_err().to_string(), expected);
    };
    check(plain(), false, "parameter `target` must be given for the model's 3 outputs, got none");
    check(
        target(Target::Index(3)),
        false,
        "parameter `target` must be within the model's 3 outputs, got 3",
    );
    check(
        target(Target::Position(vec![0, 1])),
        false,
        "parameter `target` must be 1 indices, one for each axis of the model's 3 outputs, got [0,1]",
    );
    check(
        target(Target::Index(2)),
        true,
        "parameter `target` must be 0 or 1 for a model with one output, got 2",
    );
    let predicted = target(Target::Predicted);
    check(
        shaped(&[2, 2], Some(Target::Position(vec![0, 1]))),
        false,
        "the model's output must have shape [4], got [3]",
    );
    for params in [
        shaped(&[3, 1], Some(Target::Index(0))),
        shaped(&[3, 1], Some(Target::Position(vec![0, 1]))),
        shaped(&[3, 1], None),
        shaped(&[3], None),
        shaped(&[1], Some(Target::Index(2))),
    ] {
        refused("target", params);
    }
    for params in [
        target(Target::Index(2)),
        target(Target::Position(vec![2])),
        shaped(&[3, 1], Some(Target::Position(vec![2, 0]))),
        predicted.clone(),
    ] {
        message(params, false).unwrap();
    }
    // The class that a probability predicts; the reference takes the first of one.
    message(predicted.clone(), true).unwrap();
    message(predicted.with_semantics(Semantics::Reference), true).unwrap();
}

#[test]
fn the_largest_output_is_found_on_several_axes() {
    let params = plain().with_output_shape(Some(vec![3, 1])).with_target(Some(Target::Predicted));
    let model = Linear::outputs(array![[1.0], [3.0], [2.0]], array![0.0, 0.0, 0.0]);
    let explainer = params.build(Features::unnamed(1).unwrap()).unwrap();
    let data = explainer.explain(&model, &array![1.0], Run::seeded(0)).unwrap().data;
    assert_eq!(data.target, Some(Target::Position(vec![1, 0])));
    assert_eq!((data.output, data.predictions.shape()), (3.0, &[3, 1][..]));
}

#[test]
fn layers_that_do_not_exist_or_fit_are_refused() {
    let model = network("iris_mlp");
    let x = array![0.1, 0.2, 0.3, 0.4];
    let error = |layer: &str, shape: &[usize]| {
        let params = plain()
            .with_layer(Some(layer.to_owned()))
            .with_layer_tensors(vec![InputTensor::new("hidden", shape)])
            .with_target(Some(Target::Index(0)));
        let probe = Probe::new(&model);
        let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
        (explainer.explain(&probe, &x, Run::seeded(0)).unwrap_err(), probe.calls())
    };
    let (unknown, calls) = error("dense7", &[16]);
    assert!(matches!(&unknown, Error::Param(param) if param.name == "layer"), "{unknown}");
    assert_eq!(calls, 0);
    let (width, calls) = error("dense0", &[5, 3]);
    assert!(
        matches!(&width, Error::Shape { expected, got, .. } if *expected == [16] && *got == [15])
    );
    assert_eq!(calls, 2);
}

#[test]
fn inputs_must_fit_the_columns() {
    let inputs = vec![InputTensor::new("a", &[2, 2])];
    let params = plain().with_inputs(inputs);
    assert!(params.clone().build(Features::unnamed(4).unwrap()).is_ok());
    assert!(params.clone().build_inputs().is_ok());
    assert!(matches!(params.build(Features::unnamed(5).unwrap()), Err(Error::Shape { .. })));
    let error = plain().build_inputs().unwrap_err();
    assert!(matches!(&error, Error::Param(param) if param.name == "inputs"));
}

/// The settings as they stand in files: short forms are read, unknown names refused.
#[test]
fn settings_are_read_from_json() {
    let read = |value| serde_json::from_value::<IntegratedGradientsParams>(value);
    let params = read(json!({
        "method": "riemann-trapezoid", "n_steps": 20, "internal_batch_size": null, "target": [0, 1],
        "baselines": 0, "inputs": [{ "name": "a", "shape": [2] }, { "name": "m", "shape": [1], "attributed": false }],
        "output_shape": [2, 2], "noise_tunnel": { "type": "vargrad" }, "semantics": "reference"
    }))
    .unwrap();
    assert_eq!(params.target, Some(Target::Position(vec![0, 1])));
    assert_eq!(params.baselines, Baselines::Constant(0.0));
    for (text, expected) in [
        (json!("predicted"), Target::Predicted),
        (json!("malignant"), Target::Class("malignant".to_owned())),
        (json!(2), Target::Index(2)),
    ] {
        assert_eq!(serde_json::from_value::<Target>(text.clone()).unwrap(), expected);
        assert_eq!(serde_json::to_value(expected).unwrap(), text);
    }
    let again = serde_json::to_value(&params).unwrap();
    assert_eq!(read(again).unwrap(), params);
    assert_eq!(serde_json::to_value(plain()).unwrap()["method"], "gauss-legendre");
    for wrong in [
        json!({ "steps": 5 }),
        json!({ "target": -1 }),
        json!({ "target": 0.5 }),
        json!({ "method": "simpson" }),
        json!({ "baselines": { "rows": [[0.0]], "n_samples": 5 } }),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}

/// Whole numbers and fractions mix: the path of a whole instance starts at a fraction.
#[test]
fn baselines_of_whole_instances_keep_their_fractions() {
    let params = plain().with_baselines(Baselines::Constant(0.5));
    let explainer = params.build(Features::unnamed(2).unwrap()).unwrap();
    let model = Linear::new(&[1.0, 1.0], 0.0);
    let data = explainer.explain(&model, &array![1.0, 3.0], Run::seeded(0)).unwrap().data;
    assert_eq!(data.baselines[0], array![[0.5, 0.5]].into_dyn());
    assert!((data.attributions[0][[1]] - 2.5).abs() < 1e-12);
}

#[test]
fn figures_show_columns_as_bars_and_pixels_as_maps() {
    let features = Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("job", ["clerk", "nurse"], Encoding::OneHot),
    ]);
    let model = Linear::new(&[1.0, -4.0, 2.0], 0.0);
    let explainer = plain().build(features.unwrap()).unwrap();
    let data = explainer.explain(&model, &array![3.0, 1.0, 0.0], Run::seeded(0)).unwrap().data;
    let figure = data.figure(&OutputNames::default());
    let [Panel::Table(table), Panel::Bars(bars)] = &figure.panels[..] else { panic!("{figure:?}") };
    assert_eq!(table.rows[0], ["output", "-1.0000", "0.0000", "-1.0000", "-1.0000"]);
    let named = data.figure(&OutputNames::new(["price"]));
    let [Panel::Table(table), _] = &named.panels[..] else { panic!("{named:?}") };
    assert_eq!(table.rows[0][0], "price");
    let labels: Vec<(&str, &str)> =
        bars.bars.iter().map(|bar| (&*bar.label, &*bar.detail)).collect();
    assert_eq!(labels, [("job=clerk", "1"), ("age", "3"), ("job=nurse", "0")]);

    let map = |shape: &[usize]| {
        let inputs = vec![InputTensor::new("image", shape)];
        let params = plain().with_inputs(inputs);
        let n = shape.iter().product::<usize>();
        let weights: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let explainer = params.build_inputs().unwrap();
        let x = Array1::ones(n);
        explainer
            .explain(&Linear::new(&weights, 0.0), &x, Run::seeded(0))
            .unwrap()
            .data
            .figure(&OutputNames::default())
            .panels
            .remove(1)
    };
    // Channels are added up, wherever they stand.
    for (shape, expected) in [
        (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        (vec![2, 2, 3], vec![3.0, 12.0, 21.0, 30.0]),
        (
            vec![3, 5, 2],
            vec![
                1.0, 5.0, 9.0, 13.0, 17.0, 21.0, 25.0, 29.0, 33.0, 37.0, 41.0, 45.0, 49.0, 53.0,
                57.0,
            ],
        ),
    ] {
        let Panel::HeatMap(map) = map(&shape) else { panic!("a map of {shape:?}") };
        assert_eq!((map.height, map.width), (shape[0], shape[1]));
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(map.values.iter().zip(&expected).all(close), "{:?}", map.values);
        assert!((map.limit - expected[expected.len() - 1]).abs() < 1e-12);
    }
    let Panel::Bars(bars) = map(&[1, 3]) else { panic!("one row is no image") };
    assert_eq!(bars.bars[0].label, "image[0, 2]");
}
