//! The settings of AnchorTabular.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::Features;
use xai_core::tabular::discretizer::{Edges, QUARTILES};
use xai_core::{ParamError, Params, Result, Rows, Semantics, require};

use super::explainer::AnchorTabular;
use crate::bandit::Exploration;
use crate::output::Output;
use crate::search::Settings;

/// Settings of [`AnchorTabular`]. Names follow alibi where it has the parameter; the symbols are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnchorTabularParams {
    /// The precision that an anchor must have, in `(0, 1]`. Symbol tau. Default 0.95.
    pub threshold: f64,
    /// The risk of a wrong confidence bound, in `(0, 1)`: of the validity test, of the certificate and of all
    /// intervals. Symbol delta. Default 0.1.
    pub delta: f64,
    /// How much less precise than the best of its size a chosen anchor may be, in `(0, 1]`. Symbol epsilon.
    /// Default 0.15.
    pub tau: f64,
    /// How wide the bounds are that decide which anchors are extended. [`Proved`](Exploration::Proved) with the
    /// reference semantics. Default `"practical"`.
    pub exploration: Exploration,
    /// Perturbations of an anchor in one request, `1..=2^24`. Default 100.
    pub batch_size: usize,
    /// Rows of the coverage set where it is a sample, `1..=2^24`. Default 10,000.
    pub coverage_samples: usize,
    /// How many anchors of each size are extended, `1..=2^24`. Symbol B. Default 1.
    pub beam_size: usize,
    /// Whether to stop at the first valid anchor, which has the fewest predicates. Default false.
    pub stop_on_first: bool,
    /// The most predicates of an anchor, at least 1. Default `None`: as many as there are.
    pub max_anchor_size: Option<usize>,
    /// Perturbations for the first look at the empty anchor, `1..=2^24`. Default 100; 1 in
    /// [`distributed`](Self::distributed).
    pub min_samples_start: usize,
    /// The most examples to show of each partial anchor and each outcome. Default 10.
    pub n_covered_ex: usize,
    /// An anchor is valid when its precision so far reaches the threshold and the lower bound of the precision is
    /// above the threshold minus this; in `(0, threshold]`. Default 0.05.
    pub epsilon_stop: f64,
    /// Room for samples in batches, at least 1. It has no effect: the log of samples grows as needed, at a bit for each
    /// predicate and sample. Default 10,000.
    pub binary_cache_size: usize,
    /// The room that alibi keeps free. It has no effect. Default 1,000.
    pub cache_margin: usize,
    /// Whether to keep the steps of the bandit in the explanation, as `trace`. Default false.
    pub verbose: bool,
    /// With `verbose`, keep every so manieth step, at least 1. Default 1.
    pub verbose_every: usize,
    /// Whether an anchor is returned as found only when its certificate clears the threshold: then its precision is at
    /// least the threshold with probability `1 - delta`. Default false.
    pub strict: bool,
    /// Fresh perturbations for the certificate, `0..=2^24`; 0 for no certificate. Default 1,000.
    pub final_samples: usize,
    /// The most perturbations that the search may draw, without those of the certificate, at least
    /// `min_samples_start`. Default 1,000,000.
    pub max_samples: u64,
    /// Whether anchors that are not the most precise of their size are tested too, widest first, until one is valid, and
    /// whether the search then goes on for wider ones. Default true.
    pub coverage_sweep: bool,
    /// How much more a longer anchor must cover than the best so far, as a share for each predicate more, finite and at
    /// least 0: with 0.2 two predicates more are worth it for 44 % more rows. Default 0.2.
    pub coverage_gain: f64,
    /// How many candidates to show: the valid ones of largest coverage, then those that no other beats both in
    /// precision and in coverage. Default 0.
    pub top_k: usize,
    /// The percentiles of the training rows at which numeric features are cut, each in `[0, 100]`, at least one.
    /// Default quartiles, 25, 50 and 75; [`DECILES`](xai_core::tabular::discretizer::DECILES) are another choice.
    pub disc_perc: Vec<f64>,
    /// The cuts of numeric features by name, in place of percentiles. The thresholds of a tree model are a good choice:
    /// within its bins the model is constant. Default none.
    pub edges: BTreeMap<String, Edges>,
    /// What numeric features that an anchor holds are drawn from. Default `"mixed"`.
    pub sampling: Sampling,
    /// Weights with which training rows are drawn, one for each, finite, at least 0, with a positive sum, for instance
    /// those of [`class_balanced_weights`](crate::class_balanced_weights). They decide where the features that an
    /// anchor does not hold come from. The numbers that it holds are drawn unweighted from the rows that satisfy it, and
    /// so are the whole rows of [`Conditional`](Sampling::Conditional), which ignores the weights. Coverage does not
    /// know them. Default `None`: all equal.
    pub row_weights: Option<Vec<f64>>,
    /// What a missing value, NaN, in a numeric feature is. Default `"error"`.
    pub missing: Missing,
    /// How the model's outputs are read. Default `"auto"`: the class of the largest of several columns, or one column
    /// of labels.
    pub output: Output,
    /// The rows whose share an anchor's coverage is. Default `"auto"`: all training rows up to a million, a sample of
    /// them beyond.
    pub coverage: CoverageSet,
    /// [`Reference`](Semantics::Reference) follows alibi where it differs: samples of a parent count for its children,
    /// the proved exploration rate, ties by place, its own rule for the empty anchor, redundant predicates tried, valid
    /// anchors extended, no sweep and no pruning, coverage from a sample, examples from the last request, `stop_on_first` ignored.
    /// Default `"native"`.
    pub semantics: Semantics,
}

/// Where the values of the features that an anchor holds come from. The other features always come together from one
/// training row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
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
pub enum Missing {
    /// An error.
    #[default]
    Error,
    /// A bin of its own, with the predicates `is missing` and `is not missing`. The model is asked about NaN.
    OwnBin,
}

/// What coverage is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
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
            threshold: 0.95,
            delta: 0.1,
            tau: 0.15,
            exploration: Exploration::Practical,
            batch_size: 100,
            coverage_samples: 10_000,
            beam_size: 1,
            stop_on_first: false,
            max_anchor_size: None,
            min_samples_start: 100,
            n_covered_ex: 10,
            epsilon_stop: 0.05,
            binary_cache_size: 10_000,
            cache_margin: 1000,
            verbose: false,
            verbose_every: 1,
            strict: false,
            final_samples: 1000,
            max_samples: 1_000_000,
            coverage_sweep: true,
            coverage_gain: 0.2,
            top_k: 0,
            disc_perc: QUARTILES.to_vec(),
            edges: BTreeMap::new(),
            sampling: Sampling::Mixed,
            row_weights: None,
            missing: Missing::Error,
            output: Output::Auto,
            coverage: CoverageSet::Auto,
            semantics: Semantics::Native,
        }
    }
}

impl Params for AnchorTabularParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.settings().validate()?;
        let samples = self.coverage_samples;
        let rule = "at least 1 and at most 2^24";
        require((1..=1 << 24).contains(&samples), "coverage_samples", rule, samples)?;
        require(1 <= self.binary_cache_size, "binary_cache_size", "at least 1", 0)?;
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
        self.output.validate()
    }
}

impl AnchorTabularParams {
    /// The defaults of alibi's `DistributedAnchorTabular`: those of this class with one sample to start with.
    ///
    /// There is no second class: this one uses the threads of the rayon pool that it is called from, and its
    /// explanations do not depend on their number.
    #[must_use]
    pub fn distributed() -> Self {
        AnchorTabularParams { min_samples_start: 1, ..Default::default() }
    }

    /// Fits the method to training rows, shape `(n_rows, n_columns)`: where numeric features are cut, and what
    /// perturbations are drawn from.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range or no training rows;
    /// [`Error::Shape`](xai_core::Error::Shape), [`Error::NotFinite`](xai_core::Error::NotFinite) or
    /// [`Error::Category`](xai_core::Error::Category) for rows that do not fit the features.
    ///
    /// # Cost
    /// No model queries; one bit for each training row and category or edge.
    pub fn fit(self, training: &Rows, features: Features) -> Result<AnchorTabular> {
        AnchorTabular::new(self.check()?, training, features)
    }

    pub(crate) fn settings(&self) -> Settings {
        let native = self.semantics == Semantics::Native;
        Settings {
            threshold: self.threshold,
            delta: self.delta,
            tau: self.tau,
            exploration: if native { self.exploration } else { Exploration::Proved },
            batch_size: self.batch_size,
            beam_size: self.beam_size,
            stop_on_first: self.stop_on_first && native,
            max_anchor_size: self.max_anchor_size,
            min_samples_start: self.min_samples_start,
            epsilon_stop: self.epsilon_stop,
            max_samples: self.max_samples,
            coverage_sweep: self.coverage_sweep && native,
            coverage_gain: if native { self.coverage_gain } else { 0.0 },
            strict: self.strict,
            final_samples: self.final_samples,
            top_k: self.top_k,
            n_covered_ex: self.n_covered_ex,
            verbose: self.verbose,
            verbose_every: self.verbose_every,
            semantics: self.semantics,
        }
    }
}
