//! Words replaced by words with similar vectors.

use std::collections::{BTreeMap, BTreeSet};

use xai_core::{Result, Seed, Semantics, parallel};

use super::analyzer::{TextAnalyzer, Token};
use super::params::AnchorTextParams;
use super::perturber::{Draw, Perturber, Samples, Word};
use super::rendering::Rendering;
use super::unknown::masks;
use super::vectors::WordVectors;
use crate::bits::Bits;

/// The label of the seed of replacements, below that of a draw.
const REPLACEMENTS: u64 = 1;

/// What takes the place of a word.
#[derive(Clone, Debug, PartialEq)]
struct Pool {
    /// Words as places in the vocabulary, most similar first; at least one.
    words: Vec<usize>,
    /// The sums of the weights up to each word, with `use_proba`.
    sums: Option<Vec<f64>>,
}

/// Each word that may change and is not held is replaced with the same probability, independently of the others.
pub(crate) struct Similarity<'a> {
    params: &'a AnchorTextParams,
    vectors: &'a WordVectors,
    rendering: Rendering<'a>,
    words: Vec<Word>,
    /// The token of each word.
    tokens: Vec<usize>,
    /// What each word is replaced by; `None` for one that never changes.
    pools: Vec<Option<Pool>>,
}

impl<'a> Similarity<'a> {
    pub(crate) fn new(
        params: &'a AnchorTextParams,
        (vectors, analyzer): (&'a WordVectors, &dyn TextAnalyzer),
        text: &'a str,
        tokens: &[Token],
    ) -> Self {
        let of_token = pools(params, (vectors, analyzer), tokens);
        let native = params.semantics == Semantics::Native;
        let own: Vec<usize> =
            (0..tokens.len()).filter(|&token| !native || of_token[token].is_some()).collect();
        Similarity {
            params,
            vectors,
            rendering: Rendering::new(text, tokens, params.join()),
            words: own.iter().map(|&token| Word::of(&tokens[token])).collect(),
            pools: own.iter().map(|&token| of_token[token].clone()).collect(),
            tokens: own,
        }
    }

    /// The words that never change, and some that are held; ascending.
    fn fixed(&self, held: &[usize]) -> Vec<usize> {
        let is_fixed = |word: &usize| self.pools[*word].is_none() || held.contains(word);
        (0..self.words.len()).filter(is_fixed).collect()
    }
}

/// What each token may be replaced by.
fn pools(
    params: &AnchorTextParams,
    (vectors, analyzer): (&WordVectors, &dyn TextAnalyzer),
    tokens: &[Token],
) -> Vec<Option<Pool>> {
    // Equal words with equal tags have equal neighbours.
    let place = |token: &Token| match may_change(params, token) {
        true => vectors.place(&token.text).map(|word| (word, token.tag.clone())),
        false => None,
    };
    let places: Vec<Option<(usize, Option<String>)>> = tokens.iter().map(place).collect();
    let distinct: BTreeSet<usize> = places.iter().flatten().map(|(word, _)| *word).collect();
    let distinct: Vec<usize> = distinct.into_iter().collect();
    let nearest = vectors.nearest(&distinct, params.n_nearest, params.min_log_probability);
    let tags = match params.same_tag {
        true => tags(&nearest, vectors, analyzer),
        false => BTreeMap::new(),
    };
    let pool = |(word, tag): &(usize, Option<String>)| {
        let own = &nearest[distinct.binary_search(word).expect("each was asked for")];
        let fits = |other: &usize| !params.same_tag || tags[other] == *tag;
        let (words, similarities): (Vec<usize>, Vec<f64>) = own
            .iter()
            .filter(|(other, _)| vectors.words()[*other] != vectors.words()[*word] && fits(other))
            .take(params.top_n)
            .copied()
            .unzip();
        let sums = params.use_proba.then(|| sums(&similarities, params.temperature));
        (!words.is_empty()).then_some(Pool { words, sums })
    };
    places.iter().map(|place| place.as_ref().and_then(pool)).collect()
}

/// Whether the settings let a token change.
fn may_change(params: &AnchorTextParams, token: &Token) -> bool {
    let among = |list: &[String], own: Option<&String>| own.is_some_and(|own| list.contains(own));
    let pos = &params.perturbed_pos;
    !params.forbidden_words.contains(&token.text)
        && !among(&params.forbidden_lemmas, token.lemma.as_ref())
        && !among(&params.forbidden_tags, token.tag.as_ref())
        && (pos.is_empty() || token.pos.is_some_and(|own| pos.contains(&own)))
}

/// The tags that some words have when they stand alone, each asked for once.
fn tags(
    nearest: &[Vec<(usize, f64)>],
    vectors: &WordVectors,
    analyzer: &dyn TextAnalyzer,
) -> BTreeMap<usize, Option<String>> {
    let words: BTreeSet<usize> = nearest.iter().flatten().map(|(word, _)| *word).collect();
    let words: Vec<usize> = words.into_iter().collect();
    let tag = |place: usize| analyzer.tag_alone(&vectors.words()[words[place]]);
    let tags = parallel::map(0..words.len(), tag);
    words.into_iter().zip(tags).collect()
}

/// The sums of the softmax weights up to each similarity, which descend; the first is not 0.
fn sums(similarities: &[f64], temperature: f64) -> Vec<f64> {
    let largest = similarities.first().copied().unwrap_or_default();
    let mut sum = 0.0;
    let add = |own: &f64| {
        sum += ((own - largest) / temperature).exp();
        sum
    };
    similarities.iter().map(add).collect()
}

impl Perturber for Similarity<'_> {
    fn words(&self) -> &[Word] {
        &self.words
    }

    fn unperturbed(&self) -> &str {
        self.rendering.unperturbed()
    }

    fn coverage(&self, n: usize, seed: Seed) -> Vec<Bits> {
        masks((self.words.len(), &self.fixed(&[])), self.params.sample_proba, n, seed)
    }

    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>> {
        let mut replacements: Vec<Option<usize>> = vec![None; self.rendering.len()];
        let mut one = |draw: &Draw<'_>| {
            let of = (self.words.len(), &self.fixed(draw.held)[..]);
            let kept = masks(of, self.params.sample_proba, draw.n, draw.seed);
            let mut stream = draw.seed.child(REPLACEMENTS).stream();
            let text = |sample: usize| {
                for ((&token, kept), pool) in self.tokens.iter().zip(&kept).zip(&self.pools) {
                    let pool = pool.as_ref().filter(|_| !kept.get(sample));
                    replacements[token] = pool.map(|pool| match &pool.sums {
                        None => pool.words[stream.index(pool.words.len())],
                        Some(sums) => {
                            let last = sums.len() - 1;
                            let place = stream.uniform() * sums[last];
                            pool.words[sums.partition_point(|&sum| sum <= place).min(last)]
                        }
                    });
                }
                let word = |place: usize| self.vectors.words()[place].as_str();
                self.rendering.written(|token| replacements[token].map(word))
            };
            Samples { texts: (0..draw.n).map(text).collect(), kept }
        };
        Ok(draws.iter().map(&mut one).collect())
    }
}
