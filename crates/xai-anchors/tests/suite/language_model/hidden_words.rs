//! Which words are hidden, how often, and what becomes of the rest of the text.

use xai_anchors::{Filling, FillingParams};

use super::fake::{FILLERS, Fake, MASK, REAL, fills, id, sampler};

/// Twenty words: that two templates hide the same of them has a chance of one in a million.
const LONG: &str =
    "the film was good the film was bad a film was good a film was bad the film was a film";

/// Lengths of runs of equal rows.
fn runs(kept: &ndarray::Array2<bool>) -> Vec<usize> {
    let rows: Vec<_> = kept.rows().into_iter().collect();
    rows.chunk_by(|one, next| one == next).map(<[_]>::len).collect()
}

#[track_caller]
fn check_templates(params: FillingParams, n_samples: usize, expected: &[usize]) {
    let model = Fake::indifferent();
    let mut sampler = sampler(&model, params, LONG);
    let filled = sampler.sample(&[], n_samples, 0).unwrap();
    assert_eq!(runs(&filled.kept), expected);
    // The model reads each template once.
    assert_eq!(sampler.passes(), expected.len() as u64);
}

#[test]
fn a_share_of_the_samples_has_templates_of_its_own() {
    let params = FillingParams::default();
    check_templates(params.clone(), 100, &[10; 10]);
    check_templates(params.clone(), 25, &[13, 12]);
    check_templates(params.clone(), 3, &[3]);
    check_templates(params.clone().with_frac_mask_templates(1.0), 40, &[1; 40]);
    check_templates(params.clone().with_frac_mask_templates(0.0), 40, &[40]);
    check_templates(params.with_sample_proba(1.0), 100, &[100]);
}

#[test]
fn one_by_one_each_sample_has_a_template_of_its_own() {
    let params = FillingParams::default().with_filling(Filling::Autoregressive);
    let model = Fake::indifferent();
    let filled = sampler(&model, params, LONG).sample(&[], 50, 0).unwrap();
    assert_eq!(runs(&filled.kept), [1; 50]);
}

#[test]
fn the_tails_of_a_hidden_word_go_with_it() {
    let model = Fake::indifferent();
    let text = "the unreal film was good";
    let mut sampler = sampler(&model, FillingParams::default(), text);
    assert_eq!(sampler.spans(), [0..3, 4..10, 11..15, 16..19, 20..24]);
    let filled = sampler.sample(&[0, 2, 3, 4], 50, 0).unwrap();
    assert_eq!(model.rows(), [[id("the"), MASK, id("film"), id("was"), id("good")]]);
    for sample in &filled.texts {
        let fills = fills(&sampler, text, sample);
        assert!(FILLERS.contains(&id(fills[1])), "{sample}");
    }
    // What is not hidden keeps its tails.
    let model = Fake::indifferent();
    super::fake::sampler(&model, FillingParams::default(), text)
        .sample(&[0, 1, 2, 3], 5, 0)
        .unwrap();
    assert_eq!(model.rows(), [[id("the"), id("un"), REAL, id("film"), id("was"), MASK]]);
}

#[test]
fn stopwords_and_punctuation_are_never_hidden() {
    let text = "The unreal film , was good .";
    let stopwords = ["THE ", "unreal"].map(str::to_owned).to_vec();
    let params = FillingParams::default().with_stopwords(stopwords);
    let model = Fake::indifferent();
    let mut sampler = sampler(&model, params, text);
    assert_eq!(sampler.spans(), [11..15, 18..21, 22..26]);
    for sample in sampler.sample(&[], 200, 0).unwrap().texts {
        assert!(sample.starts_with("The unreal ") && sample.ends_with(" ."), "{sample}");
    }
}

#[test]
fn all_but_the_hidden_words_keeps_its_bytes() {
    let text = " \u{a0}The  film,\twas UNREAL...a\r\n bad one ".replace("one", "film");
    for filling in [Filling::Parallel, Filling::Autoregressive] {
        let params = FillingParams::default().with_filling(filling).with_frac_mask_templates(1.0);
        let model = Fake::indifferent();
        let mut sampler = sampler(&model, params, &text);
        let own: Vec<&str> = sampler.spans().into_iter().map(|span| &text[span]).collect();
        assert_eq!(own, ["The", "film", "was", "UNREAL", "a", "bad", "film"]);
        let filled = sampler.sample(&[1], 100, 0).unwrap();
        for (sample, kept) in filled.texts.iter().zip(filled.kept.rows()) {
            for ((fill, own), &kept) in fills(&sampler, &text, sample).iter().zip(&own).zip(kept) {
                assert!(if kept { fill == own } else { FILLERS.contains(&id(fill)) }, "{sample:?}");
            }
            assert!(kept[1] && !kept.iter().all(|&kept| kept));
        }
    }
}

#[test]
fn an_anchor_of_all_words_gives_copies() {
    let text = "the film was good";
    let model = Fake::indifferent();
    let mut sampler = sampler(&model, FillingParams::default(), text);
    let filled = sampler.sample(&[3, 1, 0, 2], 7, 0).unwrap();
    assert_eq!(filled.texts, [text; 7]);
    assert!(filled.kept.iter().all(|&kept| kept));
    assert_eq!((sampler.passes(), model.rows().len()), (0, 0));
}

/// A word is hidden with probability p, and in `(1 - p)^m` of the cases, when none of m is, with `1 / m`.
#[test]
fn words_are_hidden_with_their_probability() {
    let (n, text) = (20_000, "the film was");
    for sample_proba in [0.2, 0.5, 0.9] {
        let params =
            FillingParams::default().with_sample_proba(sample_proba).with_frac_mask_templates(1.0);
        let model = Fake::indifferent();
        let filled = sampler(&model, params, text).sample(&[], n, 1).unwrap();
        let expected = sample_proba + (1.0_f64 - sample_proba).powi(3) / 3.0;
        let bound = 5.0 * (expected * (1.0 - expected) / n as f64).sqrt();
        for kept in filled.kept.columns() {
            let hidden = kept.iter().filter(|&&kept| !kept).count() as f64 / n as f64;
            assert!((hidden - expected).abs() <= bound, "{hidden} is not {expected}");
        }
    }
}

#[test]
fn a_draw_depends_on_its_seed_and_anchor_alone() {
    for filling in [Filling::Parallel, Filling::Autoregressive] {
        let draw = |batch_size_lm: usize, before: bool| {
            let params =
                FillingParams::default().with_filling(filling).with_batch_size_lm(batch_size_lm);
            let model = Fake::new(|row, position| {
                std::array::from_fn(|token| {
                    (token as u32 * 7 + row[position.saturating_sub(1)] * 5) as f32 % 11.0
                })
            });
            let mut sampler = sampler(&model, params, LONG);
            if before {
                sampler.sample(&[1, 2], 30, 5).unwrap();
            }
            let filled = sampler.sample(&[0, 7], 100, 9).unwrap();
            let largest = model.calls.lock().unwrap().iter().map(Vec::len).max();
            assert!(largest <= Some(batch_size_lm));
            filled
        };
        let alone = draw(32, false);
        assert_eq!(draw(1, false), alone);
        assert_eq!(draw(7, true), alone);
    }
}

#[test]
fn punctuation_is_what_holds_nothing_else() {
    // The tokens of letters are punctuation when all of their characters are.
    let model = Fake::indifferent();
    let text = "a film was bad";
    let sampler =
        sampler(&model, FillingParams::default().with_punctuation("a.,".to_owned()), text);
    let words: Vec<&str> = sampler.spans().into_iter().map(|span| &text[span]).collect();
    assert_eq!(words, ["film", "was", "bad"]);
}
