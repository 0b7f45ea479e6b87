//! Texts as rows of numbers, as scikit-learn's `CountVectorizer` and `TfidfVectorizer` make them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ndarray::{Array2, ArrayViewMut1};
use regex::Regex;
use serde::Deserialize;
use xai_core::{BoxError, Output, Predictor};

use super::error::{JobError, Place};
use super::models::RowModel;

/// The file of a vectoriser.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: Kind,
    #[serde(default = "yes")]
    lowercase: bool,
    #[serde(default = "token_pattern")]
    token_pattern: String,
    vocabulary: BTreeMap<String, usize>,
    #[serde(default = "one_word")]
    ngram_range: [usize; 2],
    #[serde(default)]
    stop_words: BTreeSet<String>,
    #[serde(default)]
    idf: Option<Vec<f64>>,
    #[serde(default)]
    sublinear_tf: bool,
    #[serde(default)]
    norm: Option<Norm>,
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// How often the text has the word.
    Count,
    /// Whether it has it.
    Binary,
    /// How often, times the weight of the word.
    Tfidf,
}

/// What rows are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Norm {
    L1,
    L2,
}

fn yes() -> bool {
    true
}

fn token_pattern() -> String {
    r"(?u)\b\w\w+\b".to_owned()
}

fn one_word() -> [usize; 2] {
    [1, 1]
}

/// Texts to rows: one column for each word or sequence of words of a vocabulary.
#[derive(Debug)]
pub(crate) struct Vectoriser {
    document: Document,
    pattern: Regex,
    /// Characters that are parts of words here and not in Python, combining marks above all.
    no_letters: Regex,
}

impl Vectoriser {
    /// Reads a vectoriser.
    ///
    /// # Errors
    /// [`JobError`] with the file for one that cannot be read or makes no sense.
    pub(crate) fn read(path: &Path) -> Result<Self, JobError> {
        let text = fs::read_to_string(path).map_err(|source| JobError::Read {
            what: "vectoriser",
            path: path.to_owned(),
            source,
        })?;
        let refuse = |message: String| JobError::invalid(Place::file(path), message);
        let document: Document =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        Vectoriser::new(document).map_err(refuse)
    }

    fn new(document: Document) -> Result<Self, String> {
        let n_columns = document.vocabulary.len();
        let places: BTreeSet<usize> = document.vocabulary.values().copied().collect();
        if n_columns == 0 || places.len() < n_columns || places.last() != Some(&(n_columns - 1)) {
            return Err("`vocabulary` must number its words from 0, each once".to_owned());
        }
        match &document.idf {
            Some(idf) if document.kind != Kind::Tfidf || idf.len() != n_columns => {
                return Err(format!("`idf` is for tfidf, with {n_columns} numbers"));
            }
            None if document.kind == Kind::Tfidf => {
                return Err(format!("tfidf needs `idf`, {n_columns} numbers"));
            }
            _ => {}
        }
        let [least, most] = document.ngram_range;
        if !(1..=most).contains(&least) {
            return Err("`ngram_range` must be two numbers from 1, ascending".to_owned());
        }
        let pattern = Regex::new(&document.token_pattern)
            .map_err(|error| format!("`token_pattern`: {error}"))?;
        if 2 < pattern.captures_len() {
            return Err("`token_pattern` must have one group at most".to_owned());
        }
        let no_letters = Regex::new(r"[\w&&[^\p{L}\p{N}_]]").expect("a valid expression");
        Ok(Vectoriser { document, pattern, no_letters })
    }

    /// The number of columns of a row.
    pub(crate) fn n_columns(&self) -> usize {
        self.document.vocabulary.len()
    }

    /// Writes a text into a row of zeros.
    fn write(&self, text: &str, mut row: ArrayViewMut1<'_, f64>) {
        let Document { kind, vocabulary, stop_words, idf, sublinear_tf, norm, .. } = &self.document;
        let lower;
        let text = match self.document.lowercase {
            true => {
                lower = text.to_lowercase();
                &lower
            }
            false => text,
        };
        let text = self.no_letters.replace_all(text, " ");
        let words: Vec<&str> = self
            .pattern
            .captures_iter(&text)
            .filter_map(|found| found.get(self.pattern.captures_len() - 1))
            .map(|word| word.as_str())
            .filter(|word| !stop_words.contains(*word))
            .collect();
        let [least, most] = self.document.ngram_range;
        for size in least..=most.min(words.len()) {
            for sequence in words.windows(size) {
                let place = match sequence {
                    [word] => vocabulary.get(*word),
                    words => vocabulary.get(&words.join(" ")),
                };
                if let Some(&place) = place {
                    row[place] += 1.0;
                }
            }
        }
        if *kind == Kind::Binary {
            row.mapv_inplace(|count| count.min(1.0));
        }
        if *sublinear_tf {
            row.mapv_inplace(|count| if 0.0 < count { 1.0 + count.ln() } else { 0.0 });
        }
        if let Some(idf) = idf {
            row.iter_mut().zip(idf).for_each(|(count, weight)| *count *= weight);
        }
        let length = match norm {
            None => 1.0,
            Some(Norm::L1) => row.iter().map(|number| number.abs()).sum(),
            Some(Norm::L2) => row.dot(&row).sqrt(),
        };
        if 0.0 < length {
            row /= length;
        }
    }
}

/// A model of rows, seen as a model of texts.
pub(crate) struct Vectorised<'j> {
    pub(crate) vectoriser: Vectoriser,
    pub(crate) model: RowModel<'j>,
}

/// The most numbers in one batch of rows, 16 MiB of them.
const MAX_NUMBERS: usize = 1 << 21;

impl Predictor<[String]> for Vectorised<'_> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a model calls the model it is made of; Run counts a query for each text"
    )]
    fn predict(&self, texts: &[String]) -> Result<Array2<f64>, BoxError> {
        let mut rows = Array2::zeros((texts.len(), self.vectoriser.n_columns()));
        for (text, row) in texts.iter().zip(rows.rows_mut()) {
            self.vectoriser.write(text, row);
        }
        self.model.view().predictor().predict(&rows)
    }

    fn max_batch(&self) -> usize {
        let fitting = MAX_NUMBERS / self.vectoriser.n_columns();
        self.model.view().predictor().max_batch().min(fitting).max(1)
    }

    fn output(&self) -> Option<Output> {
        self.model.view().predictor().output()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.model.view().predictor().class_names()
    }
}

#[cfg(all(test, feature = "onnx"))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use ndarray::{Array1, Array2};
    use serde_json::Value;
    use xai_core::Run;
    use xai_onnx::{OnnxModel, OnnxOptions};

    use super::{RowModel, Vectorised, Vectoriser};

    fn vectoriser(json: &str) -> Result<Vectoriser, String> {
        Vectoriser::new(serde_json::from_str(json).map_err(|error| error.to_string())?)
    }

    #[track_caller]
    fn gives(json: &str, text: &str, expected: &[f64]) {
        let vectoriser = vectoriser(json).unwrap();
        let mut row = Array1::zeros(vectoriser.n_columns());
        vectoriser.write(text, row.view_mut());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(row.len() == expected.len() && row.iter().zip(expected).all(near), "{row}");
    }

    #[test]
    fn words_are_counted_weighted_and_normed() {
        let words = r#""vocabulary": {"good": 1, "film": 0}"#;
        let text = "Good film, good a GOOD";
        gives(&format!(r#"{{"kind": "count", {words}}}"#), text, &[1.0, 3.0]);
        gives(&format!(r#"{{"kind": "binary", {words}}}"#), text, &[1.0, 1.0]);
        gives(&format!(r#"{{"kind": "count", "lowercase": false, {words}}}"#), text, &[1.0, 1.0]);
        gives(&format!(r#"{{"kind": "count", "norm": "l1", {words}}}"#), text, &[0.25, 0.75]);
        let tfidf = format!(r#"{{"kind": "tfidf", "idf": [4, 1], "norm": "l2", {words}}}"#);
        gives(&tfidf, text, &[0.8, 0.6]);
        gives(&tfidf, "nothing known", &[0.0, 0.0]);
        let sublinear = format!(r#"{{"kind": "count", "sublinear_tf": true, {words}}}"#);
        gives(&sublinear, text, &[1.0, 1.0 + 3.0_f64.ln()]);
        let pairs = r#"{"kind": "count", "ngram_range": [1, 2], "stop_words": ["the"],
            "vocabulary": {"good film": 0, "film": 1}}"#;
        gives(pairs, "good the film film", &[1.0, 2.0]);
        let one_letter =
            r#"{"kind": "count", "token_pattern": "(\\w)\\w*", "vocabulary": {"g": 0}}"#;
        gives(one_letter, "good and great", &[2.0]);
    }

    fn matrix(numbers: &Value) -> Array2<f64> {
        let rows: Vec<Vec<f64>> = serde_json::from_value(numbers.clone()).unwrap();
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| rows[row][column])
    }

    /// The rows of scikit-learn's vectorisers up to the rounding of sums, and the probabilities of its models up to the
    /// single precision of their files.
    #[test]
    fn rows_and_probabilities_are_those_of_scikit_learn() {
        let expected: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/reviews_expected.json"))
                .unwrap();
        let texts: Vec<String> = serde_json::from_value(expected["texts"].clone()).unwrap();
        macro_rules! fixture {
            ($kind:literal) => {
                (
                    $kind,
                    include_str!(concat!("../../tests/fixtures/reviews_", $kind, ".json")),
                    include_bytes!(concat!("../../tests/fixtures/reviews_", $kind, ".onnx"))
                        .as_slice(),
                )
            };
        }
        for (kind, json, onnx) in [fixture!("count"), fixture!("binary"), fixture!("tfidf")] {
            let vectoriser = vectoriser(json).unwrap();
            let rows = matrix(&expected[kind]["rows"]);
            for (text, row) in texts.iter().zip(rows.rows()) {
                let mut written = Array1::zeros(vectoriser.n_columns());
                vectoriser.write(text, written.view_mut());
                let errors = &written - &row;
                let furthest = errors.iter().fold(0.0_f64, |far, error| far.max(error.abs()));
                assert!(furthest < 1e-14, "{kind}: {text}: {furthest}");
            }
            let model = OnnxModel::from_bytes(onnx, &OnnxOptions::default()).unwrap();
            let model = Vectorised { vectoriser, model: RowModel::Onnx(Box::new(model)) };
            let outputs = Run::seeded(0).predict_texts(&model, &texts).unwrap();
            let difference = &outputs - &matrix(&expected[kind]["probabilities"]);
            assert!(difference.iter().all(|error| error.abs() < 1e-6), "{kind}: {difference}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (json, part) in [
            (r#"{"kind": "count", "vocabulary": {}}"#, "`vocabulary`"),
            (r#"{"kind": "count", "vocabulary": {"a": 1}}"#, "`vocabulary`"),
            (r#"{"kind": "count", "vocabulary": {"a": 0, "b": 0}}"#, "`vocabulary`"),
            (r#"{"kind": "tfidf", "vocabulary": {"a": 0}}"#, "`idf`"),
            (r#"{"kind": "count", "vocabulary": {"a": 0}, "idf": [1]}"#, "`idf`"),
            (
                r#"{"kind": "count", "vocabulary": {"a": 0}, "ngram_range": [2, 1]}"#,
                "`ngram_range`",
            ),
            (
                r#"{"kind": "count", "vocabulary": {"a": 0}, "token_pattern": "("}"#,
                "`token_pattern`",
            ),
            (r#"{"kind": "count", "vocabulary": {"a": 0}, "analyzer": "char"}"#, "unknown field"),
            (r#"{"kind": "hashing", "vocabulary": {"a": 0}}"#, "unknown variant"),
        ] {
            let message = vectoriser(json).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
