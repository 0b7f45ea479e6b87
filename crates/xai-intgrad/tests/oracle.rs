//! Attributions with a closed form.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares exact numbers"
)]

mod models;

use models::{Formula, Staged, Step, network};
use ndarray::{Array1, Array2, array};
use xai_core::tabular::Features;
use xai_core::{CentralDifference, Differentiable, Explainer, Run, Semantics};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    BaselineValue, Baselines, InputTensor, IntegratedGradientsData, IntegratedGradientsParams,
    Status, Target,
};
use xai_testkit::{Linear, Logistic};

const FIVE: [Method; 5] = [
    Method::RiemannLeft,
    Method::RiemannRight,
    Method::RiemannMiddle,
    Method::RiemannTrapezoid,
    Method::GaussLegendre,
];

fn explain(
    params: IntegratedGradientsParams,
    model: &dyn Differentiable,
    x: &Array1<f64>,
) -> IntegratedGradientsData {
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    explainer.explain(model, x, Run::seeded(0)).unwrap().data
}

#[track_caller]
fn close(got: &IntegratedGradientsData, expected: &[f64]) {
    assert_eq!(got.attributions[0].len(), expected.len());
    for (got, expected) in got.attributions[0].iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{got} for {expected}");
    }
}

fn squares() -> Formula {
    Formula {
        n_features: 3,
        f: |x| 2.0 * x[0] * x[0] - 3.0 * x[1] * x[1] + 0.5 * x[2] * x[2],
        gradient: |x| vec![4.0 * x[0], -6.0 * x[1], x[2]],
    }
}

/// A linear function has the same gradient everywhere: `w_i (x_i - b_i)`, by any rule whose weights add up to 1.
#[test]
fn linear_models_are_exact() {
    let model = Linear::new(&[2.0, -3.0], 0.7);
    let x = array![1.0, 2.0];
    for method in FIVE.into_iter().chain([Method::ClenshawCurtis]) {
        for n_steps in [2, 10, 51] {
            let params = IntegratedGradientsParams { method, n_steps, ..Default::default() };
            let data = explain(params.clone(), &model, &x);
            close(&data, &[2.0, -6.0]);
            assert!(data.deltas[0].abs() <= 1e-12);
            assert_eq!(data.status, Status::Fixed);
            let baselines = Baselines::Row(vec![0.25, -1.0]);
            close(
                &explain(IntegratedGradientsParams { baselines, ..params }, &model, &x),
                &[1.5, -9.0],
            );
        }
    }
    // The reference's trapezoid loses one step of ten.
    let params = IntegratedGradientsParams {
        method: Method::RiemannTrapezoid,
        n_steps: 10,
        semantics: Semantics::Reference,
        ..Default::default()
    };
    close(&explain(params, &model, &x), &[1.8, -5.4]);
}

/// `a x^2` has the attribution `a (x^2 - b^2)`. From 0, with gradients `2 a x alpha`, the rules give
/// `2 a x^2 sum_k w_k alpha_k`: 1 for the symmetric ones, `(n - 1) / n` for the left, `(n + 1) / n` for the right.
#[test]
fn squares_follow_the_first_moment() {
    let x = array![1.5, -2.0, 3.0];
    let exact = [2.0 * 2.25, -3.0 * 4.0, 0.5 * 9.0];
    for n_steps in [3, 10, 50] {
        let n = n_steps as f64;
        for method in FIVE.into_iter().chain([Method::ClenshawCurtis]) {
            let factor = match method {
                Method::RiemannLeft => (n - 1.0) / n,
                Method::RiemannRight => (n + 1.0) / n,
                _ => 1.0,
            };
            let params = IntegratedGradientsParams { method, n_steps, ..Default::default() };
            let data = explain(params, &squares(), &x);
            close(&data, &exact.map(|value| factor * value));
            let gap = (factor - 1.0) * exact.iter().sum::<f64>();
            assert!((data.deltas[0] - gap).abs() <= 1e-12);
            let change = exact.iter().sum::<f64>();
            assert!((data.relative_deltas[0] - gap / change.abs()).abs() <= 1e-12);
        }
    }
    let baselines = Baselines::Row(vec![1.0, -1.0, 0.5]);
    let data =
        explain(IntegratedGradientsParams { baselines, ..Default::default() }, &squares(), &x);
    close(&data, &[2.0 * 1.25, -3.0 * 3.0, 0.5 * 8.75]);
}

/// `x^3` from 0 gives `3 x^3 sum_k w_k alpha_k^2`: for the middles `1 - 1 / (4 n^2)` of the truth.
#[test]
fn cubes_follow_the_second_moment() {
    let cube =
        Formula { n_features: 1, f: |x| x[0].powi(3), gradient: |x| vec![3.0 * x[0] * x[0]] };
    let check = |method, n_steps, factor: f64| {
        let params = IntegratedGradientsParams { method, n_steps, ..Default::default() };
        close(&explain(params, &cube, &array![2.0]), &[8.0 * factor]);
    };
    check(Method::RiemannMiddle, 4, 0.984_375);
    for n in [4, 10, 50] {
        check(Method::RiemannMiddle, n, 1.0 - 1.0 / (4.0 * (n * n) as f64));
        check(Method::GaussLegendre, n, 1.0);
        check(Method::ClenshawCurtis, n, 1.0);
    }
    check(Method::GaussLegendre, 2, 1.0);
}

/// The product of two numbers from 0 is shared equally: `x_0 x_1 / 2` each.
#[test]
fn products_are_shared() {
    let product = Formula { n_features: 2, f: |x| x[0] * x[1], gradient: |x| vec![x[1], x[0]] };
    for method in [Method::RiemannMiddle, Method::RiemannTrapezoid, Method::GaussLegendre] {
        let params = IntegratedGradientsParams { method, ..Default::default() };
        close(&explain(params, &product, &array![3.0, 5.0]), &[7.5, 7.5]);
    }
}

/// `1 - max(1 - x, 0)` is flat at 2, and still its attribution is 1: half of the path has the slope 1 (the sensitivity
/// axiom of the paper). The rules see the share of their weight before the kink.
#[test]
fn the_sensitivity_axiom_holds_where_the_gradient_vanishes() {
    let kinked = Formula {
        n_features: 1,
        f: |x| 1.0 - (1.0 - x[0]).max(0.0),
        gradient: |x| vec![f64::from(u8::from(x[0] < 1.0))],
    };
    let at = |method, n_steps| {
        let params = IntegratedGradientsParams { method, n_steps, ..Default::default() };
        explain(params, &kinked, &array![2.0]).attributions[0][[0]]
    };
    for n in [10, 50] {
        for method in [Method::RiemannLeft, Method::RiemannMiddle, Method::GaussLegendre] {
            assert!((at(method, n) - 1.0).abs() <= 1e-12, "{method:?} {n}");
        }
    }
    let near =
        |got: f64, expected: f64, digits: f64| assert!((got - expected).abs() < digits, "{got}");
    near(at(Method::RiemannRight, 10), 0.8, 1e-12);
    near(at(Method::RiemannRight, 50), 0.96, 1e-12);
    near(at(Method::RiemannLeft, 51), 52.0 / 51.0, 1e-12);
    near(at(Method::GaussLegendre, 51), 0.9695, 5e-5);
}

/// A single score stands for one class, and one minus it for the other: the attributions of the two are opposite.
#[test]
fn one_output_has_two_targets() {
    let model = Logistic::new(&[2.0, -3.0], 0.5);
    let x = array![1.0, 2.0];
    let of = |target: Option<usize>, semantics| {
        let target = target.map(Target::Index);
        explain(IntegratedGradientsParams { target, semantics, ..Default::default() }, &model, &x)
    };
    let sigmoid = |score: f64| 1.0 / (1.0 + (-score).exp());
    let change = sigmoid(-3.5) - sigmoid(0.5);
    assert!((change - -0.593_147).abs() < 1e-6);
    let none = of(None, Semantics::Native);
    let (zero, one) = (of(Some(0), Semantics::Native), of(Some(1), Semantics::Native));
    assert_eq!(none.attributions, one.attributions);
    assert_eq!((none.target.clone(), one.target.clone()), (None, Some(Target::Index(1))));
    for (data, change) in [(&none, change), (&one, change), (&zero, -change)] {
        assert!((data.attributions[0].sum() - change).abs() < 1e-6);
        assert!(data.deltas[0].abs() < 1e-6, "{}", data.deltas[0]);
    }
    assert!((one.output + zero.output - 1.0).abs() < 1e-15);
    assert_eq!(one.predictions, zero.predictions);
    // The reference takes the change of the output with the wrong sign.
    for (target, expected) in [(1, 2.0 * change), (0, -2.0 * change)] {
        let data = of(Some(target), Semantics::Reference);
        assert!((data.deltas[0] - expected).abs() < 1e-6, "{}", data.deltas[0]);
    }
}

#[test]
fn baselines_mean_what_they_say() {
    let model = squares();
    let x = array![1.5, -2.0, 3.0];
    let with = |baselines| {
        explain(IntegratedGradientsParams { baselines, ..Default::default() }, &model, &x)
    };
    let attribution = |b: &[f64; 3]| {
        [2.0, -3.0, 0.5]
            .iter()
            .zip(&x)
            .zip(b)
            .map(|((a, x), b)| a * (x * x - b * b))
            .collect::<Vec<_>>()
    };
    close(&with(Baselines::Constant(0.5)), &attribution(&[0.5; 3]));
    close(&with(Baselines::Row(vec![1.0, 2.0, -1.0])), &attribution(&[1.0, 2.0, -1.0]));
    let (one, two) = ([1.0, 2.0, -1.0], [0.0, 0.5, 3.0]);
    let rows = Array2::from_shape_vec((2, 3), [one, two].concat()).unwrap();
    let several: Baselines = serde_json::from_value(serde_json::json!({
        "rows": [one, two], "weights": [1.0, 3.0]
    }))
    .unwrap();
    let mean: Vec<f64> = attribution(&one)
        .iter()
        .zip(attribution(&two))
        .map(|(one, two)| 0.25 * one + 0.75 * two)
        .collect();
    let data = with(several);
    close(&data, &mean);
    assert_eq!(data.baseline_weights, array![0.25, 0.75]);
    assert_eq!(data.baselines[0], rows.clone().into_dyn());
    assert_eq!((data.deltas.len(), data.steps.len()), (2, 2));
    assert!(data.deltas.iter().all(|delta| delta.abs() < 1e-12));
    // Each baseline has its own output.
    for (output, b) in data.baseline_outputs.iter().zip([one, two]) {
        assert!(
            (output - (2.0 * b[0] * b[0] - 3.0 * b[1] * b[1] + 0.5 * b[2] * b[2])).abs() < 1e-12
        );
    }
    let params = IntegratedGradientsParams {
        inputs: vec![InputTensor::new("a", &[1]), InputTensor::new("b", &[2])],
        baselines: Baselines::PerInput(
            [("b".to_owned(), BaselineValue::Values(vec![2.0, -1.0]))].into(),
        ),
        ..Default::default()
    };
    let data = explain(params, &model, &x);
    let expected = attribution(&[0.0, 2.0, -1.0]);
    assert!((data.attributions[0][[0]] - expected[0]).abs() < 1e-12);
    assert!((data.attributions[1][[1]] - expected[2]).abs() < 1e-12);
    assert_eq!(data.baselines[1], array![[2.0, -1.0]].into_dyn());
}

/// Without the factor it is the mean gradient: that of `a x^2` between `b` and `x` is `a (x + b)`.
#[test]
fn mean_gradients_are_not_multiplied() {
    let params = IntegratedGradientsParams {
        multiply_by_inputs: false,
        baselines: Baselines::Constant(1.0),
        ..Default::default()
    };
    let data = explain(params, &squares(), &array![1.5, -2.0, 3.0]);
    close(&data, &[2.0 * 2.5, -3.0 * -1.0, 0.5 * 4.0]);
    // The gap is that of the products all the same.
    assert!(data.deltas[0].abs() < 1e-12);
}

/// `sum_i a_i m_i` with the mask `m` handed on: `m_i (a_i - b_i)`, and the mask keeps its value on the whole path.
#[test]
fn masks_are_handed_on_as_they_are() {
    let masked = Formula {
        n_features: 4,
        f: |x| x[0] * x[2] + x[1] * x[3] * x[3],
        gradient: |x| vec![x[2], x[3] * x[3], x[0], 2.0 * x[1] * x[3]],
    };
    let params = IntegratedGradientsParams {
        inputs: vec![InputTensor::new("a", &[2, 1]), InputTensor::passed("mask", &[2])],
        baselines: Baselines::Constant(0.5),
        ..Default::default()
    };
    let x = array![3.0, 4.0, 1.0, 2.0];
    let data = explain(params.clone(), &masked, &x);
    close(&data, &[2.5, 14.0]);
    assert_eq!(data.attributions[0].shape(), [2, 1]);
    assert_eq!(data.forward_kwargs["mask"], array![1.0, 2.0].into_dyn());
    assert_eq!((data.input_names.len(), &*data.input_names[0]), (1, "a"));
    // Without the factor the mask has no attributions either.
    let params = IntegratedGradientsParams { multiply_by_inputs: false, ..params };
    close(&explain(params, &masked, &x), &[1.0, 4.0]);
}

/// An affine layer takes straight lines to straight lines, so that the attributions to its outputs add up to those to its
/// inputs, and the cut in front of the first layer is none at all.
#[test]
fn layers_share_the_change_of_the_output() {
    let mut model = network("diabetes_mlp");
    let affine = model.stages[0].1.remove(0);
    model.stages.insert(0, ("affine", vec![affine]));
    let x = Array1::from_shape_fn(10, |i| (i as f64 * 0.618).fract() * 4.0 - 2.0);
    let at = |layer: Option<&str>, attribute_to_layer_inputs| {
        let layer = layer.map(str::to_owned);
        let params = IntegratedGradientsParams {
            layer,
            attribute_to_layer_inputs,
            n_steps: 20,
            ..Default::default()
        };
        explain(params, &model, &x)
    };
    let inputs = at(None, false);
    let affine = at(Some("affine"), false);
    assert_eq!(affine.attributions[0].len(), 20);
    assert_eq!(
        (affine.names.clone(), affine.input_names.clone()),
        (vec!["affine".to_owned()], vec!["input".to_owned()])
    );
    let (a, b) = (inputs.attributions[0].sum(), affine.attributions[0].sum());
    assert!((a - b).abs() <= 1e-13, "{a}, {b}");
    assert_eq!(at(Some("affine"), true).attributions, inputs.attributions);
    // In front of the last layer, a linear one: its weights times the change of the hidden units, whatever the rule.
    let last = at(Some("dense1"), true);
    let Step::Dense { weight, .. } = &model.stages[2].1[0] else { panic!("a dense layer") };
    let hidden = |x: &Array1<f64>| {
        let body = Staged { stages: model.stages[..2].to_vec() };
        Run::seeded(0)
            .predict(&body, &x.view().insert_axis(ndarray::Axis(0)))
            .unwrap()
            .row(0)
            .to_owned()
    };
    let expected = (hidden(&x) - hidden(&Array1::zeros(10))) * weight.row(0);
    close(&last, &expected.to_vec());
    assert!(last.deltas[0].abs() <= 1e-13);
}

/// Central differences of a square are exact but for rounding over the step.
#[test]
fn black_boxes_cost_two_queries_for_each_column() {
    let model = squares();
    let numeric = CentralDifference::new(&model);
    let x = array![1.5, -2.0, 3.0];
    let explainer = IntegratedGradientsParams { n_steps: 10, ..Default::default() }
        .build(Features::unnamed(3).unwrap())
        .unwrap();
    let explanation = explainer.explain(&numeric, &x, Run::seeded(0)).unwrap();
    assert_eq!(explanation.meta.queries, 2 + 10 * 2 * 3);
    for (got, expected) in explanation.data.attributions[0].iter().zip([4.5, -12.0, 4.5]) {
        assert!((got - expected).abs() < 1e-8, "{got}");
    }
}

/// Smooth models need few points: the gap of a tanh network falls below the tolerance, and the estimate of the quadrature's
/// error is above the error.
#[test]
fn refinement_ends_within_its_tolerance() {
    let model = network("diabetes_mlp");
    let x = Array1::from_shape_fn(10, |i| (i as f64 * 0.618).fract() * 4.0 - 2.0);
    let exact =
        explain(IntegratedGradientsParams { n_steps: 400, ..Default::default() }, &model, &x);
    for (tolerance, most) in [(1e-3, 9), (1e-6, 33), (1e-10, 65)] {
        let params = IntegratedGradientsParams {
            method: Method::ClenshawCurtis,
            n_steps: 5,
            tolerance: Some(tolerance),
            absolute_tolerance: 0.0,
            ..Default::default()
        };
        let explainer = params.build(Features::unnamed(10).unwrap()).unwrap();
        let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        let data = explanation.data;
        assert_eq!(data.status, Status::Converged);
        assert!(data.relative_deltas[0].abs() <= tolerance, "{}", data.relative_deltas[0]);
        assert!(data.steps[0] <= most, "{} points for {tolerance}", data.steps[0]);
        // No gradient was asked for twice.
        assert_eq!(explanation.meta.queries, 2 + data.steps[0] as u64);
        let errors = &data.quadrature_errors.as_ref().unwrap()[0];
        for (index, error) in errors.indexed_iter() {
            let off = (data.attributions[0][&index] - exact.attributions[0][&index]).abs();
            assert!(off <= error + 1e-13, "off by {off}, estimated {error}");
        }
    }
}

#[test]
fn refinement_says_when_its_steps_were_not_enough() {
    let model = network("cancer_mlp");
    let x = Array1::from_shape_fn(30, |i| (i as f64 * 0.618).fract() * 6.0 - 3.0);
    let params = IntegratedGradientsParams {
        method: Method::ClenshawCurtis,
        n_steps: 9,
        tolerance: Some(1e-12),
        absolute_tolerance: 0.0,
        max_steps: 40,
        target: Some(Target::Index(0)),
        ..Default::default()
    };
    let explainer = params.build(Features::unnamed(30).unwrap()).unwrap();
    let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    let data = explanation.data;
    assert_eq!((data.status, data.steps[0], data.stop), (Status::MaxSteps, 33, None));
    assert!(data.reason.contains("`max_steps`"), "{}", data.reason);
    assert_eq!(explanation.meta.queries, 2 + 33);
    // The same points as the rule by itself.
    let fixed = IntegratedGradientsParams {
        method: Method::ClenshawCurtis,
        n_steps: 33,
        target: Some(Target::Index(0)),
        ..Default::default()
    };
    for (a, b) in explain(fixed, &model, &x).attributions[0].iter().zip(&data.attributions[0]) {
        assert!((a - b).abs() <= 1e-13, "{a}, {b}");
    }
}

/// The output at equal steps, ends included: for a square from 0 the squares of the steps.
#[test]
fn curves_follow_the_output() {
    let params = IntegratedGradientsParams {
        curve: true,
        n_steps: 4,
        baselines: Baselines::several(array![[0.0, 0.0, 0.0], [1.5, -2.0, 3.0]]),
        ..Default::default()
    };
    let explainer = params.build(Features::unnamed(3).unwrap()).unwrap();
    let explanation =
        explainer.explain(&squares(), &array![1.5, -2.0, 3.0], Run::seeded(0)).unwrap();
    assert_eq!(explanation.meta.queries, 3 + 2 * 4 + 2 * 3);
    let output = 4.5 - 12.0 + 4.5;
    let shares = array![[0.0, 0.0625, 0.25, 0.5625, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
    assert_eq!(explanation.data.curve.unwrap(), output * shares);
}
