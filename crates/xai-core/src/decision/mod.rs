//! What a model's outputs mean: one reading for all methods.
//!
//! A row of outputs is a list of numbers. Whether it says a class, and which, depends on the model: [`Output`] is the
//! setting, the same parameter `output` in every method, and [`Reading`] is what it comes to for one model.
//!
//! | outputs of a row | `Output::Auto` reads them as |
//! | --- | --- |
//! | the model says what they mean ([`Predictor::output`](crate::Predictor::output)) | that |
//! | two or more | one number per class; the decision is the largest, the first of equals |
//! | one in `[0, 1]` | the probability of class 1 of two; class 1 above 0.5 |
//! | one whole number of 2 or more | the label of a class |
//! | any other single number | a score, which is no decision by itself |
//!
//! The rows of one model are read number by number, so that the labels 0, 1 and 2 are three classes whichever of them
//! comes first. A method that needs a decision refuses a score, and names the settings that give it one.
//! Wherever `Auto` had to assume, `meta.output.source` says `assumed`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use ndarray::Array1;

use crate::model::Row;
use crate::params::{ParamError, Written, require};

mod interval;
mod margin;
mod names;

pub use interval::{InInterval, IntervalProbability};
pub use margin::DECISION_MARGIN;
pub use names::OutputNames;

/// What a model's outputs mean. In JSON and TOML a word, or a table for the ones with fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Output {
    /// What the model says, or else the table of the [module](self).
    #[default]
    Auto,
    /// One number for each class, two or more; the decision is the largest, the first of equals.
    Classes,
    /// One number, the probability of class 1 of two; the decision is class 1 above 0.5.
    Probability,
    /// One number, the label of a class, a whole number.
    Label,
    /// One number is a score; the decision is the bin that it falls in.
    Bins {
        /// The cuts, ascending and finite, at least one; a score equal to a cut is in the bin above it.
        edges: Vec<f64>,
        /// The index of the score among the outputs. Default 0.
        #[serde(default)]
        target: usize,
    },
    /// One number is a score or a quantity; class 1 is to be in a closed interval, class 0 to be outside.
    Interval {
        /// The least number inside, not NaN. Default `None`: no limit.
        #[serde(default)]
        min: Option<f64>,
        /// The largest number inside, not NaN and at least `min`. Default `None`: no limit.
        #[serde(default)]
        max: Option<f64>,
        /// The index of the number among the outputs. Default 0.
        #[serde(default)]
        target: usize,
    },
    /// One number is a quantity; the decision is to be within a distance of the instance's own.
    Within {
        /// The distance, finite and at least 0.
        tolerance: f64,
        /// The index of the number among the outputs. Default 0.
        #[serde(default)]
        target: usize,
    },
    /// Scores or quantities, which are no decisions.
    Score,
}

/// Whole numbers beyond this are not all different as floats.
const MAX_LABEL: f64 = 9_007_199_254_740_992.0;

/// What gives a decision where a model has one output that is none.
const NEEDS_DECISION: &str = "`label`, `probability`, or an `interval`, `bins` or `within` for a model whose single \
                              output is a score";

/// What gives numbers by class.
pub const NEEDS_SCORES: &str =
    "`classes`, `probability` or an `interval` for a search by gradients";

/// What is wanted where an output is no probability.
const NO_PROBABILITY: &str = "another than `probability` for an output outside [0, 1]";

impl Output {
    /// Checks the numbers of the setting.
    ///
    /// # Errors
    /// [`ParamError`] named `output`.
    pub fn validate(&self) -> Result<(), ParamError> {
        match self {
            Output::Bins { edges, .. } => {
                let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]);
                let finite = !edges.is_empty() && edges.iter().all(|edge| edge.is_finite());
                require(ascending && finite, "output", "bins of finite ascending edges", edges)
            }
            Output::Interval { min, max, .. } => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                let rule = "an interval from `min` to a `max` at least as large";
                require(min <= max, "output", rule, [min, max])
            }
            Output::Within { tolerance, .. } => {
                let allowed = tolerance.is_finite() && 0.0 <= *tolerance;
                require(allowed, "output", "a finite tolerance of at least 0", tolerance)
            }
            _ => Ok(()),
        }
    }

    /// Requires a setting that gives a decision, or none yet: all but `score`.
    ///
    /// # Errors
    /// [`ParamError`] named `output`.
    pub fn require_decision(&self) -> Result<(), ParamError> {
        require(*self != Output::Score, "output", NEEDS_DECISION, self)
    }

    /// Requires a setting that gives numbers by class for a gradient to follow, or none yet: `auto`, `classes`,
    /// `probability` or an `interval`.
    ///
    /// # Errors
    /// [`ParamError`] named `output`.
    pub fn require_scores(&self) -> Result<(), ParamError> {
        let allowed = matches!(
            self,
            Output::Auto | Output::Classes | Output::Probability | Output::Interval { .. }
        );
        require(allowed, "output", NEEDS_SCORES, self)
    }

    /// The word for it in JSON.
    fn word(&self) -> &'static str {
        match self {
            Output::Auto => "auto",
            Output::Classes => "classes",
            Output::Probability => "probability",
            Output::Label => "label",
            Output::Bins { .. } => "bins",
            Output::Interval { .. } => "interval",
            Output::Within { .. } => "within",
            Output::Score => "score",
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a reading comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputSource {
    /// The setting `output`.
    Set,
    /// The model says so.
    Declared,
    /// The outputs look like it.
    Assumed,
}

/// How outputs were read, for `meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct OutputReading {
    /// What a row of outputs was read as: `classes`, `probability`, `label`, `bins`, `interval`, `within` or `score`.
    pub meaning: String,
    /// Where that comes from.
    pub source: OutputSource,
}

/// How the outputs of one model are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    meaning: Output,
    source: OutputSource,
    n_outputs: usize,
}

impl Reading {
    /// The reading of a model by the setting, by what the model says of itself, and by its outputs for one row, shape
    /// `(n_outputs,)`.
    ///
    /// # Errors
    /// [`ParamError`] named `output` when the outputs cannot be read like this.
    pub fn new(
        setting: &Output,
        declared: Option<Output>,
        outputs: &Row,
    ) -> Result<Self, ParamError> {
        let declared = declared.filter(|declared| *declared != Output::Auto);
        let (wanted, source) = match (setting, declared) {
            (Output::Auto, Some(declared)) => (declared, OutputSource::Declared),
            (Output::Auto, None) => (Output::Auto, OutputSource::Assumed),
            (setting, _) => (setting.clone(), OutputSource::Set),
        };
        Reading::of(wanted, source, outputs)
    }

    /// The reading of a model by a convention of the method, where neither the setting nor the model says it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn assuming(meaning: Output, outputs: &Row) -> Result<Self, ParamError> {
        Reading::of(meaning, OutputSource::Assumed, outputs)
    }

    fn of(wanted: Output, source: OutputSource, outputs: &Row) -> Result<Self, ParamError> {
        let n_outputs = outputs.len();
        let meaning = match wanted {
            Output::Auto if n_outputs == 1 => guess(outputs[0]),
            Output::Auto => Output::Classes,
            other => other,
        };
        require(0 < n_outputs, "output", "for a model that has outputs", 0)?;
        match &meaning {
            Output::Classes => {
                let rule = format!("{NEEDS_DECISION}; `classes` is for two outputs or more");
                require(1 < n_outputs, "output", rule, &meaning)?;
            }
            Output::Probability | Output::Label => {
                let rule = format!("`classes` for a model of {n_outputs} outputs");
                require(n_outputs == 1, "output", rule, &meaning)?;
                let fits = meaning == Output::Label || is_probability(outputs[0]);
                require(fits, "output", NO_PROBABILITY, outputs[0])?;
            }
            Output::Bins { target, .. }
            | Output::Interval { target, .. }
            | Output::Within { target, .. } => {
                let rule = format!("a target below the model's {n_outputs} outputs");
                require(*target < n_outputs, "output", rule, target)?;
            }
            _ => {}
        }
        Ok(Reading { meaning, source, n_outputs })
    }

    /// What the outputs are read as; never [`Output::Auto`].
    #[must_use]
    pub fn meaning(&self) -> &Output {
        &self.meaning
    }

    /// Where that comes from.
    #[must_use]
    pub fn source(&self) -> OutputSource {
        self.source
    }

    /// The setting `output` that led to this reading, for messages about it.
    #[must_use]
    pub fn given(&self) -> &Output {
        match self.source {
            OutputSource::Set => &self.meaning,
            OutputSource::Declared | OutputSource::Assumed => &Output::Auto,
        }
    }

    /// The number of outputs.
    #[must_use]
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// The number of classes that a decision can name; `None` for labels, quantities and scores.
    #[must_use]
    pub fn n_classes(&self) -> Option<usize> {
        match &self.meaning {
            Output::Classes => Some(self.n_outputs),
            Output::Probability | Output::Interval { .. } => Some(2),
            Output::Bins { edges, .. } => Some(edges.len() + 1),
            _ => None,
        }
    }

    /// Requires that a row of outputs is a decision.
    ///
    /// # Errors
    /// [`ParamError`] named `output` for scores, with the settings that make a decision of them.
    pub fn require_decision(&self) -> Result<(), ParamError> {
        require(self.meaning != Output::Score, "output", NEEDS_DECISION, self.given())
    }

    /// The decision in a row of outputs, shape `(n_outputs,)`, as a number to compare with [`agrees`](Self::agrees): the
    /// class, the label, the bin, or for [`Output::Within`] the quantity.
    ///
    /// # Errors
    /// [`ParamError`] named `output` for a number that is no decision in this reading.
    pub fn decision(&self, outputs: &Row) -> Result<f64, ParamError> {
        match &self.meaning {
            Output::Classes => Ok(argmax(outputs) as f64),
            Output::Probability if self.source == OutputSource::Assumed => assumed(outputs[0]),
            Output::Label if self.source == OutputSource::Assumed => assumed(outputs[0]),
            Output::Probability => {
                require(is_probability(outputs[0]), "output", NO_PROBABILITY, outputs[0])?;
                Ok(f64::from(u8::from(0.5 < outputs[0])))
            }
            Output::Label => {
                let rule = "another than `label` for an output that is no whole number";
                require(is_label(outputs[0]), "output", rule, outputs[0])?;
                Ok(outputs[0])
            }
            Output::Bins { edges, target } => {
                Ok(edges.partition_point(|&edge| edge <= outputs[*target]) as f64)
            }
            Output::Interval { min, max, target } => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                Ok(f64::from(u8::from((min..=max).contains(&outputs[*target]))))
            }
            Output::Within { target, .. } => Ok(outputs[*target]),
            Output::Score | Output::Auto => {
                require(false, "output", NEEDS_DECISION, self.given())?;
                Ok(outputs[0])
            }
        }
    }

    /// Whether two decisions are the same: equal, or for [`Output::Within`] not further apart than its tolerance.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "classes are whole numbers")]
    pub fn agrees(&self, decision: f64, of_instance: f64) -> bool {
        match self.meaning {
            Output::Within { tolerance, .. } => (decision - of_instance).abs() <= tolerance,
            _ => decision == of_instance,
        }
    }

    /// One number for each class, the larger the likelier, shape `(n_classes,)`; `None` where outputs are no numbers by
    /// class (labels, bins, intervals, quantities).
    #[must_use]
    pub fn class_scores(&self, outputs: &Row) -> Option<Array1<f64>> {
        match self.meaning {
            Output::Classes => Some(outputs.to_owned()),
            Output::Probability => Some(Array1::from(vec![1.0 - outputs[0], outputs[0]])),
            _ => None,
        }
    }

    /// The reading as `meta` says it.
    #[must_use]
    pub fn to_meta(&self) -> OutputReading {
        OutputReading { meaning: self.meaning.word().to_owned(), source: self.source }
    }
}

impl Written for Output {
    fn written(&self) -> String {
        format!("`{self}`")
    }
}

/// The index of the largest number, the first of equals; 0 of none.
#[must_use]
pub fn argmax(values: &Row) -> usize {
    let larger = |best: usize, index| if values[best] < values[index] { index } else { best };
    (1..values.len()).fold(0, larger)
}

fn is_label(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() <= MAX_LABEL
}

/// How far a probability of a model in single precision may lie outside `[0, 1]`.
const ROUNDING: f64 = 1e-6;

fn is_probability(value: f64) -> bool {
    (-ROUNDING..=1.0 + ROUNDING).contains(&value)
}

/// What a single output looks like.
fn guess(value: f64) -> Output {
    if is_probability(value) {
        Output::Probability
    } else if is_label(value) && 2.0 <= value {
        Output::Label
    } else {
        Output::Score
    }
}

/// The decision of a single output that nobody described.
fn assumed(value: f64) -> Result<f64, ParamError> {
    match guess(value) {
        Output::Probability => Ok(f64::from(u8::from(0.5 < value))),
        Output::Label => Ok(value),
        _ => {
            require(false, "output", NEEDS_DECISION, value)?;
            Ok(value)
        }
    }
}
