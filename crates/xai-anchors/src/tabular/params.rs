//! The settings of AnchorTabular.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::IntoFeatures;
use xai_core::tabular::discretizer::{Edges, QUARTILES};
use xai_core::{ParamError, Params, Result, Rows, require};

use super::explainer::AnchorTabular;
use super::semantics::{Conventions, conventions};
use crate::params::{AnchorSearchParams, deserialize_params, set_defaults, with_search_fields};

/// Settings of [`AnchorTabular`]; the keys of `search` stand beside the others in JSON and TOML.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields, transform = set_defaults::<Self>)]
#[non_exhaustive]
pub struct AnchorTabularParams {
    /// The percentiles of the training rows at which numeric features are cut, each in `[0, 100]`, at least one.
    /// Default quartiles, 25, 50 and 75; [`DECILES`](xai_core::tabular::discretizer::DECILES) are another choice.
    pub disc_perc: Vec<f64>,
    /// The cuts of numeric features by name, in place of percentiles. The thresholds of a tree model are a good choice:
    /// within its bins the model is constant. Default none.
    pub edges: BTreeMap<String, Edges>,
    /// Where the values of numeric features in the anchor are drawn from. Default `"mixed"`.
    pub sampling: Sampling,
    /// Weights with which training rows are drawn, one for each row, finite, at least 0, with a positive sum, for
    /// instance those of [`class_balanced_weights`](crate::class_balanced_weights). They apply to the row that the
    /// features outside the anchor come from. Numeric values inside the anchor, and the whole rows of
    /// [`Conditional`](Sampling::Conditional), are drawn without weights from the rows that satisfy it. Coverage is not
    /// weighted. Default `None`: all equal.
    pub row_weights: Option<Vec<f64>>,
    /// How a missing value (NaN) in a numeric feature is treated. Default `"error"`.
    pub missing: Missing,
    /// The rows whose share an anchor's coverage is. Default `"auto"`: all training rows up to a million, a sample of
    /// them beyond and with the reference semantics.
    pub coverage: CoverageSet,
    /// The settings of the search. With the reference semantics `stop_on_first` is ignored.
    #[serde(flatten)]
    pub search: AnchorSearchParams,
}

/// Where the values of the features in the anchor come from. The other features always come together from one training
/// row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sampling {
    /// Together from another row that satisfies the anchor; where there are fewer such rows than perturbations, each
    /// of them once, and the others from rows that satisfy fewer and fewer of its predicates.
    #[default]
    Mixed,
    /// All features from one row that satisfies the anchor, when a batch of rows does; as `Mixed` otherwise.
    Conditional,
}

/// What a missing value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Missing {
    /// An error.
    #[default]
    Error,
    /// A separate bin, with the predicates `is missing` and `is not missing`. The model is asked about NaN.
    OwnBin,
}

/// What coverage is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CoverageSet {
    /// All training rows up to a million, `coverage_samples` of them beyond and with the reference semantics.
    #[default]
    Auto,
    /// All training rows.
    Exact,
    /// `coverage_samples` training rows, drawn with replacement.
    Sampled,
}

impl Default for AnchorTabularParams {
    fn default() -> Self {
        AnchorTabularParams {
            disc_perc: QUARTILES.to_vec(),
            edges: BTreeMap::new(),
            sampling: Sampling::Mixed,
            row_weights: None,
            missing: Missing::Error,
            coverage: CoverageSet::Auto,
            search: AnchorSearchParams::default(),
        }
    }
}

deserialize_params! {
    AnchorTabularParams { disc_perc, edges, sampling, row_weights, missing, coverage }
}

with_search_fields! { search_setters AnchorTabularParams }

xai_core::setters! {
    AnchorTabularParams {
        with_disc_perc => disc_perc: Vec<f64>,
        with_edges => edges: BTreeMap<String, Edges>,
        with_sampling => sampling: Sampling,
        with_row_weights => row_weights: Option<Vec<f64>>,
        with_missing => missing: Missing,
        with_coverage => coverage: CoverageSet,
        with_search => search: AnchorSearchParams,
    }
}

impl Params for AnchorTabularParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.search.validate()?;
        require(!self.disc_perc.is_empty(), "disc_perc", "at least one percentile", 0)?;
        for &percentile in &self.disc_perc {
            let allowed = (0.0..=100.0).contains(&percentile);
            require(allowed, "disc_perc", "between 0 and 100", percentile)?;
        }
        if let Some(weights) = &self.row_weights {
            for &weight in weights {
                let allowed = weight.is_finite() && 0.0 <= weight;
                require(allowed, "row_weights", "finite and at least 0", weight)?;
            }
            let sum: f64 = weights.iter().sum();
            require(0.0 < sum && sum.is_finite(), "row_weights", "of a positive finite sum", sum)?;
        }
        Ok(())
    }
}

impl AnchorTabularParams {
    /// Fits the method to training rows, shape `(n_rows, n_columns)`: where numeric features are cut, and what
    /// perturbations are drawn from. Features are their count, their names or their full description.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range or no training rows;
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) or
    /// [`Error::Category`](xai_core::Error::Category) for rows that do not fit the features.
    ///
    /// # Cost
    /// No model queries; one bit for each training row and category or edge.
    pub fn fit(self, training: &Rows, features: impl IntoFeatures) -> Result<AnchorTabular> {
        AnchorTabular::new(self.check()?, training, features.into_features()?)
    }

    /// How the training rows are read.
    pub(crate) fn conventions(&self) -> &'static dyn Conventions {
        conventions(self.search.semantics)
    }

    /// The settings as the search takes them.
    pub(crate) fn search(&self) -> AnchorSearchParams {
        let mut search = self.search.clone();
        search.stop_on_first &= self.conventions().may_stop_on_first();
        search
    }
}
