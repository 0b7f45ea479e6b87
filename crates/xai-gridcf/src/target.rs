//! What the model must say of a counterfactual.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::decision::OutputSource;
use xai_core::{AsJson, Output, OutputNames, ParamError, Reading, Row, require};

/// What the model must say of a counterfactual.
///
/// Which class a row of outputs is follows from [`output`](crate::GridCounterfactualParams::output).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a class, a list of classes, `{ class, at_least }` or `{ output, min, max }`"
)]
#[non_exhaustive]
pub enum Target {
    /// This class.
    Class(Label),
    /// One of these classes, at least one.
    AnyOf(Vec<Label>),
    /// A least probability of a class, for models with a number for each class or the probability of one of two.
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
#[serde(untagged, expecting = "expected the number of a class or its name")]
pub enum Label {
    /// Its number: the index of its output, or the label that a single output holds.
    Index(i64),
    /// Its name in [`class_names`](crate::GridCounterfactualParams::class_names) or of the model.
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

impl Target {
    /// Checks what does not depend on the model; names of classes are those of the settings, where these have any.
    pub(crate) fn validate(&self, class_names: Option<&[String]>) -> Result<(), ParamError> {
        let known = |label: &Label| match (label, class_names) {
            (Label::Name(name), Some(names)) => {
                require(names.contains(name), "counterfactual_class", NAMED_CLASS, name)
            }
            _ => Ok(()),
        };
        match self {
            Target::Class(label) => known(label),
            Target::AnyOf(labels) => {
                require(!labels.is_empty(), "counterfactual_class", "at least one class", 0)?;
                labels.iter().try_for_each(known)
            }
            Target::Probability { class, at_least } => {
                let rule = "a finite probability";
                require(at_least.is_finite(), "counterfactual_class", rule, at_least)?;
                known(class)
            }
            &Target::Interval { min, max, .. } => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                let rule = "an interval from `min` to a `max` at least as large";
                require(min <= max, "counterfactual_class", rule, (min, max))
            }
        }
    }
}

const NAMED_CLASS: &str = "an index, or a name in `class_names` or of the model's classes";

/// What the model says of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Prediction {
    /// The class, by number.
    Class(i64),
    /// The value of the output that has to lie in an interval, or of the quantity that decides.
    Value(f64),
    /// The class, by name.
    Name(String),
}

impl Prediction {
    /// The prediction in words: the name of its class, or one of `names` for the number of a class.
    pub(crate) fn describe(&self, names: &OutputNames) -> String {
        let Prediction::Class(class) = self else { return self.to_string() };
        match (names.as_slice(), usize::try_from(*class)) {
            // The only name is that of class 1 of two.
            ([name], Ok(0)) => format!("not {name}"),
            ([name], Ok(1)) => name.clone(),
            (names, Ok(class)) if class < names.len() => names[class].clone(),
            _ => class.to_string(),
        }
    }
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

/// What the settings and the model say about a target.
pub(crate) struct GoalSettings<'a> {
    /// Default: any class but the instance's.
    pub(crate) target: Option<&'a Target>,
    pub(crate) class_names: OutputNames,
    /// Whether a class that the model does not have is a target that nothing reaches, in place of an error.
    pub(crate) accepts_unknown_class: bool,
    /// Whether the class of an answer must be ahead by the margin of the reading.
    pub(crate) keeps_margin: bool,
}

/// A target that knows the instance and how the model's outputs are read.
pub(crate) struct Goal {
    wanted: Wanted,
    reading: Reading,
    class_names: OutputNames,
    /// What the model says of the instance: a class, or a value.
    pub(crate) current: f64,
    /// How far ahead the class of an answer must be.
    decision_margin: f64,
    /// Whether the instance itself reaches the target.
    pub(crate) is_reached: bool,
    /// Whether no output of this model could ever reach it.
    pub(crate) is_impossible: bool,
}

enum Wanted {
    /// Any decision but this one, that of the instance.
    OtherThan(f64),
    Classes(Vec<f64>),
    Probability {
        class: usize,
        at_least: f64,
    },
    Interval {
        output: usize,
        min: f64,
        max: f64,
    },
}

impl Goal {
    /// `at_instance` has shape `(n_outputs,)`.
    pub(crate) fn new(
        settings: GoalSettings<'_>,
        reading: Reading,
        at_instance: &Row,
    ) -> Result<Self, ParamError> {
        let GoalSettings { target, class_names, accepts_unknown_class, keeps_margin } = settings;
        let mut goal = Goal {
            wanted: Wanted::OtherThan(0.0),
            reading,
            class_names,
            current: 0.0,
            decision_margin: 0.0,
            is_reached: false,
            is_impossible: false,
        };
        if let Some(Target::Interval { output, min, max }) = target {
            let n_outputs = goal.reading.n_outputs();
            let rule = format!("an interval of one of the model's {n_outputs} outputs");
            require(*output < n_outputs, "counterfactual_class", rule, output)?;
            let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
            goal.wanted = Wanted::Interval { output: *output, min, max };
        } else {
            goal.reading.require_decision()?;
        }
        goal.current = goal.prediction(at_instance)?;
        match target {
            None => goal.wanted = Wanted::OtherThan(goal.current),
            Some(Target::Class(label)) => goal.wanted = Wanted::Classes(vec![goal.class(label)?]),
            Some(Target::AnyOf(labels)) => {
                let classes = labels.iter().map(|label| goal.class(label));
                goal.wanted = Wanted::Classes(classes.collect::<Result<_, _>>()?);
            }
            Some(Target::Probability { class, at_least }) => {
                goal.wanted = goal.probability(class, *at_least, at_instance)?;
            }
            Some(Target::Interval { .. }) => {}
        }
        goal.is_reached = goal.accepts(at_instance, goal.current);
        if keeps_margin {
            goal.decision_margin = goal.reading.decision_margin(at_instance);
        }
        if let (Wanted::Classes(classes), Some(n_classes)) = (&goal.wanted, goal.n_classes()) {
            let known = 0.0..n_classes as f64;
            goal.is_impossible = classes.iter().all(|class| !known.contains(class));
            let rule = format!("a class below the model's {n_classes} classes");
            let is_allowed = !goal.is_impossible || accepts_unknown_class;
            require(is_allowed, "counterfactual_class", rule, classes)?;
        }
        Ok(goal)
    }

    /// The number of outputs of the model.
    pub(crate) fn n_outputs(&self) -> usize {
        self.reading.n_outputs()
    }

    /// The number of classes; `None` where there may be any: a single output that looks like a probability at the
    /// instance may hold the label 2 elsewhere.
    fn n_classes(&self) -> Option<usize> {
        let is_guessed = self.reading.source() == OutputSource::Assumed
            && *self.reading.meaning() == Output::Probability;
        self.reading.n_classes().filter(|_| !is_guessed)
    }

    /// The number of a class.
    fn class(&self, label: &Label) -> Result<f64, ParamError> {
        let is_quantity = matches!(self.reading.meaning(), Output::Within { .. });
        let rule =
            "left out or an interval for an `output` within a tolerance, which has no classes";
        require(!is_quantity, "counterfactual_class", rule, AsJson(label))?;
        match label {
            Label::Index(index) => Ok(*index as f64),
            Label::Name(name) => {
                let n_names = self.class_names.as_slice().len().max(2);
                let index =
                    (0..n_names).find(|&index| self.class_name(index).as_ref() == Some(name));
                require(index.is_some(), "counterfactual_class", NAMED_CLASS, name)?;
                Ok(index.unwrap_or_default() as f64)
            }
        }
    }

    /// The target of a least probability.
    fn probability(
        &self,
        label: &Label,
        at_least: f64,
        at_instance: &Row,
    ) -> Result<Wanted, ParamError> {
        let n_classes = self.reading.class_scores(at_instance).map(|scores| scores.len());
        let rule =
            "an interval where a class has no probability: for labels, bins, intervals and scores";
        require(n_classes.is_some(), "counterfactual_class", rule, "a probability")?;
        let (n_classes, class) = (n_classes.unwrap_or_default() as f64, self.class(label)?);
        let rule = format!("a class below the model's {n_classes} classes");
        require((0.0..n_classes).contains(&class), "counterfactual_class", rule, class)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of a class"
        )]
        Ok(Wanted::Probability { class: class as usize, at_least })
    }

    /// The decision in a row of outputs, or the value that has to lie in an interval.
    ///
    /// # Errors
    /// Those of [`Reading::decision`].
    pub(crate) fn prediction(&self, outputs: &Row) -> Result<f64, ParamError> {
        match self.wanted {
            Wanted::Interval { output, .. } => Ok(outputs[output]),
            _ => self.reading.decision(outputs),
        }
    }

    /// Whether a row of outputs, with its prediction, reaches the target.
    pub(crate) fn accepts(&self, outputs: &Row, prediction: f64) -> bool {
        let is_clear =
            || self.reading.lead(outputs).is_none_or(|lead| self.decision_margin <= lead);
        match &self.wanted {
            Wanted::OtherThan(current) => !self.reading.agrees(prediction, *current) && is_clear(),
            Wanted::Classes(classes) => {
                classes.iter().any(|&class| self.reading.agrees(prediction, class)) && is_clear()
            }
            Wanted::Probability { class, at_least } => {
                self.reading.class_scores(outputs).is_some_and(|scores| *at_least <= scores[*class])
            }
            Wanted::Interval { min, max, .. } => (*min..=*max).contains(&prediction),
        }
    }

    /// The name of a class, where it has one.
    fn class_name(&self, class: usize) -> Option<String> {
        let names = self.class_names.as_slice();
        let has_name = match self.reading.meaning() {
            Output::Interval { .. } => class < 2,
            Output::Probability if names.len() == 1 => class < 2,
            // Fewer names are those of the outputs.
            Output::Bins { edges, .. } => names.len() == edges.len() + 1,
            _ => class < names.len(),
        };
        has_name.then(|| self.class_names.class(class, &self.reading))
    }

    /// A prediction for the answer.
    #[allow(clippy::cast_possible_truncation, reason = "labels are whole numbers below 2^53")]
    pub(crate) fn to_prediction(&self, prediction: f64) -> Prediction {
        let is_value = matches!(self.wanted, Wanted::Interval { .. })
            || matches!(self.reading.meaning(), Output::Within { .. });
        if is_value {
            return Prediction::Value(prediction);
        }
        let class = prediction as i64;
        let name = usize::try_from(class).ok().and_then(|class| self.class_name(class));
        name.map_or(Prediction::Class(class), Prediction::Name)
    }
}
