//! The model's decision for an instance, which perturbations are compared with.

use xai_core::{Output, Predictor, Reading, Result, Row, Rows, Run, same_shape};

/// The decision for an instance.
pub(crate) struct Decision {
    /// How the model's outputs are read.
    pub reading: Reading,
    /// The decision, as [`Reading::decision`] gives it.
    pub value: f64,
    /// The names of the classes that the model has; empty where it has none.
    pub class_names: Vec<String>,
}

impl Decision {
    /// The decision in the outputs of an instance by a model, shape `(n_outputs,)`; the reading is recorded in the run.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `output` when the outputs are no decision in this reading.
    pub(crate) fn new<I: ?Sized>(
        setting: &Output,
        model: &dyn Predictor<I>,
        outputs: &Row,
        run: &mut Run<'_>,
    ) -> Result<Self> {
        let reading = Reading::new(setting, model.output(), outputs)?;
        reading.require_decision()?;
        run.record_output(&reading);
        let value = reading.decision(outputs)?;
        let class_names = model.class_names().unwrap_or_default().to_vec();
        Ok(Decision { reading, value, class_names })
    }

    /// Appends the decisions in some rows of outputs, shape `(n_rows, n_outputs)`.
    pub(crate) fn read(&self, outputs: &Rows, decisions: &mut Vec<f64>) -> Result<()> {
        // No rows have no outputs.
        for row in outputs.rows() {
            same_shape("the model's output", &[self.reading.n_outputs()], row.shape())?;
            decisions.push(self.reading.decision(&row)?);
        }
        Ok(())
    }

    /// Whether a decision is that for the instance.
    pub(crate) fn agrees(&self, decision: f64) -> bool {
        self.reading.agrees(decision, self.value)
    }
}
