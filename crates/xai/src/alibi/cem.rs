//! Contrastive explanations: `CEM` of alibi.

use serde_json::{Value, json};

use super::error::Result;
use super::fields::{Fields, Object, batch_of_one, depth};
use super::settings::{Setting, by_feature, converted, derived, no_effect, pair_by_feature, same};
use super::{Document, Layout, Native, no_queries, object};

pub(super) const LAYOUT: Layout = Layout {
    name: "cem",
    alibi_names: &["CEM"],
    kinds: &GRADIENT_KINDS,
    scope: &["local"],
    has_task: false,
    many: false,
    settings: &[&SEARCH_SETTINGS, &SETTINGS],
    derive: derive_models,
    write,
    restore: restore_shape,
    read,
    queries: no_queries,
};

/// `meta.type` of alibi's explainers by gradients.
pub(super) const GRADIENT_KINDS: [&str; 3] = ["blackbox", "tensorflow", "keras"];

/// The settings of CEM that alibi's `CounterfactualProto` has too.
pub(super) const SEARCH_SETTINGS: [Setting; 15] = [
    derived("shape"),
    same("kappa"),
    same("beta"),
    pair_by_feature("feature_range"),
    same("gamma"),
    same("learning_rate_init"),
    same("max_iterations"),
    same("c_init"),
    same("c_steps"),
    pair_by_feature("eps"),
    same("clip"),
    same("update_num_grad"),
    derived("is_model"),
    derived("is_ae"),
    no_effect("write_dir", "null"),
];

const SETTINGS: [Setting; 3] =
    [converted("mode", upper_case, lower_case), by_feature("no_info_val"), same("no_info_type")];

fn upper_case(word: &Value) -> Value {
    word.as_str().map_or_else(|| word.clone(), |word| word.to_uppercase().into())
}

fn lower_case(word: &Value) -> Value {
    word.as_str().map_or_else(|| word.clone(), |word| word.to_lowercase().into())
}

/// The shape with its batch axis, and whether models with gradients were given.
pub(super) fn derive_models(native: &Native<'_>) -> Result<Object> {
    let mut lengths = vec![1];
    match shape(&native.data)? {
        Some(shape) => lengths.extend(shape),
        None => lengths.push(native.data.list("instance")?.len()),
    }
    Ok(object([
        ("shape", json!(lengths)),
        ("is_model", (native.meta.kind == xai_core::model::ModelKind::WhiteBox).into()),
        ("is_ae", native.params.number("gamma").is_ok_and(|gamma| 0.0 < gamma).into()),
    ]))
}

/// The shape of an image; rows of a table have none here.
pub(super) fn restore_shape(document: &Document<'_>, settings: &mut Object) -> Result<()> {
    if document.params.optional("shape").is_some() {
        let lengths = document.params.list("shape")?;
        let is_image = 2 < lengths.len();
        let shape = if is_image { Value::from(&lengths[1..]) } else { Value::Null };
        settings.insert("shape".to_owned(), shape);
    }
    Ok(())
}

fn shape(data: &Fields<'_>) -> Result<Option<Vec<usize>>> {
    if data.optional("shape").is_none() {
        return Ok(None);
    }
    let lengths = data.list("shape")?.iter();
    let lengths = lengths.map(|length| length.as_u64().and_then(|n| usize::try_from(n).ok()));
    let lengths = lengths.collect::<Option<Vec<_>>>();
    let expected = "a list of whole numbers of at least 0";
    lengths.map(Some).ok_or_else(|| data.form("shape", expected, &data.or_null("shape")))
}

/// The numbers by column under a key in the shape of the instance with a batch axis, `null` where there are none.
pub(super) fn write_row(data: &Fields<'_>, fields: &Fields<'_>, key: &str) -> Result<Value> {
    if fields.optional(key).is_none() {
        return Ok(Value::Null);
    }
    let row = fields.list(key)?;
    let shape = shape(data)?;
    batch_of_one(row, shape.as_deref()).ok_or_else(|| {
        let expected = format!("as many numbers as the shape {shape:?} has");
        fields.form(key, &expected, &fields.or_null(key))
    })
}

/// The shape of the instance as `data` has it: that of an image, `null` for a row of a table.
pub(super) fn read_shape(instance: &Value) -> Value {
    let mut lengths = Vec::new();
    let mut axis = &instance[0];
    for _ in 1..depth(instance) {
        lengths.push(axis.as_array().map_or(0, Vec::len));
        axis = &axis[0];
    }
    if lengths.len() < 2 { Value::Null } else { json!(lengths) }
}

fn write(natives: &[Native<'_>]) -> Result<Object> {
    let data = &natives[0].data;
    let mut written = object([
        ("PN", Value::Null),
        ("PP", Value::Null),
        ("PN_pred", Value::Null),
        ("PP_pred", Value::Null),
        ("grads_graph", write_row(data, data, "grads_graph")?),
        ("grads_num", write_row(data, data, "grads_num")?),
        ("X", write_row(data, data, "instance")?),
        ("X_pred", data.get("class")?.clone()),
    ]);
    let name = match data.text("mode")? {
        "pn" => "PN",
        "pp" => "PP",
        _ => return Err(data.form("mode", "\"pn\" or \"pp\"", &data.or_null("mode"))),
    };
    if let Some(result) = data.optional_object("result")? {
        written.insert(name.to_owned(), write_row(data, &result, "row")?);
        written.insert(format!("{name}_pred"), result.get("class")?.clone());
    }
    Ok(written)
}

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let name = match document.params.optional("mode") {
        Some(mode) => upper_case(mode),
        None if data.optional("PP").is_some() => "PP".into(),
        None => "PN".into(),
    };
    let name = name.as_str().filter(|name| ["PN", "PP"].contains(name));
    let name = name.ok_or_else(|| {
        document.params.form("mode", "\"PN\" or \"PP\"", &document.params.or_null("mode"))
    })?;
    let result = match data.optional(name) {
        Some(_) => json!({
            "row": data.flat_row(name)?,
            "class": data.get(&format!("{name}_pred"))?,
        }),
        None => Value::Null,
    };
    let status = if result.is_null() { "not-found" } else { "found" };
    Ok(vec![object([
        ("mode", name.to_lowercase().into()),
        ("status", status.into()),
        ("instance", data.flat_row("X")?),
        ("class", data.get("X_pred")?.clone()),
        ("result", result),
        ("grads_graph", data.optional_flat_row("grads_graph")?),
        ("grads_num", data.optional_flat_row("grads_num")?),
        ("shape", read_shape(data.get("X")?)),
    ])])
}
