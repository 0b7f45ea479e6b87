//! Distances and conditions that are functions, which an explainer as plain data cannot hold.

use std::fmt;

use xai_core::Row;
use xai_core::tabular::FeatureKey;

/// The distance between the instance's value and another, finite and at least 0; categories are given as their codes.
pub(crate) type DistanceFunction<'f> = &'f (dyn Fn(f64, f64) -> f64 + Sync);

/// Whether a row may be an answer.
pub(crate) type Condition<'f> = &'f (dyn Fn(&Row) -> bool + Sync);

/// Functions for a grid search; see [`GridCounterfactual::with_functions`](crate::GridCounterfactual::with_functions).
#[derive(Clone, Default)]
pub struct Functions<'f> {
    pub(crate) distances: Vec<(FeatureKey, DistanceFunction<'f>)>,
    pub(crate) feasible: Option<Condition<'f>>,
}

impl<'f> Functions<'f> {
    /// Measures a feature by a function from the instance's value and another to their distance, finite and at least 0.
    /// It takes the place of what the settings say. Categories are given as their codes.
    ///
    /// It is called for the values of the feature, never for grid points. A distance of a value to itself other than 0
    /// is added wherever the feature stays. A distance outside its range is an error of the explanation, before any
    /// model call.
    #[must_use]
    pub fn with_distance(
        mut self,
        feature: impl Into<FeatureKey>,
        distance: &'f (dyn Fn(f64, f64) -> f64 + Sync),
    ) -> Self {
        self.distances.push((feature.into(), distance));
        self
    }

    /// Asks the model only for rows that meet a condition, shape `(n_columns,)`; the others are no grid points.
    #[must_use]
    pub fn with_feasible(mut self, condition: &'f (dyn Fn(&Row) -> bool + Sync)) -> Self {
        self.feasible = Some(condition);
        self
    }

    /// What the functions are, for `meta.params`.
    pub(crate) fn names(&self) -> Vec<String> {
        let distances =
            self.distances.iter().map(|(key, _)| format!("distance of {}", key.as_str()));
        distances.chain(self.feasible.map(|_| "feasible".to_owned())).collect()
    }
}

impl fmt::Debug for Functions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
