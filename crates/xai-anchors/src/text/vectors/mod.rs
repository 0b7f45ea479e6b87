//! Vectors of words, and which words are near each other.

use std::cmp::Ordering;

use ndarray::{Array2, Axis, s};
use xai_core::input::all_finite;
use xai_core::{Result, Rows, parallel, require, same_shape};

mod read;

pub use read::VectorsError;

/// Vectors of words: what the `similarity` strategy draws replacements from.
///
/// Read from the files of word2vec ([text](Self::read_word2vec) and [binary](Self::read_word2vec_binary)),
/// [GloVe](Self::read_glove) and fastText (`.vec` is word2vec's text), or made from numbers.
/// They are a resource that explainers borrow, not a part of them: one that is loaded serves all.
/// Numbers are kept in single precision, as the files have them.
#[derive(Clone, Debug, PartialEq)]
pub struct WordVectors {
    words: Vec<String>,
    /// The places of the words in alphabetical order.
    sorted: Vec<u32>,
    vectors: Array2<f32>,
    norms: Vec<f32>,
    is_lower: Vec<bool>,
    log_probabilities: Option<Vec<f64>>,
}

/// Words whose similarities are computed at once; a constant, so that the result does not depend on threads.
const BLOCK: usize = 4096;

impl WordVectors {
    /// Vectors of words, shape `(words.len(), n_dimensions)`. Of words that occur twice the first counts.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) when there are not as many vectors as words,
    /// [`Error::NotFinite`](xai_core::Error::NotFinite) for a vector,
    /// [`Error::Param`](xai_core::Error::Param) when there are no words or more than 2^32.
    pub fn new(words: Vec<String>, vectors: &Rows) -> Result<Self> {
        same_shape("the word vectors", &[words.len(), vectors.ncols()], vectors.shape())?;
        all_finite("the word vectors", vectors)?;
        let n = words.len();
        require(0 < n && u32::try_from(n).is_ok(), "words", "between 1 and 2^32 words", n)?;
        #[allow(clippy::cast_possible_truncation, reason = "single precision is what files have")]
        Ok(WordVectors::of(words, vectors.mapv(|number| number as f32)))
    }

    /// Finite vectors, one for each word, of at least one word.
    fn of(words: Vec<String>, vectors: Array2<f32>) -> Self {
        let n = u32::try_from(words.len()).expect("checked to be below 2^32");
        let mut sorted: Vec<u32> = (0..n).collect();
        // Stable, so that of equal words the first is found.
        sorted.sort_by(|&a, &b| words[a as usize].cmp(&words[b as usize]));
        sorted.dedup_by(|later, first| words[*later as usize] == words[*first as usize]);
        let norms = vectors.axis_iter(Axis(0)).map(|row| row.dot(&row).sqrt()).collect();
        let is_lower = words.iter().map(|word| is_lower(word)).collect();
        WordVectors { words, sorted, vectors, norms, is_lower, log_probabilities: None }
    }

    /// The same, with the natural logarithm of the probability of each word, at most 0: replacements that are too rare
    /// are then left out, by `min_log_probability`.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) for another number of them than of words,
    /// [`Error::Param`](xai_core::Error::Param) for one that is above 0 or no number.
    pub fn with_log_probabilities(mut self, log_probabilities: Vec<f64>) -> Result<Self> {
        same_shape("the log-probabilities", &[self.words.len()], &[log_probabilities.len()])?;
        for &value in &log_probabilities {
            require(value <= 0.0, "log_probabilities", "at most 0", value)?;
        }
        self.log_probabilities = Some(log_probabilities);
        Ok(self)
    }

    /// As [`with_log_probabilities`](Self::with_log_probabilities), from how often each word was counted in a corpus.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) for another number of them than of words,
    /// [`Error::Param`](xai_core::Error::Param) when all are 0.
    pub fn with_counts(self, counts: &[u64]) -> Result<Self> {
        let total: f64 = counts.iter().map(|&count| count as f64).sum();
        require(0.0 < total, "counts", "not all 0", total)?;
        self.with_log_probabilities(
            counts.iter().map(|&value| (value as f64 / total).ln()).collect(),
        )
    }

    /// The words, in the order of their vectors.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How many numbers a vector has.
    #[must_use]
    pub fn n_dimensions(&self) -> usize {
        self.vectors.ncols()
    }

    /// The place of a word; `None` when it has no vector.
    #[must_use]
    pub fn place(&self, word: &str) -> Option<usize> {
        let value =
            self.sorted.binary_search_by(|&place| self.words[place as usize].as_str().cmp(word));
        value.ok().map(|at| self.sorted[at] as usize)
    }

    /// For each word the `n` words of the most similar vectors, itself among them, with the cosine: the largest first,
    /// of equal ones the first in the vocabulary.
    ///
    /// Words must agree in being all lower case; those less probable than `min_log_probability` are left out, where
    /// probabilities are known.
    pub(crate) fn nearest(
        &self,
        queries: &[usize],
        n: usize,
        min_log_probability: f64,
    ) -> Vec<Vec<(usize, f64)>> {
        let mut directions = Array2::zeros((self.n_dimensions(), queries.len()));
        for (mut column, &query) in directions.columns_mut().into_iter().zip(queries) {
            column.assign(&self.vectors.row(query));
            let norm = self.norms[query];
            if 0.0 < norm {
                column /= norm;
            }
        }
        let n_words = self.words.len();
        let blocks = parallel::map(0..n_words.div_ceil(BLOCK), |block| {
            let first = block * BLOCK;
            let end = (first + BLOCK).min(n_words);
            let products = self.vectors.slice(s![first..end, ..]).dot(&directions);
            let of = |(column, &query): (usize, &usize)| {
                let candidates = (first..end).filter(|&word| {
                    let probable = |value: &Vec<f64>| min_log_probability <= value[word];
                    0.0 < self.norms[word]
                        && self.is_lower[word] == self.is_lower[query]
                        && (word == query || self.log_probabilities.as_ref().is_none_or(probable))
                });
                let cosine = |word: usize| products[[word - first, column]] / self.norms[word];
                largest(candidates.map(|word| (word, cosine(word))).collect(), n, f32::total_cmp)
            };
            queries.iter().enumerate().map(of).collect::<Vec<_>>()
        });
        let of = |(column, &query): (usize, &usize)| {
            let all = blocks.iter().flat_map(|block| block[column].iter().copied()).collect();
            let nearest = largest(all, n, f32::total_cmp).into_iter();
            // Once more in double precision: single precision chooses well, but its last digits are no digits.
            let exact = nearest.map(|(word, _)| (word, self.cosine(query, word))).collect();
            let mut exact = largest(exact, n, f64::total_cmp);
            exact.sort_unstable_by(|a, b| descending(a, b, f64::total_cmp));
            exact
        };
        queries.iter().enumerate().map(of).collect()
    }

    /// The cosine of two vectors that are not 0.
    fn cosine(&self, a: usize, b: usize) -> f64 {
        let rows = [a, b].map(|word| self.vectors.row(word));
        let product = |i: usize, j: usize| -> f64 {
            rows[i].iter().zip(rows[j]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        product(0, 1) / (product(0, 0) * product(1, 1)).sqrt()
    }
}

/// The largest first, and of equal ones the one with the smaller number.
fn descending<T>(a: &(usize, T), b: &(usize, T), order: impl Fn(&T, &T) -> Ordering) -> Ordering {
    order(&b.1, &a.1).then(a.0.cmp(&b.0))
}

/// The `n` largest, in no order.
fn largest<T>(
    mut all: Vec<(usize, T)>,
    n: usize,
    order: impl Fn(&T, &T) -> Ordering,
) -> Vec<(usize, T)> {
    if n < all.len() {
        all.select_nth_unstable_by(n, |a, b| descending(a, b, &order));
        all.truncate(n);
    }
    all
}

/// Whether a word has small letters and no capital ones.
fn is_lower(word: &str) -> bool {
    word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use xai_core::Seed;

    use super::{WordVectors, is_lower};

    fn random(n: usize, n_dimensions: usize) -> WordVectors {
        let mut stream = Seed::new(7).stream();
        let vectors = Array2::from_shape_simple_fn((n, n_dimensions), || stream.uniform() - 0.5);
        let word = |place: usize| {
            if place.is_multiple_of(3) { format!("W{place}") } else { format!("w{place}") }
        };
        WordVectors::new((0..n).map(word).collect(), &vectors).unwrap()
    }

    /// The blocked product and the partial sort give what a full sort of all cosines gives.
    #[test]
    fn the_nearest_are_those_of_a_full_sort() {
        let vectors = random(10_000, 12);
        for (n, queries) in [(50, vec![4, 9000, 3]), (20_000, vec![1]), (1, vec![2, 5])] {
            let nearest = vectors.nearest(&queries, n, -15.0);
            for (value, &query) in nearest.iter().zip(&queries) {
                let mut all: Vec<(usize, f64)> = (0..10_000)
                    .filter(|word| (word % 3 == 0) == (query % 3 == 0))
                    .map(|word| (word, vectors.cosine(query, word)))
                    .collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1));
                all.truncate(n);
                assert_eq!(*value, all);
                assert_eq!(value[0].0, query);
            }
        }
    }

    #[test]
    fn words_are_found_and_rare_ones_left_out() {
        let vectors = random(9, 4);
        assert_eq!(vectors.place("w4"), Some(4));
        assert_eq!(vectors.place("w3"), None);
        let vectors = vectors.with_counts(&[1, 1, 1, 1, 1, 0, 1, 1, 1]).unwrap();
        let words: Vec<usize> =
            vectors.nearest(&[4], 9, -15.0)[0].iter().map(|value| value.0).collect();
        assert_eq!(words.len(), 5);
        assert!(!words.contains(&5) && words[0] == 4);
        // What is asked for is never too rare for itself.
        assert!(vectors.nearest(&[5], 9, -15.0)[0].iter().any(|value| value.0 == 5));
    }

    #[test]
    fn lower_case_needs_a_letter() {
        let lower = ["a", "don't", "\u{fc}ber", "a1"];
        let others = ["", "A", "aB", "1", "."];
        assert!(
            lower.iter().all(|word| is_lower(word)) && !others.iter().any(|word| is_lower(word))
        );
    }
}
