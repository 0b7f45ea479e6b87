//! Shapley values known in closed form.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, array};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Budget, Error, Explainer, OutputNames, Predictor, Row, Rows, Run, RunConfig, Stop};
use xai_shap::{
    Estimator, Importances, KernelShap, KernelShapData, KernelShapParams, Link, NSamples, Task,
    importances, sum_columns,
};
use xai_testkit::{Elementwise, Linear, Logistic, Probe};

fn fit(params: KernelShapParams, background: &Rows) -> KernelShap {
    params.fit(background, Features::unnamed(background.ncols()).unwrap()).unwrap()
}

fn explain(explainer: &KernelShap, model: &dyn Predictor, x: &Row) -> KernelShapData {
    explainer.explain(model, x, Run::seeded(0)).unwrap().data
}

/// The values of the first output under default parameters.
fn values(model: &dyn Predictor, background: &Rows, x: &Row) -> Vec<f64> {
    explain(&fit(KernelShapParams::default(), background), model, x).shap_values.row(0).to_vec()
}

#[track_caller]
fn close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got_value, expected_value) in got.iter().zip(expected) {
        assert!(
            (got_value - expected_value).abs() <= tolerance,
            "got {got:?}, expected {expected:?}"
        );
    }
}

/// A few roundings of numbers of order 10.
const ROUNDING: f64 = 1e-14;

#[test]
fn linear_values_are_weight_times_distance_from_the_mean() {
    // phi_j = w_j (x_j - mean_j) for any background, here with mean (1, 2, 3).
    let model = Linear::new(&[1.0, 2.0, -1.0], 0.5);
    let background = array![[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]];
    let explainer = fit(KernelShapParams::default().with_task(Task::Regression), &background);
    let explained: Vec<KernelShapData> = explainer
        .explain_many(&model, &array![[1.0, 1.0, 1.0], [3.0, 0.0, 2.0]], &RunConfig::seeded(0))
        .into_iter()
        .map(|result| result.unwrap().data)
        .collect();
    close(&explained[0].shap_values.row(0).to_vec(), &[0.0, -2.0, 2.0], ROUNDING);
    close(&explained[1].shap_values.row(0).to_vec(), &[2.0, -4.0, 1.0], ROUNDING);
    for (data, raw) in explained.iter().zip([2.5, 1.5]) {
        close(&[data.expected_value[0], data.raw_prediction[0]], &[2.5, raw], ROUNDING);
        assert_eq!(data.prediction, None);
        assert_eq!(data.standard_errors, Some(Array2::zeros((1, 3))));
    }
    let ranked = importances(&explained).unwrap();
    let names = ["feature_1", "feature_2", "feature_0"];
    assert_eq!((ranked.per_output.len(), ranked.of_output("0")), (1, ranked.per_output.first()));
    for importance in [&ranked.per_output[0], &ranked.total] {
        close(&importance.ranked_effect.to_vec(), &[3.0, 1.5, 1.0], ROUNDING);
        assert_eq!(importance.names, names);
    }
    assert_eq!(importances([]).unwrap(), Importances::default());
}

#[test]
fn groups_and_background_weights_follow_their_definition() {
    let model = Linear::outputs(array![[1.0, 2.0, -1.0], [0.0, 1.0, 3.0]], array![0.0, 0.0]);
    let background = array![[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]];
    let params = KernelShapParams::default()
        .with_groups(Some(vec![vec![0, 1], vec![2]]))
        .with_group_names(Some(vec!["g1".to_owned(), "g2".to_owned()]))
        .with_weights(Some(vec![1.0, 3.0]));
    let explainer = fit(params, &background);
    let first = explain(&explainer, &model, &array![1.0, 1.0, 1.0]);
    let second = explain(&explainer, &model, &array![3.0, 0.0, 2.0]);
    close(&first.expected_value.to_vec(), &[3.0, 16.5], ROUNDING);
    close(
        &first.shap_values.iter().copied().collect::<Vec<_>>(),
        &[-4.5, 3.5, -2.0, -10.5],
        ROUNDING,
    );
    close(
        &second.shap_values.iter().copied().collect::<Vec<_>>(),
        &[-4.5, 2.5, -3.0, -7.5],
        ROUNDING,
    );
    assert_eq!(first.feature_names, ["g1", "g2"]);
    assert_eq!(first.feature_values, ["1, 1", "1"]);
    assert_eq!(first.prediction, Some(1));
    let total = importances([&first, &second]).unwrap().total;
    assert_eq!(total.names, ["g2", "g1"]);
    close(&total.ranked_effect.to_vec(), &[12.0, 7.0], ROUNDING);
}

#[test]
fn products_minima_and_maxima_share_their_value() {
    let check =
        |f: fn(&[f64]) -> f64, background: Array2<f64>, x: Array1<f64>, expected: &[f64]| {
            close(&values(&Elementwise(f), &background, &x), expected, 10.0 * ROUNDING);
        };
    // A product of k factors over a zero background gives each of them 1/k of it.
    check(
        |x| x[0] * x[1] * x[2] + x[3],
        array![[0.0; 4]],
        array![2.0, 3.0, 4.0, 5.0],
        &[8.0, 8.0, 8.0, 5.0],
    );
    check(|x| x[0] * x[1], array![[0.0, 0.0], [2.0, 2.0]], array![3.0, 1.0], &[1.5, -0.5]);
    check(
        |x| x[0].min(x[1] + x[2]),
        array![[0.0; 3]],
        array![1.0, 1.0, 1.0],
        &[2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0],
    );
    let max = |x: &[f64]| x.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    check(max, array![[0.0; 3]], array![1.0, 2.0, 3.0], &[1.0 / 3.0, 5.0 / 6.0, 11.0 / 6.0]);
    let params = KernelShapParams::default().with_weights(Some(vec![1.0, 3.0]));
    let explainer = fit(params, &array![[0.0, 0.0], [2.0, 2.0]]);
    let data = explain(&explainer, &Elementwise(|x: &[f64]| x[0] * x[1]), &array![3.0, 1.0]);
    close(&data.shap_values.row(0).to_vec(), &[1.5, -1.5], ROUNDING);
    close(&data.expected_value.to_vec(), &[3.0], ROUNDING);
}

#[test]
fn the_logit_link_attributes_log_odds() {
    let model = Logistic::new(&[1.0, 1.0], 0.0);
    let background = array![[0.0, 0.0], [2.0, 0.0]];
    let x = array![1.0, 1.0];
    let logit = KernelShapParams::default().with_link(Link::Logit);
    let data = explain(&fit(logit.clone(), &background), &model, &x);
    // Eight digits were recorded.
    close(&data.shap_values.row(0).to_vec(), &[0.263_105_82, 0.934_911_02], 5e-9);
    close(&data.expected_value.to_vec(), &[0.801_983_16], 5e-9);
    close(&data.raw_prediction.to_vec(), &[2.0], ROUNDING);
    close(&values(&model, &background, &x), &[0.039_820_38, 0.150_578_16], 5e-9);
    // One background row: the log-odds are linear, so phi_j = w_j (x_j - b_j).
    let data = explain(&fit(logit, &array![[0.5, -1.0]]), &model, &x);
    close(&data.shap_values.row(0).to_vec(), &[0.5, 2.0], 10.0 * ROUNDING);
}

#[test]
fn certain_probabilities_stay_finite_and_are_flagged() {
    let model = Elementwise(|x: &[f64]| f64::from(u8::from(0.0 < x[0])));
    let logit = KernelShapParams::default().with_link(Link::Logit);
    let explainer = fit(logit, &array![[-1.0, 0.0]]);
    let explanation = explainer.explain(&model, &array![1.0, 1.0], Run::seeded(0)).unwrap();
    // From logit(1e-15) to logit(1 - 1e-15), up to the rounding of 1 - 1e-15, all due to the first feature.
    let reach = 2.0 * (1e15_f64).ln();
    let value = explanation.data.shap_values[[0, 0]];
    assert!((value - reach).abs() < 0.1 && explanation.data.shap_values[[0, 1]] == 0.0, "{value}");
    let codes: Vec<&str> =
        explanation.meta.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["shap.clipped"]);
}

#[test]
fn the_logit_link_refuses_outputs_that_are_no_probabilities() {
    let params = KernelShapParams::default().with_link(Link::Logit);
    let explainer = fit(params, &array![[0.0, 0.0]]);
    let error = explainer
        .explain(&Linear::new(&[1.0, 2.0], 0.0), &array![1.0, 1.0], Run::seeded(0))
        .unwrap_err();
    assert!(matches!(&error, Error::Param(error) if error.name == "link"), "{error:?}");
}

#[test]
fn a_group_is_not_the_sum_of_its_parts() {
    let model = Elementwise(|x: &[f64]| 6.0 * x[1] * x[2] * x[3]);
    let (background, x) = (array![[0.0; 4]], array![1.0, 1.0, 1.0, 1.0]);
    let singles = explain(&fit(KernelShapParams::default(), &background), &model, &x);
    close(&singles.shap_values.row(0).to_vec(), &[0.0, 2.0, 2.0, 2.0], ROUNDING);
    let groups = KernelShapParams::default().with_groups(Some(vec![vec![0, 1, 2], vec![3]]));
    close(
        &explain(&fit(groups, &background), &model, &x).shap_values.row(0).to_vec(),
        &[3.0, 3.0],
        ROUNDING,
    );
    let sums = sum_columns(&singles.shap_values, &[0], &[3]).unwrap();
    close(&sums.row(0).to_vec(), &[4.0, 2.0], ROUNDING);
}

#[test]
fn six_features_over_a_hundred_rows_match_kernelshap_in_r() {
    let table = Array2::from_shape_fn((100, 6), |(row, column)| {
        let n = (row + 1) as f64;
        [n / 100.0, n.ln(), n.sqrt(), n.sin(), (n / 100.0).powi(2), n.cos()][column]
    });
    let model = Elementwise(|x: &[f64]| x[0] * x[1] * x[2] * x[3] + x[4] + x[5]);
    let data = explain(&fit(KernelShapParams::default(), &table), &model, &table.row(0));
    let expected =
        [-1.196_216_09, -1.241_848_08, -0.956_784_8, 3.879_420_37, -0.338_25, 0.545_625_19];
    close(&data.shap_values.row(0).to_vec(), &expected, 5e-9);
    close(&data.expected_value.to_vec(), &[-0.151_544_28], 5e-9);
}

#[test]
fn columns_of_large_magnitude_keep_their_effect() {
    // shap calls 1e6 and 1e6 + 5 equal and gives (0, 3.5, 4.5).
    let model = Elementwise(|x: &[f64]| (x[0] - 1e6) + x[1] + x[2]);
    let got = values(&model, &array![[1e6, 0.0, 0.0]], &array![1e6 + 5.0, 1.0, 2.0]);
    close(&got, &[5.0, 1.0, 2.0], ROUNDING);
}

#[test]
fn features_that_do_not_vary_get_exactly_zero_and_are_no_players() {
    let model = Linear::new(&[1.0, 2.0, 3.0], 0.0);
    let background = array![[0.0, 7.0, -0.0], [1.0, 7.0, 0.0]];
    let data =
        explain(&fit(KernelShapParams::default(), &background), &model, &array![2.0, 7.0, 0.0]);
    close(&data.shap_values.row(0).to_vec(), &[1.5, 0.0, 0.0], ROUNDING);
    assert_eq!(
        (data.shap_values[[0, 1]], data.shap_values[[0, 2]], data.n_coalitions),
        (0.0, 0.0, 0)
    );
    let data = explain(
        &fit(KernelShapParams::default(), &array![[2.0, 7.0]]),
        &Linear::new(&[1.0, 1.0], 0.0),
        &array![2.0, 7.0],
    );
    assert_eq!((data.shap_values, data.n_coalitions, data.exact), (array![[0.0, 0.0]], 0, true));
    assert_eq!(data.expected_value, data.raw_prediction);
}

#[test]
fn missing_values_are_refused_or_equal_to_each_other() {
    let model = Elementwise(|x: &[f64]| if x[0].is_nan() { 5.0 } else { x[0] } + x[1]);
    let background = array![[f64::NAN, 0.0], [f64::NAN, 2.0]];
    let missing = KernelShapParams::default().with_allow_missing(true);
    let explainer = fit(missing, &background);
    let data = explain(&explainer, &model, &array![f64::NAN, 3.0]);
    assert_eq!(data.shap_values, array![[0.0, 2.0]]);
    assert_eq!(explain(&explainer, &model, &array![1.0, 3.0]).shap_values, array![[-4.0, 2.0]]);
    let infinite =
        explainer.explain(&model, &array![f64::INFINITY, 3.0], Run::seeded(0)).unwrap_err();
    assert_eq!(infinite.to_string(), "the input must be finite, got inf at [0]");
}

#[test]
fn one_hot_features_are_one_player_each() {
    let color = Feature::categorical("color", ["red", "green", "blue"], Encoding::OneHot);
    let features = Features::new(vec![color, Feature::numeric("size")]).unwrap();
    let background = array![[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 4.0]];
    let explainer = KernelShapParams::default().fit(&background, features).unwrap();
    let model = Linear::new(&[1.0, 2.0, 9.0, 1.0], 0.0);
    let data = explain(&explainer, &model, &array![0.0, 0.0, 1.0, 5.0]);
    // Mean color effect 1.5, mean size 3.
    close(&data.shap_values.row(0).to_vec(), &[7.5, 2.0], ROUNDING);
    assert_eq!(
        (data.feature_names, data.feature_values),
        (vec!["color".into(), "size".into()], vec!["blue".to_owned(), "5".to_owned()])
    );
    let impossible =
        explainer.explain(&model, &array![1.0, 0.0, 1.0, 5.0], Run::seeded(0)).unwrap_err();
    assert!(
        matches!(&impossible, Error::Category { feature, .. } if feature == "color"),
        "{impossible:?}"
    );
}

#[test]
fn columns_in_no_group_stay_at_the_background() {
    let params = KernelShapParams::default()
        .with_groups(Some(vec![vec![2], vec![0]]))
        .with_allow_partial_groups(true);
    let background = array![[0.0, 10.0, 0.0], [2.0, 20.0, 0.0]];
    let explainer = fit(params, &background);
    let data = explain(&explainer, &Linear::new(&[1.0, 1.0, 4.0], 0.0), &array![5.0, 99.0, 1.0]);
    close(&data.shap_values.row(0).to_vec(), &[4.0, 4.0], ROUNDING);
    close(&[data.expected_value[0], data.raw_prediction[0]], &[16.0, 108.0], ROUNDING);
}

#[test]
fn equal_rows_are_asked_for_once() {
    let model = Linear::new(&[1.0, 2.0, 3.0], 0.0);
    let ask = |background: Array2<f64>, x: Array1<f64>| {
        let probe = Probe::new(&model);
        explain(&fit(KernelShapParams::default(), &background), &probe, &x);
        probe.rows()
    };
    let x = || array![1.0, 1.0, 1.0];
    // All three differ: 2^3 rows, of which the instance is known from the first call.
    assert_eq!(ask(array![[0.0, 0.0, 0.0]], x()), 8);
    // The same row twice is one row of double weight.
    assert_eq!(ask(array![[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], x()), 8);
    // One row differs in one player: two rows, one of them the instance.
    assert_eq!(ask(array![[0.0, 1.0, 1.0]], x()), 2);
    // Two rows that agree once the first feature has joined: (0 or 5, b, c) with 4 pairs (b, c), and (1, b, c).
    assert_eq!(ask(array![[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]], x()), 12);
}

#[test]
fn a_budget_buys_the_best_values_it_can_or_names_its_least() {
    let model = Linear::new(&[1.0; 8], 0.0);
    let background = Array2::from_shape_fn((2, 8), |(row, column)| (row * 8 + column) as f64 * 0.1);
    let x = Array1::from_elem(8, 3.0);
    let explainer = fit(KernelShapParams::default(), &background);
    let within = |queries: u64| {
        let probe = Probe::new(&model);
        let run = Run::seeded(0).with_budget(Budget::queries(queries));
        let result = explainer.explain(&probe, &x, run);
        assert!(probe.rows() <= queries);
        result
    };
    // 2 * (2^8 - 1) + 1 rows are exact; (14 + 1) * 2 + 1 rows pay for the 7 pairs that 8 players need.
    let exact = within(511).unwrap();
    assert!(exact.data.exact && exact.data.stop == Stop::Converged && exact.meta.queries == 511);
    let cut = within(510).unwrap();
    assert!(
        !cut.data.exact
            && cut.data.stop == Stop::Budget
            && cut.meta.warnings[0].code == "shap.budget"
    );
    close(
        &cut.data.shap_values.row(0).to_vec(),
        &exact.data.shap_values.row(0).to_vec(),
        100.0 * ROUNDING,
    );
    assert_eq!(within(31).unwrap().data.n_coalitions, 14);
    let error = within(30).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the budget of queries must be at least 31 for an answer, got 30"
    );
    let params = KernelShapParams::default().with_nsamples(NSamples::Count(13));
    let error = fit(params, &background).explain(&model, &x, Run::seeded(0)).unwrap_err();
    assert_eq!(error.to_string(), "nsamples must be at least 14 for an answer, got 13");
}

#[test]
fn budgets_count_the_full_coalition_where_it_is_not_the_instance() {
    // A column in no group: two background rows, six players, (10 coalitions + 2) * 2 + 1 rows at the least.
    let model = Linear::new(&[1.0; 7], 0.0);
    let background = Array2::from_shape_fn((2, 7), |(row, column)| (row * 7 + column) as f64 * 0.1);
    let params = KernelShapParams::default()
        .with_groups(Some((0..6).map(|column| vec![column]).collect()))
        .with_allow_partial_groups(true);
    let explainer = fit(params, &background);
    let mut answered = 0;
    for queries in 0..140 {
        let probe = Probe::new(&model);
        let run = Run::seeded(0).with_budget(Budget::queries(queries));
        match explainer.explain(&probe, &Array1::from_elem(7, 3.0), run) {
            Ok(_) => answered += 1,
            Err(Error::Budget { needed: 25, given, .. }) => {
                assert!(given == queries && queries < 25);
            }
            Err(other) => panic!("{queries} queries gave {other:?}"),
        }
        assert!(probe.rows() <= queries);
    }
    assert_eq!(answered, 140 - 25);
}

#[test]
fn the_least_budget_that_is_named_is_the_least_that_answers() {
    // One player, few players, more than can be enumerated, more than a word has bits; sampled by choice and by need.
    let nsamples = NSamples::Count(150);
    let sampled =
        || KernelShapParams::default().with_nsamples(nsamples).with_estimator(Estimator::Paired);
    let cases = [
        (1, KernelShapParams::default()),
        (2, KernelShapParams::default()),
        (9, KernelShapParams::default()),
        (9, sampled()),
        (30, sampled()),
        (64, sampled()),
        (70, KernelShapParams::default()),
    ];
    for (n_features, params) in cases {
        let background =
            Array2::from_shape_fn((3, n_features), |(row, column)| (3 * column + row) as f64);
        let (model, x) =
            (Linear::new(&vec![1.0; n_features], 0.0), Array1::from_elem(n_features, -1.0));
        let explainer = fit(params, &background);
        let within = |queries: u64| {
            let run = Run::seeded(0).with_budget(Budget::queries(queries));
            explainer.explain(&model, &x, run)
        };
        let error = within(0).unwrap_err();
        let Error::Budget { what: "the budget of queries", given: 0, needed } = error else {
            panic!("{n_features} features: {error:?}");
        };
        assert!(within(needed).is_ok(), "{n_features} features with {needed} queries");
        assert!(
            matches!(within(needed - 1), Err(Error::Budget { needed: same, .. }) if same == needed)
        );
    }
}

#[test]
fn a_budget_for_all_coalitions_is_not_promised_where_they_are_sampled() {
    // Each background row differs in one feature, so that exact values would cost less than the least sample.
    let n_features = 12;
    let mut background = Array2::from_elem((12, n_features), 1.0);
    background.diag_mut().fill(0.0);
    let params = KernelShapParams::default()
        .with_estimator(Estimator::Paired)
        .with_nsamples(NSamples::Count(100));
    let explainer = fit(params, &background);
    let (model, x) = (Linear::new(&[1.0; 12], 0.0), Array1::ones(n_features));
    let within = |queries: u64| {
        let run = Run::seeded(0).with_budget(Budget::queries(queries));
        explainer.explain(&model, &x, run)
    };
    let Err(Error::Budget { needed, .. }) = within(13) else { panic!("13 queries buy no sample") };
    assert!(within(needed).is_ok());
}

#[test]
fn exact_values_are_refused_where_they_cannot_be_held() {
    let params = KernelShapParams::default().with_estimator(Estimator::Exact);
    let explainer = fit(params, &Array2::zeros((1, 25)));
    let error = explainer
        .explain(&Linear::new(&[1.0; 25], 0.0), &Array1::ones(25), Run::seeded(0))
        .unwrap_err();
    let expected = "parameter `estimator` must be other than \"exact\" for more than 24 varying features, got \"exact\" for 25";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn sums_of_columns_follow_their_blocks() {
    let row = Array2::from_shape_fn((1, 8), |(_, column)| column as f64);
    let check = |starts: &[usize], lengths: &[usize], expected: &[f64]| {
        assert_eq!(sum_columns(&row, starts, lengths).unwrap().row(0).to_vec(), expected);
    };
    check(&[2], &[3], &[0.0, 1.0, 9.0, 5.0, 6.0, 7.0]);
    check(&[0, 4], &[2, 2], &[1.0, 2.0, 3.0, 9.0, 6.0, 7.0]);
    check(&[1, 5], &[3, 2], &[0.0, 6.0, 4.0, 11.0, 7.0]);
    check(&[], &[], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    for (starts, lengths) in
        [(&[0][..], &[][..]), (&[0], &[0]), (&[4, 0], &[2, 2]), (&[0, 1], &[2, 1]), (&[6], &[3])]
    {
        assert!(
            matches!(sum_columns(&row, starts, lengths), Err(Error::Param(_))),
            "{starts:?} {lengths:?}"
        );
    }
}

#[test]
fn figures_show_five_digits_of_any_scale() {
    let cells = |scale: f64| {
        let model = Linear::new(&[scale], 0.0);
        let data = explain(&fit(KernelShapParams::default(), &array![[1.0]]), &model, &array![3.0]);
        let xai_core::figure::Panel::Table(table) =
            data.figure(&OutputNames::default()).panels.remove(0)
        else {
            panic!("the first panel is a table")
        };
        table.rows[0][1..].to_vec()
    };
    assert_eq!(cells(1.0), ["1.0000", "2.0000", "3.0000"]);
    assert_eq!(cells(123.0), ["123.00", "246.00", "369.00"]);
    assert_eq!(cells(1e-4), ["0.00010000", "0.00020000", "0.00030000"]);
    assert_eq!(cells(1e12), ["1.0000e12", "2.0000e12", "3.0000e12"]);
    assert_eq!(cells(0.0), ["0", "0", "0"]);
}
