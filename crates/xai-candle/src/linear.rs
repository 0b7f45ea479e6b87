//! Dense layers whose weights are constants.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Error, Layout, Module, Result, Shape, Tensor};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};

use super::graph::{Layer, LayerPullback, trace_by_candle};
use super::real::{Real, require_real, with_real};

/// A dense layer, `x weight^T + bias`, with a gradient to `x` alone.
///
/// It computes what `candle_nn::Linear` does.
/// On the CPU the result for a row has the same bits in every batch, and the backward pass is half as long, because
/// candle would compute the gradient of a constant weight too.
#[derive(Clone, Debug)]
pub struct Linear {
    dense: Dense,
}

impl Linear {
    /// A layer with `weight` of shape `(n_outputs, n_inputs)` and `bias` of shape `(n_outputs,)`, `f32` or `f64`.
    ///
    /// Weights that are candle's variables are taken as they are now; what trains them later is not seen.
    ///
    /// # Errors
    /// When the shapes do not match or the types are others.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (n_outputs, _) = weight.dims2()?;
        require_real("the weight of a dense layer", weight.dtype())?;
        require_bias(bias, weight, n_outputs)?;
        let weight = weight.detach().contiguous()?;
        let bias = bias.map(Tensor::detach);
        Ok(Linear { dense: Dense { weight, bias } })
    }
}

/// Requires one number for each output, of the weight's type and on its device.
pub(super) fn require_bias(bias: Option<&Tensor>, weight: &Tensor, n_outputs: usize) -> Result<()> {
    let Some(bias) = bias else { return Ok(()) };
    if bias.dims() == [n_outputs] && bias.dtype() == weight.dtype() {
        return Ok(());
    }
    let (dims, dtype) = (bias.dims(), bias.dtype().as_str());
    let message =
        format!("the bias must hold {n_outputs} numbers like the weight, got {dims:?} of {dtype}");
    Err(Error::msg(message))
}

impl Module for Linear {
    /// `x` of shape `(.., n_inputs)`, the result of shape `(.., n_outputs)`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            return x.contiguous()?.apply_op1(self.dense.clone());
        }
        let Dense { weight, bias } = &self.dense;
        let (n_outputs, n_inputs) = weight.dims2()?;
        let flat = x.reshape(((), n_inputs))?.matmul(&weight.t()?)?;
        let flat = match bias {
            Some(bias) => flat.broadcast_add(bias)?,
            None => flat,
        };
        let mut dims = x.dims().to_vec();
        *dims.last_mut().expect("a tensor that was reshaped has an axis") = n_outputs;
        flat.reshape(dims)
    }
}

impl Layer for Linear {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        if !x.device().is_cpu() {
            return trace_by_candle(x, |x| Module::forward(self, x));
        }
        let out = x.contiguous()?.apply_op1_no_bwd(&self.dense)?;
        let backward = DenseGradient { weight: self.dense.weight.clone() };
        let back = move |gradient: Tensor| gradient.contiguous()?.apply_op1_no_bwd(&backward);
        Ok((out, Box::new(back)))
    }
}

#[derive(Clone, Debug)]
struct Dense {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Dense {
    fn forward<T: Real>(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n_outputs, n_inputs) = self.weight.dims2()?;
        let mut dims = layout.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == n_inputs => *last = n_outputs,
            _ => {
                let message =
                    format!("a dense layer takes {n_inputs} numbers, got {:?}", layout.dims());
                return Err(Error::msg(message));
            }
        }
        let shape = Shape::from(dims);
        let n_rows = shape.elem_count() / n_outputs.max(1);
        let x = view::<T>(T::read(x, layout)?, [n_rows, n_inputs]);
        let mut out = match &self.bias {
            Some(bias) => T::numbers(bias)?.repeat(n_rows),
            None => vec![T::from_f64(0.0); n_rows * n_outputs],
        };
        with_weight::<T, _>(&self.weight, |weight| {
            let weight = view(weight, [n_outputs, n_inputs]);
            multiply(&x, &weight.t(), &mut out);
        })?;
        Ok((T::to_cpu_storage_owned(out), shape))
    }
}

impl CustomOp1 for Dense {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_real!(x, T => self.forward::<T>(x, layout))
    }

    fn bwd(&self, _x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = DenseGradient { weight: self.weight.clone() };
        gradient.contiguous()?.apply_op1_no_bwd(&backward).map(Some)
    }
}

/// From the gradient of a dense layer's output to that of its input.
struct DenseGradient {
    weight: Tensor,
}

impl DenseGradient {
    fn backward<T: Real>(
        &self,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n_outputs, n_inputs) = self.weight.dims2()?;
        let n_rows = layout.shape().elem_count() / n_outputs.max(1);
        let mut dims = layout.dims().to_vec();
        *dims.last_mut().expect("the output of a dense layer has an axis") = n_inputs;
        let gradient = view::<T>(T::read(gradient, layout)?, [n_rows, n_outputs]);
        let mut out = vec![T::from_f64(0.0); n_rows * n_inputs];
        with_weight::<T, _>(&self.weight, |weight| {
            multiply(&gradient, &view(weight, [n_outputs, n_inputs]), &mut out);
        })?;
        Ok((T::to_cpu_storage_owned(out), Shape::from(dims)))
    }
}

impl CustomOp1 for DenseGradient {
    fn name(&self) -> &'static str {
        "linear-gradient"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_real!(gradient, T => self.backward::<T>(gradient, layout))
    }
}

/// Lends the numbers of a contiguous weight on the CPU.
pub(super) fn with_weight<T: Real, R>(weight: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = weight.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        return Err(Error::msg("the weight is on another device than the input"));
    };
    Ok(f(T::read(storage, layout)?))
}

/// A row-major matrix.
pub(super) fn view<T>(numbers: &[T], shape: [usize; 2]) -> ArrayView2<'_, T> {
    ArrayView2::from_shape(shape, numbers).expect("a matrix holds rows times columns numbers")
}

/// Adds the product of two matrices to `out`.
///
/// The kernels of ndarray add along the inner axis in an order that depends on its length alone, so that a row has
/// the same bits whatever stands beside it; those of candle pick their order by the number of rows.
pub(super) fn multiply<T: Real>(left: &ArrayRef2<T>, right: &ArrayRef2<T>, out: &mut [T]) {
    let one = T::from_f64(1.0);
    let mut out = ArrayViewMut2::from_shape((left.nrows(), right.ncols()), out)
        .expect("a product holds rows times columns numbers");
    general_mat_mul(one, left, right, one, &mut out);
}
