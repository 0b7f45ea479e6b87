//! The first explanation of the book: exact values of a model of three features, written, read and made again.
//!
//! Prints the document that the book shows.

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use ndarray::{Array2, Axis, array};
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Explanation, Rows, Run, RunConfig, Seed};
use xai_shap::{KernelShapData, KernelShapParams, Task, importances};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: model
    // An area and a margin: two factors that only matter together, and a term.
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        let outputs = batch.map_axis(Axis(1), |row| row[0] * row[1] + row[2]);
        Ok(outputs.insert_axis(Axis(1)))
    };
    // ANCHOR_END: model

    // ANCHOR: explain
    let params = KernelShapParams::default().with_task(Task::Regression);
    let features = Features::numeric(["width", "height", "margin"])?;
    // What an absent feature is replaced by: 0 for the factors, 0 or 2 for the term.
    let background = array![[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]];
    let explainer = params.fit(&background, features.clone())?;

    let x = array![2.0, 3.0, 5.0];
    let explanation = explainer.explain(&model, &x, Run::seeded(0))?;

    // The mean output over the background is 1, the output is 11, and the features share the 10 between them.
    let data = &explanation.data;
    assert_eq!(data.expected_value, array![1.0]);
    assert_eq!(data.shap_values, array![[3.0, 3.0, 4.0]]);
    assert_eq!(data.raw_prediction, array![11.0]);
    assert!(data.exact);
    assert_eq!(explanation.attribution("0", "margin"), Some(4.0));
    // ANCHOR_END: explain

    // ANCHOR: many
    let rows = array![[2.0, 3.0, 5.0], [1.0, 0.0, 0.0]];
    let mut kept = Vec::new();
    for result in explainer.explain_many(&model, &rows, &RunConfig::seeded(0)) {
        kept.push(result?.data);
    }
    assert_eq!(kept[0], explanation.data);
    let ranked = importances(&kept)?;
    assert_eq!(ranked.total.names, ["margin", "width", "height"]);
    // ANCHOR_END: many

    // ANCHOR: groups
    let groups = Some(vec![vec![0, 1], vec![2]]);
    let names = Some(vec!["area".to_owned(), "margin".to_owned()]);
    let grouped = KernelShapParams::default()
        .with_groups(groups)
        .with_group_names(names)
        .with_task(Task::Regression);
    let grouped =
        grouped.fit(&background, features.clone())?.explain(&model, &x, Run::seeded(0))?;
    assert_eq!(grouped.data.shap_values, array![[6.0, 4.0]]);
    // ANCHOR_END: groups

    println!("{}", serde_json::to_string_pretty(&explanation)?);

    // ANCHOR: read
    let text = include_str!("quickstart.json");
    let read: Explanation<KernelShapData> = Explanation::from_json(text)?;
    assert_eq!(read.data.feature_names, ["width", "height", "margin"]);

    // A reader that does not care which method it was.
    let any: Explanation<serde_json::Value> = Explanation::from_json(text)?;
    assert_eq!(any.data["expected_value"][0], 1.0);
    // ANCHOR_END: read

    // ANCHOR: replay
    let params: KernelShapParams = serde_json::from_value(read.meta.params)?;
    let seed: Seed = read.meta.seed.parse()?;
    let explainer = params.fit(&background, features)?;
    let again = explainer.explain(&model, &read.data.instance, Run::seeded(seed))?;
    assert_eq!(again.data, read.data);
    assert_eq!(again.to_json()?, explanation.to_json()?);
    // ANCHOR_END: replay
    Ok(())
}
