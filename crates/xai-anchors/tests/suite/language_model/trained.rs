//! The small trained model of the fixtures: it knows which words stand where.

use std::path::Path;

use xai_anchors::language_model::{CandleLanguageModel, LanguageModel};

pub(crate) fn load() -> CandleLanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language_model");
    CandleLanguageModel::from_directory(folder).unwrap()
}

/// The likeliest tokens at the mask of a text.
fn likeliest(model: &CandleLanguageModel, text: &str, n: usize) -> Vec<String> {
    let ids: Vec<u32> = model.tokenize(text).unwrap().iter().map(|token| token.id).collect();
    let mask = ids.iter().position(|&id| id == model.mask_id()).expect("a mask in the text");
    let logits = model.logits_at(&[&ids], &[&[mask]]).unwrap();
    let mut tokens: Vec<usize> = (0..model.n_vocabulary()).collect();
    tokens.sort_by(|&a, &b| logits[[0, b]].total_cmp(&logits[[0, a]]));
    tokens[..n].iter().map(|&id| model.token(id as u32).unwrap().to_owned()).collect()
}

const FOODS: [&str; 10] =
    ["soup", "bread", "cake", "pie", "stew", "salad", "rice", "fish", "cheese", "pasta"];
const TASTES: [&str; 10] =
    ["tasty", "fresh", "warm", "sweet", "delicious", "salty", "bitter", "stale", "cold", "burnt"];
const WORKS: [&str; 8] = ["film", "movie", "story", "play", "song", "book", "show", "scene"];

#[track_caller]
fn check(text: &str, class: &[&str]) {
    let top = likeliest(&load(), text, 3);
    assert!(top.iter().all(|token| class.contains(&&token[..])), "{text}: {top:?}");
}

#[test]
fn the_likeliest_words_are_of_the_right_kind() {
    check("The soup was really [MASK].", &TASTES);
    check("The [MASK] was very delicious.", &FOODS);
    check("This is a wonderful [MASK].", &WORKS);
    check("What a boring [MASK]!", &WORKS);
}
