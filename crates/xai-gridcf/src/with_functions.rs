//! A grid search with functions.

use serde::Serialize;
use xai_core::{BlackBox, Explainer, MethodInfo, Result, Row, Run, Valid};

use crate::data::GridCounterfactualData;
use crate::explainer::{BoundFunctions, GridCounterfactual};
use crate::functions::Functions;
use crate::params::GridCounterfactualParams;

/// A grid search with functions. Made by [`GridCounterfactual::with_functions`].
///
/// It explains as [`GridCounterfactual`] does, but cannot be saved: functions are no data. `meta.params.functions` is the
/// list of their names.
#[derive(Debug)]
pub struct WithFunctions<'f> {
    explainer: &'f GridCounterfactual,
    functions: BoundFunctions<'f>,
    params: NamedParams,
}

/// The settings and the names of the functions, for `meta.params`.
#[derive(Debug, Serialize)]
struct NamedParams {
    #[serde(flatten)]
    params: Valid<GridCounterfactualParams>,
    functions: Vec<String>,
}

impl GridCounterfactual {
    /// The same search with functions: distances of features, a condition on rows.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) named `distance_functions` when there is no such feature.
    pub fn with_functions<'f>(&'f self, functions: Functions<'f>) -> Result<WithFunctions<'f>> {
        let params =
            NamedParams { params: self.checked_params().clone(), functions: functions.names() };
        let functions = BoundFunctions::new(functions, self.features())?;
        Ok(WithFunctions { explainer: self, functions, params })
    }
}

impl Explainer for WithFunctions<'_> {
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
        self.explainer.search(&self.functions, model.predictor(), x, run)
    }
}
