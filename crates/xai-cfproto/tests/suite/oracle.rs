//! Distances, numbers of categories, trust scores and prototypes against closed forms worked by hand.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; codes are exact"
)]

use ndarray::{Array1, Array2, Axis, array};
use xai_cfproto::distance::{CodedTable, Smoothing, abdm, mvdm};
use xai_cfproto::neighbors::{Metric, Spread};
use xai_cfproto::prototype::Prototypes;
use xai_cfproto::reference;
use xai_cfproto::scaling::{Scaling, blend};
use xai_cfproto::trust::{Filter, TrustScoreParams};
use xai_core::Rows;
use xai_core::Semantics::{Native, Reference};
use xai_core::tabular::{Encoding, Feature, Features};

fn categorical(cardinalities: &[usize], encoding: Encoding) -> Features {
    let feature = |(index, &n): (usize, &usize)| {
        Feature::categorical(format!("c{index}"), (0..n).map(|code| code.to_string()), encoding)
    };
    Features::new(cardinalities.iter().enumerate().map(feature).collect()).unwrap()
}

fn columns(columns: &[&[usize]]) -> Array2<f64> {
    Array2::from_shape_fn((columns[0].len(), columns.len()), |(row, column)| {
        columns[column][row] as f64
    })
}

#[track_caller]
fn close(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() <= tolerance, "got {got}, expected {expected}");
}

const C0: &[usize] = &[0, 0, 0, 1, 1, 1, 1, 2, 2, 2];
const C1: &[usize] = &[0, 0, 1, 1, 1, 1, 0, 1, 0, 0];
const Y: &[usize] = &[0, 0, 1, 1, 1, 1, 0, 0, 1, 0];

#[test]
fn one_hot_and_ordinal_tables_are_the_same_table() {
    let relay = |rows: &Array2<f64>, from: Encoding, to: Encoding| {
        let features = Features::new(vec![
            Feature::categorical("a", ["x", "y", "z"], from),
            Feature::numeric("u"),
            Feature::categorical("b", ["p", "q"], from),
            Feature::numeric("v"),
        ]);
        features.unwrap().encode(rows, to).unwrap()
    };
    let hot = array![[1.0, 0.0, 0.0, -0.3, 0.0, 1.0, 0.7]];
    let codes = array![[0.0, -0.3, 1.0, 0.7]];
    assert_eq!(relay(&hot, Encoding::OneHot, Encoding::Ordinal), codes);
    assert_eq!(relay(&codes, Encoding::Ordinal, Encoding::OneHot), hot);
}

#[test]
fn numbers_are_binned_at_their_quartiles() {
    // The quartiles of 0..9 are 2.25, 4.5 and 6.75.
    let rows = Array1::range(0.0, 10.0, 1.0).insert_axis(Axis(1));
    let table =
        CodedTable::new(&Features::unnamed(1).unwrap(), &rows, &[25.0, 50.0, 75.0]).unwrap();
    assert_eq!(table.codes(0), [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]);
    assert_eq!(table.n_codes(0), 4);
}

#[test]
fn distances_of_categories_by_hand() {
    let rows = columns(&[C0, C1]);
    for encoding in [Encoding::Ordinal, Encoding::OneHot] {
        let features = categorical(&[3, 2], encoding);
        let rows = categorical(&[3, 2], Encoding::Ordinal).encode(&rows, encoding).unwrap();
        let table = CodedTable::new(&features, &rows, &[50.0]).unwrap();
        // Shares of class 1 beside c0: 1/3, 3/4, 1/3; beside c1: 1/5, 4/5.
        let d = mvdm(&table, 0, Y, 2).unwrap();
        for (pair, expected) in
            [([0, 1], 5.0 / 6.0), ([1, 2], 5.0 / 6.0), ([0, 2], 0.0), ([2, 2], 0.0)]
        {
            close(d[pair], expected, 1e-11);
        }
        close(mvdm(&table, 1, Y, 2).unwrap()[[0, 1]], 1.2, 1e-11);
        let d = abdm(&table, 0, Smoothing::Epsilon).unwrap();
        let by_hand = (3.0 / 4.0 - 1.0 / 3.0)
            * ((0.75_f64 / (1.0 / 3.0)).ln() + ((2.0 / 3.0) / 0.25_f64).ln());
        close(by_hand, 0.746_566_4, 5e-8);
        for (pair, expected) in [([0, 1], by_hand), ([1, 2], by_hand), ([0, 2], 0.0)] {
            close(d[pair], expected, 1e-10);
        }
        close(abdm(&table, 1, Smoothing::Epsilon).unwrap()[[0, 1]], 0.716_703_8, 5e-8);
    }
}

#[test]
fn a_value_that_never_occurs_beside_a_category_is_smoothed() {
    let table = CodedTable::new(
        &categorical(&[2, 2], Encoding::Ordinal),
        &columns(&[&[0, 0, 1, 1], &[0, 0, 1, 0]]),
        &[50.0],
    );
    let table = table.unwrap();
    // p = (1, 0), q = (1/2, 1/2): the symmetric divergence is ln 2 / 2 + (27.63 - ln 2) / 2 with 27.63 = -ln 1e-12.
    close(abdm(&table, 0, Smoothing::Epsilon).unwrap()[[0, 1]], 13.815_510_6, 1e-7);
    // Counts raised by 1: p = (3/4, 1/4), q = (1/2, 1/2), so that it is (ln 3) / 4.
    close(abdm(&table, 0, Smoothing::Laplace(1.0)).unwrap()[[0, 1]], 3.0_f64.ln() / 4.0, 1e-14);
}

#[test]
fn labels_need_not_be_consecutive() {
    let table =
        CodedTable::new(&categorical(&[3, 2], Encoding::Ordinal), &columns(&[C0, C1]), &[50.0])
            .unwrap();
    let doubled: Vec<usize> = Y.iter().map(|label| 2 * label).collect();
    for feature in [0, 1] {
        let expected = mvdm(&table, feature, Y, 2).unwrap();
        assert_eq!(mvdm(&table, feature, &doubled, 3).unwrap(), expected);
    }
}

fn pair(distance: f64) -> Array2<f64> {
    array![[0.0, distance], [distance, 0.0]]
}

fn line(places: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((places.len(), places.len()), |(a, b)| (places[a] - places[b]).abs())
}

fn numbers(
    scaling: Scaling,
    distances: &[Array2<f64>],
    semantics: xai_core::Semantics,
) -> Vec<Vec<f64>> {
    let ranges = vec![(-1.0, 1.0); distances.len()];
    match semantics {
        Native => scaling.numbers(distances, &ranges).unwrap(),
        Reference => reference::numbers(&scaling, distances, &ranges).unwrap(),
    }
}

/// Compares up to the sign: which end of a line is the origin is a convention.
#[track_caller]
fn same_line(got: &[f64], expected: &[f64]) {
    let sign = (got[0] * expected[0]).signum();
    for (&got, &expected) in got.iter().zip(expected) {
        close(sign * got, expected, 1e-9);
    }
}

#[test]
fn the_largest_distance_fills_the_range() {
    for semantics in [Native, Reference] {
        let default = Scaling::default();
        let scaled = numbers(default, &[pair(1.0), pair(4.0)], semantics);
        same_line(&scaled[0], &[-0.25, 0.25]);
        same_line(&scaled[1], &[-1.0, 1.0]);
        let scaled = numbers(default.with_smooth(0.5), &[pair(1.0), pair(4.0)], semantics);
        same_line(&scaled[0], &[-0.5, 0.5]);
        same_line(&scaled[1], &[-1.0, 1.0]);
        let scaled = numbers(default.with_center(false), &[pair(1.0), pair(4.0)], semantics);
        // The origin gets the least number of the range: the first of two that lie equally far out.
        assert_eq!((scaled[0][0], scaled[1][0]), (-1.0, -1.0));
        close(scaled[0][1], -0.5, 1e-12);
        let standard = default.with_standardize_cat_vars(true);
        let scaled = numbers(standard, &[pair(1.0), pair(4.0)], semantics);
        same_line(&scaled[0], &[-1.0, 1.0]);
        same_line(&scaled[1], &[-1.0, 1.0]);
        same_line(&numbers(default, &[line(&[0.0, 1.0, 2.0])], semantics)[0], &[-1.0, 0.0, 1.0]);
        let thirds = [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0];
        same_line(&numbers(default, &[line(&[0.0, 1.0, 2.0, 3.0])], semantics)[0], &thirds);
    }
}

#[test]
fn no_two_categories_share_a_number() {
    // Three categories equally far apart: two of them are equally far from the origin.
    let equal = Array2::from_shape_fn((3, 3), |(a, b)| f64::from(u8::from(a != b)));
    let reference = numbers(Scaling::default(), std::slice::from_ref(&equal), Reference);
    close(reference[0][1], reference[0][2], 1e-9);
    let zero = Array2::zeros((4, 4));
    for distances in [vec![equal.clone()], vec![zero.clone()], vec![equal, zero.clone()]] {
        for values in numbers(Scaling::default(), &distances, Native) {
            assert!(values.iter().all(|value| value.is_finite() && value.abs() <= 1.0));
            for (code, value) in values.iter().enumerate() {
                // Decoding takes the nearest number: no other is as near.
                assert!(
                    values
                        .iter()
                        .enumerate()
                        .all(|(other, v)| other == code || 1e-4 < (v - value).abs())
                );
            }
        }
    }
    assert_eq!(numbers(Scaling::default(), &[zero], Reference)[0], [0.0; 4]);
}

#[test]
fn a_blend_turns_what_points_the_other_way() {
    let (up, down) = ([-1.0, 0.0, 1.0], [1.0, 0.5, -1.0]);
    // Turned around in its range [-1, 1] the second is (-1, -0.5, 1).
    assert_eq!(blend(&up, &down, 0.5), [-1.0, -0.25, 1.0]);
    assert_eq!(reference::blend(&up, &down, 0.5), [0.0, 0.25, 0.0]);
    assert_eq!(blend(&up, &up, 0.25), up);
}

const ROWS: [[f64; 2]; 4] = [[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [5.0, 0.0]];

fn rows() -> Array2<f64> {
    Array2::from(ROWS.to_vec())
}

#[test]
fn trust_scores_by_hand() {
    for leaf_size in [1, 40] {
        let params = TrustScoreParams::default().with_leaf_size(leaf_size);
        let trust = params.fit(&rows(), &[0, 0, 1, 1], 2).unwrap();
        // Class 0 lies 0.5 and 1.5 away, class 1 lies 2.5 and 3.5 away.
        for (k, spread, expected) in
            [(1, Spread::Point, 5.0), (2, Spread::Point, 3.5 / 1.5), (2, Spread::Mean, 3.0)]
        {
            let scores = trust.score(&array![[1.5, 0.0]], &[0], k, spread).unwrap();
            close(scores.scores[0], expected, 1e-10);
            assert_eq!(scores.closest_not_predicted, [1]);
        }
    }
}

#[test]
fn a_tie_of_classes_goes_to_the_first_that_was_not_predicted() {
    let rows = array![[-1.0], [1.0], [1.0], [9.0]];
    let trust = TrustScoreParams::default().fit(&rows, &[0, 1, 2, 2], 3).unwrap();
    let scores = trust.score(&array![[0.0], [0.0]], &[0, 1], 1, Spread::Point).unwrap();
    assert_eq!(scores.closest_not_predicted, [1, 0]);
    close(scores.scores[0], 1.0, 1e-11);
}

#[test]
fn the_distance_filter_drops_what_is_remote() {
    let mut values: Vec<f64> = (0..10).map(f64::from).collect();
    values.push(100.0);
    let rows = Array2::from_shape_vec((11, 1), values).unwrap();
    for dist_filter_type in [Spread::Point, Spread::Mean] {
        let filter_type = Some(Filter::DistanceKnn);
        let params = TrustScoreParams::default()
            .with_alpha(0.1)
            .with_k_filter(2)
            .with_filter_type(filter_type)
            .with_dist_filter_type(dist_filter_type);
        let trust = params.fit(&rows, &[0; 11], 1).unwrap();
        let kept: &Rows = trust.classes()[0].as_ref().unwrap().points();
        assert_eq!(kept.column(0).to_vec(), (0..10).map(f64::from).collect::<Vec<_>>());
    }
}

#[test]
fn the_vote_filter_drops_rows_among_another_class() {
    // The last row of class 0 stands beside class 1: two of its three nearest rows, itself among them, are of class 1, and
    // it is among those of the row beside it. Everywhere else all three agree.
    let rows = array![[0.0], [1.0], [2.0], [3.0], [10.0], [11.0], [12.0], [13.0], [14.0]];
    let labels = [0, 0, 0, 0, 1, 1, 1, 1, 0];
    let filter_type = Some(Filter::ProbabilityKnn);
    let kept = |alpha: f64, class: usize| {
        let params = TrustScoreParams::default()
            .with_alpha(alpha)
            .with_k_filter(3)
            .with_filter_type(filter_type);
        let trust = params.fit(&rows, &labels, 2).unwrap();
        trust.classes()[class].as_ref().unwrap().points().column(0).to_vec()
    };
    // The percentile 20 of two shares of 2/3 and seven of 1 lies between them.
    assert_eq!(kept(0.2, 0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(kept(0.2, 1), [10.0, 11.0, 12.0]);
    // The percentile 10 is 2/3 itself: ties stay.
    assert_eq!(kept(0.1, 0).len() + kept(0.1, 1).len(), 9);
}

#[test]
fn metrics_by_hand() {
    let (a, b) = ([0.0, 0.0], [3.0, -4.0]);
    for (metric, expected) in [
        (Metric::Euclidean, 5.0),
        (Metric::Manhattan, 7.0),
        (Metric::Chebyshev, 4.0),
        (Metric::Minkowski(3.0), 91.0_f64.cbrt()),
    ] {
        close(metric.between(&a, &b), expected, 1e-14);
    }
}

#[test]
fn prototypes_by_hand() {
    let x = array![1.5, 0.0];
    let trees =
        Prototypes::of_rows(&rows(), &[0, 0, 1, 1], 2, TrustScoreParams::default()).unwrap();
    for (k, prototype, distance) in [(None, 4.0, 2.5), (Some(1), 4.0, 2.5), (Some(2), 5.0, 3.5)] {
        let chosen = trees.nearest(&x, &[1], k, Spread::Mean).unwrap().unwrap();
        assert_eq!(
            (chosen.class, chosen.prototype, chosen.distance),
            (1, array![prototype, 0.0], distance)
        );
    }
    let encoded = Prototypes::of_encodings(&rows(), &[0, 0, 1, 1], 2).unwrap();
    for (k, spread, prototype, distance) in [
        (None, Spread::Mean, 4.5, 3.0),
        (Some(1), Spread::Mean, 4.0, 2.5),
        (Some(2), Spread::Mean, 4.5, 3.0),
        (Some(2), Spread::Point, 4.5, 3.5),
    ] {
        let chosen = encoded.nearest(&x, &[1], k, spread).unwrap().unwrap();
        assert_eq!(
            (chosen.class, chosen.prototype, chosen.distance),
            (1, array![prototype, 0.0], distance)
        );
    }
    // A class has two rows: three nearest are two, and that is said.
    let chosen = encoded.nearest(&x, &[1], Some(3), Spread::Point).unwrap().unwrap();
    assert_eq!((chosen.distance, chosen.clamped), (3.5, true));
}

#[test]
fn asking_for_k_leaves_no_trace() {
    let encoded = Prototypes::of_encodings(&rows(), &[0, 0, 1, 1], 2).unwrap();
    let x = array![4.4, 0.0];
    let fresh = encoded.nearest(&x, &[0, 1], None, Spread::Mean).unwrap();
    encoded.nearest(&x, &[0, 1], Some(1), Spread::Mean).unwrap();
    assert_eq!(encoded.nearest(&x, &[0, 1], None, Spread::Mean).unwrap(), fresh);
}

#[test]
fn prototypes_of_images_and_of_absent_classes() {
    // Images of 2 x 2 pixels are rows of four; the model never says class 1.
    let images = array![[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]];
    let trees = Prototypes::of_rows(&images, &[0, 2, 2], 3, TrustScoreParams::default()).unwrap();
    assert_eq!(trees.warnings().len(), 1);
    assert_eq!(trees.warnings()[0].code, "cfproto.empty_class");
    let chosen = trees.nearest(&images.row(0), &[1, 2], None, Spread::Mean).unwrap().unwrap();
    assert_eq!((chosen.class, chosen.prototype), (2, images.row(1).to_owned()));
    assert!(trees.nearest(&images.row(0), &[1], None, Spread::Mean).unwrap().is_none());
}
