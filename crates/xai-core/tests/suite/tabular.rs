//! Tables: the layout of columns, the words for people, and the codes that are refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use ndarray::{Array2, array};
use proptest::prelude::*;
use serde_json::json;
use xai_core::Error;
use xai_core::tabular::{Encoding, Feature, Features, Kind};

fn table(encoding: Encoding) -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("color", ["red", "green", "blue"], encoding),
        Feature::numeric("income"),
        Feature::categorical("only", ["one"], encoding),
    ])
    .unwrap()
}

#[test]
fn columns_follow_the_encoding() {
    #[track_caller]
    fn check(features: &Features, expected: &[std::ops::Range<usize>]) {
        let columns: Vec<_> =
            (0..features.len()).map(|feature| features.columns(feature)).collect();
        assert_eq!(columns, expected);
        assert_eq!(features.n_columns(), expected.last().unwrap().end);
        assert!(!features.is_empty());
    }
    check(&table(Encoding::Ordinal), &[0..1, 1..2, 2..3, 3..4]);
    check(&table(Encoding::OneHot), &[0..1, 1..4, 4..5, 5..6]);
    check(&Features::unnamed(2).unwrap(), &[0..1, 1..2]);
    assert_eq!(table(Encoding::Ordinal).encoded(Encoding::OneHot), table(Encoding::OneHot));
    assert_eq!(table(Encoding::OneHot).encoded(Encoding::Ordinal), table(Encoding::Ordinal));
}

#[test]
fn names_are_in_order() {
    let features = table(Encoding::OneHot);
    assert_eq!(features.names(), ["age", "color", "income", "only"]);
    let names = serde_json::to_value(features.categorical_names()).unwrap();
    assert_eq!(names, json!({"1": ["red", "green", "blue"], "3": ["one"]}));
    assert_eq!(features.iter().filter(|feature| feature.kind == Kind::Numeric).count(), 2);
    assert_eq!(Features::unnamed(3).unwrap().names(), ["feature_0", "feature_1", "feature_2"]);
    assert_eq!(Features::unnamed(1).unwrap(), Features::numeric(["feature_0"]).unwrap());
}

#[test]
fn values_are_described_for_people() {
    #[track_caller]
    fn check(encoding: Encoding, row: &[f64], expected: [&str; 4]) {
        let features = table(encoding);
        let row = ndarray::ArrayView1::from(row);
        assert_eq!([0, 1, 2, 3].map(|feature| features.describe(feature, &row)), expected);
    }
    check(Encoding::Ordinal, &[30.0, 2.0, 0.1, 0.0], ["30", "blue", "0.1", "one"]);
    check(
        Encoding::Ordinal,
        &[-1.5, -0.0, 1e300, 1.0],
        ["-1.5", "red", &format!("{}", 1e300), "1"],
    );
    check(Encoding::Ordinal, &[0.0, 0.5, f64::NAN, f64::NAN], ["0", "0.5", "NaN", "NaN"]);
    check(Encoding::OneHot, &[1.0, 0.0, 1.0, 0.0, 2.0, 1.0], ["1", "green", "2", "one"]);
    check(Encoding::OneHot, &[1.0, 0.5, 0.5, 0.0, 2.0, 0.0], ["1", "[0.5, 0.5, 0]", "2", "[0]"]);
}

#[test]
fn bad_codes_are_refused_with_feature_and_row() {
    #[track_caller]
    fn check(encoding: Encoding, rows: &Array2<f64>, expected: Option<&str>) {
        let features = table(encoding);
        let got = features.check("the table", rows).err().map(|error| error.to_string());
        assert_eq!(got.as_deref(), expected);
        // Encoding checks the same, under its own name for the rows.
        let encoded = features.encode(rows, Encoding::OneHot).err().map(|error| error.to_string());
        let expected = expected.map(|text| text.replace("the table", "the rows to encode"));
        assert_eq!(encoded, expected);
    }
    let ordinal = |code: f64| array![[1.0, 0.0, 2.0, 0.0], [1.0, code, 2.0, 0.0]];
    check(Encoding::Ordinal, &ordinal(2.0), None);
    check(Encoding::Ordinal, &ordinal(-0.0), None);
    // A numeric cell may hold anything: whether NaN is refused is up to the method.
    check(Encoding::Ordinal, &array![[f64::NAN, 0.0, f64::INFINITY, 0.0]], None);
    for (code, text) in
        [(3.0, "3.0"), (-1.0, "-1.0"), (0.5, "0.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")]
    {
        let expected =
            format!("feature `color` of row 1 must hold an integer code below 3, got [{text}]");
        check(Encoding::Ordinal, &ordinal(code), Some(&expected));
    }
    let one_hot = |cells: [f64; 3]| array![[1.0, cells[0], cells[1], cells[2], 2.0, 1.0]];
    check(Encoding::OneHot, &one_hot([0.0, 0.0, 1.0]), None);
    for cells in
        [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.0], [2.0, -1.0, 0.0], [1.0, f64::NAN, 0.0]]
    {
        let expected =
            format!("feature `color` of row 0 must hold a single 1 among zeros, got {cells:?}");
        check(Encoding::OneHot, &one_hot(cells), Some(&expected));
    }
    let wide = "the table must have shape [1, 4], got [1, 6]";
    check(Encoding::Ordinal, &one_hot([0.0, 0.0, 1.0]), Some(wide));
    check(Encoding::OneHot, &ordinal(0.0), Some("the table must have shape [2, 6], got [2, 4]"));
    check(Encoding::OneHot, &Array2::zeros((0, 6)), None);
}

#[test]
fn the_category_error_carries_its_parts() {
    match table(Encoding::Ordinal).check("the table", &array![[0.0, 7.0, 0.0, 0.0]]) {
        Err(Error::Category { feature, row, got, rule }) => {
            assert_eq!((feature.as_str(), row, got), ("color", 0, vec![7.0]));
            assert_eq!(rule, "an integer code below 3");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_that_make_no_sense_are_refused() {
    #[track_caller]
    fn check(features: Vec<Feature>, expected: &str) {
        // Built, and read from a document: the same refusal.
        let text = serde_json::to_string(&features).unwrap();
        assert_eq!(Features::new(features).unwrap_err().to_string(), expected);
        let error = serde_json::from_str::<Features>(&text).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
    let categorical = |categories: &[&str]| {
        vec![Feature::categorical("color", categories.iter().copied(), Encoding::Ordinal)]
    };
    check(vec![], "parameter `features` must be at least one feature, got 0");
    check(
        vec![Feature::numeric("age"), Feature::numeric("b"), Feature::numeric("age")],
        "parameter `features` must be named differently, got `age` twice",
    );
    check(
        categorical(&[]),
        "parameter `categories` must be at least one name for feature `color`, got 0",
    );
    check(
        categorical(&["red", "blue", "red"]),
        "parameter `categories` must be different names for feature `color`, got `red` twice",
    );
    assert!(Features::unnamed(0).is_err());
}

#[test]
fn the_document_is_a_list_of_features() {
    let features = table(Encoding::OneHot);
    let value = serde_json::to_value(&features).unwrap();
    let expected = json!([
        {"name": "age", "kind": "numeric"},
        {"name": "color", "kind": "categorical", "categories": ["red", "green", "blue"], "encoding": "one-hot"},
        {"name": "income", "kind": "numeric"},
        {"name": "only", "kind": "categorical", "categories": ["one"], "encoding": "one-hot"},
    ]);
    assert_eq!(value, expected);
    // The columns are laid out anew when it is read.
    let back: Features = serde_json::from_value(value).unwrap();
    assert_eq!(back, features);
    assert_eq!(back.columns(2), 4..5);
    let schema = serde_json::to_value(schemars::schema_for!(Features)).unwrap();
    assert_eq!(schema["type"], "array", "{schema}");
}

#[test]
fn encoding_is_exactly_this() {
    let ordinal = array![[30.0, 2.0, -0.5, 0.0], [40.0, 0.0, f64::NAN, 0.0]];
    let one_hot = table(Encoding::Ordinal).encode(&ordinal, Encoding::OneHot).unwrap();
    assert_eq!(one_hot.row(0), array![30.0, 0.0, 0.0, 1.0, -0.5, 1.0]);
    assert_eq!(one_hot.slice(ndarray::s![1, ..4]), array![40.0, 1.0, 0.0, 0.0]);
    assert!(one_hot[[1, 4]].is_nan());
}

#[test]
fn a_dropped_first_category_is_all_zeros() {
    let kind = Feature::categorical("kind", ["a", "b", "c"], Encoding::DropFirst);
    let features = Features::new(vec![Feature::numeric("u"), kind]).unwrap();
    assert_eq!((features.n_columns(), features.columns(1)), (3, 1..3));
    let rows = array![[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]];
    features.check("the rows", &rows).unwrap();
    for (code, row) in rows.outer_iter().enumerate() {
        assert_eq!(features.coded(&row).unwrap(), [1.0, code as f64]);
        let mut written = array![1.0, 7.0, 7.0];
        features.write(1, code as f64, &mut written);
        assert_eq!(written, row);
    }
    assert_eq!(features.describe(1, &rows.row(0)), "a");
    let both = features.check("the rows", &array![[1.0, 1.0, 1.0]]).unwrap_err().to_string();
    let rule = "feature `kind` of row 0 must hold zeros, with a single 1 at most, got [1.0, 1.0]";
    assert_eq!(both, rule);
    // Without the only category there is no column.
    let one = vec![Feature::categorical("one", ["a"], Encoding::DropFirst)];
    let error = Features::new(one).unwrap_err().to_string();
    assert_eq!(error, "parameter `categories` must be at least two names for feature `one`, got 1");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Any mix of numeric and categorical features, any codes: there and back gives the same rows.
    #[test]
    fn encodings_round_trip(
        sizes in prop::collection::vec(0_usize..5, 1..6),
        seed: u64,
        n_rows in 0_usize..6,
    ) {
        // Size 0 stands for a numeric feature.
        let features = sizes.iter().enumerate().map(|(index, &size)| match size {
            0 => Feature::numeric(format!("f{index}")),
            _ => Feature::categorical(format!("f{index}"), (0..size).map(|code| code.to_string()), Encoding::Ordinal),
        });
        let features = Features::new(features.collect()).unwrap();
        let mut stream = xai_core::Seed::new(seed).stream();
        let rows = Array2::from_shape_fn((n_rows, sizes.len()), |(_, column)| match sizes[column] {
            0 => stream.uniform() - 0.5,
            size => stream.index(size) as f64,
        });
        prop_assert_eq!(&features.encode(&rows, Encoding::Ordinal).unwrap(), &rows);
        let one_hot = features.encode(&rows, Encoding::OneHot).unwrap();
        let relaid = features.encoded(Encoding::OneHot);
        relaid.check("the encoded rows", &one_hot).unwrap();
        prop_assert_eq!(&relaid.encode(&one_hot, Encoding::OneHot).unwrap(), &one_hot);
        prop_assert_eq!(&relaid.encode(&one_hot, Encoding::Ordinal).unwrap(), &rows);
        let dropped = features.encode(&rows, Encoding::DropFirst).unwrap();
        let short = features.encoded(Encoding::DropFirst);
        short.check("the encoded rows", &dropped).unwrap();
        prop_assert_eq!(&short.encode(&dropped, Encoding::Ordinal).unwrap(), &rows);
        prop_assert_eq!(&relaid.encode(&one_hot, Encoding::DropFirst).unwrap().ncols(), &dropped.ncols());
        for (row, short_row) in rows.outer_iter().zip(dropped.outer_iter()) {
            for feature in 0..features.len() {
                prop_assert_eq!(features.describe(feature, &row), short.describe(feature, &short_row));
                prop_assert_eq!(features.value(feature, &row), short.value(feature, &short_row));
            }
        }
        for (row, relaid_row) in rows.outer_iter().zip(one_hot.outer_iter()) {
            for feature in 0..features.len() {
                prop_assert_eq!(features.describe(feature, &row), relaid.describe(feature, &relaid_row));
            }
        }
    }
}

#[test]
fn a_coded_row_has_a_number_for_each_feature() {
    let features = Features::new(vec![
        Feature::categorical("home", ["a", "b", "c"], Encoding::OneHot),
        Feature::numeric("age"),
        Feature::categorical("sex", ["f", "m"], Encoding::Ordinal),
    ])
    .unwrap();
    let row = ndarray::array![0.0, 0.0, 1.0, 33.5, 1.0];
    assert_eq!(features.coded(&row).unwrap(), [2.0, 33.5, 1.0]);
    for wrong in
        [ndarray::array![1.0, 0.0, 1.0, 33.5, 1.0], ndarray::array![0.0, 0.0, 1.0, 33.5, 2.0]]
    {
        assert!(matches!(features.coded(&wrong), Err(xai_core::Error::Category { .. })));
    }
    assert!(matches!(features.coded(&ndarray::array![1.0]), Err(xai_core::Error::Shape { .. })));
}
