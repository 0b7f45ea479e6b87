//! What is known of the words of a text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::{Result, require};

/// One token of a text: a word, a number, a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What stands in the text.
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

/// Coarse parts of speech.
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

/// Cuts texts into tokens and says what is known of each.
///
/// The results must depend on the text alone.
pub trait TextAnalyzer: Sync {
    /// The tokens of a text, in order and apart from each other; what lies between them is space, and stays as it is
    /// in perturbations.
    fn analyze(&self, text: &str) -> Vec<Token>;

    /// Whether tokens come with tags and parts of speech, which the `similarity` strategy goes by. Default false.
    fn knows_tags(&self) -> bool {
        false
    }

    /// The fine tag of a word that stands alone. Default: that of the first token of a text of this word.
    fn tag_alone(&self, word: &str) -> Option<String> {
        self.analyze(word).into_iter().next().and_then(|token| token.tag)
    }
}

/// The tokens of a text, checked to stand where they say.
pub(crate) fn tokens(analyzer: &dyn TextAnalyzer, text: &str) -> Result<Vec<Token>> {
    let tokens = analyzer.analyze(text);
    let mut end = [0, 0];
    for token in &tokens {
        let [first, last] = token.bytes;
        let rule = "tokens in order that stand in the text where their spans say";
        let place = text.get(end[1]..first).zip(text.get(first..last));
        let is_true = place.is_some_and(|(gap, own)| {
            let start = end[0] + gap.chars().count();
            own == token.text
                && !own.is_empty()
                && token.chars == [start, start + own.chars().count()]
        });
        require(is_true, "analyzer", rule, token)?;
        end = [token.chars[1], last];
    }
    Ok(tokens)
}
