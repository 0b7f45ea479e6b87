//! The settings of AnchorText.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Result, require};

use super::analyzer::Pos;
use super::explainer::{AnchorText, TextResources};
use crate::filling::{Filling, FillingParams, PUNCTUATION};
use crate::params::{AnchorSearchParams, deserialize_params, set_defaults, with_search_fields};

/// Settings of [`AnchorText`]; the keys of `search` stand beside the others in JSON and TOML.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields, transform = set_defaults::<Self>)]
#[non_exhaustive]
pub struct AnchorTextParams {
    /// How perturbations are made. Default `"unknown"`.
    pub sampling_strategy: SamplingStrategy,
    /// The probability with which a word outside the anchor is perturbed, in `(0, 1]`. Default 0.5.
    pub sample_proba: f64,
    /// What replaces a perturbed word with `unknown`; `None` deletes the word together with the space before it. Default `"UNK"`.
    pub mask_string: Option<String>,
    /// With `similarity` and `language-model`, how many replacements a word is drawn from, at least 1. Default 100.
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
    /// With `similarity`, how many of the nearest words are considered as replacements, at least 1. Default 500.
    pub n_nearest: usize,
    /// With `similarity`, the least natural logarithm of a replacement's probability, where the word vectors know it.
    /// Default -15.
    pub min_log_probability: f64,
    /// With `language-model`, whether the masked words of a sample are filled at once or one after the other, each
    /// in the context of those before. Default `"parallel"`.
    pub filling: Filling,
    /// With `language-model` and parallel filling, the number of masked sentences as a share of the number of samples,
    /// in `[0, 1]`; at least one is made. Default 0.1.
    pub frac_mask_templates: f64,
    /// With `language-model`, the largest number of sentences in one call of it, at least 1. Default 32.
    pub batch_size_lm: usize,
    /// With `language-model`, the punctuation characters; tokens of nothing else are never masked.
    /// Default the 32 of ASCII.
    pub punctuation: String,
    /// With `language-model`, words that are never masked, compared in lower case. Default none.
    pub stopwords: Vec<String>,
    /// With `language-model`, whether punctuation may replace a word. Default false.
    pub sample_punctuation: bool,
    /// How samples are written. Default `"splice"`.
    pub join: Join,
    /// The settings of the search. `coverage_samples` are perturbations. `stop_on_first` is true by default, so that
    /// `coverage_sweep` and `coverage_gain` have no effect unless it is set to false.
    #[serde(flatten)]
    pub search: AnchorSearchParams,
}

/// How words are perturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SamplingStrategy {
    /// By the word `mask_string`, or deleted.
    #[default]
    Unknown,
    /// By words with similar vectors.
    Similarity,
    /// By words that a masked language model expects.
    LanguageModel,
}

/// How a sample is put together from its words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Join {
    /// Replacements are put where the words were, and everything between the words stays; a space is put between a
    /// replacement and a word that touches it.
    #[default]
    Splice,
    /// Words are joined with single spaces, as in alibi; the decision that samples are compared with is then that for the
    /// text so written.
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
            punctuation: PUNCTUATION.to_owned(),
            stopwords: Vec::new(),
            sample_punctuation: false,
            join: Join::Splice,
            search: AnchorSearchParams::default().with_stop_on_first(true),
        }
    }
}

deserialize_params! {
    AnchorTextParams {
        sampling_strategy,
        sample_proba,
        mask_string,
        top_n,
        temperature,
        use_proba,
        forbidden_words,
        forbidden_lemmas,
        forbidden_tags,
        perturbed_pos,
        same_tag,
        n_nearest,
        min_log_probability,
        filling,
        frac_mask_templates,
        batch_size_lm,
        punctuation,
        stopwords,
        sample_punctuation,
        join,
    }
}

with_search_fields! { search_setters AnchorTextParams }

xai_core::setters! {
    AnchorTextParams {
        with_sampling_strategy => sampling_strategy: SamplingStrategy,
        with_sample_proba => sample_proba: f64,
        with_mask_string => mask_string: Option<String>,
        with_top_n => top_n: usize,
        with_temperature => temperature: f64,
        with_use_proba => use_proba: bool,
        with_forbidden_words => forbidden_words: Vec<String>,
        with_forbidden_lemmas => forbidden_lemmas: Vec<String>,
        with_forbidden_tags => forbidden_tags: Vec<String>,
        with_perturbed_pos => perturbed_pos: Vec<Pos>,
        with_same_tag => same_tag: bool,
        with_n_nearest => n_nearest: usize,
        with_min_log_probability => min_log_probability: f64,
        with_filling => filling: Filling,
        with_frac_mask_templates => frac_mask_templates: f64,
        with_batch_size_lm => batch_size_lm: usize,
        with_punctuation => punctuation: String,
        with_stopwords => stopwords: Vec<String>,
        with_sample_punctuation => sample_punctuation: bool,
        with_join => join: Join,
        with_search => search: AnchorSearchParams,
    }
}

impl Params for AnchorTextParams {
    fn validate(&self) -> Result<(), ParamError> {
        self.search.validate()?;
        self.filling_params().validate()?;
        require(1 <= self.n_nearest, "n_nearest", "at least 1", self.n_nearest)?;
        let least = self.min_log_probability;
        require(!least.is_nan(), "min_log_probability", "a number", least)
    }
}

impl AnchorTextParams {
    /// The explainer with these settings and the resources that its sampling strategy needs: an analyzer that knows
    /// tags and word vectors for `similarity`, a language model for `language-model`, none for `unknown`.
    ///
    /// # Errors
    /// [`Error::Param`](xai_core::Error::Param) for settings out of range, and when a resource is missing.
    ///
    /// # Cost
    /// No model queries; the texts of a corpus are cut into words.
    pub fn build(self, resources: TextResources<'_>) -> Result<AnchorText<'_>> {
        AnchorText::new(self.check()?, resources)
    }

    /// The settings of the language model.
    #[must_use]
    pub fn filling_params(&self) -> FillingParams {
        FillingParams {
            sample_proba: self.sample_proba,
            top_n: self.top_n,
            temperature: self.temperature,
            use_proba: self.use_proba,
            filling: self.filling,
            frac_mask_templates: self.frac_mask_templates,
            batch_size_lm: self.batch_size_lm,
            punctuation: self.punctuation.clone(),
            stopwords: self.stopwords.clone(),
            sample_punctuation: self.sample_punctuation,
        }
    }
}
