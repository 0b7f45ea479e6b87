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

    /// The name that was given for an output of a model with `n_outputs`: its own, or that of its class. `None` for an
    /// output without a name, and for a single output with the names of three classes or more, which is a label.
    #[must_use]
    pub fn given(&self, index: usize, n_outputs: usize) -> Option<&str> {
        let place = match (n_outputs, self.0.len()) {
            (1, 2) => 1,
            (1, 3..) => return None,
            _ => index,
        };
        self.0.get(place).map(String::as_str)
    }

    /// The name of an output of a model with `n_outputs`: its own, that of its class, or `output 2`.
    #[must_use]
    pub fn output(&self, index: usize, n_outputs: usize) -> String {
        self.given(index, n_outputs).map_or_else(|| format!("output {index}"), str::to_owned)
    }

    /// The index of the output with this name among `n_outputs`, the first of equals. An output without a name is found
    /// by its index, as `"0"` or `"1"`.
    #[must_use]
    pub fn find_output(&self, name: &str, n_outputs: usize) -> Option<usize> {
        let is_it = |index: &usize| match self.given(*index, n_outputs) {
            Some(given) => given == name,
            None => index.to_string() == name,
        };
        (0..n_outputs).find(is_it)
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
