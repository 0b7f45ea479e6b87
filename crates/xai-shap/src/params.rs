//! The settings of KernelSHAP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::params::{at_least, not_negative, positive, share};
use xai_core::{AsJson, Output, ParamError, Params, Semantics, require};

use crate::l1::L1Reg;
use crate::link::Link;
use crate::n_samples::NSamples;
use crate::reference;
use crate::summarise_background::SummariseBackground;

/// Settings of [`KernelShap`](crate::KernelShap). Names follow alibi and shap where they have the parameter.
///
/// Made by `KernelShapParams::default()` and the setters, or read from JSON or TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
    /// What the model does. With `"regression"` there is no predicted class. Default `"classification"`.
    pub task: Task,
    /// What the outputs mean, for the predicted class; see [`xai_core::decision`]. The values do not depend on it.
    /// `"auto"` or `"score"` with the task `"regression"`. Default `"auto"`.
    pub output: Output,
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
    /// and `expected_value` is the mean output with them alone. Default none.
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
    /// Whether to estimate the error that comes from the background sample. It costs no queries. Default true.
    pub background_error: bool,
    /// Which features take part in the regression. Default `false`: all of them. With any other rule the values add up,
    /// but they are not Shapley values.
    pub l1_reg: L1Reg,
    /// Whether paired values of 16 to 512 pairs come from a regression that includes interactions of three and more
    /// features, with a strength estimated from the data. The same queries give a smaller error, at the price of
    /// explainer CPU time cubic in the number of pairs: about a quarter of a second of one core for 200 pairs and one
    /// second for 500. Default true.
    pub model_interactions: bool,
    /// Whether instances with the same number of varying features share one choice of coalitions and its factorization.
    /// If false, their errors are independent and average out over many instances. Default true.
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
            output: Output::Auto,
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

/// How Shapley values are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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
        self.nsamples.check()?;
        self.tolerance.map_or(Ok(()), |tolerance| positive("tolerance", tolerance))?;
        self.absolute_tolerance
            .map_or(Ok(()), |tolerance| positive("absolute_tolerance", tolerance))?;
        share("confidence", self.confidence)?;
        self.l1_reg.check()?;
        if self.semantics == Semantics::Reference {
            reference::validate(self)?;
        }
        let regression = self.estimator != Estimator::Permutation || self.l1_reg == L1Reg::Off;
        let rule = "false with the estimator \"permutation\", which has no regression";
        require(regression, "l1_reg", rule, AsJson(&self.l1_reg))?;
        if self.summarise_result {
            self.validate_sums()?;
        }
        let epsilon = self.link_epsilon;
        require(0.0 < epsilon && epsilon < 0.5, "link_epsilon", "in (0, 0.5)", epsilon)?;
        self.output.validate()?;
        if self.task == Task::Regression {
            let allowed = matches!(self.output, Output::Auto | Output::Score);
            let rule = "\"auto\" or \"score\" with the task \"regression\"";
            require(allowed, "output", rule, &self.output)?;
        }
        self.validate_groups()?;
        self.weights.as_deref().map_or(Ok(()), check_weights)?;
        at_least("n_background_samples", 1, self.n_background_samples)
    }
}

impl KernelShapParams {
    fn validate_sums(&self) -> Result<(), ParamError> {
        let lists = [
            ("cat_vars_start_idx", &self.cat_vars_start_idx),
            ("cat_vars_enc_dim", &self.cat_vars_enc_dim),
        ];
        for (name, list) in lists {
            let given = list.as_ref().is_some_and(|list| !list.is_empty());
            require(given, name, "given with `summarise_result`", "none")?;
        }
        require(self.groups.is_none(), "summarise_result", "false with `groups`", true)
    }

    fn validate_groups(&self) -> Result<(), ParamError> {
        if let Some(groups) = &self.groups {
            require(!groups.is_empty(), "groups", "at least one group", 0)?;
            let empty = groups.iter().position(Vec::is_empty);
            let rule = "lists with at least one column";
            require(empty.is_none(), "groups", rule, format_args!("an empty group {empty:?}"))?;
            let mut columns = groups.concat();
            columns.sort_unstable();
            if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
                let value = format_args!("column {} twice", twice[0]);
                require(false, "groups", "disjoint", value)?;
            }
        }
        if let Some(names) = &self.group_names {
            let n_groups = self.groups.as_ref().map(Vec::len);
            let as_many = n_groups.is_none_or(|n| n == names.len());
            require(as_many, "group_names", "as many as `groups`", names.len())?;
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                let value = format_args!("`{}` twice", twice[0]);
                require(false, "group_names", "all different", value)?;
            }
        }
        Ok(())
    }
}

xai_core::setters! {
    KernelShapParams {
        with_nsamples => nsamples: NSamples,
        with_estimator => estimator: Estimator,
        with_link => link: Link,
        with_link_epsilon => link_epsilon: f64,
        with_task => task: Task,
        with_output => output: Output,
        with_groups => groups: Option<Vec<Vec<usize>>>,
        with_group_names => group_names: Option<Vec<String>>,
        with_allow_partial_groups => allow_partial_groups: bool,
        with_weights => weights: Option<Vec<f64>>,
        with_fixed_features => fixed_features: Vec<usize>,
        with_tolerance => tolerance: Option<f64>,
        with_absolute_tolerance => absolute_tolerance: Option<f64>,
        with_confidence => confidence: f64,
        with_top_k => top_k: usize,
        with_background_error => background_error: bool,
        with_l1_reg => l1_reg: L1Reg,
        with_model_interactions => model_interactions: bool,
        with_share_design => share_design: bool,
        with_summarise_result => summarise_result: bool,
        with_cat_vars_start_idx => cat_vars_start_idx: Option<Vec<usize>>,
        with_cat_vars_enc_dim => cat_vars_enc_dim: Option<Vec<usize>>,
        with_semantics => semantics: Semantics,
        with_allow_missing => allow_missing: bool,
        with_summarise_background => summarise_background: SummariseBackground,
        with_n_background_samples => n_background_samples: usize,
        with_background_seed => background_seed: u64,
        with_round_background => round_background: bool,
    }
}

/// Requires weights that are shares of something.
pub(crate) fn check_weights(weights: &[f64]) -> Result<(), ParamError> {
    weights.iter().try_for_each(|&weight| not_negative("weights", weight))?;
    let sum: f64 = weights.iter().sum();
    let rule = "numbers with a finite sum above 0";
    require(0.0 < sum && sum < f64::INFINITY, "weights", rule, sum)
}
