//! The rules of this crate's method.

use ndarray::Array1;
use xai_core::{Reading, Result, Row, Run};
use xai_optim::loss::Hinge;
use xai_optim::{Evaluator, Instance, Outcome, Problem, SearchParams};

use crate::problem::Contrast;
use crate::rules::Rules;

/// The step of a numeric derivative as a share of the width of the values. Chosen by hand.
const STEP: f64 = 1e-3;

/// The method of this crate.
pub(crate) struct Native;

impl Rules for Native {
    fn decision_margin(&self, reading: &Reading, outputs: &Row) -> f64 {
        reading.decision_margin(outputs)
    }

    fn requires_inside(&self) -> bool {
        true
    }

    fn step(&self, width: Option<f64>) -> f64 {
        STEP * width.unwrap_or(1.0)
    }

    fn crosses(&self) -> bool {
        true
    }

    fn instance(&self, contrast: &Contrast<'_>, index: usize, hinge: Hinge) -> Instance {
        contrast.instance(index, hinge)
    }

    fn problem<'a>(&self, contrast: Contrast<'a>, _: &'a Array1<f64>) -> Box<dyn Problem + 'a> {
        Box::new(contrast)
    }

    fn search(
        &self,
        evaluator: Evaluator<'_>,
        params: &SearchParams,
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Outcome>> {
        xai_optim::search(evaluator, params, runs)
    }
}
