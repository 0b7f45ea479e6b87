//! Counterfactuals by gradient, the crate `xai-counterfactual`.

use xai_core::ModelRef;
use xai_core::figure::Figure;
use xai_counterfactual::{
    Counterfactual, CounterfactualData, CounterfactualParams, DistanceFn, TargetClass,
};

use super::{Method, contrast};
use crate::data::Data;
use crate::explain::Prepared;
use crate::guided::GuidedModel;
use crate::job::Job;

/// Counterfactuals: the closest row that reaches a wanted probability of another class.
pub struct CounterfactualMethod;

impl Method for CounterfactualMethod {
    const NAME: &'static str = "counterfactual";
    const KEYS: &'static [&'static str] = &["gradients"];
    type Model = GuidedModel;
    type Params = CounterfactualParams;
    type Explainer = Counterfactual;
    type Data = CounterfactualData;

    fn needs_training(params: &CounterfactualParams, _: &Job) -> bool {
        params.distance_fn == DistanceFn::L1Mad
    }

    fn fit(
        params: CounterfactualParams,
        data: &Data,
        model: &GuidedModel,
    ) -> xai_core::Result<Counterfactual> {
        if let TargetClass::Class(class) = params.target_class {
            model.require_classes("target_class", [class])?;
        }
        match data.training() {
            Some(rows) => params.fit(rows, data.features.clone()),
            None => params.build(data.features.clone()),
        }
    }

    fn with_view(model: &GuidedModel, ask: impl FnOnce(ModelRef<'_>)) {
        ask(model.access());
    }

    fn figure(data: &CounterfactualData, outputs: &[String]) -> Figure {
        let own = contrast::class(data.orig_class, outputs);
        let Some(cf) = &data.cf else {
            let title = format!("{own}, no counterfactual");
            return Figure { title, ..data.figure() };
        };
        let (other, proba) = (contrast::class(cf.class, outputs), cf.proba[cf.class]);
        let title = format!("{own} would be {other} with probability {proba:.3}");
        Figure { title, ..data.figure() }
    }

    fn summary(
        data: &[CounterfactualData],
        _: &Prepared<Self>,
    ) -> xai_core::Result<Option<Figure>> {
        let end = |data: &CounterfactualData| contrast::End {
            status: data.status,
            distance: data.cf.as_ref().map(|cf| cf.distance),
            n_changes: data.changes.len(),
        };
        Ok(Some(contrast::summary(data.iter().map(end))))
    }
}
