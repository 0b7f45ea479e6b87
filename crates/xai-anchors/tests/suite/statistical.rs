//! What is promised with a probability, and what perturbations are drawn from.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact values"
)]

use std::sync::Mutex;

use ndarray::{Array1, Array2, Axis};
use xai_anchors::{
    AnchorTabular, AnchorTabularData, AnchorTabularParams, Sampling, class_balanced_weights,
};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Predictor, Rows, Run, Status};
use xai_testkit::Elementwise;

type P = AnchorTabularParams;

const RUNS: u64 = 500;

/// Training rows with a number of their own, which no predicate speaks of, and some categories.
///
/// The number comes from the base row of a perturbation, so that a model that agrees for `p N` of the `N` numbers agrees
/// with probability `p` exactly, whatever is held.
fn lottery(params: P, n_rows: usize, n_categories: usize) -> AnchorTabular {
    let mut features = vec![Feature::numeric("number")];
    for index in 0..n_categories {
        features.push(Feature::categorical(format!("f{index}"), ["a", "b"], Encoding::Ordinal));
    }
    let rows = Array2::from_shape_fn((n_rows, 1 + n_categories), |(row, column)| match column {
        0 => row as f64,
        _ => (row >> (column - 1) & 1) as f64,
    });
    let edges = [("number".to_owned(), Edges::new(Vec::new()).unwrap())].into();
    params.with_edges(edges).fit(&rows, Features::new(features).unwrap()).unwrap()
}

fn explain(
    explainer: &AnchorTabular,
    model: &dyn Predictor,
    x: &[f64],
    seed: u64,
) -> AnchorTabularData {
    explainer.explain(model, &Array1::from(x.to_vec()), Run::seeded(seed)).unwrap().data
}

/// The probability of `least` successes or more.
fn tail(least: u64, n: u64, p: f64) -> f64 {
    let mut probability = (1.0 - p).powf(n as f64);
    let mut sum = 0.0;
    for successes in 0..=n {
        if least <= successes {
            sum += probability;
        }
        probability *= (n - successes) as f64 / (successes + 1) as f64 * p / (1.0 - p);
    }
    sum
}

/// How often the exact lower bound at a risk is wrong: more successes than have probability `risk` or less together.
fn risk_of_the_exact_bound(n: u64, p: f64, risk: f64) -> f64 {
    (0..=n).map(|least| tail(least, n, p)).find(|&tail| tail <= risk).unwrap()
}

/// A count of runs within five standard errors of its expectation.
#[track_caller]
fn near(count: u64, probability: f64, n: u64) {
    let (n, count) = (n as f64, count as f64);
    let error = (n * probability * (1.0 - probability)).sqrt();
    assert!((count - n * probability).abs() <= 5.0 * error, "{count} of {n}, not {probability}");
}

/// The certificate is a binomial sample of the true precision: its bound is above that exactly as often as the
/// theory of the exact bound says, which is at most `delta`.
#[test]
fn the_certificate_is_wrong_as_rarely_as_it_says() {
    for (successes, delta) in [(970, 0.1), (900, 0.1), (600, 0.3)] {
        let explainer = lottery(P::default().with_delta(delta).with_final_samples(200), 1000, 1);
        let p = f64::from(successes) / 1000.0;
        // Agreement needs the category of the row as well.
        let model = Elementwise(|row: &[f64]| f64::from(row[0] < 1000.0 * p && row[1] == 0.0));
        let (mut too_high, mut sum) = (0, 0);
        for seed in 0..RUNS {
            let data = explain(&explainer, &model, &[0.0, 0.0], seed);
            assert_eq!(data.anchor, ["f0 = a"]);
            let certificate = data.result.certificate.unwrap();
            assert_eq!((certificate.n_samples, certificate.confidence), (200, 1.0 - delta));
            assert_eq!(certificate.precision, certificate.positives as f64 / 200.0);
            assert_eq!(certificate.clears_threshold, 0.95 <= certificate.lower_bound);
            too_high += u64::from(p < certificate.lower_bound);
            sum += certificate.positives;
        }
        let risk = risk_of_the_exact_bound(200, p, delta);
        assert!(risk <= delta);
        near(too_high, risk, RUNS);
        // Unbiased: the mean of all samples is the precision.
        near(sum, p, 200 * RUNS);
    }
}

/// The first look at the empty anchor is 100 independent samples, and the only one where the rate is far from the
/// threshold: its two-sided interval misses the truth with probability `delta` at most.
#[test]
fn intervals_of_the_base_rate_hold() {
    let explainer =
        lottery(P::default().with_final_samples(0).with_max_anchor_size(Some(1)), 1000, 1);
    let model = Elementwise(|row: &[f64]| f64::from(row[0] < 300.0));
    let mut missed = 0;
    for seed in 0..RUNS {
        let base = explain(&explainer, &model, &[0.0, 0.0], seed).result.base_rate;
        assert_eq!(base.n_samples, 100);
        missed += u64::from(base.interval.upper < 0.3 || 0.3 < base.interval.lower);
    }
    assert!(missed as f64 <= 0.1 * RUNS as f64 + 5.0 * (0.09 * RUNS as f64).sqrt(), "{missed}");
}

/// How often an anchor is called valid although each has the same precision below the threshold.
fn wrongly_found(params: P, below: f64) -> u64 {
    let n_categories = 5;
    let explainer = lottery(params, 1000, n_categories);
    let model = Elementwise(|row: &[f64]| f64::from(row[0] < 1000.0 * below));
    let found = (0..RUNS).filter(|&seed| {
        let data = explain(&explainer, &model, &[0.0; 6], seed);
        let found = matches!(data.result.status, Status::Found | Status::Empty);
        assert_eq!(found, data.result.valid);
        if explainer.params().search.strict && found {
            assert!(data.result.certificate.unwrap().clears_threshold);
        }
        found
    });
    found.count() as u64
}

/// In a strict search all tests together are wrong with probability `delta` at most, even just below the threshold and
/// with a beam that tries many anchors; the test of validity alone breaks that promise.
#[test]
fn a_strict_search_calls_no_imprecise_anchor_found() {
    let strict = P::default().with_strict(true).with_final_samples(300).with_beam_size(2);
    for below in [0.949, 0.94, 0.92] {
        let found = wrongly_found(strict.clone(), below);
        assert!(found as f64 <= 0.1 * RUNS as f64, "{found} at {below}");
    }
    let lax = P::default().with_final_samples(0).with_beam_size(2);
    let found = wrongly_found(lax, 0.94);
    assert!(0.1 * (RUNS as f64) < found as f64, "{found}");
}

/// Where the precision is above the threshold, a strict search finds the anchor.
#[test]
fn a_strict_search_finds_what_is_precise() {
    let strict = P::default().with_strict(true);
    assert!(0.95 * RUNS as f64 <= wrongly_found(strict, 0.99) as f64);
}

/// An anchor that passes the test of validity and fails its certificate is worth extending: here `f0` alone has precision
/// 0.945, with `f1` 1. `f2` looks better than `f1` alone, but adds nothing to `f0`.
#[test]
fn an_anchor_that_fails_its_certificate_is_extended() {
    let params =
        P::default().with_strict(true).with_max_anchor_size(Some(2)).with_final_samples(300);
    let explainer = lottery(params, 1000, 3);
    let model = Elementwise(|row: &[f64]| {
        let agrees = if row[1] == 0.0 {
            row[2] == 0.0 || row[0] < 890.0
        } else {
            row[3] == 0.0 && 400.0 <= row[0]
        };
        f64::from(agrees)
    });
    let (mut pairs, mut failed) = (0, 0);
    for seed in 0..40 {
        let data = explain(&explainer, &model, &[0.0; 4], seed);
        let mut anchor = data.anchor.clone();
        anchor.sort();
        pairs += usize::from(data.result.status == Status::Found && anchor == ["f0 = a", "f1 = a"]);
        failed += usize::from(300 < data.result.queries.certificate);
    }
    assert!(36 <= pairs, "{pairs} of 40");
    assert!(4 < failed, "some were valid and failed their certificate");
}

/// A margin as large as the threshold leaves the mean alone to decide, and that needs samples too.
#[test]
fn the_widest_margin_still_needs_samples() {
    let params = P::default().with_epsilon_stop(0.95);
    let explainer = lottery(params, 1000, 1);
    let model = Elementwise(|row: &[f64]| f64::from(row[1] == 0.0));
    let data = explain(&explainer, &model, &[0.0, 0.0], 0);
    assert_eq!((data.result.status, data.anchor), (Status::Found, vec!["f0 = a".to_owned()]));
}

/// Labels by a function of the row, and every row that was asked for.
struct Recorded<F> {
    label: F,
    rows: Mutex<Vec<Vec<f64>>>,
}

impl<F: Fn(&[f64]) -> f64 + Sync> Predictor for Recorded<F> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let rows: Vec<Vec<f64>> = batch.rows().into_iter().map(|row| row.to_vec()).collect();
        let labels = Array1::from_iter(rows.iter().map(|row| (self.label)(row)));
        self.rows.lock().unwrap().extend(rows);
        Ok(labels.insert_axis(Axis(1)))
    }
}

const N: usize = 240;

const DRAWS: usize = 24_000;

/// A number that repeats, one that names the row, and a category.
fn table() -> (Array2<f64>, Features) {
    let rows = Array2::from_shape_fn((N, 3), |(row, column)| match column {
        // 0 to 14, the small ones more often.
        0 => (row % 16 * (row % 16) / 16) as f64,
        1 => row as f64,
        _ => (row / 7 % 2) as f64,
    });
    let features = Features::new(vec![
        Feature::numeric("v"),
        Feature::numeric("row"),
        Feature::categorical("c", ["a", "b"], Encoding::Ordinal),
    ]);
    (rows, features.unwrap())
}

/// The perturbations of the certificate of the anchor `1 < v <= 6`, with the training rows.
fn draws(params: P, with_category: bool) -> (Array2<f64>, Vec<Vec<f64>>) {
    let (rows, features) = table();
    let edges = |edges: &[f64]| Edges::new(edges.to_vec()).unwrap();
    let edges = [("v".to_owned(), edges(&[1.0, 6.0])), ("row".to_owned(), edges(&[]))].into();
    let params = params.with_edges(edges).with_final_samples(DRAWS);
    let explainer = params.fit(&rows, features).unwrap();
    let label = move |row: &[f64]| {
        f64::from(1.0 < row[0] && row[0] <= 6.0 && (!with_category || row[2] == 1.0))
    };
    let model = Recorded { label, rows: Mutex::default() };
    let data = explain(&explainer, &model, &[4.0, 0.0, 1.0], 11);
    let mut anchor = data.anchor.clone();
    anchor.sort();
    let expected: &[&str] =
        if with_category { &["1.00 < v <= 6.00", "c = b"] } else { &["1.00 < v <= 6.00"] };
    assert_eq!(anchor, expected);
    let asked = model.rows.into_inner().unwrap();
    (rows, asked[asked.len() - DRAWS..].to_vec())
}

/// Pearson's statistic of counts against weights that are not 0, within five standard deviations of its expectation;
/// where the weight is 0, so is the count.
#[track_caller]
fn follows(counts: &[u64], weights: &[f64]) {
    let n = counts.iter().sum::<u64>() as f64;
    let total: f64 = weights.iter().sum();
    let (mut statistic, mut cells) = (0.0, 0.0);
    for (&count, weight) in counts.iter().zip(weights) {
        let expected = n * weight / total;
        if expected == 0.0 {
            assert_eq!(count, 0, "drawn without weight");
        } else {
            statistic += (count as f64 - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    let freedom = cells - 1.0;
    let off = (statistic - freedom).abs() / (2.0_f64 * freedom).sqrt();
    assert!(off < 5.0, "{statistic} at {freedom} degrees of freedom");
}

fn counts(drawn: &[Vec<f64>], column: usize, n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    for row in drawn {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small codes")]
        let value = row[column] as usize;
        counts[value] += 1;
    }
    counts
}

/// How often each value of a column occurs among the training rows that a condition accepts.
fn weights(
    rows: &Array2<f64>,
    column: usize,
    n: usize,
    accepts: impl Fn(&[f64]) -> bool,
) -> Vec<f64> {
    let all: Vec<Vec<f64>> = rows.rows().into_iter().map(|row| row.to_vec()).collect();
    let accepted: Vec<Vec<f64>> = all.into_iter().filter(|row| accepts(row)).collect();
    counts(&accepted, column, n).into_iter().map(|count| count as f64).collect()
}

fn in_range(row: &[f64]) -> bool {
    1.0 < row[0] && row[0] <= 6.0
}

/// A held number is distributed as in the rows within its range, all else as in all rows, and the two are independent.
/// So it is with few rows in range, which are each taken once, as with many.
#[test]
fn perturbations_are_distributed_as_training_rows() {
    for batch_size in [40, 100, 400] {
        let (rows, drawn) = draws(P::default().with_batch_size(batch_size), false);
        assert!(drawn.iter().all(|row| in_range(row)));
        if batch_size < 100 {
            follows(&counts(&drawn, 0, 16), &weights(&rows, 0, 16, in_range));
        } else {
            // Each row in range once in a batch: the counts vary less than those of independent draws.
            let (counts, weights) = (counts(&drawn, 0, 16), weights(&rows, 0, 16, in_range));
            let total: f64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let share = weight / total;
                let error = (DRAWS as f64 * share * (1.0 - share)).sqrt();
                assert!((*count as f64 - DRAWS as f64 * share).abs() <= 5.0 * error);
            }
        }
        follows(&counts(&drawn, 1, N), &[1.0; N]);
        // The base row says nothing of the held number: halves of the one by halves of the other.
        let cell = |row: &[f64]| usize::from(row[1] < 120.0) + 2 * usize::from(row[0] < 4.0);
        let mut cells = [0_u64; 4];
        drawn.iter().for_each(|row| cells[cell(row)] += 1);
        let n = DRAWS as f64;
        let late = (cells[0] + cells[2]) as f64 / n;
        let small = (cells[2] + cells[3]) as f64 / n;
        let expected = n * late * small;
        let error = (expected * (1.0 - late) * (1.0 - small)).sqrt();
        assert!((cells[2] as f64 - expected).abs() < 5.0 * error, "{cells:?}");
    }
}

/// With a category held too, the number comes from rows that satisfy both.
#[test]
fn held_features_come_together_from_one_row() {
    let (rows, drawn) = draws(P::default().with_batch_size(30), true);
    assert!(drawn.iter().all(|row| in_range(row) && row[2] == 1.0));
    let both = |row: &[f64]| in_range(row) && row[2] == 1.0;
    follows(&counts(&drawn, 0, 16), &weights(&rows, 0, 16, both));
    follows(&counts(&drawn, 1, N), &[1.0; N]);
}

/// Base rows are drawn by their weights, a row without weight never.
#[test]
fn row_weights_are_those_of_base_rows() {
    let by_place: Vec<f64> = (0..N).map(|row| (row % 5) as f64).collect();
    let mut few = vec![0.0; N];
    (few[17], few[200], few[N - 1]) = (3e-3, 1e-3, 1e-3);
    let classes: Vec<usize> = (0..N).map(|row| usize::from(row < 24)).collect();
    let balanced = class_balanced_weights(&classes).unwrap();
    for weights in [by_place, few, balanced] {
        let row_weights = Some(weights.clone());
        let (_, drawn) =
            draws(P::default().with_row_weights(row_weights).with_batch_size(40), false);
        follows(&counts(&drawn, 1, N), &weights);
        // The class of a tenth of the rows has half of the draws.
        if weights[0] == 1.0 / 24.0 {
            let rare = drawn.iter().filter(|row| row[1] < 24.0).count() as u64;
            near(rare, 0.5, DRAWS as u64);
        }
    }
}

/// All features come from one training row that satisfies the anchor, each such row as likely as any other.
#[test]
fn conditional_perturbations_are_training_rows() {
    let params = P::default().with_sampling(Sampling::Conditional).with_batch_size(30);
    for with_category in [false, true] {
        let (rows, drawn) = draws(params.clone(), with_category);
        let accepts = |row: &[f64]| in_range(row) && (!with_category || row[2] == 1.0);
        for row in &drawn {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
            let training = rows.row(row[1] as usize);
            assert!(accepts(row) && training.iter().eq(row.iter()));
        }
        follows(&counts(&drawn, 1, N), &weights(&rows, 1, N, accepts));
    }
}
