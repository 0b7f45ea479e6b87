//! What is refused, and by which name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::array;
use xai_cem::{CemModel, CemParams, Mode};
use xai_core::constraints::Constraints;
use xai_core::tabular::Features;
use xai_core::{Error, Explainer, Output, PerFeature, Run, Semantics, per_row};
use xai_testkit::{Linear, Logistic, Probe, refused};

fn features() -> Features {
    Features::unnamed(2).unwrap()
}

fn given() -> CemParams {
    CemParams::default().with_no_info_val(Some(PerFeature::All(0.0)))
}

#[test]
fn parameters_outside_their_range() {
    let base = CemParams::default;
    for value in [-0.1, f64::NAN, f64::INFINITY] {
        refused("kappa", base().with_kappa(value));
        refused("beta", base().with_beta(value));
        refused("gamma", base().with_gamma(value));
        refused("learning_rate_init", base().with_learning_rate_init(value));
        refused("c_init", base().with_c_init(value));
    }
    refused("c_init", base().with_c_init(0.0));
    refused("learning_rate_init", base().with_learning_rate_init(0.0));
    refused("max_iterations", base().with_max_iterations(0));
    refused("c_steps", base().with_c_steps(0));
    refused("update_num_grad", base().with_update_num_grad(0));
    refused("clip", base().with_clip((1.0, 1.0)));
    refused("clip", base().with_clip((f64::NAN, 1.0)));
    let all = PerFeature::All;
    refused("feature_range", base().with_feature_range((all(f64::NAN), all(1.0))));
    refused("eps", base().with_eps(Some((all(1e-3), all(0.0)))));
    refused("no_info_val", base().with_no_info_val(Some(all(f64::NAN))));
    refused("shape", base().with_shape(Some(vec![8])));
    refused("shape", base().with_shape(Some(vec![0, 8])));
    refused("min_target_proba", base().with_min_target_proba(Some(1.5)));
    let interval = Output::Interval { min: Some(1.0), max: Some(0.0), target: 0 };
    refused("output", base().with_output(interval));
    let mode = Mode::PertinentPositive;
    refused("target_class", base().with_mode(mode).with_target_class(Some(vec![1])));
    let interval = Output::Interval { min: None, max: None, target: 0 };
    refused("kappa", base().with_output(interval).with_kappa(0.1));
    let constraints = Constraints { max_changes: Some(1), ..Default::default() };
    let semantics = Semantics::Reference;
    refused("constraints", base().with_constraints(constraints).with_semantics(semantics));
}

#[test]
fn parameters_that_do_not_fit_the_table() {
    let named = |params: CemParams| match params.build(features()) {
        Err(Error::Param(error)) => error.name,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(CemParams::default()), "no_info_val");
    let three = PerFeature::Each(vec![0.0; 3]);
    assert_eq!(named(given().with_no_info_val(Some(three.clone()))), "no_info_val");
    let range = (three.clone(), PerFeature::All(1.0));
    assert_eq!(named(given().with_feature_range(range)), "feature_range");
    let range = (PerFeature::All(1.0), PerFeature::All(-1.0));
    assert_eq!(named(given().with_feature_range(range)), "feature_range");
    let eps = Some((PerFeature::All(1e-3), PerFeature::Each(vec![1e-3; 3])));
    assert_eq!(named(given().with_eps(eps)), "eps");
    assert_eq!(named(given().with_shape(Some(vec![2, 2]))), "shape");
    let range = (PerFeature::All(0.5), PerFeature::All(1.0));
    let positive = given().with_mode(Mode::PertinentPositive).with_feature_range(range);
    assert_eq!(named(positive), "no_info_val");
}

#[test]
fn instances_and_models_that_do_not_fit() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let named = |params: CemParams, view: CemModel<'_>| {
        let explainer = params.build(features()).unwrap();
        match explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)) {
            Err(Error::Param(error)) => error.name,
            other => panic!("{other:?}"),
        }
    };
    let probe = Probe::new(&model);
    let view = CemModel::white_box(&probe);
    let narrow = (PerFeature::All(-0.5), PerFeature::All(0.7));
    assert_eq!(named(given().with_feature_range(narrow.clone()), view), "feature_range");
    assert_eq!(named(given().with_gamma(1.0), view), "gamma");
    assert_eq!(probe.calls(), 0);
    assert_eq!(named(given().with_target_class(Some(vec![1])), view), "target_class");
    assert_eq!(named(given().with_kappa(1.0), view), "kappa");
    let interval = Output::Interval { min: Some(0.0), max: None, target: 1 };
    let params = given().with_output(interval);
    assert_eq!(named(params, view), "output");
    // A single score is no probability.
    let score = Linear::new(&[3.0, 1.0], 2.0);
    assert_eq!(named(given(), CemModel::white_box(&score)), "output");
    // A widened range lets the instance be where it is.
    let params = given().with_feature_range(narrow).with_widen_range(true);
    let explainer = params.build(features()).unwrap();
    explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap();
}

#[test]
fn scores_are_taken_with_a_warning() {
    let scores = Linear::outputs(array![[1.0, 2.0], [-1.0, 0.0]], array![0.0, 0.5]);
    let explainer = given().build(features()).unwrap();
    let view = CemModel::white_box(&scores);
    let meta = explainer.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap().meta;
    assert_eq!(meta.warnings[0].code, "cem.not_probabilities");
}

#[test]
fn fitted_values_without_information() {
    let rows = array![[1.0, 10.0], [2.0, 20.0], [9.0, 0.0], [4.0, 2.0]];
    let fitted = CemParams::default().fit(&rows, features()).unwrap();
    assert_eq!(fitted.no_info_val(), &array![3.0, 6.0]);
    let mean = given().with_no_info_type(xai_cem::NoInfo::Mean);
    let fitted = mean.fit(&rows, features()).unwrap();
    assert_eq!(fitted.no_info_val(), &array![4.0, 8.0]);
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let view = CemModel::white_box(&model);
    let meta = fitted.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap().meta;
    assert_eq!(meta.warnings[0].code, "cem.no_info_overwritten");
    assert!(matches!(
        CemParams::default().fit(&rows.slice(ndarray::s![..0, ..]), features()),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn two_explainers_keep_their_own_ranges() {
    let model = Logistic::new(&[2.0, -1.0], 0.5);
    let view = CemModel::white_box(&model);
    let ranged = |max: f64| {
        let no_info_val = Some(PerFeature::All(-5.0));
        let feature_range = (PerFeature::All(-10.0), PerFeature::All(max));
        CemParams::default()
            .with_no_info_val(no_info_val)
            .with_feature_range(feature_range)
            .build(features())
            .unwrap()
    };
    let (narrow, wide) = (ranged(2.0), ranged(10.0));
    for _ in 0..2 {
        let found = |cem: &xai_cem::Cem| {
            cem.explain(view, &array![1.0, 0.5], Run::seeded(0)).unwrap().data.result
        };
        assert!(found(&narrow).is_none());
        assert!(2.5 <= found(&wide).unwrap().row[1]);
    }
}

#[test]
fn settings_stand_side_by_side_and_unknown_keys_are_refused_by_name() {
    let params = CemParams::default().with_kappa(0.1).with_c_steps(3).with_polish(Some(false));
    let value = serde_json::to_value(&params).unwrap();
    // The settings of the search stand among the others.
    assert_eq!((&value["kappa"], &value["c_steps"]), (&0.1.into(), &3.into()));
    assert_eq!(value["learning_rate_init"], 0.01);
    assert!(value.get("search").is_none() && value.get("unknown").is_none());
    assert_eq!(serde_json::from_value::<CemParams>(value).unwrap(), params);
    let read = |text: &str| serde_json::from_str::<CemParams>(text);
    assert_eq!(read("{}").unwrap(), CemParams::default());
    let given =
        read("{\"mode\":\"pp\",\"c_steps\":3,\"output\":{\"interval\":{\"min\":1}}}").unwrap();
    assert_eq!((given.mode, given.search.c_steps), (Mode::PertinentPositive, 3));
    let interval = Output::Interval { min: Some(1.0), max: None, target: 0 };
    assert_eq!(given.search.output, interval);
    for wrong in ["{\"kapa\":1}", "{\"c_steps\":3,\"kapa\":1}", "{\"kapa\":null,\"mode\":\"pn\"}"] {
        let message = read(wrong).unwrap_err().to_string();
        assert!(message.contains("`kapa`") && message.contains("`kappa`"), "{message}");
        assert!(message.contains("`patience`"), "{message}");
    }
    let schema = serde_json::to_value(schemars::schema_for!(CemParams)).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let (keys, written) = (
        schema["properties"].as_object().unwrap(),
        serde_json::to_value(CemParams::default()).unwrap(),
    );
    assert!(written.as_object().unwrap().keys().all(|key| keys.contains_key(key)));
    assert_eq!(keys.len(), written.as_object().unwrap().len());
}

#[test]
fn outputs_are_read_as_the_setting_the_model_or_the_numbers_say() {
    let explainer = given().build(features()).unwrap();
    let x = array![1.0, 0.5];
    let sigmoid = |row: &xai_core::Row| 1.0 / (1.0 + (-(2.0 * row[0] - row[1] + 0.5)).exp());
    let model = per_row(sigmoid).with_class_names(["refused", "approved"]);
    let explained = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
    let output = serde_json::to_value(&explained.meta.output).unwrap();
    assert_eq!(output, serde_json::json!({ "meaning": "probability", "source": "assumed" }));
    assert_eq!(explained.data.classes.names, ["refused", "approved"]);
    let title = explained.data.figure(&xai_core::OutputNames::default()).title;
    assert_eq!(title, "approved would be refused");
    let title = explained.data.figure(&xai_core::OutputNames::new(["yes"])).title;
    assert_eq!(title, "yes would be not yes");
    // A score is refused with the settings that would do; a label has no gradient.
    let is_named = |error: String| {
        assert!(error.contains("`output`") && error.contains("`interval`"), "{error}");
    };
    for score in [3.7, 2.0] {
        let constant = per_row(move |_: &xai_core::Row| score);
        is_named(explainer.explain(&constant, &x, Run::seeded(0)).unwrap_err().to_string());
    }
    // What no model could make right is refused before the model is asked.
    for output in [Output::Label, Output::Score] {
        is_named(given().with_output(output).build(features()).unwrap_err().to_string());
    }
}

#[test]
fn a_quantity_is_moved_out_of_an_interval() {
    // 2 x_0 - x_1 is 1.5 at the instance, and leaves [1, 5] below.
    let model = per_row(|row| 2.0 * row[0] - row[1]);
    let interval = Output::Interval { min: Some(1.0), max: Some(5.0), target: 0 };
    let explainer = CemParams::default()
        .with_output(interval)
        .with_no_info_val(Some(PerFeature::Each(vec![1.0, 0.5])))
        .build(features())
        .unwrap();
    let explained = explainer.explain(&model, &array![1.0, 0.5], Run::seeded(0)).unwrap();
    let result = explained.data.result.unwrap();
    assert_eq!((explained.data.class, result.class), (1, 0));
    assert!((0.99..1.0).contains(&result.outputs[0]), "{}", result.outputs);
    assert_eq!(explained.data.classes.names, ["outside", "inside"]);
}
