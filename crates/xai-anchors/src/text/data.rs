//! The answer of AnchorText.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Mark, Panel, Text};
use xai_core::{OutputNames, ParamError};

use crate::data::{
    AnchorResult, AnchorTable, Coverage, Estimate, TableRow, nonempty_size, partial_size,
};

/// The anchor of one text.
///
/// Spans are pairs of numbers: where a word begins, and the first position after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct AnchorTextData {
    /// The words of the anchor in the order in which the search added them; empty for the empty anchor.
    pub anchor: Vec<String>,
    /// Precision, coverage, status and what else all anchors have. The coverage is the share of perturbations of the
    /// text that keep the anchor's words. It depends on `sample_proba` and on the number of words, near
    /// `(1 - sample_proba)^n`, and does not describe other texts; `corpus_coverage` does. A perturbation that is drawn
    /// again is not asked again.
    #[serde(flatten)]
    pub result: AnchorResult,
    /// The words in the order in which the search added them.
    pub predicates: Vec<TextPredicate>,
    /// The texts of the corpus that contain all words of the anchor, anywhere and in any order; `null` without a corpus.
    pub corpus_coverage: Option<Coverage>,
    /// Perturbations of the anchor up to each word, in the order of `predicates`, as `n_covered_ex` asks for them.
    pub examples: Vec<TextExamples>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<TextCandidate>,
    /// Texts that the language model has read to fill in words, none of them a query of the model; absent with other
    /// strategies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model_passes: Option<u64>,
    /// The text.
    pub instance: String,
}

/// One word of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct TextPredicate {
    /// Its index among the words that can be in an anchor.
    pub feature: usize,
    /// The word.
    pub word: String,
    /// Its position in the text, in characters.
    pub span: [usize; 2],
    /// The same in bytes.
    pub byte_span: [usize; 2],
    /// The index of its first token for the language model; `null` with other strategies.
    pub first_token: Option<usize>,
    /// The precision of the anchor up to this word, with its samples.
    pub precision: Estimate,
    /// What the word adds to the precision.
    pub gain: f64,
    /// The coverage of the anchor up to this word.
    pub coverage: Coverage,
}

/// An anchor that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct TextCandidate {
    /// Its words.
    pub anchor: Vec<String>,
    /// Their positions in the text, in characters.
    pub spans: Vec<[usize; 2]>,
    /// Its precision as the search saw it.
    pub precision: Estimate,
    /// Its coverage.
    pub coverage: Coverage,
    /// Whether it passed the test of validity; a strict search asks for a certificate besides.
    pub valid: bool,
}

/// Perturbations that an anchor covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct TextExamples {
    /// Those for which the model decides as for the text.
    pub covered_true: Vec<String>,
    /// Those for which it does not.
    pub covered_false: Vec<String>,
}

impl AnchorTextData {
    /// The precision of the anchor's first `size` words; that of the empty anchor for 0, of all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer words.
    pub fn precision(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match partial_size(size, self.predicates.len())? {
            0 => self.result.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` words; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`precision`](Self::precision).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match partial_size(size, self.predicates.len())? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` words, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`precision`](Self::precision), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&TextExamples, ParamError> {
        Ok(&self.examples[nonempty_size(size, self.predicates.len())? - 1])
    }

    /// The positions of the anchor's words in the text, in characters, in the order of `anchor`.
    #[must_use]
    pub fn spans(&self) -> Vec<[usize; 2]> {
        self.predicates.iter().map(|predicate| predicate.span).collect()
    }

    /// As [`spans`](Self::spans), in bytes of the UTF-8 text.
    #[must_use]
    pub fn byte_spans(&self) -> Vec<[usize; 2]> {
        self.predicates.iter().map(|predicate| predicate.byte_span).collect()
    }

    /// The text with the anchor's words marked, and a table of precision and coverage word by word. `names` are those of
    /// the classes.
    #[must_use]
    pub fn figure(&self, names: &OutputNames) -> Figure {
        let row = |predicate: &TextPredicate| TableRow {
            predicate: predicate.word.clone(),
            precision: predicate.precision.clone(),
            coverage: predicate.coverage.coverage,
        };
        let rows = self.predicates.iter().map(row).collect();
        let table = AnchorTable { result: &self.result, rows }.table();
        let mark = |(index, predicate): (usize, &TextPredicate)| Mark {
            start: predicate.span[0],
            end: predicate.span[1],
            label: (index + 1).to_string(),
        };
        let mut marks: Vec<Mark> = self.predicates.iter().enumerate().map(mark).collect();
        marks.sort_by_key(|mark| mark.start);
        let text = Text {
            title: "words of the anchor, by the order in which the search added them".to_owned(),
            text: self.instance.clone(),
            marks,
        };
        let title = self.result.title(names, &self.anchor.join(" AND "));
        Figure { title, panels: vec![Panel::Text(text), Panel::Table(table)] }
    }
}

impl xai_core::ToFigure for AnchorTextData {
    fn figure(&self, names: &xai_core::OutputNames) -> xai_core::Figure {
        self.figure(names)
    }
}
