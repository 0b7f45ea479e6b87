//! Parts of a model that compute their gradients themselves.
//!
//! Candle's differentiation adds each gradient to fresh zeros and visits memory once more for it.
//! Layers with large tensors and few operations per cell spend most of their time there, so the layers of this crate
//! compute the gradient of their input themselves, and a model hands gradients from one part to the next.

use candle_core::{DType, Module, Result, Tensor, Var};

/// From the gradients of a part's outputs to those of its inputs; `None` is a gradient of zeros.
pub type Pullback<'g> =
    Box<dyn FnOnce(Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> + Send + 'g>;

/// A part of a model from tensors to tensors, with a gradient.
pub trait Graph: Send + Sync {
    /// The outputs for some inputs; axis 0 of each tensor is the instance.
    ///
    /// # Errors
    /// What candle returns, for example when shapes do not match.
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// The outputs, and the pullback to the inputs that want a gradient.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn trace(&self, inputs: &[Tensor], wants: &[bool]) -> Result<(Vec<Tensor>, Pullback<'_>)>;
}

/// The backward pass through a [`Layer`]: from the gradient of its output to that of its input.
pub type LayerPullback<'l> = Box<dyn FnOnce(Tensor) -> Result<Tensor> + Send + 'l>;

/// A part of a model from one tensor to another.
///
/// The layers of this crate are such parts; any function of tensors becomes one by [`by_candle`].
///
/// ```
/// use xai_candle::candle_core::{self, Device, Module, Tensor};
/// use xai_candle::{Layer, LayerPullback};
///
/// struct Square;
///
/// impl Module for Square {
///     fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
///         x.sqr()
///     }
/// }
///
/// impl Layer for Square {
///     fn trace(&self, x: &Tensor) -> candle_core::Result<(Tensor, LayerPullback<'_>)> {
///         let slope = (x * 2.0)?;
///         Ok((x.sqr()?, Box::new(move |gradient| gradient * slope)))
///     }
/// }
///
/// let x = Tensor::new(&[3.0], &Device::Cpu)?;
/// let (_, back) = Square.trace(&x)?;
/// assert_eq!(back(x.ones_like()?)?.to_vec1::<f64>()?, [6.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub trait Layer: Module + Send + Sync {
    /// The output for an input, axis 0 of which is the instance, and the pullback from the gradient of the output to
    /// that of the input.
    ///
    /// # Errors
    /// As [`Module::forward`].
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)>;
}

/// A module or function of candle's operators as a [`Layer`] that candle differentiates.
pub fn by_candle(module: impl Module + Send + Sync) -> impl Layer {
    ByCandle(module)
}

struct ByCandle<M>(M);

impl<M: Module + Send + Sync> Module for ByCandle<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

impl<M: Module + Send + Sync> Layer for ByCandle<M> {
    fn trace(&self, x: &Tensor) -> Result<(Tensor, LayerPullback<'_>)> {
        trace_by_candle(x, |x| self.0.forward(x))
    }
}

/// The output of a function of one tensor, and its pullback by candle.
pub(super) fn trace_by_candle<'l>(
    x: &Tensor,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<(Tensor, LayerPullback<'l>)> {
    let x = Var::from_tensor(&x.detach())?.into_inner();
    let out = f(&x)?;
    let detached = out.detach();
    let back = move |gradient: Tensor| {
        let gradients = (out * gradient)?.sum_all()?.backward()?;
        gradients.get(&x).map_or_else(|| x.detach().zeros_like(), |gradient| Ok(gradient.clone()))
    };
    Ok((detached, Box::new(back)))
}

/// A function of tensors whose pullback is candle's.
pub(super) struct Joined<F>(pub(super) F);

impl<F: Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync> Graph for Joined<F> {
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        (self.0)(inputs)
    }

    fn trace(&self, inputs: &[Tensor], wants: &[bool]) -> Result<(Vec<Tensor>, Pullback<'_>)> {
        trace_joined(inputs, wants, &self.0)
    }
}

/// The outputs of a function of several tensors, and its pullback by candle.
///
/// # Errors
/// What the function returns.
pub fn trace_joined<'g>(
    inputs: &[Tensor],
    wants: &[bool],
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<(Vec<Tensor>, Pullback<'g>)> {
    let variable = |(x, &wants): (&Tensor, &bool)| {
        Ok(if wants { Var::from_tensor(&x.detach())?.into_inner() } else { x.detach() })
    };
    let inputs = inputs.iter().zip(wants).map(variable).collect::<Result<Vec<_>>>()?;
    let outputs = f(&inputs)?;
    let detached = outputs.iter().map(Tensor::detach).collect();
    let back = move |gradients: Vec<Option<Tensor>>| {
        let mut objective: Option<Tensor> = None;
        for (out, gradient) in outputs.into_iter().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let sum = (out * gradient)?.sum_all()?.to_dtype(DType::F64)?;
            objective = Some(match objective {
                Some(total) => (total + sum)?,
                None => sum,
            });
        }
        let gradients = objective.map(|objective| objective.backward()).transpose()?;
        let gradient = |x: &Tensor| {
            // Candle also keeps gradients of constants that stand beside variables.
            gradients.as_ref().filter(|_| x.is_variable())?.get(x).cloned()
        };
        Ok(inputs.iter().map(gradient).collect())
    };
    Ok((detached, Box::new(back)))
}

/// A layer as a part of a model.
pub(super) struct Single<L>(pub(super) L);

/// The one tensor that a layer takes.
fn single(inputs: &[Tensor]) -> Result<&Tensor> {
    match inputs {
        [x] => Ok(x),
        _ => candle_core::bail!("it takes one tensor, got {}", inputs.len()),
    }
}

impl<L: Layer> Graph for Single<L> {
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.0.forward(single(inputs)?)?])
    }

    fn trace(&self, inputs: &[Tensor], _: &[bool]) -> Result<(Vec<Tensor>, Pullback<'_>)> {
        let (out, back) = self.0.trace(single(inputs)?)?;
        let back = move |gradients: Vec<Option<Tensor>>| {
            let gradient = gradients.into_iter().next().flatten();
            Ok(vec![gradient.map(back).transpose()?])
        };
        Ok((vec![out], Box::new(back)))
    }
}
