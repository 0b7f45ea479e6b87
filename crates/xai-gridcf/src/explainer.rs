//! The grid search: what each feature may take, then one set of features after the other.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::Axis as NdAxis;
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::Features;
use xai_core::{
    BlackBox, Error, Explainer, Input, MethodInfo, ModelKind, OutputNames, Predictor, Reading,
    Result, Row, Rows, Run, Valid, Warning, require, same_shape,
};

use crate::data::{GridCounterfactualData, OutOfRange};
use crate::distance::Distance;
use crate::functions::{Condition, DistanceFunction, Functions};
use crate::grid::{Fitted, InstanceGrid, Measure, check_steps};
use crate::params::GridCounterfactualParams;
use crate::ranges::{GridFeature, Ranges, categorical, find, find_each};
use crate::rules::SearchRules;
use crate::search::Search;
use crate::target::{Goal, GoalSettings};

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
        let valid = ascending && grid.iter().all(|feature| feature.fits(&features));
        require(valid, "grid", "values of the table's features", grid.len())?;
        GridCounterfactual::new(params, features, grid, warnings)
    }
}

impl GridCounterfactual {
    pub(crate) fn fit(
        params: Valid<GridCounterfactualParams>,
        dataset: Option<&Rows>,
        features: Features,
    ) -> Result<Self> {
        let Ranges { grid, warnings } = Ranges::new(&params.ranges(), dataset, &features)?;
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
        let kinds = categorical(params.kinds(), &features)?;
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

    /// The search, with functions where there are some.
    pub(crate) fn search(
        &self,
        functions: &BoundFunctions<'_>,
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
                Some(function) => function(from, to),
                None => self.derived.distances[feature].between(from, to),
            };
            distance * self.derived.constraints.weight(feature)
        };
        let measure = Measure { between: &between, squared: params.normalise_distance };
        let settings = params.search();
        let fitted = Fitted {
            features: &self.features,
            grid: &self.grid,
            constraints: &self.derived.constraints,
            anchor: params.anchor,
            inclusive_end: params.inclusive_end,
            steps: settings.rules.steps,
        };
        let grid = InstanceGrid::new(&fitted, &measure, x)?;
        if !grid.out_of_range.is_empty() {
            let features: Vec<String> =
                grid.out_of_range.iter().map(OutOfRange::to_string).collect();
            let message = format!("outside the range: {}", features.join("; "));
            run.warn("gridcf.out_of_range", message);
        }
        let staying = (0..self.features.len()).map(|feature| {
            let value = self.features.value(feature, x).expect("the input was checked");
            Ok(measure.term(feature, value, value)?)
        });
        let staying = staying.collect::<Result<Vec<f64>>>()?;
        let outputs = run.predict(model, &x.view().insert_axis(NdAxis(0)))?;
        let goal = self.goal(model, &outputs.row(0), settings.rules, run)?;
        let search = Search {
            settings,
            features: &self.features,
            constraints: &self.derived.constraints,
            grid: &grid,
            staying: &staying,
            goal: &goal,
            feasible: functions.feasible,
            x,
        };
        let found = search.run(model, run)?;
        Ok(search.data(found))
    }

    /// The target, once the model's outputs at the instance are known, shape `(n_outputs,)`.
    fn goal(
        &self,
        model: &dyn Predictor,
        outputs: &Row,
        rules: SearchRules,
        run: &mut Run<'_>,
    ) -> Result<Goal> {
        let params = &self.params;
        let reading = Reading::new(&params.output, model.output(), outputs)?;
        run.record_output(&reading);
        if let Some(names) = &params.class_names {
            let enough = outputs.len() == 1 || outputs.len() <= names.len();
            let rule = format!("at least as many as the model's {} outputs", outputs.len());
            require(enough, "class_names", rule, names.len())?;
        }
        let names = params.class_names.as_deref().or_else(|| model.class_names());
        let settings = GoalSettings {
            target: params.counterfactual_class.as_ref(),
            class_names: OutputNames::new(names.unwrap_or_default().iter().cloned()),
            accepts_unknown_class: rules.accepts_unknown_class,
            keeps_margin: rules.keeps_margin,
        };
        Ok(Goal::new(settings, reading, outputs)?)
    }
}

/// Functions by the index of the feature.
#[derive(Clone, Default)]
pub(crate) struct BoundFunctions<'f> {
    distances: BTreeMap<usize, DistanceFunction<'f>>,
    feasible: Option<Condition<'f>>,
}

impl<'f> BoundFunctions<'f> {
    pub(crate) fn new(functions: Functions<'f>, features: &Features) -> Result<Self> {
        let mut distances = BTreeMap::new();
        for (key, function) in functions.distances {
            distances.insert(find(features, "distance_functions", &key)?, function);
        }
        Ok(BoundFunctions { distances, feasible: functions.feasible })
    }
}

impl fmt::Debug for BoundFunctions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundFunctions")
            .field("distances", &self.distances.keys())
            .field("feasible", &self.feasible.is_some())
            .finish()
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
        self.search(&BoundFunctions::default(), model.predictor(), x, run)
    }
}
