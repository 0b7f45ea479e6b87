//! Functions as models: shapes, errors, and what they say of themselves.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "the models themselves are tested")]

use ndarray::{Array1, Array2, Axis, array};
use xai_core::{
    BlackBox, Differentiable, ModelKind, ModelRef, Output, Predictor, Run, per_row, predictor,
    text_predictor,
};

#[test]
fn functions_of_batches_return_matrices_columns_or_results() {
    let x = array![[1.0, 2.0], [3.0, 4.0]];
    let matrix = predictor(|rows| rows * 2.0);
    assert_eq!(matrix.predict(&x).unwrap(), array![[2.0, 4.0], [6.0, 8.0]]);
    let column = predictor(|rows| rows.sum_axis(Axis(1)));
    assert_eq!(column.predict(&x).unwrap(), array![[3.0], [7.0]]);
    let failing = predictor(|_| Err::<Array1<f64>, _>("no connection"));
    assert_eq!(failing.predict(&x).unwrap_err().to_string(), "no connection");
}

#[test]
fn functions_of_rows_return_numbers_or_lists() {
    let x = array![[1.0, 2.0], [3.0, 4.0]];
    assert_eq!(per_row(|row| row[0] * row[1]).predict(&x).unwrap(), array![[2.0], [12.0]]);
    let pair = per_row(|row| [1.0 - row[0], row[0]]);
    assert_eq!(pair.predict(&x).unwrap(), array![[0.0, 1.0], [-2.0, 3.0]]);
    assert_eq!(per_row(|row| row.to_vec()).predict(&x).unwrap(), x);
    assert_eq!(per_row(|row| row.to_owned()).predict(&x).unwrap(), x);
    let ragged = per_row(|row| vec![0.0; if row[0] < 2.0 { 1 } else { 2 }]);
    let message = ragged.predict(&x).unwrap_err().to_string();
    assert_eq!(message, "2 outputs for a row, 1 for another");
    assert_eq!(pair.predict(&Array2::zeros((0, 2))).unwrap().nrows(), 0);
}

#[test]
fn functions_of_texts_are_models_of_texts() {
    let lengths =
        text_predictor(|texts| texts.iter().map(|text| text.len() as f64).collect::<Array1<f64>>());
    let texts = ["a".to_owned(), "bcd".to_owned()];
    let outputs = Run::seeded(0).predict_texts(&lengths, &texts).unwrap();
    assert_eq!(outputs, array![[1.0], [3.0]]);
}

#[test]
fn a_function_says_what_is_known_of_it() {
    let plain = per_row(|row| row[0]);
    let model: &dyn Predictor = &plain;
    assert_eq!((model.max_batch(), model.n_features(), model.output()), (256, None, None));
    assert!(model.class_names().is_none() && model.differentiable().is_none());
    let described = per_row(|row| row[0])
        .with_max_batch(0)
        .with_n_features(3)
        .with_output(Output::Probability)
        .with_class_names(["no", "yes"]);
    let model: &dyn Predictor = &described;
    assert_eq!((model.max_batch(), model.n_features()), (1, Some(3)));
    assert_eq!(model.output(), Some(Output::Probability));
    assert_eq!(model.class_names().unwrap(), ["no", "yes"]);
}

/// A model that offers its gradients.
struct Line;

impl Predictor for Line {
    fn predict(&self, batch: &xai_core::Rows) -> Result<Array2<f64>, xai_core::BoxError> {
        Ok(batch.to_owned())
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Differentiable for Line {
    fn vjp(
        &self,
        _: &xai_core::Rows,
        cotangent: &xai_core::Rows,
    ) -> Result<Array2<f64>, xai_core::BoxError> {
        Ok(cotangent.to_owned())
    }
}

#[test]
fn references_become_models_with_the_gradients_that_they_offer() {
    assert_eq!(ModelRef::from(&Line).kind(), ModelKind::WhiteBox);
    let hidden: &dyn Predictor = &Line;
    assert_eq!(ModelRef::from(hidden).kind(), ModelKind::WhiteBox);
    assert_eq!(ModelRef::black_box(hidden).kind(), ModelKind::BlackBox);
    assert_eq!(ModelRef::from(&per_row(|row| row[0])).kind(), ModelKind::BlackBox);
    let _ = BlackBox::from(&Line);
}
