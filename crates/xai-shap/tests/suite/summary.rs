//! A summary of the background stands for it: which rows, with which weights.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis, array};
use serde_json::Value;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Error, Explainer, Run, Seed};
use xai_shap::{KernelShap, KernelShapParams, SummariseBackground};
use xai_testkit::{Linear, Logistic};

fn asking(how: SummariseBackground, n: usize) -> KernelShapParams {
    KernelShapParams::default()
        .with_summarise_background(how)
        .with_n_background_samples(n)
        .with_round_background(false)
}

fn fit(params: KernelShapParams, rows: &Array2<f64>) -> KernelShap {
    params.fit(rows, Features::unnamed(rows.ncols()).unwrap()).unwrap()
}

/// The rows and weights of a summary, as an explainer saves them.
fn summary(params: KernelShapParams, rows: &Array2<f64>) -> (Array2<f64>, Vec<f64>) {
    let saved = serde_json::to_value(fit(params, rows)).unwrap();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let numbers = |list: &Value| list.as_array().unwrap().iter().map(number).collect::<Vec<_>>();
    let of_rows: Vec<Vec<f64>> =
        saved["background"].as_array().unwrap().iter().map(numbers).collect();
    let cells = of_rows.concat();
    (
        Array2::from_shape_vec((of_rows.len(), rows.ncols()), cells).unwrap(),
        numbers(&saved["summary_weights"]),
    )
}

/// Rows of distinct numbers in [-1, 1).
fn scattered(n_rows: usize, n_columns: usize) -> Array2<f64> {
    let mut stream = Seed::new(5).stream();
    Array2::from_shape_simple_fn((n_rows, n_columns), || 2.0 * stream.uniform() - 1.0)
}

#[test]
fn as_many_means_as_distinct_rows_are_these_with_their_counts() {
    let rows = array![[3.0, 1.0], [0.0, -0.0], [3.0, 1.0], [-2.0, 5.0], [0.0, 0.0], [3.0, 1.0]];
    for n in 3..=6 {
        let (means, weights) = summary(asking(SummariseBackground::KMeans, n), &rows);
        assert_eq!(means, array![[3.0, 1.0], [0.0, 0.0], [-2.0, 5.0]]);
        assert_eq!(weights, [3, 2, 1].map(|count| (0..count).map(|_| 1.0 / 6.0).sum::<f64>()));
    }
}

#[test]
fn far_clusters_become_their_weighted_means() {
    // Three clusters a thousand of their widths apart; the row without weight belongs to none.
    let rows = array![
        [0.0, 0.0],
        [1000.0, 2.0],
        [2.0, 4.0],
        [1004.0, 2.0],
        [5.0, 4000.0],
        [500.0, 500.0],
    ];
    let params = || {
        asking(SummariseBackground::KMeans, 3)
            .with_weights(Some(vec![1.0, 1.0, 3.0, 1.0, 2.0, 0.0]))
    };
    let (means, weights) = summary(params(), &rows);
    assert_eq!(means, array![[1.5, 3.0], [1002.0, 2.0], [5.0, 4000.0]]);
    assert_eq!(weights, [0.5, 0.25, 0.25]);
    // The nearest numbers that occur, the smaller of two: 1.5 to 2, 3 to 4 and not to 2, 1002 to 1000.
    let (rounded, same) = summary(params().with_round_background(true), &rows);
    assert_eq!(rounded, array![[2.0, 2.0], [1000.0, 2.0], [5.0, 4000.0]]);
    assert_eq!(same, weights);
}

#[test]
fn one_mean_is_the_weighted_mean_of_all() {
    let rows = array![[1.0, 7.0], [2.0, 7.0], [6.0, 7.0]];
    let (mean, weights) = summary(asking(SummariseBackground::KMeans, 1), &rows);
    assert_eq!((mean, weights), (array![[3.0, 7.0]], vec![1.0]));
}

#[test]
fn missing_numbers_count_as_the_mean_of_their_column() {
    // The column's weighted mean is (1 * 2 + 3 * 6) / 4 = 5, so the first cluster is at (2 + 5) / 2.
    let nan = f64::NAN;
    let rows = array![[0.0, 2.0, nan], [0.0, nan, nan], [100.0, 6.0, nan]];
    let params = asking(SummariseBackground::KMeans, 2)
        .with_weights(Some(vec![1.0, 1.0, 3.0]))
        .with_allow_missing(true);
    let (means, weights) = summary(params, &rows);
    assert_eq!(means.column(0), array![0.0, 100.0]);
    assert_eq!(means.column(1), array![3.5, 6.0]);
    assert!(means.column(2).iter().all(|mean| mean.is_nan()), "{means}");
    assert!((weights[0] - 0.4).abs() < 1e-15 && (weights[1] - 0.6).abs() < 1e-15, "{weights:?}");
}

/// The sum of squared distances of numbers from the means of their parts, the least over all cuts of the sorted list.
fn least_spread(sorted: &[f64], n_parts: usize) -> f64 {
    let spread = |part: &[f64]| {
        let mean = part.iter().sum::<f64>() / part.len() as f64;
        part.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    if n_parts == 1 {
        return spread(sorted);
    }
    let rests = n_parts - 1..sorted.len();
    rests
        .map(|cut| least_spread(&sorted[..cut], n_parts - 1) + spread(&sorted[cut..]))
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn the_tightest_of_ten_is_mostly_as_tight_as_can_be() {
    // Optimal parts of a line are intervals, so that all can be tried.
    let mut stream = Seed::new(5).stream();
    let mut optimal = 0;
    for _ in 0..100 {
        let rows = Array2::from_shape_simple_fn((16, 1), || stream.uniform());
        let (means, _) = summary(asking(SummariseBackground::KMeans, 4), &rows);
        let nearest = |value: f64| {
            means.iter().map(|mean| (value - mean).powi(2)).fold(f64::INFINITY, f64::min)
        };
        let got: f64 = rows.iter().map(|&value| nearest(value)).sum();
        let mut sorted = rows.into_raw_vec_and_offset().0;
        sorted.sort_unstable_by(f64::total_cmp);
        let least = least_spread(&sorted, 4);
        // Sixteen terms of order 1, each with a few roundings.
        assert!(least - got < 1e-14, "{got} is below the least, {least}");
        optimal += u32::from(got - least < 1e-14);
    }
    // Of one run from careful seeds 40 in a hundred are optimal, of the best of ten 95: standard errors of 5 and 2.2.
    assert!(80 < optimal, "{optimal} of 100");
}

#[test]
fn rounded_means_hold_numbers_of_their_columns() {
    let rows = scattered(60, 4);
    let params = asking(SummariseBackground::KMeans, 7).with_round_background(true);
    let (means, weights) = summary(params, &rows);
    assert_eq!(means.nrows(), 7);
    for (mean, column) in means.columns().into_iter().zip(rows.columns()) {
        assert!(mean.iter().all(|mean| column.iter().any(|value| value == mean)));
    }
    // Sixty terms of 1/60.
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 60.0 * f64::EPSILON);
}

#[test]
fn numbers_of_any_size_are_clustered() {
    // Neighbouring floats far from 0, numbers whose squares overflow, and numbers whose squares vanish.
    let far = |step: u64| f64::from_bits(1e12_f64.to_bits() + step);
    for numbers in [
        [far(0), far(1), far(2), far(9), far(10)],
        [-f64::MAX, f64::MAX, 0.0, 1.0, f64::MAX / 2.0],
        [1.0, 1e-300, 2e-300, 3e-300, 4e-300],
        [5e-324, 1e-323, 1.5e-323, 2e-323, 0.0],
    ] {
        let rows = Array1::from(numbers.to_vec()).insert_axis(Axis(1));
        for n in 1..=4 {
            let params = asking(SummariseBackground::KMeans, n).with_round_background(true);
            let (means, weights) = summary(params, &rows);
            assert!(means.nrows() <= n && means.iter().all(|mean| numbers.contains(mean)));
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 8.0 * f64::EPSILON);
        }
    }
}

#[test]
fn a_sample_has_rows_of_the_background_once_and_in_order() {
    let rows = Array2::from_shape_fn((50, 1), |(row, _)| row as f64);
    let given: Vec<f64> = (0..50).map(|row| f64::from(row % 5)).collect();
    let params = |background_seed| {
        asking(SummariseBackground::Sample, 20)
            .with_weights(Some(given.clone()))
            .with_background_seed(background_seed)
    };
    let (sampled, weights) = summary(params(1), &rows);
    assert_eq!(sampled.nrows(), 20);
    let sampled = sampled.into_raw_vec_and_offset().0;
    assert!(sampled.is_sorted_by(|a, b| a < b), "{sampled:?}");
    let expected: Vec<f64> = sampled.iter().map(|row| row % 5.0).collect();
    assert_eq!(weights, expected);
    assert!(weights.iter().all(|&weight| 0.0 < weight), "a row without weight was drawn");
    assert_ne!(summary(params(2), &rows).0.into_raw_vec_and_offset().0, sampled);
}

#[test]
fn every_row_is_sampled_as_often() {
    let rows = Array2::from_shape_fn((10, 1), |(row, _)| row as f64);
    let mut counts = [0_u32; 10];
    for background_seed in 0..1000 {
        let params = asking(SummariseBackground::Sample, 3).with_background_seed(background_seed);
        for (row, count) in counts.iter_mut().enumerate() {
            *count += u32::from(summary(params.clone(), &rows).0.iter().any(|&v| v == row as f64));
        }
    }
    // Each row is in a sample with probability 0.3, independently over the seeds.
    let bound = 5.0 * (1000.0 * 0.3 * 0.7_f64).sqrt();
    assert!(counts.iter().all(|&count| (f64::from(count) - 300.0).abs() < bound), "{counts:?}");
}

#[test]
fn a_sample_of_all_rows_changes_nothing() {
    let rows = scattered(6, 3);
    let weights = Some(vec![1.0, 0.0, 2.0, 0.5, 3.0, 1.5]);
    let (x, model) = (array![0.1, 0.2, 0.3], Logistic::new(&[1.0, -2.0, 3.0], 0.5));
    let explain = |params: KernelShapParams| {
        let params = params.with_weights(weights.clone());
        fit(params, &rows).explain(&model, &x, Run::seeded(0)).unwrap().data
    };
    let whole = explain(KernelShapParams::default());
    for n in [5, 6, 300] {
        assert_eq!(explain(asking(SummariseBackground::Sample, n)), whole);
    }
}

#[test]
fn auto_chooses_by_the_table() {
    let is_sample = |params: KernelShapParams, rows: &Array2<f64>, features: Features| {
        let fitted = params.fit(rows, features).unwrap();
        assert_eq!(fitted.n_background(), 2);
        let saved = serde_json::to_value(fitted).unwrap();
        let saved: Vec<Vec<f64>> = serde_json::from_value(saved["background"].clone()).unwrap();
        saved.iter().all(|saved| rows.rows().into_iter().any(|row| row.to_vec() == *saved))
    };
    let auto = || asking(SummariseBackground::Auto, 2);
    let rows = array![[0.0, 1.0], [2.0, 0.0], [5.0, 1.0], [9.0, 1.0]];
    let numeric = || Features::unnamed(2).unwrap();
    assert!(!is_sample(auto(), &rows, numeric()));
    let groups = Some(vec![vec![0], vec![1]]);
    assert!(is_sample(auto().with_groups(groups), &rows, numeric()));
    let group_names = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert!(is_sample(auto().with_group_names(group_names), &rows, numeric()));
    let coded = Feature::categorical("b", ["no", "yes"], Encoding::Ordinal);
    let categorical = Features::new(vec![Feature::numeric("a"), coded]).unwrap();
    assert!(is_sample(auto(), &rows, categorical.clone()));

    match asking(SummariseBackground::KMeans, 2).fit(&rows, categorical) {
        Err(Error::Param(error)) => {
            assert_eq!(error.name, "summarise_background");
            assert!(error.rule.contains("`b`"), "{error}");
        }
        other => panic!("expected an error, got {other:?}"),
    }
}

#[test]
fn more_means_than_rows_are_refused_unless_auto_may_choose() {
    let rows = scattered(4, 2);
    let features = || Features::unnamed(2).unwrap();
    let error = asking(SummariseBackground::KMeans, 5).fit(&rows, features()).unwrap_err();
    let rule = "parameter `n_background_samples` must be at most the number of rows, 4, got 5";
    assert_eq!(error.to_string(), rule);
    assert_eq!(fit(asking(SummariseBackground::Auto, 5), &rows).n_background(), 4);
}

#[test]
fn what_does_not_fit_is_refused_before_the_summary() {
    let features = || Features::unnamed(2).unwrap();
    for how in [SummariseBackground::Auto, SummariseBackground::Sample, SummariseBackground::KMeans]
    {
        let error = asking(how, 1).fit(&scattered(3, 1), features()).unwrap_err().to_string();
        assert_eq!(error, "the background must have shape [3, 2], got [3, 1]");
        let rows = array![[0.0, 1.0], [f64::NAN, 0.0]];
        let error = asking(how, 1).fit(&rows, features()).unwrap_err().to_string();
        assert_eq!(error, "the background must be finite, got NaN at [1, 0]");
        let weights = Some(vec![1.0; 4]);
        let params = asking(how, 1).with_weights(weights);
        let error = params.fit(&scattered(3, 2), features()).unwrap_err().to_string();
        assert_eq!(error, "parameter `weights` must be one per background row, 3 of them, got 4");
        let error = asking(how, 1).fit(&Array2::zeros((0, 2)), features()).unwrap_err().to_string();
        assert_eq!(error, "parameter `background` must be at least one row, got 0");
    }
}

#[test]
fn a_summary_is_saved_and_made_once() {
    let rows = scattered(30, 3);
    let (x, model) = (array![0.1, 0.2, 0.3], Linear::new(&[1.0, -2.0, 3.0], 0.5));
    let params = asking(SummariseBackground::KMeans, 4)
        .with_weights(Some((1..=30).map(f64::from).collect()));
    let fitted = fit(params.clone(), &rows);
    assert_eq!(fitted.n_background(), 4);
    let saved = serde_json::to_string(&fitted).unwrap();
    let loaded: KernelShap = serde_json::from_str(&saved).unwrap();
    assert_eq!(loaded, fitted);
    assert_eq!(serde_json::to_string(&loaded).unwrap(), saved);

    let explanation = loaded.explain(&model, &x, Run::seeded(0)).unwrap();
    assert_eq!(explanation.meta.params, serde_json::to_value(&params).unwrap());
    assert_eq!(explanation.meta.params["summarise_background"], "k-means");
    // Means keep the mean: for a linear model w_j (x_j - mean_j), whatever the clusters. Thirty terms of order 1.
    let shares = Array1::from_iter((1..=30).map(|weight| f64::from(weight) / 465.0));
    let expected = (&x - &shares.dot(&rows)) * array![1.0, -2.0, 3.0];
    for (got, expected) in explanation.data.shap_values.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-13, "{got} against {expected}");
    }

    // Without its weights it is no summary, and the weights of the thirty rows do not fit its four.
    let mut without: Value = serde_json::from_str(&saved).unwrap();
    without.as_object_mut().unwrap().remove("summary_weights").unwrap();
    for (weights, named) in [
        (None, "one per background row, 4"),
        (Some(vec![1.0; 3]), "one per background row, 4"),
        (Some(vec![1.0, -1.0, 1.0, 1.0]), "at least 0"),
        (Some(vec![0.0; 4]), "sum above 0"),
    ] {
        let mut tampered = without.clone();
        if let Some(weights) = weights {
            tampered["summary_weights"] = weights.into();
        }
        let error = serde_json::from_value::<KernelShap>(tampered).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn the_background_in_use_is_counted() {
    let rows = array![[0.0], [1.0], [0.0], [2.0]];
    assert_eq!(fit(KernelShapParams::default(), &rows).n_background(), 3);
    let weights = Some(vec![1.0, 0.0, 1.0, 1.0]);
    let params = KernelShapParams::default().with_weights(weights);
    assert_eq!(fit(params, &rows).n_background(), 2);
}

#[test]
fn the_summary_is_a_word_or_a_boolean() {
    for (text, expected) in [
        ("false", SummariseBackground::None),
        ("true", SummariseBackground::Auto),
        ("\"none\"", SummariseBackground::None),
        ("\"auto\"", SummariseBackground::Auto),
        ("\"sample\"", SummariseBackground::Sample),
        ("\"k-means\"", SummariseBackground::KMeans),
    ] {
        let json = format!("{{\"summarise_background\": {text}}}");
        let params: KernelShapParams = serde_json::from_str(&json).unwrap();
        assert_eq!(params.summarise_background, expected, "{text}");
        let again = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<KernelShapParams>(&again).unwrap(), params);
    }
    let error =
        serde_json::from_str::<KernelShapParams>("{\"summarise_background\": 3}").unwrap_err();
    assert!(error.to_string().contains("\"k-means\""), "{error}");
}
