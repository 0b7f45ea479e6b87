//! Which number of the model's output is explained.

use std::fmt;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::decision::{OutputSource, argmax};
use xai_core::{
    AsJson, Output, OutputNames, ParamError, Reading, Result, Row, Run, require, same_shape,
};

use crate::semantics::Conventions;

/// A number of the model's output. In JSON an index, a list of indices, or text: the name of a class or `"predicted"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "TargetText", into = "TargetText")]
#[schemars(with = "TargetText")]
#[non_exhaustive]
pub enum Target {
    /// The index of an output. For a single probability the index of a class: 1 is the output and 0 is one minus it. For
    /// a single score 0, the output.
    Index(usize),
    /// The position in an output with several axes, one index for each.
    Position(Vec<usize>),
    /// A class, by its name of the model.
    Class(String),
    /// What the model predicts for the instance: the largest output, the first of equals, of all positions for an output
    /// with several axes; for a single probability class 1 above 0.5, else class 0.
    Predicted,
}

/// The word for what the model predicts.
const PREDICTED: &str = "predicted";

/// A target as it stands in JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected an index, a list of indices, the name of a class or `predicted`"
)]
enum TargetText {
    /// The index of an output or of a class.
    Index(usize),
    /// The position in an output with several axes.
    Position(Vec<usize>),
    /// The name of a class, or `predicted`.
    Text(String),
}

impl From<TargetText> for Target {
    fn from(text: TargetText) -> Self {
        match text {
            TargetText::Index(index) => Target::Index(index),
            TargetText::Position(position) => Target::Position(position),
            TargetText::Text(text) if text == PREDICTED => Target::Predicted,
            TargetText::Text(name) => Target::Class(name),
        }
    }
}

impl From<Target> for TargetText {
    fn from(target: Target) -> Self {
        match target {
            Target::Index(index) => TargetText::Index(index),
            Target::Position(position) => TargetText::Position(position),
            Target::Class(name) => TargetText::Text(name),
            Target::Predicted => TargetText::Text(PREDICTED.to_owned()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Index(index) => write!(f, "{index}"),
            Target::Position(position) => write!(f, "{position:?}"),
            Target::Class(name) => f.write_str(name),
            Target::Predicted => f.write_str(PREDICTED),
        }
    }
}

/// What is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// One output, by its place in the flat row.
    Output(usize),
    /// One minus the only output.
    OneMinusOutput,
}

impl Selection {
    /// The function value in a row of outputs.
    pub(crate) fn value(self, outputs: &Row) -> f64 {
        match self {
            Selection::Output(output) => outputs[output],
            Selection::OneMinusOutput => 1.0 - outputs[0],
        }
    }

    /// The derivative of the function by each output.
    pub(crate) fn cotangent(self, n_outputs: usize) -> Array1<f64> {
        let (output, slope) = match self {
            Selection::Output(output) => (output, 1.0),
            Selection::OneMinusOutput => (0, -1.0),
        };
        let mut cotangent = Array1::zeros(n_outputs);
        cotangent[output] = slope;
        cotangent
    }
}

/// The target of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Explained {
    pub(crate) selection: Selection,
    /// An index or a position; `None` for the only output when none was asked for.
    pub(crate) target: Option<Target>,
    /// The name of the class, where the model has one.
    pub(crate) name: Option<String>,
}

/// Requires that the target may exist in an output of this shape; `(1,)` is a model with one output.
pub(crate) fn check(
    target: Option<&Target>,
    output: &Output,
    shape: &[usize],
) -> Result<(), ParamError> {
    let single = shape == [1];
    let outputs = match shape {
        [1] => "a model with one output".to_owned(),
        [n] => format!("the model's {n} outputs"),
        shape => format!("the model's outputs of shape {shape:?}"),
    };
    let index;
    let position = match target {
        None => return require(single, "target", format!("given for {outputs}"), None::<usize>),
        Some(Target::Predicted) => return Ok(()),
        Some(Target::Class(name)) => {
            let rule = format!("{} indices, one for each axis of {outputs}", shape.len());
            return require(shape.len() == 1, "target", rule, name);
        }
        Some(Target::Index(single)) => {
            index = [*single];
            &index[..]
        }
        Some(Target::Position(position)) => position,
    };
    let rule = format!("{} indices, one for each axis of {outputs}", shape.len());
    require(position.len() == shape.len(), "target", rule, target.map(AsJson))?;
    let is_score = *output == Output::Score;
    let dims = if single && !is_score { &[2][..] } else { shape };
    let within = position.iter().zip(dims).all(|(index, dim)| index < dim);
    let rule = match (single, is_score) {
        (true, true) => SINGLE_SCORE.to_owned(),
        (true, false) => "0 or 1 for a model with one output".to_owned(),
        _ => format!("within {outputs}"),
    };
    require(within, "target", rule, target.map(AsJson))
}

/// The rule for the target of a score.
const SINGLE_SCORE: &str = "left out or 0 for a model whose single output is a score; with `output` = \"probability\" 0 or 1, \
                            the two classes";

/// What of the settings and of the model says which output is explained.
pub(crate) struct TargetSettings<'a> {
    pub(crate) target: Option<&'a Target>,
    pub(crate) output: &'a Output,
    /// The shape of the output; `None` for one axis.
    pub(crate) output_shape: Option<&'a [usize]>,
    /// What the model says of its outputs.
    pub(crate) declared: Option<Output>,
    pub(crate) class_names: &'a OutputNames,
    pub(crate) conventions: &'a dyn Conventions,
}

impl TargetSettings<'_> {
    /// The target of one instance, from the outputs there, shape `(n_outputs,)`.
    pub(crate) fn resolve(&self, outputs: &Row, run: &mut Run<'_>) -> Result<Explained> {
        let n_outputs = outputs.len();
        let flat = [n_outputs];
        let shape = self.output_shape.unwrap_or(&flat);
        same_shape("the model's output", &[shape.iter().product()], &flat)?;
        check(self.target, self.output, shape)?;
        let assumed = self.conventions.assumed(n_outputs, self.target.is_some());
        let reading = match assumed.filter(|_| *self.output == Output::Auto) {
            Some(meaning) => Reading::assuming(meaning, outputs)?,
            None => Reading::new(self.output, self.declared.clone(), outputs)?,
        };
        run.record_output(&reading);
        if shape == [1] {
            return self.resolve_single(&reading, outputs, run);
        }
        let index = match self.target {
            Some(Target::Predicted) => {
                let is_class = *reading.meaning() == Output::Classes;
                let rule = "an index or a position where the outputs are no classes";
                require(is_class, "target", rule, PREDICTED)?;
                argmax(outputs)
            }
            Some(Target::Class(name)) => self.class(name, n_outputs, &reading)?,
            Some(Target::Index(index)) => *index,
            Some(Target::Position(position)) => {
                position.iter().zip(shape).fold(0, |flat, (index, dim)| flat * dim + index)
            }
            None => unreachable!("a target of several outputs was required"),
        };
        let target = match shape.len() {
            1 => Target::Index(index),
            _ => Target::Position(place(index, shape)),
        };
        let name = self.name(index, n_outputs, &reading);
        Ok(Explained { selection: Selection::Output(index), target: Some(target), name })
    }

    /// The target of a model with one output.
    fn resolve_single(
        &self,
        reading: &Reading,
        outputs: &Row,
        run: &mut Run<'_>,
    ) -> Result<Explained> {
        let is_probability = *reading.meaning() == Output::Probability;
        let index = match self.target {
            None => None,
            Some(Target::Predicted) => {
                Some(self.conventions.predicted_of_one(reading, outputs, run)?)
            }
            Some(Target::Class(name)) => Some(self.class(name, 2, reading)?),
            Some(Target::Index(index)) => Some(*index),
            Some(Target::Position(position)) => position.first().copied(),
        };
        require(is_probability || index.unwrap_or(0) == 0, "target", SINGLE_SCORE, index)?;
        let is_other = is_probability && index == Some(0);
        if is_other && reading.source() == OutputSource::Assumed {
            let message = "the single output is read as the probability of class 1, so that target 0 explains one minus \
                           it; `output` says what it is";
            run.warn("intgrad.assumed_probability", message);
        }
        let class = index.unwrap_or(1);
        let name = if is_probability { self.name(class, 2, reading) } else { None };
        let selection = if is_other { Selection::OneMinusOutput } else { Selection::Output(0) };
        Ok(Explained { selection, target: index.map(Target::Index), name })
    }

    /// The index of a class by its name.
    fn class(&self, name: &str, n_classes: usize, reading: &Reading) -> Result<usize, ParamError> {
        let mut indices = 0..n_classes;
        let is_named =
            |index: &usize| self.name(*index, n_classes, reading).as_deref() == Some(name);
        let index = indices.find(is_named);
        let names = self.class_names.as_slice();
        let rule = format!(
            "an index, `{PREDICTED}` or the name of a class, of which the model has {names:?}"
        );
        require(index.is_some(), "target", rule, name)?;
        Ok(index.unwrap_or_default())
    }

    /// The name of a class, where the model has one.
    fn name(&self, class: usize, n_classes: usize, reading: &Reading) -> Option<String> {
        let names = self.class_names.as_slice();
        // The only name is that of class 1 of two.
        let is_pair = names.len() == 1 && *reading.meaning() == Output::Probability;
        let is_named = class < n_classes && (class < names.len() || is_pair);
        is_named.then(|| self.class_names.class(class, reading))
    }
}

/// The position of a flat index.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (coordinate, dim) in position.iter_mut().zip(shape).rev() {
        *coordinate = index % dim;
        index /= dim;
    }
    position
}
