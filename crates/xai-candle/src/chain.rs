//! A model as a chain of named stages.

use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Module, Tensor};

use super::error::CandleError;
use super::graph::{Graph, Joined, Layer, Pullback, Single, by_candle};
use super::input::CandleInput;
use super::model::CandleModel;
use xai_core::decision::Output;
use xai_core::error::{Error, Result};
use xai_core::params::require;

/// Columns times rows that a model sees at once: what layers make of them is some times as large, and should neither
/// leave the cache by far nor be more than an allocator keeps.
const CELLS_AT_ONCE: usize = 1 << 20;

/// One step of a model.
#[derive(Clone)]
pub(super) struct Stage<'m> {
    pub(super) name: String,
    graph: Arc<dyn Graph + 'm>,
}

impl Stage<'_> {
    /// What the stage makes of a batch of `n_rows`, checked to have an entry for each row.
    pub(super) fn forward(
        &self,
        tensors: &[Tensor],
        n_rows: usize,
    ) -> Result<Vec<Tensor>, CandleError> {
        let out = self.graph.forward(tensors).map_err(|source| self.failed(source))?;
        self.check(&out, n_rows)?;
        Ok(out)
    }

    /// The same with the pullback to the tensors that want a gradient.
    pub(super) fn trace(
        &self,
        tensors: &[Tensor],
        wants: &[bool],
        n_rows: usize,
    ) -> Result<(Vec<Tensor>, Pullback<'_>), CandleError> {
        if !wants.contains(&true) {
            let n_inputs = tensors.len();
            return Ok((
                self.forward(tensors, n_rows)?,
                Box::new(move |_| Ok(vec![None; n_inputs])),
            ));
        }
        let traced = self.graph.trace(tensors, wants).map_err(|source| self.failed(source))?;
        self.check(&traced.0, n_rows)?;
        Ok(traced)
    }

    fn failed(&self, source: candle_core::Error) -> CandleError {
        CandleError::Stage { stage: self.name.clone(), source }
    }

    fn check(&self, out: &[Tensor], n_rows: usize) -> Result<(), CandleError> {
        if out.is_empty() || out.iter().any(|tensor| tensor.dims().first() != Some(&n_rows)) {
            let got = out.iter().map(|tensor| tensor.dims().to_vec()).collect();
            return Err(CandleError::Rows { stage: self.name.clone(), rows: n_rows, got });
        }
        Ok(())
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A [`CandleModel`] in the making: its inputs, its stages in order, and where it runs.
#[derive(Clone, Debug)]
pub struct CandleChain<'m> {
    pub(super) inputs: Vec<CandleInput>,
    pub(super) stages: Vec<Stage<'m>>,
    pub(super) device: Device,
    pub(super) max_batch: usize,
    /// `None` until the model is built, unless it was given.
    pub(super) rows_at_once: Option<usize>,
    pub(super) is_fixed: bool,
    pub(super) output: Option<Output>,
    pub(super) class_names: Option<Vec<String>>,
}

impl<'m> CandleChain<'m> {
    pub(super) fn new(inputs: Vec<CandleInput>) -> Self {
        CandleChain {
            inputs,
            stages: Vec::new(),
            device: Device::Cpu,
            max_batch: 256,
            rows_at_once: None,
            is_fixed: false,
            output: None,
            class_names: None,
        }
    }

    /// What the outputs of the model mean. Without it nothing is declared, and the outputs are read as they look.
    #[must_use]
    pub fn with_output(mut self, output: Output) -> Self {
        self.output = Some(output);
        self
    }

    /// The names of the classes, in their order. Without them classes have numbers.
    #[must_use]
    pub fn with_class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.class_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a stage that makes one tensor of one, differentiated by candle.
    #[must_use]
    pub fn stage(self, name: &str, module: impl Module + Send + Sync + 'm) -> Self {
        self.layer(name, by_candle(module))
    }

    /// Adds a stage that makes one tensor of one and computes its gradient itself, as the layers of this crate do.
    #[must_use]
    pub fn layer(self, name: &str, layer: impl Layer + 'm) -> Self {
        self.graph(name, Single(layer))
    }

    /// Adds a stage that makes any number of tensors of all there are, differentiated by candle.
    #[must_use]
    pub fn join(
        self,
        name: &str,
        forward: impl Fn(&[Tensor]) -> candle_core::Result<Vec<Tensor>> + Send + Sync + 'm,
    ) -> Self {
        self.graph(name, Joined(forward))
    }

    /// Adds a stage that makes any number of tensors of all there are and computes their gradients itself.
    #[must_use]
    pub fn graph(mut self, name: &str, graph: impl Graph + 'm) -> Self {
        self.stages.push(Stage { name: name.to_owned(), graph: Arc::new(graph) });
        self
    }

    /// Runs on another device than the processor, which is the default. The weights must be there.
    #[must_use]
    pub fn on(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// The most rows an explainer should send at once, `1..`. Default 256; a GPU wants more.
    #[must_use]
    pub fn max_batch(mut self, rows: usize) -> Self {
        self.max_batch = rows;
        self
    }

    /// The most rows that the model sees at once on the processor, `1..`. Default 64, fewer for rows of more than
    /// 16,384 columns.
    ///
    /// A batch is cut into parts of about equal size that run side by side, one on each thread, where their
    /// intermediate results fit into the cache.
    #[must_use]
    pub fn rows_at_once(mut self, rows: usize) -> Self {
        (self.rows_at_once, self.is_fixed) = (Some(rows), false);
        self
    }

    /// The number of rows that the model sees at once, `1..`, always: what is missing is filled with copies of the
    /// last row.
    ///
    /// For models that were made for one size of batch, and for equal bits: candle's matrix product chooses the order
    /// of its sums by the number of rows, so that the last bits of a row may depend on how many others stand beside
    /// it. The layers of this module do not need it.
    #[must_use]
    pub fn fixed_batch(mut self, rows: usize) -> Self {
        (self.rows_at_once, self.is_fixed) = (Some(rows), true);
        self
    }

    /// The model, after a trial on rows of zeros that shows what each stage returns.
    ///
    /// # Errors
    /// [`Error::Param`] when a setting is outside its range, two stages share a name, or there is no input;
    /// [`Error::Predictor`] when a stage fails or returns something else than an entry for each row.
    ///
    /// # Cost
    /// One forward pass of two rows, or of the fixed size of batch.
    pub fn build(mut self) -> Result<CandleModel<'m>> {
        require(!self.inputs.is_empty(), "inputs", "at least one", self.inputs.len())?;
        require(self.max_batch > 0, "max_batch", "at least 1", self.max_batch)?;
        let width = self.inputs.iter().map(CandleInput::width).sum::<usize>();
        let by_width = (CELLS_AT_ONCE / width.max(1)).clamp(1, 64);
        let rows_at_once = *self.rows_at_once.get_or_insert(by_width);
        require(rows_at_once > 0, "rows_at_once", "at least 1", rows_at_once)?;
        let mut names: Vec<&str> = self.stages.iter().map(|stage| &*stage.name).collect();
        names.sort_unstable();
        let twin = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        require(twin.is_none(), "stages", "named apart", twin)?;
        let (inputs, device) = (self.inputs.clone(), self.device.clone());
        let n_rows = if self.is_fixed { rows_at_once } else { rows_at_once.min(2) };
        let failed = |source: CandleError| Error::Predictor { rows: n_rows, source: source.into() };
        let zeros = |input: &CandleInput| {
            let zeros = Tensor::zeros(input.batch_shape(n_rows), DType::F64, &device)?;
            Ok(zeros.to_dtype(input.dtype)?)
        };
        let tensors: Result<Vec<Tensor>, CandleError> = inputs.iter().map(zeros).collect();
        let mut tensors = tensors.map_err(failed)?;
        let mut layers = vec![inputs];
        for stage in &self.stages {
            tensors = stage.forward(&tensors, n_rows).map_err(failed)?;
            let describe =
                |tensor: &Tensor| CandleInput::new(&tensor.dims()[1..]).with_dtype(tensor.dtype());
            layers.push(tensors.iter().map(describe).collect());
        }
        Ok(CandleModel { chain: self, layers })
    }
}
