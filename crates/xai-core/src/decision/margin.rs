//! How clear a decision is.

use super::{NO_PROBABILITY, Output, Reading, argmax, is_probability};
use crate::error::{Result, same_shape};
use crate::model::Row;
use crate::params::require;

/// How far ahead the class of a counterfactual must be by default, in parts of the largest number by class at the instance.
///
/// At a tie the last bits decide: those of the model's engine, of single precision, of the digits that are printed.
/// A model that its owner runs elsewhere then keeps the old class.
///
/// Chosen by an experiment, `benches/peers/decision_margin.py`: of 4,690 counterfactuals of `cem`, `cfproto`,
/// `counterfactual` and the grid search, for 10 kinds of scikit-learn's classifiers on iris, wine and breast cancer, each has
/// another class in scikit-learn and in onnxruntime, for the row as it is and in single precision. Rounded to nine digits
/// three do not: no margin of outputs helps a number just beside the threshold of a tree. It costs little: where answers are
/// compared with closed forms, 2e-4 in the argument of a sigmoid.
pub const DECISION_MARGIN: f64 = 1e-4;

impl Reading {
    /// How far ahead the class of a counterfactual must be: [`DECISION_MARGIN`] times the largest number by class in
    /// `at_instance`, shape `(n_outputs,)`. 0 where the outputs are no numbers by class: labels do not come close to each
    /// other, and the ends of intervals and bins belong to one side by definition.
    #[must_use]
    pub fn decision_margin(&self, at_instance: &Row) -> f64 {
        let scores = self.class_scores(at_instance);
        let largest = scores.map_or(0.0, |scores| {
            scores.iter().fold(0.0_f64, |largest, score| largest.max(score.abs()))
        });
        DECISION_MARGIN * largest
    }

    /// How far the class in a row of outputs, shape `(n_outputs,)`, is ahead of the next one; `None` where the outputs are
    /// no numbers by class.
    #[must_use]
    pub fn lead(&self, outputs: &Row) -> Option<f64> {
        let scores = self.class_scores(outputs)?;
        let class = argmax(&scores);
        let others = scores.iter().enumerate().filter(|(other, _)| *other != class);
        let next = others.fold(f64::NEG_INFINITY, |next, (_, &score)| next.max(score));
        Some(scores[class] - next)
    }

    /// Requires that a row of outputs can be read like this: as many as at the instance, and a probability in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) and [`Error::Param`](crate::Error::Param) named `output`.
    pub fn check(&self, outputs: &Row) -> Result<()> {
        same_shape("the model's output", &[self.n_outputs], outputs.shape())?;
        if self.meaning == Output::Probability {
            require(is_probability(outputs[0]), "output", NO_PROBABILITY, outputs[0])?;
        }
        Ok(())
    }
}
