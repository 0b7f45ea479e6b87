//! The first attribution of the book: which inputs raise the probability that a small network gives?

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_core::tabular::Features;
use xai_core::{BoxError, Differentiable, Explainer, Predictor, Rows, Run, Status};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{Baselines, IntegratedGradientsParams, NoiseTunnel, Target};

// ANCHOR: model
/// Two hidden units and the probability of one class of two: `sigmoid(w . tanh(V x))`.
struct Network {
    v: Array2<f64>,
    w: [f64; 2],
}

impl Network {
    fn hidden(&self, batch: &Rows) -> Array2<f64> {
        batch.dot(&self.v.t()).mapv_into(f64::tanh)
    }
}

impl Predictor for Network {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let score = |unit: ndarray::ArrayView1<'_, f64>| unit[0] * self.w[0] + unit[1] * self.w[1];
        let scores = self.hidden(batch).map_axis(Axis(1), score);
        Ok(scores.mapv(|score| 1.0 / (1.0 + (-score).exp())).insert_axis(Axis(1)))
    }
}

impl Differentiable for Network {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let hidden = self.hidden(batch);
        let mut slopes = hidden.mapv(|unit| 1.0 - unit * unit);
        for (mut row, unit) in slopes.rows_mut().into_iter().zip(hidden.rows()) {
            let p = 1.0 / (1.0 + (-(unit[0] * self.w[0] + unit[1] * self.w[1])).exp());
            row[0] *= self.w[0] * p * (1.0 - p);
            row[1] *= self.w[1] * p * (1.0 - p);
        }
        Ok((slopes * cotangent).dot(&self.v))
    }
}
// ANCHOR_END: model

fn main() -> Result<(), Box<dyn Error>> {
    let model = Network { v: array![[1.0, -0.5, 0.0], [0.0, 1.0, 2.0]], w: [3.0, -2.0] };

    // ANCHOR: explain
    let features = Features::numeric(["income", "debt", "age"])?;
    let params = IntegratedGradientsParams::default();
    let explainer = params.clone().build(features.clone())?;
    let x = array![1.5, -0.5, 0.2];
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;

    let data = &explanation.data;
    // The attributions add up to the change of the output from the baseline, 0 everywhere.
    let change = data.output - data.baseline_outputs[0];
    assert!((data.attributions[0].sum() - change).abs() < 1e-10);
    // One query for each end of the path and for each of the 50 points.
    assert_eq!(explanation.meta.queries, 52);
    // ANCHOR_END: explain
    println!("{:?}, gap {:.1e}", data.attributions[0], data.deltas[0]);

    // ANCHOR: tolerance
    let refined = params
        .clone()
        .with_method(Method::ClenshawCurtis)
        .with_n_steps(5)
        .with_tolerance(Some(1e-6));
    let data = refined.build(features.clone())?.explain(&model, &x, Run::seeded(0))?.data;
    assert_eq!(data.status, Status::WithinTolerance);
    assert!(data.steps[0] < 50 && data.relative_deltas[0].abs() < 1e-5);
    // ANCHOR_END: tolerance
    println!("{}", data.reason);

    // ANCHOR: target
    // The probability of the other class is one minus this one: the attributions change their signs.
    let other = explainer.with_target(Target::Index(0))?;
    let opposite = other.explain(&model, &x, Run::seeded(0))?.data;
    let sum = &opposite.attributions[0] + &explanation.data.attributions[0];
    assert!(sum.iter().all(|value| value.abs() < 1e-15));
    // ANCHOR_END: target

    // ANCHOR: sampled
    let typical = array![[0.0, 0.0, 0.0], [1.0, 1.0, 0.5], [-1.0, 0.5, 0.1]];
    let expected = explainer.with_baselines(Baselines::distribution(typical, 2000))?;
    let data = expected.explain(&model, &x, Run::seeded(0))?.data;
    let errors = data.standard_errors.as_ref().ok_or("drawn")?;
    assert!(errors[0].iter().all(|&error| 0.0 < error && error < 0.02));

    let noise_tunnel = Some(NoiseTunnel::default().with_n_samples(50).with_stdev(0.1));
    let smooth = params.with_noise_tunnel(noise_tunnel);
    let data = smooth.build(features)?.explain(&model, &x, Run::seeded(0))?.data;
    assert_eq!((data.n_samples, data.deltas.len()), (50, 50));
    // ANCHOR_END: sampled
    Ok(())
}
