//! Every wrong setting is refused by name before the model is called, and every warning has a code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array2, array};
use xai_core::constraints::Constraints;
use xai_core::tabular::{Encoding, Feature, FeatureKey, Features};
use xai_core::{Error, Explainer, Output, Run, Semantics};
use xai_gridcf::{
    Anchor, AnswerScope, Cell, Distance, FeatureRange, Grid, GridCounterfactual,
    GridCounterfactualParams, Label, Target,
};
use xai_testkit::{Elementwise, refused};

type Params = GridCounterfactualParams;

fn table() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::categorical("job", ["clerk", "nurse", "boss"], Encoding::Ordinal),
        Feature::numeric("room"),
    ])
    .unwrap()
}

fn dataset() -> Array2<f64> {
    array![[20.0, 0.0, 1.0], [30.0, 1.0, 2.0], [40.0, 2.0, 4.0]]
}

fn keys(names: &[&str]) -> Option<Vec<FeatureKey>> {
    Some(names.iter().map(|&name| name.into()).collect())
}

fn ranges(key: &str, range: FeatureRange) -> Params {
    Params::default().with_feature_ranges([(key.into(), range)].into())
}

fn distances(key: &str, distance: Distance) -> Params {
    Params::default().with_distance_functions([(key.into(), distance)].into())
}

#[test]
fn settings_outside_their_range_are_refused_by_name() {
    let params = Params::default;
    for step in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused("default_numerical_step_size", params().with_default_numerical_step_size(step));
        refused("step_sizes", params().with_step_sizes([("age".into(), step)].into()));
    }
    let none = || Some(vec![]);
    refused("counterfactual_feature_indices", params().with_counterfactual_feature_indices(none()));
    refused("categorical_indices", params().with_categorical_indices(none()));
    let both = params().with_categorical_indices(none()).with_numerical_indices(none());
    refused("categorical_indices", both);
    refused("feature_ranges", ranges("job", FeatureRange::List(vec![])));
    refused("feature_ranges", ranges("age", FeatureRange::between(f64::NAN, 1.0)));
    let mixed = vec![Cell::Number(1.0), Cell::Name("nurse".to_owned())];
    refused("feature_ranges", ranges("job", FeatureRange::List(mixed)));
    let grids = [
        Grid::Values(vec![]),
        Grid::Values(vec![f64::INFINITY]),
        Grid::Log { min: 0.0, max: 1.0, n: 3 },
        Grid::Log { min: 2.0, max: 1.0, n: 3 },
        Grid::Log { min: 1.0, max: 2.0, n: 1 },
        Grid::Quantiles(1),
        Grid::Quantiles(usize::MAX),
    ];
    for grid in grids {
        refused("feature_ranges", ranges("age", FeatureRange::Grid(grid)));
    }
    refused("distance_functions", distances("age", Distance::Scaled(0.0)));
    refused("distance_functions", distances("job", Distance::Table(vec![vec![-1.0]])));
    refused("first_batch", params().with_first_batch(0));
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    refused("class_names", params().with_class_names(names(&[])));
    refused("class_names", params().with_class_names(names(&["no", "no"])));
    let target = |target| params().with_counterfactual_class(Some(target));
    let yes = || target(Target::Class(Label::from("yes")));
    refused("counterfactual_class", yes().with_class_names(names(&["no", "maybe"])));
    refused("output", params().with_output(Output::Bins { edges: vec![], target: 0 }));
    refused("counterfactual_class", target(Target::AnyOf(vec![])));
    let class = Label::Index(0);
    refused("counterfactual_class", target(Target::Probability { class, at_least: f64::NAN }));
    let backwards = Target::Interval { output: 0, min: Some(2.0), max: Some(1.0) };
    refused("counterfactual_class", target(backwards));
    let answers = AnswerScope::Closest;
    refused("prune_supersets", params().with_prune_supersets(true).with_answers(answers));
    let reference = || params().with_semantics(Semantics::Reference);
    refused("anchor", reference().with_anchor(Anchor::Instance));
    refused("prune_supersets", reference().with_prune_supersets(true));
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    refused("constraints", reference().with_constraints(constraints));
}

#[track_caller]
fn unfit(name: &str, result: xai_core::Result<GridCounterfactual>) {
    match result {
        Err(Error::Param(error)) => assert_eq!(error.name, name, "{error}"),
        other => panic!("expected an error of `{name}`, got {other:?}"),
    }
}

#[test]
fn settings_that_do_not_fit_the_table_are_refused_by_name() {
    let params = Params::default;
    let fit = |params: Params| params.fit(&dataset(), table());
    unfit(
        "counterfactual_feature_indices",
        fit(params().with_counterfactual_feature_indices(keys(&["agee"]))),
    );
    unfit(
        "counterfactual_feature_indices",
        fit(params().with_counterfactual_feature_indices(keys(&["age", "0"]))),
    );
    unfit(
        "counterfactual_feature_indices",
        fit(params().with_counterfactual_feature_indices(keys(&["3"]))),
    );
    // Text that is declared a quantity, or not declared a category.
    unfit("numerical_indices", fit(params().with_numerical_indices(keys(&["age", "job"]))));
    unfit("categorical_indices", fit(params().with_categorical_indices(keys(&["room"]))));
    let both = |categorical: &[&str], numerical: &[&str]| {
        let (categorical_indices, numerical_indices) = (keys(categorical), keys(numerical));
        fit(params()
            .with_categorical_indices(categorical_indices)
            .with_numerical_indices(numerical_indices))
    };
    unfit("numerical_indices", both(&["job", "room"], &["age", "room"]));
    unfit("numerical_indices", both(&["job"], &["age"]));
    unfit("numerical_indices", both(&["job"], &["age", "rom"]));
    assert!(both(&["job", "room"], &["age"]).is_ok());
    unfit("step_sizes", fit(params().with_step_sizes([("height".into(), 1.0)].into())));
    let tiny = [("age".into(), 1e-9)].into();
    unfit("step_sizes", fit(params().with_step_sizes(tiny)));
    unfit("feature_ranges", fit(ranges("height", FeatureRange::between(0.0, 1.0))));
    unfit("feature_ranges", fit(ranges("age", FeatureRange::between(2.0, 2.0))));
    unfit("feature_ranges", fit(ranges("age", FeatureRange::numbers([1.0, 2.0, 3.0]))));
    unfit("feature_ranges", fit(ranges("age", FeatureRange::names(["old"]))));
    unfit("feature_ranges", fit(ranges("job", FeatureRange::names(["pilot"]))));
    unfit("feature_ranges", fit(ranges("job", FeatureRange::numbers([3.0]))));
    unfit("feature_ranges", fit(ranges("job", FeatureRange::names(["boss", "boss"]))));
    unfit("feature_ranges", fit(ranges("job", FeatureRange::Grid(Grid::Quantiles(2)))));
    let quantiles = ranges("age", FeatureRange::Grid(Grid::Quantiles(2)));
    unfit("feature_ranges", fit(quantiles.clone().with_semantics(Semantics::Reference)));
    unfit("distance_functions", fit(distances("height", Distance::Absolute)));
    unfit("distance_functions", fit(distances("age", Distance::Table(vec![vec![0.0]]))));
    unfit("distance_functions", fit(distances("job", Distance::Table(vec![vec![0.0]]))));
    // Without data every quantity that may change needs a range.
    unfit("feature_ranges", params().build(table()));
    unfit(
        "feature_ranges",
        quantiles.with_counterfactual_feature_indices(keys(&["age"])).build(table()),
    );
    assert!(params().with_counterfactual_feature_indices(keys(&["job"])).build(table()).is_ok());
    let constant = array![[20.0, 0.0, 1.0], [20.0, 1.0, 2.0]];
    unfit("feature_ranges", params().fit(&constant, table()));
    let missing = array![[f64::NAN, 0.0, 1.0], [f64::NAN, 1.0, 2.0]];
    unfit("feature_ranges", params().fit(&missing, table()));
    let constraints =
        Constraints { features: [("height".into(), Default::default())].into(), max_changes: None };
    unfit("constraints", fit(params().with_constraints(constraints)));
    let once = [("age".into(), 1.0), ("0".into(), 2.0)].into();
    unfit("step_sizes", fit(params().with_step_sizes(once)));
}

#[test]
fn datasets_that_do_not_fit_the_table_are_refused() {
    let fit = |rows: Array2<f64>| Params::default().fit(&rows, table()).unwrap_err().to_string();
    assert_eq!(fit(Array2::zeros((2, 2))), "the dataset must have shape [2, 3], got [2, 2]");
    assert_eq!(fit(Array2::zeros((0, 3))), "parameter `dataset` must be at least one row, got 0");
    let infinite = array![[f64::INFINITY, 0.0, 1.0]];
    assert_eq!(fit(infinite), "the dataset must be finite, got inf at [0, 0]");
    let uncoded = array![[1.0, 7.0, 1.0]];
    assert!(fit(uncoded).starts_with("feature `job` of row 0 must hold an integer code below 3"));
}

#[test]
fn instances_that_do_not_fit_are_refused_before_any_call() {
    let explainer = Params::default().fit(&dataset(), table()).unwrap();
    let model = Elementwise(|_: &[f64]| panic!("the model was called"));
    let explain =
        |x: ndarray::Array1<f64>| explainer.explain(&model, &x, Run::seeded(0)).unwrap_err();
    let error = explain(array![25.0, 7.0, 1.0]);
    assert!(matches!(&error, Error::Category { feature, .. } if feature == "job"), "{error}");
    // Longer than the table: the reference ignores the rest.
    assert!(matches!(explain(array![25.0, 1.0, 1.0, 1.0]), Error::Shape { .. }));
    assert!(matches!(explain(array![25.0, 1.0]), Error::Shape { .. }));
}

#[test]
fn warnings_have_codes() {
    let codes = |params: Params, rows: Array2<f64>, x: ndarray::Array1<f64>| -> Vec<String> {
        let explainer = params.fit(&rows, table()).unwrap();
        let model = Elementwise(|row: &[f64]| f64::from(u8::from(35.0 <= row[0])));
        let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        explanation.meta.warnings.into_iter().map(|warning| warning.code).collect()
    };
    let usual = || array![25.0, 1.0, 2.0];
    assert_eq!(codes(Params::default(), dataset(), usual()), Vec::<String>::new());
    let long = Params::default().with_max_counterfactual_length(4);
    assert_eq!(codes(long, dataset(), usual()), ["gridcf.length_clipped"]);
    let step = Params::default().with_step_sizes([("job".into(), 1.0)].into());
    assert_eq!(codes(step, dataset(), usual()), ["gridcf.categorical_step"]);
    let single = array![[20.0, 1.0, 1.0], [40.0, 1.0, 2.0]];
    assert_eq!(codes(Params::default(), single, usual()), ["gridcf.single_category"]);
    assert_eq!(codes(Params::default(), dataset(), array![5.0, 1.0, 9.0]), ["gridcf.out_of_range"]);
    let own = Some(Target::Class(Label::Index(0)));
    let own = Params::default().with_counterfactual_class(own);
    assert_eq!(codes(own, dataset(), usual()), ["gridcf.already_satisfied"]);
}

#[test]
fn params_are_one_table_of_toml_or_json() {
    let text = r#"{
        "counterfactual_class": "yes",
        "class_names": ["no", "yes"],
        "max_counterfactual_length": 0,
        "counterfactual_feature_indices": [0, "job"],
        "feature_ranges": {"age": [20, 60], "job": ["boss", "nurse"], "room": {"values": [1, 2.5]}},
        "step_sizes": {"age": 5},
        "distance_functions": {"age": {"scaled": 10}, "job": "mismatch"},
        "constraints": {"features": {"age": {"change": "up"}}}
    }"#;
    let params: Params = serde_json::from_str(text).unwrap();
    assert_eq!(params.counterfactual_class, Some(Target::Class(Label::from("yes"))));
    assert_eq!(params.feature_ranges[&"age".into()], FeatureRange::between(20.0, 60.0));
    assert_eq!(params.feature_ranges[&"job".into()], FeatureRange::names(["boss", "nurse"]));
    assert_eq!(params.distance_functions[&"age".into()], Distance::Scaled(10.0));
    let round: Params = serde_json::from_str(&serde_json::to_string(&params).unwrap()).unwrap();
    assert_eq!(round, params);
    assert!(params.build(table()).is_ok());
    let target = |text: &str| serde_json::from_str::<Target>(text);
    assert_eq!(target("3").unwrap(), Target::Class(Label::Index(3)));
    assert_eq!(target(r#"["a", 1]"#).unwrap(), Target::AnyOf(vec!["a".into(), 1.into()]));
    let sure = Target::Probability { class: 1.into(), at_least: 0.9 };
    assert_eq!(target(r#"{"class": 1, "at_least": 0.9}"#).unwrap(), sure);
    let level = Target::Interval { output: 0, min: Some(1.0), max: None };
    assert_eq!(target(r#"{"output": 0, "min": 1.0}"#).unwrap(), level);
    assert!(target(r#"{"output": 0, "least": 1.0}"#).is_err());
    for text in
        [r#"{"max_length": 2}"#, r#"{"feature_ranges": {"age": 3}}"#, r#"{"anchor": "max"}"#]
    {
        assert!(serde_json::from_str::<Params>(text).is_err(), "{text}");
    }
}

#[test]
fn an_explainer_that_was_tampered_with_is_refused() {
    let explainer = Params::default().fit(&dataset(), table()).unwrap();
    let saved = serde_json::to_string(&explainer).unwrap();
    assert_eq!(serde_json::from_str::<GridCounterfactual>(&saved).unwrap(), explainer);
    for (from, to) in [
        (r#"{"feature":2,"#, r#"{"feature":7,"#),
        (r#"{"categories":[0.0,1.0,2.0]}"#, r#"{"categories":[]}"#),
        (r#""step":1.0"#, r#""step":0.0"#),
        (r#""step":1.0"#, r#""step":1e-12"#),
        (r#"{"categories":[0.0,1.0,2.0]}"#, r#"{"categories":[0.0,1.0,9.0]}"#),
    ] {
        let wrong = saved.replace(from, to);
        assert_ne!(wrong, saved, "{from} is not in {saved}");
        assert!(serde_json::from_str::<GridCounterfactual>(&wrong).is_err(), "{to}");
    }
}
