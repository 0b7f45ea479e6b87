//! What the model must say of a counterfactual.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Result, Row, Semantics, require};

use crate::params::GridCounterfactualParams;

/// What the model must say of a counterfactual.
///
/// The class of several outputs is the index of the largest, the first of equals; a single output holds class labels,
/// whole numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Target {
    /// This class.
    Class(Label),
    /// One of these classes, at least one.
    AnyOf(Vec<Label>),
    /// A probability of a class.
    Probability {
        /// The class.
        class: Label,
        /// The least probability, finite.
        at_least: f64,
    },
    /// An output in a closed interval, for scores and regression.
    Interval {
        /// The index of the output.
        output: usize,
        /// The least value; `None` for no limit. Not NaN.
        min: Option<f64>,
        /// The largest value, at least `min`; `None` for no limit. Not NaN.
        max: Option<f64>,
    },
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Label {
    /// The index of its output, or the label that a single output holds.
    Index(i64),
    /// Its name in [`class_names`](GridCounterfactualParams::class_names).
    Name(String),
}

impl From<i64> for Label {
    fn from(index: i64) -> Self {
        Label::Index(index)
    }
}

impl From<&str> for Label {
    fn from(name: &str) -> Self {
        Label::Name(name.to_owned())
    }
}

impl Label {
    fn resolve(&self, names: Option<&[String]>) -> Result<i64, ParamError> {
        match self {
            Label::Index(index) => Ok(*index),
            Label::Name(name) => {
                let index = names.unwrap_or_default().iter().position(|other| other == name);
                let index = index.and_then(|index| i64::try_from(index).ok());
                let rule = "an index, or a name in `class_names`";
                require(index.is_some(), "counterfactual_class", rule, name)?;
                Ok(index.unwrap_or_default())
            }
        }
    }
}

impl Target {
    pub(crate) fn validate(&self, names: Option<&[String]>) -> Result<(), ParamError> {
        match self {
            Target::Class(label) => label.resolve(names).map(drop),
            Target::AnyOf(labels) => {
                require(!labels.is_empty(), "counterfactual_class", "at least one class", 0)?;
                labels.iter().try_for_each(|label| label.resolve(names).map(drop))
            }
            Target::Probability { class, at_least } => {
                let rule = "a finite probability";
                require(at_least.is_finite(), "counterfactual_class", rule, at_least)?;
                class.resolve(names).map(drop)
            }
            &Target::Interval { min, max, .. } => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                let rule = "an interval from `min` to a `max` at least as large";
                require(min <= max, "counterfactual_class", rule, (min, max))
            }
        }
    }
}

/// What the model says of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Prediction {
    /// The class, by number.
    Class(i64),
    /// The value of the output that has to lie in an interval.
    Value(f64),
    /// The class, by name.
    Name(String),
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prediction::Class(class) => write!(f, "{class}"),
            Prediction::Value(value) => write!(f, "{value}"),
            Prediction::Name(name) => f.write_str(name),
        }
    }
}

/// A target that knows the instance and the model's outputs.
pub(crate) struct Goal {
    wanted: Wanted,
    n_outputs: usize,
    /// What the model says of the instance: a class, or a value.
    pub(crate) current: f64,
    /// Whether the instance itself is there.
    pub(crate) is_reached: bool,
    /// Whether no output of this model could ever be there.
    pub(crate) is_impossible: bool,
}

enum Wanted {
    Other(f64),
    Classes(Vec<f64>),
    Probability(usize, f64),
    Interval(usize, f64, f64),
}

/// Whole numbers beyond this are not all different as floats.
const MAX_LABEL: f64 = 9_007_199_254_740_992.0;

impl Goal {
    /// `at_instance` has shape `(n_outputs,)`.
    pub(crate) fn new(params: &GridCounterfactualParams, at_instance: &Row) -> Result<Self> {
        let n_outputs = at_instance.len();
        let names = params.class_names.as_deref();
        if let Some(names) = names {
            let enough = n_outputs == 1 || n_outputs <= names.len();
            let rule = format!("at least as many as the model's {n_outputs} outputs");
            require(enough, "class_names", rule, names.len())?;
        }
        let class = |label: &Label| label.resolve(names);
        let wanted = match &params.counterfactual_class {
            None => Wanted::Other(f64::NAN),
            Some(Target::Class(label)) => Wanted::Classes(vec![class(label)? as f64]),
            Some(Target::AnyOf(labels)) => Wanted::Classes(
                labels.iter().map(|label| Ok(class(label)? as f64)).collect::<Result<_>>()?,
            ),
            Some(Target::Probability { class: label, at_least }) => {
                let rule =
                    "for a model with one output per class; for a single output give an interval";
                require(1 < n_outputs, "counterfactual_class", rule, "a probability")?;
                let index = class(label)?;
                let rule = format!("a class below the model's {n_outputs} outputs");
                let output = usize::try_from(index).ok().filter(|&output| output < n_outputs);
                require(output.is_some(), "counterfactual_class", rule, index)?;
                Wanted::Probability(output.unwrap_or_default(), *at_least)
            }
            Some(Target::Interval { output, min, max }) => {
                let output = *output;
                let rule = format!("an interval of one of the model's {n_outputs} outputs");
                require(output < n_outputs, "counterfactual_class", rule, output)?;
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                Wanted::Interval(output, min, max)
            }
        };
        let mut goal =
            Goal { wanted, n_outputs, current: 0.0, is_reached: false, is_impossible: false };
        goal.current = goal.prediction(at_instance)?;
        if let Wanted::Other(own) = &mut goal.wanted {
            *own = goal.current;
        }
        goal.is_reached = goal.accepts(at_instance, goal.current);
        if let Wanted::Classes(classes) = &goal.wanted
            && 1 < n_outputs
        {
            let known = 0.0..n_outputs as f64;
            goal.is_impossible = classes.iter().all(|class| !known.contains(class));
            let allowed = !goal.is_impossible || params.semantics == Semantics::Reference;
            let rule = format!("a class below the model's {n_outputs} outputs");
            require(allowed, "counterfactual_class", rule, classes)?;
        }
        Ok(goal)
    }

    /// The class or the value that a row of outputs says.
    ///
    /// # Errors
    /// When the only output holds no whole number and a class is wanted.
    pub(crate) fn prediction(&self, outputs: &Row) -> Result<f64> {
        if let Wanted::Interval(output, ..) = self.wanted {
            return Ok(outputs[output]);
        }
        if 1 < self.n_outputs {
            let better = |best: usize, index: usize| {
                if outputs[best] < outputs[index] { index } else { best }
            };
            return Ok((1..self.n_outputs).fold(0, better) as f64);
        }
        let label = outputs[0];
        let is_label = label.fract() == 0.0 && label.abs() <= MAX_LABEL;
        let rule = "one output per class, or a single one of class labels, which are whole numbers; for a single \
                    probability, score or quantity let `counterfactual_class` be an interval of output 0";
        require(is_label, "model", rule, label)?;
        Ok(label)
    }

    /// Whether a row of outputs, with its prediction, is what was asked for.
    #[allow(clippy::float_cmp, reason = "classes are exact whole numbers")]
    pub(crate) fn accepts(&self, outputs: &Row, prediction: f64) -> bool {
        match &self.wanted {
            Wanted::Other(own) => prediction != *own && !own.is_nan(),
            Wanted::Classes(classes) => classes.contains(&prediction),
            Wanted::Probability(output, least) => *least <= outputs[*output],
            Wanted::Interval(_, min, max) => (*min..=*max).contains(&prediction),
        }
    }

    /// A prediction for the answer.
    #[allow(clippy::cast_possible_truncation, reason = "labels are whole numbers below 2^53")]
    pub(crate) fn told(&self, prediction: f64, names: Option<&[String]>) -> Prediction {
        if let Wanted::Interval(..) = self.wanted {
            return Prediction::Value(prediction);
        }
        let class = prediction as i64;
        let index = usize::try_from(class).ok();
        match index.and_then(|index| names.unwrap_or_default().get(index)) {
            Some(name) => Prediction::Name(name.clone()),
            None => Prediction::Class(class),
        }
    }
}
