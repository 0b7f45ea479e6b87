//! Counterfactuals guided by prototypes, the crate `xai-cfproto`.

use xai_cfproto::{CfProto, CfProtoData, CfProtoModel, CfProtoParams};
use xai_core::Run;
use xai_core::figure::{Figure, Panel};

use super::{Method, contrast};
use crate::data::Data;
use crate::explain::Prepared;
use crate::guided::GuidedModel;
use crate::job::Job;

/// Counterfactuals that are drawn to prototypes of another class.
pub struct CfProtoMethod;

impl Method for CfProtoMethod {
    const NAME: &'static str = "cfproto";
    const KEYS: &'static [&'static str] = &["gradients", "autoencoder", "encoder"];
    type Model = GuidedModel;
    type Params = CfProtoParams;
    type Explainer = CfProto;
    type Data = CfProtoData;

    /// Prototypes are of training rows, and so are the numbers of categories.
    fn needs_training(params: &CfProtoParams, job: &Job) -> bool {
        let guided = 0.0 < params.theta || 0.0 < params.threshold || params.use_kdtree;
        guided || job.model().encoder.is_some() || job.data().categories.is_some()
    }

    fn fit(params: CfProtoParams, data: &Data, model: &GuidedModel) -> xai_core::Result<CfProto> {
        model.require_autoencoder(params.gamma)?;
        model.require_classes("instance_class", params.instance_class)?;
        model.require_classes("target_class", params.target_class.iter().flatten().copied())?;
        match data.training() {
            // Nothing is drawn from the seed.
            Some(rows) => params.fit(view(model), rows, data.features.clone(), &mut Run::seeded(0)),
            None => params.build(data.features.clone()),
        }
    }

    fn with_view(model: &GuidedModel, ask: impl FnOnce(CfProtoModel<'_>)) {
        ask(view(model));
    }

    fn figure(data: &CfProtoData, outputs: &[String]) -> Figure {
        let own = contrast::class(data.orig_class, outputs);
        let mut figure = data.figure();
        figure.title = match &data.cf {
            Some(cf) => {
                let (other, proba) = (contrast::class(cf.class, outputs), cf.proba[cf.class]);
                format!("{own} would be {other} with probability {proba:.3}")
            }
            None => format!("{own}, no counterfactual"),
        };
        for panel in &mut figure.panels {
            if let Panel::Table(table) = panel {
                if let Some(cf) = &data.cf {
                    table.title = prototype(data, cf.trust, outputs);
                } else if let Some((_, reason)) = table.title.split_once(", ") {
                    table.title = format!("Not found: {reason}.");
                }
            }
        }
        figure
    }

    fn summary(data: &[CfProtoData], _: &Prepared<Self>) -> xai_core::Result<Option<Figure>> {
        let end = |data: &CfProtoData| contrast::End {
            status: data.status,
            distance: data.cf.as_ref().map(|cf| cf.distance),
            n_changes: data.cf.as_ref().map_or(0, |cf| cf.changes.len()),
        };
        Ok(Some(contrast::summary(data.iter().map(end))))
    }
}

fn view(model: &GuidedModel) -> CfProtoModel<'_> {
    CfProtoModel {
        model: model.access(),
        encoder: model.encoder(),
        autoencoder: model.autoencoder(),
    }
}

/// What the prototype has to do with a counterfactual.
fn prototype(data: &CfProtoData, trust: Option<f64>, outputs: &[String]) -> String {
    let drawn = data
        .id_proto
        .map(|class| format!("Drawn to the prototype of {}", contrast::class(class, outputs)));
    let trusted = trust
        .map(|trust| format!("{trust:.2} times farther from the old class than from the new one"));
    let said: Vec<String> = drawn.into_iter().chain(trusted).collect();
    if said.is_empty() { "Found.".to_owned() } else { format!("{}.", said.join("; ")) }
}
