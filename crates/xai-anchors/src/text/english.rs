//! Tags and lemmas of English words.

use std::fmt;

use english_pos_tagger::{Tagger, Token as Tagged};

use super::analyzer::{Pos, TextAnalyzer, Token};
use super::tokenizer::RuleTokenizer;

/// English texts: the tokens of [`RuleTokenizer`] with tags of the Penn Treebank, parts of speech and lemmas.
///
/// # Source
/// Tags and lemmas are those of the crate `english-pos-tagger`: Brill's rules over the most frequent tag of each word,
/// and WordNet's base forms. The parts of speech follow from the tags as Universal Dependencies maps them for English.
pub struct EnglishAnalyzer {
    tagger: Tagger,
}

impl EnglishAnalyzer {
    /// An analyzer with the lexicon of the crate.
    #[must_use]
    pub fn new() -> Self {
        EnglishAnalyzer { tagger: Tagger::new() }
    }

    /// The same with more words, or with other tags for words it has: each with its possible tags of the Penn
    /// Treebank, the most frequent first.
    #[must_use]
    pub fn with_words<'w>(
        mut self,
        words: impl IntoIterator<Item = (&'w str, Vec<&'w str>)>,
    ) -> Self {
        self.tagger.update_lexicon(words);
        self
    }
}

impl Default for EnglishAnalyzer {
    fn default() -> Self {
        EnglishAnalyzer::new()
    }
}

impl fmt::Debug for EnglishAnalyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnglishAnalyzer").finish_non_exhaustive()
    }
}

impl TextAnalyzer for EnglishAnalyzer {
    fn analyze(&self, text: &str) -> Vec<Token> {
        let mut tokens = RuleTokenizer.analyze(text);
        let kind = |token: &Token| {
            if token.is_punct {
                "punctuation"
            } else if token.text.starts_with(|first: char| first.is_ascii_digit()) {
                "number"
            } else {
                "word"
            }
        };
        let raw = tokens.iter().map(|token| Tagged::new(token.text.clone(), kind(token)));
        let tagged = self.tagger.tag(raw.collect());
        for (token, tagged) in tokens.iter_mut().zip(tagged) {
            token.pos = tagged.pos.as_deref().map(|tag| pos(token, tag, tagged.lemma.as_deref()));
            token.tag = tagged.pos;
            token.lemma = Some(tagged.lemma.unwrap_or_else(|| token.text.to_lowercase()));
        }
        tokens
    }

    fn knows_tags(&self) -> bool {
        true
    }
}

/// The part of speech of a token by its tag of the Penn Treebank.
fn pos(token: &Token, tag: &str, lemma: Option<&str>) -> Pos {
    if token.is_punct {
        return Pos::Punct;
    }
    match tag {
        "NN" | "NNS" => Pos::Noun,
        "NNP" | "NNPS" => Pos::Propn,
        "MD" => Pos::Aux,
        _ if tag.starts_with("VB") => match lemma {
            Some("be" | "am") => Pos::Aux,
            _ => Pos::Verb,
        },
        _ if tag.starts_with("JJ") => Pos::Adj,
        _ if tag.starts_with("RB") => match lemma {
            Some("not") => Pos::Part,
            _ => Pos::Adv,
        },
        "WRB" => Pos::Adv,
        "IN" | "RP" => Pos::Adp,
        "DT" | "PDT" | "WDT" => Pos::Det,
        "PRP" | "PRP$" | "WP" | "WP$" | "EX" => Pos::Pron,
        "CC" => Pos::Cconj,
        "CD" => Pos::Num,
        "TO" | "POS" => Pos::Part,
        "UH" => Pos::Intj,
        "SYM" | "$" | "#" => Pos::Sym,
        _ => Pos::X,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EnglishAnalyzer, Pos, TextAnalyzer};
    use crate::text::analyzer::tokens;

    #[test]
    fn words_have_tags_parts_of_speech_and_lemmas() {
        let tokens = EnglishAnalyzer::new().analyze("She was reading two good books, wasn't she?");
        let known: Vec<(&str, &str, Pos)> = tokens
            .iter()
            .map(|token| (token.text.as_str(), token.tag.as_deref().unwrap(), token.pos.unwrap()))
            .collect();
        assert_eq!(
            known,
            [
                ("She", "PRP", Pos::Pron),
                ("was", "VBD", Pos::Aux),
                ("reading", "VBG", Pos::Verb),
                ("two", "CD", Pos::Num),
                ("good", "JJ", Pos::Adj),
                ("books", "NNS", Pos::Noun),
                (",", ",", Pos::Punct),
                ("was", "VBD", Pos::Aux),
                ("n't", "RB", Pos::Part),
                ("she", "PRP", Pos::Pron),
                ("?", ".", Pos::Punct),
            ]
        );
        let lemma = |place: usize| tokens[place].lemma.as_deref().unwrap();
        assert_eq!([lemma(1), lemma(2), lemma(5), lemma(8)], ["be", "read", "book", "not"]);
    }

    #[test]
    fn words_can_be_added() {
        let analyzer = EnglishAnalyzer::new().with_words([("blorple", vec!["JJ"])]);
        assert_eq!(analyzer.tag_alone("blorple").as_deref(), Some("JJ"));
        assert_eq!(analyzer.tag_alone("good").as_deref(), Some("JJ"));
        assert_eq!(analyzer.tag_alone(""), None);
    }

    proptest! {
        /// No text makes the tagger fail, and it moves no token.
        #[test]
        fn every_text_is_analyzed(text in any::<String>()) {
            let analyzer = EnglishAnalyzer::new();
            for token in tokens(&analyzer, &text).unwrap() {
                prop_assert!(token.tag.is_some() && token.lemma.is_some() && token.pos.is_some());
            }
        }
    }
}
