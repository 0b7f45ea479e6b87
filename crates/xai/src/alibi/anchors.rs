//! Anchors: `AnchorTabular`, `AnchorText` and `AnchorImage` of alibi.

use serde_json::{Map, Value, json};

use super::error::Result;
use super::fields::{Fields, Object, flatten, number, number_value};
use super::outputs::whole;
use super::settings::{
    Here, Setting, converted, derived, hyphenated, no_effect, same, underscored,
};
use super::{Document, Layout, Native, object, restore_none};

pub(super) const TABULAR: Layout = Layout {
    name: "anchor-tabular",
    alibi_names: &["AnchorTabular", "DistributedAnchorTabular"],
    kinds: &["blackbox"],
    scope: &["local"],
    has_task: false,
    many: false,
    settings: &[&SEARCH_SETTINGS, &TABULAR_SETTINGS],
    derive: derive_seed,
    write: write_tabular,
    restore: restore_none,
    read: read_tabular,
    queries,
};

pub(super) const TEXT: Layout = Layout {
    name: "anchor-text",
    alibi_names: &["AnchorText"],
    settings: &[&SEARCH_SETTINGS, &TEXT_SETTINGS],
    write: write_text,
    read: read_text,
    ..TABULAR
};

pub(super) const IMAGE: Layout = Layout {
    name: "anchor-image",
    alibi_names: &["AnchorImage"],
    settings: &[&SEARCH_SETTINGS, &IMAGE_SETTINGS],
    derive: derive_image,
    write: write_image,
    restore: restore_image,
    read: read_image,
    ..TABULAR
};

const SEARCH_SETTINGS: [Setting; 16] = [
    derived("seed"),
    same("threshold"),
    same("delta"),
    same("tau"),
    same("batch_size"),
    same("coverage_samples"),
    same("beam_size"),
    same("stop_on_first"),
    same("max_anchor_size"),
    same("min_samples_start"),
    same("n_covered_ex"),
    same("verbose"),
    same("verbose_every"),
    no_effect("binary_cache_size", "10000"),
    no_effect("cache_margin", "1000"),
    no_effect("kwargs", "{}"),
];

const TABULAR_SETTINGS: [Setting; 1] = [same("disc_perc")];

const TEXT_SETTINGS: [Setting; 11] = [
    converted("sampling_strategy", underscored, hyphenated),
    same("sample_proba"),
    with_replacements("top_n"),
    with_replacements("temperature"),
    with_replacements("use_proba"),
    with_language_model("filling"),
    with_language_model("frac_mask_templates"),
    with_language_model("batch_size_lm"),
    with_language_model("punctuation"),
    with_language_model("stopwords"),
    with_language_model("sample_punctuation"),
];

/// Alibi records the settings of the sampling strategy alone.
const fn with_replacements(name: &'static str) -> Setting {
    let replaces = |params: &Fields<'_>| params.or_null("sampling_strategy") != "unknown";
    Setting { alibi: name, here: Here::SameWhere(name, replaces) }
}

const fn with_language_model(name: &'static str) -> Setting {
    let is_model = |params: &Fields<'_>| params.or_null("sampling_strategy") == "language-model";
    Setting { alibi: name, here: Here::SameWhere(name, is_model) }
}

const IMAGE_SETTINGS: [Setting; 6] = [
    same("p_sample"),
    derived("custom_segmentation"),
    derived("segmentation_fn"),
    derived("segmentation_kwargs"),
    derived("image_shape"),
    derived("images_background"),
];

fn derive_seed(native: &Native<'_>) -> Result<Object> {
    // A key of 256 bits is no number; it is written as it is.
    let seed = &native.meta.seed;
    let value = seed.parse::<u64>().map_or_else(|_| seed.as_str().into(), Value::from);
    Ok(object([("seed", value)]))
}

/// The rows that the model was asked for. Alibi 0.9.6 writes the capacity of its cache, which says nothing.
fn queries(document: &Document<'_>) -> Option<u64> {
    let setting = |key: &str, default| {
        document.params.optional(key).and_then(Value::as_u64).unwrap_or(default)
    };
    let capacity = setting("batch_size", 100).checked_mul(setting("binary_cache_size", 10_000));
    let raw = document.data.object("raw").ok()?;
    raw.optional("num_preds")?.as_u64().filter(|&queries| Some(queries) != capacity)
}

/// What `raw` has of all anchors.
fn write_raw(native: &Native<'_>, features: Vec<Value>) -> Result<Object> {
    let data = &native.data;
    let predicates = data.objects("predicates")?;
    let of_each = |estimate: &str, key: &str| {
        let value = |predicate: &Fields<'_>| predicate.object(estimate)?.get(key).cloned();
        predicates.iter().map(value).collect::<Result<Vec<_>>>()
    };
    let precision = of_each("precision", "mean")?;
    let mut examples = Vec::new();
    for example in data.objects("examples")? {
        examples.push(json!({
            "covered_true": example.get("covered_true")?,
            "covered_false": example.get("covered_false")?,
            "uncovered_true": [],
            "uncovered_false": [],
        }));
    }
    let instance = data.get("instance")?;
    Ok(object([
        ("feature", features.into()),
        ("mean", precision.clone().into()),
        ("precision", precision.into()),
        ("coverage", of_each("coverage", "coverage")?.into()),
        ("examples", examples.into()),
        ("all_precision", data.object("base_rate")?.get("mean")?.clone()),
        ("num_preds", native.meta.queries.into()),
        ("success", data.get("valid")?.clone()),
        ("prediction", json!([whole(data.number("decision")?)])),
        ("instance", instance.clone()),
        ("instances", json!([instance])),
    ]))
}

fn write_data(native: &Native<'_>, anchor: Value, raw: Object) -> Result<Object> {
    Ok(object([
        ("anchor", anchor),
        ("precision", native.data.get("precision")?.clone()),
        ("coverage", native.data.get("coverage")?.clone()),
        ("raw", raw.into()),
    ]))
}

fn write_tabular(natives: &[Native<'_>]) -> Result<Object> {
    let native = &natives[0];
    // Each feature once, in the order in which the search added them: one for each text of the anchor.
    let mut features: Vec<Value> = Vec::new();
    for predicate in native.data.objects("predicates")? {
        let feature = predicate.get("feature")?;
        if !features.contains(feature) {
            features.push(feature.clone());
        }
    }
    let anchor = native.data.get("anchor")?.clone();
    let mut raw = write_raw(native, features)?;
    raw.insert("names".to_owned(), anchor.clone());
    write_data(native, anchor, raw)
}

fn write_text(natives: &[Native<'_>]) -> Result<Object> {
    let native = &natives[0];
    let predicates = native.data.objects("predicates")?;
    let features = predicates.iter().map(|predicate| predicate.get("feature").cloned());
    // Alibi counts tokens for a language model and characters otherwise.
    let position = |predicate: &Fields<'_>| match predicate.optional("first_token") {
        Some(token) => Ok(token.clone()),
        None => predicate.element("span", 0).cloned(),
    };
    let positions = predicates.iter().map(position).collect::<Result<Vec<_>>>()?;
    let anchor = native.data.get("anchor")?.clone();
    let mut raw = write_raw(native, features.collect::<Result<_>>()?)?;
    raw.insert("names".to_owned(), anchor.clone());
    raw.insert("positions".to_owned(), positions.into());
    write_data(native, anchor, raw)
}

fn write_image(natives: &[Native<'_>]) -> Result<Object> {
    let native = &natives[0];
    let data = &native.data;
    let predicates = data.objects("predicates")?;
    let features = predicates.iter().map(|predicate| predicate.get("superpixel").cloned());
    let features = features.collect::<Result<Vec<_>>>()?;
    let anchor = image_of_anchor(data, &features)?;
    let mut written = write_data(native, anchor, write_raw(native, features)?)?;
    written.insert("segments".to_owned(), data.get("segments")?.clone());
    Ok(written)
}

/// The image spread over `0..=255` without fractions inside the anchor, and black elsewhere.
fn image_of_anchor(data: &Fields<'_>, superpixels: &[Value]) -> Result<Value> {
    let image = data.get("instance")?;
    let numbers = flatten(image).iter().map(number).collect::<Option<Vec<f64>>>();
    let numbers = numbers.ok_or_else(|| data.form("instance", "an image of numbers", image))?;
    let min = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let max = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let byte = |value: &Value| {
        let value = number(value).unwrap_or(min);
        let share = if min < max { (value - min) / (max - min) } else { 0.0 };
        whole((share * 255.0).clamp(0.0, 255.0).trunc())
    };
    let pixel = |pixel: &Value, superpixel: &Value| -> Value {
        let inside = superpixels.contains(superpixel);
        let channel = |value| if inside { byte(value) } else { 0.into() };
        pixel.as_array().into_iter().flatten().map(channel).collect()
    };
    let line = |(line, superpixels): (&Value, &Value)| -> Value {
        let pixels = line.as_array().into_iter().flatten();
        let superpixels = superpixels.as_array().into_iter().flatten();
        pixels.zip(superpixels).map(|(value, superpixel)| pixel(value, superpixel)).collect()
    };
    let lines = data.list("instance")?.iter().zip(data.list("segments")?);
    Ok(lines.map(line).collect())
}

fn derive_image(native: &Native<'_>) -> Result<Object> {
    let mut settings = derive_seed(native)?;
    if let Some(segmentation) = native.params.optional_object("segmentation_fn")?
        && let Some((name, arguments)) = segmentation.iter().next()
    {
        let is_custom = name == "custom";
        settings.insert("custom_segmentation".to_owned(), is_custom.into());
        settings.insert("segmentation_fn".to_owned(), name.as_str().into());
        let arguments = if is_custom { json!({}) } else { arguments.clone() };
        settings.insert("segmentation_kwargs".to_owned(), arguments);
    }
    let image = native.data.get("instance")?;
    let lengths = [image, &image[0], &image[0][0]].map(|axis| axis.as_array().map_or(0, Vec::len));
    settings.insert("image_shape".to_owned(), json!(lengths));
    settings.insert("images_background".to_owned(), native.data.or_null("images_background"));
    Ok(settings)
}

fn restore_image(document: &Document<'_>, settings: &mut Object) -> Result<()> {
    let Some(name) = document.params.optional("segmentation_fn").and_then(Value::as_str) else {
        return Ok(());
    };
    let arguments = match name {
        "custom" => document.data.get("segments")?.clone(),
        _ => {
            let mut arguments = Map::new();
            if let Some(given) = document.params.optional_object("segmentation_kwargs")? {
                arguments.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            // Superpixels are always numbered from 0 here.
            arguments.remove("start_label");
            arguments.into()
        }
    };
    settings.insert("segmentation_fn".to_owned(), json!({ name: arguments }));
    Ok(())
}

/// What all anchors have, with one predicate for each precision; `describe` adds what else is known of the predicate at a
/// place.
fn read_all(
    document: &Document<'_>,
    describe: impl Fn(&Fields<'_>, usize, &mut Object) -> Result<()>,
) -> Result<Object> {
    let data = &document.data;
    let raw = data.object("raw")?;
    let precision = raw.list("precision")?;
    let mut predicates = Vec::new();
    for (place, mean) in precision.iter().enumerate() {
        let coverage = raw.element("coverage", place)?;
        let mut predicate = object([
            ("precision", json!({ "mean": mean })),
            ("coverage", json!({ "coverage": coverage })),
        ]);
        describe(&raw, place, &mut predicate)?;
        predicates.push(Value::Object(predicate));
    }
    let success = raw.get("success")?;
    let status = match (success == true, precision.is_empty()) {
        (true, true) => "empty",
        (true, false) => "found",
        (false, _) => "not-found",
    };
    let mut examples = Vec::new();
    let recorded = raw.optional("examples").map_or(Ok(Vec::new()), |_| raw.objects("examples"));
    for example in recorded? {
        // Alibi leaves empty lists out for one-hot rows.
        let rows = |key: &str| example.list_or_empty(key).map(|rows| json!(rows));
        examples.push(json!({
            "covered_true": rows("covered_true")?,
            "covered_false": rows("covered_false")?,
        }));
    }
    let mut native = object([
        ("precision", number_in(data, "precision")?),
        ("coverage", number_in(data, "coverage")?),
        ("status", status.into()),
        ("valid", success.clone()),
        ("decision", number_value(number_of(&raw, "prediction")?)),
        ("predicates", predicates.into()),
        ("examples", examples.into()),
        ("instance", raw.get("instance")?.clone()),
    ]);
    // Alibi writes 0 where the anchor is not empty; that is no precision.
    let base_rate = number_of(&raw, "all_precision").unwrap_or(0.0);
    if precision.is_empty() || 0.0 < base_rate {
        native.insert("base_rate".to_owned(), json!({ "mean": number_value(base_rate) }));
    }
    Ok(native)
}

/// The number of a key, which may stand in a list by itself.
fn number_in(fields: &Fields<'_>, key: &str) -> Result<Value> {
    match fields.get(key)? {
        Value::Array(list) if list.len() == 1 => Ok(list[0].clone()),
        value if number(value).is_some() => Ok(value.clone()),
        value => Err(fields.form(key, "a number", value)),
    }
}

fn number_of(fields: &Fields<'_>, key: &str) -> Result<f64> {
    let value = number_in(fields, key)?;
    number(&value).ok_or_else(|| fields.form(key, "a number", &value))
}

fn read_tabular(document: &Document<'_>) -> Result<Vec<Object>> {
    let describe = |raw: &Fields<'_>, place: usize, predicate: &mut Object| {
        // Predicates on the same feature share one entry; which one each has is not recorded then.
        let (features, names) = (raw.list("feature")?, raw.list("names")?);
        if features.len() == raw.list("precision")?.len() && names.len() == features.len() {
            predicate.insert("feature".to_owned(), features[place].clone());
            predicate.insert("text".to_owned(), names[place].clone());
        }
        Ok(())
    };
    let mut native = read_all(document, describe)?;
    native.insert("anchor".to_owned(), document.data.get("anchor")?.clone());
    Ok(vec![native])
}

fn read_text(document: &Document<'_>) -> Result<Vec<Object>> {
    let by_token = document
        .params
        .optional("sampling_strategy")
        .is_some_and(|strategy| hyphenated(strategy) == "language-model");
    let describe = |raw: &Fields<'_>, place: usize, predicate: &mut Object| {
        let word = raw.element("names", place)?;
        predicate.insert("feature".to_owned(), raw.element("feature", place)?.clone());
        predicate.insert("word".to_owned(), word.clone());
        let Some(position) = raw.list_or_empty("positions")?.get(place) else { return Ok(()) };
        if by_token {
            predicate.insert("first_token".to_owned(), position.clone());
            return Ok(());
        }
        predicate.insert("first_token".to_owned(), Value::Null);
        if let Some([span, bytes]) = spans(raw.text("instance")?, position, word) {
            predicate.insert("span".to_owned(), span);
            predicate.insert("byte_span".to_owned(), bytes);
        }
        Ok(())
    };
    let mut native = read_all(document, describe)?;
    native.insert("anchor".to_owned(), document.data.get("anchor")?.clone());
    Ok(vec![native])
}

/// Where a word is in a text, in characters and in bytes; `None` where it is not at that character.
fn spans(text: &str, position: &Value, word: &Value) -> Option<[Value; 2]> {
    let (start, word) = (usize::try_from(position.as_u64()?).ok()?, word.as_str()?);
    let ends = text.char_indices().map(|(byte, _)| byte).chain([text.len()]);
    let byte = ends.clone().nth(start)?;
    let is_there = text[byte..].starts_with(word);
    let (characters, bytes) = (word.chars().count(), word.len());
    is_there.then(|| [json!([start, start + characters]), json!([byte, byte + bytes])])
}

fn read_image(document: &Document<'_>) -> Result<Vec<Object>> {
    let describe = |raw: &Fields<'_>, place: usize, predicate: &mut Object| {
        predicate.insert("superpixel".to_owned(), raw.element("feature", place)?.clone());
        Ok(())
    };
    let mut native = read_all(document, describe)?;
    native.insert("segments".to_owned(), document.data.get("segments")?.clone());
    Ok(vec![native])
}
