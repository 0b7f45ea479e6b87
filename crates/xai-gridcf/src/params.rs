//! The settings of the grid search.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::constraints::Constraints;
use xai_core::tabular::{FeatureKey, IntoFeatures};
use xai_core::{Output, ParamError, Params, Result, Rows, Semantics, require, setters};

use crate::distance::Distance;
use crate::explainer::GridCounterfactual;
use crate::grid::{Anchor, steps_within};
use crate::ranges::{FeatureRange, KindSettings, RangeSettings};
use crate::reference;
use crate::rules::SearchRules;
use crate::search::{AnswerScope, SearchSettings};
use crate::target::Target;

/// Settings of [`GridCounterfactual`]. Names follow FAT Forensics where it has the parameter.
///
/// A feature is named by its name, or by its index where no feature has that name.
///
/// ```
/// use xai_gridcf::{AnswerScope, GridCounterfactualParams};
///
/// let params = GridCounterfactualParams::default()
///     .with_max_counterfactual_length(1)
///     .with_answers(AnswerScope::Closest);
/// # let _ = params;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GridCounterfactualParams {
    /// What the model must say of a counterfactual: a class by index or name, a list of classes, a least probability of
    /// a class, or an interval of an output. Default `None`: any class but the instance's.
    pub counterfactual_class: Option<Target>,
    /// What the model's outputs mean. Default [`Output::Auto`]. An interval as `counterfactual_class` reads an output as
    /// it is.
    pub output: Output,
    /// Names of the classes, all different, by index; at least as many as the model has outputs. For a single probability
    /// one name is that of class 1. Default `None`: those of the model, or else classes are numbers.
    pub class_names: Option<Vec<String>>,
    /// The most features that change together; 0 for all. More than there are features is taken for all, with a
    /// warning. Default 2.
    pub max_counterfactual_length: usize,
    /// The features that may change, at least one, all different. Default `None`: all.
    pub counterfactual_feature_indices: Option<Vec<FeatureKey>>,
    /// Features whose numbers are categories; those of the table that have category names must be among them. With
    /// `numerical_indices` too, the two lists cover all features. Default `None`: as the table says, or all that are not
    /// in `numerical_indices`.
    pub categorical_indices: Option<Vec<FeatureKey>>,
    /// Features whose numbers are quantities; none may have category names in the table. Default `None`: as the table
    /// says, or all that are not in `categorical_indices`.
    pub numerical_indices: Option<Vec<FeatureKey>>,
    /// The values to try, by feature: `[min, max]` of a quantity, a list of categories, or a grid without steps. A feature
    /// without a range has that of the data: from the least to the largest number, the categories that occur.
    pub feature_ranges: BTreeMap<FeatureKey, FeatureRange>,
    /// The distance between neighbouring values of a quantity, by feature, finite and above 0. No feature may get more
    /// than 2^20 values.
    pub step_sizes: BTreeMap<FeatureKey, f64>,
    /// The step of the features that are not in `step_sizes`, finite and above 0. Default 1.
    pub default_numerical_step_size: f64,
    /// The distance between two values, by feature. Default: the absolute difference of quantities; 0 or 1 for
    /// categories that agree or not. Functions are given to [`GridCounterfactual::with_functions`].
    pub distance_functions: BTreeMap<FeatureKey, Distance>,
    /// Whether the distance of rows is the root of the sum of squares over the features, instead of the sum.
    /// Default false.
    pub normalise_distance: bool,
    /// Whether the end of a range is a grid point, whatever the step. Default true; with the reference semantics it
    /// never is.
    pub inclusive_end: bool,
    /// Where the steps of a range are counted from. Default `"min"`.
    pub anchor: Anchor,
    /// Whether the instance's value competes where it is on the grid of a quantity: a set of features is then silent
    /// when some of its features alone do better. Default false; with the reference semantics it does.
    pub include_instance_value: bool,
    /// Whose closest points are wanted: those of each set of features, or of all sets together. The second needs far fewer
    /// queries. Default `"each-set"`.
    pub answers: AnswerScope,
    /// Whether a set of features is left out when some of its features alone reach the target; for `answers`
    /// of each set. Default false.
    pub prune_supersets: bool,
    /// Whether to search although the instance itself reaches the target. Default false: the status is then
    /// `"already-satisfied"`, with a warning. With the reference semantics always.
    pub allow_same_class: bool,
    /// Points in the first band of distance that a search asks for, at least 1; a later band has about a quarter of those
    /// before it, or this many where that is more. More means fewer calls, fewer means fewer points beyond the answer.
    /// Default 16.
    pub first_batch: usize,
    /// How features may change. Costs and scales multiply the distances of their features. Default: freely.
    pub constraints: Constraints,
    /// [`Reference`](Semantics::Reference) gives the answers of FAT Forensics, in its order; it takes no `constraints`,
    /// `anchor` or `prune_supersets`. Default `"native"`.
    pub semantics: Semantics,
}

impl Default for GridCounterfactualParams {
    fn default() -> Self {
        GridCounterfactualParams {
            counterfactual_class: None,
            output: Output::Auto,
            class_names: None,
            max_counterfactual_length: 2,
            counterfactual_feature_indices: None,
            categorical_indices: None,
            numerical_indices: None,
            feature_ranges: BTreeMap::new(),
            step_sizes: BTreeMap::new(),
            default_numerical_step_size: 1.0,
            distance_functions: BTreeMap::new(),
            normalise_distance: false,
            inclusive_end: true,
            anchor: Anchor::Min,
            include_instance_value: false,
            answers: AnswerScope::EachSet,
            prune_supersets: false,
            allow_same_class: false,
            first_batch: 16,
            constraints: Constraints::default(),
            semantics: Semantics::Native,
        }
    }
}

setters! { GridCounterfactualParams {
    with_counterfactual_class => counterfactual_class: Option<Target>,
    with_output => output: Output,
    with_class_names => class_names: Option<Vec<String>>,
    with_max_counterfactual_length => max_counterfactual_length: usize,
    with_counterfactual_feature_indices => counterfactual_feature_indices: Option<Vec<FeatureKey>>,
    with_categorical_indices => categorical_indices: Option<Vec<FeatureKey>>,
    with_numerical_indices => numerical_indices: Option<Vec<FeatureKey>>,
    with_feature_ranges => feature_ranges: BTreeMap<FeatureKey, FeatureRange>,
    with_step_sizes => step_sizes: BTreeMap<FeatureKey, f64>,
    with_default_numerical_step_size => default_numerical_step_size: f64,
    with_distance_functions => distance_functions: BTreeMap<FeatureKey, Distance>,
    with_normalise_distance => normalise_distance: bool,
    with_inclusive_end => inclusive_end: bool,
    with_anchor => anchor: Anchor,
    with_include_instance_value => include_instance_value: bool,
    with_answers => answers: AnswerScope,
    with_prune_supersets => prune_supersets: bool,
    with_allow_same_class => allow_same_class: bool,
    with_first_batch => first_batch: usize,
    with_constraints => constraints: Constraints,
    with_semantics => semantics: Semantics,
} }

impl Params for GridCounterfactualParams {
    fn validate(&self) -> Result<(), ParamError> {
        let lists = [
            ("counterfactual_feature_indices", &self.counterfactual_feature_indices),
            ("categorical_indices", &self.categorical_indices),
            ("numerical_indices", &self.numerical_indices),
        ];
        for (name, list) in lists {
            let Some(list) = list else { continue };
            // The other of the two kinds may have no feature.
            let may_be_empty = name != "counterfactual_feature_indices"
                && [&self.categorical_indices, &self.numerical_indices]
                    .into_iter()
                    .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()));
            require(may_be_empty || !list.is_empty(), name, "at least one feature", 0)?;
        }
        for (&step, key) in self.step_sizes.values().zip(self.step_sizes.keys()) {
            let rule = || format!("finite and above 0 for feature `{}`", key.as_str());
            require(0.0 < step && step < f64::INFINITY, "step_sizes", rule(), step)?;
        }
        let step = self.default_numerical_step_size;
        let allowed = 0.0 < step && step < f64::INFINITY;
        require(allowed, "default_numerical_step_size", "finite and above 0", step)?;
        self.feature_ranges.values().try_for_each(FeatureRange::validate)?;
        self.distance_functions.values().try_for_each(Distance::validate)?;
        let names = self.class_names.as_deref();
        if let Some(names) = names {
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                require(false, "class_names", "all different", format!("`{}` twice", twice[0]))?;
            }
            require(!names.is_empty(), "class_names", "at least one name", 0)?;
        }
        if let Some(target) = &self.counterfactual_class {
            target.validate(names)?;
        }
        self.output.validate()?;
        // An interval of an output needs no decision.
        if !matches!(self.counterfactual_class, Some(Target::Interval { .. })) {
            self.output.require_decision()?;
        }
        require(0 < self.first_batch, "first_batch", "at least 1", self.first_batch)?;
        let each = self.answers == AnswerScope::EachSet || !self.prune_supersets;
        require(each, "prune_supersets", "false with `answers` = \"closest\"", true)?;
        match self.semantics {
            Semantics::Native => Ok(()),
            Semantics::Reference => reference::validate(
                &self.constraints,
                self.anchor,
                self.prune_supersets,
                &self.feature_ranges,
            ),
        }
    }
}

impl GridCounterfactualParams {
    /// How the search behaves: the one place that looks at the semantics of a valid search.
    fn rules(&self) -> SearchRules {
        match self.semantics {
            Semantics::Native => SearchRules {
                steps: steps_within,
                parts_compete: self.include_instance_value,
                searches_same_class: self.allow_same_class,
                accepts_unknown_class: false,
                keeps_margin: true,
                orders_by_length: true,
            },
            Semantics::Reference => reference::rules(),
        }
    }

    pub(crate) fn kinds(&self) -> KindSettings<'_> {
        KindSettings {
            categorical_indices: self.categorical_indices.as_deref(),
            numerical_indices: self.numerical_indices.as_deref(),
        }
    }

    pub(crate) fn ranges(&self) -> RangeSettings<'_> {
        RangeSettings {
            max_counterfactual_length: self.max_counterfactual_length,
            counterfactual_feature_indices: self.counterfactual_feature_indices.as_deref(),
            kinds: self.kinds(),
            feature_ranges: &self.feature_ranges,
            step_sizes: &self.step_sizes,
            default_numerical_step_size: self.default_numerical_step_size,
        }
    }

    pub(crate) fn search(&self) -> SearchSettings {
        SearchSettings {
            max_length: self.max_counterfactual_length,
            answers: self.answers,
            prune_supersets: self.prune_supersets,
            first_batch: self.first_batch,
            is_rooted: self.normalise_distance,
            rules: self.rules(),
        }
    }

    /// Fits the search to a dataset, shape `(n_rows, n_columns)`, which gives the ranges of the features that may change
    /// and have none. NaN in a quantity stands for a missing number.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for a setting outside its range or one that does not fit the table, and for a feature that has the
    /// same number in all rows, [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) and
    /// [`Error::Category`](xai_core::Error::Category) for the dataset.
    pub fn fit(self, dataset: &Rows, features: impl IntoFeatures) -> Result<GridCounterfactual> {
        GridCounterfactual::fit(self.check()?, Some(dataset), features.into_features()?)
    }

    /// Builds the search without a dataset: every quantity that may change has a range, a feature with category names
    /// has all its categories unless it has a range.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); also [`Error::Param`](xai_core::Error::Param) for a range that is missing.
    pub fn build(self, features: impl IntoFeatures) -> Result<GridCounterfactual> {
        GridCounterfactual::fit(self.check()?, None, features.into_features()?)
    }
}
