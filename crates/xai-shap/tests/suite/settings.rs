//! What the settings mean: the choice of the estimator, fixed features, selected features, the semantics of shap.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis, array};
use xai_core::tabular::Features;
use xai_core::{Error, Explainer, Predictor, Rows, Run, RunConfig, Seed, Semantics};
use xai_shap::{
    Estimator, KernelShapData, KernelShapParams, L1Reg, NSamples, UsedEstimator, sum_columns,
};
use xai_testkit::{Elementwise, KernelShapCase, Linear};

fn try_explain(
    params: KernelShapParams,
    model: &dyn Predictor,
    background: &Rows,
    x: &Array1<f64>,
) -> xai_core::Result<KernelShapData> {
    let features = Features::unnamed(background.ncols()).unwrap();
    Ok(params.fit(background, features)?.explain(model, x, Run::seeded(0))?.data)
}

fn explain(
    params: KernelShapParams,
    model: &dyn Predictor,
    background: &Rows,
    x: &Array1<f64>,
) -> KernelShapData {
    try_explain(params, model, background, x).unwrap()
}

#[test]
fn the_estimator_follows_players_and_budget() {
    let chosen = |n_players: usize, nsamples: NSamples| {
        let model = Elementwise(|x: &[f64]| x.iter().sum::<f64>());
        let params = KernelShapParams::default().with_nsamples(nsamples);
        let none = Array2::zeros((1, n_players));
        explain(params, &model, &none, &Array1::ones(n_players)).estimator
    };
    let count = NSamples::Count;
    assert_eq!(chosen(11, NSamples::Auto), UsedEstimator::Exact);
    assert_eq!(chosen(12, NSamples::Auto), UsedEstimator::Paired);
    assert_eq!(chosen(12, count(4094)), UsedEstimator::Exact);
    assert_eq!(chosen(20, count(79)), UsedEstimator::Permutation);
    assert_eq!(chosen(20, count(80)), UsedEstimator::Paired);
    assert_eq!(chosen(60, count(479)), UsedEstimator::Permutation);
    assert_eq!(chosen(60, count(480)), UsedEstimator::Paired);
    assert_eq!(chosen(1, count(1)), UsedEstimator::Exact);
}

#[test]
fn all_coalitions_are_taken_where_they_cost_no_more_than_a_sample() {
    // 16 features, of which each background row differs in four: 16 rows each instead of 2^16.
    let n_features = 16;
    let background = Array2::from_shape_fn((8, n_features), |(row, column)| {
        if (column + 2 * row) % n_features < 4 { 0.0 } else { 1.0 }
    });
    let model = Elementwise(|x: &[f64]| x.windows(2).map(|pair| pair[0] * pair[1]).sum());
    let features = Features::unnamed(n_features).unwrap();
    let explainer = KernelShapParams::default().fit(&background, features).unwrap();
    let explanation = explainer.explain(&model, &Array1::ones(n_features), Run::seeded(0)).unwrap();
    assert!(explanation.data.exact);
    assert!(explanation.meta.queries <= 8 * 15 + 1, "{}", explanation.meta.queries);
}

#[test]
fn fixed_features_keep_the_instances_values() {
    // f = x0 x1 + x2 with x1 fixed at 3: the game of the others is 3 x0 + x2.
    let model = Elementwise(|x: &[f64]| x[0] * x[1] + x[2]);
    let background = array![[0.0, 7.0, 1.0], [2.0, 9.0, 3.0]];
    let params = KernelShapParams::default().with_fixed_features(vec![1]);
    let data = explain(params, &model, &background, &array![4.0, 3.0, 5.0]);
    assert_eq!(data.shap_values, array![[3.0 * (4.0 - 1.0), 0.0, 5.0 - 2.0]]);
    assert_eq!(data.expected_value, array![3.0 * 1.0 + 2.0]);
    let refused = KernelShapParams::default().with_fixed_features(vec![3]);
    let Err(Error::Param(error)) =
        try_explain(refused, &model, &background, &array![0.0, 0.0, 0.0])
    else {
        panic!("there is no feature 3")
    };
    assert_eq!(error.name, "fixed_features");
}

#[test]
fn columns_in_no_group_stay_at_the_background() {
    // f = x0 x1 with x1 in no group: the game is x0 times the background's x1, row by row.
    let model = Elementwise(|x: &[f64]| x[0] * x[1]);
    let background = array![[1.0, 2.0], [3.0, 4.0]];
    for semantics in [Semantics::Native, Semantics::Reference] {
        let params = KernelShapParams::default()
            .with_groups(Some(vec![vec![0]]))
            .with_allow_partial_groups(true)
            .with_semantics(semantics);
        let data = explain(params, &model, &background, &array![5.0, 100.0]);
        assert_eq!(data.expected_value, array![7.0]);
        if semantics == Semantics::Native {
            // (5 - 1) * 2 and (5 - 3) * 4, halved.
            assert_eq!(data.shap_values, array![[8.0]]);
        }
    }
}

#[test]
fn summed_columns_are_sums_with_their_own_errors() {
    let model = Elementwise(|x: &[f64]| x[0] * x[1] * x[2] + x[3] * x[4] * x[5] + x[6]);
    let (background, x) = (Array2::zeros((1, 14)), Array1::ones(14));
    let params = KernelShapParams::default()
        .with_estimator(Estimator::Paired)
        .with_nsamples(NSamples::Count(200));
    let summed = params
        .clone()
        .with_summarise_result(true)
        .with_cat_vars_start_idx(Some(vec![1, 7]))
        .with_cat_vars_enc_dim(Some(vec![3, 7]));
    let plain = explain(params, &model, &background, &x);
    let summed = explain(summed, &model, &background, &x);
    let expected = sum_columns(&plain.shap_values, &[1, 7], &[3, 7]).unwrap();
    assert!((&summed.shap_values - &expected).iter().all(|gap| gap.abs() < 1e-15));
    let names = ["feature_0", "feature_1..feature_3", "feature_4", "feature_5", "feature_6"];
    assert_eq!(summed.feature_names[..5], names);
    assert_eq!(summed.feature_names[5..], ["feature_7..feature_13"]);
    let (errors, parts) = (summed.standard_errors.unwrap(), plain.standard_errors.unwrap());
    assert_eq!(errors[[0, 0]], parts[[0, 0]]);
    // A sum's error is at most the sum of the errors.
    assert!(errors[[0, 1]] <= parts.slice(ndarray::s![0, 1..4]).sum() * (1.0 + 1e-12));
    assert!(0.0 < errors[[0, 1]]);
}

#[test]
fn a_selection_keeps_the_sum_and_the_scale() {
    // Of ten features three matter; their values with the others left out are still those of the linear model.
    let mut slopes = [0.0; 10];
    (slopes[2], slopes[5], slopes[7]) = (3.0, -2.0, 1.0);
    let (background, x) = (Array2::zeros((1, 10)), Array1::ones(10));
    for scale in [1e-12, 1.0, 1e12] {
        let scaled: Vec<f64> = slopes.iter().map(|slope| slope * scale).collect();
        let model = Linear::new(&scaled, 0.0);
        for (estimator, nsamples) in [(Estimator::Exact, 1022), (Estimator::Paired, 100)] {
            for l1_reg in [L1Reg::NumFeatures(3), L1Reg::Aic, L1Reg::Bic, L1Reg::Alpha(0.01)] {
                let nsamples = NSamples::Count(nsamples);
                let params = KernelShapParams::default()
                    .with_estimator(estimator)
                    .with_nsamples(nsamples)
                    .with_l1_reg(l1_reg);
                let data = explain(params, &model, &background, &x);
                let selected = data.selected.unwrap().remove(0);
                assert!([2, 5, 7].iter().all(|feature| selected.contains(feature)), "{l1_reg:?}");
                for (feature, &slope) in scaled.iter().enumerate() {
                    let gap = data.shap_values[[0, feature]] - slope;
                    assert!(gap.abs() < 1e-12 * scale, "{l1_reg:?}, {estimator:?}: {gap}");
                }
            }
        }
        let params = KernelShapParams::default().with_l1_reg(L1Reg::NumFeatures(1));
        let data = explain(params, &model, &background, &x);
        assert_eq!(data.selected, Some(vec![vec![2]]));
        assert!((data.shap_values[[0, 2]] - 2.0 * scale).abs() < 1e-12 * scale, "the whole change");
    }
}

#[test]
fn a_selection_works_for_outputs_and_their_background() {
    let model = Linear::outputs(array![[4.0, 0.1, 1.0], [0.1, 3.0, 2.0]], array![0.0, 1.0]);
    let mut stream = Seed::new(4).stream();
    let background = Array2::from_shape_simple_fn((6, 3), || stream.uniform());
    let params = KernelShapParams::default().with_l1_reg(L1Reg::NumFeatures(1));
    let data = explain(params, &model, &background, &array![2.0, 2.0, 1.0]);
    assert_eq!(data.selected, Some(vec![vec![0], vec![1]]));
    for output in 0..2 {
        let change = data.raw_prediction[output] - data.expected_value[output];
        assert!((data.shap_values[[output, output]] - change).abs() < 1e-12);
        // All of the change goes to one feature, so its error is that of the mean output.
        let means = background.dot(&array![[4.0, 0.1, 1.0], [0.1, 3.0, 2.0]].t());
        let expected = means.column(output).std(1.0) / 6.0_f64.sqrt();
        let got = data.background_error.as_ref().unwrap()[[output, output]];
        assert!((got - expected).abs() < 1e-12, "got {got}, expected {expected}");
    }
}

#[test]
fn equal_means_equal_unless_shap_is_to_be_repeated() {
    // Five in a million is nothing to shap: the column does not play, and its effect goes to the others.
    let model = Elementwise(|x: &[f64]| (x[0] - 1e6) + x[1] + x[2]);
    let background = array![[1e6, 0.0, 0.0]];
    let x = array![1e6 + 5.0, 1.0, 2.0];
    let native = explain(KernelShapParams::default(), &model, &background, &x);
    assert_eq!(native.shap_values, array![[5.0, 1.0, 2.0]]);
    let reference = || KernelShapParams::default().with_semantics(Semantics::Reference);
    let close = |got: Array2<f64>, expected: Array2<f64>| {
        assert!((&got - &expected).iter().all(|gap| gap.abs() < 1e-9), "{got}");
    };
    let data = explain(reference(), &model, &background, &x);
    close(data.shap_values, array![[0.0, 3.5, 4.5]]);
    assert_eq!(data.estimator, UsedEstimator::Reference);
    let alone = Elementwise(|x: &[f64]| x[0] - 1e6);
    close(explain(reference(), &alone, &background, &x).shap_values, array![[0.0, 2.5, 2.5]]);
    // What is below 1e-10 is 0, on any scale.
    let small = Linear::new(&[1e-11, 2e-11], 0.0);
    let (none, ones) = (Array2::zeros((1, 2)), Array1::ones(2));
    close(explain(reference(), &small, &none, &ones).shap_values, array![[0.0, 0.0]]);
}

#[test]
fn every_reference_case_agrees_under_the_references_semantics() {
    let cases: Vec<KernelShapCase> =
        KernelShapCase::with_l1().into_iter().chain(KernelShapCase::without_l1()).collect();
    assert_eq!(cases.len(), 16, "the reference holds sixteen cases");
    for case in cases {
        // Cases of 13 features under full enumeration repeat what the others show, at many times the cost.
        let few = case.fit.groups.is_some() || case.background.ncols() < 12;
        if !few {
            continue;
        }
        let params = KernelShapParams::default()
            .with_nsamples(case.explain.nsamples.map_or(NSamples::Auto, NSamples::Count))
            .with_link(if case.logit { xai_shap::Link::Logit } else { xai_shap::Link::Identity })
            .with_groups(case.fit.groups)
            .with_group_names(case.fit.group_names)
            .with_weights(case.fit.weights)
            .with_l1_reg(serde_json::from_value(case.explain.l1_reg).unwrap())
            .with_semantics(Semantics::Reference);
        let features = Features::numeric(case.fixture.feature_names).unwrap();
        let explainer = params.fit(&case.background, features).unwrap();
        let runs = RunConfig::seeded(0);
        let explained = explainer.explain_many(&case.fixture.network, &case.instances, &runs);
        for (instance, result) in explained.into_iter().enumerate() {
            let values = result.unwrap().data.shap_values;
            let expected = case.shap_values.index_axis(Axis(1), instance);
            for (place, &expected) in expected.indexed_iter() {
                // Both solve normal equations in float64 on values of order 1 to 100.
                let tolerance = 1e-9 * expected.abs().max(1.0);
                let gap = values[place] - expected;
                assert!(gap.abs() <= tolerance, "{}: {instance}, {place:?}: {gap}", case.name);
            }
        }
    }
}

#[test]
fn shaps_design_is_as_good_as_it_is() {
    // 14 players, drawn: the linear model is solved all the same, and no error is claimed.
    let mut stream = Seed::new(6).stream();
    let slopes: Vec<f64> = (0..14).map(|_| stream.uniform()).collect();
    let params = KernelShapParams::default().with_semantics(Semantics::Reference);
    let data =
        explain(params, &Linear::new(&slopes, 1.0), &Array2::zeros((2, 14)), &Array1::ones(14));
    let gaps = &data.shap_values.row(0) - &Array1::from(slopes);
    assert!(gaps.iter().all(|gap| gap.abs() < 1e-12), "{gaps}");
    assert!(!data.exact && data.standard_errors.is_none() && data.ranking.is_none());
    assert_eq!(data.n_coalitions, 2 * 14 + 2048);
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let params = KernelShapParams::default;
    let reference = || params().with_semantics(Semantics::Reference);
    let permutation = params().with_estimator(Estimator::Permutation).with_l1_reg(L1Reg::Aic);
    let summed = || params().with_summarise_result(true);
    for (name, params) in [
        ("estimator", reference().with_estimator(Estimator::Exact)),
        ("tolerance", reference().with_tolerance(Some(0.1))),
        ("absolute_tolerance", reference().with_absolute_tolerance(Some(0.1))),
        ("tolerance", params().with_tolerance(Some(0.0))),
        ("absolute_tolerance", params().with_absolute_tolerance(Some(f64::NAN))),
        ("confidence", params().with_confidence(1.0)),
        ("confidence", params().with_confidence(f64::NAN)),
        ("l1_reg", permutation),
        ("l1_reg", params().with_l1_reg(L1Reg::NumFeatures(0))),
        ("l1_reg", params().with_l1_reg(L1Reg::Alpha(-1.0))),
        ("cat_vars_start_idx", summed()),
        ("cat_vars_enc_dim", summed().with_cat_vars_start_idx(Some(vec![0]))),
    ] {
        match params.fit(&Array2::zeros((1, 2)), Features::unnamed(2).unwrap()) {
            Err(Error::Param(error)) => assert_eq!(error.name, name),
            other => panic!("expected an error of `{name}`, got {other:?}"),
        }
    }
}
