//! KernelSHAP: `KernelShap` of alibi.

use serde_json::{Map, Value, json};

use super::error::{AlibiError, Result};
use super::fields::{Object, depth, number, number_value};
use super::settings::{Setting, converted, derived, no_effect, same};
use super::{Document, Layout, Native, no_queries, object, restore_none};

pub(super) const LAYOUT: Layout = Layout {
    name: "kernel-shap",
    alibi_names: &["KernelShap"],
    kinds: &["blackbox"],
    scope: &["local", "global"],
    has_task: true,
    many: true,
    settings: &[&SETTINGS],
    derive,
    write,
    restore: restore_none,
    read,
    queries: no_queries,
};

const SETTINGS: [Setting; 9] = [
    same("link"),
    same("group_names"),
    same("groups"),
    same("weights"),
    same("summarise_result"),
    converted("summarise_background", is_summarised, summary),
    derived("grouped"),
    no_effect("transpose", "false"),
    no_effect("kwargs", "{}"),
];

/// Alibi records whether, not how.
fn is_summarised(how: &Value) -> Value {
    (!(how.is_null() || how == "none" || how == false)).into()
}

fn summary(is_summarised: &Value) -> Value {
    match is_summarised {
        Value::Null | Value::Bool(false) => "none".into(),
        Value::Bool(true) => "auto".into(),
        // A way by its name here.
        how => how.clone(),
    }
}

fn derive(native: &Native<'_>) -> Result<Object> {
    let grouped = ["groups", "group_names"].iter().any(|key| native.params.optional(key).is_some());
    Ok(object([("grouped", grouped.into())]))
}

fn write(natives: &[Native<'_>]) -> Result<Object> {
    let first = &natives[0];
    let once = ["expected_value", "feature_names", "categorical_names"];
    for native in natives {
        for key in once {
            if native.data.get(key)? != first.data.get(key)? {
                let (document, key) = (LAYOUT.name.to_owned(), format!("data.{key}"));
                return Err(AlibiError::Differ { document, key });
            }
        }
    }
    let n_outputs = first.data.list("expected_value")?.len();
    let n_features = first.data.list("feature_names")?.len();
    let rows_of = |output: usize| {
        let row = |native: &Native<'_>| {
            let row = native.data.element("shap_values", output)?;
            let has_length = row.as_array().is_some_and(|row| row.len() == n_features);
            let expected = format!("lists of {n_features} numbers, one for each feature");
            if has_length {
                Ok(row.clone())
            } else {
                Err(native.data.form("shap_values", &expected, row))
            }
        };
        natives.iter().map(row).collect::<Result<Vec<Value>>>()
    };
    let shap_values = (0..n_outputs).map(rows_of).collect::<Result<Vec<_>>>()?;
    let importances = importances(&shap_values, first.data.list("feature_names")?)
        .ok_or_else(|| first.data.form("shap_values", "numbers", &Value::Null))?;
    let is_regression = first.meta.task.as_deref() == Some("regression");
    let mut raw_prediction = Vec::new();
    let mut prediction = Vec::new();
    for native in natives {
        let outputs = native.data.list("raw_prediction")?;
        // A model with one output has no axis of outputs.
        raw_prediction.push(if n_outputs == 1 {
            native.data.element("raw_prediction", 0)?.clone()
        } else {
            outputs.into()
        });
        if !is_regression {
            let decided = native.data.optional("prediction").cloned();
            prediction.push(decided.unwrap_or_else(|| largest(outputs).into()));
        }
    }
    let instances = natives.iter().map(|native| native.data.get("instance").cloned());
    let raw = json!({
        "raw_prediction": raw_prediction,
        "prediction": prediction,
        "instances": instances.collect::<Result<Vec<_>>>()?,
        "importances": importances,
    });
    Ok(object([
        ("shap_values", shap_values.into()),
        ("expected_value", first.data.or_null("expected_value")),
        ("categorical_names", first.data.or_null("categorical_names")),
        ("feature_names", first.data.or_null("feature_names")),
        ("raw", raw),
    ]))
}

/// The index of the largest output, the first of equals: what alibi predicts where the outputs are no decision.
fn largest(outputs: &[Value]) -> usize {
    let numbers = outputs.iter().map(|output| number(output).unwrap_or(f64::NAN));
    let mut best = (0, f64::NEG_INFINITY);
    for (index, output) in numbers.enumerate() {
        if best.1 < output {
            best = (index, output);
        }
    }
    best.0
}

/// The features by their mean effect over the instances, for each output and for the sum over the outputs, as alibi ranks
/// them: ties in reverse order of the features. `None` where a value is no number.
fn importances(shap_values: &[Vec<Value>], names: &[Value]) -> Option<Object> {
    let mut ranked = Map::new();
    let mut total = vec![0.0; names.len()];
    for (output, rows) in shap_values.iter().enumerate() {
        let mut effects = vec![0.0; names.len()];
        for row in rows {
            for (effect, value) in effects.iter_mut().zip(row.as_array()?) {
                *effect += number(value)?.abs();
            }
        }
        for (effect, total) in effects.iter_mut().zip(&mut total) {
            *effect /= rows.len() as f64;
            *total += *effect;
        }
        ranked.insert(output.to_string(), rank(&effects, names));
    }
    ranked.insert("aggregated".to_owned(), rank(&total, names));
    Some(ranked)
}

fn rank(effects: &[f64], names: &[Value]) -> Value {
    let mut order: Vec<usize> = (0..effects.len()).collect();
    order.sort_by(|&a, &b| effects[a].total_cmp(&effects[b]));
    order.reverse();
    let effects: Vec<Value> = order.iter().map(|&feature| number_value(effects[feature])).collect();
    let names: Vec<&Value> = order.iter().map(|&feature| &names[feature]).collect();
    json!({ "ranked_effect": effects, "names": names })
}

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let raw = data.object("raw")?;
    // An instance that was given as a row has no axis of instances in some of the arrays.
    let rows = |values: &Value, rank: usize| match values {
        Value::Array(list) if depth(values) == rank => list.clone(),
        other => vec![other.clone()],
    };
    let shap_values: Vec<Vec<Value>> =
        data.list("shap_values")?.iter().map(|values| rows(values, 2)).collect();
    let instances = rows(raw.get("instances")?, 2);
    let n = instances.len();
    if let Some(other) = shap_values.iter().find(|rows| rows.len() != n) {
        let expected = format!("arrays of {n} rows, as many as `raw.instances` has");
        return Err(data.form("shap_values", &expected, &Value::Array(other.clone())));
    }
    let n_outputs = shap_values.len();
    let outputs = raw.list("raw_prediction")?;
    let is_flat = outputs.iter().all(|output| !output.is_array());
    let outputs: Vec<Value> = match is_flat {
        true if n_outputs != 1 && n == 1 => vec![outputs.into()],
        true => outputs.iter().map(|output| json!([output])).collect(),
        false => outputs.to_vec(),
    };
    if outputs.len() != n {
        let expected = format!("{n} rows, as many as `raw.instances` has");
        return Err(raw.form("raw_prediction", &expected, raw.get("raw_prediction")?));
    }
    // With one output alibi says the number of an instance here, which is no class.
    let classes = raw.list_or_empty("prediction")?;
    let class = |row: usize| {
        if classes.len() == n { classes[row].clone() } else { Value::Null }
    };
    let expected_value = match data.get("expected_value")? {
        Value::Array(values) => values.clone(),
        single => vec![single.clone()],
    };
    let names: Vec<String> = (0..n_outputs).map(|output| output.to_string()).collect();
    let of_row = |row: usize| {
        let values: Vec<&Value> = shap_values.iter().map(|rows| &rows[row]).collect();
        object([
            ("shap_values", json!(values)),
            ("expected_value", expected_value.clone().into()),
            ("feature_names", data.or_null("feature_names")),
            ("categorical_names", data.or_null("categorical_names")),
            ("output_names", names.clone().into()),
            ("raw_prediction", outputs[row].clone()),
            ("prediction", class(row)),
            ("instance", instances[row].clone()),
        ])
    };
    Ok((0..n).map(of_row).collect())
}
