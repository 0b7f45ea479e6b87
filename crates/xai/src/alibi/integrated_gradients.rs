//! Integrated gradients: `IntegratedGradients` of alibi.

use serde_json::{Map, Value, json};

use super::error::Result;
use super::fields::{Object, depth};
use super::settings::{Setting, converted, derived, same};
use super::{Document, Layout, Native, derive_none, no_queries, object};

pub(super) const LAYOUT: Layout = Layout {
    name: "integrated-gradients",
    alibi_names: &["IntegratedGradients"],
    kinds: &["whitebox"],
    scope: &["local"],
    has_task: false,
    many: true,
    settings: &[&SETTINGS],
    derive: derive_target_fn,
    write,
    restore,
    read,
    queries: no_queries,
};

const SETTINGS: [Setting; 5] = [
    converted("method", alibi_method, method),
    same("n_steps"),
    same("internal_batch_size"),
    converted("layer", alibi_layer, layer),
    derived("target_fn"),
];

fn alibi_method(method: &Value) -> Value {
    match method.as_str() {
        Some("gauss-legendre") => "gausslegendre".into(),
        _ => super::settings::underscored(method),
    }
}

fn method(alibi: &Value) -> Value {
    match alibi.as_str() {
        Some("gausslegendre") => "gauss-legendre".into(),
        _ => super::settings::hyphenated(alibi),
    }
}

/// What alibi writes where no layer was given.
const NO_LAYER: &str = "unspecified";

fn alibi_layer(layer: &Value) -> Value {
    if layer.is_null() { NO_LAYER.into() } else { layer.clone() }
}

fn layer(alibi: &Value) -> Value {
    if alibi == NO_LAYER { Value::Null } else { alibi.clone() }
}

/// A function is described, not stored: `{"$fn": "argmax"}`.
fn derive_target_fn(native: &Native<'_>) -> Result<Object> {
    let predicted = native.params.optional("target").is_some_and(|target| target == "predicted");
    let function = if predicted { json!({ "$fn": "argmax" }) } else { Value::Null };
    let mut settings = derive_none(native)?;
    settings.insert("target_fn".to_owned(), function);
    Ok(settings)
}

fn restore(document: &Document<'_>, settings: &mut Object) -> Result<()> {
    if let Some(function) = document.params.optional("target_fn")
        && function["$fn"] == "argmax"
    {
        settings.insert("target".to_owned(), "predicted".into());
    }
    Ok(())
}

fn write(natives: &[Native<'_>]) -> Result<Object> {
    for native in natives {
        let reason = |n: usize| format!("alibi has one path for each instance, got {n}");
        let data = &native.data;
        let n_paths = data.list("deltas")?.len();
        if n_paths != 1 {
            return Err(data.no_place("deltas", reason(n_paths)));
        }
        for baselines in data.list("baselines")? {
            let n_baselines = baselines.as_array().map_or(0, Vec::len);
            if n_baselines != 1 {
                return Err(data.no_place("baselines", reason(n_baselines)));
            }
        }
    }
    let predictions = natives.iter().map(|native| native.data.get("predictions").cloned());
    let stack_tensors = |key: &str, first_of_axis: bool| {
        let tensor = |place: usize| {
            let of_instance = |native: &Native<'_>| {
                let tensor = native.data.element(key, place)?;
                Ok(if first_of_axis { tensor[0].clone() } else { tensor.clone() })
            };
            natives.iter().map(of_instance).collect::<Result<Vec<_>>>().map(Value::Array)
        };
        (0..natives[0].data.list(key)?.len()).map(tensor).collect::<Result<Vec<_>>>()
    };
    // One input is an array, several are a list of arrays.
    let array_or_list = |mut tensors: Vec<Value>| {
        if tensors.len() == 1 { tensors.remove(0) } else { Value::Array(tensors) }
    };
    let mut passed = Map::new();
    for (name, _) in natives[0].data.object("passed_inputs")?.iter() {
        let of_instance = |native: &Native<'_>| {
            native.data.object("passed_inputs").and_then(|passed| passed.get(name).cloned())
        };
        let rows = natives.iter().map(of_instance).collect::<Result<Vec<_>>>()?;
        passed.insert(name.clone(), rows.into());
    }
    let deltas = natives.iter().map(|native| native.data.element("deltas", 0).cloned());
    let targets: Vec<Value> = natives.iter().map(|native| native.data.or_null("target")).collect();
    let target =
        if targets.iter().all(Value::is_null) { Value::Null } else { Value::Array(targets) };
    Ok(object([
        ("attributions", stack_tensors("attributions", false)?.into()),
        ("X", array_or_list(stack_tensors("instance", false)?)),
        ("forward_kwargs", passed.into()),
        ("baselines", array_or_list(stack_tensors("baselines", true)?)),
        ("predictions", predictions.collect::<Result<Vec<_>>>()?.into()),
        ("deltas", deltas.collect::<Result<Vec<_>>>()?.into()),
        ("target", target),
    ]))
}

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let deltas = data.list("deltas")?;
    let n = deltas.len();
    let attributions: Vec<&Value> = data.list("attributions")?.iter().collect();
    let has_layer = document.params.optional("layer").is_some_and(|layer| layer != NO_LAYER);
    let instances = data.list("X")?;
    // Without a layer each input has attributions of its shape. With one the shapes do not tell a list of inputs from an
    // array, and the number of instances does.
    let is_list = match attributions.first() {
        Some(first) if !has_layer => depth(first) + 1 == depth(data.get("X")?),
        _ => instances.len() != n,
    };
    let tensors = |key: &str| -> Result<Vec<&Value>> {
        Ok(if is_list { data.list(key)?.iter().collect() } else { vec![data.get(key)?] })
    };
    let row = |key: &str, tensor: &Value, row: usize| {
        let expected = format!("arrays of {n} instances, as many as `deltas` has");
        let rows = tensor.as_array().filter(|rows| rows.len() == n);
        rows.map(|rows| rows[row].clone()).ok_or_else(|| data.form(key, &expected, tensor))
    };
    let rows = |key: &str, tensors: &[&Value], place: usize| {
        tensors.iter().map(|tensor| row(key, tensor, place)).collect::<Result<Vec<_>>>()
    };
    let (instances, baselines) = (tensors("X")?, tensors("baselines")?);
    let passed = data.optional_object("forward_kwargs")?;
    let of_row = |place: usize| {
        let passed = passed.iter().flat_map(|passed| passed.iter());
        let passed = passed.map(|(name, tensor)| {
            row("forward_kwargs", tensor, place).map(|value| (name.clone(), value))
        });
        let baselines = rows("baselines", &baselines, place)?;
        let target = match data.optional("target") {
            Some(targets) => row("target", targets, place)?,
            None => Value::Null,
        };
        Ok(object([
            ("attributions", rows("attributions", &attributions, place)?.into()),
            ("instance", rows("X", &instances, place)?.into()),
            ("passed_inputs", passed.collect::<Result<Object>>()?.into()),
            ("baselines", baselines.into_iter().map(|row| json!([row])).collect()),
            ("baseline_weights", json!([1.0])),
            ("predictions", row("predictions", data.get("predictions")?, place)?),
            ("deltas", json!([deltas[place]])),
            ("target", target),
        ]))
    };
    (0..n).map(of_row).collect()
}
