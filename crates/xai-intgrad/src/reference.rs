//! The numbers of alibi 0.9.6, where they differ: `semantics = "reference"`.

use xai_core::{Output, ParamError, Reading, Row, Run};

use crate::quadrature::{self, Method, Rule};
use crate::semantics::Conventions;

/// The points and weights of a method. The trapezoid's weights are `1 / n` in place of `1 / (n - 1)`, as in alibi and
/// captum, so that they add up to `(n - 1) / n`; all other rules are those of [`Method::rule`].
///
/// # Errors
/// [`ParamError`] named `n_steps` when there is no such rule.
pub fn rule(method: Method, n: usize) -> Result<Rule, ParamError> {
    let rule = method.rule(n)?;
    Ok(match method {
        Method::RiemannTrapezoid => quadrature::trapezoid(n, n),
        _ => rule,
    })
}

/// The conventions of the reference.
pub(crate) struct Reference;

impl Conventions for Reference {
    fn rule(&self, method: Method, n: usize) -> Result<Rule, ParamError> {
        rule(method, n)
    }

    /// A single output with a target is the score of one of two classes, whatever its value.
    fn assumed(&self, n_outputs: usize, has_target: bool) -> Option<Output> {
        (n_outputs == 1 && has_target).then_some(Output::Probability)
    }

    /// The largest of one output is the first, which stands for the other class.
    fn predicted_of_one(
        &self,
        _: &Reading,
        _: &Row,
        run: &mut Run<'_>,
    ) -> Result<usize, ParamError> {
        let message =
            "the largest of one output is always the first, which stands for the other class";
        run.warn("intgrad.one_output", message);
        Ok(0)
    }

    /// The change of a single output that is a target has the wrong sign.
    fn reported_delta(&self, delta: f64, change: f64, is_one_of_two: bool) -> f64 {
        if is_one_of_two { delta + 2.0 * change } else { delta }
    }
}
