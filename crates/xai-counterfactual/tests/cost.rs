//! What a search asks the model for, at the defaults.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::Array1;
use xai_core::tabular::Features;
use xai_core::{Access, Explainer, PerFeature, Run};
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
    let params = CounterfactualParams { feature_range: range, ..Default::default() };
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    let probe = Probe::new(&fixture.network);
    let explained = explainer.explain(&Access::BlackBox(&probe), &x, Run::seeded(0)).unwrap();
    assert_eq!(explained.meta.queries, probe.rows());
    (probe.calls(), probe.rows(), explained.data.cf.is_some())
}

#[test]
fn probing() {
    for name in ["iris_mlp", "cancer_mlp"] {
        let fixture = Fixture::load(name);
        let all: Vec<_> = (0..fixture.x_test.nrows()).map(|row| asked(&fixture, row)).collect();
        println!("{name} {all:?}");
        let max = all.iter().map(|a| a.1).max();
        println!("{max:?}");
        let _: Array1<f64> = Array1::zeros(1);
    }
}
