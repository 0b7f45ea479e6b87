//! What a search asks the model for, at the defaults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xai_core::tabular::Features;
use xai_core::{Explainer, ModelRef, PerFeature, Run};
use xai_counterfactual::CounterfactualParams;
use xai_testkit::{Fixture, Probe};

/// Calls and rows of a black box, at the defaults and in the range of the training rows.
fn asked(fixture: &Fixture, row: usize) -> (u64, u64, bool) {
    let x = fixture.x_test.row(row).to_owned();
    let column = |pick: fn(f64, f64) -> f64, start: f64| -> Vec<f64> {
        let columns = fixture.x_train.columns().into_iter().zip(&x);
        columns.map(|(column, own)| column.fold(pick(start, *own), |a, b| pick(a, *b))).collect()
    };
    let range: (PerFeature, PerFeature) =
        (column(f64::min, f64::INFINITY).into(), column(f64::max, f64::NEG_INFINITY).into());
    let params = CounterfactualParams::default().with_feature_range(range);
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    let probe = Probe::new(&fixture.network);
    let explained = explainer.explain(ModelRef::BlackBox(&probe), &x, Run::seeded(0)).unwrap();
    assert_eq!(explained.meta.queries, probe.rows());
    (probe.calls(), probe.rows(), explained.data.cf.is_some())
}

/// What a search costs over all test rows: the first row's calls and rows, the sums, and the most rows.
#[track_caller]
fn costs(name: &str, first: (u64, u64), sums: (u64, u64), most: u64) {
    let fixture = Fixture::load(name);
    let all: Vec<_> = (0..fixture.x_test.nrows()).map(|row| asked(&fixture, row)).collect();
    assert!(all.iter().all(|own| own.2), "a row without a counterfactual");
    let own = (
        (all[0].0, all[0].1),
        (all.iter().map(|own| own.0).sum(), all.iter().map(|own| own.1).sum()),
        all.iter().map(|own| own.1).max().unwrap(),
    );
    assert_eq!(own, (first, sums, most), "{name}");
}

/// alibi asks for 33,814 rows in 12,310 calls for one instance of these data.
#[test]
fn a_black_box_of_four_features_is_asked_a_twentieth() {
    let (rows, most) = (26_432, 1558);
    costs("iris_mlp", (40, 877), (1920, rows), most);
    // Every one of forty rows.
    assert!(20 * most <= 33_814);
}

/// alibi asks for 189,855 rows in 12,383 calls for one instance of these data.
#[test]
fn a_black_box_of_thirty_features_is_asked_a_twentieth() {
    let most = 6949;
    costs("cancer_mlp", (113, 5198), (2937, 164_310), most);
    assert!(20 * most <= 189_855);
}
