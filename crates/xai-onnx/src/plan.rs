//! The engine's plan for a prepared graph, rows as its inputs, and its outputs as rows.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ndarray::Array2;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, TValue,
    TVec, Tensor, TractError, TractResult, TypedRunnableModel,
};
use tract_onnx::tract_hir::infer::{Factoid, GenericFactoid};
use tract_onnx::tract_hir::internal::{DimFact, DimLike, ShapeFactoid, TDim, ToDim};
use xai_core::{BoxError, Rows};

use crate::error::OnnxError;
use crate::graph::{Batching, Prepared};
use crate::input::{Block, Input};
use crate::operators::{engine, reals};

/// Rows given to the plan at once; keeps the inner values of ordinary models in the cache.
pub(crate) const ROWS_PER_RUN: usize = 1024;

/// The fewest rows given to a plan that takes any number: with a single one the engine multiplies by another kernel,
/// which may round otherwise.
const FEWEST_ROWS: usize = 2;

/// The widest row; wider ones come from damaged files.
const MAX_FEATURES: usize = 1 << 28;

/// A graph ready to run.
pub(crate) struct Plan {
    runnable: Arc<TypedRunnableModel>,
    /// The inputs that the runnable takes, in its order.
    blocks: Vec<Block>,
    n_features: usize,
    /// Without the axis of the rows; `None` for an axis whose length the graph leaves open.
    output_shape: Vec<Option<usize>>,
    batching: Batching,
}

impl Plan {
    /// Optimises a graph; `n_features` fills in for a single input of open width.
    pub(crate) fn build(
        proto: &ModelProto,
        prepared: &Prepared,
        n_features: Option<usize>,
    ) -> Result<Self, OnnxError> {
        let inputs = &prepared.inputs;
        let batching = prepared.batching;
        let mut model = engine().model_for_proto_model(proto).map_err(failed)?;
        let rows: TDim = match batching {
            Batching::Free => model.symbols.new_with_prefix("rows").into(),
            Batching::Blocks(rows) | Batching::Single(rows) => rows.to_dim(),
        };
        for (place, input) in inputs.iter().filter(|input| input.is_used).enumerate() {
            let given = n_features.filter(|_| inputs.len() == 1 && input.inner.len() == 1);
            let inner = input.inner.iter().map(|size| match size.or(given) {
                Some(size) => DimFact::from(size.to_dim()),
                None => GenericFactoid::Any,
            });
            let shape = std::iter::once(DimFact::from(rows.clone())).chain(inner);
            let fact = InferenceFact::new()
                .with_datum_type(input.datum)
                .with_shape(ShapeFactoid::closed(shape.collect()));
            model.set_input_fact(place, fact).map_err(failed)?;
        }
        model.analyse(false).map_err(failed)?;
        let blocks = blocks(&model, inputs)?;
        let width = blocks.last().map_or(0, |block| block.columns.end);
        if let Some(got) = n_features.filter(|got| *got != width) {
            return Err(OnnxError::Width { expected: width, got });
        }
        let used = blocks.into_iter().zip(inputs).filter(|(_, input)| input.is_used);
        let blocks = used.map(|(block, _)| block).collect();

        let typed = model.into_typed().map_err(failed)?.into_optimized().map_err(failed)?;
        let fact = typed.output_fact(0).map_err(failed)?;
        let output = prepared.output.clone();
        if fact.datum_type == DatumType::String {
            return Err(OnnxError::OutputType { output, got: "strings".into() });
        }
        let shape = fact.shape.to_tvec();
        if shape.first() != Some(&rows) {
            let dims: Vec<String> = shape.iter().map(TDim::to_string).collect();
            return Err(OnnxError::OutputShape { output, got: format!("({})", dims.join(", ")) });
        }
        let output_shape = shape[1..].iter().map(|dim| dim.to_usize().ok()).collect();
        let runnable = typed.into_runnable().map_err(failed)?;
        Ok(Plan { runnable, blocks, n_features: width, output_shape, batching })
    }

    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// The inputs that the output needs, with their columns.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(crate) fn output_shape(&self) -> &[Option<usize>] {
        &self.output_shape
    }

    pub(crate) fn n_outputs(&self) -> Option<usize> {
        self.output_shape.iter().copied().product()
    }

    /// The most rows of one run.
    pub(crate) fn step(&self) -> usize {
        match self.batching {
            Batching::Free => ROWS_PER_RUN,
            Batching::Blocks(rows) => rows,
            Batching::Single(_) => 1,
        }
    }

    /// Outputs for at most [`step`](Self::step) rows of a batch; `output` is the name for messages.
    pub(crate) fn run(
        &self,
        batch: &Rows,
        range: Range<usize>,
        output: &str,
    ) -> Result<Array2<f64>, OnnxError> {
        let n_rows = range.len();
        let padded = match self.batching {
            Batching::Free => n_rows.max(FEWEST_ROWS),
            Batching::Blocks(rows) | Batching::Single(rows) => rows,
        };
        let failed = |source: BoxError| OnnxError::Evaluate { rows: n_rows, source };
        let tensors = self
            .blocks
            .iter()
            .map(|block| block.tensor(batch, range.clone(), padded))
            .collect::<Result<Vec<_>, _>>()?;
        let run = || -> TractResult<(Vec<usize>, Vec<f64>)> {
            let values =
                tensors.into_iter().map(|tensor: TractResult<Tensor>| tensor.map(TValue::from));
            let values = values.collect::<TractResult<TVec<TValue>>>()?;
            let outputs = reals(&self.runnable.run(values)?.swap_remove(0))?;
            let cells = outputs.try_as_plain_ram()?.as_slice::<f64>()?.to_vec();
            Ok((outputs.shape().to_vec(), cells))
        };
        let (shape, mut cells) = guarded(run).map_err(failed)?.map_err(|e| failed(e.into()))?;
        let width = shape.get(1..).map_or(1, |inner| inner.iter().product());
        if shape.first() != Some(&padded) || self.n_outputs().is_some_and(|known| known != width) {
            let (output, got) = (output.to_owned(), format!("{shape:?}"));
            return Err(OnnxError::OutputShape { output, got });
        }
        cells.truncate(n_rows * width);
        Array2::from_shape_vec((n_rows, width), cells).map_err(|error| failed(error.into()))
    }
}

/// The columns of each input, used or not; widths that are left open come from what the analysis found.
fn blocks(model: &InferenceModel, inputs: &[Input]) -> Result<Vec<Block>, OnnxError> {
    let mut blocks = Vec::with_capacity(inputs.len());
    let (mut place, mut start) = (0, 0);
    for input in inputs {
        let mut inner = input.inner.clone();
        if input.is_used {
            let fact = model.input_fact(place).map_err(failed)?;
            place += 1;
            for (axis, size) in inner.iter_mut().enumerate() {
                let dim = fact.shape.dim(axis + 1).and_then(|dim| dim.concretize());
                *size = size.or(dim.and_then(|dim| dim.to_usize().ok()));
            }
        }
        let Some(inner) = inner.into_iter().collect::<Option<Vec<usize>>>() else {
            return Err(OnnxError::OpenInput {
                input: input.name.clone(),
                got: input.shape(),
                hint: "export the model with the number of features, or give `n_features`",
            });
        };
        let width = inner.iter().try_fold(1_usize, |width, &size| width.checked_mul(size));
        let Some(width) = width.filter(|width| *width <= MAX_FEATURES - start) else {
            let problem = format!("has the shape {}, too wide for a row", input.shape());
            return Err(OnnxError::Graph { what: "input", name: input.name.clone(), problem });
        };
        let (name, datum) = (input.name.clone(), input.datum);
        blocks.push(Block { name, datum, inner, columns: start..start + width });
        start += width;
    }
    Ok(blocks)
}

/// An error of the engine; those of the operators of this crate come back through it as they were.
fn failed(error: TractError) -> OnnxError {
    match error.downcast::<OnnxError>() {
        Ok(error) => error,
        Err(error) => OnnxError::Prepare { source: error.into() },
    }
}

/// Runs the engine; a panic inside it becomes an error.
///
/// The engine asserts where it should refuse: a file that passes our checks can still trip it, and a file is input.
/// Nothing is shared with what unwinds but the plan, which is not written to.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        format!("the inference engine panicked: {message}").into()
    })
}
