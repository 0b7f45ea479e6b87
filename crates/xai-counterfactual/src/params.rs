//! The settings of gradient counterfactuals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::constraints::Constraints;
use xai_core::figure::check_shape;
use xai_core::tabular::Features;
use xai_core::{ParamError, Params, PerFeature, Result, Rows, Semantics, require};

use crate::explainer::Counterfactual;

/// Settings of [`Counterfactual`]. Names follow alibi where it has the parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CounterfactualParams {
    /// The shape of an instance that is an image, `[height, width]` or `[height, width, channels]`; a row holds its
    /// pixels in this order. For the figure alone. Default `None`: a row of a table.
    pub shape: Option<Vec<usize>>,
    /// How far a row is from the instance. Default `"l1"`, with the reference semantics the only one.
    pub distance_fn: DistanceFn,
    /// The probability that the target class is to have, in `(0, 1]`. Default 1.
    pub target_proba: f64,
    /// The class whose probability counts: `"other"` for the most probable one that is not the instance's, `"same"` for
    /// the instance's, or an index. Default `"other"`.
    pub target_class: TargetClass,
    /// The most steps for each weight lambda of the distance, at least 1, with the reference semantics at least 10.
    /// Default 1000.
    pub max_iter: usize,
    /// Steps after which a lambda is given up, at least 1: hits in a row, or misses in a row while the loss does not
    /// fall any more. Once another lambda has hits, and between hits that come no closer, a tenth of it is enough. With
    /// the reference semantics misses count from the first. Default 50.
    pub early_stop: usize,
    /// The largest lambda, finite and above 0; each other is a tenth of the one before. Default 0.1.
    pub lam_init: f64,
    /// How many lambdas are tried, at least 1; with the reference semantics the steps of the bisection between two of
    /// ten. Default 10.
    pub max_lam_steps: usize,
    /// How far the probability may be from `target_proba`, finite and above 0. Default 0.05.
    pub tol: f64,
    /// The first learning rate, finite and above 0. Default 0.1.
    pub learning_rate_init: f64,
    /// The least and the largest value, each a number or one for each column; not NaN. Default (-1e10, 1e10).
    pub feature_range: (PerFeature, PerFeature),
    /// Steps of numeric derivatives, one for all columns or one for each, finite and above 0. Weights whose rows differ
    /// by less than half of it share their answers. Default 0.01.
    pub eps: PerFeature,
    /// Where the descent starts. Default `"identity"`: at the instance.
    pub init: Init,
    /// Whether the learning rate falls linearly to 0 over `max_iter` steps. Default true.
    pub decay: bool,
    /// Whether the target class must also be the most probable one. Default `None`: for `"other"` and an index yes, for
    /// `"same"` no. With the reference semantics never.
    pub require_argmax: Option<bool>,
    /// The least probability of the target class, in `[0, 1]` and not above `target_proba + tol`. Default `None`: none
    /// but `target_proba - tol`.
    pub min_target_proba: Option<f64>,
    /// How features may change. A scale or cost counts in the distance. Default: freely.
    pub constraints: Constraints,
    /// Whether an instance outside `feature_range` widens it, instead of being refused; with the reference semantics it
    /// is moved into the range. Default false.
    pub widen_range: bool,
    /// How many hits of each lambda are kept in `all`, in the order in which they came; 0 for the closest alone.
    /// Default 0.
    pub trace: usize,
    /// Whether found rows are polished: moved to the closest row that a linear model of the log-odds accepts, and
    /// checked; not with the reference semantics. Default true.
    pub polish: bool,
    /// Whether the smallest changes are taken back where that is possible; not with the reference semantics.
    /// Default true.
    pub sparsify: bool,
    /// Whether other ways are tried where the descent finds nothing: an ascent of the log-odds, single features
    /// moved far, random directions, and after [`fit`](Self::fit) the ways to training rows that reach the target; not
    /// with the reference semantics. Default true.
    pub fallback: bool,
    /// [`Reference`](Semantics::Reference) searches as alibi does, for `distance_fn` `"l1"` and without `constraints`,
    /// `min_target_proba` and `require_argmax`. Default `"native"`.
    pub semantics: Semantics,
}

impl Default for CounterfactualParams {
    fn default() -> Self {
        CounterfactualParams {
            shape: None,
            distance_fn: DistanceFn::L1,
            target_proba: 1.0,
            target_class: TargetClass::Other,
            max_iter: 1000,
            early_stop: 50,
            lam_init: 0.1,
            max_lam_steps: 10,
            tol: 0.05,
            learning_rate_init: 0.1,
            feature_range: (PerFeature::All(-1e10), PerFeature::All(1e10)),
            eps: PerFeature::All(0.01),
            init: Init::Identity,
            decay: true,
            require_argmax: None,
            min_target_proba: None,
            constraints: Constraints::default(),
            widen_range: false,
            trace: 0,
            polish: true,
            sparsify: true,
            fallback: true,
            semantics: Semantics::Native,
        }
    }
}

/// How far a row is from the instance; changes are taken column by column and times the constraints' `cost / scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DistanceFn {
    /// The sum of absolute changes.
    #[default]
    L1,
    /// The sum of absolute changes, each over the median absolute deviation of its column in the training rows, as the
    /// paper has it. Where that is 0, as for most one-hot columns, 1.2533 times the mean absolute deviation takes its
    /// place; a column that is constant counts its own size. Needs [`fit`](CounterfactualParams::fit).
    L1Mad,
    /// The sum of squared changes.
    L2,
}

/// The class whose probability counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "TargetForm", into = "TargetForm")]
#[schemars(with = "TargetForm")]
pub enum TargetClass {
    /// The most probable class that is not the instance's, wherever the model is asked.
    #[default]
    Other,
    /// The instance's class.
    Same,
    /// This class.
    Class(usize),
}

/// A target as it stands in a file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"other\", \"same\" or the index of a class")]
enum TargetForm {
    Word(TargetWord),
    Class(usize),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum TargetWord {
    Other,
    Same,
}

impl From<TargetForm> for TargetClass {
    fn from(form: TargetForm) -> Self {
        match form {
            TargetForm::Word(TargetWord::Other) => TargetClass::Other,
            TargetForm::Word(TargetWord::Same) => TargetClass::Same,
            TargetForm::Class(class) => TargetClass::Class(class),
        }
    }
}

impl From<TargetClass> for TargetForm {
    fn from(target: TargetClass) -> Self {
        match target {
            TargetClass::Other => TargetForm::Word(TargetWord::Other),
            TargetClass::Same => TargetForm::Word(TargetWord::Same),
            TargetClass::Class(class) => TargetForm::Class(class),
        }
    }
}

/// Where the descent starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// At the instance.
    #[default]
    Identity,
}

impl Params for CounterfactualParams {
    fn validate(&self) -> Result<(), ParamError> {
        check_shape(self.shape.as_deref(), None)?;
        let target = self.target_proba;
        require(0.0 < target && target <= 1.0, "target_proba", "above 0 and at most 1", target)?;
        let least = if self.semantics == Semantics::Reference { 10 } else { 1 };
        let rule = format!("at least {least}");
        require(least <= self.max_iter, "max_iter", rule, self.max_iter)?;
        for (name, count) in
            [("early_stop", self.early_stop), ("max_lam_steps", self.max_lam_steps)]
        {
            require(0 < count, name, "at least 1", count)?;
        }
        let sizes = [
            ("lam_init", self.lam_init),
            ("tol", self.tol),
            ("learning_rate_init", self.learning_rate_init),
        ];
        for (name, size) in sizes {
            require(0.0 < size && size < f64::INFINITY, name, "finite and above 0", size)?;
        }
        let bounds = [&self.feature_range.0, &self.feature_range.1];
        for bound in bounds.into_iter().flat_map(PerFeature::values) {
            require(!bound.is_nan(), "feature_range", "a number", bound)?;
        }
        for &eps in self.eps.values() {
            require(0.0 < eps && eps < f64::INFINITY, "eps", "finite and above 0", eps)?;
        }
        if let Some(least) = self.min_target_proba {
            let most = (target + self.tol).min(1.0);
            let rule = format!("from 0 to `target_proba + tol`, {most}");
            require((0.0..=most).contains(&least), "min_target_proba", rule, least)?;
        }
        if self.semantics == Semantics::Reference {
            let of = |rule: &str| format!("{rule} with the reference semantics");
            let is_l1 = self.distance_fn == DistanceFn::L1;
            require(is_l1, "distance_fn", of("\"l1\""), self.distance_fn)?;
            let free = self.constraints == Constraints::default();
            require(free, "constraints", of("left out"), &self.constraints)?;
            let none = self.min_target_proba.is_none();
            require(none, "min_target_proba", of("left out"), self.min_target_proba)?;
            let unranked = self.require_argmax != Some(true);
            require(unranked, "require_argmax", of("left out or false"), self.require_argmax)?;
        }
        Ok(())
    }
}

impl CounterfactualParams {
    /// Fits the search to training rows, shape `(n_rows, n_columns)`, at least one: they give the scales of
    /// [`DistanceFn::L1Mad`], and up to 256 of them, evenly spaced, are kept for [`fallback`](Self::fallback).
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range or one that does not fit the table,
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) and
    /// [`Error::Category`](xai_core::Error::Category) for the rows.
    pub fn fit(self, train_data: &Rows, features: Features) -> Result<Counterfactual> {
        Counterfactual::new(self.check()?, features, Some(train_data))
    }

    /// Builds the search without training rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); also [`Error::Param`](xai_core::Error::Param) for [`DistanceFn::L1Mad`].
    pub fn build(self, features: Features) -> Result<Counterfactual> {
        Counterfactual::new(self.check()?, features, None)
    }
}
