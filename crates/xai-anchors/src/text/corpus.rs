//! Which texts of a corpus contain the words of an anchor.

use std::collections::BTreeMap;

use super::analyzer::TextAnalyzer;

/// The words of some texts, each with the texts it is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corpus {
    n_texts: usize,
    /// For each word the texts that contain it, ascending.
    texts_of: BTreeMap<String, Vec<u32>>,
}

impl Corpus {
    /// At most 2^32 texts.
    pub(crate) fn new(texts: &[String], analyzer: &dyn TextAnalyzer) -> Self {
        let analyzed = xai_core::parallel::map(0..texts.len(), |place| {
            let mut words: Vec<String> =
                analyzer.analyze(&texts[place]).into_iter().map(|token| token.text).collect();
            words.sort_unstable();
            words.dedup();
            words
        });
        let mut texts_of: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (place, words) in analyzed.into_iter().enumerate() {
            let place = u32::try_from(place).expect("more texts do not fit in memory");
            for word in words {
                texts_of.entry(word).or_default().push(place);
            }
        }
        Corpus { n_texts: texts.len(), texts_of }
    }

    pub(crate) fn n_texts(&self) -> usize {
        self.n_texts
    }

    /// How many texts contain all of some words.
    pub(crate) fn n_with<'w>(&self, words: impl Iterator<Item = &'w str>) -> usize {
        let of = |word: &str| self.texts_of.get(word).map_or(&[][..], Vec::as_slice);
        let mut lists: Vec<&[u32]> = words.map(of).collect();
        lists.sort_by_key(|list| list.len());
        match lists.split_first() {
            None => self.n_texts,
            Some((shortest, others)) => shortest
                .iter()
                .filter(|place| others.iter().all(|list| list.binary_search(place).is_ok()))
                .count(),
        }
    }
}
