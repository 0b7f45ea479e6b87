//! Several tensors in one row: blocks of columns with names and shapes.

use std::collections::BTreeSet;
use std::ops::Range;

use ndarray::{Array, Array1, ArrayD, Axis, Dimension, IxDyn, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Row, Rows, require};

/// One of the tensors that a row holds one after the other, each in row-major order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct InputTensor {
    /// Its name, different from the others.
    pub name: String,
    /// Its shape for one instance, at least one number, each at least 1.
    pub shape: Vec<usize>,
    /// Whether it gets attributions. Otherwise it is passed to the model unchanged, at every point of the path: a mask
    /// or another argument of the model. Default true.
    #[serde(default = "yes")]
    pub attributed: bool,
}

fn yes() -> bool {
    true
}

impl InputTensor {
    /// A tensor with attributions.
    #[must_use]
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        InputTensor { name: name.into(), shape: shape.to_vec(), attributed: true }
    }

    /// A tensor that is passed to the model unchanged.
    #[must_use]
    pub fn passed(name: impl Into<String>, shape: &[usize]) -> Self {
        InputTensor { attributed: false, ..InputTensor::new(name, shape) }
    }

    /// Checks names and shapes of the tensors of the parameter `name`.
    pub(crate) fn check(name: &'static str, tensors: &[InputTensor]) -> Result<(), ParamError> {
        let mut names = BTreeSet::new();
        let mut columns = 0_usize;
        for tensor in tensors {
            require(names.insert(&tensor.name), name, "named differently", &tensor.name)?;
            let size = tensor.shape.iter().try_fold(1_usize, |size, &n| size.checked_mul(n));
            let total = size.filter(|&size| 0 < size).and_then(|size| columns.checked_add(size));
            let sized = !tensor.shape.is_empty() && total.is_some();
            let rule = || format!("a shape of numbers above 0 for `{}`", tensor.name);
            require(sized, name, rule(), &tensor.shape)?;
            columns = total.unwrap_or(columns);
        }
        let any = tensors.is_empty() || tensors.iter().any(|tensor| tensor.attributed);
        require(any, name, "at least one with attributions", tensors.len())
    }
}

/// Tensors and the columns they take.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    tensors: Vec<(InputTensor, Range<usize>)>,
}

impl Layout {
    /// The layout of checked tensors.
    pub(crate) fn new(tensors: &[InputTensor]) -> Self {
        let mut start = 0;
        let place = |tensor: &InputTensor| {
            let columns = start..start + tensor.shape.iter().product::<usize>();
            start = columns.end;
            (tensor.clone(), columns)
        };
        Layout { tensors: tensors.iter().map(place).collect() }
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.tensors.last().map_or(0, |(_, columns)| columns.end)
    }

    /// The tensors with attributions and their columns.
    pub(crate) fn attributed(&self) -> impl Iterator<Item = (&InputTensor, Range<usize>)> {
        self.tensors.iter().filter(|(tensor, _)| tensor.attributed).map(|(t, c)| (t, c.clone()))
    }

    /// The tensors without and their columns.
    pub(crate) fn passed(&self) -> impl Iterator<Item = (&InputTensor, Range<usize>)> {
        self.tensors.iter().filter(|(tensor, _)| !tensor.attributed).map(|(t, c)| (t, c.clone()))
    }

    /// The tensor of this name with attributions, and its columns.
    pub(crate) fn find(&self, name: &str) -> Option<(&InputTensor, Range<usize>)> {
        self.attributed().find(|(tensor, _)| tensor.name == name)
    }

    /// The attributed tensors of a row.
    pub(crate) fn split(&self, row: &Row) -> Vec<ArrayD<f64>> {
        self.attributed()
            .map(|(tensor, columns)| cut(tensor, &[], &row.slice(s![columns])))
            .collect()
    }

    /// The attributed tensors of several rows, each with an axis for the rows in front.
    pub(crate) fn split_rows(&self, rows: &Rows) -> Vec<ArrayD<f64>> {
        let of = |(tensor, columns): (&InputTensor, Range<usize>)| {
            cut(tensor, &[rows.nrows()], &rows.slice(s![.., columns]))
        };
        self.attributed().map(of).collect()
    }

    /// A passed tensor of a row.
    pub(crate) fn tensor(
        &self,
        tensor: &InputTensor,
        columns: Range<usize>,
        row: &Row,
    ) -> ArrayD<f64> {
        cut(tensor, &[], &row.slice(s![columns]))
    }

    /// Writes the passed columns of `x` into a row.
    pub(crate) fn pass(&self, x: &Row, row: &mut Row) {
        for (_, columns) in self.passed() {
            row.slice_mut(s![columns.clone()]).assign(&x.slice(s![columns]));
        }
    }

    /// Adds something to each attributed column of a row, in order.
    pub(crate) fn add(&self, row: &mut Array1<f64>, mut next: impl FnMut() -> f64) {
        for (_, columns) in self.attributed() {
            row.slice_axis_mut(Axis(0), columns.into()).mapv_inplace(|value| value + next());
        }
    }
}

/// Columns in the shape of a tensor, behind the axes `leading`.
fn cut<D: Dimension>(
    tensor: &InputTensor,
    leading: &[usize],
    values: &ndarray::ArrayRef<f64, D>,
) -> ArrayD<f64> {
    let shape = [leading, &tensor.shape].concat();
    Array::from_shape_vec(IxDyn(&shape), values.iter().copied().collect())
        .expect("a tensor has as many numbers as columns")
}
