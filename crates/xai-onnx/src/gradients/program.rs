//! A graph as a flat list of steps on tensors of candle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use xai_candle::candle_core::{self as candle, Error, Tensor};
use xai_candle::{Graph, Pullback};

use super::operators::{Node, Operator, operator};
use super::tensors::{Place, tensor};
use crate::error::OnnxError;
use crate::operators::{Attributes, node_name};

/// A value of the graph, by number.
pub(super) type Slot = usize;

/// A node, resolved.
pub(super) struct Step {
    name: String,
    op_type: String,
    operator: Operator,
    reads: Vec<Option<Slot>>,
    writes: Vec<Slot>,
}

/// A graph whose constants are computed and whose names are numbers.
pub(super) struct Program {
    steps: Vec<Arc<Step>>,
    slots: BTreeMap<String, Slot>,
    /// Slots that hold the same in every call.
    constants: Vec<Option<Tensor>>,
    /// The graph's inputs.
    inputs: BTreeSet<Slot>,
}

impl Program {
    /// Resolves a checked graph with one output. `declared` is the size of batch that the graph was made for.
    pub(super) fn new(
        proto: &ModelProto,
        place: &Place,
        declared: Option<usize>,
    ) -> Result<Self, OnnxError> {
        let graph = proto.graph.as_ref().expect("a decoded model has a graph");
        let mut program = Program {
            steps: Vec::new(),
            slots: BTreeMap::new(),
            constants: Vec::new(),
            inputs: BTreeSet::new(),
        };
        program.declare(graph, place)?;
        let opset = proto.opset_import.iter().find(|set| matches!(&*set.domain, "" | "ai.onnx"));
        let opset = opset.map_or(1, |set| set.version);
        for node in &graph.node {
            program.add(node, place, opset, declared)?;
        }
        Ok(program)
    }

    fn declare(&mut self, graph: &GraphProto, place: &Place) -> Result<(), OnnxError> {
        for proto in &graph.initializer {
            let slot = self.slot(&proto.name);
            self.constants[slot] = Some(tensor(proto, place)?);
        }
        for input in &graph.input {
            let slot = self.slot(&input.name);
            if self.constants[slot].is_none() {
                self.inputs.insert(slot);
            }
        }
        Ok(())
    }

    fn slot(&mut self, name: &str) -> Slot {
        let next = self.constants.len();
        let slot = *self.slots.entry(name.to_owned()).or_insert(next);
        if slot == next {
            self.constants.push(None);
        }
        slot
    }

    fn add(
        &mut self,
        node: &NodeProto,
        place: &Place,
        opset: i64,
        declared: Option<usize>,
    ) -> Result<(), OnnxError> {
        let reads: Vec<Option<Slot>> =
            node.input.iter().map(|name| (!name.is_empty()).then(|| self.slot(name))).collect();
        let constants: Vec<Option<Tensor>> =
            reads.iter().map(|slot| self.constants[(*slot)?].clone()).collect();
        let is_constant = reads.iter().flatten().all(|&slot| self.constants[slot].is_some());
        let resolved =
            Node { attributes: Attributes(node), proto: node, opset, declared, constants, place };
        let step = Step {
            name: node_name(node),
            op_type: node.op_type.clone(),
            operator: operator(&resolved)?,
            reads,
            writes: node.output.iter().map(|name| self.slot(name)).collect(),
        };
        if !is_constant {
            self.steps.push(Arc::new(step));
            return Ok(());
        }
        let mut values = self.constants.clone();
        step.run(&mut values, 1).map_err(|error| OnnxError::Prepare { source: error.into() })?;
        self.constants = values;
        Ok(())
    }

    /// The value of this name, or the first one that the node of this name makes.
    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let of_node = || self.steps.iter().find(|step| step.name == name)?.writes.first().copied();
        self.slots
            .get(name)
            .copied()
            .filter(|slot| self.constants[*slot].is_none())
            .or_else(of_node)
    }

    /// What the node that makes a value reads, constants aside; nothing for an input.
    pub(super) fn behind(&self, slot: Slot) -> Vec<Slot> {
        let maker = self.steps.iter().find(|step| step.writes.contains(&slot));
        let reads = maker.iter().flat_map(|step| step.reads.iter().flatten());
        let mut read: Vec<Slot> =
            reads.copied().filter(|slot| self.constants[*slot].is_none()).collect();
        // A node may read a value twice.
        let mut seen = BTreeSet::new();
        read.retain(|slot| seen.insert(*slot));
        read
    }

    /// The steps from some values to others; none when those also depend on something else.
    pub(super) fn plan(&self, inputs: &[Slot], outputs: &[Slot]) -> Option<Plan> {
        let mut pending = outputs.to_vec();
        let mut needed = BTreeSet::new();
        while let Some(slot) = pending.pop() {
            if inputs.contains(&slot) || self.constants[slot].is_some() {
                continue;
            }
            if self.inputs.contains(&slot) {
                return None;
            }
            let maker = self.steps.iter().position(|step| step.writes.contains(&slot))?;
            if needed.insert(maker) {
                pending.extend(self.steps[maker].reads.iter().flatten());
            }
        }
        Some(Plan {
            steps: needed.into_iter().map(|step| self.steps[step].clone()).collect(),
            constants: self.constants.clone(),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
        })
    }
}

/// Steps from some values to others, in order.
pub(super) struct Plan {
    steps: Vec<Arc<Step>>,
    constants: Vec<Option<Tensor>>,
    inputs: Vec<Slot>,
    outputs: Vec<Slot>,
}

impl Plan {
    /// What each slot holds before the first step, and the number of rows.
    fn start(&self, tensors: &[Tensor]) -> candle::Result<(Vec<Option<Tensor>>, usize)> {
        let n_rows = tensors.first().and_then(|tensor| tensor.dims().first().copied());
        let n_rows = n_rows.ok_or_else(|| Error::msg("the graph needs an input with rows"))?;
        let mut values = self.constants.clone();
        for (&slot, tensor) in self.inputs.iter().zip(tensors) {
            // Columns that no step reads have no slot.
            if let Some(value) = values.get_mut(slot) {
                *value = Some(tensor.clone());
            }
        }
        Ok((values, n_rows))
    }

    fn outputs(&self, values: &[Option<Tensor>]) -> candle::Result<Vec<Tensor>> {
        let missing = || Error::msg("an output was not computed");
        self.outputs.iter().map(|&slot| values[slot].clone().ok_or_else(missing)).collect()
    }
}

impl Graph for Plan {
    fn forward(&self, tensors: &[Tensor]) -> candle::Result<Vec<Tensor>> {
        let (mut values, n_rows) = self.start(tensors)?;
        for step in &self.steps {
            step.run(&mut values, n_rows)?;
        }
        self.outputs(&values)
    }

    fn trace(
        &self,
        tensors: &[Tensor],
        wants: &[bool],
    ) -> candle::Result<(Vec<Tensor>, Pullback<'_>)> {
        let (mut values, n_rows) = self.start(tensors)?;
        let mut wanted = vec![false; values.len()];
        for (&slot, &wants) in self.inputs.iter().zip(wants) {
            if let Some(wanted) = wanted.get_mut(slot) {
                *wanted = wants;
            }
        }
        let mut backs = Vec::new();
        for step in &self.steps {
            if let Some(back) = step.trace(&mut values, &mut wanted, n_rows)? {
                backs.push((step, back));
            }
        }
        let outputs = self.outputs(&values)?;
        let n_slots = values.len();
        let back = move |gradients: Vec<Option<Tensor>>| {
            let mut sums: Vec<Option<Tensor>> = vec![None; n_slots];
            for (&slot, gradient) in self.outputs.iter().zip(gradients) {
                add(&mut sums[slot], gradient)?;
            }
            for (step, back) in backs.into_iter().rev() {
                let gradients: Vec<_> = step.writes.iter().map(|&slot| sums[slot].take()).collect();
                if gradients.iter().all(Option::is_none) {
                    continue;
                }
                let gradients = back(gradients).map_err(|error| step.failed(&error))?;
                for (slot, gradient) in step.reads.iter().zip(gradients) {
                    if let Some(slot) = slot.filter(|&slot| wanted[slot]) {
                        add(&mut sums[slot], gradient)?;
                    }
                }
            }
            let of_input = |slot: &Slot| sums.get(*slot).cloned().flatten();
            Ok(self.inputs.iter().map(of_input).collect())
        };
        Ok((outputs, Box::new(back)))
    }
}

/// Adds a gradient to a sum that may have none yet.
fn add(sum: &mut Option<Tensor>, gradient: Option<Tensor>) -> candle::Result<()> {
    if let Some(gradient) = gradient {
        *sum = Some(match sum.take() {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        });
    }
    Ok(())
}

impl Step {
    fn run(&self, values: &mut [Option<Tensor>], n_rows: usize) -> candle::Result<()> {
        let made = self.operator.forward(&self.inputs(values), n_rows);
        self.write(values, made.map_err(|error| self.failed(&error))?);
        Ok(())
    }

    /// Runs the step and returns its pullback, if one of its inputs wants a gradient.
    fn trace(
        &self,
        values: &mut [Option<Tensor>],
        wanted: &mut [bool],
        n_rows: usize,
    ) -> candle::Result<Option<Pullback<'_>>> {
        let wants: Vec<bool> =
            self.reads.iter().map(|slot| slot.is_some_and(|slot| wanted[slot])).collect();
        if !wants.contains(&true) {
            self.run(values, n_rows)?;
            return Ok(None);
        }
        let traced = self.operator.trace(&self.inputs(values), &wants, n_rows);
        let (made, back) = traced.map_err(|error| self.failed(&error))?;
        for (&slot, tensor) in self.writes.iter().zip(&made) {
            wanted[slot] = tensor.dtype().is_float();
        }
        self.write(values, made);
        Ok(Some(back))
    }

    fn inputs<'v>(&self, values: &'v [Option<Tensor>]) -> Vec<Option<&'v Tensor>> {
        self.reads.iter().map(|slot| slot.and_then(|slot| values[slot].as_ref())).collect()
    }

    fn write(&self, values: &mut [Option<Tensor>], made: Vec<Tensor>) {
        for (&slot, tensor) in self.writes.iter().zip(made) {
            values[slot] = Some(tensor);
        }
    }

    fn failed(&self, error: &Error) -> Error {
        Error::msg(format!("{} node `{}`: {error}", self.op_type, self.name))
    }
}
