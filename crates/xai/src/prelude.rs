//! What most programs need: `use xai::prelude::*;`.

pub use xai_core::tabular::{Feature, Features};
pub use xai_core::{
    Budget, Explainer, Explanation, Figure, ModelRef, Output, OutputNames, Params, Predictor, Run,
    RunConfig, Seed, per_row, predictor, text_predictor,
};

#[cfg(feature = "image")]
pub use xai_anchors::AnchorImageParams;
#[cfg(feature = "anchors")]
pub use xai_anchors::AnchorTabularParams;
#[cfg(feature = "text")]
pub use xai_anchors::{AnchorTextParams, TextResources};
#[cfg(feature = "cem")]
pub use xai_cem::CemParams;
#[cfg(feature = "cfproto")]
pub use xai_cfproto::CfProtoParams;
#[cfg(feature = "counterfactual")]
pub use xai_counterfactual::CounterfactualParams;
#[cfg(feature = "gridcf")]
pub use xai_gridcf::GridCounterfactualParams;
#[cfg(feature = "intgrad")]
pub use xai_intgrad::IntegratedGradientsParams;
#[cfg(feature = "shap")]
pub use xai_shap::KernelShapParams;

#[cfg(feature = "job")]
pub use crate::job::Job;
