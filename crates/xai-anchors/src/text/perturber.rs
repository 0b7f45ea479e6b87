//! What the neighbourhood of a text asks of a way to perturb it.
//!
//! The seam between the search and the samplers: `unknown`, `similarity` and `language_model` each implement
//! [`Perturber`] for one text, and everything else (the search, the certificate, the explanation) is the same for all.

use xai_core::{Result, Run, Seed};

use super::analyzer::Token;
use crate::bits::Bits;

/// One way to perturb one text.
///
/// It is made for one text and lives as long as its explanation; it may keep caches, which must not reach the results.
/// What a [`Draw`] gives depends on the draw alone, never on earlier draws or on those beside it.
pub(crate) trait Perturber {
    /// The search features, in the order of the text: words that an anchor can hold. Their places in this list are
    /// what [`Draw::held`], [`Samples::kept`] and the search call them. A word that can never change is left out
    /// with the native semantics, since holding it says nothing.
    fn words(&self) -> &[Word];

    /// The text as samples are written when nothing is changed: the decision that samples are compared with is the
    /// model's for it.
    fn unperturbed(&self) -> &str;

    /// Which of `n` perturbations with nothing held keep each word: one set for each of [`words`](Self::words), of
    /// length `n`. Masks only: no text is written and no language model is asked.
    fn coverage(&self, n: usize, seed: Seed) -> Vec<Bits>;

    /// Draws perturbations, for each of the draws its own; several come in one call so that a language model can be
    /// asked for all of them at once.
    ///
    /// # Errors
    /// Those of a resource, such as a language model that fails.
    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>>;

    /// Says in the explanation's warnings what is doubtful about the perturbations of this text. Default nothing.
    fn warn(&self, run: &mut Run<'_>) {
        let _ = run;
    }

    /// Texts that a language model has read so far. Default `None`: there is no language model.
    fn language_model_passes(&self) -> Option<u64> {
        None
    }
}

/// A word that an anchor can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word as it stands in the text, a whole one even where it is made of several tokens.
    pub text: String,
    /// Where it begins and ends in the text, in characters.
    pub chars: [usize; 2],
    /// The same in bytes.
    pub bytes: [usize; 2],
    /// What alibi reports as its position: where it begins in characters for `unknown` and `similarity`, the index of
    /// its first token for `language_model`.
    pub position: usize,
}

impl Word {
    /// A token as a word, its position that of its first character.
    pub(crate) fn of(token: &Token) -> Self {
        let Token { text, chars, bytes, .. } = token;
        Word { text: text.clone(), chars: *chars, bytes: *bytes, position: chars[0] }
    }
}

/// Perturbations wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw<'a> {
    /// The words that stay, as places in [`Perturber::words`], ascending.
    pub held: &'a [usize],
    /// How many perturbations.
    pub n: usize,
    /// All randomness of the draw; its own for each anchor, purpose and batch.
    pub seed: Seed,
}

/// Perturbations of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Samples {
    /// The texts, whole: no text is ever cut.
    pub texts: Vec<String>,
    /// For each of [`Perturber::words`] the samples that keep it, of length `texts.len()`; all of them for a held word.
    pub kept: Vec<Bits>,
}
