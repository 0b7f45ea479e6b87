//! What is refused, by which error, and that the model is not asked before.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use std::sync::Mutex;

use ndarray::{Array1, Array2, array};
use xai_anchors::{AnchorTabular, AnchorTabularParams, Missing, Operator};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Error, Explainer, Output, Predictor, Rows, Run, Status};
use xai_testkit::{Elementwise, Fault, Linear, Probe};

type P = AnchorTabularParams;

const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// A number, a category of three and a one-hot pair.
fn features() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("home", ["rented", "owned", "other"], Encoding::Ordinal),
        Feature::categorical("sex", ["f", "m"], Encoding::OneHot),
    ])
    .unwrap()
}

fn training() -> Array2<f64> {
    Array2::from_shape_fn((60, 4), |(row, column)| match column {
        0 => (row / 6) as f64,
        1 => (row % 3) as f64,
        2 => (row / 3 % 2) as f64,
        _ => 1.0 - (row / 3 % 2) as f64,
    })
}

fn fitted(params: P) -> AnchorTabular {
    params.fit(&training(), features()).unwrap()
}

/// The message of an error with those of its causes.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}

/// A refused fit, whose message says all of some words.
#[track_caller]
fn unfit(params: P, training: &Array2<f64>, features: Features, words: &[&str]) -> Error {
    let error = params.fit(training, features).unwrap_err();
    let text = message(&error);
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    error
}

/// A refused row, whose message says all of some words, before any call of the model.
#[track_caller]
fn refused(params: P, x: &[f64], words: &[&str]) -> Error {
    let linear = Linear::new(&[0.0; 4], 1.0);
    let probe = Probe::new(&linear);
    let x = Array1::from(x.to_vec());
    let error = fitted(params).explain(&probe, &x, Run::seeded(0)).unwrap_err();
    let text = message(&error);
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(probe.calls(), 0, "the model was asked");
    error
}

/// A model whose answers are refused, with the number of rows that it was asked for.
#[track_caller]
fn unreadable(params: P, model: &dyn Predictor, words: &[&str]) -> (Error, usize) {
    let asked = Mutex::new(0);
    let counting = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        *asked.lock().unwrap() += batch.nrows();
        #[allow(clippy::disallowed_methods, reason = "a wrapper hands on what it was given")]
        model.predict(batch)
    };
    let x = array![2.0, 1.0, 1.0, 0.0];
    let error = fitted(params).explain(&counting, &x, Run::seeded(0)).unwrap_err();
    let text = message(&error);
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    let asked = *asked.lock().unwrap();
    (error, asked)
}

#[test]
fn training_rows_that_do_not_fit_are_refused() {
    let with = |row: usize, column: usize, value: f64| {
        let mut rows = training();
        rows[[row, column]] = value;
        rows
    };
    // A number that is none: which column, which row.
    for value in [NAN, INFINITY, -INFINITY] {
        let error =
            unfit(P::default(), &with(7, 0, value), features(), &["training rows", "[7, 0]"]);
        assert!(matches!(error, Error::NotFinite { at, .. } if at == [7, 0]));
    }
    let own_bin = P::default().with_missing(Missing::OwnBin);
    let error = unfit(own_bin.clone(), &with(7, 0, INFINITY), features(), &["training rows"]);
    assert!(matches!(error, Error::NotFinite { .. }));
    assert!(own_bin.clone().fit(&with(7, 0, NAN), features()).is_ok());
    // Codes that are none, NaN among them even where numbers may be missing.
    for value in [3.0, -1.0, 0.5, NAN, INFINITY] {
        for params in [P::default(), own_bin.clone()] {
            let words = ["feature `home`", "row 9", "an integer code below 3"];
            let error = unfit(params, &with(9, 1, value), features(), &words);
            assert!(matches!(error, Error::Category { row: 9, .. }));
        }
    }
    for value in [0.5, 2.0, NAN] {
        let words = ["feature `sex`", "row 11", "a single 1 among zeros"];
        let error = unfit(P::default(), &with(11, 2, value), features(), &words);
        assert!(matches!(error, Error::Category { row: 11, .. }));
    }
    // Both cells of a pair are 1: each row is checked, not the sum of all.
    let mut rows = with(4, 2, 1.0);
    rows[[4, 3]] = 1.0;
    unfit(P::default(), &rows, features(), &["feature `sex`", "row 4"]);

    let error = unfit(P::default(), &Array2::zeros((0, 4)), features(), &["training", "one row"]);
    assert!(matches!(error, Error::Param(error) if error.name == "training"));
    for width in [0, 3, 5] {
        let rows = Array2::zeros((60, width));
        let error = unfit(P::default(), &rows, features(), &["[60, 4]"]);
        assert!(matches!(error, Error::Shape { got, .. } if got == [60, width]));
    }
}

#[test]
fn settings_that_do_not_fit_the_table_are_refused() {
    let edges = |name: &str| {
        let edges = [(name.to_owned(), Edges::new(vec![1.0]).unwrap())].into();
        P::default().with_edges(edges)
    };
    // An unknown name, and one of a category, which has no edges.
    for name in ["aeg", "home"] {
        let error = unfit(edges(name), &training(), features(), &["edges", "numeric", name]);
        assert!(matches!(error, Error::Param(error) if error.name == "edges"));
    }
    for n in [1, 59, 61] {
        let params = P::default().with_row_weights(Some(vec![1.0; n]));
        let error = unfit(params, &training(), features(), &["60", &n.to_string()]);
        assert!(matches!(error, Error::Param(error) if error.name == "row_weights"));
    }
    // Every setting out of range is refused by `fit` as well as by `check`.
    let error = unfit(P::default().with_delta(0.0), &training(), features(), &["delta", "0"]);
    assert!(matches!(error, Error::Param(error) if error.name == "delta"));
    // Names that tell nothing apart never reach the method.
    let twice = vec![Feature::numeric("a"), Feature::numeric("a")];
    assert!(Features::new(twice).unwrap_err().to_string().contains("`a` twice"));
    let none = vec![Feature::categorical("a", Vec::<String>::new(), Encoding::Ordinal)];
    assert_eq!(Features::new(none).unwrap_err().name, "categories");
    let twice = vec![Feature::categorical("a", ["x", "x"], Encoding::Ordinal)];
    assert_eq!(Features::new(twice).unwrap_err().name, "categories");
}

#[test]
fn an_unknown_setting_is_refused() {
    let error = serde_json::from_str::<P>(r#"{"treshold": 0.9}"#).unwrap_err();
    assert!(error.to_string().contains("treshold"), "{error}");
    let params: P = serde_json::from_str(r#"{"threshold": 0.9, "missing": "own-bin"}"#).unwrap();
    assert_eq!(params, P::default().with_threshold(0.9).with_missing(Missing::OwnBin));
}

#[test]
fn rows_that_do_not_fit_are_refused_before_the_model_is_asked() {
    for x in [&[][..], &[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0, 0.0, 0.0]] {
        let error = refused(P::default(), x, &["the input", "[4]"]);
        assert!(matches!(error, Error::Shape { got, .. } if got == [x.len()]));
    }
    for value in [NAN, INFINITY, -INFINITY] {
        let error = refused(P::default(), &[value, 1.0, 1.0, 0.0], &["the input", "[0]"]);
        assert!(matches!(error, Error::NotFinite { at, .. } if at == [0]));
    }
    let own_bin = || P::default().with_missing(Missing::OwnBin);
    refused(own_bin(), &[INFINITY, 1.0, 1.0, 0.0], &["the input", "inf"]);
    for code in [3.0, -1.0, 1.5] {
        let words = ["feature `home`", "an integer code below 3"];
        let error = refused(P::default(), &[1.0, code, 1.0, 0.0], &words);
        assert!(matches!(error, Error::Category { got, .. } if got == [code]));
    }
    // Missing numbers are allowed then, missing categories are not.
    let error = refused(own_bin(), &[1.0, NAN, 1.0, 0.0], &["feature `home`"]);
    assert!(matches!(error, Error::Category { .. }));
    for pair in [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]] {
        let error = refused(P::default(), &[1.0, 1.0, pair[0], pair[1]], &["feature `sex`"]);
        assert!(matches!(error, Error::Category { got, .. } if got == pair));
    }
}

/// One row too narrow for the table costs no other row its explanation.
#[test]
fn one_bad_row_leaves_the_others_alone() {
    let explainer = fitted(P::default());
    let rows = array![[1.0, 1.0, 1.0, 0.0], [1.0, 7.0, 1.0, 0.0], [2.0, 0.0, 0.0, 1.0]];
    let model = Elementwise(|row: &[f64]| row[1]);
    let results = explainer.explain_many(&model, &rows, &xai_core::RunConfig::seeded(0));
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(results[1], Err(Error::Category { .. })));
}

#[test]
fn a_model_that_fails_is_named_with_its_cause() {
    let linear = Linear::new(&[0.0; 4], 1.0);
    let broken = Probe::failing(&linear, Fault::Always);
    let words = ["the model failed on a batch of 1 rows", "the probe fails here"];
    let (error, asked) = unreadable(P::default(), &broken, &words);
    assert!(matches!(error, Error::Predictor { rows: 1, .. }) && asked == 1);
    // Later: on a perturbation.
    let row = training().row(40).to_owned();
    let broken = Probe::failing(&linear, Fault::OnRow(row));
    let (error, asked) = unreadable(P::default(), &broken, &["fails here"]);
    assert!(matches!(error, Error::Predictor { rows: 100, .. }) && asked == 101);
}

#[test]
fn outputs_that_are_no_decisions_are_refused() {
    let linear = Linear::new(&[0.0; 4], 1.0);
    let short = Probe::failing(&linear, Fault::ShortBatch);
    let (error, asked) =
        unreadable(P::default(), &short, &["the model's output", "[1, 1]", "[0, 1]"]);
    assert!(matches!(error, Error::Shape { .. }) && asked == 1);
    let nan = Probe::failing(&linear, Fault::NotFinite);
    let (error, asked) = unreadable(P::default(), &nan, &["the model's output", "NaN", "[0, 0]"]);
    assert!(matches!(error, Error::NotFinite { .. }) && asked == 1);
    // Wrong on a perturbation only: one row too few for 100, NaN for one of them.
    let shrinking = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::zeros((batch.nrows().min(99), 1)))
    };
    let (error, _) = unreadable(P::default(), &shrinking, &["[100, 1]", "[99, 1]"]);
    assert!(matches!(error, Error::Shape { .. }));
    let nan = Elementwise(|row: &[f64]| if row[0] == 9.0 { NAN } else { 1.0 });
    let (error, _) = unreadable(P::default(), &nan, &["the model's output", "NaN"]);
    assert!(matches!(error, Error::NotFinite { .. }));
    // More outputs for some rows than for others.
    let growing =
        |batch: &Rows| -> Result<Array2<f64>, BoxError> { Ok(Array2::zeros((batch.nrows(), 0))) };
    let (error, asked) = unreadable(P::default(), &growing, &["the model's output"]);
    assert!(matches!(error, Error::Shape { .. }) && asked == 1);
}

#[test]
fn outputs_of_another_kind_are_refused_with_the_choices() {
    // A score or a quantity is no label: nearly no two rows would agree.
    let score = Elementwise(|_: &[f64]| 3.7);
    for (output, words) in [
        (Output::Auto, ["`output`", "`bins` or `within`", "is a score, got `auto`"]),
        (Output::Label, ["`output`", "no whole number", "3.7"]),
    ] {
        let (error, asked) = unreadable(P::default().with_output(output), &score, &words);
        assert!(matches!(error, Error::Param(error) if error.name == "output") && asked == 1);
    }
    // Whole for the row itself, not for a perturbation.
    let score = Elementwise(|row: &[f64]| row[0] / 2.0);
    let (error, asked) = unreadable(P::default(), &score, &["output", "`bins` or `within`"]);
    assert!(matches!(error, Error::Param(_)) && asked == 101);

    let classes = P::default().with_output(Output::Classes);
    let (_, asked) = unreadable(classes, &score, &["output", "`bins` or `within`"]);
    assert_eq!(asked, 1);
    let pair = Linear::outputs(Array2::zeros((2, 4)), array![0.2, 0.8]);
    let label = P::default().with_output(Output::Label);
    let (_, asked) = unreadable(label, &pair, &["output", "`classes`"]);
    assert_eq!(asked, 1);
    for output in
        [Output::Bins { edges: vec![0.5], target: 2 }, Output::Within { tolerance: 0.5, target: 2 }]
    {
        let (error, asked) =
            unreadable(P::default().with_output(output), &pair, &["2 outputs", "target"]);
        assert!(matches!(error, Error::Param(error) if error.name == "output") && asked == 1);
    }
}

/// A model for another table: its width is checked before it is asked.
#[test]
fn a_model_of_another_width_is_refused() {
    struct Three;
    impl Predictor for Three {
        fn predict(&self, _: &Rows) -> Result<Array2<f64>, BoxError> {
            unreachable!("its width is not that of the table")
        }
        fn n_features(&self) -> Option<usize> {
            Some(3)
        }
    }
    let (error, asked) = {
        let x = array![2.0, 1.0, 1.0, 0.0];
        (fitted(P::default()).explain(&Three, &x, Run::seeded(0)).unwrap_err(), 0)
    };
    assert!(matches!(error, Error::Shape { what: "the model's input", .. }) && asked == 0);
}

/// Of 120 rows every third lacks its age. Coverage is counted on all of them, and the model sees NaN.
#[test]
fn missing_values_are_a_bin_of_their_own() {
    let rows = Array2::from_shape_fn((120, 2), |(row, column)| match column {
        0 if row % 3 == 0 => NAN,
        0 => (row / 3) as f64,
        _ => (row % 2) as f64,
    });
    let features = Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("sex", ["f", "m"], Encoding::Ordinal),
    ])
    .unwrap();
    let params = P::default().with_missing(Missing::OwnBin).with_top_k(20);
    let explainer = params.fit(&rows, features).unwrap();
    // Percentiles of the numbers 0 to 39, each twice.
    assert_eq!(explainer.edges(0), [9.75, 19.5, 29.25]);
    let missing = Mutex::new(0);
    let model = Elementwise(|row: &[f64]| {
        *missing.lock().unwrap() += u64::from(row[0].is_nan());
        f64::from(row[0].is_nan())
    });
    for seed in 0..10 {
        let explain = |model: &dyn Predictor, x: [f64; 2]| {
            explainer.explain(model, &Array1::from(x.to_vec()), Run::seeded(seed)).unwrap().data
        };
        *missing.lock().unwrap() = 0;
        let data = explain(&model, [NAN, 0.0]);
        assert_eq!(
            (data.anchor, data.result.status),
            (vec!["age is missing".to_owned()], Status::Found)
        );
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 1.0 / 3.0));
        let predicate = &data.predicates[0];
        assert_eq!((predicate.op, predicate.value), (Operator::Missing, None));
        assert_eq!(data.rule.conditions[0].missing, Some(true));
        // The row, the perturbations of the anchor, the certificate.
        assert!(1000 + predicate.precision.n_samples < *missing.lock().unwrap());
        let examples = &data.examples[0];
        assert!(examples.covered_true.column(0).iter().all(|age| age.is_nan()));
        assert!(data.instance[0].is_nan());

        let data = explain(&model, [12.0, 0.0]);
        assert_eq!(data.anchor, ["age is not missing"]);
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 2.0 / 3.0));
        assert_eq!(data.predicates[0].op, Operator::Present);
        let condition = &data.rule.conditions[0];
        assert_eq!(
            (condition.missing, condition.lower, condition.upper),
            (Some(false), None, None)
        );
        let examples = &data.examples[0];
        assert!(examples.covered_true.column(0).iter().all(|age| !age.is_nan()));

        // A range says that there is a number: NaN is in none of them.
        let model = Elementwise(|row: &[f64]| f64::from(row[0] <= 19.5));
        let data = explain(&model, [12.0, 0.0]);
        assert_eq!(data.anchor, ["age <= 19.50"]);
        assert_eq!((data.result.precision, data.result.coverage), (1.0, 40.0 / 120.0));
        let model = Elementwise(|row: &[f64]| f64::from(19.5 < row[0]));
        let data = explain(&model, [25.0, 1.0]);
        assert_eq!((data.anchor[0].as_str(), data.result.precision), ("age > 19.50", 1.0));
        assert_eq!(data.result.coverage, 40.0 / 120.0);
    }
}

/// Where all training numbers are there, a missing one is a value that no training row has; it is held.
#[test]
fn a_missing_value_that_no_training_row_has_is_held() {
    let explainer = fitted(P::default().with_missing(Missing::OwnBin));
    let model = Elementwise(|row: &[f64]| f64::from(row[0].is_nan()));
    let x = array![NAN, 1.0, 1.0, 0.0];
    let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    let data = explanation.data;
    assert_eq!((data.anchor, data.result.precision), (vec!["age is missing".to_owned()], 1.0));
    assert_eq!((data.result.coverage, data.result.status), (0.0, Status::Found));
    assert_eq!(explanation.meta.warnings[0].code, "anchors.unseen_value");
    // A column of nothing but missing values has neither edges nor predicates but that.
    let mut rows = training();
    rows.column_mut(0).fill(NAN);
    let explainer = P::default().with_missing(Missing::OwnBin).fit(&rows, features()).unwrap();
    assert!(explainer.edges(0).is_empty());
    let model = Elementwise(|row: &[f64]| f64::from(!row[0].is_nan()));
    let x = array![3.0, 1.0, 1.0, 0.0];
    let data = explainer.explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!((data.anchor, data.result.precision), (vec!["age is not missing".to_owned()], 1.0));
}
