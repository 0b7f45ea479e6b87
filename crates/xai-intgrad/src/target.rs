//! Which number of the model's output is explained.

use std::fmt;

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Result, Row, Run, Semantics, require, same_shape};

use crate::params::IntegratedGradientsParams;

/// A number of the model's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// The index of an output. For a model with one output, 1 is that output and 0 is one minus it, the score of the other
    /// class.
    Index(usize),
    /// The position in an output with several axes, one index for each.
    Position(Vec<usize>),
}

/// A function of the model's output at the instance that gives the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetFunction {
    /// The largest output, the first of equals; of all positions for an output with several axes.
    Argmax,
}

/// What is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// One output, by its place in the flat row.
    Output(usize),
    /// One minus the only output.
    Other,
}

impl Selection {
    /// The function value in a row of outputs.
    pub(crate) fn value(self, outputs: &Row) -> f64 {
        match self {
            Selection::Output(output) => outputs[output],
            Selection::Other => 1.0 - outputs[0],
        }
    }

    /// The derivative of the function by each output.
    pub(crate) fn cotangent(self, n_outputs: usize) -> Array1<f64> {
        let (output, slope) = match self {
            Selection::Output(output) => (output, 1.0),
            Selection::Other => (0, -1.0),
        };
        let mut cotangent = Array1::zeros(n_outputs);
        cotangent[output] = slope;
        cotangent
    }
}

/// Requires that the target exists in an output of this shape; `(1,)` is a model with one output.
pub(crate) fn check(params: &IntegratedGradientsParams, shape: &[usize]) -> Result<(), ParamError> {
    let single = shape == [1];
    let outputs = || match shape {
        [1] => "a model with one output".to_owned(),
        [n] => format!("the model's {n} outputs"),
        shape => format!("the model's outputs of shape {shape:?}"),
    };
    match &params.target {
        None if params.target_fn.is_some() => {
            let allowed = !single || params.semantics == Semantics::Reference;
            let rule = "left out for a model with one output, which is always the largest";
            require(allowed, "target_fn", rule, params.target_fn)
        }
        None => {
            let rule = || format!("given for {}", outputs());
            require(single, "target", rule(), &params.target)
        }
        Some(target) => {
            let index;
            let position = match target {
                Target::Index(single) => {
                    index = [*single];
                    &index[..]
                }
                Target::Position(position) => position,
            };
            let rank = || format!("{} indices, one for each axis of {}", shape.len(), outputs());
            require(position.len() == shape.len(), "target", rank(), target)?;
            let dims = if single { &[2][..] } else { shape };
            let within = position.iter().zip(dims).all(|(index, dim)| index < dim);
            let rule = || {
                if single {
                    "0 or 1 for a model with one output".to_owned()
                } else {
                    format!("within {}", outputs())
                }
            };
            require(within, "target", rule(), target)
        }
    }
}

/// The target of one instance, from the outputs there.
pub(crate) fn resolve(
    params: &IntegratedGradientsParams,
    outputs: &Row,
    run: &mut Run<'_>,
) -> Result<(Selection, Option<Target>)> {
    let n_outputs = outputs.len();
    let flat = [n_outputs];
    let shape = params.output_shape.as_deref().unwrap_or(&flat);
    same_shape("the model's output", &[shape.iter().product()], &flat)?;
    check(params, shape)?;
    let index = match &params.target {
        None if params.target_fn.is_some() => (1..n_outputs)
            .fold(0, |best, index| if outputs[best] < outputs[index] { index } else { best }),
        None => return Ok((Selection::Output(0), None)),
        Some(Target::Index(index)) => *index,
        Some(Target::Position(position)) => {
            position.iter().zip(shape).fold(0, |flat, (index, dim)| flat * dim + index)
        }
    };
    if shape == [1] {
        if params.target_fn.is_some() {
            let message =
                "the largest of one output is always the first, which stands for the other class";
            run.warn("intgrad.one_output", message);
        }
        let selection = if index == 0 { Selection::Other } else { Selection::Output(0) };
        return Ok((selection, Some(Target::Index(index))));
    }
    let target =
        if shape.len() == 1 { Target::Index(index) } else { Target::Position(place(index, shape)) };
    Ok((Selection::Output(index), Some(target)))
}

/// The position of a flat index.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (own, dim) in position.iter_mut().zip(shape).rev() {
        *own = index % dim;
        index /= dim;
    }
    position
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Index(index) => write!(f, "{index}"),
            Target::Position(position) => write!(f, "{position:?}"),
        }
    }
}
