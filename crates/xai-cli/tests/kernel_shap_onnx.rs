//! The command's pieces put together: KernelSHAP over ONNX models in float32 against alibi over float64.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xai::core::tabular::Features;
use xai::core::{Explainer, RunConfig};
use xai::ndarray::Axis;
use xai::onnx::{OnnxModel, OnnxOptions};
use xai::shap::{KernelShapParams, Link, NSamples, sum_columns};
use xai_testkit::KernelShapCase;

#[test]
fn every_case_without_an_l1_rule_agrees_through_onnx() {
    let cases = KernelShapCase::without_l1();
    assert_eq!(cases.len(), 10);
    cases.into_iter().for_each(check);
}

fn check(case: KernelShapCase) {
    let model = OnnxModel::from_bytes(&case.fixture.onnx, &OnnxOptions::default()).unwrap();
    let params = KernelShapParams::default()
        .with_nsamples(case.explain.nsamples.map_or(NSamples::Auto, NSamples::Count))
        .with_link(if case.logit { Link::Logit } else { Link::Identity })
        .with_groups(case.fit.groups)
        .with_group_names(case.fit.group_names)
        .with_weights(case.fit.weights);
    let features = Features::numeric(case.fixture.feature_names).unwrap();
    let explainer = params.fit(&case.background, features).unwrap();
    // A probability p in float32 is off by up to 2^-24, and its log-odds r by that over p (1 - p), about exp(-|r|):
    // next to certainty the file's own outputs hold no more digits than that.
    let rounding = if case.logit {
        let raw = case.raw_prediction.expect("recorded with the logit link");
        2_f64.powi(-24) * raw.fold(0.0_f64, |largest, log_odds| largest.max(log_odds.abs())).exp()
    } else {
        0.0
    };
    let results = explainer.explain_many(&model, &case.instances, &RunConfig::seeded(0));
    assert_eq!(results.len(), case.shap_values.len_of(Axis(1)));
    let (starts, lengths) = (&case.explain.cat_vars_start_idx, &case.explain.cat_vars_enc_dim);
    for (instance, result) in results.into_iter().enumerate() {
        let values = sum_columns(&result.unwrap().data.shap_values, starts, lengths).unwrap();
        let expected = case.shap_values.index_axis(Axis(1), instance);
        assert_eq!(values.dim(), expected.dim(), "{}", case.name);
        for (place, &expected) in expected.indexed_iter() {
            let (got, tolerance) = (values[place], 1e-5 * expected.abs().max(1.0) + rounding);
            let name = &case.name;
            assert!(
                (got - expected).abs() <= tolerance,
                "{name} {instance} {place:?}: {got} for {expected}"
            );
        }
    }
}
