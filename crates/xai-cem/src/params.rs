//! The settings of contrastive explanations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::check_shape;
use xai_core::tabular::IntoFeatures;
use xai_core::{Output, ParamError, Params, PerFeature, Result, Rows, Semantics, require};
use xai_optim::{GradientSearchParams, NoUnknownKeys};

use crate::explainer::Cem;
use crate::reference;
use crate::rules::{Rules, rules};

/// Settings of [`Cem`]. Names follow alibi where it has the parameter.
///
/// With the reference semantics `patience`, `polish`, `sparsify` and `fallback` of the search are without effect, and
/// constraints are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = xai_optim::close_schema)]
#[non_exhaustive]
pub struct CemParams {
    /// What is looked for: the least change that makes the decision another one (`"pn"`, a pertinent negative), or the
    /// least of the instance that keeps it (`"pp"`, a pertinent positive). Default `"pn"`.
    pub mode: Mode,
    /// The shape of an instance that is an image, `[height, width]` or `[height, width, channels]`; a row holds its
    /// pixels in this order. For the figure alone. Default `None`: a row of a table.
    pub shape: Option<Vec<usize>>,
    /// By how much the decision must be ahead, in `[0, 1)` for probabilities and at least 0 for scores of classes; 0 for
    /// an interval. Default 0.
    pub kappa: f64,
    /// The weight of the absolute changes beside the squared ones, finite and at least 0. Default 0.1.
    pub beta: f64,
    /// The least and the largest value, each a number or one for each column; not NaN. Default (-1e10, 1e10).
    pub feature_range: (PerFeature, PerFeature),
    /// The weight of the autoencoder's reconstruction error, finite and at least 0; above 0 an autoencoder is needed, and
    /// `patience` is without effect. Default 0.
    pub gamma: f64,
    /// Steps of numeric derivatives, above 0: by the probabilities, for the reference semantics, whose answer does not
    /// depend on it; and by the features, a number or one for each column. Default `None`: a thousandth of the range of a
    /// column where that is finite, else of its standard deviation in the training rows, else 0.001; with the reference
    /// semantics 0.001.
    pub eps: Option<(PerFeature, PerFeature)>,
    /// Gradients are cut to this range, coordinate by coordinate. Default (-100, 100).
    pub clip: (f64, f64),
    /// A black box is differentiated every so many steps, at least 1; in between the last gradient is used again, with the
    /// reference semantics none. Default 1.
    pub update_num_grad: usize,
    /// The uninformative reference value of a feature, one for all columns or one for each, finite: the value that says
    /// nothing, such as the background of an image. Default `None`: from the training rows of [`fit`](Self::fit), which is
    /// needed then.
    pub no_info_val: Option<PerFeature>,
    /// How [`fit`](Self::fit) takes these values from the training rows. Default `"median"`.
    pub no_info_type: NoInfo,
    /// Whether a pertinent negative may also lie beyond the uninformative reference value, where it is farther from it
    /// than the instance; alibi's may. It takes a second search. Default false: features only move away from that value.
    pub crossing: bool,
    /// The classes one of which a pertinent negative must have, at least one other than the instance's. Default `None`:
    /// any other.
    pub target_class: Option<Vec<usize>>,
    /// Whether steps have momentum. Default true.
    pub momentum: bool,
    /// [`Reference`](Semantics::Reference) searches as alibi does, its momentum aside. Default `"native"`.
    pub semantics: Semantics,
    /// The settings of the search, which in JSON stand among the others.
    #[serde(flatten, deserialize_with = "GradientSearchParams::read_elastic_net")]
    pub search: GradientSearchParams,
    #[serde(flatten, skip_serializing)]
    #[schemars(skip)]
    unknown: NoUnknownKeys<CemParams>,
}

xai_core::setters! { CemParams {
    with_mode => mode: Mode,
    with_shape => shape: Option<Vec<usize>>,
    with_kappa => kappa: f64,
    with_beta => beta: f64,
    with_feature_range => feature_range: (PerFeature, PerFeature),
    with_gamma => gamma: f64,
    with_eps => eps: Option<(PerFeature, PerFeature)>,
    with_clip => clip: (f64, f64),
    with_update_num_grad => update_num_grad: usize,
    with_no_info_val => no_info_val: Option<PerFeature>,
    with_no_info_type => no_info_type: NoInfo,
    with_crossing => crossing: bool,
    with_target_class => target_class: Option<Vec<usize>>,
    with_momentum => momentum: bool,
    with_semantics => semantics: Semantics,
} }
xai_optim::search_setters!(CemParams);

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Pertinent negatives: what has to be added for another decision.
    #[default]
    #[serde(rename = "pn", alias = "PN")]
    PertinentNegative,
    /// Pertinent positives: what has to be there for this decision.
    #[serde(rename = "pp", alias = "PP")]
    PertinentPositive,
}

/// How the uninformative reference values are taken from training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoInfo {
    /// The median of each column.
    #[default]
    Median,
    /// The mean of each column.
    Mean,
}

impl Default for CemParams {
    fn default() -> Self {
        CemParams {
            mode: Mode::PertinentNegative,
            shape: None,
            kappa: 0.0,
            beta: 0.1,
            feature_range: (PerFeature::All(-1e10), PerFeature::All(1e10)),
            gamma: 0.0,
            eps: None,
            clip: (-100.0, 100.0),
            update_num_grad: 1,
            no_info_val: None,
            no_info_type: NoInfo::Median,
            crossing: false,
            target_class: None,
            momentum: true,
            semantics: Semantics::Native,
            search: GradientSearchParams::elastic_net(),
            unknown: NoUnknownKeys::default(),
        }
    }
}

/// Requires that a number is finite and at least 0, or above 0.
fn positive(name: &'static str, value: f64, zero: bool) -> Result<(), ParamError> {
    let allowed = value.is_finite() && if zero { 0.0 <= value } else { 0.0 < value };
    require(allowed, name, if zero { "finite and at least 0" } else { "finite and above 0" }, value)
}

impl Params for CemParams {
    fn validate(&self) -> Result<(), ParamError> {
        check_shape(self.shape.as_deref(), None)?;
        positive("kappa", self.kappa, true)?;
        positive("beta", self.beta, true)?;
        positive("gamma", self.gamma, true)?;
        positive("c_init", self.search.c_init, false)?;
        self.search.validate()?;
        let count = self.update_num_grad;
        require(0 < count, "update_num_grad", "at least 1", count)?;
        let (low, high) = &self.feature_range;
        let numbers = [low, high].into_iter().flat_map(PerFeature::values);
        require(!numbers.clone().any(|value| value.is_nan()), "feature_range", "numbers", "NaN")?;
        for (name, value) in [("clip", self.clip.0), ("clip", self.clip.1)] {
            require(!value.is_nan(), name, "two numbers", value)?;
        }
        require(self.clip.0 < self.clip.1, "clip", "a range that is not empty", self.clip)?;
        if let Some((probabilities, features)) = &self.eps {
            for &step in probabilities.values().iter().chain(features.values()) {
                require(0.0 < step && step.is_finite(), "eps", "finite and above 0", step)?;
            }
        }
        for &value in self.no_info_val.iter().flat_map(PerFeature::values) {
            require(value.is_finite(), "no_info_val", "finite", value)?;
        }
        let positive_mode = self.mode == Mode::PertinentPositive;
        let allowed = self.target_class.is_none() || !positive_mode;
        let rule = "left out for pertinent positives";
        require(allowed, "target_class", rule, &self.target_class)?;
        if matches!(self.search.output, Output::Interval { .. }) {
            require(self.kappa == 0.0, "kappa", "0 for an `interval`", self.kappa)?;
        }
        match self.semantics {
            Semantics::Native => Ok(()),
            Semantics::Reference => reference::validate(&self.search.constraints),
        }
    }
}

impl CemParams {
    /// The rules that the method follows.
    pub(crate) fn rules(&self) -> &'static dyn Rules {
        rules(self.semantics)
    }

    /// The explainer for rows of this table; the uninformative reference values are those given.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) when a parameter is outside its range or does not fit the table, and
    /// when there is no `no_info_val`.
    pub fn build(self, features: impl IntoFeatures) -> Result<Cem> {
        Cem::new(xai_core::Params::check(self)?, features.into_features()?, None)
    }

    /// The explainer for rows of this table; the uninformative reference values are the medians or means of training rows,
    /// shape `(n_rows, n_columns)`, at least one row. Given values are overwritten, with a warning.
    ///
    /// # Errors
    /// As [`build`](Self::build), and [`Error::Shape`](xai_core::Error::Shape),
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) or [`Error::Category`](xai_core::Error::Category) for the
    /// training rows.
    pub fn fit(self, train_data: &Rows, features: impl IntoFeatures) -> Result<Cem> {
        Cem::new(xai_core::Params::check(self)?, features.into_features()?, Some(train_data))
    }
}
