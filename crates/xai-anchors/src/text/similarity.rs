//! Words replaced by words with similar vectors.

use std::collections::{BTreeMap, BTreeSet};

use xai_core::{Result, Seed, Stream, parallel};

use super::analyzer::{TextAnalyzer, Token};
use super::params::AnchorTextParams;
use super::rendering::Rendering;
use super::unknown::masks;
use super::vectors::WordVectors;
use crate::bits::Bits;
use crate::perturber::{Draw, Perturber, Samples, Word};

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

impl Pool {
    /// One of the words, as an index in the vocabulary.
    fn draw(&self, stream: &mut Stream) -> usize {
        match &self.sums {
            None => self.words[stream.index(self.words.len())],
            Some(sums) => {
                let last = sums.len() - 1;
                let at = stream.uniform() * sums[last];
                self.words[sums.partition_point(|&sum| sum <= at).min(last)]
            }
        }
    }
}

/// Each word that may change and is outside the anchor is replaced with the same probability, independently of the others.
pub(crate) struct Similarity<'a> {
    params: &'a AnchorTextParams,
    vectors: &'a WordVectors,
    rendering: Rendering<'a>,
    words: Vec<Word>,
    /// The token of each word.
    tokens: Vec<usize>,
    /// What each word is replaced by.
    pools: Vec<Pool>,
}

/// Where the words that take the place of others come from.
#[derive(Clone, Copy)]
pub(crate) struct Neighbours<'a> {
    pub vectors: &'a WordVectors,
    pub analyzer: &'a dyn TextAnalyzer,
}

impl<'a> Similarity<'a> {
    pub(crate) fn new(
        params: &'a AnchorTextParams,
        neighbours: Neighbours<'a>,
        text: &'a str,
        tokens: &[Token],
    ) -> Self {
        let (changing, pools): (Vec<usize>, Vec<Pool>) = pools(params, neighbours, tokens)
            .into_iter()
            .enumerate()
            .filter_map(|(token, pool)| Some((token, pool?)))
            .unzip();
        Similarity {
            params,
            vectors: neighbours.vectors,
            rendering: Rendering::new(text, tokens, params.join),
            words: changing.iter().map(|&token| tokens[token].to_word()).collect(),
            pools,
            tokens: changing,
        }
    }
}

/// What each token may be replaced by.
fn pools(
    params: &AnchorTextParams,
    neighbours: Neighbours<'_>,
    tokens: &[Token],
) -> Vec<Option<Pool>> {
    let Neighbours { vectors, analyzer } = neighbours;
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
        let candidates = &nearest[distinct.binary_search(word).expect("each was asked for")];
        let fits = |other: &usize| !params.same_tag || tags[other] == *tag;
        let (words, similarities): (Vec<usize>, Vec<f64>) = candidates
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
    let among =
        |list: &[String], word: Option<&String>| word.is_some_and(|word| list.contains(word));
    let pos = &params.perturbed_pos;
    !params.forbidden_words.contains(&token.text)
        && !among(&params.forbidden_lemmas, token.lemma.as_ref())
        && !among(&params.forbidden_tags, token.tag.as_ref())
        && (pos.is_empty() || token.pos.is_some_and(|of_token| pos.contains(&of_token)))
}

/// The tags that some words have when they are alone, each asked for once.
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
    let add = |similarity: &f64| {
        sum += ((similarity - largest) / temperature).exp();
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
        masks(self.words.len(), &[], self.params.sample_proba, n, seed)
    }

    fn sample(&mut self, draws: &[Draw<'_>]) -> Result<Vec<Samples>> {
        let mut replacements: Vec<Option<usize>> = vec![None; self.rendering.len()];
        let mut one = |draw: &Draw<'_>| {
            let (n_words, proba) = (self.words.len(), self.params.sample_proba);
            let kept = masks(n_words, draw.anchor, proba, draw.n, draw.seed);
            let mut stream = draw.seed.child(REPLACEMENTS).stream();
            let text = |sample: usize| {
                for ((&token, kept), pool) in self.tokens.iter().zip(&kept).zip(&self.pools) {
                    let is_replaced = !kept.get(sample);
                    replacements[token] = is_replaced.then(|| pool.draw(&mut stream));
                }
                let word = |place: usize| self.vectors.words()[place].as_str();
                self.rendering.written(|token| replacements[token].map(word))
            };
            Samples { texts: (0..draw.n).map(text).collect(), kept }
        };
        Ok(draws.iter().map(&mut one).collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use xai_core::Seed;

    use super::*;
    use crate::text::{Pos, RuleTokenizer};

    /// Adjectives, but for the words named here.
    struct Tags;

    impl TextAnalyzer for Tags {
        fn analyze(&self, text: &str) -> Vec<Token> {
            let mut tokens = RuleTokenizer.analyze(text);
            for token in &mut tokens {
                let (tag, pos) = match token.text.as_str() {
                    "film" => ("NN", Pos::Noun),
                    "her" => ("PRP$", Pos::Pron),
                    _ => ("JJ", Pos::Adj),
                };
                (token.tag, token.pos) = (Some(tag.to_owned()), Some(pos));
            }
            tokens
        }

        fn knows_tags(&self) -> bool {
            true
        }
    }

    const WORDS: [&str; 6] = ["bad", "fine", "good", "film", "great", "Good"];

    /// Cosines to `good`: bad -1, fine 0.6, film 1, great 0.8, Good 1.
    fn vectors() -> WordVectors {
        let vectors =
            array![[-2.0, 0.0], [3.0, 4.0], [1.0, 0.0], [7.0, 0.0], [4.0, 3.0], [1.0, 0.0]];
        WordVectors::new(WORDS.map(str::to_owned).to_vec(), &vectors).unwrap()
    }

    fn neighbours(vectors: &WordVectors) -> Neighbours<'_> {
        Neighbours { vectors, analyzer: &Tags }
    }

    fn pool_of(params: &AnchorTextParams, word: &str) -> Option<Pool> {
        let vectors = vectors();
        pools(params, neighbours(&vectors), &Tags.analyze(word)).remove(0)
    }

    fn names(pool: Option<Pool>) -> Vec<&'static str> {
        pool.map_or(Vec::new(), |pool| pool.words.iter().map(|&word| WORDS[word]).collect())
    }

    type P = AnchorTextParams;

    #[test]
    fn neighbours_are_ordered_by_cosine_and_filtered() {
        let base = P::default();
        assert_eq!(names(pool_of(&base, "good")), ["great", "fine", "bad"]);
        let all = base.clone().with_same_tag(false);
        assert_eq!(names(pool_of(&all, "good")), ["film", "great", "fine", "bad"]);
        assert_eq!(names(pool_of(&base.clone().with_top_n(2), "good")), ["great", "fine"]);
        // The word itself, film and great are the three nearest.
        assert_eq!(names(pool_of(&base.clone().with_n_nearest(3), "good")), ["great"]);
        // Nobody else is capitalised, a noun or in the vocabulary.
        assert!(["Good", "film", "nice"].iter().all(|word| pool_of(&base, word).is_none()));
    }

    #[test]
    fn settings_say_what_may_change() {
        let base = P::default().with_same_tag(false);
        let may = |params: &P, word: &str| may_change(params, &Tags.analyze(word)[0]);
        assert!(may(&base, "good") && !may(&base, "be"));
        assert!(!may(&base, "her"));
        let any = base.clone().with_perturbed_pos(Vec::new());
        assert!(!may(&any, "her"));
        assert!(may(&any.with_forbidden_tags(Vec::new()), "her"));
        assert!(!may(&base.clone().with_perturbed_pos(vec![Pos::Noun]), "good"));
        let mut token = Tags.analyze("good").remove(0);
        token.lemma = Some("well".to_owned());
        assert!(!may_change(&base.with_forbidden_lemmas(vec!["well".to_owned()]), &token));
    }

    /// Weights are `exp(similarity / temperature)`: the ratio of great to fine is `exp(0.2 / temperature)`.
    #[test]
    fn the_softmax_is_exact_and_never_overflows() {
        for temperature in [1e-9, 0.1, 1.0, 50.0] {
            let params = P::default().with_use_proba(true).with_temperature(temperature);
            let sums = pool_of(&params, "good").unwrap().sums.unwrap();
            let weights = [1.0, f64::exp(-0.2 / temperature), f64::exp(-1.8 / temperature)];
            let mut sum = 0.0;
            for (partial, weight) in sums.iter().zip(weights) {
                sum += weight;
                assert!((partial - sum).abs() < 1e-12, "{partial} and {sum}");
            }
        }
    }

    /// Shares of 40,000 samples, each within five standard errors of its probability.
    #[test]
    fn replacements_are_drawn_as_often_as_they_should_be() {
        let vectors = vectors();
        let text = "a good film";
        for (use_proba, weights) in [(false, [1.0, 1.0]), (true, [1.0, f64::exp(-0.4)])] {
            let temperature = 0.5;
            let params = P::default()
                .with_use_proba(use_proba)
                .with_temperature(temperature)
                .with_top_n(2)
                .with_sample_proba(0.3);
            let tokens = Tags.analyze(text);
            let mut similarity = Similarity::new(&params, neighbours(&vectors), text, &tokens);
            assert_eq!(similarity.words().len(), 1);
            let draw = Draw { anchor: &[], n: 40_000, seed: Seed::new(3) };
            let samples = similarity.sample(&[draw]).unwrap().remove(0);
            let total: f64 = weights.iter().sum();
            let expected = [0.7, 0.3 * weights[0] / total, 0.3 * weights[1] / total];
            let written = ["a good film", "a great film", "a fine film"];
            for (text, expected) in written.iter().zip(expected) {
                let share =
                    samples.texts.iter().filter(|sample| *sample == text).count() as f64 / 40_000.0;
                let error = (expected * (1.0 - expected) / 40_000.0_f64).sqrt();
                assert!((share - expected).abs() < 5.0 * error, "{text}: {share}");
            }
            let kept = samples.texts.iter().filter(|sample| *sample == text).count();
            assert_eq!(samples.kept[0].count(), kept);
            let fixed = similarity.sample(&[Draw { anchor: &[0], ..draw }]).unwrap().remove(0);
            assert!(fixed.texts.iter().all(|sample| sample == text));
        }
    }
}
