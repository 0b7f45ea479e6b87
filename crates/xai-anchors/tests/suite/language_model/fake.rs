//! A language model of twelve tokens whose scores are a function, and a record of what it was asked.

use std::sync::Mutex;

use ndarray::Array2;
use xai_anchors::FillingParams;
use xai_anchors::language_model::{LanguageModel, LanguageModelSampler, TextToken};
use xai_core::{BoxError, Params, Valid};

pub(crate) const VOCABULARY: [&str; 12] =
    ["[CLS]", "[MASK]", ".", ",", "the", "film", "was", "good", "bad", "un", "##real", "a"];

pub(crate) const MASK: u32 = 1;
pub(crate) const REAL: u32 = 10;

/// Those that may fill a word: neither special nor punctuation nor a tail.
pub(crate) const FILLERS: [u32; 7] = [4, 5, 6, 7, 8, 9, 11];

/// The id of a token.
pub(crate) fn id(token: &str) -> u32 {
    VOCABULARY.iter().position(|other| *other == token).unwrap() as u32
}

type Scores = dyn Fn(&[u32], usize) -> [f32; 12] + Sync;

pub(crate) struct Fake {
    pub scores: Box<Scores>,
    pub max_tokens: Option<usize>,
    /// The rows of each call.
    pub calls: Mutex<Vec<Vec<Vec<u32>>>>,
}

impl Fake {
    /// Scores as a function of the row and the position in it.
    pub(crate) fn new(scores: impl Fn(&[u32], usize) -> [f32; 12] + Sync + 'static) -> Self {
        Fake { scores: Box::new(scores), max_tokens: None, calls: Mutex::default() }
    }

    /// All tokens equally likely.
    pub(crate) fn indifferent() -> Self {
        Fake::new(|_, _| [0.0; 12])
    }

    /// The rows of all calls.
    pub(crate) fn rows(&self) -> Vec<Vec<u32>> {
        self.calls.lock().unwrap().concat()
    }
}

impl LanguageModel for Fake {
    fn tokenize(&self, text: &str) -> Result<Vec<TextToken>, BoxError> {
        let mut tokens = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let is_known = |(_, token): &(usize, &&str)| {
                let written = token.trim_start_matches("##");
                rest.to_lowercase().starts_with(&written.to_lowercase())
            };
            // The longest that fits, as WordPiece does.
            let token = VOCABULARY.iter().enumerate().filter(is_known);
            match token.max_by_key(|(_, token)| token.trim_start_matches("##").len()) {
                Some((id, token)) => {
                    let end = start + token.trim_start_matches("##").len();
                    tokens.push(TextToken { id: id as u32, bytes: start..end });
                    start = end;
                }
                None if rest.starts_with(char::is_whitespace) => start += 1,
                None => return Err(format!("unknown: {rest}").into()),
            }
        }
        Ok(tokens)
    }

    fn n_vocabulary(&self) -> usize {
        VOCABULARY.len()
    }

    fn token(&self, id: u32) -> Option<&str> {
        VOCABULARY.get(id as usize).copied()
    }

    fn decode(&self, ids: &[u32]) -> Result<String, BoxError> {
        Ok(ids.iter().map(|&id| VOCABULARY[id as usize]).collect::<Vec<_>>().join(" "))
    }

    fn is_subword_tail(&self, token: &str) -> bool {
        token.starts_with("##")
    }

    fn mask_id(&self) -> u32 {
        MASK
    }

    fn special_ids(&self) -> Vec<u32> {
        vec![0, MASK]
    }

    fn max_tokens(&self) -> Option<usize> {
        self.max_tokens
    }

    fn logits_at(&self, rows: &[&[u32]], positions: &[&[usize]]) -> Result<Array2<f32>, BoxError> {
        self.calls.lock().unwrap().push(rows.iter().map(|row| row.to_vec()).collect());
        let scores = rows.iter().zip(positions).flat_map(|(row, positions)| {
            positions.iter().flat_map(|&position| (self.scores)(row, position))
        });
        let scores: Vec<f32> = scores.collect();
        Ok(Array2::from_shape_vec((scores.len() / 12, 12), scores)?)
    }
}

/// Checked settings.
pub(crate) fn checked(params: FillingParams) -> Valid<FillingParams> {
    params.check().unwrap()
}

/// The sampler of a text.
pub(crate) fn sampler<'a>(
    model: &'a dyn LanguageModel,
    params: FillingParams,
    text: &'a str,
) -> LanguageModelSampler<'a> {
    LanguageModelSampler::new(model, &checked(params), text).unwrap()
}

/// What stands in a sample for each word of the text, where all between the words is as in the text.
#[track_caller]
pub(crate) fn fills<'s>(
    sampler: &LanguageModelSampler<'_>,
    text: &str,
    sample: &'s str,
) -> Vec<&'s str> {
    let spans = sampler.spans();
    let mut rest = sample.strip_prefix(&text[..spans[0].start]).expect("the same beginning");
    let mut fills = Vec::new();
    for (place, span) in spans.iter().enumerate() {
        let end = spans.get(place + 1).map_or(text.len(), |next| next.start);
        let between = &text[span.end..end];
        let length = match spans.get(place + 1) {
            Some(_) => rest.find(between).expect("the same between two words"),
            None => rest.len().checked_sub(between.len()).expect("the same end"),
        };
        let (fill, after) = rest.split_at(length);
        fills.push(fill);
        rest = after.strip_prefix(between).expect("the same between two words");
    }
    assert_eq!(rest, "");
    fills
}
