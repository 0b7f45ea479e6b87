//! The words of a text and their tags.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{AsJson, Result, require};

use crate::perturber::Word;

/// One token of a text: a word, a number, a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token as in the text.
    pub text: String,
    /// Where it begins, and the first character that does not belong to it; in characters.
    pub chars: [usize; 2],
    /// The same in bytes.
    pub bytes: [usize; 2],
    /// Whether it is punctuation.
    pub is_punct: bool,
    /// Its fine tag, one of the Penn Treebank for English; `None` when the analyzer knows none.
    pub tag: Option<String>,
    /// Its part of speech; `None` when the analyzer knows none.
    pub pos: Option<Pos>,
    /// Its base form; `None` when the analyzer knows none.
    pub lemma: Option<String>,
}

impl Token {
    /// The token as a word that can be in an anchor.
    pub(crate) fn to_word(&self) -> Word {
        let Token { text, chars, bytes, .. } = self;
        Word { text: text.clone(), chars: *chars, bytes: *bytes, first_token: None }
    }
}

/// Coarse parts of speech, in JSON with the tags of the source.
///
/// # Source
/// The universal part-of-speech tags of Universal Dependencies 2.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Pos {
    /// Adjective.
    Adj,
    /// Preposition or postposition.
    Adp,
    /// Adverb.
    Adv,
    /// Auxiliary verb.
    Aux,
    /// Coordinating conjunction.
    Cconj,
    /// Determiner.
    Det,
    /// Interjection.
    Intj,
    /// Noun.
    Noun,
    /// Number.
    Num,
    /// Particle.
    Part,
    /// Pronoun.
    Pron,
    /// Proper noun.
    Propn,
    /// Punctuation.
    Punct,
    /// Subordinating conjunction.
    Sconj,
    /// Symbol.
    Sym,
    /// Verb.
    Verb,
    /// Something else.
    X,
}

/// Cuts texts into tokens, with their tags where they are known.
///
/// The results must depend on the text alone.
pub trait TextAnalyzer: Sync {
    /// The tokens of a text, in order and apart from each other; what lies between them is space, and stays
    /// unchanged in perturbations.
    fn analyze(&self, text: &str) -> Vec<Token>;

    /// Whether tokens come with tags and parts of speech, which the `similarity` strategy goes by. Default false.
    fn knows_tags(&self) -> bool {
        false
    }

    /// The fine tag of a word that is alone. Default: that of the first token of a text of this word.
    fn tag_alone(&self, word: &str) -> Option<String> {
        self.analyze(word).into_iter().next().and_then(|token| token.tag)
    }
}

/// The tokens of a text, checked to be at the positions of their spans.
pub(crate) fn tokens(analyzer: &dyn TextAnalyzer, text: &str) -> Result<Vec<Token>> {
    let tokens = analyzer.analyze(text);
    let mut end = [0, 0];
    for token in &tokens {
        let [first, last] = token.bytes;
        let rule = "tokens in order, at the positions in the text that their spans are";
        let place = text.get(end[1]..first).zip(text.get(first..last));
        let is_true = place.is_some_and(|(gap, word)| {
            let start = end[0] + gap.chars().count();
            word == token.text
                && !word.is_empty()
                && token.chars == [start, start + word.chars().count()]
        });
        require(is_true, "analyzer", rule, AsJson(token))?;
        end = [token.chars[1], last];
    }
    Ok(tokens)
}
