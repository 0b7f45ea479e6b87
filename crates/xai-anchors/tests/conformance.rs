//! The rules every explainer keeps to, and the settings that are refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_anchors::{AnchorTabularParams, Output};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Params, Semantics};
use xai_testkit::conformance::black_box;
use xai_testkit::{Logistic, Suite, refused};

fn features() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("hours"),
        Feature::categorical("home", ["rented", "owned", "other"], Encoding::Ordinal),
        Feature::categorical("sex", ["f", "m"], Encoding::OneHot),
    ])
    .unwrap()
}

/// Every combination of some values.
fn training() -> Array2<f64> {
    let mut rows = Vec::new();
    for age in 0..8 {
        for hours in 0..5 {
            for home in 0..3 {
                for sex in [[0.0, 1.0], [1.0, 0.0]] {
                    rows.push([f64::from(age), f64::from(hours), f64::from(home), sex[0], sex[1]]);
                }
            }
        }
    }
    Array2::from(rows)
}

#[track_caller]
fn conforms(params: AnchorTabularParams) {
    let explainer = params.fit(&training(), features()).unwrap();
    let model = Logistic::new(&[0.9, -0.4, 0.5, 1.0, -1.0], -2.0);
    let rows = array![
        [6.5, 0.5, 1.0, 1.0, 0.0],
        [1.5, 3.5, 0.0, 0.0, 1.0],
        [3.5, 2.5, 2.0, 0.0, 1.0],
        [-4.0, 9.5, 2.0, 1.0, 0.0],
    ];
    Suite { explainer: &explainer, view: black_box, model: &model, rows }.run();
}

fn quick() -> AnchorTabularParams {
    let output = Output::Bins { edges: vec![0.5], target: 0 };
    AnchorTabularParams { output, final_samples: 300, ..Default::default() }
}

#[test]
fn defaults_conform() {
    conforms(quick());
}

#[test]
fn a_strict_beam_conforms() {
    conforms(AnchorTabularParams {
        beam_size: 3,
        strict: true,
        top_k: 4,
        verbose: true,
        ..quick()
    });
}

#[test]
fn reference_semantics_conform() {
    conforms(AnchorTabularParams { semantics: Semantics::Reference, ..quick() });
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    type P = AnchorTabularParams;
    let nan = f64::NAN;
    for threshold in [0.0, -0.1, 1.1, nan] {
        refused("threshold", P { threshold, ..P::default() });
    }
    for delta in [0.0, 1.0, -0.1, nan] {
        refused("delta", P { delta, ..P::default() });
    }
    for tau in [0.0, 1.5, nan] {
        refused("tau", P { tau, ..P::default() });
    }
    for epsilon_stop in [0.0, 0.96, nan] {
        refused("epsilon_stop", P { epsilon_stop, ..P::default() });
    }
    refused("batch_size", P { batch_size: 0, ..P::default() });
    refused("coverage_samples", P { coverage_samples: 0, ..P::default() });
    refused("beam_size", P { beam_size: 0, ..P::default() });
    refused("max_anchor_size", P { max_anchor_size: Some(0), ..P::default() });
    refused("min_samples_start", P { min_samples_start: 0, ..P::default() });
    refused("binary_cache_size", P { binary_cache_size: 0, ..P::default() });
    refused("verbose_every", P { verbose_every: 0, ..P::default() });
    refused("max_samples", P { max_samples: 99, ..P::default() });
    refused("final_samples", P { final_samples: 0, strict: true, ..P::default() });
    for disc_perc in [vec![], vec![-1.0], vec![100.5], vec![nan]] {
        refused("disc_perc", P { disc_perc, ..P::default() });
    }
    for weights in [vec![0.0, 0.0], vec![-1.0, 2.0], vec![nan], vec![f64::INFINITY]] {
        refused("row_weights", P { row_weights: Some(weights), ..P::default() });
    }
    for output in [
        Output::Bins { edges: vec![], target: 0 },
        Output::Bins { edges: vec![1.0, 1.0], target: 0 },
        Output::Bins { edges: vec![nan], target: 0 },
        Output::Within { tolerance: -1.0, target: 0 },
        Output::Within { tolerance: nan, target: 0 },
    ] {
        refused("output", P { output, ..P::default() });
    }
    assert!(P::default().check().is_ok() && P::distributed().check().is_ok());
}
