//! The models that a counterfactual is made with.

use xai_core::{Differentiable, ModelRef, Predictor};

/// The model that is explained, and the two that may guide the search.
///
/// # Example
///
/// ```
/// # use ndarray::Array2;
/// # use xai_core::{BoxError, Rows};
/// use xai_cfproto::CfProtoModel;
///
/// let predict = |batch: &Rows| -> Result<Array2<f64>, BoxError> { Ok(batch.to_owned()) };
/// let model = CfProtoModel::black_box(&predict);
/// assert!(model.encoder.is_none());
/// ```
#[derive(Clone, Copy)]
pub struct CfProtoModel<'m> {
    /// The model that is explained, with its own gradients or without: outputs for each class, or the probability of class
    /// 1 alone.
    pub model: ModelRef<'m>,
    /// A model from rows to encodings, in whose space prototypes are near. It is differentiated.
    pub encoder: Option<&'m dyn Differentiable>,
    /// A model from rows to rows like those it was trained on. It is differentiated.
    pub autoencoder: Option<&'m dyn Differentiable>,
}

impl<'m> CfProtoModel<'m> {
    /// A model with gradients.
    #[must_use]
    pub fn white_box(model: &'m dyn Differentiable) -> Self {
        CfProtoModel { model: ModelRef::WhiteBox(model), encoder: None, autoencoder: None }
    }

    /// A model that is only asked for outputs.
    #[must_use]
    pub fn black_box(model: &'m dyn Predictor) -> Self {
        CfProtoModel { model: ModelRef::BlackBox(model), encoder: None, autoencoder: None }
    }

    /// The same with an encoder.
    #[must_use]
    pub fn with_encoder(self, encoder: &'m dyn Differentiable) -> Self {
        CfProtoModel { encoder: Some(encoder), ..self }
    }

    /// The same with an autoencoder.
    #[must_use]
    pub fn with_autoencoder(self, autoencoder: &'m dyn Differentiable) -> Self {
        CfProtoModel { autoencoder: Some(autoencoder), ..self }
    }
}

impl<'m> From<ModelRef<'m>> for CfProtoModel<'m> {
    fn from(model: ModelRef<'m>) -> Self {
        CfProtoModel { model, encoder: None, autoencoder: None }
    }
}

xai_optim::from_models!(CfProtoModel);
