//! How words are hidden and filled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{ParamError, Params, Semantics, require};

/// The most of what is counted.
const MANY: usize = 1 << 24;

/// How a masked language model perturbs a text. Names and defaults are alibi's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageModelParams {
    /// Whether the hidden words of a text are filled at once or one after the other. Default `"parallel"`.
    pub filling: Filling,
    /// The probability that a word is hidden, in `(0, 1]`. At least one word always is. Default 0.5.
    pub sample_proba: f64,
    /// How many of the most likely tokens a word is drawn from, `1..=2^24`. Default 100.
    pub top_n: usize,
    /// What scores are divided by before the softmax, finite and above 0; of effect with `use_proba` alone. Default 1.
    pub temperature: f64,
    /// Whether tokens are drawn with the probabilities of the model; otherwise all of the `top_n` are equally likely.
    /// Default false.
    pub use_proba: bool,
    /// How many different choices of hidden words there are among the samples of a request, as a share of them, in
    /// `[0, 1]`, at least one. Of effect with parallel filling alone: the model then reads each choice once and fills it
    /// many times. Default 0.1.
    pub frac_mask_templates: f64,
    /// Texts that the language model reads in one call, `1..=2^24`. It has no effect on results. Default 32.
    pub batch_size_lm: usize,
    /// Characters of punctuation: a token of nothing else is never hidden. Default the 32 of ASCII.
    pub punctuation: String,
    /// Words that are never hidden, in any case. Default none.
    pub stopwords: Vec<String>,
    /// Whether punctuation may fill a word. Default false.
    pub sample_punctuation: bool,
    /// [`Reference`](Semantics::Reference) follows alibi where it differs: a token with one character of
    /// punctuation is punctuation, a word after punctuation that the vocabulary writes as the tail of another is never
    /// hidden, and coverage repeats its choices of hidden words as samples do. Default `"native"`.
    pub semantics: Semantics,
}

/// The order in which hidden words are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// All at once, each independently of the others.
    #[default]
    Parallel,
    /// From left to right, each in the context of those before it. The model reads a text once for each hidden word.
    Autoregressive,
}

impl Default for LanguageModelParams {
    fn default() -> Self {
        LanguageModelParams {
            filling: Filling::Parallel,
            sample_proba: 0.5,
            top_n: 100,
            temperature: 1.0,
            use_proba: false,
            frac_mask_templates: 0.1,
            batch_size_lm: 32,
            punctuation: r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##.to_owned(),
            stopwords: Vec::new(),
            sample_punctuation: false,
            semantics: Semantics::Native,
        }
    }
}

impl Params for LanguageModelParams {
    fn validate(&self) -> Result<(), ParamError> {
        let Self { sample_proba, top_n, temperature, frac_mask_templates, batch_size_lm, .. } =
            *self;
        let counted = |name, value| {
            require((1..=MANY).contains(&value), name, "between 1 and 2^24", value)
        };
        require(
            0.0 < sample_proba && sample_proba <= 1.0,
            "sample_proba",
            "above 0 and at most 1",
            sample_proba,
        )?;
        counted("top_n", top_n)?;
        require(
            0.0 < temperature && temperature < f64::INFINITY,
            "temperature",
            "finite and above 0",
            temperature,
        )?;
        require(
            (0.0..=1.0).contains(&frac_mask_templates),
            "frac_mask_templates",
            "between 0 and 1",
            frac_mask_templates,
        )?;
        counted("batch_size_lm", batch_size_lm)
    }
}
