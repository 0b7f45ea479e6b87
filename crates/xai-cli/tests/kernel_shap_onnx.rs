//! The command's pieces put together: KernelSHAP over ONNX models in float32 against alibi over float64.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, Array3, Axis};
use serde::Deserialize;
use serde_json::Value;
use xai_core::tabular::Features;
use xai_core::{Explainer, Runs, nested};
use xai_onnx::{OnnxModel, OnnxOptions};
use xai_shap::{KernelShapParams, Link, NSamples, sum_columns};
use xai_testkit::{Fixture, reference};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    #[serde(default)]
    link: Link,
    background_rows: Option<Vec<usize>>,
    #[serde(default)]
    background: Value,
    instance_rows: Option<Vec<usize>>,
    #[serde(default)]
    instances: Value,
    #[serde(default)]
    fit: Fit,
    explain: Explain,
    #[serde(with = "nested")]
    shap_values: Array3<f64>,
    #[serde(default)]
    raw_prediction: Value,
}

#[derive(Deserialize, Default)]
struct Fit {
    groups: Option<Vec<Vec<usize>>>,
    group_names: Option<Vec<String>>,
    weights: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Explain {
    l1_reg: Value,
    nsamples: Option<usize>,
    #[serde(default)]
    cat_vars_start_idx: Vec<usize>,
    #[serde(default)]
    cat_vars_enc_dim: Vec<usize>,
}

#[test]
fn every_case_without_an_l1_rule_agrees_through_onnx() {
    let golden: Golden = serde_json::from_str(&reference("kernel_shap.json")).unwrap();
    let mut checked = 0;
    for case in golden.cases.into_iter().filter(|case| case.explain.l1_reg == false) {
        check(case);
        checked += 1;
    }
    assert_eq!(checked, 10);
}

fn check(case: Case) {
    let fixture = Fixture::load(&case.model);
    let model = OnnxModel::from_bytes(&fixture.onnx, &OnnxOptions::default()).unwrap();
    let rows = |indices: Option<Vec<usize>>, of: &Array2<f64>, given: Value| match indices {
        Some(indices) => of.select(Axis(0), &indices),
        None => nested::deserialize(given).unwrap(),
    };
    let background = rows(case.background_rows, &fixture.x_train, case.background);
    let instances = rows(case.instance_rows, &fixture.x_test, case.instances);
    let params = KernelShapParams {
        nsamples: case.explain.nsamples.map_or(NSamples::Auto, NSamples::Count),
        link: case.link,
        groups: case.fit.groups,
        group_names: case.fit.group_names,
        weights: case.fit.weights,
        ..Default::default()
    };
    let explainer =
        params.fit(&background, Features::numeric(fixture.feature_names).unwrap()).unwrap();
    // A probability p in float32 is off by up to 2^-24, and its log-odds r by that over p (1 - p), about exp(-|r|): next to
    // certainty the file's own outputs hold no more digits than that.
    let rounding = match case.link {
        Link::Identity => 0.0,
        Link::Logit => {
            let raw: Array2<f64> = nested::deserialize(case.raw_prediction).unwrap();
            2_f64.powi(-24)
                * raw.fold(0.0_f64, |largest, log_odds| largest.max(log_odds.abs())).exp()
        }
    };
    let results = explainer.explain_rows(&model, &instances, &Runs::seeded(0));
    assert_eq!(results.len(), case.shap_values.len_of(Axis(1)));
    for (instance, result) in results.into_iter().enumerate() {
        let values = result.unwrap().data.shap_values;
        let values =
            sum_columns(&values, &case.explain.cat_vars_start_idx, &case.explain.cat_vars_enc_dim)
                .unwrap();
        let expected = case.shap_values.index_axis(Axis(1), instance);
        assert_eq!(values.dim(), expected.dim(), "{}", case.name);
        for (place, &expected) in expected.indexed_iter() {
            let tolerance = 1e-5 * expected.abs().max(1.0) + rounding;
            let got = values[place];
            assert!(
                (got - expected).abs() <= tolerance,
                "{} {instance} {place:?}: {got} for {expected}",
                case.name
            );
        }
    }
}
