//! What the model's outputs mean: probabilities, scores, labels and names of classes.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::array;
use xai_core::decision::OutputSource;
use xai_core::tabular::Features;
use xai_core::{Explainer, Output, Run, per_row};
use xai_gridcf::{
    FeatureRange, GridCounterfactual, GridCounterfactualData, GridCounterfactualParams, Label,
    Prediction, Target,
};

type Params = GridCounterfactualParams;

fn rows(data: &GridCounterfactualData) -> Vec<Vec<f64>> {
    data.counterfactuals.rows().into_iter().map(|row| row.to_vec()).collect()
}

/// A grid of the whole numbers from 0 to 9.
fn line(params: Params) -> GridCounterfactual {
    params
        .with_feature_ranges([(0.into(), FeatureRange::between(0.0, 9.0))].into())
        .build(Features::unnamed(1).unwrap())
        .unwrap()
}

/// One column between 0 and 1 is the probability of class 1, decided at a half.
#[test]
fn a_single_probability_has_two_classes() {
    let model = per_row(|row| row[0] / 10.0).with_class_names(["no", "yes"]);
    let explain = |params: Params| {
        let explanation = line(params).explain(&model, &array![2.5], Run::seeded(0)).unwrap();
        let meaning = explanation.meta.output.unwrap();
        assert_eq!((&*meaning.meaning, meaning.source), ("probability", OutputSource::Assumed));
        explanation.data
    };
    // Above a half, so that 5 is not enough.
    let data = explain(Params::default());
    assert_eq!((rows(&data), data.distances[0]), (vec![vec![6.0]], 3.5));
    assert_eq!(data.instance_prediction, Prediction::Name("no".to_owned()));
    assert_eq!(data.predictions, [Prediction::Name("yes".to_owned())]);
    let target = |target| Params::default().with_counterfactual_class(Some(target));
    assert_eq!(rows(&explain(target(Target::Class("yes".into())))), [[6.0]]);
    let sure = Target::Probability { class: "yes".into(), at_least: 0.8 };
    assert_eq!(rows(&explain(target(sure))), [[8.0]]);
    let unlikely = Target::Probability { class: 0.into(), at_least: 0.9 };
    assert_eq!(rows(&explain(target(unlikely))), [[1.0]]);
    let half = Target::Interval { output: 0, min: Some(0.5), max: None };
    assert_eq!(rows(&explain(target(half))), [[5.0]]);
    // The names of the settings come first; one name is that of class 1.
    let names = Some(vec!["ill".to_owned()]);
    let data = explain(Params::default().with_class_names(names));
    assert_eq!(data.instance_prediction, Prediction::Name("not ill".to_owned()));
    assert_eq!(data.predictions, [Prediction::Name("ill".to_owned())]);
}

#[test]
fn a_score_needs_a_meaning() {
    let model = per_row(|row| row[0] + 1.2);
    let explain = |params: Params| line(params).explain(&model, &array![2.5], Run::seeded(0));
    let error = explain(Params::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `output` must be `label`, `probability`, or an `interval`, `bins` or `within` for a model whose \
         single output is a score, got `auto`"
    );
    let answer = |params: Params| {
        let data = explain(params).unwrap().data;
        (rows(&data)[0][0], data.instance_prediction.to_string(), data.predictions[0].to_string())
    };
    let text = |value: f64, from: &str, to: &str| (value, from.to_owned(), to.to_owned());
    // What the message advises. The instance's output is 3.7.
    let bins = Output::Bins { edges: vec![4.0, 6.0], target: 0 };
    assert_eq!(answer(Params::default().with_output(bins.clone())), text(3.0, "0", "1"));
    let names = Some(["low", "middle", "high"].map(str::to_owned).to_vec());
    let high = Params::default()
        .with_output(bins)
        .with_class_names(names)
        .with_counterfactual_class(Some(Target::Class("high".into())));
    assert_eq!(answer(high), text(5.0, "low", "high"));
    let interval = Output::Interval { min: Some(3.0), max: Some(4.5), target: 0 };
    let outside = Params::default().with_output(interval);
    assert_eq!(answer(outside), text(1.0, "inside", "outside"));
    // 0.5 from the instance is not far enough, 1.5 is.
    let within = Params::default().with_output(Output::Within { tolerance: 1.0, target: 0 });
    assert_eq!(answer(within.clone()), text(1.0, "3.7", "2.2"));
    let class = within.with_counterfactual_class(Some(Target::Class(1.into())));
    let error = explain(class).unwrap_err().to_string();
    assert!(error.contains("`counterfactual_class` must be left out or an interval"), "{error}");
}

/// A model of labels says so, or looks like it; the labels need not follow each other.
#[test]
fn labels_are_classes() {
    let model = per_row(|row| if row[0] < 3.0 { 2.0 } else { 7.0 });
    let data = line(Params::default()).explain(&model, &array![1.0], Run::seeded(0)).unwrap().data;
    assert_eq!((rows(&data), &data.predictions[0]), (vec![vec![3.0]], &Prediction::Class(7)));
    let seven = Some(Target::Class(Label::Index(7)));
    let params = Params::default().with_counterfactual_class(seven);
    let declared = per_row(|row| if row[0] < 3.0 { 0.0 } else { 7.0 }).with_output(Output::Label);
    let explanation = line(params).explain(&declared, &array![1.0], Run::seeded(0)).unwrap();
    assert_eq!(rows(&explanation.data), [[3.0]]);
    assert_eq!(explanation.meta.output.unwrap().source, OutputSource::Declared);
}

#[test]
fn names_that_the_model_does_not_have_are_refused() {
    let model = per_row(|row| [-row[0], row[0]]).with_class_names(["no", "yes"]);
    let maybe = Some(Target::Class("maybe".into()));
    let explainer = line(Params::default().with_counterfactual_class(maybe));
    let error = explainer.explain(&model, &array![1.0], Run::seeded(0)).unwrap_err().to_string();
    assert!(error.contains("a name in `class_names` or of the model's classes"), "{error}");
}
