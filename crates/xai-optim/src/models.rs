//! What the models of an explanation are made from.

/// Makes the models of a method, a type with one lifetime that is [`Copy`] and made from a
/// [`ModelRef`](xai_core::ModelRef), from everything that a `ModelRef` is made from, and from a reference to themselves: so
/// that `explain` takes them by value or by reference, or the model alone.
#[macro_export]
macro_rules! from_models {
    ($models:ident) => {
        impl<'m, P: ::xai_core::Predictor> From<&'m P> for $models<'m> {
            fn from(model: &'m P) -> Self {
                ::xai_core::ModelRef::from(model).into()
            }
        }

        impl<'m> From<&'m (dyn ::xai_core::Predictor + 'm)> for $models<'m> {
            fn from(model: &'m (dyn ::xai_core::Predictor + 'm)) -> Self {
                ::xai_core::ModelRef::from(model).into()
            }
        }

        impl<'m> From<&'m (dyn ::xai_core::Differentiable + 'm)> for $models<'m> {
            fn from(model: &'m (dyn ::xai_core::Differentiable + 'm)) -> Self {
                ::xai_core::ModelRef::from(model).into()
            }
        }

        impl<'m> From<&$models<'m>> for $models<'m> {
            fn from(models: &$models<'m>) -> Self {
                *models
            }
        }
    };
}
