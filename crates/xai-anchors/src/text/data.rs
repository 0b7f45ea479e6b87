//! What an AnchorText explanation holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::figure::{Figure, Mark, Panel, Text};
use xai_core::{ParamError, Stop, require};

use crate::certificate::Certificate;
use crate::data::{Coverage, Estimate, Held, Queries, Status, TraceStep};

/// The anchor of one text. The field names are the JSON keys; those of alibi are where alibi has them.
///
/// Spans are pairs of numbers: where a word begins, and the first place that does not belong to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorTextData {
    /// The words of the anchor in the order in which the search added them; empty for the empty anchor.
    pub anchor: Vec<String>,
    /// The share of perturbations for which the model decides as for the text, as the search saw it: too large on
    /// average, since the anchor was chosen for it. `certificate` tells it without that bias.
    pub precision: f64,
    /// The share of perturbations with nothing held that keep the anchor's words. It depends on `sample_proba` and on
    /// the number of words, near `(1 - sample_proba)^n`, and says nothing of other texts: `corpus_coverage` does.
    pub coverage: f64,
    /// How the search ended.
    pub status: Status,
    /// What the status means, in a sentence.
    pub reason: String,
    /// Why no more was done.
    pub stop: Stop,
    /// Where the anchor's words stand in the text, in characters, in the order of `anchor`.
    pub spans: Vec<[usize; 2]>,
    /// The same in bytes of the UTF-8 text.
    pub byte_spans: Vec<[usize; 2]>,
    /// The precision on fresh samples; `null` without `final_samples`, and when the budget left none.
    pub certificate: Option<Certificate>,
    /// The coverage, and how it was counted.
    pub coverage_of: Coverage,
    /// The texts of the corpus that contain all words of the anchor, anywhere and in any order; `null` without a corpus.
    pub corpus_coverage: Option<Coverage>,
    /// The precision of the empty anchor: how often the model decides as for the text, whatever is held.
    pub base_rate: Estimate,
    /// The words in the order in which the search added them.
    pub predicates: Vec<TextPredicate>,
    /// The highest precision that a chosen anchor of each size had, from one word on: how near the search came.
    pub best_of_size: Vec<Estimate>,
    /// Anchors that were considered, as `top_k` asks for them.
    pub candidates: Vec<TextCandidate>,
    /// What the model was asked. Each text is asked once: perturbations that coincide cost nothing.
    pub queries: Queries,
    /// Texts that the language model has read to fill in words, none of them a query of the model; absent with other
    /// strategies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model_passes: Option<u64>,
    /// The steps of the bandit, with `verbose`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
    /// The layout of alibi's explanation.
    pub raw: TextRaw,
}

/// One word of an anchor, and the anchor up to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextPredicate {
    /// Its place among the words that can be held.
    pub feature: usize,
    /// The word.
    pub word: String,
    /// Where it stands in the text, in characters.
    pub span: [usize; 2],
    /// The same in bytes.
    pub byte_span: [usize; 2],
    /// The precision of the anchor up to this word, with its samples.
    pub precision: Estimate,
    /// What the word adds to the precision.
    pub gain: f64,
    /// The coverage of the anchor up to this word.
    pub coverage: Coverage,
}

/// An anchor that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextCandidate {
    /// Its words.
    pub anchor: Vec<String>,
    /// Where they stand in the text, in characters.
    pub spans: Vec<[usize; 2]>,
    /// Its precision as the search saw it.
    pub precision: Estimate,
    /// Its coverage.
    pub coverage: Coverage,
    /// Whether it passed the test of validity; a strict search asks for a certificate besides.
    pub valid: bool,
}

/// The fields of alibi's explanation that are not above, with its names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextRaw {
    /// The words of the anchor, as places among the words that can be held.
    pub feature: Vec<usize>,
    /// The precision of the anchor up to each word.
    pub mean: Vec<f64>,
    /// The same.
    pub precision: Vec<f64>,
    /// The coverage of the anchor up to each word.
    pub coverage: Vec<f64>,
    /// Perturbations of the anchor up to each word.
    pub examples: Vec<TextExamples>,
    /// The precision of the empty anchor.
    pub all_precision: f64,
    /// Perturbations that the search asked the model for.
    pub num_preds: u64,
    /// Whether the precision constraint is met.
    pub success: bool,
    /// As `anchor`.
    pub names: Vec<String>,
    /// Where each word of the anchor begins: in characters, and for `language_model` the index of its first token.
    pub positions: Vec<usize>,
    /// The text.
    pub instance: String,
    /// The text in a list.
    pub instances: Vec<String>,
    /// The model's decision for the text, shape `(1,)`: a class, or the number of a bin, or a quantity.
    pub prediction: Vec<f64>,
}

/// Perturbations that an anchor covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextExamples {
    /// Those for which the model decides as for the text.
    pub covered_true: Vec<String>,
    /// Those for which it does not.
    pub covered_false: Vec<String>,
    /// Always empty, as in alibi.
    pub uncovered_true: Vec<String>,
    /// Always empty, as in alibi.
    pub uncovered_false: Vec<String>,
}

impl AnchorTextData {
    /// The precision of the anchor's first `size` words; that of the empty anchor for 0, of all for `None`.
    ///
    /// # Errors
    /// [`ParamError`] when the anchor has fewer words.
    pub fn precision(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => self.base_rate.mean,
            n => self.predicates[n - 1].precision.mean,
        })
    }

    /// The coverage of the anchor's first `size` words; 1 for 0, of all for `None`.
    ///
    /// # Errors
    /// As [`precision`](Self::precision).
    pub fn coverage(&self, size: Option<usize>) -> Result<f64, ParamError> {
        Ok(match self.size(size)? {
            0 => 1.0,
            n => self.predicates[n - 1].coverage.coverage,
        })
    }

    /// The examples of the anchor's first `size` words, at least one; of all for `None`.
    ///
    /// # Errors
    /// As [`precision`](Self::precision), and for 0, since the empty anchor has none.
    pub fn examples(&self, size: Option<usize>) -> Result<&TextExamples, ParamError> {
        let size = self.size(size)?;
        require(0 < size, "size", "at least 1", size)?;
        Ok(&self.raw.examples[size - 1])
    }

    fn size(&self, size: Option<usize>) -> Result<usize, ParamError> {
        let all = self.predicates.len();
        let size = size.unwrap_or(all);
        require(size <= all, "size", format!("at most the anchor's {all} words"), size)?;
        Ok(size)
    }

    /// The text with the anchor's words marked, and a table of precision and coverage word by word.
    #[must_use]
    pub fn figure(&self) -> Figure {
        let held =
            |own: &TextPredicate| (own.word.clone(), own.precision.clone(), own.coverage.coverage);
        let table = Held {
            reason: &self.reason,
            base_rate: &self.base_rate,
            held: self.predicates.iter().map(held).collect(),
            certificate: self.certificate.as_ref(),
        };
        let mark = |(place, own): (usize, &TextPredicate)| Mark {
            start: own.span[0],
            end: own.span[1],
            label: (place + 1).to_string(),
        };
        let mut marks: Vec<Mark> = self.predicates.iter().enumerate().map(mark).collect();
        marks.sort_by_key(|mark| mark.start);
        let title = match self.anchor.as_slice() {
            [] => "Anchor: none needed".to_owned(),
            anchor => format!("Anchor: {}", anchor.join(" AND ")),
        };
        let text = Text {
            title: "words that are held, by the order in which the search added them".to_owned(),
            text: self.raw.instance.clone(),
            marks,
        };
        Figure { title, panels: vec![Panel::Text(text), Panel::Table(table.table())] }
    }
}
