//! The grid search: what each feature may take, then one set of features after the other.

use ndarray::Axis as NdAxis;
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::Features;
use xai_core::{
    BlackBox, Error, Explainer, Input, MethodInfo, ModelKind, Predictor, Result, Row, Rows, Run,
    Semantics, Valid, Warning, same_shape,
};

use crate::customised::Functions;
use crate::data::GridCounterfactualData;
use crate::distance::Distance;
use crate::grid::{Fitted, InstanceGrid, Measure, check_steps};
use crate::params::GridCounterfactualParams;
use crate::ranges::{GridFeature, Ranges, categorical, find_each};
use crate::search::Search;
use crate::target::Goal;

/// The closest points of a grid that reach a target, for each set of features. Made by
/// [`GridCounterfactualParams::fit`] or [`build`](GridCounterfactualParams::build).
///
/// # Cost
/// One query for the instance, and one for each grid point that is asked: at most all that change exactly the features
/// of a set, `sum over sets of product over features of (number of values other than the instance's)`. A set ends when
/// the distance of its first answer is complete; a set without an answer is asked for entirely.
///
/// # Source
/// The search of FAT Forensics' `CounterfactualExplainer` (Sokol et al. 2020), in the order of distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct GridCounterfactual {
    params: Valid<GridCounterfactualParams>,
    features: Features,
    grid: Vec<GridFeature>,
    warnings: Vec<Warning>,
    #[serde(skip)]
    derived: Derived,
}

/// What is kept of an explainer; the rest follows from it.
#[derive(Deserialize)]
struct Saved {
    params: Valid<GridCounterfactualParams>,
    features: Features,
    grid: Vec<GridFeature>,
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq)]
struct Derived {
    constraints: BoundConstraints,
    /// The distance of each feature.
    distances: Vec<Distance>,
}

impl TryFrom<Saved> for GridCounterfactual {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        let Saved { params, features, grid, warnings } = saved;
        let ascending = grid.windows(2).all(|pair| pair[0].feature < pair[1].feature);
        let valid = ascending && grid.iter().all(|own| own.fits(&features));
        xai_core::require(valid, "grid", "values of the table's features", grid.len())?;
        GridCounterfactual::new(params, features, grid, warnings)
    }
}

impl GridCounterfactual {
    pub(crate) fn fit(
        params: Valid<GridCounterfactualParams>,
        dataset: Option<&Rows>,
        features: Features,
    ) -> Result<Self> {
        let Ranges { grid, warnings } = Ranges::new(&params, dataset, &features)?;
        GridCounterfactual::new(params, features, grid, warnings)
    }

    fn new(
        params: Valid<GridCounterfactualParams>,
        features: Features,
        grid: Vec<GridFeature>,
        warnings: Vec<Warning>,
    ) -> Result<Self> {
        check_steps(&features, &grid)?;
        let constraints = params.constraints.bind(&features)?;
        let given = find_each(&features, "distance_functions", params.distance_functions.iter())?;
        let kinds = categorical(&params, &features)?;
        let mut distances = Vec::with_capacity(features.len());
        for ((feature, given), categorical) in features.iter().zip(given).zip(kinds) {
            if let Some(distance) = given {
                distance.fits(feature)?;
            }
            let usual = if categorical { Distance::Mismatch } else { Distance::Absolute };
            distances.push(given.cloned().unwrap_or(usual));
        }
        let derived = Derived { constraints, distances };
        Ok(GridCounterfactual { params, features, grid, warnings, derived })
    }

    /// The settings it was fitted with.
    #[must_use]
    pub fn params(&self) -> &GridCounterfactualParams {
        &self.params
    }

    /// The table it was fitted to.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    pub(crate) fn checked_params(&self) -> &Valid<GridCounterfactualParams> {
        &self.params
    }

    /// The search, with functions of the caller's own where there are some.
    pub(crate) fn search(
        &self,
        functions: &Functions<'_>,
        model: &dyn Predictor,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<GridCounterfactualData> {
        let params = &self.params;
        for Warning { code, message } in &self.warnings {
            run.warn(code, message.clone());
        }
        let between = |feature: usize, from: f64, to: f64| {
            let distance = match functions.distances.get(&feature) {
                Some(own) => own(from, to),
                None => self.derived.distances[feature].between(from, to),
            };
            distance * self.derived.constraints.weight(feature)
        };
        let measure = Measure { between: &between, squared: params.normalise_distance };
        let fitted = Fitted {
            params,
            features: &self.features,
            grid: &self.grid,
            constraints: &self.derived.constraints,
            half_open: params.semantics == Semantics::Reference,
        };
        let grid = InstanceGrid::new(&fitted, &measure, x)?;
        if !grid.out_of_range.is_empty() {
            let told = grid.out_of_range.iter().map(|own| {
                format!("`{}` is {}, its range is {}", own.feature, own.value, own.range)
            });
            let message = format!("outside the range: {}", told.collect::<Vec<_>>().join("; "));
            run.warn("gridcf.out_of_range", message);
        }
        let staying = (0..self.features.len()).map(|feature| {
            let own = self.features.value(feature, x).expect("the input was checked");
            Ok(measure.term(feature, own, own)?)
        });
        let staying = staying.collect::<Result<Vec<f64>>>()?;
        let at_instance = run.predict(model, &x.view().insert_axis(NdAxis(0)))?;
        let goal = Goal::new(params, &at_instance.row(0))?;
        let search = Search {
            params,
            features: &self.features,
            constraints: &self.derived.constraints,
            grid: &grid,
            staying: &staying,
            goal: &goal,
            feasible: functions.feasible,
            x,
        };
        let found = search.run(model, run)?;
        Ok(search.data(found, run))
    }
}

impl Explainer for GridCounterfactual {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = GridCounterfactualData;
    const INFO: MethodInfo =
        MethodInfo { name: "grid-counterfactual", kind: ModelKind::BlackBox, scope: &["local"] };

    fn params(&self) -> &impl Serialize {
        &self.params
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        same_shape("the input", &[self.features.n_columns()], x.shape())?;
        x.check()?;
        self.features.check("the input", &x.view().insert_axis(NdAxis(0)))
    }

    fn compute(
        &self,
        model: BlackBox<'_>,
        x: &Row,
        run: &mut Run<'_>,
    ) -> Result<GridCounterfactualData> {
        let model = model.predictor();
        self.search(&Functions::default(), model, x, run)
    }
}
