//! Functions as models, without type annotations.

use ndarray::{Array1, Array2};

use crate::decision::Output;
use crate::model::{BoxError, Predictor, Row, Rows};

/// What a function of a batch may return: a matrix, shape `(n_rows, n_outputs)`, one number per row, or a result of
/// either.
pub trait IntoOutputs {
    /// The outputs, shape `(n_rows, n_outputs)`.
    ///
    /// # Errors
    /// The function's own.
    fn into_outputs(self) -> Result<Array2<f64>, BoxError>;
}

impl IntoOutputs for Array2<f64> {
    fn into_outputs(self) -> Result<Array2<f64>, BoxError> {
        Ok(self)
    }
}

impl IntoOutputs for Array1<f64> {
    fn into_outputs(self) -> Result<Array2<f64>, BoxError> {
        Ok(self.insert_axis(ndarray::Axis(1)))
    }
}

impl<O: IntoOutputs, E: Into<BoxError>> IntoOutputs for Result<O, E> {
    fn into_outputs(self) -> Result<Array2<f64>, BoxError> {
        self.map_err(Into::into).and_then(IntoOutputs::into_outputs)
    }
}

/// What a function of a row may return: a number, or a list of them, shape `(n_outputs,)`.
pub trait IntoOutputRow {
    /// The outputs of the row.
    fn into_output_row(self) -> Vec<f64>;
}

impl IntoOutputRow for f64 {
    fn into_output_row(self) -> Vec<f64> {
        vec![self]
    }
}

impl IntoOutputRow for Vec<f64> {
    fn into_output_row(self) -> Vec<f64> {
        self
    }
}

impl IntoOutputRow for Array1<f64> {
    fn into_output_row(self) -> Vec<f64> {
        self.to_vec()
    }
}

impl<const N: usize> IntoOutputRow for [f64; N] {
    fn into_output_row(self) -> Vec<f64> {
        self.to_vec()
    }
}

/// A function as a model, made by [`predictor`], [`per_row`] or [`text_predictor`].
pub struct FunctionModel<F> {
    function: F,
    max_batch: usize,
    n_features: Option<usize>,
    output: Option<Output>,
    class_names: Option<Vec<String>>,
}

impl<F> FunctionModel<F> {
    fn new(function: F) -> Self {
        FunctionModel {
            function,
            max_batch: 256,
            n_features: None,
            output: None,
            class_names: None,
        }
    }

    /// The most rows of one call, at least 1. Default 256.
    #[must_use]
    pub fn with_max_batch(mut self, n_rows: usize) -> Self {
        self.max_batch = n_rows.max(1);
        self
    }

    /// The width of a row. Default: not known.
    #[must_use]
    pub fn with_n_features(mut self, n_features: usize) -> Self {
        self.n_features = Some(n_features);
        self
    }

    /// What the outputs mean. Default: not said.
    #[must_use]
    pub fn with_output(mut self, output: Output) -> Self {
        self.output = Some(output);
        self
    }

    /// The names of the classes, in the order of the outputs. Default: none.
    #[must_use]
    pub fn with_class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.class_names = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// A function of inputs of one kind, so that models of rows and of texts share [`FunctionModel`].
pub trait BatchFunction<X: ?Sized>: Sync {
    /// The outputs of a batch.
    ///
    /// # Errors
    /// The function's own.
    fn call(&self, batch: &X) -> Result<Array2<f64>, BoxError>;
}

impl<X: ?Sized, F: BatchFunction<X>> Predictor<X> for FunctionModel<F> {
    fn predict(&self, batch: &X) -> Result<Array2<f64>, BoxError> {
        self.function.call(batch)
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn n_features(&self) -> Option<usize> {
        self.n_features
    }

    fn output(&self) -> Option<Output> {
        self.output.clone()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }
}

/// A function of a batch.
pub struct OfBatch<F>(F);

/// A function of a row.
pub struct OfRow<F>(F);

impl<X: ?Sized, F, O> BatchFunction<X> for OfBatch<F>
where
    F: Fn(&X) -> O + Sync,
    O: IntoOutputs,
{
    fn call(&self, batch: &X) -> Result<Array2<f64>, BoxError> {
        (self.0)(batch).into_outputs()
    }
}

impl<F, O> BatchFunction<Rows> for OfRow<F>
where
    F: Fn(&Row) -> O + Sync,
    O: IntoOutputRow,
{
    fn call(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut outputs = Vec::new();
        let mut n_outputs = 0;
        for (index, row) in batch.rows().into_iter().enumerate() {
            let numbers = (self.0)(&row).into_output_row();
            if index == 0 {
                n_outputs = numbers.len();
            } else if numbers.len() != n_outputs {
                let got = numbers.len();
                return Err(format!("{got} outputs for a row, {n_outputs} for another").into());
            }
            outputs.extend(numbers);
        }
        Ok(Array2::from_shape_vec((batch.nrows(), n_outputs), outputs)?)
    }
}

/// A function of a batch as a model; it returns a matrix of outputs, one number per row, or a result of either.
///
/// ```
/// use ndarray::Axis;
/// use xai_core::predictor;
///
/// let sums = predictor(|rows| rows.sum_axis(Axis(1)));
/// # let _ = sums;
/// ```
pub fn predictor<F, O>(function: F) -> FunctionModel<OfBatch<F>>
where
    F: Fn(&Rows) -> O + Sync,
    O: IntoOutputs,
{
    FunctionModel::new(OfBatch(function))
}

/// A function of a row as a model; it returns a number or a list of numbers, the same count for every row.
///
/// ```
/// use xai_core::per_row;
///
/// let model = per_row(|row| 1.0 / (1.0 + (-row[0]).exp()));
/// let classes = per_row(|row| [1.0 - row[0], row[0]]).with_class_names(["no", "yes"]);
/// # let _ = (model, classes);
/// ```
pub fn per_row<F, O>(function: F) -> FunctionModel<OfRow<F>>
where
    F: Fn(&Row) -> O + Sync,
    O: IntoOutputRow,
{
    FunctionModel::new(OfRow(function))
}

/// A function of texts as a model; it returns what one of [`predictor`] may.
///
/// ```
/// use ndarray::Array1;
/// use xai_core::text_predictor;
///
/// let lengths = text_predictor(|texts| texts.iter().map(|text| text.len() as f64).collect::<Array1<f64>>());
/// # let _ = lengths;
/// ```
pub fn text_predictor<F, O>(function: F) -> FunctionModel<OfBatch<F>>
where
    F: Fn(&[String]) -> O + Sync,
    O: IntoOutputs,
{
    FunctionModel::new(OfBatch(function))
}
