//! The interface of the ways to perturb a text.
//!
//! It separates the search from the samplers: `unknown`, `similarity` and `language-model` each implement
//! [`Perturber`] for one text, and everything else (the search, the certificate, the explanation) is the same for all.

use xai_core::{Result, Run, Seed};

use crate::bits::Bits;

/// One way to perturb one text.
///
/// It is made for one text and lives as long as its explanation; it may keep caches, which must not reach the results.
/// What a [`Draw`] gives depends on the draw alone, never on earlier draws or on those beside it.
pub(crate) trait Perturber {
    /// The search features, in the order of the text: words that can be in an anchor. Their indices in this list are
    /// what [`Draw::anchor`], [`Samples::kept`] and the search use. A word that can never change is left out, since it
    /// makes no difference to an anchor.
    fn words(&self) -> &[Word];

    /// The text as samples are written when nothing is changed: the decision that samples are compared with is the
    /// model's for it.
    fn unperturbed(&self) -> &str;

    /// Which of `n` perturbations without an anchor keep each word: one set for each of [`words`](Self::words), of
    /// length `n`. Masks only: no text is written and no language model is asked.
    fn coverage(&self, n: usize, seed: Seed) -> Vec<Bits>;

    /// Draws perturbations, one set for each draw; several come in one call so that a language model can be
    /// asked for all of them at once.
    ///
    /// # Errors
    /// Those of a resource, such as a language model that fails.
    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>>;

    /// Attaches warnings about the perturbations of this text to the explanation, which has a certificate or not.
    /// Default none.
    fn warn(&self, has_certificate: bool, run: &mut Run<'_>) {
        let _ = (has_certificate, run);
    }

    /// Texts that a language model has read so far. Default `None`: there is no language model.
    fn language_model_passes(&self) -> Option<u64> {
        None
    }
}

/// A word that an anchor can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word as in the text, a whole one even where it is made of several tokens.
    pub text: String,
    /// Where it begins and ends in the text, in characters.
    pub chars: [usize; 2],
    /// The same in bytes.
    pub bytes: [usize; 2],
    /// The index of its first token for a language model; `None` for the other strategies.
    pub first_token: Option<usize>,
}

/// Perturbations wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw<'a> {
    /// The words that stay, as indices in [`Perturber::words`], ascending.
    pub anchor: &'a [usize],
    /// How many perturbations.
    pub n: usize,
    /// All randomness of the draw; different for each anchor, purpose and batch.
    pub seed: Seed,
}

/// Perturbations of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Samples {
    /// The texts, whole: no text is ever cut.
    pub texts: Vec<String>,
    /// For each of [`Perturber::words`] the samples that keep it, of length `texts.len()`; all of them for a word of the anchor.
    pub kept: Vec<Bits>,
}
