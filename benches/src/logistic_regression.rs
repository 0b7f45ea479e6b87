//! Logistic regression on one-hot columns, fitted as scikit-learn fits it by default.

use anyhow::{Result, ensure};
use ndarray::{Array1, Array2, Axis, array};
use xai_core::Rows;
use xai_core::linalg::cholesky_solve;

use crate::models::{Activation, CategoricalColumn, Dense, EncodedDense, Head, Layer};

/// Minimises `||w||^2 / 2` plus the sum of the log losses; the intercept has no penalty.
///
/// `codes` has shape `(n_rows, n_columns)` and holds codes below `sizes` of the column; `labels` are 0 or 1.
/// The model has two outputs, the probabilities of the classes.
///
/// # Errors
/// When the lengths disagree, a code is too large, or Newton's method does not converge.
pub fn fit(codes: &Rows, sizes: &[usize], labels: &[usize]) -> Result<EncodedDense> {
    ensure!(codes.dim() == (labels.len(), sizes.len()), "rows, sizes and labels disagree");
    let width: usize = sizes.iter().sum();
    let active = active_columns(codes, sizes)?;
    let mut weights = Array1::<f64>::zeros(width + 1);
    for _ in 0..100 {
        let step = newton_step(&active, labels, &weights)?;
        weights -= &step;
        if step.iter().all(|change| change.abs() < 1e-10) {
            return Ok(model(&weights, sizes));
        }
    }
    anyhow::bail!("Newton's method did not converge")
}

/// The one-hot columns that are 1 in each row; the last stands for the intercept.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes are small whole numbers"
)]
fn active_columns(codes: &Rows, sizes: &[usize]) -> Result<Vec<Vec<usize>>> {
    let of_row = |row: ndarray::ArrayView1<'_, f64>| {
        let (mut active, mut start) = (Vec::with_capacity(sizes.len() + 1), 0);
        for (&code, &size) in row.iter().zip(sizes) {
            ensure!((0.0..size as f64).contains(&code), "there is no category {code}");
            active.push(start + code as usize);
            start += size;
        }
        active.push(start);
        Ok(active)
    };
    codes.rows().into_iter().map(of_row).collect()
}

/// The inverse of the Hessian times the gradient.
fn newton_step(
    active: &[Vec<usize>],
    labels: &[usize],
    weights: &Array1<f64>,
) -> Result<Array1<f64>> {
    let last = weights.len() - 1;
    let mut gradient = weights.clone();
    gradient[last] = 0.0;
    let mut hessian = Array2::eye(weights.len());
    hessian[[last, last]] = 0.0;
    for (columns, &label) in active.iter().zip(labels) {
        let z: f64 = columns.iter().map(|&column| weights[column]).sum();
        let p = 1.0 / (1.0 + (-z).exp());
        for &column in columns {
            gradient[column] += p - label as f64;
            for &other in columns {
                hessian[[column, other]] += p * (1.0 - p);
            }
        }
    }
    let step = cholesky_solve(&hessian, &gradient.insert_axis(Axis(1)))?;
    Ok(step.index_axis_move(Axis(1), 0))
}

/// The second class carries the weights, so that the log-odds are one linear function.
fn model(weights: &Array1<f64>, sizes: &[usize]) -> EncodedDense {
    let width = weights.len() - 1;
    let mut weight = Array2::zeros((width, 2));
    weight.column_mut(1).assign(&weights.slice(ndarray::s![..width]));
    let column = |(column, &n_categories)| CategoricalColumn { column, n_categories };
    EncodedDense {
        numeric: Vec::new(),
        categorical: sizes.iter().enumerate().map(column).collect(),
        network: Dense {
            layers: vec![Layer { weight, bias: array![0.0, weights[width]] }],
            activation: Activation::Relu,
            head: Head::Softmax,
        },
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::float_cmp,
    reason = "the model is what is tested, and codes are whole numbers"
)]
mod tests {
    use xai_core::Predictor;

    use super::*;

    /// Where the gradient vanishes a weight is the sum of what the probabilities of its rows miss, and the misses add
    /// up to nothing.
    #[test]
    fn weights_are_the_sums_of_what_the_probabilities_miss() {
        let codes = Array2::from_shape_fn((60, 2), |(row, column)| match column {
            0 => (row % 3) as f64,
            _ => (row / 7 % 2) as f64,
        });
        let labels: Vec<usize> = (0..60).map(|row| usize::from(row * row % 11 < 5)).collect();
        let model = fit(&codes, &[3, 2], &labels).unwrap();
        let probabilities = model.predict(&codes).unwrap();
        let missed = |row: usize| labels[row] as f64 - probabilities[[row, 1]];
        let weights = &model.network.layers[0].weight;
        let places = [(0, 0.0), (0, 1.0), (0, 2.0), (1, 0.0), (1, 1.0)];
        for ((column, code), &weight) in places.into_iter().zip(weights.column(1)) {
            let sum: f64 = (0..60).filter(|&row| codes[[row, column]] == code).map(missed).sum();
            // The last step of Newton's method was below 1e-10, and the Hessian is below 60.
            assert!((sum - weight).abs() < 60.0 * 1e-10, "{sum} against {weight}");
            assert!(1e-3 < weight.abs(), "the test needs weights that are not zero");
        }
        assert!((0..60).map(missed).sum::<f64>().abs() < 60.0 * 1e-10);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let codes = array![[0.0], [1.0]];
        assert!(fit(&codes, &[1], &[0, 1]).is_err());
        assert!(fit(&codes, &[2], &[0]).is_err());
    }
}
