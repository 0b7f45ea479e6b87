//! The settings of gradient counterfactuals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::check_shape;
use xai_core::tabular::IntoFeatures;
use xai_core::{ParamError, Params, PerFeature, Result, Rows, Semantics, require};
use xai_optim::{GradientSearchParams, NoUnknownKeys};

use crate::explainer::Counterfactual;
use crate::reference;
use crate::rules::{Rules, rules};

/// Settings of [`Counterfactual`].
///
/// With the reference semantics `polish`, `sparsify` and `fallback` of the search are without effect, and
/// `distance_fn` is `"l1"`, without `constraints`, `min_target_proba` and `require_argmax`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = xai_optim::close_squared_error_schema)]
#[non_exhaustive]
pub struct CounterfactualParams {
    /// The shape of an instance that is an image, `[height, width]` or `[height, width, channels]`; a row holds its
    /// pixels in this order. For the figure alone. Default `None`: a row of a table.
    pub shape: Option<Vec<usize>>,
    /// How far a row is from the instance. Default `"l1"`, with the reference semantics the only one.
    pub distance_fn: DistanceFn,
    /// The probability that the target class is to have, in `(0, 1]`. For an interval it only leads the descent: being
    /// inside is enough. Default 1.
    pub target_proba: f64,
    /// The class whose probability counts: `"other"` for the most probable one that is not the instance's, `"same"` for
    /// the instance's, or an index. Default `"other"`.
    pub target_class: TargetClass,
    /// How far the probability may be from `target_proba`, finite and above 0; of no effect for an interval.
    /// Default 0.05.
    pub tol: f64,
    /// The least and the largest value, each a number or one for each column; not NaN. Default (-1e10, 1e10).
    pub feature_range: (PerFeature, PerFeature),
    /// Steps of numeric derivatives, one for all columns or one for each, finite and above 0. Weights whose rows differ
    /// by less than half of it share their answers. Default 0.01.
    pub eps: PerFeature,
    /// Whether the learning rate falls linearly to 0 over `max_iterations` steps. Default true.
    pub decay: bool,
    /// Whether the target class must also be the most probable one. Default `None`: for `"other"` and an index yes, for
    /// `"same"` no. With the reference semantics never.
    pub require_argmax: Option<bool>,
    /// How many hits of each weight are recorded in `lambdas`, in the order in which they came; 0 for the closest alone.
    /// Default 0.
    pub trace: usize,
    /// [`Reference`](Semantics::Reference) searches as alibi does. Default `"native"`.
    pub semantics: Semantics,
    /// The settings of the search, which in JSON stand among the others. Here the loss is
    /// `(p - target_proba)^2 + lambda * distance` with lambda `1 / c`: the first lambda is `1 / c_init`, each other a tenth
    /// of the one before, and `c_steps` is their number; with the reference semantics the number of steps of the bisection
    /// between two of ten, and `max_iterations` is at least 10. `patience` is at least 1: hits in a row, or misses in a row
    /// while the loss does not fall any more; once another lambda has hits, and between hits that come no closer, a tenth
    /// of it is enough. With the reference semantics misses count from the first.
    #[serde(flatten, deserialize_with = "GradientSearchParams::read_squared_error")]
    pub search: GradientSearchParams,
    #[serde(flatten, skip_serializing)]
    #[schemars(skip)]
    unknown: NoUnknownKeys<CounterfactualParams>,
}

xai_core::setters! { CounterfactualParams {
    with_shape => shape: Option<Vec<usize>>,
    with_distance_fn => distance_fn: DistanceFn,
    with_target_proba => target_proba: f64,
    with_target_class => target_class: TargetClass,
    with_tol => tol: f64,
    with_feature_range => feature_range: (PerFeature, PerFeature),
    with_eps => eps: PerFeature,
    with_decay => decay: bool,
    with_require_argmax => require_argmax: Option<bool>,
    with_trace => trace: usize,
    with_semantics => semantics: Semantics,
} }
xai_optim::search_setters!(CounterfactualParams);

impl Default for CounterfactualParams {
    fn default() -> Self {
        CounterfactualParams {
            shape: None,
            distance_fn: DistanceFn::L1,
            target_proba: 1.0,
            target_class: TargetClass::Other,
            tol: 0.05,
            feature_range: (PerFeature::All(-1e10), PerFeature::All(1e10)),
            eps: PerFeature::All(0.01),
            decay: true,
            require_argmax: None,
            trace: 0,
            semantics: Semantics::Native,
            search: GradientSearchParams::squared_error(),
            unknown: NoUnknownKeys::default(),
        }
    }
}

impl CounterfactualParams {
    /// The rules that the search follows.
    pub(crate) fn rules(&self) -> &'static dyn Rules {
        rules(self.semantics)
    }

    /// The largest weight of the distance.
    pub(crate) fn first_lambda(&self) -> f64 {
        1.0 / self.search.c_init
    }
}

/// How far a row is from the instance; changes are taken column by column and times the constraints' `cost / scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DistanceFn {
    /// The sum of absolute changes.
    #[default]
    L1,
    /// The sum of absolute changes, each over the median absolute deviation of its column in the training rows, as the
    /// paper has it. Where that is 0, as for most one-hot columns, 1.2533 times the mean absolute deviation takes its
    /// place; a column that is constant counts its own size. Needs [`fit`](CounterfactualParams::fit).
    #[serde(alias = "l1_mad")]
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

impl Params for CounterfactualParams {
    fn validate(&self) -> Result<(), ParamError> {
        check_shape(self.shape.as_deref(), None)?;
        let target = self.target_proba;
        require(0.0 < target && target <= 1.0, "target_proba", "above 0 and at most 1", target)?;
        let least = self.rules().least_iterations();
        let rule = format!("at least {least}");
        let max_iterations = self.search.max_iterations;
        require(least <= max_iterations, "max_iterations", rule, max_iterations)?;
        require(0 < self.search.patience, "patience", "at least 1", self.search.patience)?;
        for (name, size) in [("c_init", self.search.c_init), ("tol", self.tol)] {
            require(0.0 < size && size < f64::INFINITY, name, "finite and above 0", size)?;
        }
        self.search.validate()?;
        let bounds = [&self.feature_range.0, &self.feature_range.1];
        for bound in bounds.into_iter().flat_map(PerFeature::values) {
            require(!bound.is_nan(), "feature_range", "a number", bound)?;
        }
        for &eps in self.eps.values() {
            require(0.0 < eps && eps < f64::INFINITY, "eps", "finite and above 0", eps)?;
        }
        if let Some(least) = self.search.min_target_proba {
            let most = (target + self.tol).min(1.0);
            let rule = format!("from 0 to `target_proba + tol`, {most}");
            require((0.0..=most).contains(&least), "min_target_proba", rule, least)?;
        }
        match self.semantics {
            Semantics::Native => Ok(()),
            Semantics::Reference => reference::validate(self),
        }
    }
}

impl CounterfactualParams {
    /// Fits the search to training rows, shape `(n_rows, n_columns)`, at least one: they give the scales of
    /// [`DistanceFn::L1Mad`], and up to 256 of them, evenly spaced, are kept for `fallback`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range or one that does not fit the table,
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) and
    /// [`Error::Category`](xai_core::Error::Category) for the rows.
    pub fn fit(self, train_data: &Rows, features: impl IntoFeatures) -> Result<Counterfactual> {
        Counterfactual::new(self.check()?, features.into_features()?, Some(train_data))
    }

    /// Builds the search without training rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); also [`Error::Param`](xai_core::Error::Param) for [`DistanceFn::L1Mad`].
    pub fn build(self, features: impl IntoFeatures) -> Result<Counterfactual> {
        Counterfactual::new(self.check()?, features.into_features()?, None)
    }
}
