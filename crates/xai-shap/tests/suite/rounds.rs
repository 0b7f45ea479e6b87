//! Rounds of coalitions: stopping when precise enough, and the best answer when stopped.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array1, Array2, Axis};
use xai_core::tabular::Features;
use xai_core::{
    BoxError, Budget, Error, Event, Explainer, Explanation, Predictor, Result, Rows, Run,
    RunConfig, Seed, Semantics, Stop,
};
use xai_shap::{Estimator, KernelShap, KernelShapData, KernelShapParams, NSamples, UsedEstimator};

/// A model with interactions of all orders that counts its calls.
struct Wavy {
    slopes: Array1<f64>,
    calls: AtomicUsize,
}

impl Wavy {
    fn new(n_features: usize) -> Self {
        let mut stream = Seed::new(1).stream();
        let slopes = Array1::from_shape_simple_fn(n_features, || 3.0 * stream.uniform());
        Wavy { slopes, calls: AtomicUsize::new(0) }
    }
}

impl Predictor for Wavy {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Row by row: a product of matrices may round otherwise for other numbers of rows.
        let wave = |row: ndarray::ArrayView1<'_, f64>| row.dot(&self.slopes).sin();
        Ok(batch.rows().into_iter().map(wave).collect::<Array1<f64>>().insert_axis(Axis(1)))
    }
}

fn rows(n_rows: usize, n_columns: usize, seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    Array2::from_shape_simple_fn((n_rows, n_columns), || stream.uniform())
}

fn fit(params: KernelShapParams, n_background: usize, n_features: usize) -> KernelShap {
    let features = Features::unnamed(n_features).unwrap();
    params.fit(&rows(n_background, n_features, 2), features).unwrap()
}

/// Without interactions in the regression, which take their time in every round.
fn sampled(estimator: Estimator, nsamples: usize) -> KernelShapParams {
    let nsamples = NSamples::Count(nsamples);
    KernelShapParams::default()
        .with_estimator(estimator)
        .with_nsamples(nsamples)
        .with_model_interactions(false)
}

fn truth(n_background: usize, n_features: usize, x: &Array1<f64>) -> Array1<f64> {
    let params = KernelShapParams::default().with_estimator(Estimator::Exact);
    let explainer = fit(params, n_background, n_features);
    let data = explainer.explain(&Wavy::new(n_features), x, Run::seeded(0)).unwrap().data;
    data.shap_values.row(0).to_owned()
}

#[test]
fn a_tolerance_stops_the_sampling_when_it_is_met() {
    let (n_features, x) = (14, rows(1, 14, 3).row(0).to_owned());
    let truth = truth(2, n_features, &x);
    for (estimator, tolerances) in
        [(Estimator::Paired, [0.02, 0.001]), (Estimator::Permutation, [0.05, 0.02])]
    {
        let mut spent = Vec::new();
        for tolerance in tolerances {
            let params = sampled(estimator, 100_000).with_tolerance(Some(tolerance));
            let explanation = fit(params, 2, n_features)
                .explain(&Wavy::new(n_features), &x, Run::seeded(0))
                .unwrap();
            let data = explanation.data;
            let range = data.shap_values.fold(f64::NEG_INFINITY, |most, &value| most.max(value))
                - data.shap_values.fold(f64::INFINITY, |least, &value| least.min(value));
            let largest = data
                .standard_errors
                .as_ref()
                .unwrap()
                .fold(0.0_f64, |most, &value| most.max(value));
            assert!(largest <= tolerance * range, "{largest} for a range of {range}");
            assert!(data.converged() && data.stop == Stop::Converged && !data.exact);
            // Five standard errors at the largest.
            let gaps = &data.shap_values.row(0) - &truth;
            assert!(gaps.iter().all(|gap| gap.abs() <= 5.0 * tolerance * range), "{gaps}");
            spent.push(explanation.meta.queries);
        }
        assert!(spent[0] < spent[1] && spent[1] < 2 * 16_384, "{spent:?}");
    }
}

#[test]
fn an_absolute_tolerance_is_on_the_scale_of_the_values() {
    let x = rows(1, 14, 3).row(0).to_owned();
    let params = sampled(Estimator::Paired, 100_000).with_absolute_tolerance(Some(1e-3));
    let data = fit(params, 2, 14).explain(&Wavy::new(14), &x, Run::seeded(0)).unwrap().data;
    assert!(data.converged() && data.standard_errors.unwrap().iter().all(|&error| error <= 1e-3));
}

#[test]
fn a_tolerance_that_is_not_met_says_so() {
    let x = rows(1, 14, 3).row(0).to_owned();
    let params = sampled(Estimator::Paired, 200).with_tolerance(Some(1e-9));
    let data = fit(params, 2, 14).explain(&Wavy::new(14), &x, Run::seeded(0)).unwrap().data;
    assert_eq!((data.converged(), data.stop, data.n_coalitions), (false, Stop::Budget, 200));
}

#[test]
fn more_rounds_reuse_what_was_evaluated() {
    // The same coalitions in many rounds or few: no row is asked for twice.
    let x = rows(1, 14, 3).row(0).to_owned();
    let plain = fit(sampled(Estimator::Paired, 200), 2, 14);
    let strict = sampled(Estimator::Paired, 200).with_tolerance(Some(1e-9));
    let strict = fit(strict, 2, 14);
    let (one, other) = (
        plain.explain(&Wavy::new(14), &x, Run::seeded(0)).unwrap(),
        strict.explain(&Wavy::new(14), &x, Run::seeded(0)).unwrap(),
    );
    assert_eq!(one.meta.queries, other.meta.queries);
    // The instance, the two background rows, and each coalition over both.
    assert_eq!(one.meta.queries, 1 + 2 + 2 * 200);
    assert_eq!(one.data.shap_values, other.data.shap_values);
}

/// Explains with an observer that stops the run after so many steps.
fn stopped_after(
    explainer: &KernelShap,
    model: &dyn Predictor,
    x: &Array1<f64>,
    steps: usize,
) -> Result<Explanation<KernelShapData>> {
    let mut seen = 0;
    let mut observer = |event: Event<'_>| {
        seen += usize::from(matches!(event, Event::Step { .. }));
        if steps <= seen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    explainer.explain(model, x, Run::seeded(0).with_observer(&mut observer))
}

#[test]
fn a_stop_leaves_the_best_answer_so_far() {
    let (n_features, x) = (14, rows(1, 14, 3).row(0).to_owned());
    let truth = truth(6, n_features, &x);
    for estimator in [Estimator::Exact, Estimator::Paired, Estimator::Permutation] {
        let explainer = fit(sampled(estimator, 2000), 6, n_features);
        let whole = explainer.explain(&Wavy::new(n_features), &x, Run::seeded(0)).unwrap();
        let mut answers = 0;
        let mut last = 0;
        for steps in (1..200).step_by(2) {
            match stopped_after(&explainer, &Wavy::new(n_features), &x, steps) {
                Err(Error::Stopped(Stop::Observer)) => assert_eq!(answers, 0, "after an answer"),
                Err(other) => panic!("{estimator:?}: {other}"),
                Ok(found) if found.data.converged() => {
                    assert_eq!(found.data, whole.data, "{estimator:?}: a late stop");
                    break;
                }
                Ok(found) => {
                    answers += 1;
                    let data = found.data;
                    assert_eq!((data.stop, data.exact), (Stop::Observer, false));
                    assert!(last <= data.n_coalitions);
                    last = data.n_coalitions;
                    assert!(found.meta.queries <= whole.meta.queries);
                    let change = data.raw_prediction[0] - data.expected_value[0];
                    assert!((data.shap_values.sum() - change).abs() < 1e-12, "efficiency");
                    if let Some(intervals) = data.confidence_intervals
                        && 8 * 14 <= data.n_coalitions
                    {
                        // Twice the intervals of 95%: about six standard errors for each of 14 values.
                        for (player, &exact) in truth.iter().enumerate() {
                            let value = data.shap_values[[0, player]];
                            let reach = intervals.upper[[0, player]] - value;
                            assert!((value - exact).abs() <= 2.0 * reach, "{estimator:?}: {exact}");
                        }
                    }
                }
            }
        }
        assert!(2 <= answers, "{estimator:?} had {answers} answers before its end");
    }
}

#[test]
fn watching_changes_no_byte() {
    let x = rows(1, 14, 3).row(0).to_owned();
    for estimator in [Estimator::Exact, Estimator::Paired, Estimator::Permutation] {
        let explainer = fit(sampled(estimator, 1000), 3, 14);
        let alone = explainer.explain(&Wavy::new(14), &x, Run::seeded(0)).unwrap();
        let watched = stopped_after(&explainer, &Wavy::new(14), &x, usize::MAX).unwrap();
        assert_eq!(alone.to_json().unwrap(), watched.to_json().unwrap());
    }
}

#[test]
fn a_budget_of_queries_buys_the_best_sample_it_can() {
    let x = rows(1, 14, 3).row(0).to_owned();
    for estimator in [Estimator::Exact, Estimator::Paired, Estimator::Permutation] {
        let explainer = fit(sampled(estimator, 4000), 4, 14);
        let mut last = 0;
        for queries in [200, 400, 1000, 3000] {
            let budget = Budget::queries(queries);
            let run = Run::seeded(0).with_budget(budget);
            let found = explainer.explain(&Wavy::new(14), &x, run).unwrap();
            assert_eq!(found.data.stop, Stop::Budget, "{estimator:?} with {queries}");
            assert!(!found.data.converged() && found.meta.queries <= queries);
            // At most an order or a pair of coalitions is left over.
            assert!(queries < found.meta.queries + 4 * 30, "{estimator:?}: {queries}");
            assert!(last < found.data.n_coalitions);
            last = found.data.n_coalitions;
        }
    }
}

#[test]
fn a_time_limit_gives_an_answer_too() {
    let x = rows(1, 14, 3).row(0).to_owned();
    let model = Wavy::new(14);
    let explainer = fit(sampled(Estimator::Paired, 4000), 20, 14);
    // A clock that strikes by the number of calls.
    let expired = || 60 < model.calls.load(Ordering::Relaxed);
    let run = Run::seeded(0).with_budget(Budget::cancelled_by(&expired));
    let data = explainer.explain(&model, &x, run).unwrap().data;
    assert_eq!(
        (data.stop, data.converged(), data.estimator),
        (Stop::Deadline, false, UsedEstimator::Paired)
    );
    assert!(data.standard_errors.is_some() && data.n_coalitions < 4000);
}

#[test]
fn rows_of_one_call_share_the_models_batches() {
    // 14 features over one background row: 83 rows of the model each.
    let (x, model) = (rows(64, 14, 5), Wavy::new(14));
    let explainer = fit(sampled(Estimator::Paired, 80), 1, 14);
    let together = explainer.explain_many(&model, &x, &RunConfig::seeded(7));
    let calls = model.calls.load(Ordering::Relaxed);
    let queries: u64 = together.iter().map(|one| one.as_ref().unwrap().meta.queries).sum();
    assert_eq!(queries, 64 * (1 + 1 + 80));
    // At least half of each call is used, while row by row each round of a row is a call at least.
    assert!(calls as u64 <= queries / 128, "{calls} calls for {queries} rows");
    for (row, one) in together.into_iter().enumerate() {
        let alone = explainer.explain(&Wavy::new(14), &x.row(row), Run::seeded(7)).unwrap();
        assert_eq!(one.unwrap().to_json().unwrap(), alone.to_json().unwrap(), "row {row}");
    }
}

#[test]
fn a_row_that_fails_costs_no_other_row_its_answer() {
    // The model cannot answer where the first feature is that of row 2.
    struct Brittle(f64);
    impl Predictor for Brittle {
        fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
            let answer = |row: ndarray::ArrayView1<'_, f64>| {
                if row[0] == self.0 { f64::NAN } else { row.sum() }
            };
            Ok(batch.rows().into_iter().map(answer).collect::<Array1<f64>>().insert_axis(Axis(1)))
        }
    }
    let x = rows(8, 5, 5);
    let model = Brittle(x[[2, 0]]);
    let explainer = fit(KernelShapParams::default(), 2, 5);
    for (row, result) in
        explainer.explain_many(&model, &x, &RunConfig::seeded(0)).into_iter().enumerate()
    {
        if row == 2 {
            assert!(matches!(result, Err(Error::NotFinite { what: "the model's output", .. })));
        } else {
            let alone = explainer.explain(&model, &x.row(row), Run::seeded(0)).unwrap();
            assert_eq!(result.unwrap(), alone);
        }
    }
}

#[test]
fn rows_share_a_design_unless_told_not_to() {
    // A model without interactions but between three features: errors come from the design alone.
    let model = xai_testkit::Elementwise(|x: &[f64]| x[0] * x[1] * x[2]);
    let errors = |share_design: bool| -> Vec<f64> {
        let params = sampled(Estimator::Paired, 60).with_share_design(share_design);
        let features = Features::unnamed(14).unwrap();
        let explainer = params.fit(&Array2::zeros((1, 14)), features).unwrap();
        // Rows that differ in a feature the model does not see.
        let mut x = Array2::ones((6, 14));
        x.column_mut(13).assign(&Array1::linspace(1.0, 2.0, 6));
        let explained = explainer.explain_many(&model, &x, &RunConfig::seeded(3));
        explained.into_iter().map(|one| one.unwrap().data.shap_values[[0, 0]] - 1.0 / 3.0).collect()
    };
    let shared = errors(true);
    assert!(shared.iter().all(|&error| error == shared[0] && error != 0.0), "{shared:?}");
    let mut independent = errors(false);
    independent.sort_by(f64::total_cmp);
    independent.dedup();
    assert_eq!(independent.len(), 6, "{independent:?}");
}

#[test]
fn a_budget_that_pays_for_exact_values_buys_them() {
    // 16 features over five rows: 5 * 65535 rows besides the instance, more than are remembered.
    let x = rows(1, 16, 3).row(0).to_owned();
    let all = 5 * 65_535 + 1;
    for spare in [0, 10_000, 20_469, 20_471, 20_475, 20_480, 20_491, 30_000] {
        let explainer = fit(sampled(Estimator::Exact, 100), 5, 16);
        let run = Run::seeded(0).with_budget(Budget::queries(all + spare));
        let found = explainer.explain(&Wavy::new(16), &x, run).unwrap();
        assert!(found.data.exact && found.data.converged(), "{spare} to spare");
        assert!(found.meta.queries <= all + spare);
    }
}

#[test]
fn shaps_design_cut_by_a_budget_says_so() {
    let x = rows(1, 20, 3).row(0).to_owned();
    let params = KernelShapParams::default().with_semantics(Semantics::Reference);
    let within = |queries: Option<u64>| {
        let budget = queries.map_or_else(Budget::default, Budget::queries);
        let run = Run::seeded(0).with_budget(budget);
        fit(params.clone(), 1, 20).explain(&Wavy::new(20), &x, run).unwrap().data
    };
    let (cut, whole) = (within(Some(300)), within(None));
    assert_eq!((cut.stop, cut.converged()), (Stop::Budget, false));
    assert_eq!((whole.stop, whole.converged(), whole.n_coalitions), (Stop::Converged, true, 2088));
}
