//! Anchors that are known in closed form, on full grids, where the perturbations' distribution is exact.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;

use ndarray::{Array1, Array2, Axis, array};
use xai_anchors::{AnchorTabular, AnchorTabularData, AnchorTabularParams, Operator};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Explanation, Output, Predictor, Rows, Run, Status};
use xai_testkit::Elementwise;

pub(crate) type P = AnchorTabularParams;

/// All rows of `width` features of `base` values.
fn grid(base: usize, width: usize) -> Array2<f64> {
    let places: Vec<usize> =
        (0..width).map(|place| std::iter::repeat_n(base, place).product()).collect();
    Array2::from_shape_fn((places[width - 1] * base, width), |(row, column)| {
        (row / places[width - 1 - column] % base) as f64
    })
}

const LETTERS: [&str; 3] = ["a", "b", "c"];

/// Features `f0`, `f1` and so on, with the first letters as categories.
fn categorical(n: usize, n_categories: usize, encoding: Encoding) -> Features {
    let letters = || LETTERS[..n_categories].iter().copied();
    let feature = |index| Feature::categorical(format!("f{index}"), letters(), encoding);
    Features::new((0..n).map(feature).collect()).unwrap()
}

/// The numbers 0 to 99 in one column.
fn hundred() -> AnchorTabular {
    hundred_with(P::default())
}

fn hundred_with(params: P) -> AnchorTabular {
    let rows = Array2::from_shape_fn((100, 1), |(row, _)| row as f64);
    params.fit(&rows, Features::numeric(["v"]).unwrap()).unwrap()
}

pub(crate) fn explain(
    explainer: &AnchorTabular,
    model: &dyn Predictor,
    x: &[f64],
    seed: u64,
) -> Explanation<AnchorTabularData> {
    explainer.explain(model, &Array1::from(x.to_vec()), Run::seeded(seed)).unwrap()
}

pub(crate) fn anchor_set(data: &AnchorTabularData) -> BTreeSet<&str> {
    data.anchor.iter().map(String::as_str).collect()
}

/// A share within five standard errors of its expectation.
#[track_caller]
fn near(share: f64, expected: f64, n: u64) {
    let error = (expected * (1.0 - expected) / n as f64).sqrt();
    assert!((share - expected).abs() <= 5.0 * error, "{share} of {n}, expected {expected}");
}

/// Nothing need be held: every perturbation agrees, so 100 samples suffice, or 1 and then a batch.
#[test]
fn a_constant_model_needs_no_anchor() {
    let model = Elementwise(|_: &[f64]| 4.0);
    for (params, num_preds) in [(P::default(), 100), (P::default().with_min_samples_start(1), 101)]
    {
        let explainer = params.fit(&grid(3, 3), categorical(3, 3, Encoding::Ordinal)).unwrap();
        let data = explain(&explainer, &model, &[0.0, 1.0, 2.0], 3).data;
        assert_eq!((data.result.status, data.result.valid), (Status::Empty, true));
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 1.0));
        assert_eq!((data.result.queries.search, data.result.base_rate.mean), (num_preds, 1.0));
        assert_eq!(data.result.decision, 4.0);
        assert!(
            data.anchor.is_empty()
                && data.predicates.is_empty()
                && data.features(None).unwrap().is_empty()
        );
        assert!(data.examples.is_empty() && data.rule.conditions.is_empty());
    }
}

/// All of 44 samples agree: the bound 0.9490 is above 0.95 - 0.05. At 0.9 only from `ln 10 / -ln 0.9 = 21.85` on.
#[test]
fn the_empty_anchor_needs_no_more_samples_than_any_other() {
    let model = Elementwise(|_: &[f64]| 0.0);
    for (min_samples_start, batch_size, num_preds) in
        [(44, 100, 44), (45, 100, 45), (22, 1, 22), (21, 1, 22), (1, 7, 22)]
    {
        let explainer = hundred_with(
            P::default().with_min_samples_start(min_samples_start).with_batch_size(batch_size),
        );
        let data = explain(&explainer, &model, &[60.0], 0).data;
        assert_eq!((data.result.status, data.result.queries.search), (Status::Empty, num_preds));
    }
}

/// `x0 = b and x2 = c` in a grid of three values: each other pair has precision below 0.6. Coverage 27 of 243.
#[test]
fn a_conjunction_is_found_with_exact_coverage() {
    let explainer = P::default().fit(&grid(3, 5), categorical(5, 3, Encoding::Ordinal)).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] == 1.0 && row[2] == 2.0));
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[1.0, 0.0, 2.0, 0.0, 0.0], seed).data;
        assert_eq!(anchor_set(&data), BTreeSet::from(["f0 = b", "f2 = c"]), "seed {seed}");
        assert_eq!((data.result.status, data.result.precision), (Status::Found, 1.0));
        assert_eq!((data.result.coverage, data.result.coverage_of.n_covered), (27.0 / 243.0, 27));
        assert!(data.result.coverage_of.exact && data.result.coverage_of.interval.is_none());
        let first = &data.predicates[0];
        near(first.precision.mean, 1.0 / 3.0, first.precision.n_samples);
        near(data.result.base_rate.mean, 1.0 / 9.0, data.result.base_rate.n_samples);
        let coverages: Vec<f64> = data.predicates.iter().map(|one| one.coverage.coverage).collect();
        assert_eq!(coverages, [81.0 / 243.0, 27.0 / 243.0]);
        assert_eq!((data.predicates.len(), data.predicates[1].precision.mean), (2, 1.0));
        assert_eq!(first.gain, first.precision.mean - data.result.base_rate.mean);
        let certificate = data.result.certificate.as_ref().unwrap();
        assert_eq!((certificate.n_samples, certificate.positives), (1000, 1000));
        // Every example of the whole anchor satisfies it, and none of them disagrees.
        let examples = &data.examples[1];
        assert_eq!((examples.covered_true.dim(), examples.covered_false.nrows()), ((10, 5), 0));
        for row in examples.covered_true.rows() {
            assert_eq!((row[0], row[2]), (1.0, 2.0));
        }
        let held = data.features(None).unwrap()[0];
        let partial = &data.examples[0];
        assert_eq!((partial.covered_true.nrows(), partial.covered_false.nrows()), (10, 10));
        for (rows, label) in [(&partial.covered_true, true), (&partial.covered_false, false)] {
            for row in rows.rows() {
                assert_eq!(row[held], if held == 0 { 1.0 } else { 2.0 });
                assert_eq!(row[0] == 1.0 && row[2] == 2.0, label);
            }
        }
    }
}

/// Where the conjunction fails in both features, one of the two keeps it failing: precision 1, coverage a third, and
/// of two equal anchors the first.
#[test]
fn one_failing_condition_is_enough() {
    let explainer = P::default().fit(&grid(3, 5), categorical(5, 3, Encoding::Ordinal)).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] == 1.0 && row[2] == 2.0));
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[0.0; 5], seed).data;
        assert_eq!(data.anchor, ["f0 = a"], "seed {seed}");
        assert_eq!((data.result.status, data.result.precision), (Status::Found, 1.0));
        assert_eq!((data.result.coverage, data.result.coverage_of.n_covered), (1.0 / 3.0, 81));
        near(data.result.base_rate.mean, 8.0 / 9.0, data.result.base_rate.n_samples);
        // Where x0 fits, only x2 can keep it failing.
        let data = explain(&explainer, &model, &[1.0, 0.0, 0.0, 0.0, 0.0], seed).data;
        assert_eq!(data.anchor, ["f2 = a"], "seed {seed}");
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 81.0 / 243.0));
    }
}

/// Quartiles of 0 to 99 are 24.75, 49.5 and 74.25.
#[test]
fn a_threshold_at_an_edge_is_found() {
    let explainer = hundred();
    assert_eq!(explainer.edges(0), [24.75, 49.5, 74.25]);
    let model = Elementwise(|row: &[f64]| f64::from(49.5 < row[0]));
    for seed in 0..30 {
        // From 80, `v > 74.25` is as precise but covers half as much.
        for x in [60.0, 80.0, 1e6] {
            let data = explain(&explainer, &model, &[x], seed).data;
            assert_eq!(data.anchor, ["v > 49.50"], "seed {seed}");
            assert_eq!(
                (data.result.status, data.result.precision, data.result.coverage),
                (Status::Found, 1.0, 0.5)
            );
            let predicate = &data.predicates[0];
            assert_eq!((predicate.op, predicate.value), (Operator::Gt, Some(49.5)));
            assert_eq!(predicate.edge_index, Some(1));
        }
        let data = explain(&explainer, &model, &[10.0], seed).data;
        assert_eq!((data.anchor, data.result.coverage), (vec!["v <= 49.50".to_owned()], 0.5));
    }
}

/// Two predicates on one feature make one condition, and keep two precisions.
#[test]
fn a_range_is_one_condition_of_two_predicates() {
    let explainer = hundred();
    let model = Elementwise(|row: &[f64]| f64::from(24.75 < row[0] && row[0] <= 74.25));
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[60.0], seed).data;
        assert_eq!(data.anchor, ["24.75 < v <= 74.25"], "seed {seed}");
        assert_eq!((data.result.status, data.result.coverage), (Status::Found, 0.5));
        assert_eq!((data.features(None).unwrap(), data.predicates.len()), (vec![0], 2));
        assert_eq!((data.predicates[1].precision.mean, data.predicates.len()), (1.0, 2));
        // 50 of the 75 rows on the first predicate's side are in the range.
        near(data.predicates[0].precision.mean, 2.0 / 3.0, data.predicates[0].precision.n_samples);
        let condition = &data.rule.conditions[0];
        assert_eq!((condition.lower, condition.upper), (Some(24.75), Some(74.25)));
    }
}

/// No single feature of an exclusive or tells anything: a greedy search finds the pair by chance, a beam always.
#[test]
fn a_beam_finds_an_exclusive_or() {
    let features = || categorical(5, 2, Encoding::Ordinal);
    let explainer = P::default().with_beam_size(4).fit(&grid(2, 5), features()).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] != row[1]));
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[1.0, 0.0, 0.0, 0.0, 0.0], seed).data;
        assert_eq!(anchor_set(&data), BTreeSet::from(["f0 = b", "f1 = a"]), "seed {seed}");
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 0.25));
        near(data.predicates[0].precision.mean, 0.5, data.predicates[0].precision.n_samples);
        assert_eq!(data.result.best_of_size.len(), 2);
    }
}

/// A beam of one adds predicates by chance until both that matter are there, and then drops the others: the minimal
/// pair in every run.
#[test]
fn predicates_that_an_anchor_can_do_without_are_dropped() {
    let features = categorical(5, 2, Encoding::Ordinal);
    let explainer = P::default().fit(&grid(2, 5), features).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] != row[1]));
    let mut longer = 0;
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[1.0, 0.0, 0.0, 0.0, 0.0], seed).data;
        assert_eq!(anchor_set(&data), BTreeSet::from(["f0 = b", "f1 = a"]), "seed {seed}");
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 0.25));
        longer += usize::from(2 < data.result.best_of_size.len());
    }
    // The search itself went beyond two predicates, or nothing was dropped here.
    assert!(5 < longer, "{longer}");
}

/// Half of the rows satisfy one predicate, 58.5 % two others: 17 % more rows for one predicate more.
#[test]
fn a_longer_anchor_must_be_worth_it() {
    let training = Array2::from_shape_fn((800, 3), |(row, column)| match column {
        0 => f64::from(row % 2 == 0),
        // Of the others, independently of the first column: 78 % and 75 %, which is 58.5 % together.
        1 => f64::from(row / 2 % 50 < 39),
        _ => f64::from(row / 100 % 4 < 3),
    });
    let features = || categorical(3, 2, Encoding::Ordinal);
    let model =
        Elementwise(|row: &[f64]| f64::from(row[0] == 1.0 || (row[1] == 1.0 && row[2] == 1.0)));
    for (coverage_gain, expected) in
        [(0.2, BTreeSet::from(["f0 = b"])), (0.1, BTreeSet::from(["f1 = b", "f2 = b"]))]
    {
        let params = P::default().with_coverage_gain(coverage_gain);
        let explainer = params.fit(&training, features()).unwrap();
        for seed in 0..10 {
            let data = explain(&explainer, &model, &[1.0, 1.0, 1.0], seed).data;
            assert_eq!(anchor_set(&data), expected, "{coverage_gain}, seed {seed}");
        }
    }
}

/// With one predicate at most, nothing is precise; the best of what there is comes back, and says so.
#[test]
fn where_no_anchor_is_precise_the_answer_is_named_not_found() {
    let params = P::default().with_beam_size(4).with_max_anchor_size(Some(1));
    let features = categorical(5, 2, Encoding::Ordinal);
    let explainer = params.fit(&grid(2, 5), features).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] != row[1]));
    for seed in 0..30 {
        let explanation = explain(&explainer, &model, &[1.0, 0.0, 0.0, 0.0, 0.0], seed);
        let data = &explanation.data;
        assert_eq!(
            (data.result.status, data.result.valid),
            (Status::NotFound, false),
            "seed {seed}"
        );
        assert_eq!((data.anchor.len(), data.result.best_of_size.len()), (1, 1));
        near(data.result.precision, 0.5, data.predicates[0].precision.n_samples);
        near(data.result.certificate.as_ref().unwrap().precision, 0.5, 1000);
        assert!(!data.result.certificate.as_ref().unwrap().clears_threshold);
        let codes: Vec<&str> = explanation.meta.warnings.iter().map(|w| w.code.as_str()).collect();
        assert_eq!(codes, ["anchors.not_found"]);
        assert!(data.result.reason.contains("0.95"), "{}", data.result.reason);
    }
}

/// Labels, probabilities and one-hot rows are the same decisions.
#[test]
fn labels_and_probabilities_give_the_same_anchor() {
    let explainer = P::default().fit(&grid(3, 5), categorical(5, 3, Encoding::Ordinal)).unwrap();
    let class = |row: &[f64]| f64::from(row[0] == 1.0 && row[2] == 2.0);
    let probabilities = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let of = |(row, column): (usize, usize)| {
            let one = 0.3 + 0.4 * class(&batch.row(row).to_vec());
            if column == 1 { one } else { 1.0 - one }
        };
        Ok(Array2::from_shape_fn((batch.nrows(), 2), of))
    };
    for x in [[1.0, 0.0, 2.0, 0.0, 0.0], [0.0; 5], [1.0, 1.0, 1.0, 1.0, 1.0]] {
        let labels = explain(&explainer, &Elementwise(class), &x, 7);
        let mut columns = explain(&explainer, &probabilities, &x, 7);
        // They differ in what the outputs were read as, and in nothing else.
        assert_eq!(columns.data.result.output, Output::Classes);
        columns.data.result.output = labels.data.result.output.clone();
        columns.meta.output = labels.meta.output.clone();
        assert_eq!(labels.to_json().unwrap(), columns.to_json().unwrap());
    }
}

/// The layout of the rows is no part of the method: both runs draw the same rows, and report them in their layout.
#[test]
fn one_hot_rows_give_the_same_anchor_as_codes() {
    let mixed = |encoding| {
        let letters = || LETTERS.iter().copied();
        Features::new(vec![
            Feature::categorical("f0", letters(), encoding),
            Feature::numeric("v"),
            Feature::categorical("f1", letters(), encoding),
        ])
        .unwrap()
    };
    let (codes, hot) = (mixed(Encoding::Ordinal), mixed(Encoding::OneHot));
    let rows = Array2::from_shape_fn((270, 3), |(row, column)| match column {
        0 => (row % 3) as f64,
        1 => (row / 9) as f64,
        _ => (row / 3 % 3) as f64,
    });
    let hot_rows = codes.encode(&rows, Encoding::OneHot).unwrap();
    let params = P::default().with_top_k(5).with_beam_size(2);
    let by_code = params.clone().fit(&rows, codes.clone()).unwrap();
    let by_hot = params.fit(&hot_rows, hot.clone()).unwrap();
    let of_code = Elementwise(|row: &[f64]| f64::from(row[0] == 1.0 && row[1] <= 14.5));
    let of_hot = Elementwise(|row: &[f64]| f64::from(row[1] == 1.0 && row[3] <= 14.5));
    let decoded = |rows: &Array2<f64>| hot.encode(rows, Encoding::Ordinal).unwrap();
    for seed in 0..5 {
        for row in [1, 4, 100, 269] {
            let a = explain(&by_code, &of_code, &rows.row(row).to_vec(), seed).data;
            let b = explain(&by_hot, &of_hot, &hot_rows.row(row).to_vec(), seed).data;
            assert_eq!((&a.anchor, &a.result), (&b.anchor, &b.result));
            assert_eq!(a.rule, b.rule);
            assert_eq!((&a.predicates, &a.candidates), (&b.predicates, &b.candidates));
            for (of_code, of_hot) in a.examples.iter().zip(&b.examples) {
                assert_eq!(of_code.covered_true, decoded(&of_hot.covered_true));
                assert_eq!(of_code.covered_false, decoded(&of_hot.covered_false));
            }
            let row_of = |row: &Array1<f64>| row.clone().insert_axis(Axis(0));
            assert_eq!(row_of(&a.instance), decoded(&row_of(&b.instance)));
            assert_eq!(b.instance, hot_rows.row(row));
        }
    }
}

/// Labels by a function of the row, and every row that was asked for.
pub(crate) struct Recorded<F> {
    label: F,
    rows: Mutex<Vec<Vec<f64>>>,
}

impl<F> Recorded<F> {
    pub(crate) fn new(label: F) -> Self {
        Recorded { label, rows: Mutex::default() }
    }

    pub(crate) fn last(&self, n: usize) -> Vec<Vec<f64>> {
        let rows = self.rows.lock().unwrap();
        rows[rows.len() - n..].to_vec()
    }
}

impl<F: Fn(&[f64]) -> f64 + Sync> Predictor for Recorded<F> {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let rows: Vec<Vec<f64>> = batch.rows().into_iter().map(|row| row.to_vec()).collect();
        let labels = Array1::from_iter(rows.iter().map(|row| (self.label)(row)));
        self.rows.lock().unwrap().extend(rows);
        Ok(labels.insert_axis(ndarray::Axis(1)))
    }
}

/// No training row is in category c. It is held wherever the anchor holds it, beside a predicate that many rows
/// satisfy too, and for all of three such features.
#[test]
fn a_category_that_no_training_row_has_is_held() {
    let features = || categorical(4, 3, Encoding::Ordinal);
    let explainer = P::default().fit(&grid(2, 4), features()).unwrap();
    let beam = P::default().with_beam_size(4).fit(&grid(2, 4), features()).unwrap();
    for seed in 0..30 {
        let model = Recorded::new(|row: &[f64]| f64::from(row[0] == 2.0));
        let explanation = explain(&explainer, &model, &[2.0, 0.0, 1.0, 0.0], seed);
        let data = explanation.data;
        assert_eq!(
            (data.anchor, data.result.coverage),
            (vec!["f0 = c".to_owned()], 0.0),
            "seed {seed}"
        );
        assert_eq!((data.result.status, data.result.precision), (Status::Found, 1.0));
        assert!(model.last(1000).iter().all(|row| row[0] == 2.0));
        assert_eq!(explanation.meta.warnings.len(), 1);
        assert_eq!(explanation.meta.warnings[0].code, "anchors.unseen_value");
        assert!(explanation.meta.warnings[0].message.contains("f0"));

        let model = Recorded::new(|row: &[f64]| f64::from(row[0] == 2.0 && row[1] == 0.0));
        let data = explain(&explainer, &model, &[2.0, 0.0, 1.0, 0.0], seed).data;
        assert_eq!(anchor_set(&data), BTreeSet::from(["f0 = c", "f1 = a"]), "seed {seed}");
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 0.0));
        assert!(model.last(1000).iter().all(|row| row[0] == 2.0 && row[1] == 0.0));
        let examples = &data.examples[1].covered_true;
        assert!(examples.nrows() == 10 && examples.rows().into_iter().all(|row| row[0] == 2.0));

        // Neither one nor two of the three make any perturbation agree, so that the search needs a beam.
        let label = |row: &[f64]| f64::from(row[..3].iter().all(|&code| code == 2.0));
        let model = Recorded::new(label);
        let explanation = explain(&beam, &model, &[2.0, 2.0, 2.0, 0.0], seed);
        let data = explanation.data;
        assert_eq!(anchor_set(&data), BTreeSet::from(["f0 = c", "f1 = c", "f2 = c"]));
        assert_eq!((data.result.precision, data.result.status), (1.0, Status::Found));
        assert!(model.last(1000).iter().all(|row| label(row) == 1.0));
        // The last feature still varies.
        assert!([0.0, 1.0].iter().all(|code| model.last(1000).iter().any(|row| row[3] == *code)));
        assert!(explanation.meta.warnings[0].message.contains("f0, f1, f2"));
    }
}

/// Between 10 and 20 there is no training row: perturbations take numbers from the part of the range that is known to
/// be possible, evenly. Above all training numbers only the row's own is known.
#[test]
fn a_range_that_no_training_row_is_in_is_held() {
    let rows =
        Array2::from_shape_fn(
            (20, 1),
            |(row, _)| {
                if row < 10 { row as f64 } else { 10.0 + row as f64 }
            },
        );
    let fit = |params: P, edges: Vec<f64>| {
        let edges = [("v".to_owned(), Edges::new(edges).unwrap())].into();
        params.with_edges(edges).fit(&rows, Features::numeric(["v"]).unwrap()).unwrap()
    };
    let explainer = fit(P::default(), vec![12.0, 18.0]);
    for seed in 0..10 {
        let model = Recorded::new(|row: &[f64]| f64::from(12.0 < row[0] && row[0] <= 18.0));
        let data = explain(&explainer, &model, &[15.0], seed).data;
        assert_eq!(data.anchor, ["12.00 < v <= 18.00"]);
        assert_eq!(
            (data.result.precision, data.result.coverage, data.result.status),
            (1.0, 0.0, Status::Found)
        );
        let drawn: Vec<f64> = model.last(1000).iter().map(|row| row[0]).collect();
        assert!(drawn.iter().all(|&value| 12.0 < value && value <= 18.0));
        // Uniform on a range of 6: the standard error of the mean is 6 / sqrt(12 * 1000).
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((mean - 15.0).abs() < 5.0 * 6.0 / 12_000_f64.sqrt(), "{mean}");
    }
    // The reference keeps an edge above all numbers; in that bin the row's own number is the only one there is.
    let params = P::default().with_semantics(xai_core::Semantics::Reference);
    let explainer = fit(params, vec![12.0, 40.0]);
    let model = Recorded::new(|row: &[f64]| f64::from(40.0 < row[0]));
    let data = explain(&explainer, &model, &[55.5], 0).data;
    assert_eq!((data.anchor, data.result.precision), (vec!["v > 40.00".to_owned()], 1.0));
    assert!(model.last(1000).iter().all(|row| row[0] == 55.5));
}

/// Numbers drawn from a range that no training row is in satisfy only those predicates that they do satisfy: of numbers
/// between 12 and 18 a third is between 14 and 16, and the samples of the one anchor that serve the other are these.
#[test]
fn numbers_between_training_rows_satisfy_what_they_satisfy() {
    let rows =
        Array2::from_shape_fn(
            (20, 1),
            |(row, _)| {
                if row < 10 { row as f64 } else { 10.0 + row as f64 }
            },
        );
    let edges = [("v".to_owned(), Edges::new(vec![12.0, 14.0, 16.0, 18.0]).unwrap())].into();
    let params = P::default().with_edges(edges).with_semantics(xai_core::Semantics::Reference);
    let explainer = params.fit(&rows, Features::numeric(["v"]).unwrap()).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(14.0 < row[0] && row[0] <= 16.0));
    let mut longer = 0;
    for seed in 0..30 {
        let data = explain(&explainer, &model, &[15.0], seed).data;
        assert_eq!(
            (data.anchor, data.result.precision),
            (vec!["14.00 < v <= 16.00".to_owned()], 1.0)
        );
        longer += usize::from(2 < data.predicates.len());
    }
    assert!(0 < longer, "no wider range came before the anchor");
}

/// Requests of more rows than are written at once, two in one call: each answer stays with its perturbation.
#[test]
fn large_batches_keep_rows_and_answers_together() {
    let params = P::default()
        .with_batch_size(9001)
        .with_min_samples_start(20_000)
        .with_n_covered_ex(1 << 20);
    let explainer = params.fit(&grid(3, 5), categorical(5, 3, Encoding::Ordinal)).unwrap();
    let class = |row: &[f64]| f64::from(row[0] == 1.0 && (row[2] == 2.0 || row[3] == 2.0));
    let data = explain(&explainer, &Elementwise(class), &[1.0, 0.0, 2.0, 2.0, 0.0], 0).data;
    assert_eq!((data.result.status, data.result.precision), (Status::Found, 1.0));
    // 1 - (2/3)^2 with f0 held, 1/3 of that without.
    near(data.result.base_rate.mean, 5.0 / 27.0, 20_000);
    let mut shown = 0;
    for (predicate, examples) in data.predicates.iter().zip(&data.examples) {
        for (rows, label) in [(&examples.covered_true, 1.0), (&examples.covered_false, 0.0)] {
            for row in rows.rows() {
                assert_eq!(class(&row.to_vec()), label);
                assert_eq!(Some(row[predicate.feature]), predicate.value);
            }
            shown += rows.nrows();
        }
    }
    assert!(9001 < shown, "{shown}");
}

/// A column of one value says nothing; a row beyond it is explained without it.
#[test]
fn a_constant_column_has_no_predicate() {
    let rows =
        Array2::from_shape_fn((100, 2), |(row, column)| if column == 0 { 7.0 } else { row as f64 });
    let explainer = P::default().fit(&rows, Features::numeric(["c", "v"]).unwrap()).unwrap();
    assert!(explainer.edges(0).is_empty());
    let model = Elementwise(|row: &[f64]| f64::from(49.5 < row[1]));
    for c in [7.0, 8.0, -1e300] {
        let data = explain(&explainer, &model, &[c, 60.0], 0).data;
        assert_eq!(data.features(None).unwrap(), [1]);
        assert_eq!(data.anchor, ["v > 49.50"]);
    }
    // Nothing at all to hold: the precision of the empty anchor is told, and why there is no other.
    let rows = array![[7.0], [7.0], [7.0]];
    let explainer = P::default().fit(&rows, Features::numeric(["c"]).unwrap()).unwrap();
    let model = Elementwise(|row: &[f64]| f64::from(row[0] == 7.0));
    let data = explain(&explainer, &model, &[8.0], 0).data;
    assert_eq!(
        (data.result.status, data.result.precision, data.result.coverage),
        (Status::NotFound, 0.0, 1.0)
    );
    assert!(
        data.anchor.is_empty() && data.result.reason.contains("no conditions to choose from"),
        "{}",
        data.result.reason
    );
    assert_eq!(explain(&explainer, &model, &[7.0], 0).data.result.status, Status::Empty);
}
