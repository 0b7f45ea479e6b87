//! The settings that all searches by gradients share, and how a method's settings take them in.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use xai_core::constraints::Constraints;
use xai_core::{Output, ParamError, require};

use crate::outcome::SearchParams;
use crate::refine::Cost;

/// The settings of a search that CEM, CFProto and the counterfactuals by gradient share under the same names. In JSON and
/// TOML they stand among the method's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[non_exhaustive]
pub struct GradientSearchParams {
    /// What the model's outputs mean; a search by gradients takes `classes`, `probability` and an `interval`. Default
    /// `"auto"`.
    pub output: Output,
    /// The least probability of the class that is reached, in `[0, 1]`; of no effect for an `interval`. Default `None`:
    /// none.
    pub min_target_proba: Option<f64>,
    /// How features may change. A scale or cost counts in the distance. Default: freely.
    pub constraints: Constraints,
    /// Whether an instance outside `feature_range` widens it, instead of being refused. Default false.
    pub widen_range: bool,
    /// The first learning rate, finite and above 0, in the unit of the features. Default 0.01, for the counterfactuals by
    /// gradient 0.1.
    pub learning_rate_init: f64,
    /// The most steps for each weight `c`, at least 1. Default 1000.
    pub max_iterations: usize,
    /// Steps without a gain after which a weight is given up, 0 for never; for the counterfactuals by gradient at least 1.
    /// Default 50.
    pub patience: usize,
    /// The weight `c` of the target beside the distance that is tried first, finite and above 0. Default 10.
    pub c_init: f64,
    /// How many weights are tried, at least 1. Default 10.
    pub c_steps: usize,
    /// Whether found points are polished: moved to the closest point that a linear model of the margin accepts, and
    /// checked. Default `None`: yes, but between the instance and where further terms of the loss drew it; `true` lets
    /// it go anywhere.
    pub polish: Option<bool>,
    /// Whether the smallest changes are reverted where the answer stays valid. Default true.
    pub sparsify: bool,
    /// Whether other ways are tried where the descent finds nothing: an ascent of the margin's logarithm, single features
    /// moved far, random directions. Default true.
    pub fallback: bool,
}

impl Default for GradientSearchParams {
    fn default() -> Self {
        GradientSearchParams::elastic_net()
    }
}

impl GradientSearchParams {
    /// The defaults of the methods that minimise an elastic net, CEM and CFProto.
    #[must_use]
    pub fn elastic_net() -> Self {
        GradientSearchParams {
            output: Output::Auto,
            min_target_proba: None,
            constraints: Constraints::default(),
            widen_range: false,
            learning_rate_init: 0.01,
            max_iterations: 1000,
            patience: 50,
            c_init: 10.0,
            c_steps: 10,
            polish: None,
            sparsify: true,
            fallback: true,
        }
    }

    /// The defaults of the counterfactuals by gradient.
    #[must_use]
    pub fn squared_error() -> Self {
        GradientSearchParams { learning_rate_init: 0.1, ..GradientSearchParams::elastic_net() }
    }

    /// Checks every field but `c_init`, which may be 0 in some methods.
    ///
    /// # Errors
    /// [`ParamError`] for the first field outside its range.
    pub fn validate(&self) -> Result<(), ParamError> {
        self.output.validate()?;
        self.output.require_scores()?;
        if let Some(least) = self.min_target_proba {
            let allowed = (0.0..=1.0).contains(&least);
            require(allowed, "min_target_proba", "in [0, 1]", least)?;
        }
        let rate = self.learning_rate_init;
        let allowed = 0.0 < rate && rate < f64::INFINITY;
        require(allowed, "learning_rate_init", "finite and above 0", rate)?;
        require(0 < self.max_iterations, "max_iterations", "at least 1", self.max_iterations)?;
        require(0 < self.c_steps, "c_steps", "at least 1", self.c_steps)
    }

    /// The settings of the engine for this cost of changes; the method sets what only it has.
    #[must_use]
    pub fn to_search_params(&self, cost: Cost) -> SearchParams {
        SearchParams {
            cost,
            learning_rate_init: self.learning_rate_init,
            max_iterations: self.max_iterations,
            c_init: self.c_init,
            c_steps: self.c_steps,
            clip: (f64::NEG_INFINITY, f64::INFINITY),
            update_num_grad: 1,
            patience: Some(self.patience).filter(|&patience| 0 < patience),
            momentum: false,
            attack: true,
            polish: self.polish.unwrap_or(true),
            sparsify: self.sparsify,
            fallback: self.fallback,
        }
    }
}

/// What a document says of the shared settings; what it leaves out keeps the method's default.
#[derive(Deserialize)]
struct Given {
    output: Option<Output>,
    #[serde(default, deserialize_with = "present")]
    min_target_proba: Option<Option<f64>>,
    constraints: Option<Constraints>,
    widen_range: Option<bool>,
    learning_rate_init: Option<f64>,
    max_iterations: Option<usize>,
    patience: Option<usize>,
    c_init: Option<f64>,
    c_steps: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    polish: Option<Option<bool>>,
    sparsify: Option<bool>,
    fallback: Option<bool>,
}

/// A value that is there, `null` included.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl GradientSearchParams {
    /// Reads the shared settings among those of a method, whose defaults are `self`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn read_over<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        let given = Given::deserialize(deserializer)?;
        Ok(GradientSearchParams {
            output: given.output.unwrap_or(self.output),
            min_target_proba: given.min_target_proba.unwrap_or(self.min_target_proba),
            constraints: given.constraints.unwrap_or(self.constraints),
            widen_range: given.widen_range.unwrap_or(self.widen_range),
            learning_rate_init: given.learning_rate_init.unwrap_or(self.learning_rate_init),
            max_iterations: given.max_iterations.unwrap_or(self.max_iterations),
            patience: given.patience.unwrap_or(self.patience),
            c_init: given.c_init.unwrap_or(self.c_init),
            c_steps: given.c_steps.unwrap_or(self.c_steps),
            polish: given.polish.unwrap_or(self.polish),
            sparsify: given.sparsify.unwrap_or(self.sparsify),
            fallback: given.fallback.unwrap_or(self.fallback),
        })
    }

    /// Reads the shared settings over [`elastic_net`](Self::elastic_net), for `deserialize_with`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn read_elastic_net<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        GradientSearchParams::elastic_net().read_over(deserializer)
    }

    /// Reads the shared settings over [`squared_error`](Self::squared_error), for `deserialize_with`.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn read_squared_error<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Self, D::Error> {
        GradientSearchParams::squared_error().read_over(deserializer)
    }
}

/// Refuses the keys that settings `P` do not know, by name: a field of this type, flattened behind all others.
///
/// `#[serde(deny_unknown_fields)]` does not work beside `#[serde(flatten)]`.
pub struct NoUnknownKeys<P>(PhantomData<fn() -> P>);

impl<P> Default for NoUnknownKeys<P> {
    fn default() -> Self {
        NoUnknownKeys(PhantomData)
    }
}

impl<P> Clone for NoUnknownKeys<P> {
    fn clone(&self) -> Self {
        NoUnknownKeys(PhantomData)
    }
}

impl<P> PartialEq for NoUnknownKeys<P> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<P> fmt::Debug for NoUnknownKeys<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoUnknownKeys")
    }
}

impl<'de, P: JsonSchema> Deserialize<'de> for NoUnknownKeys<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NoKeys(PhantomData))
    }
}

struct NoKeys<P>(PhantomData<fn() -> P>);

impl<'de, P: JsonSchema> Visitor<'de> for NoKeys<P> {
    type Value = NoUnknownKeys<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(key) = map.next_key::<String>()? else { return Ok(NoUnknownKeys::default()) };
        let schema = schemars::schema_for!(P);
        let properties = schema.get("properties").and_then(|properties| properties.as_object());
        let names = properties.into_iter().flatten().map(|(name, _)| format!("`{name}`"));
        let names = names.collect::<Vec<_>>().join(", ");
        Err(A::Error::custom(format_args!("unknown field `{key}`, expected one of {names}")))
    }
}

/// Makes the schema of a method's settings say that it has no further keys, for `#[schemars(transform)]`.
pub fn close_schema(schema: &mut Schema) {
    schema.insert("additionalProperties".to_owned(), false.into());
}

/// As [`close_schema`], with the defaults of [`GradientSearchParams::squared_error`].
pub fn close_squared_error_schema(schema: &mut Schema) {
    close_schema(schema);
    let rate = GradientSearchParams::squared_error().learning_rate_init;
    if let Some(learning_rate) = schema.pointer_mut("/properties/learning_rate_init")
        && let Some(object) = learning_rate.as_object_mut()
    {
        object.insert("default".to_owned(), rate.into());
    }
}

/// Setters of the shared settings on a method's, whose field for them is `search`.
#[macro_export]
macro_rules! search_setters {
    ($settings:ident) => {
        $crate::search_setters! { $settings {
            with_output => output: ::xai_core::Output,
            with_min_target_proba => min_target_proba: Option<f64>,
            with_constraints => constraints: ::xai_core::constraints::Constraints,
            with_widen_range => widen_range: bool,
            with_learning_rate_init => learning_rate_init: f64,
            with_max_iterations => max_iterations: usize,
            with_patience => patience: usize,
            with_c_init => c_init: f64,
            with_c_steps => c_steps: usize,
            with_polish => polish: Option<bool>,
            with_sparsify => sparsify: bool,
            with_fallback => fallback: bool,
        } }
    };
    ($settings:ident { $($setter:ident => $field:ident : $type:ty),* $(,)? }) => {
        impl $settings {
            $(
                #[doc = concat!(
                    "The same settings with another [`", stringify!($field),
                    "`]($crate::GradientSearchParams::", stringify!($field), ")."
                )]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.search.$field = $field;
                    self
                }
            )*
        }
    };
}
