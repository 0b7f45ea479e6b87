//! Networks with gradients, on tensors of candle.

mod operators;
mod program;
mod tensors;

use std::path::Path;
use std::sync::Arc;

use ndarray::Array2;
use tract_onnx::prelude::DatumType;
use xai_candle::candle_core::{DType, Device};
use xai_candle::{CandleInput, CandleModel};
use xai_core::{BoxError, Differentiable, Output, Paths, Predictor, Rows, Seed, Side, Split};

use crate::container::decode;
use crate::error::OnnxError;
use crate::graph::prepare;
use crate::input::Block;
use crate::model::OnnxOptions;
use crate::plan::{Plan as Engine, guarded};
use program::{Plan, Program, Slot};
use tensors::Place;

/// How a network is read and where it runs.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The output and the width of a row, as for a black box.
    pub model: OnnxOptions,
    /// Whether to compute in double precision, which costs twice the time. Weights are taken as they are in the file.
    /// Default `false`.
    pub double: bool,
    /// Where to compute. Default: the processor.
    pub device: Device,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        NetworkOptions { model: OnnxOptions::default(), double: false, device: Device::Cpu }
    }
}

/// A network from an ONNX file, with gradients.
///
/// The graph is read once: weights become tensors, what does not depend on the row is computed, and what is left is a
/// list of steps.
/// A value of the graph is a layer for [`Differentiable::split_at`] under its name, or under the name of the node that makes
/// it, if all ways from the inputs to the output lead through it.
///
/// A graph that was exported for one size of batch is given other sizes where that changes no row's output, which is
/// tried while loading; else it is given the size of its export.
///
/// # Cost
/// A gradient is one forward and one backward pass.
pub struct OnnxNetwork {
    model: CandleModel<'static>,
    program: Arc<Program>,
    /// Of the inputs that the output needs, with their slots.
    inputs: Vec<Slot>,
    output: Slot,
    output_name: String,
    meaning: Option<Output>,
    class_labels: Option<Vec<String>>,
    settings: Settings,
}

/// What all parts of a network share.
#[derive(Clone, Debug)]
struct Settings {
    device: Device,
    fixed_batch: Option<usize>,
}

impl std::fmt::Debug for OnnxNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxNetwork")
            .field("n_features", &self.n_features())
            .field("output", &self.output_name())
            .field("n_outputs", &self.n_outputs())
            .field("class_labels", &self.class_labels())
            .finish_non_exhaustive()
    }
}

impl OnnxNetwork {
    /// Reads a network from a file, with the default options.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        Self::open_with(path, &NetworkOptions::default())
    }

    /// Reads a network from a file.
    ///
    /// # Errors
    /// [`OnnxError::Io`] when the file cannot be read, else as [`from_bytes`](Self::from_bytes).
    pub fn open_with(path: impl AsRef<Path>, options: &NetworkOptions) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| OnnxError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, options)
    }

    /// Reads a network from the bytes of a file.
    ///
    /// # Errors
    /// As [`OnnxModel::from_bytes`](crate::OnnxModel::from_bytes); [`OnnxError::UnsupportedOperator`] also names the
    /// node of an operator that has no gradient here, and [`OnnxError::Graph`] one whose settings depend on the row.
    #[allow(clippy::missing_panics_doc, reason = "a prepared graph has one output")]
    pub fn from_bytes(bytes: &[u8], options: &NetworkOptions) -> Result<Self, OnnxError> {
        let (proto, prepared) = prepare(decode(bytes)?, options.model.output.as_deref())?;
        let dtype = if options.double { DType::F64 } else { DType::F32 };
        let place = Place { dtype, device: options.device.clone() };
        let declared = prepared.inputs.iter().find_map(|input| input.n_rows);
        let program = Program::new(&proto, &place, declared)?;
        // The engine finds the widths that the graph leaves open.
        let engine = guarded(|| Engine::build(&proto, &prepared, options.model.n_features))
            .map_err(|source| OnnxError::Prepare { source })??;
        let (columns, inputs) = inputs(&engine, &program, &place)?;
        let graph = proto.graph.as_ref().expect("a decoded model has a graph");
        let output = &graph.output.first().expect("a prepared graph has one output").name;
        let output = program.find(output).ok_or_else(|| OnnxError::Graph {
            what: "output",
            name: prepared.output.clone(),
            problem: "does not depend on the input".into(),
        })?;
        let program = Arc::new(program);
        let plan =
            || program.plan(&inputs, &[output]).expect("the output depends on the inputs alone");
        let free = Settings { device: options.device.clone(), fixed_batch: None };
        let build = |settings: &Settings| {
            of_plan(&columns, plan(), settings)
                .map_err(|error| OnnxError::Prepare { source: error.into() })
        };
        let is_free = |model: &CandleModel<'_>| declared.is_none() || treats_rows_alike(model);
        let (model, settings) = match build(&free) {
            Ok(model) if is_free(&model) => (model, free),
            Err(error) if declared.is_none() => return Err(error),
            _ => {
                let settings = Settings { fixed_batch: declared, ..free };
                (build(&settings)?, settings)
            }
        };
        Ok(OnnxNetwork {
            model,
            program,
            inputs,
            output,
            output_name: prepared.output,
            meaning: prepared.ending.and_then(|ending| ending.meaning(engine.output_shape())),
            class_labels: prepared.class_labels,
            settings,
        })
    }

    /// Features in a row: the cells of all inputs, one input after the other.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "a model of candle knows its width")]
    pub fn n_features(&self) -> usize {
        self.model.n_features().expect("a model of candle knows its width")
    }

    /// The name of the output that predictions come from.
    #[must_use]
    pub fn output_name(&self) -> &str {
        &self.output_name
    }

    /// Numbers that each row gives.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.model.n_outputs()
    }

    /// The classes of the columns of the output, for a classifier that names them; integer labels in decimal.
    #[must_use]
    pub fn class_labels(&self) -> Option<&[String]> {
        self.class_labels.as_deref()
    }

    /// The shapes of the values at a layer, without the axis of the batch; `None` where [`Differentiable::split_at`] has
    /// none.
    #[must_use]
    pub fn layer_shapes(&self, layer: &str, side: Side) -> Option<Vec<Vec<usize>>> {
        let (body, _) = self.body(layer, side)?;
        Some(body.layer(GRAPH, Side::After)?.iter().map(|value| value.shape().to_vec()).collect())
    }

    /// The model up to a layer, with the values there.
    fn body(&self, layer: &str, side: Side) -> Option<(CandleModel<'static>, Vec<Slot>)> {
        let layer = self.program.find(layer)?;
        let slots = if side == Side::Before { self.program.behind(layer) } else { vec![layer] };
        let plan = self.program.plan(&self.inputs, &slots).filter(|_| !slots.is_empty())?;
        let body = of_plan(self.model.inputs(), plan, &self.settings).ok()?;
        Some((body, slots))
    }
}

/// The one stage of a network.
const GRAPH: &str = "graph";

fn of_plan(
    columns: &[CandleInput],
    plan: Plan,
    settings: &Settings,
) -> xai_core::Result<CandleModel<'static>> {
    // Columns that the output does not need are part of a row, but no step reads them.
    let chain = CandleModel::chain(columns.iter().cloned());
    let chain = chain.graph(GRAPH, plan).on(&settings.device);
    match settings.fixed_batch {
        Some(rows) => chain.fixed_batch(rows).build(),
        None => chain.build(),
    }
}

/// Blocks of columns for the inputs of the graph, used or not, and the slots of the tensors they become.
fn inputs(
    engine: &Engine,
    program: &Program,
    place: &Place,
) -> Result<(Vec<CandleInput>, Vec<Slot>), OnnxError> {
    let (mut columns, mut slots, mut next) = (Vec::new(), Vec::new(), 0);
    for block in engine.blocks() {
        if block.columns.start > next {
            columns.push(CandleInput::new([block.columns.start - next]).without_gradient());
            slots.push(UNUSED);
        }
        next = block.columns.end;
        columns.push(CandleInput::new(&*block.inner).with_dtype(dtype(block, place)?));
        slots.push(program.find(&block.name).expect("the graph's inputs are values"));
    }
    if engine.n_features() > next {
        columns.push(CandleInput::new([engine.n_features() - next]).without_gradient());
        slots.push(UNUSED);
    }
    Ok((columns, slots))
}

/// Where columns go that no step reads.
const UNUSED: Slot = Slot::MAX;

fn dtype(block: &Block, place: &Place) -> Result<DType, OnnxError> {
    Ok(match block.datum {
        DatumType::F16 | DatumType::F32 | DatumType::F64 => place.dtype,
        DatumType::Bool => DType::U8,
        DatumType::I64 | DatumType::I32 | DatumType::U8 => DType::I64,
        other => {
            return Err(OnnxError::InputType {
                input: block.name.clone(),
                got: format!("{other:?}"),
                hint: "export the model with inputs of float, int64 or bool",
            });
        }
    })
}

/// Whether three different rows get together what each gets alone, up to rounding in single precision.
fn treats_rows_alike(model: &CandleModel<'_>) -> bool {
    let mut stream = Seed::new(0).stream();
    let width = model.n_features().unwrap_or(0);
    let is_whole = model.inputs().iter().any(|input| input.dtype().is_int());
    let rows = Array2::from_shape_simple_fn((3, width), || {
        if is_whole { 0.0 } else { 2.0 * stream.uniform() - 1.0 }
    });
    #[allow(clippy::disallowed_methods, reason = "a trial while loading, which no run counts")]
    let predict = |rows: &Rows| model.predict(rows);
    let Ok(together) = predict(&rows) else { return false };
    rows.rows().into_iter().zip(together.rows()).all(|(row, together)| {
        predict(&row.insert_axis(ndarray::Axis(0))).is_ok_and(|alone| {
            let pairs = alone.iter().zip(together);
            pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(1.0))
        })
    })
}

impl Predictor for OnnxNetwork {
    #[allow(clippy::disallowed_methods, reason = "a wrapper hands on the batch it was given")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.model.predict(batch)
    }

    fn max_batch(&self) -> usize {
        self.model.max_batch()
    }

    fn n_features(&self) -> Option<usize> {
        self.model.n_features()
    }

    /// What the graph says, as for a black box: see [`OnnxModel`](crate::OnnxModel).
    fn output(&self) -> Option<Output> {
        self.meaning.clone()
    }

    /// The [`class_labels`](OnnxNetwork::class_labels), where there is one for each output.
    fn class_names(&self) -> Option<&[String]> {
        self.class_labels().filter(|labels| labels.len() == self.n_outputs())
    }

    fn differentiable(&self) -> Option<&dyn Differentiable> {
        Some(self)
    }
}

impl Differentiable for OnnxNetwork {
    #[allow(clippy::disallowed_methods, reason = "a wrapper hands on the batch it was given")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.model.vjp(batch, cotangent)
    }

    #[allow(clippy::disallowed_methods, reason = "a wrapper hands on the batch it was given")]
    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        self.model.value_and_vjp(batch, cotangent)
    }

    #[allow(clippy::disallowed_methods, reason = "a wrapper hands on the paths it was given")]
    fn path_vjp(&self, paths: &Paths<'_>, max_points: usize) -> Result<Array2<f64>, BoxError> {
        self.model.path_vjp(paths, max_points)
    }

    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let (body, slots) = self.body(layer, side)?;
        let plan = self.program.plan(&slots, &[self.output])?;
        let head = of_plan(body.layer(GRAPH, Side::After)?, plan, &self.settings).ok()?;
        Some(Split { body: Box::new(body), head: Box::new(head) })
    }
}
