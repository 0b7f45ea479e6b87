//! Counterfactuals by grid search. FAT Forensics' `CounterfactualExplainer` returns a tuple of three arrays and writes no
//! document; these are its arrays, with what they are about, in an object like those of alibi.

use serde_json::{Value, json};

use super::error::Result;
use super::fields::Object;
use super::settings::{Setting, renamed, same};
use super::{Document, Layout, Native, derive_none, object, restore_none};

pub(super) const LAYOUT: Layout = Layout {
    name: "grid-counterfactual",
    alibi_names: &["CounterfactualExplainer"],
    kinds: &["blackbox"],
    scope: &["local"],
    has_task: false,
    many: false,
    settings: &[&SETTINGS],
    derive: derive_none,
    write,
    restore: restore_none,
    read,
    queries: |document| document.data.optional("n_predictions").and_then(Value::as_u64),
};

const SETTINGS: [Setting; 7] = [
    same("max_counterfactual_length"),
    same("feature_ranges"),
    same("step_sizes"),
    same("counterfactual_feature_indices"),
    same("normalise_distance"),
    same("counterfactual_class"),
    renamed("distance", "distance_functions"),
];

fn write(natives: &[Native<'_>]) -> Result<Object> {
    let Native { meta, data, .. } = &natives[0];
    let mut changed = Vec::new();
    for changes in data.list("changes")? {
        let changes = changes.as_array().map(Vec::as_slice).unwrap_or_default();
        changed.push(changes.iter().map(|change| change["feature"].clone()).collect::<Value>());
    }
    let mut written = object([
        ("changed_features", changed.into()),
        ("n_predictions", meta.queries.into()),
        ("truncated", (data.text("stop")? != "converged").into()),
    ]);
    for key in ARRAYS {
        written.insert(key.to_owned(), data.get(key)?.clone());
    }
    Ok(written)
}

/// What has the same name and form in both.
const ARRAYS: [&str; 5] =
    ["instance", "instance_prediction", "counterfactuals", "distances", "predictions"];

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let truncated = data.optional("truncated") == Some(&Value::Bool(true));
    let found = !data.list("counterfactuals")?.is_empty();
    // A class that was asked for may be the instance's, so that an empty answer says nothing of others.
    let asked_for = document.params.optional("counterfactual_class").is_some();
    let status = match (found, truncated, asked_for) {
        (true, ..) => Some("found"),
        (false, true, _) => Some("stopped"),
        (false, false, false) => Some("none-exists"),
        (false, false, true) => None,
    };
    let feature = |name: &Value| json!({ "feature": name });
    let changes =
        |names: &Value| -> Value { names.as_array().into_iter().flatten().map(feature).collect() };
    let changes: Value = data.list_or_empty("changed_features")?.iter().map(changes).collect();
    let mut native = object([("changes", changes)]);
    native.extend(status.map(|status| ("status".to_owned(), status.into())));
    if !truncated {
        native.insert("stop".to_owned(), "converged".into());
    }
    for key in ARRAYS {
        native.insert(key.to_owned(), data.get(key)?.clone());
    }
    Ok(vec![native])
}
