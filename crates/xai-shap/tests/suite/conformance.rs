//! The rules every explainer keeps to, for exact and for sampled values.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array2, array};
use xai_core::Semantics;
use xai_core::tabular::Features;
use xai_shap::{Estimator, KernelShap, KernelShapParams, L1Reg, Link, NSamples};
use xai_testkit::conformance::black_box;
use xai_testkit::{Logistic, Suite, refused};

fn rows(n: usize, offset: f64) -> Array2<f64> {
    // Distinct in every cell: multiples of an irrational number, modulo 1.
    Array2::from_shape_fn((n, 6), |(i, j)| {
        ((i * 6 + j) as f64 * 0.618_033_988_749_895 + offset).fract() * 2.0 - 1.0
    })
}

fn explainer(params: KernelShapParams) -> KernelShap {
    params.fit(&rows(4, 0.3), Features::unnamed(6).unwrap()).unwrap()
}

#[track_caller]
fn conforms(params: KernelShapParams) {
    let model = Logistic::new(&[1.0, -2.0, 0.5, 0.0, 3.0, -1.0], 0.2);
    Suite { explainer: &explainer(params), view: black_box, model: &model, inputs: rows(3, 0.7) }
        .run();
}

#[test]
fn exact_values_conform() {
    conforms(KernelShapParams::default().with_link(Link::Logit));
}

#[test]
fn paired_values_conform() {
    let nsamples = NSamples::Count(24);
    conforms(KernelShapParams::default().with_estimator(Estimator::Paired).with_nsamples(nsamples));
}

#[test]
fn permuted_values_conform() {
    let nsamples = NSamples::Count(30);
    let estimator = Estimator::Permutation;
    conforms(
        KernelShapParams::default()
            .with_estimator(estimator)
            .with_nsamples(nsamples)
            .with_share_design(false),
    );
}

#[test]
fn values_within_a_tolerance_conform() {
    let nsamples = NSamples::Count(60);
    let (estimator, tolerance) = (Estimator::Paired, Some(0.05));
    conforms(
        KernelShapParams::default()
            .with_estimator(estimator)
            .with_nsamples(nsamples)
            .with_tolerance(tolerance),
    );
}

#[test]
fn selected_values_conform() {
    let l1_reg = L1Reg::NumFeatures(2);
    conforms(KernelShapParams::default().with_l1_reg(l1_reg).with_fixed_features(vec![4]));
}

#[test]
fn values_of_shaps_design_conform() {
    let nsamples = NSamples::Count(20);
    let semantics = Semantics::Reference;
    conforms(KernelShapParams::default().with_nsamples(nsamples).with_semantics(semantics));
}

#[test]
fn grouped_and_weighted_values_conform() {
    conforms(
        KernelShapParams::default()
            .with_groups(Some(vec![vec![5, 0], vec![1], vec![2, 3, 4]]))
            .with_weights(Some(vec![1.0, 0.0, 2.5, 0.5])),
    );
}

#[test]
fn illegal_parameters_are_refused_by_name() {
    let params = KernelShapParams::default;
    refused("nsamples", params().with_nsamples(NSamples::Count(0)));
    refused("nsamples", params().with_nsamples(NSamples::Count(1 << 31 | 1)));
    for link_epsilon in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.5] {
        refused("link_epsilon", params().with_link_epsilon(link_epsilon));
    }
    for groups in [vec![], vec![vec![]], vec![vec![0], vec![1, 0]], vec![vec![2, 2]]] {
        refused("groups", params().with_groups(Some(groups)));
    }
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    let groups = Some(vec![vec![0], vec![1]]);
    for group_names in [names(&["a"]), names(&["a", "a"])] {
        refused("group_names", params().with_group_names(group_names).with_groups(groups.clone()));
    }
    refused("n_background_samples", params().with_n_background_samples(0));
    for weight in [f64::NAN, f64::INFINITY, -1.0] {
        refused("weights", params().with_weights(Some(vec![1.0, weight])));
    }
    refused("weights", params().with_weights(Some(vec![0.0, 0.0])));
}

#[test]
fn settings_that_do_not_fit_the_table_are_refused_by_name() {
    let params = KernelShapParams::default;
    let names = Some(vec!["only".to_owned()]);
    let cases = [
        ("weights", params().with_weights(Some(vec![1.0; 3]))),
        ("groups", params().with_groups(Some(vec![vec![0, 6], vec![1, 2, 3, 4, 5]]))),
        ("groups", params().with_groups(Some(vec![vec![0, 1], vec![3, 4, 5]]))),
        ("group_names", params().with_group_names(names)),
    ];
    for (name, params) in cases {
        match params.fit(&rows(4, 0.3), Features::unnamed(6).unwrap()) {
            Err(xai_core::Error::Param(error)) => assert_eq!(error.name, name),
            other => panic!("expected an error of `{name}`, got {other:?}"),
        }
    }
}

#[test]
fn backgrounds_that_do_not_fit_the_table_are_refused() {
    let fit =
        |rows: Array2<f64>| KernelShapParams::default().fit(&rows, Features::unnamed(2).unwrap());
    let error = fit(Array2::zeros((3, 1))).unwrap_err().to_string();
    assert_eq!(error, "the background must have shape [3, 2], got [3, 1]");
    let error = fit(array![[0.0, 1.0], [f64::NAN, 0.0]]).unwrap_err().to_string();
    assert_eq!(error, "the background must be finite, got NaN at [1, 0]");
    let error = fit(Array2::zeros((0, 2))).unwrap_err().to_string();
    assert_eq!(error, "parameter `background` must be at least one row, got 0");
}

#[test]
fn params_are_one_table_of_toml_or_json() {
    let params: KernelShapParams =
        serde_json::from_str(r#"{"nsamples": 64, "link": "logit"}"#).unwrap();
    assert_eq!(
        params,
        KernelShapParams::default().with_nsamples(NSamples::Count(64)).with_link(Link::Logit)
    );
    let auto: KernelShapParams = serde_json::from_str(r#"{"nsamples": "auto"}"#).unwrap();
    assert_eq!(auto, KernelShapParams::default());
    let round: KernelShapParams =
        serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
    assert_eq!(round, params);
    for (text, named) in [
        (r#"{"nsample": 64}"#, "nsample"),
        (r#"{"nsamples": "many"}"#, "nsamples"),
        (r#"{"link": "log"}"#, "log"),
    ] {
        let error = serde_json::from_str::<KernelShapParams>(text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}
