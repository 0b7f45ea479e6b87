//! Tokens by rules: spaces, punctuation, clitics.

use super::analyzer::{TextAnalyzer, Token};

/// Cuts texts at white space, takes punctuation off the words one mark at a time, keeps dots in a row together, and
/// takes the English clitics `n't`, `'s`, `'re`, `'ve`, `'ll`, `'d` and `'m` off the words before them.
///
/// It knows no tags and no lemmas; [`EnglishAnalyzer`](super::EnglishAnalyzer) adds them.
/// Any text is cut without loss: tokens and the white space between them are the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTokenizer;

/// Clitics that begin with an apostrophe, without it.
const CLITICS: [&str; 6] = ["s", "re", "ve", "ll", "d", "m"];

impl TextAnalyzer for RuleTokenizer {
    fn analyze(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut pieces = Vec::new();
        // Characters up to a byte, counted once.
        let (mut chars, mut counted) = (0, 0);
        for chunk in text.split_whitespace() {
            pieces.clear();
            cut(chunk, &mut pieces);
            for piece in &pieces {
                let first = piece.as_ptr().addr() - text.as_ptr().addr();
                chars += text[counted..first].chars().count();
                let start = chars;
                chars += piece.chars().count();
                counted = first + piece.len();
                tokens.push(Token {
                    text: (*piece).to_owned(),
                    chars: [start, chars],
                    bytes: [first, counted],
                    is_punct: piece.chars().all(is_punctuation),
                    tag: None,
                    pos: None,
                    lemma: None,
                });
            }
        }
        tokens
    }
}

/// The tokens of a chunk without white space.
fn cut<'t>(chunk: &'t str, pieces: &mut Vec<&'t str>) {
    let mut word = chunk;
    while let Some(mark) = leading_mark(word) {
        // A word that is a clitic keeps its apostrophe.
        if is_clitic(word.trim_end_matches(is_punctuation)) {
            break;
        }
        pieces.push(&word[..mark]);
        word = &word[mark..];
    }
    let mut after = Vec::new();
    while let Some(mark) = trailing_mark(word) {
        let (rest, end) = word.split_at(word.len() - mark);
        after.push(end);
        word = rest;
    }
    let mut clitics = Vec::new();
    while let Some(start) = clitic(word) {
        let (rest, end) = word.split_at(start);
        clitics.push(end);
        word = rest;
    }
    pieces.extend((!word.is_empty()).then_some(word));
    pieces.extend(clitics.into_iter().rev());
    pieces.extend(after.into_iter().rev());
}

/// The length of the mark that a word begins with; dots in a row are one.
fn leading_mark(word: &str) -> Option<usize> {
    let first = word.chars().next().filter(|&mark| is_punctuation(mark))?;
    let dots = word.len() - word.trim_start_matches('.').len();
    Some(if 1 < dots { dots } else { first.len_utf8() })
}

/// The length of the mark that a word ends with; dots in a row are one.
fn trailing_mark(word: &str) -> Option<usize> {
    let last = word.chars().next_back().filter(|&mark| is_punctuation(mark))?;
    let dots = word.len() - word.trim_end_matches('.').len();
    Some(if 1 < dots { dots } else { last.len_utf8() })
}

fn is_apostrophe(mark: char) -> bool {
    matches!(mark, '\'' | '\u{2019}')
}

fn is_clitic(word: &str) -> bool {
    word.strip_prefix(is_apostrophe)
        .is_some_and(|rest| CLITICS.iter().any(|clitic| rest.eq_ignore_ascii_case(clitic)))
}

/// Where the clitic at the end of a word begins, when there is something in front of it.
fn clitic(word: &str) -> Option<usize> {
    let apostrophe = word.rfind(is_apostrophe)?;
    let (host, clitic) = word.split_at(apostrophe);
    let rest = clitic.trim_start_matches(is_apostrophe);
    if rest.eq_ignore_ascii_case("t") && host.ends_with(['n', 'N']) {
        let start = host.len() - 1;
        return (0 < start).then_some(start);
    }
    (!host.is_empty() && is_clitic(clitic)).then_some(apostrophe)
}

/// Punctuation and symbols of ASCII, and the punctuation beyond it that texts in Latin, Greek, Cyrillic, Chinese and
/// Japanese script use.
pub(super) fn is_punctuation(mark: char) -> bool {
    mark.is_ascii_punctuation()
        || matches!(mark,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
            | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}'
            | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}'
            | '\u{ff3b}'..='\u{ff3d}' | '\u{ff5b}'..='\u{ff65}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RuleTokenizer, TextAnalyzer};
    use crate::text::analyzer::tokens;

    #[track_caller]
    fn cuts(text: &str, expected: &[&str]) {
        let tokens = RuleTokenizer.analyze(text);
        let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn punctuation_and_clitics_are_taken_off() {
        cuts("This is a good book.", &["This", "is", "a", "good", "book", "."]);
        cuts("(Don't!)", &["(", "Do", "n't", "!", ")"]);
        cuts(
            "She'd've said \u{201c}I'm Bob's\u{201d}",
            &["She", "'d", "'ve", "said", "\u{201c}", "I", "'m", "Bob", "'s", "\u{201d}"],
        );
        cuts("wait... what?!", &["wait", "...", "what", "?", "!"]);
        cuts("CAN'T we\u{2019}ll 'Tis 's", &["CA", "N'T", "we", "\u{2019}ll", "'", "Tis", "'s"]);
        cuts("well-known 3.14 n't t' --", &["well-known", "3.14", "n't", "t", "'", "-", "-"]);
        cuts("", &[]);
        cuts(" \u{a0}\n", &[]);
    }

    #[test]
    fn spans_are_in_characters_and_in_bytes() {
        let tokens = RuleTokenizer.analyze("Gr\u{fc}\u{df}e, Z\u{fc}rich!");
        let spans: Vec<_> =
            tokens.iter().map(|token| (token.chars, token.bytes, token.is_punct)).collect();
        assert_eq!(
            spans,
            [
                ([0, 5], [0, 7], false),
                ([5, 6], [7, 8], true),
                ([7, 13], [9, 16], false),
                ([13, 14], [16, 17], true),
            ]
        );
    }

    proptest! {
        /// Tokens and what is between them are the text, whatever it is, and only white space is between them.
        #[test]
        fn nothing_is_lost(text in any::<String>()) {
            let tokens = tokens(&RuleTokenizer, &text).unwrap();
            let (mut again, mut end) = (String::new(), 0);
            for token in &tokens {
                let gap = &text[end..token.bytes[0]];
                prop_assert!(gap.chars().all(char::is_whitespace));
                again.push_str(gap);
                again.push_str(&token.text);
                end = token.bytes[1];
            }
            prop_assert!(text[end..].chars().all(char::is_whitespace));
            again.push_str(&text[end..]);
            prop_assert_eq!(again, text);
        }

        /// The same with many marks, apostrophes and clitics.
        #[test]
        fn nothing_is_lost_among_marks(text in "([a-z]{0,3}[.'\u{2019}nNtsm\"( ]{0,4}){0,6}") {
            let tokens = tokens(&RuleTokenizer, &text).unwrap();
            let together: String = tokens.iter().map(|token| token.text.as_str()).collect();
            let without: String = text.split_whitespace().collect();
            prop_assert_eq!(together, without);
        }
    }
}
