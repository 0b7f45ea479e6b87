//! The same bytes for a text at any number of threads, in any order and beside any other texts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_anchors::{
    AnchorText, AnchorTextParams, EnglishAnalyzer, Filling, SamplingStrategy, TextResources,
    WordVectors,
};
use xai_core::{BoxError, Explainer, Explanation, Run, RunConfig, Semantics};

type P = AnchorTextParams;

/// The share of positive words, as the probabilities of two classes.
fn model(texts: &[String]) -> Result<Array2<f64>, BoxError> {
    let mut outputs = Array2::zeros((texts.len(), 2));
    for (text, mut row) in texts.iter().zip(outputs.rows_mut()) {
        let count = |words: &[&str]| words.iter().map(|own| text.matches(own).count() as f64).sum();
        let (good, bad): (f64, f64) = (count(&["good", "great"]), count(&["bad", "not", "dull"]));
        row[1] = (1.0 + good) / (2.0 + good + bad);
        row[0] = 1.0 - row[1];
    }
    Ok(outputs)
}

fn texts() -> Vec<String> {
    let texts = [
        "A good film, but not a great one.",
        "Dull and bad.",
        "The great story  of a good man; not bad at all!",
        "It wasn't good.",
        "good",
        "\u{dc}ber-great \u{201c}fun\u{201d} \u{1f600}",
    ];
    texts.map(str::to_owned).to_vec()
}

fn vectors() -> WordVectors {
    let words = ["good", "great", "bad", "dull", "film", "story", "man"];
    let vectors = array![
        [1.0, 0.1, 0.0],
        [0.9, 0.3, 0.0],
        [0.8, -0.5, 0.1],
        [0.7, -0.6, 0.0],
        [0.0, 0.1, 1.0],
        [0.1, 0.0, 0.9],
        [0.0, 0.4, 0.7],
    ];
    WordVectors::new(words.map(str::to_owned).to_vec(), &vectors).unwrap()
}

fn settings() -> Vec<P> {
    let base = P::default().with_final_samples(200);
    vec![
        base.clone(),
        base.clone()
            .with_mask_string(None)
            .with_beam_size(3)
            .with_strict(true)
            .with_top_k(5)
            .with_verbose(true),
        base.clone().with_sampling_strategy(SamplingStrategy::Similarity).with_use_proba(true),
        base.with_semantics(Semantics::Reference).with_batch_size(37).with_stop_on_first(false),
    ]
}

fn alone(explainer: &AnchorText<'_>, text: &str, seed: u64) -> String {
    explainer.explain(&model, text, Run::seeded(seed)).unwrap().to_json().unwrap()
}

#[test]
fn threads_order_and_neighbours_change_nothing() {
    let (analyzer, vectors, texts) = (EnglishAnalyzer::new(), vectors(), texts());
    let resources = TextResources::new(&analyzer).with_vectors(&vectors).with_corpus(&texts);
    for params in settings() {
        let explainer = params.build(resources).unwrap();
        let expected: Vec<String> = texts.iter().map(|text| alone(&explainer, text, 5)).collect();
        let again: Vec<String> =
            texts.iter().rev().map(|text| alone(&explainer, text, 5)).collect();
        assert!(again.iter().rev().eq(&expected));
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            // Twice the same texts, the second time backwards.
            let both: Vec<String> = texts.iter().chain(texts.iter().rev()).cloned().collect();
            let together =
                pool.install(|| explainer.explain_many(&model, &both, &RunConfig::seeded(5)));
            let expected = expected.iter().chain(expected.iter().rev());
            assert!(
                together
                    .into_iter()
                    .map(|one| one.unwrap().to_json().unwrap())
                    .eq(expected.cloned())
            );
        }
        assert_ne!(alone(&explainer, &texts[0], 6), expected[0]);
    }
}

/// Params and resources make the explainer again, and the document reads back to the byte.
#[test]
fn documents_are_complete() {
    let (analyzer, vectors) = (EnglishAnalyzer::new(), vectors());
    let resources = TextResources::new(&analyzer).with_vectors(&vectors);
    for params in settings() {
        let json = alone(&params.build(resources).unwrap(), &texts()[2], 1);
        let read: Explanation<xai_anchors::AnchorTextData> = Explanation::from_json(&json).unwrap();
        assert_eq!(read.to_json().unwrap(), json);
        let params: P = serde_json::from_value(read.meta.params.clone()).unwrap();
        let again = params.build(resources).unwrap();
        assert_eq!(alone(&again, &read.data.instance, 1), json);
        assert_eq!(read.meta.queries, {
            let own = &read.data.result.queries;
            own.instance + own.search + own.certificate
        });
    }
}

/// Settings of other strategies change nothing.
#[test]
fn foreign_settings_have_no_effect() {
    let other = P::default().with_filling(Filling::Autoregressive).with_top_n(3);
    let of = |params: P| {
        let explainer = params.build(TextResources::default()).unwrap();
        explainer.explain(&model, &texts()[0], Run::seeded(0)).unwrap().data
    };
    assert_eq!(of(other), of(P::default()));
}
