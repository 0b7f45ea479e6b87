//! The rules every explainer keeps to, and the settings that are refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_anchors::AnchorTabularParams;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Output, Params, Semantics};
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
    Suite { explainer: &explainer, view: black_box, model: &model, inputs: rows }.run();
}

fn quick() -> AnchorTabularParams {
    let output = Output::Bins { edges: vec![0.5], target: 0 };
    AnchorTabularParams::default().with_output(output).with_final_samples(300)
}

#[test]
fn defaults_conform() {
    conforms(quick());
}

#[test]
fn a_strict_beam_conforms() {
    conforms(quick().with_beam_size(3).with_strict(true).with_top_k(4).with_verbose(true));
}

#[test]
fn reference_semantics_conform() {
    conforms(quick().with_semantics(Semantics::Reference));
}

/// The keys of the search stand beside those of the method, and a wrong key is refused by name, whichever part it would
/// belong to. The schema has the same keys and the method's defaults.
#[test]
fn settings_are_flat_and_closed() {
    type P = AnchorTabularParams;
    let text = r#"{"threshold": 0.9, "disc_perc": [50.0], "semantics": "reference"}"#;
    let params: P = serde_json::from_str(text).unwrap();
    let expected = P::default()
        .with_threshold(0.9)
        .with_disc_perc(vec![50.0])
        .with_semantics(Semantics::Reference);
    assert_eq!(params, expected);
    let written = serde_json::to_value(&params).unwrap();
    assert_eq!(serde_json::from_value::<P>(written.clone()).unwrap(), params);
    for wrong in ["treshold", "binary_cache_size", "cache_margin", "search", "with_delta"] {
        let error = serde_json::from_str::<P>(&format!(r#"{{"{wrong}": 1}}"#)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&format!("unknown field `{wrong}`")), "{error}");
        assert!(error.contains("`disc_perc`") && error.contains("`threshold`"), "{error}");
    }
    let twice = serde_json::from_str::<P>(r#"{"tau": 0.1, "tau": 0.2}"#).unwrap_err();
    assert!(twice.to_string().contains("duplicate field `tau`"), "{twice}");
    let schema = serde_json::to_value(schemars::schema_for!(P)).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert!(properties.keys().eq(written.as_object().unwrap().keys()), "{schema}");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    type P = AnchorTabularParams;
    let nan = f64::NAN;
    for threshold in [0.0, -0.1, 1.1, nan] {
        refused("threshold", P::default().with_threshold(threshold));
    }
    for delta in [0.0, 1.0, -0.1, nan] {
        refused("delta", P::default().with_delta(delta));
    }
    for tau in [0.0, 1.5, nan] {
        refused("tau", P::default().with_tau(tau));
    }
    for epsilon_stop in [0.0, 0.96, nan] {
        refused("epsilon_stop", P::default().with_epsilon_stop(epsilon_stop));
    }
    for coverage_gain in [-0.1, nan, f64::INFINITY] {
        refused("coverage_gain", P::default().with_coverage_gain(coverage_gain));
    }
    refused("batch_size", P::default().with_batch_size(0));
    refused("coverage_samples", P::default().with_coverage_samples(0));
    refused("beam_size", P::default().with_beam_size(0));
    refused("max_anchor_size", P::default().with_max_anchor_size(Some(0)));
    refused("min_samples_start", P::default().with_min_samples_start(0));
    refused("verbose_every", P::default().with_verbose_every(0));
    refused("max_samples", P::default().with_max_samples(99));
    refused("final_samples", P::default().with_final_samples(0).with_strict(true));
    for disc_perc in [vec![], vec![-1.0], vec![100.5], vec![nan]] {
        refused("disc_perc", P::default().with_disc_perc(disc_perc));
    }
    for weights in [vec![0.0, 0.0], vec![-1.0, 2.0], vec![nan], vec![f64::INFINITY]] {
        refused("row_weights", P::default().with_row_weights(Some(weights)));
    }
    for output in [
        Output::Bins { edges: vec![], target: 0 },
        Output::Bins { edges: vec![1.0, 1.0], target: 0 },
        Output::Bins { edges: vec![nan], target: 0 },
        Output::Within { tolerance: -1.0, target: 0 },
        Output::Within { tolerance: nan, target: 0 },
    ] {
        refused("output", P::default().with_output(output));
    }
    assert!(P::default().check().is_ok());
}
