//! What the outputs mean: the predicted class, results by name, and the figure.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, Axis, array};
use xai_core::decision::OutputSource;
use xai_core::figure::{Figure, Panel};
use xai_core::tabular::Features;
use xai_core::{
    BoxError, Error, Explainer, Explanation, Output, OutputNames, Predictor, Rows, Run,
};
use xai_shap::{KernelShapData, KernelShapParams, Link, Task, importances};

/// Outputs that are linear in the row, with names of classes, and with a meaning where the model declares one.
struct Named {
    weights: Array2<f64>,
    class_names: Vec<String>,
    declared: Option<Output>,
}

impl Named {
    fn new(weights: Array2<f64>, class_names: &[&str]) -> Self {
        let class_names = class_names.iter().map(|&name| name.to_owned()).collect();
        Named { weights, class_names, declared: None }
    }
}

impl Predictor for Named {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(batch.dot(&self.weights))
    }

    fn class_names(&self) -> Option<&[String]> {
        (!self.class_names.is_empty()).then_some(&self.class_names)
    }

    fn output(&self) -> Option<Output> {
        self.declared.clone()
    }
}

/// Explains the row `[1, 1]` against zeros, so that the values are the weights and the outputs their sums.
fn explain(params: KernelShapParams, model: &Named) -> Explanation<KernelShapData> {
    try_to_explain(params, model).unwrap()
}

fn try_to_explain(
    params: KernelShapParams,
    model: &Named,
) -> Result<Explanation<KernelShapData>, Error> {
    let features = Features::numeric(["age", "dose"]).unwrap();
    let explainer = params.fit(&Array2::zeros((1, 2)), features).unwrap();
    explainer.explain(model, &array![1.0, 1.0], Run::seeded(0))
}

fn params() -> KernelShapParams {
    KernelShapParams::default()
}

fn single(sum: f64, class_names: &[&str]) -> Named {
    Named::new(array![[0.25], [sum - 0.25]], class_names)
}

#[test]
fn the_largest_output_is_the_class() {
    let model = Named::new(array![[0.25, 0.5], [0.5, 0.75]], &["benign", "malignant"]);
    let explanation = explain(params(), &model);
    let reading = explanation.meta.output.as_ref().unwrap();
    assert_eq!((reading.meaning.as_str(), reading.source), ("classes", OutputSource::Assumed));
    assert_eq!(explanation.data.prediction, Some(1));
    assert_eq!(explanation.data.output_names, ["benign", "malignant"]);
    assert_eq!(explanation.attribution("malignant", "dose"), Some(0.75));
    assert_eq!(explanation.attribution("benign", "age"), Some(0.25));
    assert_eq!(explanation.attribution("0", "age"), None);
    assert_eq!(explanation.attribution("benign", "height"), None);
    // Of equals the first.
    let model = Named::new(array![[0.5, 0.5], [0.5, 0.5]], &[]);
    assert_eq!(explain(params(), &model).data.prediction, Some(0));
}

#[test]
fn a_single_probability_names_a_class() {
    for (sum, class) in [(0.75, 1), (0.5, 0), (0.25, 0), (0.0, 0), (1.0, 1)] {
        let explanation = explain(params(), &single(sum, &["benign", "malignant"]));
        let reading = explanation.meta.output.as_ref().unwrap();
        assert_eq!(reading.meaning, "probability");
        assert_eq!(reading.source, OutputSource::Assumed);
        assert_eq!(explanation.data.prediction, Some(class), "{sum}");
        assert_eq!(explanation.data.output_names, ["malignant"]);
        assert_eq!(explanation.attribution("malignant", "age"), Some(0.25));
    }
    // The class is that of the probability, on whatever scale the values are.
    let model = Named::new(array![[0.25], [0.125]], &[]);
    let x = array![1.0, 1.0];
    let fitted = params().with_link(Link::Logit).fit(&array![[0.5, 0.5]], two_features());
    let data = fitted.unwrap().explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!((data.prediction, data.output_names), (Some(0), vec!["0".to_owned()]));
    assert!(data.raw_prediction[0] < 0.0);
}

fn two_features() -> Features {
    Features::unnamed(2).unwrap()
}

#[test]
fn scores_and_quantities_name_no_class() {
    let score = explain(params(), &single(3.75, &[]));
    assert_eq!(score.data.prediction, None);
    assert_eq!(score.meta.output.unwrap().meaning, "score");
    assert_eq!(
        explain(params().with_output(Output::Score), &single(0.75, &[])).data.prediction,
        None
    );
    let within = Output::Within { tolerance: 0.5, target: 0 };
    assert_eq!(explain(params().with_output(within), &single(0.75, &[])).data.prediction, None);

    let quantity = explain(params().with_task(Task::Regression), &single(0.75, &["price"]));
    assert_eq!((quantity.data.prediction, &quantity.meta.output), (None, &None));
    assert_eq!(quantity.attribution("price", "age"), Some(0.25));
}

#[test]
fn the_setting_comes_before_the_model_and_the_model_before_the_outputs() {
    let bins = Output::Bins { edges: vec![0.0, 1.0, 2.0], target: 0 };
    let explanation = explain(params().with_output(bins.clone()), &single(1.5, &[]));
    let reading = explanation.meta.output.unwrap();
    assert_eq!((reading.meaning.as_str(), reading.source), ("bins", OutputSource::Set));
    assert_eq!(explanation.data.prediction, Some(2));

    let declared = Named { declared: Some(Output::Label), ..single(1.0, &[]) };
    let explanation = explain(params(), &declared);
    let reading = explanation.meta.output.unwrap();
    assert_eq!((reading.meaning.as_str(), reading.source), ("label", OutputSource::Declared));
    assert_eq!(explanation.data.prediction, Some(1));
    let declared = Named { declared: Some(Output::Label), ..single(-1.0, &[]) };
    assert_eq!(explain(params(), &declared).data.prediction, Some(-1));

    let interval = Output::Interval { min: Some(1.0), max: None, target: 0 };
    assert_eq!(explain(params().with_output(interval), &declared).data.prediction, Some(0));
    let refused = try_to_explain(params().with_output(Output::Classes), &declared);
    assert!(matches!(refused, Err(Error::Param(error)) if error.name == "output"));
}

#[test]
fn a_meaning_does_not_fit_a_regression() {
    let refused = params().with_task(Task::Regression).with_output(Output::Classes);
    match refused.fit(&Array2::zeros((1, 2)), Features::unnamed(2).unwrap()) {
        Err(Error::Param(error)) => assert_eq!(error.name, "output"),
        other => panic!("expected an error, got {other:?}"),
    }
}

/// The titles of the panels with bars, and the first cells of the table.
fn titles(figure: &Figure) -> (Vec<&str>, Vec<&str>) {
    let mut titles = (Vec::new(), Vec::new());
    for panel in &figure.panels {
        match panel {
            Panel::Bars(bars) => titles.0.push(bars.title.as_str()),
            Panel::Table(table) => titles.1.extend(table.rows.iter().map(|row| row[0].as_str())),
            _ => panic!("a figure of a table and bars"),
        }
    }
    titles
}

#[test]
fn figures_begin_with_the_predicted_output() {
    let weights = array![[0.25, 0.5, 0.0], [0.25, 0.75, 0.0]];
    let data = explain(params(), &Named::new(weights.clone(), &["a", "b", "c"])).data;
    let expected = vec!["b (predicted)", "a", "c"];
    assert_eq!(titles(&data.figure(&OutputNames::default())), (expected.clone(), expected));
    let names = OutputNames::new(["x", "y"]);
    assert_eq!(titles(&data.figure(&names)).0, ["y (predicted)", "x", "c"]);
    let data = explain(params(), &Named::new(weights, &[])).data;
    let expected = ["output 1 (predicted)", "output 0", "output 2"];
    assert_eq!(titles(&data.figure(&OutputNames::default())).0, expected);

    let names = OutputNames::new(["benign", "malignant"]);
    let class_1 = explain(params(), &single(0.75, &[])).data;
    assert_eq!(titles(&class_1.figure(&names)).0, ["malignant (predicted)"]);
    let class_0 = explain(params(), &single(0.25, &[])).data;
    assert_eq!(titles(&class_0.figure(&names)).0, ["malignant"]);
}

#[test]
fn importances_have_the_names_of_the_outputs() {
    let model = Named::new(array![[0.25, 0.5], [0.5, 0.25]], &["benign", "malignant"]);
    let ranked = importances([&explain(params(), &model).data]).unwrap();
    assert_eq!(ranked.output_names, ["benign", "malignant"]);
    let malignant = ranked.of_output("malignant").unwrap();
    assert_eq!(malignant, &ranked.per_output[1]);
    assert_eq!(malignant.names, ["age", "dose"]);
    assert_eq!(ranked.of_output("benign").unwrap().names, ["dose", "age"]);
    assert_eq!(ranked.of_output("0"), None);
}

#[test]
fn a_newer_document_of_the_same_schema_is_read() {
    let explanation = explain(params(), &single(0.75, &[]));
    let mut value = serde_json::to_value(&explanation).unwrap();
    value["data"]["a_later_field"] = 1.into();
    value["data"]["confidence_intervals"]["a_later_field"] = 1.into();
    value["data"]["ranking"][0]["a_later_field"] = 1.into();
    let read: Explanation<KernelShapData> = Explanation::from_json(&value.to_string()).unwrap();
    assert_eq!(read, explanation);
    let instance: Array1<f64> = read.data.instance;
    assert_eq!(instance.insert_axis(Axis(0)).dim(), (1, 2));
}
