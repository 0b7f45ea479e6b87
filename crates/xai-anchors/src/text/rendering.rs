//! Texts put together again from their words.

use super::analyzer::Token;
use super::params::Join;

/// A text cut into tokens, with the text before each and after the last.
#[derive(Clone, Debug)]
pub(crate) struct Rendering<'t> {
    gaps: Vec<&'t str>,
    words: Vec<&'t str>,
    /// The text after the last token.
    rest: &'t str,
    unperturbed: String,
}

impl<'t> Rendering<'t> {
    /// The tokens of `text`, at the positions of their spans.
    pub(crate) fn new(text: &'t str, tokens: &[Token], join: Join) -> Self {
        let (mut gaps, mut words, mut end) = (Vec::new(), Vec::new(), 0);
        for (place, token) in tokens.iter().enumerate() {
            let [first, last] = token.bytes;
            gaps.push(match join {
                Join::Splice => &text[end..first],
                Join::Spaces if place == 0 => "",
                Join::Spaces => " ",
            });
            words.push(&text[first..last]);
            end = last;
        }
        let rest = if join == Join::Splice { &text[end..] } else { "" };
        let mut rendering = Rendering { gaps, words, rest, unperturbed: String::new() };
        rendering.unperturbed = rendering.written(|_| None);
        rendering
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// The text with nothing replaced.
    pub(crate) fn unperturbed(&self) -> &str {
        &self.unperturbed
    }

    /// The text with some tokens replaced. A space is put between a replacement and a word that touches it, so that the
    /// two do not become one word.
    pub(crate) fn written<'r>(&self, replacement: impl Fn(usize) -> Option<&'r str>) -> String {
        let mut text = String::with_capacity(self.unperturbed.len());
        let mut is_after_replacement = false;
        for (place, (gap, word)) in self.gaps.iter().zip(&self.words).enumerate() {
            let replacement = replacement(place);
            let shown = replacement.unwrap_or(word);
            let is_changed = is_after_replacement || replacement.is_some();
            text.push_str(if is_changed && gap.is_empty() && would_join(&text, shown) {
                " "
            } else {
                gap
            });
            text.push_str(shown);
            is_after_replacement = replacement.is_some();
        }
        text.push_str(self.rest);
        text
    }

    /// The text without some tokens. Each is deleted together with the text before it, except before the first token.
    pub(crate) fn without(&self, removed: impl Fn(usize) -> bool) -> String {
        let mut text = String::with_capacity(self.unperturbed.len());
        text.push_str(self.gaps.first().copied().unwrap_or_default());
        let mut is_first = true;
        for (place, (gap, word)) in self.gaps.iter().zip(&self.words).enumerate() {
            if !removed(place) {
                text.push_str(if is_first { "" } else { gap });
                text.push_str(word);
                is_first = false;
            }
        }
        text.push_str(self.rest);
        text
    }
}

/// Whether the last word of `before` and the first of `after` would be one word without a space between them.
fn would_join(before: &str, after: &str) -> bool {
    let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    is_of_word(last) && is_of_word(first) && !(has_no_spaces(last) && has_no_spaces(first))
}

/// Whether a letter is of a script that writes no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese.
fn has_no_spaces(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Join, Rendering, Token};
    use crate::text::analyzer::TextAnalyzer;
    use crate::text::tokenizer::RuleTokenizer;

    fn rendering(text: &str, join: Join) -> Rendering<'_> {
        Rendering::new(text, &RuleTokenizer.analyze(text), join)
    }

    #[test]
    fn replacements_stand_where_the_words_stood() {
        let text = "  A (very)  good book.\n";
        let (splice, spaces) = (rendering(text, Join::Splice), rendering(text, Join::Spaces));
        let good = |place: usize| (place == 4).then_some("UNK");
        assert_eq!(splice.written(good), "  A (very)  UNK book.\n");
        assert_eq!(spaces.written(good), "A ( very ) UNK book .");
        assert_eq!(splice.without(|place| place == 4), "  A (very) book.\n");
        assert_eq!(splice.without(|place| place == 0), "  (very)  good book.\n");
        assert_eq!(spaces.without(|place| place == 6), "A ( very ) good book");
        assert_eq!(splice.without(|_| true), "  \n");
    }

    #[test]
    fn a_replacement_stays_a_word_of_its_own() {
        let masked = |text: &str, places: &[usize]| {
            let rendering = rendering(text, Join::Splice);
            rendering.written(|place| places.contains(&place).then_some("UNK"))
        };
        assert_eq!(masked("It was good.", &[3]), "It was good UNK");
        assert_eq!(masked("It was good.", &[2, 3]), "It was UNK UNK");
        assert_eq!(masked("(good)", &[0]), "UNK good)");
        assert_eq!(masked("We can't.", &[2]), "We ca UNK.");
        assert_eq!(masked("We can't.", &[1]), "We UNK n't.");
        assert_eq!(masked("so, so", &[1]), "so UNK so");
        // The space is there for words alone: marks and scripts without spaces stay as they are.
        assert_eq!(masked("so, so", &[0]), "UNK, so");
        let dog = "\u{6211}\u{72d7}";
        let token = RuleTokenizer.analyze(dog).remove(0);
        let tokens = [[0, 3], [3, 6]].map(|bytes| Token { bytes, ..token.clone() });
        let chinese = Rendering::new(dog, &tokens, Join::Splice);
        let cat = |place: usize| (place == 1).then_some("\u{732b}");
        assert_eq!(chinese.written(cat), "\u{6211}\u{732b}");
    }

    proptest! {
        #[test]
        fn nothing_replaced_is_the_text(text in any::<String>()) {
            let splice = rendering(&text, Join::Splice);
            prop_assert_eq!(splice.unperturbed(), &text);
            prop_assert_eq!(splice.without(|_| false), text.clone());
            let words: Vec<String> =
                RuleTokenizer.analyze(&text).into_iter().map(|token| token.text).collect();
            let spaces = rendering(&text, Join::Spaces);
            prop_assert_eq!(spaces.unperturbed(), words.join(" "));
        }
    }
}
