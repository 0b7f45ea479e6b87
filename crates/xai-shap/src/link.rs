//! The scale on which attributions add up.

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Run};

/// The function applied to the model's mean output before it is attributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The output itself.
    #[default]
    Identity,
    /// The log-odds `ln(p / (1 - p))` of a probability.
    Logit,
}

/// How far outside `[0, 1]` a probability may lie: what float32 models lose by rounding.
const SLACK: f64 = 1e-6;

impl Link {
    /// Applies the link in place. Probabilities within `epsilon` of 0 or 1 are moved to that distance, with a warning.
    ///
    /// # Errors
    /// [`ParamError`] when the logit link meets an output outside `[0, 1]`.
    pub(crate) fn apply(
        self,
        values: &mut Array2<f64>,
        epsilon: f64,
        run: &mut Run<'_>,
    ) -> Result<(), ParamError> {
        if self == Link::Identity {
            return Ok(());
        }
        let mut clipped = false;
        for value in values {
            let p = *value;
            if !(-SLACK..=1.0 + SLACK).contains(&p) {
                let rule = "\"identity\" for a model with outputs outside [0, 1]".to_owned();
                return Err(ParamError {
                    name: "link",
                    rule,
                    value: format!("\"logit\" and an output of {p}"),
                });
            }
            let inside = p.clamp(epsilon, 1.0 - epsilon);
            clipped |= !(epsilon..=1.0 - epsilon).contains(&p);
            *value = (inside / (1.0 - inside)).ln();
        }
        if clipped {
            let message = format!(
                "some mean outputs lie within {epsilon:e} of 0 or 1 and were moved to that distance"
            );
            run.warn("shap.clipped", message);
        }
        Ok(())
    }

    /// The derivative of the link, for values that [`apply`](Self::apply) took; 0 where it moved them.
    pub(crate) fn slopes(self, values: &Array2<f64>, epsilon: f64) -> Array2<f64> {
        values.mapv(|p| match self {
            Link::Identity => 1.0,
            Link::Logit if (epsilon..=1.0 - epsilon).contains(&p) => (p * (1.0 - p)).recip(),
            Link::Logit => 0.0,
        })
    }
}
