//! The rectifier and other small layers with a short backward pass.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor};

use super::graph::{Layer, LayerPullback, trace_by_candle};
use super::real::{Real, with_real};

/// `max(x, 0)` of each number, `f32` or `f64`; its gradient at 0 is 0.
///
/// Candle's rectifier has the gradient 1 at 0 and takes five passes over memory where this takes one.
///
/// # Errors
/// When `x` holds numbers of another type.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Rectifier);
    }
    x.gt(0.0)?.where_cond(x, &x.zeros_like()?)
}

/// [`relu`] as a [`Layer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu;

impl Module for Relu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        relu(x)
    }
}

impl Layer for Relu {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        if !x.device().is_cpu() {
            return trace_by_candle(x, relu);
        }
        let out = relu(&x.detach())?.detach();
        let kept = out.clone();
        let back = move |gradient: Tensor| {
            kept.apply_op2_no_bwd(&gradient.contiguous()?, &RectifierGradient)
        };
        Ok((out, Box::new(back)))
    }
}

/// All axes behind the first as one, as a [`Layer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.flatten_from(1)
    }
}

impl Layer for Flatten {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        let shape = x.shape().clone();
        Ok((self.forward(x)?, Box::new(move |gradient| gradient.reshape(shape))))
    }
}

struct Rectifier;

impl CustomOp1 for Rectifier {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Real>(x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
            let zero = T::from_f64(0.0);
            // A comparison with NaN is false, so that NaN passes.
            let rectify = |&x: &T| if x < zero { zero } else { x };
            let out = T::read(x, layout)?.iter().map(rectify).collect();
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        }
        with_real!(x, T => forward::<T>(x, layout))
    }

    fn bwd(&self, _x: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        out.apply_op2_no_bwd(&gradient.contiguous()?, &RectifierGradient).map(Some)
    }
}

/// The gradient where the output is above 0.
struct RectifierGradient;

impl CustomOp2 for RectifierGradient {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn cpu_fwd(
        &self,
        out: &CpuStorage,
        out_layout: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn backward<T: Real>(
            out: (&CpuStorage, &Layout),
            gradient: (&CpuStorage, &Layout),
        ) -> Result<(CpuStorage, Shape)> {
            let zero = T::from_f64(0.0);
            let pairs = T::read(out.0, out.1)?.iter().zip(T::read(gradient.0, gradient.1)?);
            let pass = |(&out, &gradient): (&T, &T)| if out > zero { gradient } else { zero };
            Ok((T::to_cpu_storage_owned(pairs.map(pass).collect()), out.1.shape().clone()))
        }
        with_real!(out, T => backward::<T>((out, out_layout), (gradient, layout)))
    }
}
