//! A model of candle as a predictor with gradients.

use candle_core::{DType, Module, Tensor};
use ndarray::{Array2, Axis, concatenate, s};

use super::chain::CandleChain;
use super::error::CandleError;
use super::input::{CandleInput, rows_of};
use crate::error::{Result, same_shape};
use crate::model::{BoxError, Cut, Differentiable, Paths, Predictor, Rows, sum_along_paths};
use crate::parallel;

/// A model of candle, cut into named stages, as a [`Predictor`] and [`Differentiable`].
///
/// A row of numbers is cut into blocks of columns, one for each [`CandleInput`] in order.
/// Outputs of any rank are flattened to one row for each instance; several of them stand side by side.
///
/// Gradients are taken with respect to the inputs alone.
/// Weights should be plain tensors, as `candle_core::safetensors::load` and
/// `candle_nn::VarBuilder::from_buffered_safetensors` give them: for weights that are variables candle computes
/// gradients that nobody asked for. The layers of this module take either as constants.
///
/// # Cost
/// A gradient is one forward and one backward pass.
#[derive(Clone, Debug)]
pub struct CandleModel<'m> {
    pub(super) chain: CandleChain<'m>,
    /// The tensors in front of each stage, and behind the last.
    pub(super) layers: Vec<Vec<CandleInput>>,
}

impl<'m> CandleModel<'m> {
    /// A model of one input and one stage, named `model`, on the processor.
    ///
    /// # Errors
    /// As [`CandleChain::build`].
    pub fn new(input: CandleInput, module: impl Module + Send + Sync + 'm) -> Result<Self> {
        Self::chain([input]).stage("model", module).build()
    }

    /// A model of several inputs and one stage, named `model`, on the processor.
    ///
    /// # Errors
    /// As [`CandleChain::build`].
    pub fn of_inputs(
        inputs: impl IntoIterator<Item = CandleInput>,
        forward: impl Fn(&[Tensor]) -> candle_core::Result<Tensor> + Send + Sync + 'm,
    ) -> Result<Self> {
        Self::chain(inputs).join("model", move |tensors| Ok(vec![forward(tensors)?])).build()
    }

    /// A model to be built stage by stage.
    #[must_use]
    pub fn chain(inputs: impl IntoIterator<Item = CandleInput>) -> CandleChain<'m> {
        CandleChain::new(inputs.into_iter().collect())
    }

    /// The number of outputs for a row.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        width(self.outputs())
    }

    /// The tensors that enter the model.
    #[must_use]
    pub fn inputs(&self) -> &[CandleInput] {
        &self.chain.inputs
    }

    /// The tensors behind a stage, or in front of it; `None` when no stage has this name.
    #[must_use]
    pub fn layer(&self, stage: &str, at_inputs: bool) -> Option<&[CandleInput]> {
        Some(&self.layers[self.place(stage, at_inputs)?])
    }

    /// How many stages come before a cut.
    fn place(&self, stage: &str, at_inputs: bool) -> Option<usize> {
        let place = self.chain.stages.iter().position(|other| other.name == stage)?;
        Some(if at_inputs { place } else { place + 1 })
    }

    /// The stages from one cut to another, as a model.
    fn part(&self, from: usize, to: usize) -> Self {
        let mut chain = self.chain.clone();
        chain.stages = chain.stages[from..to].to_vec();
        chain.inputs = self.layers[from].clone();
        CandleModel { chain, layers: self.layers[from..=to].to_vec() }
    }

    pub(super) fn width(&self) -> usize {
        width(&self.chain.inputs)
    }

    fn outputs(&self) -> &[CandleInput] {
        self.layers.last().expect("there is a layer behind the last stage")
    }

    /// The tensors of a batch, variables where a gradient is wanted.
    fn tensors(&self, rows: &Rows, wants_gradient: bool) -> Result<Vec<Tensor>, CandleError> {
        let mut first = 0;
        let tensor = |input: &CandleInput| {
            let tensor = input.tensor(rows, first, &self.chain.device, wants_gradient);
            first += input.width();
            tensor
        };
        self.chain.inputs.iter().map(tensor).collect()
    }

    fn forward(&self, tensors: Vec<Tensor>, n_rows: usize) -> Result<Vec<Tensor>, CandleError> {
        self.chain.stages.iter().try_fold(tensors, |tensors, stage| stage.forward(&tensors, n_rows))
    }

    /// Outputs of a part of a batch.
    fn predict_part(&self, rows: &Rows) -> Result<Array2<f64>, BoxError> {
        let outputs = self.forward(self.tensors(rows, false)?, rows.nrows())?;
        let outputs = rows_of(&outputs, rows.nrows())?;
        same_shape("outputs", &[rows.nrows(), self.n_outputs()], outputs.shape())?;
        Ok(outputs)
    }

    /// Gradients of a part of a batch.
    fn vjp_part(&self, rows: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let n_rows = rows.nrows();
        let inputs = self.tensors(rows, true)?;
        let device = &self.chain.device;
        let shape = cotangent.dim();
        let cotangent = Tensor::from_vec(cotangent.iter().copied().collect(), shape, device);
        let gradients = self.pull_back(&inputs, &cotangent.map_err(CandleError::Candle)?)?;
        Ok(rows_of(&gradients, n_rows)?)
    }

    /// The gradient for each input, of its own shape and type; `cotangent` has shape `(n_rows, n_outputs)`, `f64`.
    pub(super) fn pull_back(
        &self,
        inputs: &[Tensor],
        cotangent: &Tensor,
    ) -> Result<Vec<Tensor>, CandleError> {
        let outputs = self.forward(inputs.to_vec(), cotangent.dims()[0])?;
        let backward = || {
            let mut first = 0;
            let mut objective: Option<Tensor> = None;
            for output in &outputs {
                let flat = output.flatten_from(1.min(output.rank() - 1))?;
                let flat = if output.rank() == 1 { flat.unsqueeze(1)? } else { flat };
                let width = flat.dims()[1];
                if output.dtype().is_float() {
                    let block = cotangent.narrow(1, first, width)?.to_dtype(output.dtype())?;
                    let sum = (flat * block)?.sum_all()?.to_dtype(DType::F64)?;
                    objective = Some(match objective {
                        Some(total) => (total + sum)?,
                        None => sum,
                    });
                }
                first += width;
            }
            let gradients = objective.map(|objective| objective.backward()).transpose()?;
            let gradient = |input: &Tensor| {
                // Candle also keeps gradients of constants that stand beside variables.
                let known = gradients.as_ref().filter(|_| input.is_variable());
                match known.and_then(|gradients| gradients.get(input)) {
                    Some(gradient) => Ok(gradient.clone()),
                    None => input.detach().zeros_like(),
                }
            };
            inputs.iter().map(gradient).collect::<candle_core::Result<Vec<_>>>()
        };
        backward().map_err(CandleError::Backward)
    }

    /// Calls `f` on parts of a batch, side by side on a processor and all at once elsewhere.
    fn in_parts(
        &self,
        n_rows: usize,
        n_columns: usize,
        f: impl Fn(std::ops::Range<usize>) -> Result<Array2<f64>, BoxError> + Sync + Send,
    ) -> Result<Array2<f64>, BoxError> {
        let CandleChain { rows_at_once, is_fixed, .. } = self.chain;
        let size = if is_fixed {
            rows_at_once
        } else if self.chain.device.is_cpu() {
            n_rows.div_ceil(n_rows.div_ceil(rows_at_once).max(1))
        } else {
            n_rows
        };
        let size = size.max(1);
        let parts = 0..n_rows.div_ceil(size);
        let rows = |part: usize| part * size..((part + 1) * size).min(n_rows);
        // A device has one queue, and no use for threads.
        let parts: Vec<_> = if self.chain.device.is_cpu() {
            parallel::map(parts, |part| f(rows(part)))
        } else {
            parts.map(|part| f(rows(part))).collect()
        };
        let mut parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        if parts.is_empty() {
            return Ok(Array2::zeros((0, n_columns)));
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        Ok(concatenate(Axis(0), &views).expect("all parts have the same columns"))
    }

    /// Rows of a part, filled up where the size of a batch is fixed.
    fn filled(&self, rows: &Rows) -> Option<Array2<f64>> {
        let missing = self.chain.rows_at_once.saturating_sub(rows.nrows());
        if !self.chain.is_fixed || missing == 0 {
            return None;
        }
        let last = rows.slice(s![rows.nrows() - 1.., ..]);
        let fill = last.broadcast((missing, rows.ncols())).expect("one row fits any number");
        Some(concatenate(Axis(0), &[rows.view(), fill]).expect("rows of one width"))
    }
}

fn width(tensors: &[CandleInput]) -> usize {
    tensors.iter().map(CandleInput::width).sum()
}

impl Predictor for CandleModel<'_> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        same_shape("a batch", &[batch.nrows(), self.width()], batch.shape())?;
        self.in_parts(batch.nrows(), self.n_outputs(), |rows| {
            let n_rows = rows.len();
            let part = batch.slice(s![rows, ..]);
            match self.filled(&part) {
                Some(filled) => Ok(self.predict_part(&filled)?.slice_move(s![..n_rows, ..])),
                None => self.predict_part(&part),
            }
        })
    }

    fn max_batch(&self) -> usize {
        self.chain.max_batch
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.width())
    }
}

impl Differentiable for CandleModel<'_> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        same_shape("a batch", &[batch.nrows(), self.width()], batch.shape())?;
        same_shape("cotangents", &[batch.nrows(), self.n_outputs()], cotangent.shape())?;
        self.in_parts(batch.nrows(), self.width(), |rows| {
            let n_rows = rows.len();
            let part = batch.slice(s![rows.clone(), ..]);
            let cotangent = cotangent.slice(s![rows, ..]);
            match (self.filled(&part), self.filled(&cotangent)) {
                (Some(part), Some(cotangent)) => {
                    Ok(self.vjp_part(&part, &cotangent)?.slice_move(s![..n_rows, ..]))
                }
                _ => self.vjp_part(&part, &cotangent),
            }
        })
    }

    /// On the processor the points are built in memory; elsewhere they are built on the device and summed there, and
    /// one row comes back for each path.
    fn path_vjp(&self, paths: &Paths<'_>, max_points: usize) -> Result<Array2<f64>, BoxError> {
        let (n_rows, width) = (paths.from.nrows(), self.width());
        same_shape("the starts of the paths", &[n_rows, width], paths.from.shape())?;
        same_shape("the ends of the paths", &[n_rows, width], paths.to.shape())?;
        same_shape("cotangents", &[n_rows, self.n_outputs()], paths.cotangent.shape())?;
        if self.chain.device.is_cpu() || self.chain.is_fixed {
            return sum_along_paths(self, paths, max_points);
        }
        self.path_vjp_on_device(paths, max_points)
    }

    /// A cut at a stage. The rows of the layer hold its tensors side by side, each flattened.
    fn cut(&self, layer: &str, at_inputs: bool) -> Option<Cut<'_>> {
        let place = self.place(layer, at_inputs)?;
        let (body, head) = (self.part(0, place), self.part(place, self.chain.stages.len()));
        Some(Cut { body: Box::new(body), head: Box::new(head) })
    }
}
