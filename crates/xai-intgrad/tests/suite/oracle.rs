//! Attributions with a closed form.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares exact numbers"
)]

use crate::models::{Formula, Staged, Step, network};
use ndarray::{Array1, Array2, array};
use xai_core::decision::OutputSource;
use xai_core::tabular::Features;
use xai_core::{
    Attributions, CentralDifference, Differentiable, Error, Explainer, Output, Predictor, Rows,
    Run, Semantics, Status, Stop,
};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    BaselineValue, Baselines, InputTensor, IntegratedGradientsData, IntegratedGradientsParams,
    Target,
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
            let params =
                IntegratedGradientsParams::default().with_method(method).with_n_steps(n_steps);
            let data = explain(params.clone(), &model, &x);
            close(&data, &[2.0, -6.0]);
            assert!(data.deltas[0].abs() <= 1e-12);
            assert_eq!(data.status, Status::Complete);
            let baselines = Baselines::Row(vec![0.25, -1.0]);
            close(&explain(params.with_baselines(baselines), &model, &x), &[1.5, -9.0]);
        }
    }
    // The reference's trapezoid loses one step of ten.
    let params = IntegratedGradientsParams::default()
        .with_method(Method::RiemannTrapezoid)
        .with_n_steps(10)
        .with_semantics(Semantics::Reference);
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
            let params =
                IntegratedGradientsParams::default().with_method(method).with_n_steps(n_steps);
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
        explain(IntegratedGradientsParams::default().with_baselines(baselines), &squares(), &x);
    close(&data, &[2.0 * 1.25, -3.0 * 3.0, 0.5 * 8.75]);
}

/// `x^3` from 0 gives `3 x^3 sum_k w_k alpha_k^2`: for the middles `1 - 1 / (4 n^2)` of the truth.
#[test]
fn cubes_follow_the_second_moment() {
    let cube =
        Formula { n_features: 1, f: |x| x[0].powi(3), gradient: |x| vec![3.0 * x[0] * x[0]] };
    let check = |method, n_steps, factor: f64| {
        let params = IntegratedGradientsParams::default().with_method(method).with_n_steps(n_steps);
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
        let params = IntegratedGradientsParams::default().with_method(method);
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
        let params = IntegratedGradientsParams::default().with_method(method).with_n_steps(n_steps);
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
        explain(
            IntegratedGradientsParams::default().with_target(target).with_semantics(semantics),
            &model,
            &x,
        )
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

/// A model whose classes have names, and which may say what its outputs mean.
struct Named {
    model: Logistic,
    names: Vec<String>,
    output: Option<Output>,
}

impl Named {
    fn new(names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Named { model: Logistic::new(&[2.0, -3.0], 0.5), names, output: None }
    }
}

#[allow(clippy::disallowed_methods, reason = "a model made of a model")]
impl Predictor for Named {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, xai_core::BoxError> {
        self.model.predict(batch)
    }

    fn output(&self) -> Option<Output> {
        self.output.clone()
    }

    fn class_names(&self) -> Option<&[String]> {
        Some(&self.names)
    }
}

#[allow(clippy::disallowed_methods, reason = "a model made of a model")]
impl Differentiable for Named {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, xai_core::BoxError> {
        self.model.vjp(batch, cotangent)
    }
}

/// The classes of a single probability by number, by name and as predicted: the sigmoid of -3.5 is below a half.
#[test]
fn a_single_probability_has_two_classes() {
    let model = Named::new(&["no", "yes"]);
    let x = array![1.0, 2.0];
    let explain = |target: Option<Target>| {
        let explainer = IntegratedGradientsParams::default()
            .with_target(target)
            .build(Features::numeric(["a", "b"]).unwrap())
            .unwrap();
        explainer.explain(&model, &x, Run::seeded(0)).unwrap()
    };
    let class = |name: &str| Some(Target::Class(name.to_owned()));
    let (none, zero, one) = (explain(None), explain(class("no")), explain(class("yes")));
    let predicted = explain(Some(Target::Predicted));
    assert_eq!(predicted.data, zero.data);
    assert_eq!(none.data.attributions, one.data.attributions);
    assert_eq!(zero.data.target, Some(Target::Index(0)));
    assert_eq!(zero.data.target_name.as_deref(), Some("no"));
    assert_eq!(none.data.target_name.as_deref(), Some("yes"));
    assert_eq!(-&zero.data.attributions[0], one.data.attributions[0]);
    let reading = zero.meta.output.unwrap();
    assert_eq!((&*reading.meaning, reading.source), ("probability", OutputSource::Assumed));
    // One minus the output is an assumption that may be wrong for a score.
    let codes = |warnings: &[xai_core::Warning]| {
        warnings.iter().map(|warning| warning.code.clone()).collect::<Vec<_>>()
    };
    assert_eq!(codes(&zero.meta.warnings), ["intgrad.assumed_probability"]);
    assert!(none.meta.warnings.is_empty() && one.meta.warnings.is_empty());
    let declared = Named { output: Some(Output::Probability), ..Named::new(&["yes"]) };
    let explainer = IntegratedGradientsParams::default().with_target(class("not yes"));
    let explainer = explainer.build(Features::unnamed(2).unwrap()).unwrap();
    let explanation = explainer.explain(&declared, &x, Run::seeded(0)).unwrap();
    assert_eq!(explanation.data.attributions, zero.data.attributions);
    assert!(explanation.meta.warnings.is_empty());
    // By names.
    assert_eq!(one.data.attribution("yes", "b"), Some(one.data.attributions[0][[1]]));
    assert_eq!(one.data.attribution("no", "b"), None);
    assert_eq!(one.data.attribution("yes", "c"), None);
    assert_eq!(one.data.attribution("output", "a"), None);
}

/// A score has one number to explain, whatever its value at an instance.
#[test]
fn a_single_score_is_the_output_itself() {
    let x = array![1.0, 2.0];
    let explain = |params: IntegratedGradientsParams, model: &Linear| {
        let explainer = params.build(Features::unnamed(2).unwrap()).unwrap();
        explainer.explain(model, &x, Run::seeded(0))
    };
    let target = |target| IntegratedGradientsParams::default().with_target(Some(target));
    // -1.3, and 0.7 from the same weights.
    let (low, between) = (Linear::new(&[2.0, -3.0], 2.7), Linear::new(&[2.0, -3.0], 4.7));
    for params in [IntegratedGradientsParams::default(), target(Target::Index(0))] {
        let explanation = explain(params.clone(), &low).unwrap();
        close(&explanation.data, &[2.0, -6.0]);
        assert_eq!(explanation.meta.output.unwrap().meaning, "score");
        let explanation = explain(params.with_output(Output::Score), &between).unwrap();
        close(&explanation.data, &[2.0, -6.0]);
        assert_eq!(explanation.data.attribution("output 0", "x"), None);
    }
    // What looks like a probability is read as one.
    close(&explain(target(Target::Index(0)), &between).unwrap().data, &[-2.0, 6.0]);
    let error = explain(target(Target::Index(1)), &low).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "parameter `target` must be left out or 0 for a model whose single output is a score"
        ),
        "{error}"
    );
    let refused =
        target(Target::Index(1)).with_output(Output::Score).with_output_shape(Some(vec![1]));
    let error = refused.build(Features::unnamed(2).unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Param(error) if error.name == "target"), "{error}");
    let error = explain(target(Target::Predicted), &low).unwrap_err().to_string();
    assert!(error.contains("whose single output is no probability"), "{error}");
}

/// With several outputs the names are those of the outputs.
#[test]
fn several_outputs_have_names() {
    let model = Linear::outputs(array![[1.0, 0.0], [0.0, 2.0]], array![0.0, 0.0]);
    let data = explain(
        IntegratedGradientsParams::default().with_target(Some(Target::Predicted)),
        &model,
        &array![1.0, 2.0],
    );
    assert_eq!((data.target.clone(), data.target_name.clone()), (Some(Target::Index(1)), None));
    let second = &data.feature_names.as_ref().unwrap()[1];
    assert_eq!(data.attribution("output 1", second), Some(data.attributions[0][[1]]));
    close(&data, &[0.0, 4.0]);
    let explainer = IntegratedGradientsParams::default()
        .with_target(Some(Target::Class("high".to_owned())))
        .build(Features::unnamed(2).unwrap())
        .unwrap();
    let error = explainer.explain(&model, &array![1.0, 2.0], Run::seeded(0)).unwrap_err();
    assert!(
        error.to_string().contains("the name of a class, of which the model has []"),
        "{error}"
    );
}

#[test]
fn baselines_mean_what_they_say() {
    let model = squares();
    let x = array![1.5, -2.0, 3.0];
    let with = |baselines| {
        explain(IntegratedGradientsParams::default().with_baselines(baselines), &model, &x)
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
    let params = IntegratedGradientsParams::default()
        .with_inputs(vec![InputTensor::new("a", &[1]), InputTensor::new("b", &[2])])
        .with_baselines(Baselines::PerInput(
            [("b".to_owned(), BaselineValue::Values(vec![2.0, -1.0]))].into(),
        ));
    let data = explain(params, &model, &x);
    let expected = attribution(&[0.0, 2.0, -1.0]);
    assert!((data.attributions[0][[0]] - expected[0]).abs() < 1e-12);
    assert!((data.attributions[1][[1]] - expected[2]).abs() < 1e-12);
    assert_eq!(data.baselines[1], array![[2.0, -1.0]].into_dyn());
}

/// Without the factor it is the mean gradient: that of `a x^2` between `b` and `x` is `a (x + b)`.
#[test]
fn mean_gradients_are_not_multiplied() {
    let params = IntegratedGradientsParams::default()
        .with_multiply_by_inputs(false)
        .with_baselines(Baselines::Constant(1.0));
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
    let params = IntegratedGradientsParams::default()
        .with_inputs(vec![InputTensor::new("a", &[2, 1]), InputTensor::passed("mask", &[2])])
        .with_baselines(Baselines::Constant(0.5));
    let x = array![3.0, 4.0, 1.0, 2.0];
    let data = explain(params.clone(), &masked, &x);
    close(&data, &[2.5, 14.0]);
    assert_eq!(data.attributions[0].shape(), [2, 1]);
    assert_eq!(data.passed_inputs["mask"], array![1.0, 2.0].into_dyn());
    assert_eq!((data.input_names.len(), &*data.input_names[0]), (1, "a"));
    // Without the factor the mask has no attributions either.
    let params = params.with_multiply_by_inputs(false);
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
        let params = IntegratedGradientsParams::default()
            .with_layer(layer)
            .with_attribute_to_layer_inputs(attribute_to_layer_inputs)
            .with_n_steps(20);
        explain(params, &model, &x)
    };
    let inputs = at(None, false);
    let affine = at(Some("affine"), false);
    assert_eq!(affine.attributions[0].len(), 20);
    assert_eq!(
        (affine.tensor_names.clone(), affine.input_names.clone()),
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
    let explainer = IntegratedGradientsParams::default()
        .with_n_steps(10)
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
    let exact = explain(IntegratedGradientsParams::default().with_n_steps(400), &model, &x);
    for (tolerance, most) in [(1e-3, 9), (1e-6, 33), (1e-10, 65)] {
        let params = IntegratedGradientsParams::default()
            .with_method(Method::ClenshawCurtis)
            .with_n_steps(5)
            .with_tolerance(Some(tolerance))
            .with_absolute_tolerance(0.0);
        let explainer = params.build(Features::unnamed(10).unwrap()).unwrap();
        let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        let data = explanation.data;
        assert_eq!(data.status, Status::WithinTolerance);
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
    let params = IntegratedGradientsParams::default()
        .with_method(Method::ClenshawCurtis)
        .with_n_steps(9)
        .with_tolerance(Some(1e-12))
        .with_absolute_tolerance(0.0)
        .with_max_steps(40)
        .with_target(Some(Target::Index(0)));
    let explainer = params.build(Features::unnamed(30).unwrap()).unwrap();
    let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    let data = explanation.data;
    assert_eq!((data.status, data.steps[0], data.stop), (Status::MaxSteps, 33, Stop::Converged));
    assert!(data.reason.contains("`max_steps`"), "{}", data.reason);
    assert_eq!(explanation.meta.queries, 2 + 33);
    // The same points as the rule by itself.
    let fixed = IntegratedGradientsParams::default()
        .with_method(Method::ClenshawCurtis)
        .with_n_steps(33)
        .with_target(Some(Target::Index(0)));
    for (a, b) in explain(fixed, &model, &x).attributions[0].iter().zip(&data.attributions[0]) {
        assert!((a - b).abs() <= 1e-13, "{a}, {b}");
    }
}

/// The output at equal steps, ends included: for a square from 0 the squares of the steps.
#[test]
fn curves_follow_the_output() {
    let params = IntegratedGradientsParams::default()
        .with_curve(true)
        .with_n_steps(4)
        .with_baselines(Baselines::several(array![[0.0, 0.0, 0.0], [1.5, -2.0, 3.0]]));
    let explainer = params.build(Features::unnamed(3).unwrap()).unwrap();
    let explanation =
        explainer.explain(&squares(), &array![1.5, -2.0, 3.0], Run::seeded(0)).unwrap();
    assert_eq!(explanation.meta.queries, 3 + 2 * 4 + 2 * 3);
    let output = 4.5 - 12.0 + 4.5;
    let shares = array![[0.0, 0.0625, 0.25, 0.5625, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]];
    assert_eq!(explanation.data.curve.unwrap(), output * shares);
}
