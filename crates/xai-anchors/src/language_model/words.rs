//! The words of a text, as a language model's tokens make them.

use std::ops::Range;

use xai_core::{BoxError, Error, Result, require};

use super::interface::{LanguageModel, TextToken};
use crate::filling::FillingParams;

/// A word that may be hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeadWord {
    /// Its place in the text, in bytes.
    pub bytes: Range<usize>,
    /// Its tokens, counted from the start of the text.
    pub tokens: Range<usize>,
}

/// The part of a text that the language model reads, in tokens, and its words.
#[derive(Debug)]
pub(super) struct Head {
    /// The tokens of the head.
    pub ids: Vec<u32>,
    /// The words that may be hidden, from left to right.
    pub words: Vec<HeadWord>,
    /// The byte of the text where the tail begins, which the model never reads; `None` when it reads all.
    pub tail: Option<usize>,
}

/// What a token is to the words around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Begins a word.
    Start,
    /// Continues the word of the token before it.
    Tail,
    /// No part of a word: punctuation, white space, or a special token written out.
    Between,
}

/// A language model that failed; the source is its error.
#[derive(Debug, thiserror::Error)]
#[error("the language model: {0}")]
struct Failed(#[source] BoxError);

/// The error of a language model, on a number of texts.
pub(super) fn failed(rows: usize, source: BoxError) -> Error {
    Error::Predictor { rows, source: Failed(source).into() }
}

impl Head {
    /// Splits a text into the part that the model has room for and the rest, between words.
    pub(super) fn of(
        model: &dyn LanguageModel,
        params: &FillingParams,
        text: &str,
    ) -> Result<Self> {
        let start = text.len() - text.trim_start().len();
        let mut tokens = model.tokenize(text.trim()).map_err(|source| failed(1, source))?;
        for token in &mut tokens {
            token.bytes = token.bytes.start + start..token.bytes.end + start;
        }
        let surfaces = surfaces(text, &tokens)?;
        let special_ids = model.special_ids();
        let mut roles: Vec<Role> = Vec::with_capacity(tokens.len());
        for (place, token) in tokens.iter().enumerate() {
            let before = roles.last().copied();
            let surface = &text[surfaces[place].clone()];
            let written = model.token(token.id).unwrap_or_default();
            // A special token that the text spells out is none of its words.
            let is_special = written == surface && special_ids.contains(&token.id);
            roles.push(if is_special || surface.is_empty() || is_punctuation(params, surface) {
                Role::Between
            } else if model.is_subword_tail(written) {
                role_of_tail(before)
            } else {
                Role::Start
            });
        }
        let n_read = n_read(model, &roles)?;
        let tail = (n_read < tokens.len()).then(|| surfaces[n_read].start);
        let mut words: Vec<HeadWord> = Vec::new();
        for place in 0..n_read {
            let surface = surfaces[place].clone();
            match (roles[place], words.last_mut()) {
                (Role::Start, _) => {
                    words.push(HeadWord { bytes: surface, tokens: place..place + 1 });
                }
                (Role::Tail, Some(word)) if word.tokens.end == place => {
                    word.bytes.end = word.bytes.end.max(surface.end);
                    word.tokens.end += 1;
                }
                _ => {}
            }
        }
        if let Some(pair) = words.windows(2).find(|pair| pair[1].bytes.start < pair[0].bytes.end) {
            let (one, next) = (&pair[0].bytes, &pair[1].bytes);
            let source =
                format!("its tokenizer lets the words at bytes {one:?} and {next:?} overlap");
            return Err(failed(1, source.into()));
        }
        let stopwords: Vec<String> =
            params.stopwords.iter().map(|word| word.trim().to_lowercase()).collect();
        words.retain(|word| !stopwords.contains(&text[word.bytes.clone()].to_lowercase()));
        let ids = tokens[..n_read].iter().map(|token| token.id).collect();
        Ok(Head { ids, words, tail })
    }
}

/// The bytes of each token without white space around them, checked.
fn surfaces(text: &str, tokens: &[TextToken]) -> Result<Vec<Range<usize>>> {
    let mut last = 0;
    let mut surfaces = Vec::with_capacity(tokens.len());
    for TextToken { bytes, .. } in tokens {
        let Some(surface) = text.get(bytes.clone()).filter(|_| last <= bytes.start) else {
            let source = format!("its tokenizer places a token at bytes {bytes:?} of the text");
            return Err(failed(1, source.into()));
        };
        last = bytes.start;
        let start = bytes.start + surface.len() - surface.trim_start().len();
        surfaces.push(start..start + surface.trim().len());
    }
    Ok(surfaces)
}

/// What a token is that the vocabulary writes as the tail of a word.
fn role_of_tail(before: Option<Role>) -> Role {
    match before {
        // The first token of a text continues nothing, whatever it looks like.
        None => Role::Start,
        // Vocabularies that mark white space write a word after a bracket or a hyphen as if it were a tail.
        Some(Role::Between) => Role::Start,
        Some(Role::Start | Role::Tail) => Role::Tail,
    }
}

/// Whether a token of this text is punctuation.
pub(super) fn is_punctuation(params: &FillingParams, text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| params.punctuation.contains(character))
}

/// How many tokens the model reads: all it has room for, but whole words.
fn n_read(model: &dyn LanguageModel, roles: &[Role]) -> Result<usize> {
    let Some(room) = model.max_tokens().filter(|&room| room < roles.len()) else {
        return Ok(roles.len());
    };
    let cut = (1..=room).rev().find(|&cut| roles[cut] != Role::Tail).unwrap_or(0);
    require(
        0 < cut,
        "text",
        format!("begun by a word of at most {room} tokens, the room of the language model"),
        format!("a longer first word, in a text of {} tokens", roles.len()),
    )?;
    Ok(cut)
}
