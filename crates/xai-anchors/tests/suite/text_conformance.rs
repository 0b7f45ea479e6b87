//! AnchorText keeps to the rules of every explainer, with masks and with similar words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_anchors::{
    AnchorTextParams, EnglishAnalyzer, SamplingStrategy, TextResources, WordVectors,
};
use xai_core::text_predictor;
use xai_testkit::Suite;
use xai_testkit::conformance::black_box;

/// Explains three texts of a model of good words.
fn conforms(params: AnchorTextParams, resources: TextResources<'_>) {
    let model = text_predictor(|texts| {
        let share = |text: &String| if text.contains("good") { 0.8 } else { 0.3 };
        let shares: Vec<f64> = texts.iter().map(share).collect();
        Array2::from_shape_fn((shares.len(), 2), |(text, class)| {
            if class == 1 { shares[text] } else { 1.0 - shares[text] }
        })
    });
    let explainer = params.with_final_samples(200).build(resources).unwrap();
    let inputs = ["a good film", "dull and long", "not so good, not at all"];
    let inputs = inputs.map(str::to_owned).to_vec();
    Suite { explainer: &explainer, view: black_box, model: &model, inputs }.run_unsaved();
}

#[test]
fn masks_conform() {
    conforms(AnchorTextParams::default(), TextResources::default());
}

#[test]
fn similar_words_conform() {
    let words = ["good", "great", "dull", "film", "long", "not"];
    let vectors = array![
        [1.0, 0.1, 0.0],
        [0.9, 0.3, 0.0],
        [0.8, -0.5, 0.1],
        [0.0, 0.1, 1.0],
        [0.7, -0.6, 0.0],
        [0.1, 0.0, 0.9],
    ];
    let vectors = WordVectors::new(words.map(str::to_owned).to_vec(), &vectors).unwrap();
    let params = AnchorTextParams::default().with_sampling_strategy(SamplingStrategy::Similarity);
    let analyzer = EnglishAnalyzer::new();
    conforms(params, TextResources::new(&analyzer).with_vectors(&vectors));
}
