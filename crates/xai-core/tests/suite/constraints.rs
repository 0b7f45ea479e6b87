//! The language of constraints: what it refuses, and the checker of the final row, rule by rule.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, array};
use xai_core::Error;
use xai_core::constraints::{Constraint, Constraints, Direction, Rule};
use xai_core::tabular::{Encoding, Feature, FeatureKey, Features};

/// Age, income, an ordinal grade in one column and a job in three.
fn table() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("income"),
        Feature::categorical("grade", ["low", "middle", "high"], Encoding::Ordinal),
        Feature::categorical("job", ["clerk", "nurse", "boss"], Encoding::OneHot),
    ])
    .unwrap()
}

fn instance() -> Array1<f64> {
    array![30.0, 100.5, 1.0, 0.0, 1.0, 0.0]
}

fn one(feature: &str, constraint: Constraint) -> Constraints {
    Constraints { features: [(feature.into(), constraint)].into(), max_changes: None }
}

/// The rules that a row breaks, with the names of the features.
#[track_caller]
fn broken(constraints: &Constraints, row: &Array1<f64>) -> Vec<(String, Rule)> {
    let bound = constraints.bind(&table()).unwrap();
    let violations = bound.violations(&instance(), row).unwrap();
    violations.into_iter().map(|v| (v.feature.unwrap_or_default(), v.rule)).collect()
}

/// A row with other cells from a column on.
fn with(column: usize, cells: &[f64]) -> Array1<f64> {
    let mut row = instance();
    for (offset, &cell) in cells.iter().enumerate() {
        row[column + offset] = cell;
    }
    row
}

#[test]
fn each_rule_is_broken_by_what_it_forbids_and_by_nothing_else() {
    let rule = |constraint: Constraint| one("income", constraint);
    let change = |change| Constraint { change, ..Constraint::default() };
    let free = Constraint::default;
    // Rule, a value of the income that keeps it, one that breaks it, and what is then said.
    let cases = [
        (rule(change(Direction::None)), 100.5, 100.6, Rule::Immutable),
        (rule(change(Direction::Up)), 100.6, 100.4, Rule::OnlyUp),
        (rule(change(Direction::Down)), 100.4, 100.6, Rule::OnlyDown),
        (
            rule(Constraint { min: Some(0.0), max: Some(90.0), ..free() }),
            90.0,
            90.1,
            Rule::Range(0.0, 90.0),
        ),
        (
            rule(Constraint { min: Some(200.0), ..free() }),
            200.0,
            199.0,
            Rule::Range(200.0, f64::INFINITY),
        ),
        (rule(Constraint { integer: true, ..free() }), 101.0, 101.5, Rule::Integer),
        (
            rule(Constraint { step: Some(0.1), ..free() }),
            100.5 + 7.0 * 0.1,
            100.55,
            Rule::Step(0.1),
        ),
    ];
    for (constraints, kept, breaking, expected) in cases {
        assert_eq!(broken(&constraints, &with(1, &[kept])), [], "{expected:?}");
        let name = "income".to_owned();
        assert_eq!(broken(&constraints, &with(1, &[breaking])), [(name, expected)]);
    }
}

#[test]
fn a_feature_that_keeps_its_value_breaks_no_rule() {
    // 100.5 is no whole number and lies outside the range.
    let rules = Constraint { min: Some(0.0), max: Some(1.0), integer: true, ..Default::default() };
    assert_eq!(broken(&one("income", rules), &with(0, &[31.0])), []);
}

#[test]
fn categories_have_an_order_a_list_and_a_layout() {
    let up = one("grade", Constraint { change: Direction::Up, ..Default::default() });
    assert_eq!(broken(&up, &with(2, &[2.0])), []);
    assert_eq!(broken(&up, &with(2, &[0.0])), [("grade".to_owned(), Rule::OnlyUp)]);
    let listed =
        |name: &str| Constraint { categories: Some(vec![name.to_owned()]), ..Default::default() };
    let boss = [0.0, 0.0, 1.0];
    assert_eq!(broken(&one("job", listed("boss")), &with(3, &boss)), []);
    let violation = ("job".to_owned(), Rule::Category);
    assert_eq!(broken(&one("job", listed("clerk")), &with(3, &boss)), [violation]);
    // Without any rule the cells of a category must still be those of one.
    let valid = |name: &str| (name.to_owned(), Rule::Valid);
    for torn in [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.5]] {
        assert_eq!(broken(&Constraints::default(), &with(3, &torn)), [valid("job")]);
    }
    assert_eq!(broken(&Constraints::default(), &with(2, &[0.5])), [valid("grade")]);
    assert_eq!(broken(&Constraints::default(), &with(0, &[f64::NAN])), [valid("age")]);
    assert_eq!(broken(&Constraints::default(), &with(0, &[f64::INFINITY])), [valid("age")]);
}

#[test]
fn features_are_counted_not_columns() {
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    assert_eq!(broken(&constraints, &with(3, &[1.0, 0.0, 0.0])), []);
    let both = array![31.0, 100.5, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(broken(&constraints, &both), [(String::new(), Rule::MaxChanges(1))]);
    let bound = constraints.bind(&table()).unwrap();
    let violations = bound.violations(&instance(), &both).unwrap();
    assert_eq!(violations[0].to_string(), "at most 1 features may change: age, job");
}

#[test]
fn all_that_is_wrong_is_told_with_both_values() {
    let mut constraints = one("age", Constraint { change: Direction::Up, ..Default::default() });
    let immutable = Constraint { change: Direction::None, ..Default::default() };
    constraints.features.insert(3.into(), immutable);
    let bound = constraints.bind(&table()).unwrap();
    let row = array![29.0, 100.5, 1.0, 0.0, 0.0, 1.0];
    let told: Vec<String> =
        bound.violations(&instance(), &row).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["`age` may only go up: 30 -> 29", "`job` must not change: nurse -> boss"]);
    assert!(bound.is_mutable(0) && !bound.is_mutable(3));
}

#[test]
fn costs_add_up_in_units_of_the_scales() {
    let priced = |scale, cost| Constraint { scale, cost, ..Default::default() };
    let features = [
        ("age".into(), priced(Some(10.0), None)),
        ("income".into(), priced(Some(50.0), Some(3.0))),
        ("job".into(), priced(None, Some(2.5))),
    ];
    let bound =
        Constraints { features: features.into(), max_changes: None }.bind(&table()).unwrap();
    let row = array![35.0, 0.5, 2.0, 0.0, 0.0, 1.0];
    // 5 / 10 + 3 * 100 / 50 + 1 for the grade + 2.5 for the job.
    let cost = bound.cost(&instance(), &row).unwrap();
    assert!((cost - 10.0).abs() <= 8.0 * f64::EPSILON * 10.0, "{cost}");
    assert_eq!(bound.cost(&instance(), &instance()).unwrap(), 0.0);
}

#[test]
fn a_row_of_another_width_is_refused() {
    let bound = Constraints::default().bind(&table()).unwrap();
    let error = bound.violations(&instance(), &array![1.0]).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error:?}");
    let error = bound.cost(&array![1.0], &instance()).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error:?}");
}

#[test]
fn constraints_that_do_not_fit_are_refused_by_name() {
    let free = Constraint::default;
    let names = |name: &str| Some(vec![name.to_owned()]);
    let cases = [
        ("constraints", one("agee", free())),
        ("constraints", one("4", free())),
        ("max_changes", Constraints { max_changes: Some(0), ..Default::default() }),
        ("min", one("age", Constraint { min: Some(f64::NAN), ..free() })),
        ("max", one("age", Constraint { min: Some(2.0), max: Some(1.0), ..free() })),
        ("step", one("age", Constraint { step: Some(0.0), ..free() })),
        ("step", one("age", Constraint { step: Some(f64::NAN), ..free() })),
        ("scale", one("age", Constraint { scale: Some(f64::INFINITY), ..free() })),
        ("cost", one("age", Constraint { cost: Some(-1.0), ..free() })),
        ("categories", one("age", Constraint { categories: names("a"), ..free() })),
        ("categories", one("job", Constraint { categories: names("pilot"), ..free() })),
        ("categories", one("job", Constraint { categories: Some(vec![]), ..free() })),
        ("min", one("job", Constraint { min: Some(0.0), ..free() })),
        ("integer", one("grade", Constraint { integer: true, ..free() })),
        ("scale", one("grade", Constraint { scale: Some(2.0), ..free() })),
    ];
    for (name, constraints) in cases {
        let error = constraints.bind(&table()).unwrap_err();
        assert_eq!(error.name, name, "{error}");
    }
    let mut twice = one("age", free());
    twice.features.insert(0.into(), free());
    let error = twice.bind(&table()).unwrap_err().to_string();
    let expected =
        "parameter `constraints` must be keyed by different features, got \"`0` and `age`\"";
    assert_eq!(error, expected);
}

#[test]
fn constraints_are_plain_data() {
    let text = r#"{"features": {"age": {"change": "up", "step": 1.0}, "3": {"change": "none"}}, "max_changes": 2}"#;
    let constraints: Constraints = serde_json::from_str(text).unwrap();
    assert_eq!(constraints.features[&"age".into()].change, Direction::Up);
    let bound = constraints.bind(&table()).unwrap();
    assert!(!bound.is_mutable(3));
    assert_eq!(bound.max_changes(), Some(2));
    let written = serde_json::to_string(&constraints).unwrap();
    assert_eq!(serde_json::from_str::<Constraints>(&written).unwrap(), constraints);
    assert!(serde_json::from_str::<Constraints>(r#"{"features": {"age": {"up": true}}}"#).is_err());
    // A list may name features by index.
    let keys: Vec<FeatureKey> = serde_json::from_str(r#"[0, "job"]"#).unwrap();
    assert_eq!(keys, [FeatureKey::from(0), FeatureKey::from("job")]);
}

/// A grade (feature 2) is one of the codes 0, 1, 2, whatever number a search comes up with.
#[test]
fn the_closest_value_of_a_category_is_a_code() {
    let free = Constraints::default().bind(&table()).unwrap();
    for (to, code) in [(0.24, 0.0), (0.7, 1.0), (1.6, 2.0), (-3.0, 0.0), (9.0, 2.0)] {
        assert_eq!(free.nearest(2, 1.0, to), code, "{to}");
    }
    let up = Constraint { change: Direction::Up, ..Default::default() };
    let up = one("grade", up).bind(&table()).unwrap();
    assert_eq!((up.nearest(2, 1.0, 0.24), up.nearest(2, 1.0, 1.6)), (1.0, 2.0));
    let ends = Constraint {
        categories: Some(vec!["low".to_owned(), "high".to_owned()]),
        ..Default::default()
    };
    let ends = one("grade", ends).bind(&table()).unwrap();
    assert_eq!((ends.nearest(2, 0.0, 0.9), ends.nearest(2, 0.0, 1.1)), (0.0, 2.0));
}
