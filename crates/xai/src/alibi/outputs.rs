//! Outputs of a model as the documents of counterfactuals have them.

use ndarray::Array1;
use serde_json::{Value, json};
use xai_core::decision::{Output, Reading};

use super::error::Result;
use super::fields::{Fields, number_value};

/// How the outputs of a model are read.
pub(super) struct Outputs {
    reading: Reading,
}

impl Outputs {
    /// The reading that the data of an explanation tell.
    pub(super) fn of(data: &Fields<'_>) -> Result<Self> {
        let outputs = Array1::from(data.numbers("outputs")?);
        let output = match data.optional_object("classes")? {
            Some(classes) => {
                let output = classes.get("output")?;
                let known = serde_json::from_value::<Output>(output.clone());
                known.map_err(|_| classes.form("output", "a meaning of outputs", output))?
            }
            None => Output::Auto,
        };
        let reading = Reading::new(&output, None, &outputs)
            .map_err(|error| data.form("outputs", &error.to_string(), &data.or_null("outputs")))?;
        Ok(Outputs { reading })
    }

    /// Alibi's `proba` of the outputs under `outputs`, without a batch axis: one number for each class, both classes for
    /// the probability of class 1.
    pub(super) fn proba(&self, data: &Fields<'_>) -> Result<Value> {
        let outputs = data.get("outputs")?;
        if *self.reading.meaning() != Output::Probability {
            return Ok(outputs.clone());
        }
        let row = Array1::from(data.numbers("outputs")?);
        let scores = self.reading.class_scores(&row);
        Ok(scores.map_or_else(
            || outputs.clone(),
            |scores| scores.iter().map(|&score| number_value(score)).collect(),
        ))
    }

    /// The class of the outputs under `outputs`.
    pub(super) fn class(&self, data: &Fields<'_>) -> Result<Value> {
        let row = Array1::from(data.numbers("outputs")?);
        let class = self
            .reading
            .decision(&row)
            .map_err(|error| data.form("outputs", &error.to_string(), &data.or_null("outputs")))?;
        Ok(whole(class))
    }
}

/// A decision, a whole number where it is one.
pub(super) fn whole(decision: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    if decision.fract() == 0.0 && decision.abs() < 9e15 {
        json!(decision as i64)
    } else {
        number_value(decision)
    }
}
