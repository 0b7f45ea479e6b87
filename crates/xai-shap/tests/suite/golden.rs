//! Numbers computed by alibi and shap, and by brute force; the test kit's fixtures say how.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis};
use serde::Deserialize;
use xai_core::tabular::Features;
use xai_core::{Explainer, RunConfig, serde_arrays};
use xai_shap::{KernelShapData, KernelShapParams, Link, NSamples, importances, sum_columns};
use xai_testkit::{KernelShapCase, Network, reference};

#[track_caller]
fn close(what: &str, got: f64, expected: f64) {
    // The reference solves normal equations in float64 on values of order 1 to 100; we evaluate the closed formula.
    let tolerance = 1e-9 * expected.abs().max(1.0);
    assert!((got - expected).abs() <= tolerance, "{what}: got {got}, expected {expected}");
}

#[test]
fn every_case_without_an_l1_rule_agrees() {
    let cases = KernelShapCase::without_l1();
    assert_eq!(cases.len(), 10, "the reference holds ten cases without an l1 rule");
    cases.into_iter().for_each(check);
}

fn check(case: KernelShapCase) {
    let params = KernelShapParams::default()
        .with_nsamples(case.explain.nsamples.map_or(NSamples::Auto, NSamples::Count))
        .with_link(if case.logit { Link::Logit } else { Link::Identity })
        .with_groups(case.fit.groups)
        .with_group_names(case.fit.group_names)
        .with_weights(case.fit.weights);
    let features = Features::numeric(case.fixture.feature_names).unwrap();
    let explainer = params.fit(&case.background, features).unwrap();
    let explained: Vec<KernelShapData> = explainer
        .explain_many(&case.fixture.network, &case.instances, &RunConfig::seeded(0))
        .into_iter()
        .map(|result| result.unwrap().data)
        .collect();
    assert_eq!(explained.len(), case.shap_values.len_of(Axis(1)));
    let (starts, lengths) = (&case.explain.cat_vars_start_idx, &case.explain.cat_vars_enc_dim);
    for (instance, data) in explained.iter().enumerate() {
        assert!(data.exact, "{}", case.name);
        let values = sum_columns(&data.shap_values, starts, lengths).unwrap();
        let expected = case.shap_values.index_axis(Axis(1), instance);
        assert_eq!(values.dim(), expected.dim(), "{}", case.name);
        for (place, &expected) in expected.indexed_iter() {
            close(
                &format!("{}: instance {instance}, {place:?}", case.name),
                values[place],
                expected,
            );
        }
        for (&got, &expected) in data.expected_value.iter().zip(&case.expected_value) {
            close(&format!("{}: expected value", case.name), got, expected);
        }
        if let Some(raw) = &case.raw_prediction {
            for (&got, &expected) in data.raw_prediction.iter().zip(raw.row(instance)) {
                close(&format!("{}: raw prediction", case.name), got, expected);
            }
        }
    }
    // Of summed columns the reference ranks the sums, under other names.
    if starts.is_empty() {
        let ranked = importances(&explained).unwrap();
        for (output, expected) in &case.importances {
            let importance = match output.as_str() {
                "aggregated" => &ranked.total,
                output => ranked.of_output(output).unwrap(),
            };
            assert_eq!(importance.names, expected.names, "{}: {output}", case.name);
            for (&got, &expected) in importance.ranked_effect.iter().zip(&expected.ranked_effect) {
                close(&format!("{}: importance", case.name), got, expected);
            }
        }
    }
}

#[derive(Deserialize)]
struct Exact16 {
    #[serde(with = "serde_arrays")]
    w1: Array2<f64>,
    #[serde(with = "serde_arrays")]
    b1: Array1<f64>,
    #[serde(with = "serde_arrays")]
    w2: Array2<f64>,
    #[serde(with = "serde_arrays")]
    b2: Array1<f64>,
    #[serde(with = "serde_arrays")]
    background: Array2<f64>,
    #[serde(with = "serde_arrays")]
    instances: Array2<f64>,
    #[serde(with = "serde_arrays")]
    shap_values: Array2<f64>,
    expected_value: f64,
    #[serde(rename = "shap_0.43_mean_abs_error_by_nsamples")]
    peer: BTreeMap<usize, PeerError>,
}

#[derive(Deserialize)]
struct PeerError {
    mean: f64,
}

impl Exact16 {
    fn load() -> Self {
        serde_json::from_str(&reference("shap_exact16.json")).unwrap()
    }

    fn explain(&self, nsamples: usize, seed: u64) -> Vec<KernelShapData> {
        let network = Network::tanh(vec![
            (self.w1.clone(), self.b1.clone()),
            (self.w2.clone(), self.b2.clone()),
        ]);
        let params = KernelShapParams::default().with_nsamples(NSamples::Count(nsamples));
        let explainer = params.fit(&self.background, Features::unnamed(16).unwrap()).unwrap();
        let results = explainer.explain_many(&network, &self.instances, &RunConfig::seeded(seed));
        results.into_iter().map(|result| result.unwrap().data).collect()
    }

    fn errors(&self, explained: &[KernelShapData]) -> Array2<f64> {
        Array2::from_shape_fn(self.shap_values.dim(), |(instance, feature)| {
            (explained[instance].shap_values[[0, feature]] - self.shap_values[[instance, feature]])
                .abs()
        })
    }
}

#[test]
fn sixteen_features_are_exact_with_all_coalitions() {
    let golden = Exact16::load();
    let explained = golden.explain(65_536, 0);
    assert!(explained.iter().all(|data| data.exact && data.n_coalitions == 65_534));
    assert!((explained[0].expected_value[0] - golden.expected_value).abs() < 1e-10);
    let worst = golden.errors(&explained).fold(0.0_f64, |worst, &error| worst.max(error));
    assert!(worst < 1e-10, "{worst}");
}

#[test]
fn sixteen_features_are_sampled_no_worse_than_the_peer() {
    let golden = Exact16::load();
    let mut budgets = 0;
    for (&nsamples, peer) in
        golden.peer.iter().filter(|(nsamples, _)| [128, 512, 2048].contains(*nsamples))
    {
        // The peer's figure is a mean over its runs; this one is over 10 seeds and the same four instances.
        let errors =
            (0..10).map(|seed| golden.errors(&golden.explain(nsamples, seed)).mean().unwrap());
        let mean = errors.sum::<f64>() / 10.0;
        assert!(mean <= peer.mean, "nsamples {nsamples}: {mean} against the peer's {}", peer.mean);
        budgets += 1;
    }
    assert_eq!(budgets, 3);
}
