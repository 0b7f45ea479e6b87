//! How a masked language model perturbs texts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, require};

/// How a language model fills the masked words of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filling {
    /// All at once, each independently of the others.
    #[default]
    Parallel,
    /// One after the other from left to right, each in the context of those before it.
    Autoregressive,
}

/// The characters of ASCII that are punctuation.
pub(crate) const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Settings of a language model that masks words and fills them in again; a part of
/// [`AnchorTextParams`](crate::AnchorTextParams).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FillingParams {
    /// The probability with which a word outside the anchor is masked, in `(0, 1]`. Default 0.5.
    pub sample_proba: f64,
    /// How many of the most likely tokens a word is drawn from, at least 1. Default 100.
    pub top_n: usize,
    /// With `use_proba`, what scores are divided by before they become probabilities, finite and above 0. Default 1.
    pub temperature: f64,
    /// Whether likely tokens are drawn more often; otherwise each of the `top_n` is as likely as any other. Default
    /// false.
    pub use_proba: bool,
    /// Whether the masked words of a sample are filled at once or one after the other. Default `parallel`.
    pub filling: Filling,
    /// With parallel filling, the number of masked sentences as a share of the number of samples, in `[0, 1]`; at least
    /// one is made. Default 0.1.
    pub frac_mask_templates: f64,
    /// The largest number of sentences in one call of the language model, at least 1. Default 32.
    pub batch_size_lm: usize,
    /// The punctuation characters; tokens of nothing else are never masked. Default the 32 of ASCII.
    pub punctuation: String,
    /// Words that are never masked, compared in lower case. Default none.
    pub stopwords: Vec<String>,
    /// Whether punctuation may replace a word. Default false.
    pub sample_punctuation: bool,
}

impl Default for FillingParams {
    fn default() -> Self {
        FillingParams {
            sample_proba: 0.5,
            top_n: 100,
            temperature: 1.0,
            use_proba: false,
            filling: Filling::Parallel,
            frac_mask_templates: 0.1,
            batch_size_lm: 32,
            punctuation: PUNCTUATION.to_owned(),
            stopwords: Vec::new(),
            sample_punctuation: false,
        }
    }
}

xai_core::setters! {
    FillingParams {
        with_sample_proba => sample_proba: f64,
        with_top_n => top_n: usize,
        with_temperature => temperature: f64,
        with_use_proba => use_proba: bool,
        with_filling => filling: Filling,
        with_frac_mask_templates => frac_mask_templates: f64,
        with_batch_size_lm => batch_size_lm: usize,
        with_punctuation => punctuation: String,
        with_stopwords => stopwords: Vec<String>,
        with_sample_punctuation => sample_punctuation: bool,
    }
}

impl Params for FillingParams {
    fn validate(&self) -> Result<(), ParamError> {
        let probability = self.sample_proba;
        let allowed = 0.0 < probability && probability <= 1.0;
        require(allowed, "sample_proba", "above 0 and at most 1", probability)?;
        require(1 <= self.top_n, "top_n", "at least 1", self.top_n)?;
        let temperature = self.temperature;
        let allowed = 0.0 < temperature && temperature.is_finite();
        require(allowed, "temperature", "finite and above 0", temperature)?;
        let share = self.frac_mask_templates;
        require((0.0..=1.0).contains(&share), "frac_mask_templates", "between 0 and 1", share)?;
        require(1 <= self.batch_size_lm, "batch_size_lm", "at least 1", self.batch_size_lm)
    }
}
