//! Prototype counterfactuals: `CounterfactualProto` of alibi.

use serde_json::{Map, Value, json};
use xai_core::model::ModelKind;

use super::cem::{
    GRADIENT_KINDS, SEARCH_SETTINGS, derive_models, read_shape, restore_shape, write_row,
};
use super::error::Result;
use super::fields::{Object, number, number_value};
use super::outputs::Outputs;
use super::settings::{Setting, converted, derived, hyphenated, same, underscored};
use super::{Document, Layout, Native, no_queries, object};

pub(super) const LAYOUT: Layout = Layout {
    name: "cfproto",
    alibi_names: &["CounterfactualProto", "CounterFactualProto"],
    kinds: &GRADIENT_KINDS,
    scope: &["local"],
    has_task: false,
    many: false,
    settings: &[&SEARCH_SETTINGS, &SETTINGS],
    derive,
    write,
    restore: restore_shape,
    read,
    queries: no_queries,
};

const SETTINGS: [Setting; 15] = [
    same("theta"),
    same("use_kdtree"),
    converted("trustscore_kwargs", alibi_trust_score, trust_score),
    same("d_type"),
    same("w"),
    same("disc_perc"),
    same("standardize_cat_vars"),
    same("smooth"),
    same("center"),
    same("update_feature_range"),
    derived("cat_vars"),
    derived("ohe"),
    derived("is_cat"),
    derived("is_enc"),
    derived("enc_or_kdtree"),
];

fn alibi_trust_score(settings: &Value) -> Value {
    with_filter(settings, underscored)
}

fn trust_score(settings: &Value) -> Value {
    with_filter(settings, hyphenated)
}

fn with_filter(settings: &Value, convert: fn(&Value) -> Value) -> Value {
    let mut settings = settings.clone();
    if let Some(filter) = settings.get_mut("filter_type") {
        *filter = convert(filter);
    }
    settings
}

/// What the data tell of the categories and of the encoder. The columns of categories stand in no explanation.
fn derive(native: &Native<'_>) -> Result<Object> {
    let (params, data) = (&native.params, &native.data);
    let mut settings = derive_models(native)?;
    let has_prototypes = data.optional("id_proto").is_some();
    let uses_tree = params.optional("use_kdtree") == Some(&Value::Bool(true));
    let is_one_hot = data.list("feature_names")?.len() != data.list("instance")?.len();
    settings.insert("cat_vars".to_owned(), Value::Null);
    settings.insert("ohe".to_owned(), is_one_hot.into());
    settings.insert("is_cat".to_owned(), if is_one_hot { true.into() } else { Value::Null });
    settings.insert("is_enc".to_owned(), (has_prototypes && !uses_tree).into());
    settings.insert("enc_or_kdtree".to_owned(), has_prototypes.into());
    Ok(settings)
}

fn write(natives: &[Native<'_>]) -> Result<Object> {
    let data = &natives[0].data;
    let outputs = Outputs::of(data)?;
    let cf = match data.optional_object("cf")? {
        Some(cf) => {
            let Gradients { graph, numeric } = gradients(&natives[0])?;
            json!({
                "X": write_row(data, &cf, "row")?,
                "class": cf.get("class")?,
                "proba": [outputs.proba(&cf)?],
                "grads_graph": graph,
                "grads_num": numeric,
            })
        }
        None => Value::Null,
    };
    Ok(object([
        ("cf", cf),
        // The points that a weight improved on are not kept.
        ("all", Map::new().into()),
        ("orig_class", data.get("class")?.clone()),
        ("orig_proba", json!([outputs.proba(data)?])),
        ("id_proto", data.or_null("id_proto")),
    ]))
}

/// Alibi's gradients at a counterfactual, with a batch axis; `null` where they are not known.
struct Gradients {
    graph: Value,
    numeric: Value,
}

/// The native gradients are those of the loss beside the attack, and of how far a wanted class is ahead. Alibi's second
/// one is that of the attack loss, whose hinge counts how far the class is behind: times `-c`, and cut to `clip`. For a
/// model with gradients it is a part of the first one, and zeros by itself.
fn gradients(native: &Native<'_>) -> Result<Gradients> {
    let (data, params) = (&native.data, &native.params);
    let of = |key: &str| data.optional(key).map(|_| data.numbers(key)).transpose();
    let (graph, margin) = (of("grads_graph")?, of("grads_num")?);
    let bounds = match params.optional("clip") {
        Some(_) => params.numbers("clip")?,
        None => Vec::new(),
    };
    let clip = |value: f64| match bounds[..] {
        [low, high] => value.max(low).min(high),
        _ => value,
    };
    let batch = |row: Vec<f64>| json!([row.into_iter().map(number_value).collect::<Vec<_>>()]);
    let weight = weight_of_closest(native)?;
    let attack = weight.zip(margin).map(|(c, margin)| margin.iter().map(|m| -c * m).collect());
    let attack: Option<Vec<f64>> = attack;
    if native.meta.kind == ModelKind::WhiteBox {
        let sum = graph.zip(attack).map(|(graph, attack)| {
            graph.iter().zip(attack).map(|(graph, attack)| clip(graph + attack)).collect::<Vec<_>>()
        });
        let zeros = sum.as_ref().map(|sum| vec![0.0; sum.len()]);
        let (graph, numeric) = (sum.map_or(Value::Null, batch), zeros.map_or(Value::Null, batch));
        return Ok(Gradients { graph, numeric });
    }
    let cut = |row: Option<Vec<f64>>| {
        row.map_or(Value::Null, |row| batch(row.into_iter().map(clip).collect()))
    };
    Ok(Gradients { graph: cut(graph), numeric: cut(attack) })
}

/// The weight of the attack loss that found the closest point; `None` where no weight found any.
fn weight_of_closest(native: &Native<'_>) -> Result<Option<f64>> {
    let mut closest: Option<(f64, f64)> = None;
    for trial in native.data.objects("trials")? {
        let Some(distance) = trial.optional("distance").and_then(number) else { continue };
        if closest.is_none_or(|(least, _)| distance < least) {
            closest = Some((distance, trial.number("c")?));
        }
    }
    Ok(closest.map(|(_, c)| c))
}

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let mut native = object([
        ("class", data.get("orig_class")?.clone()),
        ("id_proto", data.or_null("id_proto")),
        ("cf", Value::Null),
        ("status", "not-found".into()),
    ]);
    if data.optional("orig_proba").is_some() {
        native.insert("outputs".to_owned(), data.flat_row("orig_proba")?);
    }
    if let Some(cf) = data.optional_object("cf")? {
        let counterfactual = json!({
            "row": cf.flat_row("X")?,
            "outputs": cf.flat_row("proba")?,
            "class": cf.get("class")?,
        });
        native.insert("cf".to_owned(), counterfactual);
        native.insert("status".to_owned(), "found".into());
        native.insert("shape".to_owned(), read_shape(cf.get("X")?));
        // For a model with gradients alibi's sum has the attack loss in it, and its weight is not recorded.
        if document.params.optional("is_model") == Some(&Value::Bool(false)) {
            native.insert("grads_graph".to_owned(), cf.optional_flat_row("grads_graph")?);
        }
    }
    Ok(vec![native])
}
