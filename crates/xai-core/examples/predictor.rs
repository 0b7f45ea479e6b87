//! The models of the book: functions, a type, a model of texts, and two that can be differentiated.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array1, Array2, Axis, array};
use xai_core::{
    BoxError, CentralDifference, Differentiable, Output, Predictor, Rows, Run, per_row, predictor,
    text_predictor,
};

// ANCHOR: type
/// Logistic regression with two outputs, the probabilities of both classes.
struct Logistic {
    weights: Vec<f64>,
    bias: f64,
}

impl Logistic {
    fn probability(&self, row: impl IntoIterator<Item = f64>) -> f64 {
        let score: f64 = row.into_iter().zip(&self.weights).map(|(x, w)| x * w).sum();
        1.0 / (1.0 + (-score - self.bias).exp())
    }
}

impl Predictor for Logistic {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut outputs = Array2::zeros((batch.nrows(), 2));
        for (row, mut output) in batch.rows().into_iter().zip(outputs.rows_mut()) {
            let p = self.probability(row.iter().copied());
            output[0] = 1.0 - p;
            output[1] = p;
        }
        Ok(outputs)
    }

    // A batch of another width is refused before `predict` is called.
    fn n_features(&self) -> Option<usize> {
        Some(self.weights.len())
    }

    // What the outputs mean, so that no method has to guess.
    fn output(&self) -> Option<Output> {
        Some(Output::Classes)
    }

    // The gradients below are found by methods that work with or without them.
    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }

    // One call has no cost of its own here; a service might take thousands of rows at once.
    fn max_batch(&self) -> usize {
        1024
    }
}
// ANCHOR_END: type

// ANCHOR: vjp
impl Differentiable for Logistic {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradient = Array2::zeros(batch.dim());
        for ((row, cotangent), mut gradient) in
            batch.rows().into_iter().zip(cotangent.rows()).zip(gradient.rows_mut())
        {
            let p = self.probability(row.iter().copied());
            // The outputs are 1 - p and p, and the derivative of p along x_j is p (1 - p) w_j.
            let slope = (cotangent[1] - cotangent[0]) * p * (1.0 - p);
            for (gradient, weight) in gradient.iter_mut().zip(&self.weights) {
                *gradient = slope * weight;
            }
        }
        Ok(gradient)
    }
}
// ANCHOR_END: vjp

fn main() -> Result<(), Box<dyn Error>> {
    let rows = array![[1.0, 2.0], [3.0, 4.0]];

    // ANCHOR: closure
    let sums = predictor(|rows| rows.sum_axis(Axis(1)));
    let products = per_row(|row| row[0] * row[1]);
    let mut run = Run::seeded(0);
    assert_eq!(run.predict(&sums, &rows)?, array![[3.0], [7.0]]);
    assert_eq!(run.predict(&products, &rows)?, array![[2.0], [12.0]]);
    assert_eq!(run.queries(), 4);
    // ANCHOR_END: closure

    // ANCHOR: errors
    let offline =
        predictor(|_| -> std::io::Result<Array2<f64>> { Err(std::io::ErrorKind::TimedOut.into()) });
    let error = run.predict(&offline, &rows).err().ok_or("the model is offline")?;
    assert_eq!(error.to_string(), "the model failed on a batch of 2 rows");
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::TimedOut));

    let divides = predictor(|rows| rows.map(|x| 1.0 / (x - 3.0)));
    let error = run.predict(&divides, &rows).err().ok_or("3 - 3 is 0")?;
    assert_eq!(error.to_string(), "the model's output must be finite, got inf at [1, 0]");
    // ANCHOR_END: errors

    // ANCHOR: width
    let model = Logistic { weights: vec![2.0, -1.0], bias: 0.5 };
    let error = run.predict(&model, &array![[1.0, 2.0, 3.0]]).err().ok_or("three columns")?;
    assert_eq!(error.to_string(), "the model's input must have shape [1, 2], got [1, 3]");
    // ANCHOR_END: width

    // ANCHOR: text
    // One output: the share of the words that have more than six letters.
    let share_of_long_words = |text: &String| {
        let n_words = text.split_whitespace().count().max(1);
        text.split_whitespace().filter(|word| 6 < word.len()).count() as f64 / n_words as f64
    };
    let long_words =
        text_predictor(|texts| texts.iter().map(share_of_long_words).collect::<Array1<f64>>());
    let texts = ["a sentence".to_owned()];
    assert_eq!(run.predict_texts(&long_words, &texts)?, array![[0.5]]);
    // ANCHOR_END: text

    // ANCHOR: gradient
    // The white box, one query a row.
    let exact = run.gradient(&model, &rows, 1, 2)?;
    // The same model as a black box: two queries for each feature of each row.
    let before = run.queries();
    let numeric = run.gradient(&CentralDifference::new(&model), &rows, 1, 2)?;
    assert_eq!(run.queries() - before, 8);
    assert!((&exact - &numeric).iter().all(|gap| gap.abs() < 1e-9));
    // ANCHOR_END: gradient

    println!(
        "gradients of the second output, exact and by central differences:\n{exact}\n{numeric}"
    );
    Ok(())
}
