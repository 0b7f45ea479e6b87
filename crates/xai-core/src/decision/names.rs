//! Names of outputs and classes, for figures and messages.

use super::{Output, Reading};

/// Names of a model's outputs or of its classes.
///
/// A model with a single probability has one output and two classes: two names are those of its classes, one name is
/// that of class 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputNames(Vec<String>);

impl OutputNames {
    /// These names, in the order of the outputs or classes.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        OutputNames(names.into_iter().map(Into::into).collect())
    }

    /// The names as they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The name of an output of a model with `n_outputs`: its own, that of its class, or `output 2`.
    #[must_use]
    pub fn output(&self, index: usize, n_outputs: usize) -> String {
        let place = if n_outputs == 1 && self.0.len() == 2 { 1 } else { index };
        self.0.get(place).cloned().unwrap_or_else(|| format!("output {index}"))
    }

    /// The name of a class in a reading: its own, or `class 2`. The classes of an interval are `inside` and `outside`.
    #[must_use]
    pub fn class(&self, index: usize, reading: &Reading) -> String {
        self.class_of(index, reading.meaning())
    }

    /// As [`class`](Self::class), for outputs that were read as this; never [`Output::Auto`].
    #[must_use]
    pub fn class_of(&self, index: usize, meaning: &Output) -> String {
        let place = match meaning {
            Output::Probability if self.0.len() == 1 => index.checked_sub(1),
            Output::Interval { .. } => {
                return ["outside", "inside"][index.min(1)].to_owned();
            }
            _ => Some(index),
        };
        place.and_then(|place| self.0.get(place)).cloned().unwrap_or_else(|| {
            match (meaning, self.0.first()) {
                (Output::Probability, Some(name)) if self.0.len() == 1 => format!("not {name}"),
                _ => format!("class {index}"),
            }
        })
    }

    /// The index of the output or class with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|other| other == name)
    }
}

impl<S: Into<String>> FromIterator<S> for OutputNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        OutputNames::new(names)
    }
}
