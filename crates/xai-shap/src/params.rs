//! The settings of KernelSHAP.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xai_core::tabular::Features;
use xai_core::{ParamError, Params, Result, Rows, Semantics, require};

use crate::background_rows::BackgroundRows;
use crate::explainer::KernelShap;
use crate::l1::L1Reg;
use crate::link::Link;
use crate::summary::SummariseBackground;

/// Settings of [`KernelShap`]. Names follow alibi and shap where they have the parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KernelShapParams {
    /// The most coalitions to evaluate for one explanation, besides the empty and the full one: a number up to 2^31, or `"auto"`
    /// for `2 * M + 2048` with `M` the features (or groups) that vary. Each costs up to one query per background row.
    /// `2^M - 2` or more gives exact values: with `"auto"` for every `M` up to 11. Default `"auto"`.
    pub nsamples: NSamples,
    /// How values are computed. Default `"auto"`: exact when `nsamples` allows it, paired otherwise.
    pub estimator: Estimator,
    /// The scale on which attributions add up. Default `"identity"`.
    pub link: Link,
    /// The logit link takes probabilities no closer than this to 0 and 1, in `(0, 0.5)`. Default 1e-15.
    pub link_epsilon: f64,
    /// Whether `raw.prediction` is the class of the largest output. Default `"classification"`.
    pub task: Task,
    /// Columns that enter and leave together, each a player of the game: disjoint lists of column indices.
    /// Default `None`: each feature is a player, a one-hot feature with all its columns.
    pub groups: Option<Vec<Vec<usize>>>,
    /// Names of the groups, as many as there are, all different. Default `None`: the feature's name for a group that
    /// is just one feature, `group_0`, `group_1`, and so on for the others.
    pub group_names: Option<Vec<String>>,
    /// Whether columns may be in no group; they then stay at their background values. Default false: such columns are
    /// an error.
    pub allow_partial_groups: bool,
    /// Weights of the background rows, as many as there are, finite, at least 0, with a positive sum.
    /// Default `None`: all equal.
    pub weights: Option<Vec<f64>>,
    /// Features (or groups), by index, that have the instance's value throughout and do not play: their effect is 0,
    /// and `expected_value` is what the model says with them alone. Default none.
    pub fixed_features: Vec<usize>,
    /// Stop sampling when every standard error of an output is at most this share of the range of its Shapley values,
    /// above 0; checked after each round of coalitions. Default `None`: `nsamples` coalitions.
    pub tolerance: Option<f64>,
    /// Stop sampling when every standard error is at most this, on the scale of the link, above 0. With
    /// [`tolerance`](Self::tolerance) too, either will do for an output. Default `None`.
    pub absolute_tolerance: Option<f64>,
    /// The probability with which the confidence intervals hold, and the certified ranks, in `(0, 1)`. Default 0.95.
    pub confidence: f64,
    /// How many ranks of each output to certify. Default 5; 0 for none.
    pub top_k: usize,
    /// Whether to tell the error that comes from the background sample. It costs no queries. Default true.
    pub background_error: bool,
    /// Which features the regression is for. Default `false`, all: anything else gives no Shapley values.
    pub l1_reg: L1Reg,
    /// Whether paired values of 16 to 512 pairs come from a regression with interactions of three and more features in
    /// it, as far as the data ask for them. The same queries give a smaller error, for time of ours that grows with the
    /// cube of the pairs: about a quarter of a second of one core for 200 pairs and one for 500. Default true.
    pub model_interactions: bool,
    /// Whether instances with as many varying features share the choice of coalitions, and the work on it. Without,
    /// their errors are independent, and average out over many instances. Default true.
    pub share_design: bool,
    /// Whether to add up the values of blocks of columns, as alibi does for one-hot columns. The sum is no Shapley
    /// value where the columns interact with others; [`groups`](Self::groups) give that one. Default false.
    pub summarise_result: bool,
    /// With `summarise_result`, the first feature of each block, ascending. Features are counted as they are reported
    /// without it: a one-hot feature of several columns is one. Default `None`.
    pub cat_vars_start_idx: Option<Vec<usize>>,
    /// With `summarise_result`, the number of features in each block. Default `None`.
    pub cat_vars_enc_dim: Option<Vec<usize>>,
    /// [`Reference`](Semantics::Reference) repeats shap's design, weights and order, its notion of equal values and its
    /// thresholds, without uncertainties; `estimator` must be `"auto"`. Default `"native"`.
    pub semantics: Semantics,
    /// Whether rows may hold NaN for a missing value; NaN equals NaN. Default false: NaN is an error.
    pub allow_missing: bool,
    /// How the background is made smaller before anything else: `"none"`, `"auto"`, `"sample"` or `"k-means"`, or a
    /// boolean for `"auto"` and `"none"`. Default `"none"`.
    pub summarise_background: SummariseBackground,
    /// How many rows a summary of the background has, at least 1. Default 300.
    pub n_background_samples: usize,
    /// The seed of the summary. Default 0.
    pub background_seed: u64,
    /// Whether k-means takes each number of a mean to the nearest in its column, so that a column of whole numbers
    /// stays one. Default true.
    pub round_background: bool,
}

impl Default for KernelShapParams {
    fn default() -> Self {
        KernelShapParams {
            nsamples: NSamples::Auto,
            estimator: Estimator::Auto,
            link: Link::Identity,
            link_epsilon: 1e-15,
            task: Task::Classification,
            groups: None,
            group_names: None,
            allow_partial_groups: false,
            weights: None,
            fixed_features: Vec::new(),
            tolerance: None,
            absolute_tolerance: None,
            confidence: 0.95,
            top_k: 5,
            background_error: true,
            l1_reg: L1Reg::Off,
            model_interactions: true,
            share_design: true,
            summarise_result: false,
            cat_vars_start_idx: None,
            cat_vars_enc_dim: None,
            semantics: Semantics::Native,
            allow_missing: false,
            summarise_background: SummariseBackground::None,
            n_background_samples: 300,
            background_seed: 0,
            round_background: true,
        }
    }
}

/// More coalitions than this have no place in memory.
const MAX_SAMPLES: usize = 1 << 31;

/// The number of coalitions to evaluate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NSamples {
    /// `2 * M + 2048` with `M` the players that vary, as in shap.
    #[default]
    Auto,
    /// This many, `1..=2^31`.
    Count(usize),
}

impl NSamples {
    /// The number for a game of `n_players`.
    #[must_use]
    pub fn resolve(self, n_players: usize) -> usize {
        match self {
            NSamples::Auto => 2 * n_players + 2048,
            NSamples::Count(count) => count,
        }
    }
}

/// How Shapley values are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// [`Exact`](Self::Exact) when `2^M - 2` is at most `nsamples`, or when all coalitions cost no more queries than
    /// `nsamples` may, because many give the same rows (for up to 16 players where a link or an `l1_reg` needs the value
    /// of each coalition). Otherwise
    /// [`Permutation`](Self::Permutation) when `nsamples` is below `4 * M` (`8 * M` from 60 players on) and
    /// [`Paired`](Self::Paired) above.
    #[default]
    Auto,
    /// All coalitions, whatever `nsamples` says; at most 24 players that vary, or with the identity link and no `l1_reg`
    /// at most 24 in which any one background row differs from the instance.
    Exact,
    /// Pairs of a coalition and its complement, stratified by size and drawn without replacement, with standard
    /// errors. Exact for models with interactions of at most two players.
    Paired,
    /// Random orders of the players, each walked forwards and backwards, with standard errors from their spread.
    /// Better than [`Paired`](Self::Paired) for few coalitions; exact for the same models.
    Permutation,
}

/// What the model does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The outputs are scores of classes.
    #[default]
    Classification,
    /// The outputs are quantities.
    Regression,
}

impl Params for KernelShapParams {
    fn validate(&self) -> Result<(), ParamError> {
        if let NSamples::Count(count) = self.nsamples {
            require(
                (1..=MAX_SAMPLES).contains(&count),
                "nsamples",
                "in 1..=2^31 or \"auto\"",
                count,
            )?;
        }
        for (name, tolerance) in
            [("tolerance", self.tolerance), ("absolute_tolerance", self.absolute_tolerance)]
        {
            let bound = tolerance.unwrap_or(1.0);
            require(0.0 < bound && bound < f64::INFINITY, name, "finite and above 0", bound)?;
        }
        let confidence = self.confidence;
        require(0.0 < confidence && confidence < 1.0, "confidence", "in (0, 1)", confidence)?;
        self.l1_reg.check()?;
        if self.semantics == Semantics::Reference {
            let auto = self.estimator == Estimator::Auto;
            let rule = "\"auto\" with the reference semantics";
            require(auto, "estimator", rule, format!("{:?}", self.estimator))?;
            let rule = "none with the reference semantics, which know no errors";
            require(
                self.tolerance.is_none(),
                "tolerance",
                rule,
                self.tolerance.unwrap_or_default(),
            )?;
            let tolerance = self.absolute_tolerance;
            require(
                tolerance.is_none(),
                "absolute_tolerance",
                rule,
                tolerance.unwrap_or_default(),
            )?;
        }
        let regression = self.estimator != Estimator::Permutation || self.l1_reg == L1Reg::Off;
        let rule = "false with the estimator \"permutation\", which has no regression";
        require(regression, "l1_reg", rule, format!("{:?}", self.l1_reg))?;
        if self.summarise_result {
            let starts = self.cat_vars_start_idx.as_ref().map_or(0, Vec::len);
            let lengths = self.cat_vars_enc_dim.as_ref().map_or(0, Vec::len);
            let rule = "given with `summarise_result`";
            require(0 < starts, "cat_vars_start_idx", rule, "none")?;
            require(0 < lengths, "cat_vars_enc_dim", rule, "none")?;
            let grouped = self.groups.is_some();
            require(!grouped, "summarise_result", "false with `groups`", true)?;
        }
        let epsilon = self.link_epsilon;
        require(0.0 < epsilon && epsilon < 0.5, "link_epsilon", "in (0, 0.5)", epsilon)?;
        if let Some(groups) = &self.groups {
            require(!groups.is_empty(), "groups", "at least one group", 0)?;
            let mut columns: Vec<usize> = Vec::new();
            for (index, group) in groups.iter().enumerate() {
                require(
                    !group.is_empty(),
                    "groups",
                    "lists with at least one column",
                    format!("an empty group {index}"),
                )?;
                columns.extend(group);
            }
            columns.sort_unstable();
            if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
                require(false, "groups", "disjoint", format!("column {} twice", twice[0]))?;
            }
        }
        if let Some(names) = &self.group_names {
            let n_groups = self.groups.as_ref().map(Vec::len);
            require(
                n_groups.is_none_or(|n| n == names.len()),
                "group_names",
                "as many as `groups`",
                names.len(),
            )?;
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                require(false, "group_names", "all different", format!("`{}` twice", twice[0]))?;
            }
        }
        if let Some(weights) = &self.weights {
            check_weights(weights)?;
        }
        let n_samples = self.n_background_samples;
        require(0 < n_samples, "n_background_samples", "at least 1", n_samples)?;
        Ok(())
    }
}

/// Requires weights that are shares of something.
pub(crate) fn check_weights(weights: &[f64]) -> Result<(), ParamError> {
    for &weight in weights {
        let allowed = (0.0..f64::INFINITY).contains(&weight);
        require(allowed, "weights", "finite and at least 0", weight)?;
    }
    let sum: f64 = weights.iter().sum();
    let rule = "numbers with a finite sum above 0";
    require(0.0 < sum && sum < f64::INFINITY, "weights", rule, sum)
}

impl KernelShapParams {
    /// Fits the explainer to background rows: no model call, a copy of the rows.
    ///
    /// `background` has shape `(n_background, n_columns)` and stands for "the feature is absent": absent features take
    /// their values from its rows, weighted by [`weights`](Self::weights). Some 100 rows serve most models;
    /// [`summarise_background`](Self::summarise_background) makes them of more.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range or groups and weights that do not fit the
    /// table; [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) and
    /// [`Error::Category`](xai_core::Error::Category) for rows that do not fit `features`.
    pub fn fit(self, background: &Rows, features: Features) -> Result<KernelShap> {
        // Rows are copied whole, so they must lie whole in memory.
        let background = background.to_owned().as_standard_layout().into_owned();
        KernelShap::fit(self.check()?, BackgroundRows::Dense(background), features)
    }
}

impl Serialize for NSamples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            NSamples::Auto => serializer.serialize_str("auto"),
            NSamples::Count(count) => count.serialize(serializer),
        }
    }
}

/// How [`NSamples`] stands in JSON and TOML.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "nsamples must be a whole number or \"auto\"")]
enum NSamplesForm {
    Count(usize),
    Word(AutoWord),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum AutoWord {
    Auto,
}

impl<'de> Deserialize<'de> for NSamples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NSamplesForm::deserialize(deserializer)? {
            NSamplesForm::Count(count) => NSamples::Count(count),
            NSamplesForm::Word(AutoWord::Auto) => NSamples::Auto,
        })
    }
}

impl JsonSchema for NSamples {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NSamples".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        NSamplesForm::json_schema(generator)
    }
}
