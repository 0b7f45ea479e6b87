//! Distances and conditions that are functions of the caller's own, beside an explainer that is plain data.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::SerializeMap;
use xai_core::tabular::FeatureKey;
use xai_core::{BlackBox, Explainer, MethodInfo, Result, Row, Run, Valid};

use crate::data::GridCounterfactualData;
use crate::explainer::GridCounterfactual;
use crate::params::GridCounterfactualParams;
use crate::ranges::find;

/// The distance between the instance's value and another, finite and at least 0; categories are given as their codes.
pub(crate) type DistanceFunction<'f> = &'f (dyn Fn(f64, f64) -> f64 + Sync);

/// Whether a row may be an answer.
pub(crate) type Condition<'f> = &'f (dyn Fn(&Row) -> bool + Sync);

#[derive(Clone, Default)]
pub(crate) struct Functions<'f> {
    pub(crate) distances: BTreeMap<usize, DistanceFunction<'f>>,
    pub(crate) feasible: Option<Condition<'f>>,
}

/// A grid search with functions of the caller's own. Made by [`GridCounterfactual::customised`].
///
/// It explains as [`GridCounterfactual`] does, but cannot be saved: functions are no data. `meta.params` names them
/// under `functions`.
pub struct Customised<'f> {
    explainer: &'f GridCounterfactual,
    functions: Functions<'f>,
    params: CustomisedParams,
}

/// The settings of a customised search, for `meta.params`.
#[derive(Clone, Debug, Serialize)]
pub struct CustomisedParams {
    #[serde(flatten)]
    params: Valid<GridCounterfactualParams>,
    functions: BTreeMap<String, Opaque>,
}

/// A function in JSON: named, never written.
#[derive(Clone, Copy, Debug)]
struct Opaque;

impl Serialize for Opaque {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("$fn", "opaque")?;
        map.end()
    }
}

impl GridCounterfactual {
    /// The same search with functions of the caller's own.
    #[must_use]
    pub fn customised(&self) -> Customised<'_> {
        let params =
            CustomisedParams { params: self.checked_params().clone(), functions: BTreeMap::new() };
        Customised { explainer: self, functions: Functions::default(), params }
    }
}

impl<'f> Customised<'f> {
    /// Measures a feature by a function from the instance's value and another to their distance, finite and at least 0;
    /// it takes the place of what the settings say. Categories are given as their codes.
    ///
    /// It is called for the values of the feature, never for grid points. A distance of a value to itself other than 0
    /// is added wherever the feature stays.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) when there is no such feature. A distance outside its range is an error of the explanation, before
    /// any model call.
    pub fn distance(
        mut self,
        feature: impl Into<FeatureKey>,
        distance: &'f (dyn Fn(f64, f64) -> f64 + Sync),
    ) -> Result<Self> {
        let key = feature.into();
        let index = find(self.explainer.features(), "distance_functions", &key)?;
        self.functions.distances.insert(index, distance);
        self.params.functions.insert(format!("distance of {}", key.as_str()), Opaque);
        Ok(self)
    }

    /// Asks only for rows that meet a condition, shape `(n_columns,)`; the others are no grid points.
    #[must_use]
    pub fn feasible(mut self, condition: &'f (dyn Fn(&Row) -> bool + Sync)) -> Self {
        self.functions.feasible = Some(condition);
        self.params.functions.insert("feasible".to_owned(), Opaque);
        self
    }
}

impl Explainer for Customised<'_> {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = GridCounterfactualData;
    const INFO: MethodInfo = GridCounterfactual::INFO;

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        self.explainer.check_input(x)
    }

    fn compute(
        &self,
        model: BlackBox<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<GridCounterfactualData> {
        let model = model.predictor();
        self.explainer.search(&self.functions, model, x, run)
    }
}
