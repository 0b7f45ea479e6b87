//! Bins of numeric features, against numpy's percentiles, alibi's texts and the laws of bins.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test may panic, and edges are exact")]

use std::collections::BTreeSet;

use ndarray::{Array1, array};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use xai_core::Error;
use xai_core::tabular::discretizer::{DECILES, Edges, Neighbors, QUARTILES};

#[derive(Deserialize)]
struct Percentiles {
    cases: Vec<PercentileCase>,
}

#[derive(Deserialize)]
struct PercentileCase {
    name: String,
    values: Vec<f64>,
    percentiles: Vec<f64>,
    expected: Vec<f64>,
}

#[test]
fn percentiles_have_the_bits_of_numpy() {
    let reference: Percentiles =
        serde_json::from_str(include_str!("../reference/percentiles.json")).unwrap();
    assert_eq!(reference.cases.len(), 36);
    for case in reference.cases {
        let values = Array1::from_vec(case.values);
        for (&percentile, expected) in case.percentiles.iter().zip(&case.expected) {
            let edges = Edges::percentiles(&values, &[percentile]).unwrap();
            let got: Vec<u64> = edges.as_slice().iter().map(|edge| edge.to_bits()).collect();
            // Where numpy has a negative zero we have the positive one.
            assert_eq!(got, [(expected + 0.0).to_bits()], "{} at {percentile}", case.name);
        }
        let together = Edges::percentiles(&values, &case.percentiles).unwrap();
        assert_eq!(together, Edges::new(case.expected).unwrap(), "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Discretizer {
    tables: std::collections::BTreeMap<String, Table>,
    cases: Vec<DiscretizerCase>,
}

#[derive(Deserialize)]
struct Table {
    names: Vec<String>,
    /// The values of each column, with their counts.
    columns: Vec<Vec<(f64, usize)>>,
    x_test: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct DiscretizerCase {
    table: String,
    percentiles: Vec<f64>,
    bins: Vec<Vec<String>>,
    codes: Vec<Vec<usize>>,
}

#[test]
fn texts_and_bins_are_those_of_alibi() {
    let reference: Discretizer =
        serde_json::from_str(include_str!("../reference/discretizer.json")).unwrap();
    assert_eq!(reference.cases.len(), 5);
    for case in reference.cases {
        let table = &reference.tables[&case.table];
        assert_eq!(case.bins.len(), table.names.len());
        let edges: Vec<Edges> = table
            .columns
            .iter()
            .map(|column| {
                let values = column.iter().flat_map(|&(value, n)| std::iter::repeat_n(value, n));
                Edges::percentiles(&values.collect::<Array1<f64>>(), &case.percentiles).unwrap()
            })
            .collect();
        for ((edges, name), expected) in edges.iter().zip(&table.names).zip(&case.bins) {
            let texts: Vec<String> =
                (0..=edges.len()).map(|bin| edges.describe_bin(name, bin)).collect();
            assert_eq!(&texts, expected, "{} {:?}", case.table, case.percentiles);
        }
        let codes = table.x_test.iter().map(|row| -> Vec<usize> {
            row.iter().zip(&edges).map(|(&value, edges)| edges.bin(value)).collect()
        });
        assert_eq!(codes.collect::<Vec<_>>(), case.codes);
    }
}

#[test]
fn percentiles_that_coincide_give_one_edge() {
    #[track_caller]
    fn check(values: &Array1<f64>, percentiles: &[f64], expected: &[f64]) {
        assert_eq!(Edges::percentiles(values, percentiles).unwrap().as_slice(), expected);
    }
    check(&array![4.0, 4.0, 4.0], &QUARTILES, &[4.0]);
    check(&array![0.0, 0.0, 0.0, 0.0, 9.0], &DECILES, &[0.0, 1.8000000000000016, 5.4]);
    check(&array![3.0, 1.0, 2.0], &[100.0, 0.0, 0.0, -0.0], &[1.0, 3.0]);
    check(&array![-0.0, 0.0], &[0.0, 100.0], &[0.0]);
    // The difference of the neighbours overflows, their mean does not.
    check(&array![f64::MIN, f64::MAX], &[50.0], &[0.0]);
}

#[test]
fn missing_values_are_ignored() {
    let none: [f64; 0] = [];
    for values in [array![], array![f64::NAN], array![f64::NAN, -f64::NAN]] {
        let edges = Edges::percentiles(&values, &QUARTILES).unwrap();
        assert_eq!(edges.as_slice(), none);
        assert!(edges.is_empty());
        assert_eq!(edges.bin(-7.0), 0);
        assert_eq!(edges.describe_bin("age", 0), "any age");
    }
    let values = array![f64::NAN, 5.0, 1.0, -f64::NAN, 3.0];
    let edges = Edges::percentiles(&values, &[50.0]).unwrap();
    assert_eq!(edges.as_slice(), [3.0]);
    assert_eq!(edges.bin(f64::NAN), 0);
}

#[test]
fn what_makes_no_edges_is_refused() {
    #[track_caller]
    fn check(values: &Array1<f64>, percentiles: &[f64], expected: &str) {
        let refusal = Edges::percentiles(values, percentiles).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    }
    let values = array![1.0, 2.0];
    check(&values, &[], "parameter `percentiles` must be at least one number, got 0");
    check(&values, &[50.0, 100.5], "parameter `percentiles` must be in [0, 100], got 100.5");
    check(&values, &[-1e-9], "parameter `percentiles` must be in [0, 100], got -1e-9");
    check(&values, &[f64::NAN], "parameter `percentiles` must be in [0, 100], got NaN");
    check(&array![1.0, f64::NEG_INFINITY], &[50.0], "values must be finite, got -inf at [1]");
    let infinite = Edges::percentiles(&array![f64::INFINITY], &[50.0]).unwrap_err();
    assert!(matches!(infinite, Error::NotFinite { what: "values", .. }));
    for edge in [f64::NAN, f64::INFINITY] {
        let refusal = Edges::new(vec![1.0, edge]).unwrap_err();
        assert_eq!((refusal.name, &*refusal.rule), ("edges", "finite"));
    }
}

#[test]
fn edges_are_sorted_once_and_checked_again_when_read() {
    let edges = Edges::new(vec![2.0, -1.0, 2.0, 0.0, -0.0]).unwrap();
    assert_eq!(edges.as_slice(), [-1.0, 0.0, 2.0]);
    assert_eq!(serde_json::to_string(&edges).unwrap(), "[-1.0,0.0,2.0]");
    assert_eq!(serde_json::from_str::<Edges>("[-1, 0, 2]").unwrap(), edges);
    for text in ["[1, 0]", "[1, 1]", "[-0.0, 0.0]", "[null]", "[1e999]"] {
        assert!(serde_json::from_str::<Edges>(text).is_err(), "{text}");
    }
    let refusal = Edges::try_from(vec![1.0, f64::NAN]).unwrap_err();
    assert_eq!(refusal.to_string(), "parameter `edges` must be strictly ascending, got [1.0, NaN]");
    assert!(Edges::try_from(vec![f64::INFINITY]).is_err());
}

#[test]
fn an_edge_has_the_decimals_that_tell_it_apart() {
    #[track_caller]
    fn check(edges: &[f64], expected: &[&str]) {
        let edges = Edges::new(edges.to_vec()).unwrap();
        let texts: Vec<String> =
            (0..=edges.len()).map(|bin| edges.describe_bin("x", bin)).collect();
        assert_eq!(texts, expected);
    }
    check(&[], &["any x"]);
    check(&[0.001], &["x <= 0.00", "x > 0.00"]);
    check(&[0.001, 0.004], &["x <= 0.001", "0.001 < x <= 0.004", "x > 0.004"]);
    check(
        &[0.5, 0.12345, 0.12346],
        &["x <= 0.12345", "0.12345 < x <= 0.12346", "0.12346 < x <= 0.50000", "x > 0.50000"],
    );
    // A sign alone does not tell them apart.
    check(&[-0.001, 0.001], &["x <= -0.001", "-0.001 < x <= 0.001", "x > 0.001"]);
    check(&[0.0, 1e-300], &["x <= 0e0", "0e0 < x <= 1e-300", "x > 1e-300"]);
    check(&[1.0, 2e16], &["x <= 1e0", "1e0 < x <= 2e16", "x > 2e16"]);
}

#[test]
fn ranges_span_bins() {
    let edges = Edges::new(vec![1.0, 2.0, 3.0]).unwrap();
    // A name may look like a range itself.
    assert_eq!(edges.describe("a < b", Some(0), Some(2)), "1.00 < a < b <= 3.00");
    assert_eq!(edges.describe("x", None, Some(1)), "x <= 2.00");
    assert_eq!(edges.describe("x", Some(1), None), "x > 2.00");
    assert_eq!(edges.describe("x", None, None), "any x");
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        -1e3..1e3_f64,
        (-8_i8..8).prop_map(f64::from),
    ]
}

proptest! {
    #[test]
    fn bins_keep_their_laws(cuts in vec(finite(), 0..12), a in finite(), b in finite()) {
        let edges = Edges::new(cuts).unwrap();
        let slice = edges.as_slice();
        prop_assert!(slice.windows(2).all(|pair| pair[0] < pair[1]));
        for (index, &edge) in slice.iter().enumerate() {
            prop_assert_eq!(edges.bin(edge), index);
            prop_assert_eq!(edges.bin(edge.next_up()), index + 1);
        }
        prop_assert_eq!(edges.bin(a), slice.iter().filter(|&&edge| edge < a).count());
        prop_assert!(edges.bin(a.min(b)) <= edges.bin(a.max(b)));
        prop_assert_eq!(edges.bin(f64::INFINITY), edges.len());
        prop_assert_eq!(edges.bin(f64::NEG_INFINITY), 0);
        let texts: BTreeSet<String> =
            (0..=edges.len()).map(|bin| edges.describe_bin("x", bin)).collect();
        prop_assert_eq!(texts.len(), edges.len() + 1);
        let text = serde_json::to_string(&edges).unwrap();
        prop_assert_eq!(serde_json::from_str::<Edges>(&text).unwrap(), edges);
    }

    #[test]
    fn percentiles_keep_their_laws(
        values in vec(finite(), 1..40),
        percentiles in vec(0.0..=100.0_f64, 1..6),
        missing in vec(0_usize..40, 0..5),
    ) {
        let column = Array1::from_vec(values.clone());
        let edges = Edges::percentiles(&column, &percentiles).unwrap();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(edges.as_slice().iter().all(|edge| (least..=most).contains(edge)));
        // A percentile has at most its share of the values below it, and at most the rest above.
        for &percentile in &percentiles {
            let edge = Edges::percentiles(&column, &[percentile]).unwrap();
            let below = values.iter().filter(|&&value| value < edge.as_slice()[0]).count();
            let rank = percentile / 100.0 * (values.len() - 1) as f64;
            prop_assert!(below as f64 <= rank.ceil());
            let above = values.iter().filter(|&&value| edge.bin(value) == 1).count();
            prop_assert!(above as f64 <= (values.len() - 1) as f64 - rank.floor());
        }
        let mut holed = values;
        for place in missing {
            holed.insert(place.min(holed.len()), f64::NAN);
        }
        let holed = Edges::percentiles(&Array1::from_vec(holed), &percentiles).unwrap();
        prop_assert_eq!(holed, edges);
    }
}

/// Texts are read again as anyone would, and hold for the numbers that they are about.
#[test]
fn ranges_are_true_of_the_numbers_beside_them() {
    let edges = Edges::new(vec![0.229_75, 0.5, 1e3]).unwrap();
    let numbers = [0.229_7, 0.229_9, 0.499_96, 0.52, f64::NAN];
    let neighbors = edges.neighbors(numbers);
    let beside = |at_most, above| Neighbors { at_most, above };
    let expected = [beside(0.229_7, 0.229_9), beside(0.499_96, 0.52), beside(0.52, f64::INFINITY)];
    assert_eq!(neighbors, expected);
    let text = |lower, upper, value| edges.describe_beside("x", lower, upper, &neighbors, value);
    // Four decimals keep 0.2297 and 0.2299 apart: 0.22975 is written as 0.2298 or 0.2297, by the rule of ties.
    assert_eq!(text(Some(0), None, 0.3), format!("x > {:.4}", 0.229_75));
    assert_eq!(text(None, Some(2), 0.3), "x <= 1000.00");
    // A value nearer than the neighbors needs more decimals, for its edge alone.
    assert_eq!(text(Some(0), Some(1), 0.229_751), "0.22975 < x <= 0.50");
    assert_eq!(text(Some(0), None, f64::NAN), text(Some(0), None, 0.3));
    assert_eq!(edges.describe("x", Some(0), None), "x > 0.23");
}

proptest! {
    #[test]
    fn ranges_as_written_have_the_same_numbers(
        cuts in vec(-2.0..2.0_f64, 1..5),
        numbers in vec(-2.0..2.0_f64, 1..40),
        value in -2.0..2.0_f64,
    ) {
        let edges = Edges::new(cuts).unwrap();
        let neighbors = edges.neighbors(numbers.iter().copied());
        let read = |text: &str| text.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        for (edge, &cut) in edges.as_slice().iter().enumerate() {
            let text = edges.describe_beside("x", None, Some(edge), &neighbors, value);
            let written = read(&text);
            for number in numbers.iter().chain([&value]) {
                prop_assert_eq!(*number <= cut, *number <= written, "{} and {}", text, number);
            }
        }
    }
}
