//! What fills hidden words.

use std::collections::{BTreeMap, BTreeSet};

use xai_anchors::language_model::LanguageModelSampler;
use xai_anchors::{Filling, FillingParams};
use xai_core::Error;

use super::fake::{FILLERS, Fake, MASK, checked, fills, id, sampler};

const TEXT: &str = "the film was good";

/// All that stands in the place of a word.
fn seen(model: &Fake, params: FillingParams, n: usize) -> BTreeSet<u32> {
    let mut sampler = sampler(model, params, TEXT);
    let texts = sampler.sample(&[0, 1, 2], n, 0).unwrap().texts;
    texts.iter().map(|text| id(fills(&sampler, TEXT, text)[3])).collect()
}

#[test]
fn fillers_are_words_of_one_token() {
    // The tokens that may not fill a word are the likeliest.
    let scores = |_: &[u32], _: usize| {
        std::array::from_fn(|token| if FILLERS.contains(&(token as u32)) { 0.0 } else { 5.0 })
    };
    let params = FillingParams::default();
    let both = [Filling::Parallel, Filling::Autoregressive];
    for (filling, use_proba) in both.into_iter().zip([false, true]) {
        let params = params.clone().with_filling(filling).with_use_proba(use_proba);
        assert_eq!(seen(&Fake::new(scores), params, 500), BTreeSet::from(FILLERS));
    }
    let with_punctuation = BTreeSet::from_iter(FILLERS.into_iter().chain([2, 3]));
    let params = params.with_sample_punctuation(true);
    assert_eq!(seen(&Fake::new(scores), params, 500), with_punctuation);
}

#[test]
fn fillers_are_the_likeliest() {
    let scores = |_: &[u32], _: usize| std::array::from_fn(|token| token as f32);
    let top = |top_n| {
        let params = FillingParams::default().with_top_n(top_n);
        seen(&Fake::new(scores), params, 500)
    };
    assert_eq!(top(1), BTreeSet::from([11]));
    assert_eq!(top(3), BTreeSet::from([8, 9, 11]));
    // Fewer than asked for.
    assert_eq!(top(100), BTreeSet::from(FILLERS));
}

/// Draws from a softmax at any temperature have its frequencies.
#[test]
fn fills_have_the_probabilities_of_the_model() {
    // Large enough that they overflow unless they are shifted.
    let scores: [f32; 12] = std::array::from_fn(|token| 1000.0 + (token as f32 * 0.37).sin() * 2.0);
    let n = 40_000;
    for filling in [Filling::Parallel, Filling::Autoregressive] {
        for (temperature, top_n) in [(1.0, 100), (0.3, 100), (3.0, 4)] {
            let params = FillingParams::default()
                .with_filling(filling)
                .with_temperature(temperature)
                .with_top_n(top_n)
                .with_use_proba(true);
            let model = Fake::new(move |_, _| scores);
            let mut sampler = sampler(&model, params, TEXT);
            let texts = sampler.sample(&[0, 1, 2], n, 3).unwrap().texts;
            let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
            for text in &texts {
                *counts.entry(id(fills(&sampler, TEXT, text)[3])).or_default() += 1.0;
            }
            let mut pool = FILLERS.to_vec();
            pool.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            pool.truncate(top_n);
            let weight =
                |token: u32| ((f64::from(scores[token as usize]) - 1000.0) / temperature).exp();
            let sum: f64 = pool.iter().map(|&token| weight(token)).sum();
            assert!(counts.keys().all(|token| pool.contains(token)));
            for &token in &pool {
                let expected = weight(token) / sum;
                let bound = 5.0 * (expected * (1.0 - expected) / n as f64).sqrt();
                let got = counts.get(&token).unwrap_or(&0.0) / n as f64;
                assert!((got - expected).abs() <= bound, "{token}: {got} is not {expected}");
            }
        }
    }
}

/// The second word follows from the first, which a model that sees a mask there cannot know.
#[test]
fn one_by_one_a_fill_depends_on_those_before_it() {
    let only = |token: &str| {
        let mut scores = [f32::NEG_INFINITY; 12];
        scores[id(token) as usize] = 0.0;
        scores
    };
    let answer = move |row: &[u32], position: usize| match row[position - 1] {
        token if token == id("good") => only("film"),
        token if token == id("bad") => only("was"),
        MASK => only("a"),
        _ => {
            let mut scores = only("good");
            scores[id("bad") as usize] = 0.0;
            scores
        }
    };
    let pairs = |filling| {
        let params = FillingParams::default().with_filling(filling).with_sample_proba(1.0);
        let model = Fake::new(answer);
        let mut sampler = sampler(&model, params, TEXT);
        let texts = sampler.sample(&[0, 3], 200, 0).unwrap().texts;
        let pair = |text: &String| {
            let fills = fills(&sampler, TEXT, text);
            format!("{} {}", fills[1], fills[2])
        };
        texts.iter().map(pair).collect::<BTreeSet<String>>()
    };
    let expected = |pairs: [&str; 2]| BTreeSet::from(pairs.map(str::to_owned));
    assert_eq!(pairs(Filling::Autoregressive), expected(["good film", "bad was"]));
    assert_eq!(pairs(Filling::Parallel), expected(["good a", "bad a"]));
}

/// One by one, the model reads in calls of the size that it was promised, and equal texts once.
#[test]
fn one_by_one_the_model_reads_in_batches() {
    let params = FillingParams::default()
        .with_filling(Filling::Autoregressive)
        .with_sample_proba(1.0)
        .with_batch_size_lm(3);
    let model = Fake::indifferent();
    let mut sampler = sampler(&model, params, TEXT);
    sampler.sample(&[2, 3], 500, 0).unwrap();
    // One text with both words hidden; then one for each of the seven fills of the first.
    assert_eq!(sampler.passes(), 8);
    let sizes: Vec<usize> = model.calls.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 3, 3, 1]);
}

#[track_caller]
fn check_refused(scores: [f32; 12], expected: &str) {
    let model = Fake::new(move |_, _| scores);
    let mut sampler = sampler(&model, FillingParams::default(), TEXT);
    let error = sampler.sample(&[], 10, 0).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error}: {source}").contains(expected), "{error}: {source}");
}

#[test]
fn scores_that_are_none_are_refused() {
    let mut scores = [0.0; 12];
    scores[5] = f32::NAN;
    check_refused(scores, "the language model's scores must be finite, got NaN at [5]");
    scores[5] = f32::INFINITY;
    check_refused(scores, "the language model's scores must be finite, got inf at [5]");
    check_refused([f32::NEG_INFINITY; 12], "admits no token for a hidden word");
    // What may not fill a word is not looked at.
    let mut scores = [0.0; 12];
    scores[MASK as usize] = f32::NAN;
    let model = Fake::new(move |_, _| scores);
    sampler(&model, FillingParams::default(), TEXT).sample(&[], 10, 0).unwrap();
}

#[test]
fn arguments_are_checked() {
    let model = Fake::indifferent();
    let params = checked(FillingParams::default());
    let error = |text| LanguageModelSampler::new(&model, &params, text).err().unwrap();
    assert!(matches!(error(" \n"), Error::Empty { .. }));
    assert!(matches!(error("the other"), Error::Predictor { .. }));
    let mut sampler = LanguageModelSampler::new(&model, &params, TEXT).unwrap();
    let error = sampler.sample(&[4], 10, 0).unwrap_err().to_string();
    assert!(error.contains("numbers of 4 words"), "{error}");
    assert_eq!(sampler.sample(&[], 0, 0).unwrap().texts.len(), 0);
    // All tokens that could fill a word count as punctuation.
    let punctuation = "abdefghilmnorstuw.,".to_owned();
    let params = checked(FillingParams::default().with_punctuation(punctuation));
    let error = LanguageModelSampler::new(&model, &params, TEXT).err().unwrap().to_string();
    assert!(error.contains("one with a token that may fill a word"), "{error}");
}
