//! Models whose explanations are known in closed form.

use ndarray::{Array1, Array2, array};
use xai_core::{BoxError, Differentiable, Predictor, Rows};

/// `f_k(x) = weights[k] . x + bias[k]`, summed in the order of the columns.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Shape `(n_outputs, n_features)`.
    pub weights: Array2<f64>,
    /// Shape `(n_outputs,)`.
    pub bias: Array1<f64>,
}

impl Linear {
    /// One output.
    #[must_use]
    pub fn new(weights: &[f64], bias: f64) -> Self {
        let weights = Array2::from_shape_fn((1, weights.len()), |(_, feature)| weights[feature]);
        Linear { weights, bias: array![bias] }
    }

    /// Several outputs.
    #[must_use]
    pub fn outputs(weights: Array2<f64>, bias: Array1<f64>) -> Self {
        Linear { weights, bias }
    }
}

impl Predictor for Linear {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        if batch.ncols() != self.weights.ncols() {
            return Err(format!(
                "expected {} columns, got {}",
                self.weights.ncols(),
                batch.ncols()
            )
            .into());
        }
        // Our own loops: a library's matrix product may sum in another order for another batch size.
        Ok(Array2::from_shape_fn((batch.nrows(), self.bias.len()), |(row, output)| {
            let terms = self.weights.row(output).into_iter().zip(batch.row(row));
            terms.fold(self.bias[output], |sum, (weight, value)| sum + weight * value)
        }))
    }
}

impl Differentiable for Linear {
    fn vjp(&self, _: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(cotangent.to_owned().dot(&self.weights))
    }
}

/// The probability `1 / (1 + exp(-z))` of a linear score `z`, one output.
#[derive(Clone, Debug)]
pub struct Logistic(pub Linear);

impl Logistic {
    /// The model of the score `weights . x + bias`.
    #[must_use]
    pub fn new(weights: &[f64], bias: f64) -> Self {
        Logistic(Linear::new(weights, bias))
    }
}

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

impl Predictor for Logistic {
    #[allow(clippy::disallowed_methods, reason = "a model made of a model")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(self.0.predict(batch)?.mapv_into(sigmoid))
    }
}

impl Differentiable for Logistic {
    #[allow(clippy::disallowed_methods, reason = "a model made of a model")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let slopes = self.predict(batch)?.mapv_into(|p| p * (1.0 - p));
        self.0.vjp(batch, &(&cotangent.view() * &slopes))
    }
}

/// A model given row by row: `f(row)` with one output. For games and formulas from papers.
#[derive(Clone, Copy, Debug)]
pub struct Elementwise<F>(pub F);

impl<F: Fn(&[f64]) -> f64 + Sync> Predictor for Elementwise<F> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let values = batch.rows().into_iter().map(|row| self.0(&row.to_vec()));
        Ok(Array1::from_iter(values).insert_axis(ndarray::Axis(1)))
    }
}
