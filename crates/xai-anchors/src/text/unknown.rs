//! Words replaced by a mask word, or deleted.

use xai_core::{Result, Seed};

use super::analyzer::Token;
use super::params::AnchorTextParams;
use super::rendering::Rendering;
use crate::bits::Bits;
use crate::perturber::{Draw, Perturber, Samples, Word};

/// Each word outside the anchor is masked with the same probability, independently of the others.
pub(crate) struct Unknown<'a> {
    params: &'a AnchorTextParams,
    rendering: Rendering<'a>,
    words: Vec<Word>,
    /// The token of each word.
    tokens: Vec<usize>,
}

impl<'a> Unknown<'a> {
    pub(crate) fn new(params: &'a AnchorTextParams, text: &'a str, tokens: &[Token]) -> Self {
        // A word that is the mask itself never changes.
        let changes =
            |token: &Token| params.mask_string.as_ref().is_none_or(|mask| *mask != token.text);
        let changing: Vec<usize> =
            (0..tokens.len()).filter(|&index| changes(&tokens[index])).collect();
        Unknown {
            params,
            rendering: Rendering::new(text, tokens, params.join),
            words: changing.iter().map(|&index| tokens[index].to_word()).collect(),
            tokens: changing,
        }
    }
}

/// Which of `n` samples keep each of `n_words` words: all for words of the anchor, and each other one with probability
/// `1 - probability`. Samples are drawn one after the other.
pub(crate) fn masks(
    n_words: usize,
    anchor: &[usize],
    probability: f64,
    n: usize,
    seed: Seed,
) -> Vec<Bits> {
    let mut stream = seed.stream();
    let mut kept = vec![Bits::all(n); n_words];
    for sample in 0..n {
        for (word, kept) in kept.iter_mut().enumerate() {
            if anchor.binary_search(&word).is_err() && stream.uniform() < probability {
                kept.remove(sample);
            }
        }
    }
    kept
}

impl Perturber for Unknown<'_> {
    fn words(&self) -> &[Word] {
        &self.words
    }

    fn unperturbed(&self) -> &str {
        self.rendering.unperturbed()
    }

    fn coverage(&self, n: usize, seed: Seed) -> Vec<Bits> {
        masks(self.words.len(), &[], self.params.sample_proba, n, seed)
    }

    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>> {
        let mut masked = vec![false; self.rendering.len()];
        let mut one = |draw: &Draw<'_>| {
            let (n_words, proba) = (self.words.len(), self.params.sample_proba);
            let kept = masks(n_words, draw.anchor, proba, draw.n, draw.seed);
            let text = |sample: usize| {
                for (&token, kept) in self.tokens.iter().zip(&kept) {
                    masked[token] = !kept.get(sample);
                }
                match &self.params.mask_string {
                    Some(mask) => self.rendering.written(|token| masked[token].then_some(mask)),
                    None => self.rendering.without(|token| masked[token]),
                }
            };
            Samples { texts: (0..draw.n).map(text).collect(), kept }
        };
        Ok(draws.iter().map(&mut one).collect())
    }
}
