//! A logistic model over counts of words.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use xai_core::{BoxError, Predictor};

/// `P(positive) = logistic(bias + sum of the weights of the words of a text)`, each as often as it occurs; two outputs,
/// negative and positive.
///
/// Words are as scikit-learn's `CountVectorizer` cuts them: two or more letters, digits or underscores in lower case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BagOfWords {
    /// The words, sorted.
    pub words: Vec<String>,
    /// One number for each word.
    pub weights: Vec<f64>,
    /// The sum without words.
    pub bias: f64,
}

impl BagOfWords {
    /// What critics of films may mean by their words.
    #[must_use]
    pub fn of_films() -> Self {
        const POSITIVE: [&str; 20] = [
            "beautiful",
            "best",
            "brilliant",
            "care",
            "charming",
            "clear",
            "enjoyable",
            "fine",
            "funny",
            "good",
            "great",
            "gripping",
            "honest",
            "lovely",
            "moving",
            "original",
            "smart",
            "strong",
            "touching",
            "warm",
        ];
        const NEGATIVE: [&str; 20] = [
            "awful",
            "boring",
            "cheap",
            "clumsy",
            "disappointed",
            "dull",
            "empty",
            "flat",
            "lazy",
            "mess",
            "never",
            "nobody",
            "nothing",
            "silly",
            "slow",
            "stupid",
            "thin",
            "tired",
            "wastes",
            "weak",
        ];
        // Words differ in strength, and those of one kind by the same steps.
        let strength = |place: usize| 0.6 + 0.15 * (place * 7 % 11) as f64;
        let positive = POSITIVE.iter().enumerate().map(|(place, word)| (*word, strength(place)));
        let negative = NEGATIVE.iter().enumerate().map(|(place, word)| (*word, -strength(place)));
        let mut weighted: Vec<(&str, f64)> = positive.chain(negative).collect();
        weighted.sort_by_key(|(word, _)| *word);
        let (words, weights) =
            weighted.into_iter().map(|(word, weight)| (word.to_owned(), weight)).unzip();
        BagOfWords { words, weights, bias: 0.1 }
    }

    fn score(&self, text: &str) -> f64 {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
        let weight = |word: &str| {
            let place = self.words.binary_search_by(|known| known.as_str().cmp(word));
            place.map_or(0.0, |place| self.weights[place])
        };
        self.bias + words.filter(|word| 1 < word.chars().count()).map(weight).sum::<f64>()
    }
}

impl Predictor<[String]> for BagOfWords {
    fn predict(&self, texts: &[String]) -> Result<Array2<f64>, BoxError> {
        let mut outputs = Array2::zeros((texts.len(), 2));
        for (text, mut row) in texts.iter().zip(outputs.rows_mut()) {
            let positive = 1.0 / (1.0 + (-self.score(text)).exp());
            row[0] = 1.0 - positive;
            row[1] = positive;
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_as_often_as_they_occur() {
        let words = ["bad", "good"].map(str::to_owned).to_vec();
        let model = BagOfWords { words, weights: vec![-2.0, 1.0], bias: 0.5 };
        for (text, score) in [("", 0.5), ("Good, good: BAD!", 0.5), ("goodness is_bad a bad", -1.5)]
        {
            assert!((model.score(text) - score).abs() < 1e-12, "{text}");
        }
    }
}
