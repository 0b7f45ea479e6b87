//! The objective as alibi minimises it: one-sided shrinkage in the range of the features.

use ndarray::{Array1, Array2};
use xai_core::{Result, Row, Rows, Run};
use xai_optim::reference::alibi_shrinkage;
use xai_optim::{Instance, Problem};

use crate::objective::PrototypeObjective;

/// The objective with alibi's proximal step; everything else is that of [`PrototypeObjective`].
pub(crate) struct AlibiObjective<'a>(pub(crate) &'a PrototypeObjective<'a>);

impl Problem for AlibiObjective<'_> {
    fn n_columns(&self) -> usize {
        self.0.n_columns()
    }

    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        self.0.decode(instance, point, input);
    }

    fn pull_back(&self, instance: usize, point: &Row, gradient: &Row) -> Array1<f64> {
        self.0.pull_back(instance, point, gradient)
    }

    fn probe(&self, instance: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        self.0.probe(instance, point, coordinate)
    }

    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        self.0.smooth(runs, instances, points)
    }

    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        self.0.admits(runs, instances, points, outputs)
    }

    fn proximal(&self, _: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            let range = [instance.lower[k], instance.upper[k]];
            *value = alibi_shrinkage(*value, instance.center[k], threshold, range);
        }
    }
}
