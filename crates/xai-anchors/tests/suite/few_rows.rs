//! Anchors that few training rows satisfy: which rows their perturbations come from.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use std::collections::BTreeSet;

use ndarray::Array2;
use xai_core::tabular::Features;

use crate::oracle::{P, Recorded, anchor_set, explain};

/// The rows of a batch for the anchor `a <= 5.00 and b <= 15.00`, as pairs.
///
/// Two training rows satisfy both, five the first of them, five the second. The certificate of `n` samples is one batch.
fn small_support(n: usize, seed: u64) -> (bool, Vec<(f64, f64)>) {
    let b = [11.0, 12.0, 17.0, 18.0, 16.0, 13.0, 14.0, 15.0];
    let rows = Array2::from_shape_fn((8, 3), |(row, column)| match column {
        0 => row as f64 + 1.0,
        1 => b[row],
        _ => 100.0 * row as f64,
    });
    let params = P::default()
        .with_batch_size(n)
        .with_final_samples(n)
        .with_disc_perc(vec![57.2])
        .with_max_samples(1 << 20);
    let explainer = params.fit(&rows, Features::numeric(["a", "b", "c"]).unwrap()).unwrap();
    let model = Recorded::new(|row: &[f64]| f64::from(row[0] <= 5.5 && row[1] <= 15.5));
    let data = explain(&explainer, &model, &[1.0, 11.0, 0.0], seed).data;
    assert_eq!(anchor_set(&data), BTreeSet::from(["a <= 5.00", "b <= 15.00"]));
    assert_eq!(data.result.coverage, 0.25);
    let drawn = model.last(n);
    // The third feature is that of some training row.
    assert!(drawn.iter().all(|row| rows.column(2).iter().any(|&c| c == row[2])));
    let a_first = data.features(None).unwrap() == [0, 1];
    (a_first, drawn.into_iter().map(|row| (row[0], row[1])).collect())
}

fn count<T: PartialEq>(values: impl IntoIterator<Item = T>, value: &T) -> usize {
    values.into_iter().filter(|own| own == value).count()
}

/// With more perturbations than rows that satisfy the anchor, each of these comes once, then each that satisfies its
/// first predicate once, and the others mix rows that satisfy one each.
#[test]
fn few_rows_are_each_taken_once_before_they_are_mixed() {
    let (first_rows, second_rows) = ([1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 15.0]);
    let mut orders = [0, 0];
    for seed in 0..40 {
        let (a_first, pairs) = small_support(20, seed);
        orders[usize::from(a_first)] += 1;
        for &(a, b) in &pairs {
            assert!(first_rows.contains(&a) && second_rows.contains(&b));
        }
        for pair in [(1.0, 11.0), (2.0, 12.0)] {
            assert!(1 <= count(pairs.iter().copied(), &pair));
        }
        // Once in the second level; the two full matches once more each.
        if a_first {
            let of = |a: f64| count(pairs.iter().map(|pair| pair.0), &a);
            assert!(first_rows.iter().all(|&a| 1 <= of(a)) && 2 <= of(1.0) && 2 <= of(2.0));
        } else {
            let of = |b: f64| count(pairs.iter().map(|pair| pair.1), &b);
            assert!(second_rows.iter().all(|&b| 1 <= of(b)) && 2 <= of(11.0) && 2 <= of(12.0));
        }
    }
    assert!(orders.iter().all(|&n| 0 < n), "both orders of the predicates were seen");
}

/// Four perturbations: the two full matches, then two of the rows that satisfy the first predicate. Two: only full
/// matches, and not always each of them.
#[test]
fn as_few_perturbations_as_rows_come_from_full_matches() {
    let full = [(1.0, 11.0), (2.0, 12.0)];
    let mut both = [0, 0];
    for seed in 0..40 {
        let (_, pairs) = small_support(4, seed);
        for pair in &full {
            assert!(pairs.contains(pair), "{pairs:?}");
        }
        for &(a, b) in &pairs {
            assert!(a <= 5.0 && b <= 15.0);
        }
        let (_, pairs) = small_support(2, seed);
        assert!(pairs.iter().all(|pair| full.contains(pair)), "{pairs:?}");
        both[usize::from(pairs[0] != pairs[1])] += 1;
    }
    // Drawn with replacement: 40 pairs, half of them of one row, within five standard errors of 20.
    assert!(both.iter().all(|&n| 4 < n), "{both:?}");
}
