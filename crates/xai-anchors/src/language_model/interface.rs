//! What the sampler needs of a masked language model.

use std::ops::Range;

use ndarray::Array2;
use xai_core::BoxError;

/// A masked language model with its tokenizer.
///
/// Rows of token ids are those of a text alone: the model adds what it needs around them (`[CLS]`, `[SEP]`) and counts
/// positions without it.
///
/// The promise of equal bytes at any batch size holds for models that treat rows independently, that is, whose scores
/// for a row do not depend on the other rows of the batch.
pub trait LanguageModel: Sync {
    /// The tokens of a text from left to right, without special tokens around them.
    ///
    /// # Errors
    /// Whatever stops the tokenizer.
    fn tokenize(&self, text: &str) -> Result<Vec<TextToken>, BoxError>;

    /// How many tokens the vocabulary has; their ids are `0..n_vocabulary`.
    fn n_vocabulary(&self) -> usize;

    /// A token as the vocabulary writes it, for instance `##ing`; `None` for an id that is not in use.
    fn token(&self, id: u32) -> Option<&str>;

    /// Tokens as text, without special ones.
    ///
    /// # Errors
    /// Whatever stops the decoder.
    fn decode(&self, ids: &[u32]) -> Result<String, BoxError>;

    /// Whether a token, as the vocabulary writes it, continues a word that tokens before it have begun.
    fn is_subword_tail(&self, token: &str) -> bool;

    /// The token that stands for a hidden word.
    fn mask_id(&self) -> u32;

    /// The tokens that no text contains, that of the mask among them: they never fill a word.
    fn special_ids(&self) -> Vec<u32>;

    /// The most tokens of a text that the model reads at once, with room left for the special tokens around them;
    /// `None` without a limit.
    fn max_tokens(&self) -> Option<usize>;

    /// Scores of all tokens of the vocabulary at some positions of each row, shape `(n_positions, n_vocabulary)`, with
    /// the positions of the first row first.
    ///
    /// Scores are wanted at hidden words alone: those of all positions would take, for 32 rows of 512 tokens of BERT's
    /// vocabulary, two GB, most of them unused. Rows may have different lengths, so that no attention mask is
    /// needed to exclude padding; a model that pads does so itself.
    ///
    /// # Errors
    /// Whatever stops the model.
    fn logits_at(&self, rows: &[&[u32]], positions: &[&[usize]]) -> Result<Array2<f32>, BoxError>;
}

/// A token of a text, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextToken {
    /// Its place in the vocabulary.
    pub id: u32,
    /// The bytes of the text that it stands for, with or without white space around them.
    pub bytes: Range<usize>,
}
