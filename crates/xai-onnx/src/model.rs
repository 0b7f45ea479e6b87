//! The model: a plan of the engine, and the way from rows to its inputs and back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, TValue, TVec, Tensor,
    TractResult, TypedRunnableModel,
};
use tract_onnx::tract_hir::infer::{Factoid, GenericFactoid};
use tract_onnx::tract_hir::internal::{DimFact, DimLike, ShapeFactoid, TDim, ToDim};
use xai_core::{BoxError, Predictor, Rows};

use crate::container::decode;
use crate::error::OnnxError;
use crate::graph::{Batching, Prepared, prepare};
use crate::input::{Block, Input};
use crate::operators::{engine, reals};

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// The graph output to predict with. Default `None`: the last one that holds floating-point numbers, which for a
    /// classifier is the one with the probabilities.
    ///
    /// An integer output, such as the label, is taken only by its name.
    pub output: Option<String>,

    /// Features in a row, `1..`, for a graph that leaves the width of its only input open. Default `None`: the graph
    /// says.
    pub n_features: Option<usize>,
}

/// A model from an ONNX file, as a black box.
///
/// # Cost
/// Loading optimises the graph, milliseconds for the models of scikit-learn.
/// Memory is that of the weights, about twice while loading.
pub struct OnnxModel {
    plan: Arc<TypedRunnableModel>,
    /// Inputs that the plan takes, in its order.
    blocks: Vec<Block>,
    inputs: Vec<Input>,
    n_features: usize,
    output: String,
    outputs: Vec<String>,
    n_outputs: Option<usize>,
    operators: Vec<String>,
    class_labels: Option<Vec<String>>,
    batching: Batching,
}

impl std::fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxModel")
            .field("n_features", &self.n_features)
            .field("output", &self.output)
            .field("n_outputs", &self.n_outputs)
            .field("operators", &self.operators)
            .field("class_labels", &self.class_labels)
            .finish_non_exhaustive()
    }
}

/// Rows given to the plan at once; keeps the inner values of ordinary models in the cache.
const ROWS_PER_RUN: usize = 1024;

/// The fewest rows given to a plan that takes any number: with a single one the engine multiplies by another kernel,
/// which may round otherwise.
const FEWEST_ROWS: usize = 2;

impl OnnxModel {
    /// Reads a model from a file, with the default options.
    ///
    /// # Errors
    /// [`OnnxError::Io`] when the file cannot be read, else as [`from_bytes`](Self::from_bytes).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        Self::open_with(path, &OnnxOptions::default())
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| OnnxError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, options)
    }

    /// Reads a model from the bytes of a file.
    ///
    /// # Errors
    /// [`OnnxError::NotOnnx`] and [`OnnxError::Truncated`] for bytes that are no whole model,
    /// [`OnnxError::UnsupportedOperator`] and [`OnnxError::Attribute`] for a graph beyond this crate, naming the node,
    /// and the other variants of [`OnnxError`] for inputs and outputs that do not fit rows of numbers.
    pub fn from_bytes(bytes: &[u8], options: &OnnxOptions) -> Result<Self, OnnxError> {
        let prepared = prepare(decode(bytes)?, options.output.as_deref())?;
        guarded(|| Self::build(prepared, options))
            .unwrap_or_else(|source| Err(OnnxError::Prepare { source }))
    }

    fn build(prepared: Prepared, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let Prepared { proto, inputs, output, outputs, operators, class_labels, batching } =
            prepared;
        // Errors of our own operators come back through the engine's.
        let failed = |error: tract_onnx::prelude::TractError| match error.downcast::<OnnxError>() {
            Ok(error) => error,
            Err(error) => OnnxError::Prepare { source: error.into() },
        };
        let mut model = engine().model_for_proto_model(&proto).map_err(failed)?;
        let rows: TDim = match batching {
            Batching::Free => model.symbols.new_with_prefix("rows").into(),
            Batching::Blocks(rows) | Batching::Single(rows) => rows.to_dim(),
        };
        let fed: Vec<usize> = (0..inputs.len())
            .filter(|&i| {
                proto.graph.iter().any(|g| g.input.iter().any(|fed| fed.name == inputs[i].name))
            })
            .collect();
        for (place, &i) in fed.iter().enumerate() {
            let input = &inputs[i];
            let mut inner = input.inner.clone();
            if let (Some(width), 1, [None]) = (options.n_features, inputs.len(), &inner[..]) {
                inner[0] = Some(width);
            }
            let inner = inner
                .into_iter()
                .map(|size| size.map_or(GenericFactoid::Any, |size| DimFact::from(size.to_dim())));
            let shape = std::iter::once(DimFact::from(rows.clone())).chain(inner);
            let fact = InferenceFact::new()
                .with_datum_type(input.datum)
                .with_shape(ShapeFactoid::closed(shape.collect()));
            model.set_input_fact(place, fact).map_err(failed)?;
        }
        model.analyse(false).map_err(failed)?;

        let mut blocks = Vec::new();
        let mut n_features = 0;
        for (i, input) in inputs.iter().enumerate() {
            let mut inner = input.inner.clone();
            if let Some(place) = fed.iter().position(|&fed| fed == i) {
                // The weights may tell a width that the declaration leaves open.
                let fact = model.input_fact(place).map_err(failed)?;
                for (axis, size) in inner.iter_mut().enumerate() {
                    let dim = fact.shape.dim(axis + 1).and_then(|dim| dim.concretize());
                    *size = size.or(dim.and_then(|dim| dim.to_usize().ok()));
                }
            }
            let Some(inner) = inner.iter().copied().collect::<Option<Vec<usize>>>() else {
                return Err(OnnxError::OpenInput {
                    input: input.name.clone(),
                    got: input.shape(),
                    hint: "export the model with the number of features, or give `n_features`",
                });
            };
            let width = inner
                .iter()
                .try_fold(1_usize, |width, &size| width.checked_mul(size))
                .filter(|width| *width <= MAX_FEATURES && n_features + *width <= MAX_FEATURES)
                .ok_or_else(|| OnnxError::Graph {
                    what: "input",
                    name: input.name.clone(),
                    problem: format!("has the shape {}, too wide", input.shape()),
                })?;
            let columns = n_features..n_features + width;
            n_features += width;
            if fed.contains(&i) {
                let (name, datum) = (input.name.clone(), input.datum);
                blocks.push(Block { name, datum, inner, columns });
            }
        }
        if let Some(expected) = options.n_features
            && expected != n_features
        {
            return Err(OnnxError::Width { expected: n_features, got: expected });
        }

        let typed = model.into_typed().map_err(failed)?.into_optimized().map_err(failed)?;
        let fact = typed.output_fact(0).map_err(failed)?;
        if fact.datum_type == DatumType::String {
            return Err(OnnxError::OutputType { output, got: "strings".into() });
        }
        let shape = fact.shape.to_tvec();
        if shape.first() != Some(&rows) {
            let got =
                format!("({})", shape.iter().map(TDim::to_string).collect::<Vec<_>>().join(", "));
            return Err(OnnxError::OutputShape { output, got });
        }
        let n_outputs = shape[1..].iter().map(|dim| dim.to_usize().ok()).product();
        let plan = typed.into_runnable().map_err(failed)?;
        Ok(OnnxModel {
            plan,
            blocks,
            inputs,
            n_features,
            output,
            outputs,
            n_outputs,
            operators,
            class_labels,
            batching,
        })
    }

    /// The names of the inputs, in the order of their columns in a row.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.name.as_str())
    }

    /// Features in a row: the cells of all inputs, one input after the other.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// The name of the output that predictions come from.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The names of all outputs of the graph, for [`OnnxOptions::output`].
    #[must_use]
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Numbers that each row gives, where the graph tells without being run.
    #[must_use]
    pub fn n_outputs(&self) -> Option<usize> {
        self.n_outputs
    }

    /// The operators that the output needs, each once, in alphabetical order.
    #[must_use]
    pub fn operators(&self) -> &[String] {
        &self.operators
    }

    /// The classes of the columns of the output, for a classifier that names them; integer labels in decimal.
    #[must_use]
    pub fn class_labels(&self) -> Option<&[String]> {
        self.class_labels.as_deref()
    }

    /// Outputs for a batch of shape `(n_rows, n_features)`, shape `(n_rows, n_outputs)`.
    ///
    /// A row's outputs have the same bits in every batch. NaN passes into the graph, where tree ensembles take it for
    /// a missing value.
    ///
    /// # Errors
    /// [`OnnxError::Width`], [`OnnxError::Cell`] for a cell that an integer input cannot take, and
    /// [`OnnxError::Evaluate`] when the graph fails.
    pub fn evaluate(&self, batch: &Rows) -> Result<Array2<f64>, OnnxError> {
        if batch.ncols() != self.n_features {
            return Err(OnnxError::Width { expected: self.n_features, got: batch.ncols() });
        }
        let n_rows = batch.nrows();
        let mut flat = Vec::new();
        let mut n_outputs = self.n_outputs;
        let (step, _) = self.rows_per_run(n_rows);
        for start in (0..n_rows).step_by(step) {
            let end = (start + step).min(n_rows);
            let (_, padded) = self.rows_per_run(end - start);
            let inputs = self
                .blocks
                .iter()
                .map(|block| block.tensor(batch, start..end, padded))
                .collect::<Result<Vec<_>, _>>()?;
            let run = || -> TractResult<Tensor> {
                let inputs = inputs
                    .into_iter()
                    .map(|tensor| tensor.map(TValue::from))
                    .collect::<TractResult<TVec<TValue>>>()?;
                let output = self.plan.run(inputs)?.swap_remove(0);
                reals(&output)
            };
            let failed = |source: BoxError| OnnxError::Evaluate { rows: end - start, source };
            let output = guarded(run).map_err(failed)?.map_err(|error| failed(error.into()))?;
            let width = output.shape().get(1..).map_or(1, |inner| inner.iter().product());
            if output.shape().first() != Some(&padded) || n_outputs.is_some_and(|n| n != width) {
                let got = format!("{:?}", output.shape());
                return Err(OnnxError::OutputShape { output: self.output.clone(), got });
            }
            n_outputs = Some(width);
            let plain = output.try_as_plain_ram().map_err(|error| failed(error.into()))?;
            let cells = plain.as_slice::<f64>().map_err(|error| failed(error.into()))?;
            flat.extend_from_slice(&cells[..(end - start) * width]);
        }
        let shape = (n_rows, n_outputs.unwrap_or(0));
        Ok(Array2::from_shape_vec(shape, flat).expect("each run gave its rows"))
    }

    /// Rows of one run when `left` are left, and with how many the plan is given.
    fn rows_per_run(&self, left: usize) -> (usize, usize) {
        match self.batching {
            Batching::Free => (ROWS_PER_RUN, left.clamp(FEWEST_ROWS, ROWS_PER_RUN)),
            Batching::Blocks(rows) => (rows, rows),
            Batching::Single(rows) => (1, rows),
        }
    }
}

/// The widest row; wider ones come from damaged files.
const MAX_FEATURES: usize = 1 << 28;

impl Predictor for OnnxModel {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(self.evaluate(batch)?)
    }

    fn max_batch(&self) -> usize {
        ROWS_PER_RUN
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.n_features)
    }
}

/// Runs the engine; a panic inside it becomes an error.
///
/// The engine asserts where it should refuse: a file that passes our checks can still trip it, and a file is input.
/// Nothing is shared with what unwinds but the plan, which is not written to.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        format!("the inference engine panicked: {message}").into()
    })
}
