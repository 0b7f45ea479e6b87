//! Sampled attributions against exact ones, within five standard errors at fixed seeds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::models::Formula;
use ndarray::{Array1, Array2, array};
use xai_core::tabular::Features;
use xai_core::{Differentiable, Explainer, Run};
use xai_intgrad::{
    Baselines, IntegratedGradientsData, IntegratedGradientsParams, NoiseKind, NoiseTunnel,
};
use xai_testkit::Linear;

fn explain(
    params: &IntegratedGradientsParams,
    model: &dyn Differentiable,
    x: &Array1<f64>,
    seed: u64,
) -> IntegratedGradientsData {
    let explainer = params.clone().build(Features::unnamed(x.len()).unwrap()).unwrap();
    explainer.explain(model, x, Run::seeded(seed)).unwrap().data
}

/// `2 x^2`, whose expected gradients are `2 (x^2 - mean b^2)`: a draw is `4 d (b + alpha d)` with `d = x - b`.
fn square() -> Formula {
    Formula { n_features: 1, f: |x| 2.0 * x[0] * x[0], gradient: |x| vec![4.0 * x[0]] }
}

const STARTS: [f64; 3] = [-1.0, 0.5, 2.0];
const X: f64 = 1.5;

/// The mean of a power of a draw's deviation from `centre`: over the starts and, by Simpson's rule with many steps, over
/// alpha. Powers up to four of a linear function of alpha: the error is far below the statistical one.
fn central(power: i32, centre: f64) -> f64 {
    let n = 1000;
    let over_alpha = |b: f64| {
        let draw = |alpha: f64| (4.0 * (X - b) * (b + alpha * (X - b)) - centre).powi(power);
        let weight =
            |k: usize| if k == 0 || k == n { 1.0 } else { f64::from(2 + 2 * u8::from(k % 2 == 1)) };
        (0..=n).map(|k| weight(k) * draw(k as f64 / n as f64)).sum::<f64>() / (3 * n) as f64
    };
    STARTS.iter().map(|&b| over_alpha(b)).sum::<f64>() / 3.0
}

#[test]
fn expected_gradients_are_the_mean_over_baselines() {
    let n = 20_000;
    let rows = Array2::from_shape_vec((3, 1), STARTS.to_vec()).unwrap();
    let params = IntegratedGradientsParams::default()
        .with_baselines(Baselines::distribution(rows.clone(), n))
        .with_internal_batch_size(Some(1000));
    let data = explain(&params, &square(), &array![X], 5);
    let several = IntegratedGradientsParams::default().with_baselines(Baselines::several(rows));
    let exact = explain(&several, &square(), &array![X], 0).attributions[0][[0]];
    let closed = 2.0 * (X * X - STARTS.iter().map(|b| b * b).sum::<f64>() / 3.0);
    assert!((exact - closed).abs() < 1e-12);
    let (variance, fourth) = (central(2, closed), central(4, closed));
    let n = n as f64;
    let error = (variance / n).sqrt();
    let got = data.attributions[0][[0]];
    assert!((got - closed).abs() < 5.0 * error, "{got}, {closed}, {error}");
    // The variance of a sample's variance is about (mu_4 - mu_2^2) / n.
    let reported = data.standard_errors.as_ref().unwrap()[0][[0]];
    let of_variance = ((fourth - variance * variance) / n).sqrt();
    assert!((reported * reported * n - variance).abs() < 5.0 * of_variance, "{reported}, {error}");
    // With one column the gap is the error of the attribution.
    assert!((data.deltas[0] - (got - closed)).abs() < 1e-12);
    assert!((data.delta_standard_errors.as_ref().unwrap()[0] - reported).abs() < 1e-12);
    assert_eq!((data.n_samples, data.steps[0]), (20_000, 20_000));
}

/// The weights are how often a baseline is drawn.
#[test]
fn baselines_are_drawn_by_weight() {
    let baselines = serde_json::json!({
        "distribution": [[-1.0], [0.5], [2.0]], "weights": [0.0, 3.0, 1.0], "n_samples": 20_000
    });
    let params = IntegratedGradientsParams::default()
        .with_baselines(serde_json::from_value(baselines).unwrap())
        .with_internal_batch_size(None);
    // A linear model: a draw is 2 (x - b), of mean 2 (x - 0.875) and variance 4 * 0.75 * 0.25 * 1.5^2.
    let data = explain(&params, &Linear::new(&[2.0], 0.0), &array![X], 1);
    let error = (4.0 * 0.1875 * 2.25 / 20_000.0_f64).sqrt();
    let got = data.attributions[0][[0]];
    assert!((got - 2.0 * (X - 0.875)).abs() < 5.0 * error, "{got}");
}

/// Over many seeds the errors in units of the standard errors have mean square 1: for 100 draws of a bounded quantity up to
/// a few percent, and the mean of 400 squares, of variance below 3 each, within five standard errors of it.
#[test]
fn standard_errors_are_calibrated() {
    let rows = Array2::from_shape_vec((3, 1), STARTS.to_vec()).unwrap();
    let params =
        IntegratedGradientsParams::default().with_baselines(Baselines::distribution(rows, 100));
    let closed = 2.0 * (X * X - STARTS.iter().map(|b| b * b).sum::<f64>() / 3.0);
    let squares = (0..400).map(|seed| {
        let data = explain(&params, &square(), &array![X], seed);
        let error = data.standard_errors.as_ref().unwrap()[0][[0]];
        ((data.attributions[0][[0]] - closed) / error).powi(2)
    });
    let mean = squares.sum::<f64>() / 400.0;
    assert!((mean - 1.0).abs() < 5.0 * (3.0_f64 / 400.0).sqrt(), "{mean}");
}

/// A linear model's attributions of a noisy copy are `w (x + sigma z - b)`: their mean is that of the instance with the
/// standard error `|w| sigma / sqrt(n)`, their squares have the mean `w^2 ((x - b)^2 + sigma^2)`, their variance is
/// `w^2 sigma^2 (n - 1) / n`.
#[test]
fn noise_tunnels_have_the_moments_they_should() {
    let (w, sigma, n) = ([2.0, -3.0, 0.0], 0.4, 5000);
    let model = Linear::new(&w, 1.0);
    let (x, b) = (array![1.0, 2.0, 3.0], 0.5);
    let data = |kind| {
        let params = IntegratedGradientsParams::default()
            .with_noise_tunnel(Some(
                NoiseTunnel::default().with_kind(kind).with_n_samples(n).with_stdev(sigma),
            ))
            .with_baselines(Baselines::Constant(b))
            .with_n_steps(2);
        explain(&params, &model, &x, 9)
    };
    let n = n as f64;
    let check = |kind, expected: &dyn Fn(usize) -> f64, error: &dyn Fn(usize) -> f64| {
        let data = data(kind);
        for (i, &w) in w.iter().enumerate() {
            let (got, reported) =
                (data.attributions[0][[i]], data.standard_errors.as_ref().unwrap()[0][[i]]);
            let (expected, error) = (expected(i), error(i));
            assert!(
                (got - expected).abs() <= 5.0 * error,
                "{kind:?} {i}: {got}, {expected}, {error}"
            );
            // A standard error of n draws is off by a few parts in sqrt(n).
            assert!(
                (reported - error).abs() <= 25.0 / n.sqrt() * error,
                "{kind:?} {i}: {reported}, {error}"
            );
            assert_eq!(w == 0.0, reported == 0.0);
        }
        assert_eq!(data.deltas.len(), 5000);
        // Every copy is complete by itself.
        assert!(data.deltas.iter().all(|delta| delta.abs() < 1e-12));
    };
    let scale = |i: usize| w[i] * sigma;
    let centre = |i: usize| w[i] * (x[i] - b);
    check(NoiseKind::SmoothGrad, &centre, &|i| scale(i).abs() / n.sqrt());
    // The square of a normal number of mean m and deviation s has variance 2 s^4 + 4 m^2 s^2.
    check(NoiseKind::SmoothGradSquare, &|i| centre(i).powi(2) + scale(i).powi(2), &|i| {
        ((2.0 * scale(i).powi(4) + 4.0 * (centre(i) * scale(i)).powi(2)) / n).sqrt()
    });
    check(NoiseKind::VarGrad, &|i| scale(i).powi(2) * (n - 1.0) / n, &|i| {
        scale(i).powi(2) * (2.0 / n).sqrt()
    });
}

/// The noise of a distribution reaches the attributed inputs: a linear model's draws have the variance of both.
#[test]
fn the_noise_of_a_distribution_adds_to_the_error() {
    let n = 20_000;
    let baselines = serde_json::json!({ "distribution": [[0.5]], "n_samples": n, "stdev": 0.3 });
    let params = IntegratedGradientsParams::default()
        .with_baselines(serde_json::from_value(baselines).unwrap());
    let data = explain(&params, &Linear::new(&[2.0], 0.0), &array![X], 2);
    let error = 2.0 * 0.3 / f64::from(n).sqrt();
    assert!((data.attributions[0][[0]] - 2.0).abs() < 5.0 * error);
    let reported = data.standard_errors.as_ref().unwrap()[0][[0]];
    // The relative error of a deviation of n normal numbers is 1 / sqrt(2 n).
    assert!((reported / error - 1.0).abs() < 5.0 / (2.0 * f64::from(n)).sqrt());
}
