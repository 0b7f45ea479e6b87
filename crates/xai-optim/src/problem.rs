//! The space that a search moves in, and the instances that it starts from.

use ndarray::{Array1, Array2};

use crate::loss::Hinge;
use crate::step;
use xai_core::error::Result;
use xai_core::model::{Row, Rows};
use xai_core::run::Run;

/// One instance of a search: where it starts, where it may go, what it costs and what it is to reach.
///
/// Arrays have shape `(n_coordinates,)`. A search minimises
/// `sum_i (scale_i (v_i - center_i))^2 + beta sum_i scale_i |v_i - center_i|` over points `v` of the box that the hinge
/// accepts.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What costs nothing: the instance itself, or for pertinent positives the uninformative reference values.
    pub center: Array1<f64>,
    /// The first point.
    pub start: Array1<f64>,
    /// The least value of each coordinate; may be minus infinity.
    pub lower: Array1<f64>,
    /// The largest value of each coordinate; may be infinity.
    pub upper: Array1<f64>,
    /// What a change of 1 counts, above 0.
    pub scale: Array1<f64>,
    /// What the model must say.
    pub hinge: Hinge,
    /// The most groups of coordinates that may differ from the centre.
    pub max_changes: Option<usize>,
    /// Points that may be valid where gradients lead nowhere, for instance rows or prototypes of other classes, each of
    /// shape `(n_coordinates,)`.
    pub anchors: Vec<Array1<f64>>,
}

/// The two parts of a distance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DistanceParts {
    /// The sum of the squared changes.
    pub squares: f64,
    /// The sum of the absolute changes.
    pub absolute: f64,
}

impl Instance {
    /// An instance that may go anywhere from `center`, every change counting its own size.
    #[must_use]
    pub fn free(center: Array1<f64>, hinge: Hinge) -> Self {
        let n = center.len();
        Instance {
            start: center.clone(),
            lower: Array1::from_elem(n, f64::NEG_INFINITY),
            upper: Array1::from_elem(n, f64::INFINITY),
            scale: Array1::ones(n),
            center,
            hinge,
            max_changes: None,
            anchors: Vec::new(),
        }
    }

    /// The two parts of the distance of a point from the centre: the sum of squares and the sum of absolute values of
    /// the scaled changes.
    #[must_use]
    pub fn parts(&self, point: &Row) -> DistanceParts {
        let mut parts = DistanceParts::default();
        for ((value, center), scale) in point.iter().zip(&self.center).zip(&self.scale) {
            let change = scale * (value - center);
            parts.squares += change * change;
            parts.absolute += change.abs();
        }
        parts
    }

    /// Cuts a point to the box.
    pub fn confine(&self, point: &mut Row) {
        for (k, value) in point.iter_mut().enumerate() {
            *value = value.max(self.lower[k]).min(self.upper[k]);
        }
    }
}

/// The space that the instances of one call are searched in: points have coordinates, the model has columns.
///
/// Every instance is named by its index in the call. The provided methods are those of a space whose points are the
/// model's rows, all of them quantities.
pub trait Problem: Sync {
    /// Columns of a row of the model's input.
    fn n_columns(&self) -> usize;

    /// Writes the model's input at a point.
    fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        let _ = instance;
        input.assign(point);
    }

    /// Makes a point one that may be returned: whole numbers, steps, categories. What is so already stays as it is.
    fn snap(&self, instance: usize, point: &mut Row) {
        let _ = (instance, point);
    }

    /// The derivative by the model's input at a point, as one by coordinate.
    fn pull_back(&self, instance: usize, point: &Row, gradient: &Row) -> Array1<f64> {
        let _ = (instance, point);
        gradient.to_owned()
    }

    /// Two values of a coordinate, the smaller first, whose outputs give its numeric derivative at a point. `None`: the
    /// derivative is 0, or that of the white box.
    fn probe(&self, instance: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)>;

    /// Whether a coordinate is probed even where the model is a white box, because decoding has no derivative there.
    fn is_always_probed(&self, coordinate: usize) -> bool {
        let _ = coordinate;
        false
    }

    /// Whether a coordinate takes separate values, so that it cannot be moved by a little.
    fn is_discrete(&self, coordinate: usize) -> bool {
        let _ = coordinate;
        false
    }

    /// Points that differ from this one in one discrete feature, snapped; a search that found a point tries them.
    fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        let _ = (instance, point);
        Vec::new()
    }

    /// The group that a coordinate changes with: the feature of its column.
    fn group(&self, coordinate: usize) -> usize {
        coordinate
    }

    /// The points that further terms attract an instance to, as far as they are known, where the direction of these terms is
    /// to be kept: what is found is then moved back along its way from the centre, and polished only between the centre,
    /// these points and what else was found. `None` where nothing attracts.
    fn attractors(&self, instance: usize) -> Option<Vec<Array1<f64>>> {
        let _ = instance;
        None
    }

    /// Further smooth terms of the loss at points of instances, as gradients by coordinate, shape of `points`: an
    /// autoencoder's reconstruction error, the distance from a prototype. `None` where there are none.
    ///
    /// # Errors
    /// Those of the models that are asked.
    fn smooth(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
    ) -> Result<Option<Array2<f64>>> {
        let _ = (runs, instances, points);
        Ok(None)
    }

    /// Whether points that the hinge accepts may be returned, one for each row of `points`; `outputs` are the model's.
    ///
    /// # Errors
    /// Those of the models that are asked.
    fn admits(
        &self,
        runs: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        outputs: &Rows,
    ) -> Result<Vec<bool>> {
        let _ = (runs, points, outputs);
        Ok(vec![true; instances.len()])
    }

    /// The limits between which a coordinate may move on from a point; those of the instance, where the allowed values of
    /// a coordinate are one interval.
    fn piece(
        &self,
        index: usize,
        instance: &Instance,
        point: &Row,
        coordinate: usize,
    ) -> (f64, f64) {
        let _ = (index, point);
        (instance.lower[coordinate], instance.upper[coordinate])
    }

    /// The proximal step from `point`, in place; `threshold` is that of the absolute values.
    fn proximal(&self, index: usize, instance: &Instance, threshold: f64, point: &mut Row) {
        let _ = index;
        step::proximal(point, instance, threshold);
    }

    /// Brings an extrapolated point back to where gradients are taken.
    fn confine(&self, index: usize, instance: &Instance, point: &mut Row) {
        let _ = index;
        instance.confine(point);
    }
}
