//! Outputs in an interval as probabilities.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; halves are exact"
)]

use ndarray::{Array1, Array2, array, s};
use xai_core::{
    BoxError, CentralDifference, Differentiable, Error, InInterval, Predictor, Rows, Run,
};

/// `f_k(x) = weights[k] . x + bias[k]`.
struct Linear {
    weights: Array2<f64>,
    bias: Array1<f64>,
}

impl Predictor for Linear {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(batch.dot(&self.weights.t()) + &self.bias)
    }
}

impl Differentiable for Linear {
    fn vjp(&self, _: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(cotangent.dot(&self.weights))
    }
}

/// A constant, and the score `x_0 + 3 x_1`.
fn score() -> Linear {
    Linear { weights: array![[0.0, 0.0], [1.0, 3.0]], bias: array![7.0, 0.0] }
}

#[test]
fn half_is_the_end_of_the_interval() {
    let model = score();
    let inside = InInterval::new(&model, 1, -1.0..=5.0, 2.0).unwrap();
    // Outputs -3, -1, 1, 2, 5, 11: margins -2, 0, 2, 3, 0, -6.
    let rows = array![[0.0, -1.0], [2.0, -1.0], [1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [2.0, 3.0]];
    let mut run = Run::seeded(0);
    let p = run.predict(&inside, &rows).unwrap();
    assert_eq!(run.queries(), 6);
    assert_eq!(p.slice(s![.., 0]), array![0.25, 0.5, 0.75, 0.8, 0.5, 0.125]);
    let open = InInterval::new(&model, 1, f64::NEG_INFINITY..=f64::INFINITY, 2.0).unwrap();
    assert_eq!(Run::seeded(0).predict(&open, &rows).unwrap(), Array2::<f64>::ones((6, 1)));
}

#[test]
fn gradients_are_those_of_central_differences() {
    let model = score();
    let inside = InInterval::new(&model, 1, -1.0..=5.0, 2.0).unwrap();
    let numeric = CentralDifference::new(&inside);
    // Away from the bends of the margin, at outputs 2 and the ends.
    let rows = array![[0.0, -1.0], [1.0, 0.0], [0.5, 1.0], [2.0, 3.0]];
    let along = array![[1.0], [-2.0], [0.5], [1.0]];
    let mut run = Run::seeded(0);
    let own = run.vjp(&inside, &rows, &along).unwrap();
    // The outputs and the model's own gradient.
    assert_eq!(run.queries(), 8);
    // The slope is 1 / (2 + |m|)^2, upwards below the middle: outputs -3, 1, 3.5 and 11 have margins -2, 2, 1.5 and -6.
    let slopes = [1.0 / 16.0, -2.0 / 16.0, -0.5 / 12.25, -1.0 / 64.0];
    for (row, slope) in own.rows().into_iter().zip(slopes) {
        assert!((row[0] - slope).abs() < 1e-15 && (row[1] - 3.0 * slope).abs() < 1e-15, "{row}");
    }
    let other = run.vjp(&numeric, &rows, &along).unwrap();
    // A truncation of h^2 f''' / 6 below 1e-10, and the roundings of two probabilities over the step of 6e-6.
    assert!(own.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-9), "{own} {other}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let model = score();
    for interval in [1.0..=1.0, 2.0..=1.0, f64::NAN..=1.0] {
        let error = InInterval::new(&model, 0, interval, 1.0).err().unwrap();
        assert_eq!(error.name, "interval");
    }
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(InInterval::new(&model, 0, 0.0..=1.0, scale).err().unwrap().name, "scale");
    }
    // The model has two outputs.
    let missing = InInterval::new(&model, 2, 0.0..=1.0, 1.0).unwrap();
    let error = Run::seeded(0).predict(&missing, &array![[0.0, 0.0]]).unwrap_err();
    assert!(matches!(error, Error::Predictor { .. }), "{error}");
}

#[test]
fn an_infinite_score_is_not_hidden() {
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
            Ok(Array2::from_elem((batch.nrows(), 1), value))
        };
        let inside = InInterval::new(&model, 0, 0.0..=f64::INFINITY, 1.0).unwrap();
        let error = Run::seeded(0).predict(&inside, &array![[0.0]]).unwrap_err();
        assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    }
}
