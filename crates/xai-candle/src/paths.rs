//! Gradients along paths on a device: endpoints go there, sums come back.

use candle_core::{DType, Tensor};
use ndarray::{Array2, ArrayRef2, s};

use super::error::CandleError;
use super::model::CandleModel;
use xai_core::model::{BoxError, Paths};

impl CandleModel<'_> {
    /// What [`Differentiable::path_vjp`](xai_core::Differentiable::path_vjp) promises, with one transfer to the device
    /// and one back for each block of points. Points and sums are in double precision, as on the processor.
    pub(super) fn path_vjp_on_device(
        &self,
        paths: &Paths<'_>,
        max_points: usize,
    ) -> Result<Array2<f64>, BoxError> {
        let n_points = paths.alphas.len();
        let all = paths.from.nrows() * n_points;
        let mut sums = Array2::zeros(paths.from.dim());
        for first in (0..all).step_by(max_points.max(1)) {
            let points = first..(first + max_points.max(1)).min(all);
            let rows = points.start / n_points..points.end.div_ceil(n_points);
            let of_block = |ends: &ArrayRef2<f64>| ends.slice(s![rows.clone(), ..]).to_owned();
            let place = |point: usize| (point / n_points - rows.start, point % n_points);
            let block = Block {
                from: of_block(paths.from),
                to: of_block(paths.to),
                cotangent: of_block(paths.cotangent),
                rows: points.clone().map(|point| place(point).0).collect(),
                alphas: points.clone().map(|point| paths.alphas[place(point).1]).collect(),
                weights: points.map(|point| paths.weights[place(point).1]).collect(),
            };
            let mut sums = sums.slice_mut(s![rows.clone(), ..]);
            sums += &self.sum_block(&block)?;
        }
        Ok(sums)
    }

    fn sum_block(&self, block: &Block) -> Result<Array2<f64>, BoxError> {
        let device = &self.chain.device;
        let upload = |matrix: &Array2<f64>| {
            Tensor::from_vec(matrix.iter().copied().collect(), matrix.dim(), device)
        };
        self.check_integers(block)?;
        let run = || {
            let n_points = block.rows.len();
            let rows: Vec<i64> = block.rows.iter().map(|&row| row as i64).collect();
            let rows = Tensor::from_vec(rows, n_points, device)?;
            let (from, to) = (upload(&block.from)?, upload(&block.to)?);
            let step = (to - &from)?.index_select(&rows, 0)?;
            let alphas = Tensor::from_vec(block.alphas.clone(), (n_points, 1), device)?;
            let points = (from.index_select(&rows, 0)? + step.broadcast_mul(&alphas)?)?;
            let cotangent = upload(&block.cotangent)?.index_select(&rows, 0)?;
            let mut first = 0;
            let mut inputs = Vec::with_capacity(self.chain.inputs.len());
            for input in &self.chain.inputs {
                let columns = points.narrow(1, first, input.width())?.contiguous()?;
                let tensor = columns.to_dtype(input.dtype)?.reshape(input.batch_shape(n_points))?;
                inputs.push(tensor);
                first += input.width();
            }
            let (_, tape) = self.trace(inputs, n_points)?;
            let gradients = tape.pull_back(&cotangent)?;
            let flat = |gradient: &Tensor| {
                gradient.reshape((n_points, gradient.elem_count() / n_points))?.to_dtype(DType::F64)
            };
            let gradients = gradients.iter().map(flat).collect::<candle_core::Result<Vec<_>>>()?;
            let gradients = Tensor::cat(&gradients, 1)?;
            let mut weights = Array2::zeros((block.from.nrows(), n_points));
            for (point, (&row, &weight)) in block.rows.iter().zip(&block.weights).enumerate() {
                weights[[row, point]] = weight;
            }
            Result::<_, CandleError>::Ok(upload(&weights)?.matmul(&gradients)?)
        };
        let sums = run()?.flatten_all()?.to_vec1()?;
        Ok(Array2::from_shape_vec(block.from.dim(), sums)
            .expect("one sum for each column of a row"))
    }

    /// Integers cannot move along a path: they must be whole and alike at both ends.
    fn check_integers(&self, block: &Block) -> Result<(), CandleError> {
        let mut first = 0;
        for input in &self.chain.inputs {
            let columns = first..first + input.width();
            first = columns.end;
            if !input.dtype.is_int() {
                continue;
            }
            for ((row, column), &from) in block.from.slice(s![.., columns.clone()]).indexed_iter() {
                let column = columns.start + column;
                let to = block.to[[row, column]];
                if from.to_bits() != to.to_bits() || from.fract() != 0.0 {
                    let dtype = input.dtype.as_str();
                    return Err(CandleError::Cell { row, column, value: to, dtype });
                }
            }
        }
        Ok(())
    }
}

/// Points of some paths, in the order of the rows.
struct Block {
    /// Of the rows in the block, shape `(n_rows, n_features)`.
    from: Array2<f64>,
    to: Array2<f64>,
    cotangent: Array2<f64>,
    /// For each point its row in the block.
    rows: Vec<usize>,
    alphas: Vec<f64>,
    weights: Vec<f64>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use candle_core::{DType, Device, Tensor};
    use ndarray::Array2;

    use crate::{CandleInput, CandleModel, Linear};
    use xai_core::{Differentiable, Paths, Seed};

    /// What runs on a device, run on the processor, where it must give what the computation on the processor gives: sums of
    /// four terms of size one in another order.
    #[test]
    fn paths_on_a_device_are_paths_in_memory() {
        let mut stream = Seed::new(1).stream();
        let mut matrix =
            |shape| Array2::from_shape_simple_fn(shape, || 2.0 * stream.uniform() - 1.0);
        let weight = matrix((3, 4));
        let weight =
            Tensor::from_vec(weight.into_raw_vec_and_offset().0, (3, 4), &Device::Cpu).unwrap();
        let layer = Linear::new(&weight, None).unwrap();
        let inputs = [
            CandleInput::new([4]).with_dtype(DType::F64),
            CandleInput::new([2]).with_dtype(DType::F64).without_gradient(),
            CandleInput::new([]).with_dtype(DType::U32),
        ];
        let model = CandleModel::of_inputs(inputs, |x| {
            use candle_core::Module;
            let index = x[2].to_dtype(DType::F64)?.unsqueeze(1)?;
            layer
                .forward(&x[0])?
                .tanh()?
                .broadcast_mul(&x[1].sum_keepdim(1)?)?
                .broadcast_add(&index)
        });
        let model = model.unwrap();
        let (mut from, mut to, cotangent) = (matrix((5, 7)), matrix((5, 7)), matrix((5, 3)));
        from.column_mut(6).fill(2.0);
        to.column_mut(6).fill(2.0);
        let paths = Paths {
            from: &from,
            to: &to,
            alphas: &[0.0, 0.25, 0.5, 1.0],
            weights: &[0.1, 0.2, 0.3, 0.4],
            cotangent: &cotangent,
        };
        #[allow(clippy::disallowed_methods, reason = "the model itself is tested")]
        let expected = model.path_vjp(&paths, 100).unwrap();
        assert!(expected.iter().any(|sum| sum.abs() > 0.01));
        for max_points in [1, 3, 7, 20] {
            let got = model.path_vjp_on_device(&paths, max_points).unwrap();
            let error = (&got - &expected).mapv(f64::abs).into_iter().fold(0.0, f64::max);
            assert!(error <= 16.0 * f64::EPSILON, "{error}");
        }
        // An index cannot move.
        let paths = Paths { from: &Array2::zeros((5, 7)), ..paths };
        assert!(model.path_vjp_on_device(&paths, 7).is_err());
    }
}
