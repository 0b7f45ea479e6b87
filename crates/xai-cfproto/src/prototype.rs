//! Class prototypes: the place in each class that a counterfactual is drawn to.

use ndarray::{Array1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{Result, Row, Rows, Warning, require, same_shape};

use crate::neighbors::{Metric, Neighbors, Spread};
use crate::trust::{TrustScore, TrustScoreParams, by_class};

/// What the reference adds to a distance that it divides by.
const DISTANCE_FLOOR: f64 = 1e-10;

/// Where prototypes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From encodings of the training rows.
    Encoder,
    /// From the training rows themselves.
    Rows,
}

/// The training rows of each class, or their encodings, and what stands for a class near an instance.
///
/// Classes are those that the model puts the training rows in; a class without rows has no prototype.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use xai_cfproto::neighbors::Spread;
/// use xai_cfproto::prototype::Prototypes;
///
/// let encodings = array![[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [5.0, 0.0]];
/// let prototypes = Prototypes::of_encodings(&encodings, &[0, 0, 1, 1], 2)?;
/// let chosen = prototypes.nearest(&array![1.5, 0.0], &[1], None, Spread::Mean)?.expect("class 1 has rows");
/// assert_eq!((chosen.class, chosen.distance), (1, 3.0));
/// assert_eq!(chosen.prototype, array![4.5, 0.0]);
/// # Ok::<(), xai_core::Error>(())
/// ```
///
/// # Source
/// Van Looveren and Klaise 2021, "Interpretable counterfactual explanations guided by prototypes", section 3.4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prototypes {
    source: Source,
    classes: Vec<Option<Neighbors>>,
    warnings: Vec<Warning>,
}

/// The prototype of the class that is nearest to an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The class.
    pub class: usize,
    /// What stands for it, in the space of the prototypes.
    pub prototype: Array1<f64>,
    /// How far the class is, at least 0.
    pub distance: f64,
    /// Whether the class has fewer rows than were asked for.
    pub clamped: bool,
}

impl Prototypes {
    /// Prototypes from encodings of the training rows, shape `(n_rows, n_dimensions)`; `labels` holds the model's class
    /// of each row, shape `(n_rows,)`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a label that is not below `n_classes`,
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite).
    pub fn of_encodings(encodings: &Rows, labels: &[usize], n_classes: usize) -> Result<Self> {
        let mut classes = Vec::with_capacity(n_classes);
        let mut warnings = Vec::new();
        for (class, members) in by_class(encodings, labels, n_classes)?.iter().enumerate() {
            if members.is_empty() {
                let message = format!("the model puts no training row in class {class}");
                warnings.push(Warning { code: "cfproto.empty_class".to_owned(), message });
                classes.push(None);
                continue;
            }
            let points = encodings.select(Axis(0), members);
            let leaf_size = TrustScoreParams::default().leaf_size;
            classes.push(Some(Neighbors::new(points, Metric::Euclidean, leaf_size)?));
        }
        Ok(Prototypes { source: Source::Encoder, classes, warnings })
    }

    /// Prototypes among the training rows, shape `(n_rows, n_features)`, that the filter of `params` keeps; `labels` holds
    /// the model's class of each row, shape `(n_rows,)`. An image is a row of its pixels.
    ///
    /// # Errors
    /// As [`TrustScoreParams::fit`].
    pub fn of_rows(
        rows: &Rows,
        labels: &[usize],
        n_classes: usize,
        params: TrustScoreParams,
    ) -> Result<Self> {
        let trust: TrustScore = params.fit(rows, labels, n_classes)?;
        let warnings = trust.warnings().to_vec();
        Ok(Prototypes { source: Source::Rows, classes: trust.into_classes(), warnings })
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Number of classes, those without rows included.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// Number of dimensions of their space; `None` when no class has rows.
    #[must_use]
    pub fn n_dimensions(&self) -> Option<usize> {
        self.classes.iter().flatten().next().map(|class| class.points().ncols())
    }

    /// Whether a class has rows, and so a prototype.
    #[must_use]
    pub fn has(&self, class: usize) -> bool {
        self.classes.get(class).is_some_and(Option::is_some)
    }

    /// Warnings about classes that have no rows.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The nearest of the `candidates` to a point, shape `(n_dimensions,)`, the first of equals; `None` when none of them
    /// has rows.
    ///
    /// From encodings: without `k` the prototype is the mean of the class and its distance that of the mean; with `k` it is
    /// the mean of the `k` nearest encodings, and the distance is the mean of theirs or that of the `k`-th, as `k_type`
    /// says. From rows: prototype and distance are those of the `k`-th nearest row, `k = 1` by default.
    /// A class with fewer than `k` rows is taken as a whole.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) for the point, [`Error::Param`](xai_core::Error::Param) for `k = 0` and a
    /// candidate that is no class.
    ///
    /// # Cost
    /// A search for `k` neighbors in each candidate.
    pub fn nearest(
        &self,
        point: &Row,
        candidates: &[usize],
        k: Option<usize>,
        k_type: Spread,
    ) -> Result<Option<Chosen>> {
        require(k != Some(0), "k", "at least 1", k)?;
        self.check_point(point)?;
        let mut best: Option<Chosen> = None;
        for &class in candidates {
            let rule = || format!("below {}", self.classes.len());
            require(class < self.classes.len(), "target_class", rule(), class)?;
            let Some(rows) = &self.classes[class] else { continue };
            let chosen = self.class_prototype(class, rows, point, k, k_type);
            if best.as_ref().is_none_or(|best| {
                chosen.distance < best.distance
                    || (chosen.distance <= best.distance && chosen.class < best.class)
            }) {
                best = Some(chosen);
            }
        }
        Ok(best)
    }

    /// How much a point, shape `(n_dimensions,)`, belongs to class `to` and not to class `from`: its distance to `from`
    /// over that to `to`; distances are those to the mean of the encodings, or to the nearest row. `None` when either class
    /// has no rows.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) for the point.
    pub fn trust(&self, point: &Row, from: usize, to: usize) -> Result<Option<f64>> {
        self.check_point(point)?;
        let distance = |class: usize| {
            let rows = self.classes.get(class)?.as_ref()?;
            match self.source {
                Source::Encoder => Some(euclidean(point, &rows.mean()?)),
                Source::Rows => Some(rows.nearest(point, 1).first()?.distance),
            }
        };
        let ratio = |(from, to): (f64, f64)| from / (to + DISTANCE_FLOOR);
        Ok(distance(from).zip(distance(to)).map(ratio))
    }

    /// The prototype of a class that has rows.
    fn class_prototype(
        &self,
        class: usize,
        rows: &Neighbors,
        point: &Row,
        k: Option<usize>,
        k_type: Spread,
    ) -> Chosen {
        match (self.source, k) {
            (Source::Encoder, None) => {
                let prototype = rows.mean().expect("the class has rows");
                let distance = euclidean(point, &prototype);
                Chosen { class, prototype, distance, clamped: false }
            }
            (Source::Encoder, Some(k)) => {
                let found = rows.nearest(point, k);
                let indices: Vec<usize> = found.iter().map(|one| one.index).collect();
                let nearest = rows.points().select(Axis(0), &indices);
                let prototype = nearest.mean_axis(Axis(0)).expect("the class has rows");
                let distance = k_type.of(&found).expect("the class has rows");
                Chosen { class, prototype, distance, clamped: found.len() < k }
            }
            (Source::Rows, k) => {
                let k = k.unwrap_or(1);
                let found = rows.nearest(point, k);
                let last = found.last().expect("the class has rows");
                let prototype = rows.points().row(last.index).to_owned();
                Chosen { class, prototype, distance: last.distance, clamped: found.len() < k }
            }
        }
    }

    /// The `k` rows of a class that are nearest to a point, none where it has none.
    pub(crate) fn nearest_rows(&self, class: usize, point: &Row, k: usize) -> Vec<Array1<f64>> {
        let Some(rows) = self.classes.get(class).and_then(Option::as_ref) else {
            return Vec::new();
        };
        let nearest = rows.nearest(point, k).into_iter();
        nearest.map(|one| rows.points().row(one.index).to_owned()).collect()
    }

    fn check_point(&self, point: &Row) -> Result<()> {
        match self.n_dimensions() {
            Some(width) => same_shape("the point", &[width], point.shape()),
            None => Ok(()),
        }
    }
}

fn euclidean(a: &Row, b: &Row) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}
