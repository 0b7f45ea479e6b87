//! The settings of AnchorText.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, Semantics, require};

use super::analyzer::Pos;
use super::explainer::{AnchorText, TextResources};
use crate::bandit::Exploration;
use crate::output::Output;
use crate::search::Settings;

/// Settings of [`AnchorText`]. Names follow alibi where it has the parameter; the symbols are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnchorTextParams {
    /// How perturbations are made. Default `"unknown"`.
    pub sampling_strategy: SamplingStrategy,
    /// The probability with which a word that an anchor does not hold is perturbed, in `(0, 1]`. Default 0.5.
    pub sample_proba: f64,
    /// What stands in the place of a perturbed word with `unknown`; `None` deletes the word together with the space in
    /// front of it. Default `"UNK"`.
    pub mask_string: Option<String>,
    /// With `similarity` and `language_model`, how many replacements a word is drawn from, at least 1. Default 100.
    pub top_n: usize,
    /// With `use_proba`, what similarities or logits are divided by before they become probabilities, finite and above
    /// 0. Default 1.
    pub temperature: f64,
    /// Whether likely replacements are drawn more often; otherwise each of the `top_n` is as likely as any other.
    /// Default false.
    pub use_proba: bool,
    /// With `similarity`, words that are never perturbed. Default `["be"]`.
    pub forbidden_words: Vec<String>,
    /// With `similarity`, lemmas of words that are never perturbed. Default none.
    pub forbidden_lemmas: Vec<String>,
    /// With `similarity`, fine tags of words that are never perturbed. Default `["PRP$"]`.
    pub forbidden_tags: Vec<String>,
    /// With `similarity`, the parts of speech that are perturbed; empty for all. Default nouns, verbs, adjectives,
    /// adverbs, adpositions and determiners.
    pub perturbed_pos: Vec<Pos>,
    /// With `similarity`, whether a replacement must have, when tagged alone, the fine tag that the word has in its
    /// sentence. Default true.
    pub same_tag: bool,
    /// With `similarity`, how many of the nearest words are looked at for replacements, at least 1. Default 500.
    pub n_nearest: usize,
    /// With `similarity`, the least natural logarithm of a replacement's probability, where the word vectors know it.
    /// Default -15.
    pub min_log_probability: f64,
    /// With `language_model`, whether the masked words of a sample are filled at once or one after the other, each
    /// knowing those before. Default `"parallel"`.
    pub filling: Filling,
    /// With `language_model` and parallel filling, the number of masked sentences as a share of the number of samples,
    /// in `[0, 1]`; at least one is made. Default 0.1.
    pub frac_mask_templates: f64,
    /// With `language_model`, the most sentences it is asked about at once, at least 1. Default 32.
    pub batch_size_lm: usize,
    /// With `language_model`, the characters of which punctuation is made; tokens of nothing else are never masked.
    /// Default the 32 of ASCII.
    pub punctuation: String,
    /// With `language_model`, words that are never masked, compared in lower case. Default none.
    pub stopwords: Vec<String>,
    /// With `language_model`, whether punctuation may take the place of a word. Default false.
    pub sample_punctuation: bool,
    /// How samples are written. Default `"splice"`; `spaces` with the reference semantics.
    pub join: Join,
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
    /// Perturbations of the coverage set, `1..=2^24`; the model is not asked for them. Default 10,000.
    pub coverage_samples: usize,
    /// How many anchors of each size are extended, `1..=2^24`. Symbol B. Default 1.
    pub beam_size: usize,
    /// Whether to stop at the first valid anchor, which has the fewest words. Default true.
    pub stop_on_first: bool,
    /// The most words of an anchor, at least 1. Default `None`: as many as there are.
    pub max_anchor_size: Option<usize>,
    /// Perturbations for the first look at the empty anchor, `1..=2^24`. Default 100.
    pub min_samples_start: usize,
    /// The most examples to show of each partial anchor and each outcome. Default 10.
    pub n_covered_ex: usize,
    /// An anchor is valid when its precision so far reaches the threshold and the lower bound of the precision is
    /// above the threshold minus this; in `(0, threshold]`. Default 0.05.
    pub epsilon_stop: f64,
    /// Room for samples in batches, at least 1. It has no effect: the log of samples grows as needed, at a bit for each
    /// word and sample. Default 10,000.
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
    /// whether the search then goes on for wider ones. Without effect on a search that stops on the first. Default true.
    pub coverage_sweep: bool,
    /// How much more a longer anchor must cover than the best so far, as a share for each word more, finite and at
    /// least 0. Default 0.2.
    pub coverage_gain: f64,
    /// How many candidates to show: the valid ones of largest coverage, then those that no other beats both in
    /// precision and in coverage. Default 0.
    pub top_k: usize,
    /// How the model's outputs are read. Default `"auto"`: the class of the largest of several columns, or one column
    /// of labels.
    pub output: Output,
    /// [`Reference`](Semantics::Reference) follows alibi where it differs: words joined with single spaces, words that
    /// can never change tried as predicates, samples of a parent count for its children, the proved exploration rate,
    /// ties by place, its own rule for the empty anchor, no sweep and no pruning, examples from the last request.
    /// Default `"native"`.
    pub semantics: Semantics,
}

/// How words are perturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamplingStrategy {
    /// By a word that says nothing, `mask_string`, or by nothing.
    #[default]
    Unknown,
    /// By words with similar vectors.
    Similarity,
    /// By words that a masked language model expects.
    LanguageModel,
}

/// How a language model fills the masked words of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// All at once, each without knowing the others.
    #[default]
    Parallel,
    /// One after the other from left to right.
    Autoregressive,
}

/// How a sample is put together from its words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// Replacements stand where the words stood; all that is between the words stays.
    #[default]
    Splice,
    /// Words are joined with single spaces, as in alibi; the decision to keep is then the one for the text so written.
    Spaces,
}

impl Default for AnchorTextParams {
    fn default() -> Self {
        AnchorTextParams {
            sampling_strategy: SamplingStrategy::Unknown,
            sample_proba: 0.5,
            mask_string: Some("UNK".to_owned()),
            top_n: 100,
            temperature: 1.0,
            use_proba: false,
            forbidden_words: vec!["be".to_owned()],
            forbidden_lemmas: Vec::new(),
            forbidden_tags: vec!["PRP$".to_owned()],
            perturbed_pos: vec![Pos::Noun, Pos::Verb, Pos::Adj, Pos::Adv, Pos::Adp, Pos::Det],
            same_tag: true,
            n_nearest: 500,
            min_log_probability: -15.0,
            filling: Filling::Parallel,
            frac_mask_templates: 0.1,
            batch_size_lm: 32,
            punctuation: "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".to_owned(),
            stopwords: Vec::new(),
            sample_punctuation: false,
            join: Join::Splice,
            threshold: 0.95,
            delta: 0.1,
            tau: 0.15,
            exploration: Exploration::Practical,
            batch_size: 100,
            coverage_samples: 10_000,
            beam_size: 1,
            stop_on_first: true,
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
            output: Output::Auto,
            semantics: Semantics::Native,
        }
    }
}

impl Params for AnchorTextParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.settings().validate()?;
        let probability = self.sample_proba;
        let allowed = 0.0 < probability && probability <= 1.0;
        require(allowed, "sample_proba", "above 0 and at most 1", probability)?;
        require(1 <= self.top_n, "top_n", "at least 1", self.top_n)?;
        let temperature = self.temperature;
        let allowed = 0.0 < temperature && temperature.is_finite();
        require(allowed, "temperature", "finite and above 0", temperature)?;
        require(1 <= self.n_nearest, "n_nearest", "at least 1", self.n_nearest)?;
        let least = self.min_log_probability;
        require(!least.is_nan(), "min_log_probability", "a number", least)?;
        let share = self.frac_mask_templates;
        require((0.0..=1.0).contains(&share), "frac_mask_templates", "between 0 and 1", share)?;
        require(1 <= self.batch_size_lm, "batch_size_lm", "at least 1", self.batch_size_lm)?;
        let samples = self.coverage_samples;
        let rule = "at least 1 and at most 2^24";
        require((1..=1 << 24).contains(&samples), "coverage_samples", rule, samples)?;
        require(1 <= self.binary_cache_size, "binary_cache_size", "at least 1", 0)?;
        self.output.validate()
    }
}

impl AnchorTextParams {
    /// The explainer with these settings and the resources that its sampling strategy needs: an analyzer that knows
    /// tags and word vectors for `similarity`, a language model for `language_model`, none for `unknown`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range, and when a resource is missing.
    ///
    /// # Cost
    /// No model queries; the texts of a corpus are cut into words.
    pub fn build(self, resources: TextResources<'_>) -> Result<AnchorText<'_>> {
        AnchorText::new(self.check()?, resources)
    }

    /// How samples are really joined.
    pub(crate) fn join(&self) -> Join {
        match self.semantics {
            Semantics::Native => self.join,
            Semantics::Reference => Join::Spaces,
        }
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
            stop_on_first: self.stop_on_first,
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
