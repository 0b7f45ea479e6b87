//! A model of candle as a predictor with gradients.

use std::ops::Range;
use std::sync::Mutex;

use candle_core::{Module, Tensor};
use ndarray::{Array2, Axis, concatenate, s};

use super::chain::{CandleChain, Stage};
use super::error::CandleError;
use super::graph::Pullback;
use super::input::{CandleInput, rows_of};
use xai_core::decision::Output;
use xai_core::error::{Result, same_shape};
use xai_core::model::{BoxError, Differentiable, Paths, Predictor, Rows, Split, sum_along_paths};
use xai_core::{Side, parallel};

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
    pub fn layer(&self, stage: &str, side: Side) -> Option<&[CandleInput]> {
        Some(&self.layers[self.place(stage, side)?])
    }

    /// How many stages come before a cut.
    fn place(&self, stage: &str, side: Side) -> Option<usize> {
        let place = self.chain.stages.iter().position(|other| other.name == stage)?;
        Some(if side == Side::Before { place } else { place + 1 })
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

    /// The tensors of a batch.
    fn tensors(&self, rows: &Rows) -> Result<Vec<Tensor>, CandleError> {
        let mut first = 0;
        let tensor = |input: &CandleInput| {
            let tensor = input.tensor(rows, first, &self.chain.device);
            first += input.width();
            tensor
        };
        self.chain.inputs.iter().map(tensor).collect()
    }

    /// The outputs, and what the backward pass needs.
    pub(super) fn trace(
        &self,
        inputs: Vec<Tensor>,
        n_rows: usize,
    ) -> Result<(Vec<Tensor>, Tape<'_>), CandleError> {
        let mut wants: Vec<bool> =
            self.chain.inputs.iter().map(CandleInput::has_gradient).collect();
        let zeros = inputs.clone();
        let (mut tensors, mut backs) = (inputs, Vec::with_capacity(self.chain.stages.len()));
        for stage in &self.chain.stages {
            let (outputs, back) = stage.trace(&tensors, &wants, n_rows)?;
            let is_wanted = wants.contains(&true);
            wants = outputs.iter().map(|out| is_wanted && out.dtype().is_float()).collect();
            backs.push(back);
            tensors = outputs;
        }
        let outputs = tensors.clone();
        Ok((outputs, Tape { model: self, inputs: zeros, outputs: tensors, backs }))
    }

    /// Outputs of a part of a batch.
    fn predict_part(&self, rows: &Rows) -> Result<Array2<f64>, BoxError> {
        let n_rows = rows.nrows();
        let forward = |tensors: Vec<Tensor>, stage: &Stage<'_>| stage.forward(&tensors, n_rows);
        let outputs = self.chain.stages.iter().try_fold(self.tensors(rows)?, forward)?;
        self.checked(&outputs, n_rows)
    }

    fn checked(&self, outputs: &[Tensor], n_rows: usize) -> Result<Array2<f64>, BoxError> {
        let outputs = rows_of(outputs, n_rows)?;
        same_shape("outputs", &[n_rows, self.n_outputs()], outputs.shape())?;
        Ok(outputs)
    }

    /// Gradients of a part of a batch.
    fn vjp_part(&self, rows: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let n_rows = rows.nrows();
        let (_, tape) = self.trace(self.tensors(rows)?, n_rows)?;
        Ok(rows_of(&tape.pull_back(&self.upload(cotangent)?)?, n_rows)?)
    }

    fn upload(&self, cotangent: &Rows) -> Result<Tensor, CandleError> {
        let (shape, device) = (cotangent.dim(), &self.chain.device);
        Ok(Tensor::from_vec(cotangent.iter().copied().collect(), shape, device)?)
    }

    /// The most rows that the model sees at once.
    fn rows_at_once(&self) -> usize {
        self.chain.rows_at_once.expect("a model that was built knows its rows at once").max(1)
    }

    /// The rows that the model sees at once: parts of about equal size on a processor, all elsewhere.
    fn parts(&self, n_rows: usize) -> Vec<Range<usize>> {
        let size = if self.chain.is_fixed {
            self.rows_at_once()
        } else if self.chain.device.is_cpu() {
            n_rows.div_ceil(n_rows.div_ceil(self.rows_at_once()).max(1)).max(1)
        } else {
            n_rows.max(1)
        };
        (0..n_rows).step_by(size).map(|first| first..(first + size).min(n_rows)).collect()
    }

    /// Calls `f` for each part, side by side on a processor.
    fn each_part<T: Send>(
        &self,
        parts: &[Range<usize>],
        f: impl Fn(usize, Range<usize>) -> Result<T, BoxError> + Sync + Send,
    ) -> Result<Vec<T>, BoxError> {
        let call = |part: usize| f(part, parts[part].clone());
        // A device has one queue, and no use for threads.
        if self.chain.device.is_cpu() {
            return parallel::map(0..parts.len(), call).into_iter().collect();
        }
        (0..parts.len()).map(call).collect()
    }

    /// A part of a batch as the model sees it.
    fn part_of(&self, batch: &Rows, rows: Range<usize>) -> Array2<f64> {
        let part = batch.slice(s![rows, ..]);
        self.filled(&part).unwrap_or_else(|| part.to_owned())
    }

    /// Rows of a part, filled up where the size of a batch is fixed.
    fn filled(&self, rows: &Rows) -> Option<Array2<f64>> {
        let missing = self.rows_at_once().saturating_sub(rows.nrows());
        if !self.chain.is_fixed || missing == 0 {
            return None;
        }
        let last = rows.slice(s![rows.nrows() - 1.., ..]);
        let fill = last.broadcast((missing, rows.ncols())).expect("one row fits any number");
        Some(concatenate(Axis(0), &[rows.view(), fill]).expect("rows of one width"))
    }
}

/// What a forward pass leaves for the backward pass.
pub(super) struct Tape<'m> {
    model: &'m CandleModel<'m>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    backs: Vec<Pullback<'m>>,
}

impl Tape<'_> {
    /// The gradient for each input, with the input's shape and type; `cotangent` has shape `(n_rows, n_outputs)`, `f64`.
    pub(super) fn pull_back(self, cotangent: &Tensor) -> Result<Vec<Tensor>, CandleError> {
        let mut first = 0;
        let block = |output: &Tensor| {
            let width = output.elem_count() / output.dims()[0].max(1);
            let block = cotangent.narrow(1, first, width)?;
            first += width;
            if !output.dtype().is_float() {
                return Ok(None);
            }
            block.contiguous()?.to_dtype(output.dtype())?.reshape(output.shape()).map(Some)
        };
        let gradients = || {
            let gradients = self.outputs.iter().map(block).collect::<candle_core::Result<_>>()?;
            let gradients = self.backs.into_iter().rev().try_fold(gradients, |g, back| back(g))?;
            let inputs = &self.model.chain.inputs;
            let gradients = gradients
                .into_iter()
                .zip(inputs)
                .map(|(gradient, input)| gradient.filter(|_| input.has_gradient()));
            let or_zeros = |(gradient, x): (Option<Tensor>, &Tensor)| {
                gradient.map_or_else(|| x.zeros_like(), Ok)
            };
            gradients.zip(&self.inputs).map(or_zeros).collect::<candle_core::Result<Vec<_>>>()
        };
        gradients().map_err(CandleError::Backward)
    }
}

/// Parts of a batch in one piece.
fn joined(mut parts: Vec<Array2<f64>>, n_columns: usize) -> Array2<f64> {
    match parts.len() {
        0 => Array2::zeros((0, n_columns)),
        1 => parts.remove(0),
        _ => {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            concatenate(Axis(0), &views).expect("all parts have the same columns")
        }
    }
}

fn width(tensors: &[CandleInput]) -> usize {
    tensors.iter().map(CandleInput::width).sum()
}

impl Predictor for CandleModel<'_> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        same_shape("a batch", &[batch.nrows(), self.width()], batch.shape())?;
        let parts = self.each_part(&self.parts(batch.nrows()), |_, rows| {
            let outputs = self.predict_part(&self.part_of(batch, rows.clone()))?;
            Ok(outputs.slice_move(s![..rows.len(), ..]))
        })?;
        Ok(joined(parts, self.n_outputs()))
    }

    fn max_batch(&self) -> usize {
        self.chain.max_batch
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.width())
    }

    fn output(&self) -> Option<Output> {
        self.chain.output.clone()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.chain.class_names.as_deref()
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Differentiable for CandleModel<'_> {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        same_shape("a batch", &[batch.nrows(), self.width()], batch.shape())?;
        same_shape("cotangents", &[batch.nrows(), self.n_outputs()], cotangent.shape())?;
        let parts = self.each_part(&self.parts(batch.nrows()), |_, rows| {
            let part = self.part_of(batch, rows.clone());
            let gradients = self.vjp_part(&part, &self.part_of(cotangent, rows.clone()))?;
            Ok(gradients.slice_move(s![..rows.len(), ..]))
        })?;
        Ok(joined(parts, self.width()))
    }

    /// One forward pass gives the outputs; the backward pass runs through the parts of the batch that have a cotangent.
    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        same_shape("a batch", &[batch.nrows(), self.width()], batch.shape())?;
        let parts = self.parts(batch.nrows());
        let traced = self.each_part(&parts, |_, rows| {
            let part = self.part_of(batch, rows.clone());
            let (outputs, tape) = self.trace(self.tensors(&part)?, part.nrows())?;
            let outputs = self.checked(&outputs, part.nrows())?;
            Ok((outputs.slice_move(s![..rows.len(), ..]), Mutex::new(Some(tape))))
        })?;
        let (outputs, tapes): (Vec<_>, Vec<_>) = traced.into_iter().unzip();
        let outputs = joined(outputs, self.n_outputs());
        let cotangent = cotangent(&outputs);
        same_shape("cotangents", outputs.shape(), cotangent.shape())?;
        let gradients = self.each_part(&parts, |part, rows| {
            let tape = tapes[part].lock().expect("no thread panicked with a tape").take();
            let tape = tape.expect("each part is visited once");
            let of_part = cotangent.slice(s![rows.clone(), ..]);
            if of_part.iter().all(|&value| value == 0.0) {
                return Ok(Array2::zeros((rows.len(), self.width())));
            }
            let of_part = self.upload(&self.part_of(&cotangent, rows.clone()))?;
            let gradients = rows_of(&tape.pull_back(&of_part)?, of_part.dims()[0])?;
            Ok(gradients.slice_move(s![..rows.len(), ..]))
        })?;
        Ok((outputs, joined(gradients, self.width())))
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

    /// A split at a stage. The rows of the layer hold its tensors side by side, each flattened.
    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let place = self.place(layer, side)?;
        let (body, head) = (self.part(0, place), self.part(place, self.chain.stages.len()));
        Some(Split { body: Box::new(body), head: Box::new(head) })
    }
}
