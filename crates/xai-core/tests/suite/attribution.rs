//! Results by name: outputs by their names or indices.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;
use xai_core::explanation::{SCHEMA, VERSION};
use xai_core::{Attributions, Explanation, Meta, ModelKind, OutputNames};

struct Table {
    names: OutputNames,
    values: Vec<[f64; 2]>,
}

impl Attributions for Table {
    fn attribution(&self, output: &str, feature: &str) -> Option<f64> {
        let output = self.names.find_output(output, self.values.len())?;
        let feature = ["age", "dose"].iter().position(|&name| name == feature)?;
        Some(self.values[output][feature])
    }
}

fn explanation(names: &[&str], values: Vec<[f64; 2]>) -> Explanation<Table> {
    let meta = Meta {
        name: "table".to_owned(),
        kind: ModelKind::BlackBox,
        task: None,
        scope: vec![],
        params: json!({}),
        version: VERSION.to_owned(),
        seed: "0".to_owned(),
        queries: 0,
        output: None,
        warnings: vec![],
    };
    let data = Table { names: names.iter().copied().collect(), values };
    Explanation { schema: SCHEMA.to_owned(), meta, data }
}

#[test]
fn attributions_are_found_by_name() {
    let values = vec![[1.0, 2.0], [3.0, 4.0]];
    let named = explanation(&["benign", "malignant"], values.clone());
    assert_eq!(named.attribution("malignant", "dose"), Some(4.0));
    assert_eq!(named.attribution("benign", "age"), Some(1.0));
    assert_eq!(named.attribution("1", "age"), None);
    assert_eq!(named.attribution("malignant", "height"), None);
    let unnamed = explanation(&[], values.clone());
    assert_eq!(unnamed.attribution("1", "age"), Some(3.0));
    assert_eq!(unnamed.attribution("2", "age"), None);
    // An output beyond the names has its index.
    assert_eq!(explanation(&["first"], values).attribution("1", "dose"), Some(4.0));
}

#[test]
fn a_single_output_has_the_name_of_class_1() {
    let values = || vec![[1.0, 2.0]];
    let probability = explanation(&["benign", "malignant"], values());
    assert_eq!(probability.attribution("malignant", "age"), Some(1.0));
    assert_eq!(probability.attribution("benign", "age"), None);
    assert_eq!(explanation(&["price"], values()).attribution("price", "dose"), Some(2.0));
    // The names of three classes are those of labels, and the output is none of them.
    let labels = explanation(&["setosa", "versicolor", "virginica"], values());
    assert_eq!(labels.attribution("0", "dose"), Some(2.0));
    assert_eq!(labels.attribution("setosa", "dose"), None);
    assert_eq!(labels.data.names.output(0, 1), "output 0");
}
