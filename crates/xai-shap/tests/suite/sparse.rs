//! Sparse tables are explained to the bit like the same tables given densely.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, Axis, array};
use serde_json::Value;
use sprs::{CsMat, TriMat};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Error, Explainer, Rows, RunConfig, Seed};
use xai_shap::{Estimator, KernelShap, KernelShapParams, NSamples, SummariseBackground};

const N_COLUMNS: usize = 7;

/// Rows with few numbers, some of them twice.
fn table(n_rows: usize, seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    let mut cell =
        || if stream.uniform() < 0.3 { (4.0 * stream.uniform()).round() - 1.0 } else { 0.0 };
    Array2::from_shape_simple_fn((n_rows, N_COLUMNS), &mut cell)
}

/// The cells that are not +0, to the bit, and those at which `stored` says so.
fn compressed(dense: &Array2<f64>, stored: impl Fn(usize) -> bool) -> CsMat<f64> {
    let mut cells = TriMat::new(dense.dim());
    for (place, ((row, column), &value)) in dense.indexed_iter().enumerate() {
        if value.to_bits() != 0 || stored(place) {
            cells.add_triplet(row, column, value);
        }
    }
    cells.to_csr()
}

/// A model in which columns interact, and which tells -0 from 0.
fn model(batch: &Rows) -> Result<Array2<f64>, BoxError> {
    let output = |row: ndarray::ArrayView1<'_, f64>| {
        let product: f64 =
            row.iter().enumerate().map(|(j, x)| 1.0 + x * (j as f64 + 1.0)).product();
        let sign = row.iter().map(|x| x.signum()).sum::<f64>();
        [product.sin() + sign, row.sum()]
    };
    let outputs: Vec<f64> = batch.rows().into_iter().flat_map(output).collect();
    Ok(Array2::from_shape_vec((batch.nrows(), 2), outputs)?)
}

fn plain() -> Features {
    Features::unnamed(N_COLUMNS).unwrap()
}

#[track_caller]
fn check(
    params: &KernelShapParams,
    background: &Array2<f64>,
    features: &Features,
    rows: &Array2<f64>,
) {
    let dense = params.clone().fit(background, features.clone()).unwrap();
    let expected = documents(dense.explain_many(&model, rows, &RunConfig::seeded(3)));
    let every_third = |place: usize| place.is_multiple_of(3);
    for background in [
        compressed(background, |_| false),
        compressed(background, every_third),
        compressed(background, every_third).to_csc(),
    ] {
        let sparse = params.clone().fit_sparse(background.view(), features.clone()).unwrap();
        assert_eq!(sparse.n_background(), dense.n_background());
        assert_eq!(documents(sparse.explain_many(&model, rows, &RunConfig::seeded(3))), expected);
        let saved = serde_json::to_string(&sparse).unwrap();
        let loaded: KernelShap = serde_json::from_str(&saved).unwrap();
        assert_eq!(loaded, sparse);
        for rows in [compressed(rows, |_| false), compressed(rows, every_third).to_csc()] {
            let explained = loaded.explain_sparse_rows(&model, rows.view(), &RunConfig::seeded(3));
            assert_eq!(documents(explained), expected);
        }
    }
}

/// Explanations with all their bits.
fn documents(
    explained: Vec<xai_core::Result<xai_core::Explanation<xai_shap::KernelShapData>>>,
) -> Vec<String> {
    explained.into_iter().map(|explanation| explanation.unwrap().to_json().unwrap()).collect()
}

#[test]
fn exact_values_agree() {
    let params = KernelShapParams::default();
    check(&params, &table(9, 1), &plain(), &table(5, 2));
    check(&params, &table(1, 3), &plain(), &table(3, 4));
    check(&params, &Array2::zeros((3, N_COLUMNS)), &plain(), &table(3, 5));
}

#[test]
fn sampled_values_agree() {
    let params = KernelShapParams::default()
        .with_estimator(Estimator::Paired)
        .with_nsamples(NSamples::Count(20));
    check(&params, &table(9, 6), &plain(), &table(5, 7));
}

#[test]
fn weights_and_groups_agree() {
    let weights = Some((0..9).map(f64::from).collect());
    let groups = Some(vec![vec![6, 0], vec![3], vec![5, 1, 2, 4]]);
    let params = KernelShapParams::default().with_weights(weights).with_groups(groups);
    check(&params, &table(9, 8), &plain(), &table(5, 9));
}

#[test]
fn partial_groups_agree() {
    let groups = Some(vec![vec![4, 1], vec![2]]);
    let params = KernelShapParams::default().with_groups(groups).with_allow_partial_groups(true);
    check(&params, &table(9, 10), &plain(), &table(5, 11));
}

#[test]
fn one_hot_features_agree() {
    let features = Features::new(vec![
        Feature::categorical("color", ["red", "green", "blue"], Encoding::OneHot),
        Feature::numeric("size"),
        Feature::categorical("kind", ["a", "b", "c"], Encoding::OneHot),
    ])
    .unwrap();
    let mut background = Array2::zeros((6, N_COLUMNS));
    for (row, mut cells) in background.axis_iter_mut(Axis(0)).enumerate() {
        (cells[row % 3], cells[3], cells[4 + row / 2]) = (1.0, (row / 3) as f64, 1.0);
    }
    let rows = background.select(Axis(0), &[0, 5]);
    check(&KernelShapParams::default(), &background, &features, &rows);

    background[[4, 0]] = 1.0;
    let sparse = compressed(&background, |_| false);
    let fit = |params: KernelShapParams| params.fit_sparse(sparse.view(), features.clone());
    match fit(KernelShapParams::default()) {
        Err(Error::Category { feature, row, .. }) => {
            assert_eq!((feature.as_str(), row), ("color", 4));
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn negative_zeros_and_missing_values_agree() {
    let mut background = table(9, 12);
    for (place, cell) in background.iter_mut().enumerate().step_by(5) {
        *cell = if place.is_multiple_of(2) { -0.0 } else { f64::NAN };
    }
    let mut rows = table(5, 13);
    (rows[[0, 0]], rows[[1, 1]], rows[[2, 2]]) = (-0.0, f64::NAN, -0.0);
    // The model must have numbers.
    let filled = |batch: &Rows| model(&batch.mapv(|x| if x.is_nan() { 0.5 } else { x }));
    let params = KernelShapParams::default().with_allow_missing(true);
    let dense = params.clone().fit(&background, plain()).unwrap();
    let sparse = params.fit_sparse(compressed(&background, |_| false).view(), plain()).unwrap();
    let loaded: KernelShap =
        serde_json::from_str(&serde_json::to_string(&sparse).unwrap()).unwrap();
    let expected = documents(dense.explain_many(&filled, &rows, &RunConfig::seeded(3)));
    assert_eq!(documents(sparse.explain_many(&filled, &rows, &RunConfig::seeded(3))), expected);
    let rows = compressed(&rows, |_| false);
    let explained = loaded.explain_sparse_rows(&filled, rows.view(), &RunConfig::seeded(3));
    assert_eq!(documents(explained), expected);
}

#[test]
fn samples_agree_and_means_are_refused() {
    let params = KernelShapParams::default()
        .with_summarise_background(SummariseBackground::Sample)
        .with_n_background_samples(4)
        .with_weights(Some((1..=9).map(f64::from).collect()));
    check(&params, &table(9, 14), &plain(), &table(5, 15));

    let background = compressed(&table(9, 14), |_| false);
    let summarise = |summarise_background| {
        let params = params.clone().with_summarise_background(summarise_background);
        params.fit_sparse(background.view(), plain())
    };
    let auto = serde_json::to_value(summarise(SummariseBackground::Auto).unwrap()).unwrap();
    let sample = serde_json::to_value(summarise(SummariseBackground::Sample).unwrap()).unwrap();
    assert_eq!(auto["background"], sample["background"]);
    match summarise(SummariseBackground::KMeans) {
        Err(Error::Param(error)) => assert_eq!(error.name, "summarise_background"),
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn more_rows_than_are_written_out_at_once_agree() {
    // Sixteen rows of this width are a block.
    let width = (1 << 20) / 16;
    let params = KernelShapParams::default()
        .with_groups(Some(vec![vec![0], vec![width - 1]]))
        .with_allow_partial_groups(true);
    let mut rows = Array2::zeros((33, width));
    rows.column_mut(width - 1).iter_mut().zip(1..).for_each(|(cell, row)| *cell = f64::from(row));
    let background = compressed(&rows.select(Axis(0), &[0, 1]), |_| false);
    let features = Features::unnamed(width).unwrap();
    let explainer = params.fit_sparse(background.view(), features).unwrap();
    let last = |batch: &Rows| -> Result<_, BoxError> {
        Ok(batch.column(width - 1).to_owned().insert_axis(Axis(1)))
    };
    let rows = compressed(&rows, |_| false);
    let explained = explainer.explain_sparse_rows(&last, rows.view(), &RunConfig::seeded(0));
    assert_eq!(explained.len(), 33);
    for (explanation, row) in explained.into_iter().zip(1..) {
        // The mean of 1 and 2 is 1.5.
        assert_eq!(explanation.unwrap().data.shap_values, array![[0.0, f64::from(row) - 1.5]]);
    }
}

#[test]
fn what_does_not_fit_the_table_is_refused() {
    let fit = |rows: Array2<f64>| {
        let rows = compressed(&rows, |_| false);
        KernelShapParams::default().fit_sparse(rows.view(), plain())
    };
    let error = fit(Array2::zeros((3, 1))).unwrap_err().to_string();
    assert_eq!(error, "the background must have shape [3, 7], got [3, 1]");
    let error = fit(Array2::zeros((0, 7))).unwrap_err().to_string();
    assert_eq!(error, "parameter `background` must be at least one row, got 0");
    let mut rows = table(3, 16);
    rows[[1, 4]] = f64::NAN;
    let error = fit(rows.clone()).unwrap_err().to_string();
    assert_eq!(error, "the background must be finite, got NaN at [1, 4]");

    let explainer = fit(table(3, 17)).unwrap();
    let narrow = compressed(&Array2::ones((2, 5)), |_| false);
    let explained = explainer.explain_sparse_rows(&model, narrow.view(), &RunConfig::seeded(0));
    assert_eq!(explained.len(), 2);
    for explanation in explained {
        let error = explanation.unwrap_err().to_string();
        assert_eq!(error, "the input must have shape [7], got [5]");
    }
    let rows = compressed(&rows, |_| false);
    let explained = explainer.explain_sparse_rows(&model, rows.view(), &RunConfig::seeded(0));
    let failed: Vec<_> = explained.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false]);
}

#[test]
fn a_damaged_document_is_refused() {
    let rows = array![[0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0]];
    let sparse = compressed(&rows, |_| false);
    let fitted = KernelShapParams::default().fit_sparse(sparse.view(), plain()).unwrap();
    let saved = serde_json::to_value(fitted).unwrap();
    assert_eq!(saved["background"]["columns"], serde_json::json!([1, 2, 6]));
    for (field, damaged) in [
        ("columns", serde_json::json!([2, 1, 6])),
        ("columns", serde_json::json!([1, 1, 6])),
        ("columns", serde_json::json!([1, 2, 7])),
        ("columns", serde_json::json!([1, 2])),
        ("values", serde_json::json!([1.0, 2.0])),
        ("starts", serde_json::json!([])),
        ("starts", serde_json::json!([0, 2])),
        ("starts", serde_json::json!([1, 2, 3])),
        ("starts", serde_json::json!([0, 4, 3])),
        ("n_columns", serde_json::json!(8)),
    ] {
        let mut document: Value = saved.clone();
        document["background"][field] = damaged.clone();
        assert!(serde_json::from_value::<KernelShap>(document).is_err(), "{field}: {damaged}");
    }
}
