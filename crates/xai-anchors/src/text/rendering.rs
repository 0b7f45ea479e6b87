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

    /// The text with some tokens replaced.
    pub(crate) fn written<'r>(&self, replacement: impl Fn(usize) -> Option<&'r str>) -> String {
        let mut text = String::with_capacity(self.unperturbed.len());
        for (place, (gap, word)) in self.gaps.iter().zip(&self.words).enumerate() {
            text.push_str(gap);
            text.push_str(replacement(place).unwrap_or(word));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Join, Rendering};
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
