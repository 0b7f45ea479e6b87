//! Native documents written in alibi's layout, and documents of alibi read.

#![allow(clippy::needless_pass_by_value, reason = "documents are written where they are passed")]

use serde_json::{Value, json};
use xai::Explanation;

mod anchors;
mod counterfactuals;
mod documents;
mod integrated_gradients;
mod kernel_shap;

/// A native document as the method crates write it.
fn native(name: &str, kind: &str, params: Value, data: Value) -> Explanation<Value> {
    let document = json!({
        "schema": "xai-explanation/1",
        "meta": {
            "name": name,
            "type": kind,
            "scope": ["local"],
            "params": params,
            "version": "0.1.0",
            "seed": "7",
            "queries": 1701,
            "warnings": [],
        },
        "data": data,
    });
    serde_json::from_value(document).expect("a native document")
}

/// Two objects in one.
fn merged(mut first: Value, second: Value) -> Value {
    let (Value::Object(fields), Value::Object(others)) = (&mut first, second) else {
        panic!("two objects");
    };
    fields.extend(others);
    first
}
