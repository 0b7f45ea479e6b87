//! Damaged files give a model or an error, never a panic that gets out, and never hang.

use crate::build::fixture;
use ndarray::Array2;
use xai_core::Seed;
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

const FILES: [&str; 5] = [
    "iris_pipeline_logistic.onnx",
    "wine_mlp.onnx",
    "diabetes_gbt_regressor.onnx",
    "adult_pipeline_mlp.onnx",
    "adult_pipeline_gbt.onnx",
];

fn load(bytes: &[u8]) -> Result<OnnxModel, OnnxError> {
    OnnxModel::from_bytes(bytes, &OnnxOptions::default())
}

/// Loads what loads, and runs it.
fn exercise(bytes: &[u8]) -> bool {
    let Ok(model) = load(bytes) else { return false };
    if model.n_features() < 1 << 12 {
        let _ = model.evaluate(&Array2::ones((3, model.n_features())));
    }
    true
}

#[test]
fn every_cut_is_an_error() {
    for file in FILES {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let last = bytes.len() - 100;
        for end in (0..last).step_by(97).chain(last..bytes.len()) {
            // A cut before the last operator set leaves a model that lacks only what it does not need.
            if let Ok(model) = load(&bytes[..end]) {
                assert!(end >= bytes.len() - 20, "{file} cut at {end}: {model:?}");
            }
        }
    }
}

#[test]
fn flipped_bits_do_no_harm() {
    let mut n_loaded = 0;
    for (place, file) in FILES.iter().enumerate() {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let mut random = Seed::new(7).child(place as u64).stream();
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            // Half of the damage near the start, where the structure is denser than the weights.
            let limit = if random.below(2) == 0 { 1500 } else { u64::MAX };
            let at = random.below(limit.min(bytes.len() as u64));
            damaged[usize::try_from(at).unwrap()] ^= 1 << random.below(8);
            n_loaded += usize::from(exercise(&damaged));
        }
    }
    // Most bits are weights, which any value suits.
    assert!(n_loaded > 100, "{n_loaded}");
}

#[test]
fn random_bytes_are_no_model() {
    let mut random = Seed::new(11).stream();
    for length in [1, 2, 3, 10, 100, 1000, 10_000] {
        for _ in 0..20 {
            let bytes: Vec<u8> =
                (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
            assert!(load(&bytes).is_err());
        }
    }
}
