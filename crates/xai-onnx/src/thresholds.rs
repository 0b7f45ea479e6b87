//! The values at which the trees of a graph split its input columns.
//!
//! The graph is followed from its inputs to its trees, as long as a column goes its way alone: it may be picked, moved,
//! cast and scaled, all of which is monotone.
//! A split of what the tree sees is then found in the input by bisection over all `f64`, with every rounding on the way,
//! so that nothing has to be inverted.

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::DatumType;

use crate::graph::reads;
use crate::input::{Block, narrow};
use crate::operators::{Attributes, FromNode, Scaler, node_name, splits};

/// The thresholds of each input column that has any, ascending; or why there are none.
pub(crate) type Thresholds = Result<BTreeMap<usize, Vec<f64>>, String>;

/// Cells of a row that are followed at most; wider rows in front of a tree come from damaged files.
const MAX_CELLS: usize = 1 << 20;

/// One cell of a row of an inner value.
#[derive(Clone, Debug)]
enum Cell {
    /// A number made of one input column, step by step.
    Number { column: usize, steps: Vec<Step> },
    /// Whether a column holds a category.
    Indicator,
}

/// A monotone function of one number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Single,
    Integer,
    /// `(x - offset) * scale`, in single precision.
    Scale {
        offset: f64,
        scale: f64,
    },
}

impl Step {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the cast of the graph"
    )]
    fn apply(self, x: f64) -> f64 {
        match self {
            Step::Single => f64::from(narrow(x)),
            Step::Integer => x as i64 as f64,
            Step::Scale { offset, scale } => f64::from(narrow((x - offset) * scale)),
        }
    }
}

/// A value that depends on the inputs in another way than through trees.
#[derive(Clone, Debug)]
enum Origin {
    /// The sizes of a row of it, and its cells in their order.
    Cells { inner: Vec<usize>, cells: Vec<Cell> },
    /// What it was made of is no longer known: the node, or the input, from which on.
    Lost(String),
}

/// Follows the columns of `blocks` through the graph of a decoded and checked model with one output.
pub(crate) fn thresholds(proto: &ModelProto, blocks: &[Block]) -> Thresholds {
    let graph = proto.graph.as_ref().expect("a decoded model has a graph");
    if !graph.node.iter().any(is_tree) {
        return Err("it has no tree ensemble".into());
    }
    let mut origins: BTreeMap<&str, Origin> =
        blocks.iter().map(|block| (block.name.as_str(), of_input(block))).collect();
    let mut found: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for node in &graph.node {
        let known: Vec<&Origin> =
            reads(node).iter().filter_map(|name| origins.get(name.as_str())).collect();
        if known.is_empty() {
            // A constant, or made of what trees answer.
            continue;
        }
        if is_tree(node) {
            ask(node, known[0], &mut found)?;
            continue;
        }
        let lost = known.iter().find_map(|origin| match origin {
            Origin::Lost(place) => Some(Origin::Lost(place.clone())),
            Origin::Cells { .. } => None,
        });
        let lost = lost.unwrap_or_else(|| Origin::Lost(describe(node)));
        let origin = step(node, graph, &origins).unwrap_or(lost);
        origins.extend(node.output.iter().map(|output| (output.as_str(), origin.clone())));
    }
    if graph.output.iter().any(|output| origins.contains_key(output.name.as_str())) {
        return Err("its output does not come from trees alone".into());
    }
    for values in found.values_mut() {
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
    }
    Ok(found)
}

fn is_tree(node: &NodeProto) -> bool {
    matches!(&*node.op_type, "TreeEnsembleClassifier" | "TreeEnsembleRegressor")
}

fn describe(node: &NodeProto) -> String {
    format!("{} node `{}`", node.op_type, node_name(node))
}

fn of_input(block: &Block) -> Origin {
    let steps = if block.datum == DatumType::F32 { vec![Step::Single] } else { Vec::new() };
    if block.datum == DatumType::F16 || block.columns.len() > MAX_CELLS {
        return Origin::Lost(format!("input `{}`", block.name));
    }
    let number = |column| Cell::Number { column, steps: steps.clone() };
    Origin::Cells { inner: block.inner.clone(), cells: block.columns.clone().map(number).collect() }
}

/// Adds the splits of a tree ensemble to those of the columns it reads.
fn ask(
    node: &NodeProto,
    origin: &Origin,
    found: &mut BTreeMap<usize, Vec<f64>>,
) -> Result<(), String> {
    let cells = match origin {
        Origin::Cells { cells, .. } => cells,
        Origin::Lost(place) => {
            let tree = describe(node);
            return Err(format!("{tree} reads columns that cannot be followed beyond {place}"));
        }
    };
    for (feature, value) in splits(Attributes(node)).map_err(|error| error.to_string())? {
        if let Some(Cell::Number { column, steps }) = cells.get(feature as usize) {
            let passes = |x: f64| steps.iter().fold(x, |x, step| step.apply(x)) <= value;
            found.entry(*column).or_default().extend(last_alike(passes));
        }
    }
    Ok(())
}

/// What a node makes of columns, where that is followed.
fn step(node: &NodeProto, graph: &GraphProto, origins: &BTreeMap<&str, Origin>) -> Option<Origin> {
    let attributes = Attributes(node);
    let origin = |place: usize| match origins.get(node.input.get(place)?.as_str())? {
        Origin::Cells { inner, cells } => Some((inner.clone(), cells.clone())),
        Origin::Lost(_) => None,
    };
    if node.op_type == "Concat" {
        let parts = (0..node.input.len()).map(origin).collect::<Option<Vec<_>>>()?;
        return joined(attributes.int("axis")?, &parts);
    }
    let (mut inner, mut cells) = origin(0)?;
    match &*node.op_type {
        "Identity" => {}
        // Numbers other than the missing one stay as they are, and NaN is on no side of a threshold.
        "Imputer" if attributes.float("replaced_value_float").is_some_and(f64::is_nan) => {}
        "Cast" => match DataType::try_from(i32::try_from(attributes.int("to")?).ok()?).ok()? {
            DataType::Float => each(&mut cells, |_| Step::Single),
            DataType::Int64 => each(&mut cells, |_| Step::Integer),
            DataType::Double => {}
            _ => return None,
        },
        "Scaler" => {
            let scaler = Scaler::from_node(attributes).ok()?;
            each(&mut cells, |place| {
                let (offset, scale) = scaler.pair(place);
                Step::Scale { offset, scale }
            });
        }
        "OneHotEncoder" => {
            let size = attributes.ints("cats_int64s").len();
            let n_cells = cells.len().checked_mul(size).filter(|n_cells| *n_cells <= MAX_CELLS)?;
            inner.push(size);
            cells = vec![Cell::Indicator; n_cells];
        }
        "ArrayFeatureExtractor" | "Gather" => {
            let axis =
                if node.op_type == "Gather" { attributes.int("axis").unwrap_or(0) } else { 1 };
            if inner.len() != 1 || !matches!(axis, 1 | -1) {
                return None;
            }
            let (dims, picked) = integers(graph, node.input.get(1)?)?;
            if node.op_type == "Gather" && dims != 1 {
                return None;
            }
            let pick = |place: i64| cells.get(usize::try_from(place).ok()?).cloned();
            cells = picked.into_iter().map(pick).collect::<Option<_>>()?;
            inner = vec![cells.len()];
        }
        "Reshape" => {
            let (_, shape) = integers(graph, node.input.get(1)?)?;
            let (rows, sizes) = shape.split_first()?;
            inner = sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<_>>()?;
            // Rows stay whole where the sizes of a row are written down and hold its cells.
            let holds = inner.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
            if !matches!(rows, 0 | -1) || holds != Some(cells.len()) {
                return None;
            }
        }
        _ => return None,
    }
    Some(Origin::Cells { inner, cells })
}

/// Parts of rows side by side.
fn joined(axis: i64, parts: &[(Vec<usize>, Vec<Cell>)]) -> Option<Origin> {
    let mut inner = parts.first()?.0.clone();
    let rank = i64::try_from(inner.len()).ok()? + 1;
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?.checked_sub(1)?;
    let mut cells = Vec::new();
    for (sizes, part) in parts {
        // The cells of a row lie one part after the other only where no axis of the row comes before.
        let leads = sizes.len() == inner.len() && sizes.get(..axis)?.iter().all(|&size| size == 1);
        if !leads || cells.len() + part.len() > MAX_CELLS {
            return None;
        }
        cells.extend_from_slice(part);
    }
    let rest: usize = inner.get(axis + 1..)?.iter().product();
    inner[axis] = cells.len().checked_div(rest)?;
    Some(Origin::Cells { inner, cells })
}

fn each(cells: &mut [Cell], step: impl Fn(usize) -> Step) {
    for (place, cell) in cells.iter_mut().enumerate() {
        if let Cell::Number { steps, .. } = cell {
            steps.push(step(place));
        }
    }
}

/// Rank and entries of an integer tensor of the graph.
fn integers(graph: &GraphProto, name: &str) -> Option<(usize, Vec<i64>)> {
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    let entries = if tensor.raw_data.is_empty() {
        tensor.int64_data.clone()
    } else {
        tensor.raw_data.as_chunks().0.iter().copied().map(i64::from_le_bytes).collect()
    };
    Some((tensor.dims.len(), entries))
}

/// The largest finite number for which a monotone test says what it says of the smallest; none when all are alike.
fn last_alike(test: impl Fn(f64) -> bool) -> Option<f64> {
    let first = test(f64::MIN);
    if test(f64::MAX) == first {
        return None;
    }
    let (mut alike, mut other) = (place(f64::MIN), place(f64::MAX));
    while other - alike > 1 {
        let middle = alike + (other - alike) / 2;
        if test(number(middle)) == first {
            alike = middle;
        } else {
            other = middle;
        }
    }
    Some(number(alike))
}

/// The rank of a finite number among all `f64`, from their bits: neighbours differ by 1.
fn place(x: f64) -> i128 {
    let magnitude = i128::from(x.abs().to_bits());
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

fn number(place: i128) -> f64 {
    let magnitude = u64::try_from(place.unsigned_abs()).expect("the rank of a finite number");
    let number = f64::from_bits(magnitude);
    if place < 0 { -number } else { number }
}
