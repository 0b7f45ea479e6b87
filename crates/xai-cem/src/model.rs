//! The models an explanation asks.

use xai_core::{Differentiable, ModelRef, Predictor};

/// The model, and an autoencoder where there is one.
///
/// They are arguments of `explain`, so that an explainer stays plain data.
#[derive(Clone, Copy)]
pub struct CemModel<'m> {
    /// The model that decides.
    pub model: ModelRef<'m>,
    /// From a row to a row like the training data; for [`gamma`](crate::CemParams::gamma) above 0. A black box is made
    /// differentiable by [`CentralDifference`](xai_core::CentralDifference).
    pub autoencoder: Option<&'m dyn Differentiable>,
}

impl<'m> CemModel<'m> {
    /// A model with gradients.
    #[must_use]
    pub fn white_box(model: &'m dyn Differentiable) -> Self {
        CemModel { model: ModelRef::WhiteBox(model), autoencoder: None }
    }

    /// A model without: gradients are central differences, asked for in the calls that check points.
    #[must_use]
    pub fn black_box(model: &'m dyn Predictor) -> Self {
        CemModel { model: ModelRef::BlackBox(model), autoencoder: None }
    }

    /// The same model, with an autoencoder beside it.
    #[must_use]
    pub fn with_autoencoder(self, autoencoder: &'m dyn Differentiable) -> Self {
        CemModel { autoencoder: Some(autoencoder), ..self }
    }
}

impl<'m> From<ModelRef<'m>> for CemModel<'m> {
    fn from(model: ModelRef<'m>) -> Self {
        CemModel { model, autoencoder: None }
    }
}

xai_optim::from_models!(CemModel);
