//! From columns of a row to a tensor and back.

use candle_core::{DType, Device, Tensor};
use ndarray::{Array2, ArrayView2, s};

use super::error::CandleError;
use xai_core::model::Rows;

/// A block of columns that becomes one tensor of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandleInput {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) is_differentiated: bool,
}

impl CandleInput {
    /// A tensor of `f32` with this shape, without the axis of the batch; it takes as many columns as the shape has
    /// cells, in row-major order.
    #[must_use]
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        CandleInput { shape: shape.into(), dtype: DType::F32, is_differentiated: true }
    }

    /// The same tensor with cells of another type. Integers, whose cells must be whole, have no gradient.
    #[must_use]
    pub fn with_dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The same tensor, handed over but not differentiated: its columns of every gradient are 0.
    #[must_use]
    pub fn without_gradient(mut self) -> Self {
        self.is_differentiated = false;
        self
    }

    /// The shape, without the axis of the batch.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the cells.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn has_gradient(&self) -> bool {
        self.is_differentiated && self.dtype.is_float()
    }

    /// A batch of these tensors.
    pub(super) fn batch_shape(&self, n_rows: usize) -> Vec<usize> {
        std::iter::once(n_rows).chain(self.shape.iter().copied()).collect()
    }

    /// The tensor of a batch, made of the columns from `first` on.
    pub(super) fn tensor(
        &self,
        rows: &Rows,
        first: usize,
        device: &Device,
    ) -> Result<Tensor, CandleError> {
        let cells = rows.slice(s![.., first..first + self.width()]);
        let shape = self.batch_shape(rows.nrows());
        if self.dtype.is_int() {
            let whole = |((row, column), &cell): ((usize, usize), &f64)| {
                whole(cell, self.dtype).ok_or(CandleError::Cell {
                    row,
                    column: first + column,
                    value: cell,
                    dtype: self.dtype.as_str(),
                })
            };
            let cells = cells.indexed_iter().map(whole).collect::<Result<Vec<i64>, _>>()?;
            return Ok(Tensor::from_vec(cells, shape, device)?.to_dtype(self.dtype)?);
        }
        if self.dtype == DType::F64 {
            let cells: Vec<f64> = cells.iter().copied().collect();
            return Ok(Tensor::from_vec(cells, shape, device)?);
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the model computes in single precision"
        )]
        let cells: Vec<f32> = cells.iter().map(|&cell| cell as f32).collect();
        Ok(Tensor::from_vec(cells, shape, device)?.to_dtype(self.dtype)?)
    }
}

/// A cell as an integer of a type, when it is one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the cast is compared with what it came from"
)]
fn whole(cell: f64, dtype: DType) -> Option<i64> {
    let integer = cell as i64;
    let fits = match dtype {
        DType::U8 => u8::try_from(integer).is_ok(),
        DType::U32 => u32::try_from(integer).is_ok(),
        DType::I16 => i16::try_from(integer).is_ok(),
        DType::I32 => i32::try_from(integer).is_ok(),
        // From 2^53 on, neighbours of an f64 are missing.
        _ => integer.unsigned_abs() <= 1 << 53,
    };
    (fits && integer as f64 == cell).then_some(integer)
}

/// Tensors of a batch side by side, one row for each instance, in double precision.
pub(super) fn rows_of(tensors: &[Tensor], n_rows: usize) -> Result<Array2<f64>, CandleError> {
    let width = |tensor: &Tensor| tensor.elem_count() / n_rows.max(1);
    let mut rows = Array2::zeros((n_rows, tensors.iter().map(width).sum()));
    let mut first = 0;
    for tensor in tensors {
        let width = width(tensor);
        let cells = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let cells = ArrayView2::from_shape((n_rows, width), &cells);
        let cells = cells.expect("axis 0 of the tensor is the instance");
        rows.slice_mut(s![.., first..first + width]).assign(&cells);
        first += width;
    }
    Ok(rows)
}
