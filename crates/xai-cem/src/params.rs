//! The settings of contrastive explanations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::constraints::Constraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{ParamError, Params, PerFeature, Result, Rows, Semantics, require};

use crate::explainer::Cem;

/// Settings of [`Cem`]. Names follow alibi where it has the parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CemParams {
    /// What is looked for: the least change that makes the decision another one (`"PN"`), or the least of the instance
    /// that keeps it (`"PP"`). Default `"PN"`.
    pub mode: Mode,
    /// The shape of an instance that is an image, `[height, width]` or `[height, width, channels]`; a row holds its
    /// pixels in this order. For the figure alone. Default `None`: a row of a table.
    pub shape: Option<Vec<usize>>,
    /// By how much the decision must be ahead, in `[0, 1)` for probabilities and at least 0 for scores. Default 0.
    pub kappa: f64,
    /// The weight of the absolute changes beside the squared ones, finite and at least 0. Default 0.1.
    pub beta: f64,
    /// The least and the largest value, each a number or one for each column; not NaN. Default (-1e10, 1e10).
    pub feature_range: (PerFeature, PerFeature),
    /// The weight of the autoencoder's reconstruction error, finite and at least 0; above 0 an autoencoder is needed.
    /// Default 0.
    pub gamma: f64,
    /// The first learning rate, finite and above 0; it falls as the square root of the steps that are left.
    /// Default 0.01.
    pub learning_rate_init: f64,
    /// The most steps for each weight `c`, at least 1. Default 1000.
    pub max_iterations: usize,
    /// The first weight of the attack loss, finite and above 0. Default 10.
    pub c_init: f64,
    /// How many weights are tried, at least 1. Two thirds are powers of ten around `c_init`, at most from a thousandth to
    /// a thousandfold, side by side; the others lie where success begins. Default 10.
    pub c_steps: usize,
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
    /// The value of a feature that says nothing, one for all columns or one for each, finite. Default `None`: from the
    /// training rows of [`fit`](Self::fit), which is needed then.
    pub no_info_val: Option<PerFeature>,
    /// How [`fit`](Self::fit) takes that value from the training rows. Default `"median"`.
    pub no_info_type: NoInfo,
    /// Whether a pertinent negative may also lie beyond the value without information, where it is farther from it than
    /// the instance; the reference's may. It takes a second search. Default false: features only move away from that value.
    pub crossing: bool,
    /// The classes one of which a pertinent negative must have, at least one other than the instance's. Default `None`:
    /// any other.
    pub target_class: Option<Vec<usize>>,
    /// For models of scores and quantities: the interval in which an output must lie. Default `None`: the outputs are
    /// classes.
    pub target_interval: Option<Interval>,
    /// The least probability of the class that is reached, in `[0, 1]`. Default `None`: none.
    pub min_target_proba: Option<f64>,
    /// How features may change. A scale or cost counts in both parts of the distance; for pertinent positives
    /// `max_changes` is the most features that are present. Default: freely.
    pub constraints: Constraints,
    /// Whether an instance outside `feature_range` widens it, instead of being refused. Default false.
    pub widen_range: bool,
    /// Whether steps have momentum. Default true.
    pub momentum: bool,
    /// Steps without a relative gain of 1e-4 after which a weight is given up, 0 for never; with
    /// `gamma` above 0 and with the reference semantics never. Default 50.
    pub patience: usize,
    /// Whether found points are polished: moved to the closest point that a linear model of the margin accepts, and
    /// checked; not with the reference semantics. Default `None`: yes, and where `gamma` is above 0 every feature stays
    /// between its first value and where the autoencoder drew it; `true` lets it go anywhere.
    pub polish: Option<bool>,
    /// Whether the smallest changes are taken back where that is possible; not with the reference semantics.
    /// Default true.
    pub sparsify: bool,
    /// Whether other ways are tried where the descent finds nothing: an ascent of the margin's logarithm, single features
    /// moved far, random directions; not with the reference semantics. Default true.
    pub fallback: bool,
    /// [`Reference`](Semantics::Reference) searches as alibi does, its momentum aside; it takes no `constraints`. Default
    /// `"native"`.
    pub semantics: Semantics,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Pertinent negatives: what has to be added for another decision.
    #[default]
    #[serde(rename = "PN")]
    PertinentNegative,
    /// Pertinent positives: what has to be there for this decision.
    #[serde(rename = "PP")]
    PertinentPositive,
}

/// How the value without information is taken from training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoInfo {
    /// The median of each column.
    #[default]
    Median,
    /// The mean of each column.
    Mean,
}

/// A closed interval of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Interval {
    /// The index of the output. Default 0.
    pub output: usize,
    /// The least value, not NaN. Default `None`: no limit.
    pub min: Option<f64>,
    /// The largest value, at least `min`. Default `None`: no limit.
    pub max: Option<f64>,
}

impl Interval {
    pub(crate) fn limits(self) -> (f64, f64) {
        (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY))
    }
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
            learning_rate_init: 0.01,
            max_iterations: 1000,
            c_init: 10.0,
            c_steps: 10,
            eps: None,
            clip: (-100.0, 100.0),
            update_num_grad: 1,
            no_info_val: None,
            no_info_type: NoInfo::Median,
            crossing: false,
            target_class: None,
            target_interval: None,
            min_target_proba: None,
            constraints: Constraints::default(),
            widen_range: false,
            momentum: true,
            patience: 50,
            polish: None,
            sparsify: true,
            fallback: true,
            semantics: Semantics::Native,
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
        positive("learning_rate_init", self.learning_rate_init, false)?;
        positive("c_init", self.c_init, false)?;
        for (name, count) in [
            ("max_iterations", self.max_iterations),
            ("c_steps", self.c_steps),
            ("update_num_grad", self.update_num_grad),
        ] {
            require(0 < count, name, "at least 1", count)?;
        }
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
        let own = self.target_class.is_none() || !(positive_mode || self.target_interval.is_some());
        let rule = "left out for pertinent positives and where there is a `target_interval`";
        require(own, "target_class", rule, &self.target_class)?;
        if let Some(interval) = self.target_interval {
            let (min, max) = interval.limits();
            let rule = "from `min` to a `max` at least as large";
            require(min <= max, "target_interval", rule, (min, max))?;
            require(self.kappa == 0.0, "kappa", "0 for a `target_interval`", self.kappa)?;
        }
        if let Some(least) = self.min_target_proba {
            let allowed = (0.0..=1.0).contains(&least);
            require(allowed, "min_target_proba", "in [0, 1]", least)?;
        }
        if self.semantics == Semantics::Reference {
            let free = self.constraints == Constraints::default();
            require(free, "constraints", "left out with the reference semantics", "constraints")?;
        }
        Ok(())
    }
}

impl CemParams {
    /// The explainer for rows of this table; the values without information are those given.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) when a parameter is outside its range or does not fit the table, and
    /// when there is no `no_info_val`.
    pub fn build(self, features: Features) -> Result<Cem> {
        Cem::new(xai_core::Params::check(self)?, features, None)
    }

    /// The explainer for rows of this table; the values without information are the medians or means of training rows,
    /// shape `(n_rows, n_columns)`, at least one row. Given values are overwritten, with a warning.
    ///
    /// # Errors
    /// As [`build`](Self::build), and [`Error::Shape`](xai_core::Error::Shape),
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) or [`Error::Category`](xai_core::Error::Category) for the
    /// training rows.
    pub fn fit(self, train_data: &Rows, features: Features) -> Result<Cem> {
        Cem::new(xai_core::Params::check(self)?, features, Some(train_data))
    }
}
