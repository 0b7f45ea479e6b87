//! The `post_transform` of the classifiers and regressors of ai.onnx.ml.

use super::Attributes;
use super::quantile::normal_quantile;
use crate::error::OnnxError;

/// What is done to the scores of a row at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

/// Scores this close to zero stay zero under `SOFTMAX_ZERO`.
const ZERO: f64 = 1e-7;

impl PostTransform {
    pub(crate) fn from_node(node: Attributes<'_>) -> Result<Self, OnnxError> {
        match &*node.word("post_transform", "NONE") {
            "NONE" => Ok(PostTransform::None),
            "SOFTMAX" => Ok(PostTransform::Softmax),
            "LOGISTIC" => Ok(PostTransform::Logistic),
            "SOFTMAX_ZERO" => Ok(PostTransform::SoftmaxZero),
            "PROBIT" => Ok(PostTransform::Probit),
            other => {
                let rule = "be NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT";
                Err(node.refuse("post_transform", rule, other))
            }
        }
    }

    /// Transforms the scores of one row.
    pub(crate) fn apply(self, scores: &mut [f64]) {
        match self {
            PostTransform::None => {}
            PostTransform::Softmax => softmax(scores),
            PostTransform::Logistic => {
                scores.iter_mut().for_each(|score| *score = logistic(*score));
            }
            PostTransform::SoftmaxZero => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for score in scores.iter_mut() {
                    if score.abs() > ZERO {
                        *score = (*score - largest).exp();
                        sum += *score;
                    } else {
                        *score = 0.0;
                    }
                }
                if sum > 0.0 {
                    scores.iter_mut().for_each(|score| *score /= sum);
                }
            }
            PostTransform::Probit => {
                scores.iter_mut().for_each(|score| *score = normal_quantile(*score));
            }
        }
    }
}

/// The scores of a classifier that keeps one score for two classes, spread over both.
///
/// The score is the one of the second class.
/// Where it is a probability the first class gets the rest; where it is a margin the first gets its negative.
pub(crate) fn spread(score: f64, transform: PostTransform, is_probability: bool) -> [f64; 2] {
    let mut scores = if transform == PostTransform::Probit
        || (transform == PostTransform::None && is_probability)
    {
        [1.0 - score, score]
    } else {
        [-score, score]
    };
    transform.apply(&mut scores);
    scores
}

/// Softmax over one row, shifted by the largest score, so that nothing overflows.
pub(crate) fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

fn logistic(score: f64) -> f64 {
    // The form that does not overflow on either side.
    if score >= 0.0 {
        1.0 / (1.0 + (-score).exp())
    } else {
        let odds = score.exp();
        odds / (1.0 + odds)
    }
}

/// The class of the largest score; the first of equals, as in the reference.
pub(crate) fn winner(scores: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = class;
        }
    }
    best
}

/// The class labels of a classifier as numbers; a label that is a word is known by its index.
#[derive(Clone, Debug)]
pub(crate) struct Labels(Vec<f64>);

impl Labels {
    pub(crate) fn from_node(
        node: Attributes<'_>,
        ints: &str,
        strings: &str,
    ) -> Result<Self, OnnxError> {
        #[allow(clippy::cast_precision_loss, reason = "labels are small integers")]
        let labels: Vec<f64> = match node.ints(ints) {
            [] => (0..node.strings(strings).len()).map(|class| class as f64).collect(),
            labels => labels.iter().map(|&label| label as f64).collect(),
        };
        if labels.is_empty() {
            return Err(node.refuse(ints, format!("hold the classes, or `{strings}`"), "none"));
        }
        Ok(Labels(labels))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn of(&self, scores: &[f64]) -> f64 {
        self.0[winner(scores)]
    }
}
