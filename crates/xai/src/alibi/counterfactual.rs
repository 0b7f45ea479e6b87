//! Counterfactuals by gradient: `Counterfactual` of alibi.

use serde_json::{Map, Value, json};

use super::cem::{GRADIENT_KINDS, derive_models, read_shape, restore_shape, write_row};
use super::error::Result;
use super::fields::{Fields, Object, number, number_value};
use super::outputs::Outputs;
use super::settings::{
    Here, Setting, by_feature, converted, derived, hyphenated, no_effect, pair_by_feature, renamed,
    same, underscored,
};
use super::{Document, Layout, Native, no_queries, object};

pub(super) const LAYOUT: Layout = Layout {
    name: "counterfactual",
    alibi_names: &["Counterfactual", "CounterFactual"],
    kinds: &GRADIENT_KINDS,
    scope: &["local"],
    has_task: false,
    many: false,
    settings: &[&SETTINGS],
    derive,
    write,
    restore: restore_shape,
    read,
    queries: no_queries,
};

const SETTINGS: [Setting; 18] = [
    derived("shape"),
    converted("distance_fn", underscored, hyphenated),
    same("target_proba"),
    same("target_class"),
    renamed("max_iter", "max_iterations"),
    renamed("early_stop", "patience"),
    Setting {
        alibi: "lam_init",
        here: Here::Converted { name: "c_init", write: inverse, read: inverse },
    },
    renamed("max_lam_steps", "c_steps"),
    same("tol"),
    same("learning_rate_init"),
    pair_by_feature("feature_range"),
    by_feature("eps"),
    same("decay"),
    derived("is_model"),
    no_effect("init", "\"identity\""),
    no_effect("write_dir", "null"),
    no_effect("debug", "false"),
    no_effect("kwargs", "{}"),
];

fn inverse(weight: &Value) -> Value {
    number(weight).map_or_else(|| weight.clone(), |weight| number_value(1.0 / weight))
}

fn derive(native: &Native<'_>) -> Result<Object> {
    let mut settings = derive_models(native)?;
    // This method has no autoencoder.
    settings.remove("is_ae");
    Ok(settings)
}

fn write(natives: &[Native<'_>]) -> Result<Object> {
    let data = &natives[0].data;
    let outputs = Outputs::of(data)?;
    let cf = match data.optional_object("cf")? {
        Some(cf) => {
            let step = data.optional_object("step")?;
            let of_step = |key: &str| step.as_ref().map_or(Value::Null, |step| step.or_null(key));
            json!({
                "X": write_row(data, &cf, "row")?,
                "distance": cf.object("distances")?.get("elastic_net")?,
                "lambda": of_step("lambda"),
                "index": of_step("index"),
                "class": cf.get("class")?,
                "proba": [outputs.proba(&cf)?],
                "loss": of_step("loss"),
            })
        }
        None => Value::Null,
    };
    let mut all = Map::new();
    for (place, lambda) in data.objects("lambdas")?.iter().enumerate() {
        let mut hits = Vec::new();
        for hit in lambda.objects("hits")? {
            hits.push(json!({
                "X": write_row(data, &hit, "row")?,
                "distance": hit.get("distance")?,
                "lambda": lambda.get("lambda")?,
                "index": hit.get("index")?,
                "class": outputs.class(&hit)?,
                "proba": [outputs.proba(&hit)?],
                "loss": hit.get("loss")?,
            }));
        }
        all.insert(place.to_string(), hits.into());
    }
    let proba = outputs.proba(data)?;
    let proba = proba.as_array().into_iter().flatten().filter_map(number);
    let success = !cf.is_null();
    Ok(object([
        ("cf", cf),
        ("all", all.into()),
        ("orig_class", data.get("class")?.clone()),
        ("orig_proba", number_value(proba.fold(f64::NEG_INFINITY, f64::max))),
        ("success", success.into()),
    ]))
}

fn read(document: &Document<'_>) -> Result<Vec<Object>> {
    let data = &document.data;
    let mut native = object([("class", data.get("orig_class")?.clone())]);
    let cf = data.optional_object("cf")?;
    let status = if cf.is_some() { "found" } else { "not-found" };
    native.insert("status".to_owned(), status.into());
    native.insert("cf".to_owned(), Value::Null);
    native.insert("step".to_owned(), Value::Null);
    if let Some(cf) = cf {
        let distance = cf.get("distance")?;
        let mut distances = object([("elastic_net", distance.clone())]);
        if document.params.optional("distance_fn").is_some_and(|distance| distance == "l1") {
            distances.insert("l1".to_owned(), distance.clone());
        }
        let counterfactual = json!({
            "row": cf.flat_row("X")?,
            "outputs": cf.flat_row("proba")?,
            "class": cf.get("class")?,
            "distances": distances,
        });
        native.insert("cf".to_owned(), counterfactual);
        native.insert("step".to_owned(), read_step(&cf)?);
        native.insert("shape".to_owned(), read_shape(cf.get("X")?));
    }
    let mut lambdas = Vec::new();
    let all = data.optional_object("all")?;
    let mut steps: Vec<&String> = all.iter().flat_map(Fields::iter).map(|(step, _)| step).collect();
    steps.sort_by_key(|step| step.parse::<u64>().unwrap_or(u64::MAX));
    for step in steps {
        let hits = all.as_ref().map_or(Ok(Vec::new()), |all| all.objects(step))?;
        lambdas.push(read_lambda(&hits)?);
    }
    native.insert("lambdas".to_owned(), lambdas.into());
    Ok(vec![native])
}

/// The step that led to a counterfactual; `null` where a document of this library has none.
fn read_step(cf: &Fields<'_>) -> Result<Value> {
    if cf.optional("index").is_none() {
        return Ok(Value::Null);
    }
    Ok(json!({
        "lambda": cf.get("lambda")?,
        "index": cf.get("index")?,
        "loss": cf.get("loss")?,
    }))
}

/// A weight of the distance with its hits. A step without hits does not say its weight.
fn read_lambda(hits: &[Fields<'_>]) -> Result<Value> {
    let mut lambda = object([("n_hits", hits.len().into())]);
    let mut closest = f64::INFINITY;
    let mut read = Vec::new();
    for hit in hits {
        lambda.insert("lambda".to_owned(), hit.get("lambda")?.clone());
        closest = closest.min(hit.number("distance")?);
        read.push(json!({
            "index": hit.get("index")?,
            "row": hit.flat_row("X")?,
            "outputs": hit.flat_row("proba")?,
            "distance": hit.get("distance")?,
            "loss": hit.get("loss")?,
        }));
    }
    let distance = if hits.is_empty() { Value::Null } else { number_value(closest) };
    lambda.insert("distance".to_owned(), distance);
    lambda.insert("hits".to_owned(), read.into());
    Ok(lambda.into())
}
