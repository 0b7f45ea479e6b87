//! The choices in which the native method and that of the reference differ.

use xai_core::{Output, ParamError, Reading, Row, Run, Semantics, require};

use crate::quadrature::{Method, Rule};
use crate::reference::Reference;

/// How attributions are computed where the two semantics differ. Chosen once, by the settings.
pub(crate) trait Conventions: Sync {
    /// The points and weights of a method.
    fn rule(&self, method: Method, n: usize) -> Result<Rule, ParamError>;

    /// What the outputs are taken for without a setting; `None` for what the model says, or what they look like.
    /// `has_target` says whether the settings name an output.
    fn assumed(&self, n_outputs: usize, has_target: bool) -> Option<Output>;

    /// The index of the predicted class, 0 or 1, of a model with one output.
    fn predicted_of_one(
        &self,
        reading: &Reading,
        outputs: &Row,
        run: &mut Run<'_>,
    ) -> Result<usize, ParamError>;

    /// The gap to report for a path, whose output changes by `change`; `is_one_of_two` for an output of a model with one
    /// output that is a target.
    fn reported_delta(&self, delta: f64, change: f64, is_one_of_two: bool) -> f64;
}

/// The conventions of some semantics.
pub(crate) fn conventions(semantics: Semantics) -> &'static dyn Conventions {
    match semantics {
        Semantics::Native => &Native,
        Semantics::Reference => &Reference,
    }
}

/// The method as its paper has it.
struct Native;

impl Conventions for Native {
    fn rule(&self, method: Method, n: usize) -> Result<Rule, ParamError> {
        method.rule(n)
    }

    fn assumed(&self, _: usize, _: bool) -> Option<Output> {
        None
    }

    fn predicted_of_one(
        &self,
        reading: &Reading,
        outputs: &Row,
        _: &mut Run<'_>,
    ) -> Result<usize, ParamError> {
        let is_probability = *reading.meaning() == Output::Probability;
        let rule =
            "another than `predicted` for a model whose single output is no probability of a class";
        require(is_probability, "target", rule, "predicted")?;
        Ok(usize::from(0.5 < reading.decision(outputs)?))
    }

    fn reported_delta(&self, delta: f64, _: f64, _: bool) -> f64 {
        delta
    }
}
