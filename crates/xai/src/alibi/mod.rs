//! Alibi's layout of explanations: documents written for programs that read alibi's, and alibi's documents read.
//!
//! Native documents have plain fields, one document for each instance. Alibi's have other names and nesting (`raw`,
//! prefixed fields) and a batch axis in front of arrays; only this module knows them.
//!
//! ```
//! use xai::Explanation;
//! use xai::alibi::{FromAlibiJson, to_alibi};
//!
//! let text = r#"{
//!     "meta": {"name": "KernelShap", "type": ["blackbox"], "task": "regression", "explanations": ["local", "global"],
//!              "params": {"link": "identity"}, "version": "0.9.6"},
//!     "data": {"shap_values": [[[1.0, 2.0]]], "expected_value": [0.5], "categorical_names": {},
//!              "feature_names": ["a", "b"],
//!              "raw": {"raw_prediction": [3.5], "prediction": [], "instances": [[1.0, NaN]], "importances": {}}}
//! }"#;
//! let explanation = Explanation::from_alibi_json(text)?;
//! assert_eq!(explanation.meta.name, "kernel-shap");
//! assert_eq!(explanation.data["instance"][1], "NaN");
//! let document = to_alibi(&explanation)?;
//! assert_eq!(document["data"]["raw"]["importances"]["0"]["names"][0], "b");
//! # Ok::<(), xai::alibi::AlibiError>(())
//! ```
//!
//! # What is written
//!
//! Every field of alibi's document is there under its name. Numbers are the native ones, bit for bit, and NaN and the
//! infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, which `float` of Python and `numpy` read. Where
//! alibi 0.9.6 fills a field with a number that does not mean what its documentation says, the number that does is
//! written:
//!
//! - `raw.all_precision` of anchors is the precision of the empty anchor, `raw.num_preds` the rows that the model was
//!   asked for;
//! - `raw.prediction` of KernelSHAP is the class of each instance, also for a model with one output;
//! - `success` of a counterfactual is true exactly when there is one.
//!
//! The probabilities of a model whose single output is that of class 1 are written as those of both classes.
//!
//! # What is read
//!
//! The native fields that alibi's document has, with the settings under their names here. Settings without effect here
//! are left out, and settings without a counterpart are left out with a warning in `meta.warnings`. What alibi does not
//! record is absent, so that a document that was read is an `Explanation<Value>` and not one of a method's types;
//! `meta.seed` is then `unknown` and `meta.queries` 0, with a warning.

use serde_json::{Map, Value};
use xai_core::explanation::{Explanation, Meta, SCHEMA, Warning};
use xai_core::model::ModelKind;

use self::fields::{Fields, Object};
use self::settings::Setting;

mod anchors;
mod cem;
mod cfproto;
mod counterfactual;
mod error;
mod fields;
mod grid;
mod integrated_gradients;
mod kernel_shap;
mod outputs;
mod settings;
mod tokens;

pub use error::AlibiError;

use error::Result;

/// The layout of one method.
struct Layout {
    /// The method's name here.
    name: &'static str,
    /// Its names in alibi, the first of which is written.
    alibi_names: &'static [&'static str],
    /// Alibi's `meta.type`.
    kinds: &'static [&'static str],
    /// Alibi's `meta.explanations`.
    scope: &'static [&'static str],
    /// Whether `meta` has a `task`.
    has_task: bool,
    /// Whether one document holds several instances.
    many: bool,
    settings: &'static [&'static [Setting]],
    /// Alibi's settings that follow from other settings or from the data.
    derive: fn(&Native<'_>) -> Result<Object>,
    /// Alibi's data of explanations, at least one.
    write: fn(&[Native<'_>]) -> Result<Object>,
    /// Settings here that follow from several of alibi's.
    restore: fn(&Document<'_>, &mut Object) -> Result<()>,
    /// The native data of each instance.
    read: fn(&Document<'_>) -> Result<Vec<Object>>,
    /// The queries of a document, where it says them.
    queries: fn(&Document<'_>) -> Option<u64>,
}

/// The methods that have a layout.
static LAYOUTS: [Layout; 9] = [
    kernel_shap::LAYOUT,
    anchors::TABULAR,
    anchors::TEXT,
    anchors::IMAGE,
    cem::LAYOUT,
    counterfactual::LAYOUT,
    cfproto::LAYOUT,
    integrated_gradients::LAYOUT,
    grid::LAYOUT,
];

/// An explanation to write.
struct Native<'e> {
    meta: &'e Meta,
    params: Fields<'e>,
    data: Fields<'e>,
}

/// A document to read.
struct Document<'d> {
    meta: Fields<'d>,
    params: Fields<'d>,
    data: Fields<'d>,
}

/// The explanation as alibi's `Explanation.to_json` has it: an object of `meta` and `data`.
///
/// # Errors
/// [`AlibiError::UnknownMethod`] for a method without a layout, [`AlibiError::Missing`] and [`AlibiError::Form`] for a
/// document whose data are not those of its method, [`AlibiError::NoPlace`] for data that the layout cannot hold.
pub fn to_alibi(explanation: &Explanation<Value>) -> Result<Value, AlibiError> {
    to_alibi_many(std::slice::from_ref(explanation))
}

/// Explanations of several instances as one document of alibi: KernelSHAP and integrated gradients put the instances on
/// a batch axis. Other methods hold one instance; write each with [`to_alibi`].
///
/// # Errors
/// As [`to_alibi`]; [`AlibiError::Count`] for none, or for several of a method that holds one; [`AlibiError::Differ`] when
/// they differ in the method, the settings or another value that the document has once.
pub fn to_alibi_many(explanations: &[Explanation<Value>]) -> Result<Value, AlibiError> {
    let Some(first) = explanations.first() else {
        let expected = "at least one explanation";
        return Err(AlibiError::Count { document: "alibi".to_owned(), expected, given: 0 });
    };
    let layout = LAYOUTS.iter().find(|layout| layout.name == first.meta.name);
    let layout = layout.ok_or_else(|| unknown_method(&first.meta.name, |layout| layout.name))?;
    if !layout.many && explanations.len() != 1 {
        let (document, given) = (layout.name.to_owned(), explanations.len());
        let expected = "one explanation in a document; write each with `to_alibi`";
        return Err(AlibiError::Count { document, expected, given });
    }
    let differ =
        |key: &str| AlibiError::Differ { document: layout.name.to_owned(), key: key.to_owned() };
    let mut natives = Vec::with_capacity(explanations.len());
    let mut params: Option<Object> = None;
    for explanation in explanations {
        let Explanation { meta, data, .. } = explanation;
        if meta.name != layout.name {
            return Err(differ("meta.name"));
        }
        let native = Native {
            meta,
            params: Fields::new(layout.name, "meta.params", &meta.params)?,
            data: Fields::new(layout.name, "data", data)?,
        };
        let mut written = settings::write(layout.settings, &native.params);
        written.extend((layout.derive)(&native)?);
        if params.get_or_insert_with(|| written.clone()) != &written {
            return Err(differ("meta.params"));
        }
        natives.push(native);
    }
    let data = (layout.write)(&natives)?;
    let mut meta = Map::new();
    meta.insert("name".to_owned(), layout.alibi_names[0].into());
    meta.insert("type".to_owned(), layout.kinds.into());
    meta.insert("explanations".to_owned(), layout.scope.into());
    meta.insert("params".to_owned(), params.unwrap_or_default().into());
    meta.insert("version".to_owned(), first.meta.version.as_str().into());
    if layout.has_task {
        let task = first.meta.task.as_deref().unwrap_or("classification");
        meta.insert("task".to_owned(), task.into());
    }
    Ok(serde_json::json!({ "meta": meta, "data": data }))
}

/// The explanations of a document of alibi, one for each instance; see the [module](self) for what they have.
///
/// The text may have the bare tokens NaN, Infinity and -Infinity, which alibi writes and JSON does not have.
///
/// # Errors
/// [`AlibiError::Json`] for a text that is no JSON otherwise, [`AlibiError::UnknownMethod`] for a method without a layout,
/// [`AlibiError::Missing`] and [`AlibiError::Form`] for a document that is not as alibi writes it.
pub fn from_alibi_json(text: &str) -> Result<Vec<Explanation<Value>>, AlibiError> {
    let document: Value = serde_json::from_str(&tokens::quote_non_finite(text))?;
    let top = Fields::new("alibi", "document", &document)?;
    let name = top.object("meta")?.text("name")?;
    let layout = LAYOUTS.iter().find(|layout| layout.alibi_names.contains(&name));
    let layout = layout.ok_or_else(|| unknown_method(name, |layout| layout.alibi_names[0]))?;
    let meta = Fields::new(name, "meta", top.get("meta")?)?;
    let data = Fields::new(name, "data", top.get("data")?)?;
    let params = meta.object("params")?;
    let document = Document { meta, params, data };
    let meta = read_meta(layout, &document)?;
    let explanation = |data: Object| Explanation {
        schema: SCHEMA.to_owned(),
        meta: meta.clone(),
        data: data.into(),
    };
    Ok((layout.read)(&document)?.into_iter().map(explanation).collect())
}

/// The settings of a method with the names and words here for those of alibi; what has no other name stays.
#[cfg(feature = "job")]
pub(crate) fn native_settings(method: &str, params: &Object) -> Object {
    let layout = LAYOUTS.iter().find(|layout| layout.name == method);
    let mut here = settings::rename(layout.map_or(&[], |layout| layout.settings), params);
    // Alibi takes a function here, of which only that of the largest output has a counterpart.
    let is_largest = here.get("target_fn").is_some_and(|function| function == "argmax");
    if method == integrated_gradients::LAYOUT.name && is_largest && !here.contains_key("target") {
        here.remove("target_fn");
        here.insert("target".to_owned(), "predicted".into());
    }
    // The shape of images belongs to the model of a job.
    if method == anchors::IMAGE.name {
        here.remove("image_shape");
    }
    here
}

/// Reading one explanation from a document of alibi.
pub trait FromAlibiJson: Sized {
    /// The explanation of a document of alibi with one instance; see [`from_alibi_json`](fn@from_alibi_json) for several.
    ///
    /// # Errors
    /// As the function, and [`AlibiError::Count`] for a document with another number of instances.
    fn from_alibi_json(text: &str) -> Result<Self, AlibiError>;
}

impl FromAlibiJson for Explanation<Value> {
    fn from_alibi_json(text: &str) -> Result<Self, AlibiError> {
        let mut explanations = from_alibi_json(text)?;
        match (explanations.pop(), explanations.len()) {
            (Some(explanation), 0) => Ok(explanation),
            (last, others) => {
                let given = others + usize::from(last.is_some());
                let expected = "one instance; the function `from_alibi_json` reads several";
                Err(AlibiError::Count { document: "alibi".to_owned(), expected, given })
            }
        }
    }
}

fn unknown_method(name: &str, known: fn(&Layout) -> &'static str) -> AlibiError {
    let known: Vec<String> = LAYOUTS.iter().map(|layout| format!("`{}`", known(layout))).collect();
    AlibiError::UnknownMethod { name: name.to_owned(), known: known.join(", ") }
}

fn read_meta(layout: &Layout, document: &Document<'_>) -> Result<Meta> {
    let Document { meta, params, .. } = document;
    let (mut here, unknown) = settings::read(layout.settings, params);
    (layout.restore)(document, &mut here)?;
    let warn = |code: &str, message: String| Warning { code: code.to_owned(), message };
    let mut warnings: Vec<Warning> = unknown
        .into_iter()
        .map(|name| {
            let message = format!("the setting `{name}` has no counterpart here and was left out");
            warn("alibi.setting", message)
        })
        .collect();
    let seed = params.optional("seed").and_then(Value::as_u64);
    let queries = (layout.queries)(document);
    if seed.is_none() || queries.is_none() {
        let lacking = match (seed, queries) {
            (Some(_), _) => "the number of queries",
            (None, Some(_)) => "the seed",
            (None, None) => "the seed and the number of queries",
        };
        warnings.push(warn("alibi.unrecorded", format!("the document does not say {lacking}")));
    }
    let is_white = |kinds: &[Value]| kinds.iter().any(|kind| kind == "whitebox");
    let uses_gradients =
        is_white(meta.list("type")?) || params.optional("is_model") == Some(&Value::Bool(true));
    let task = meta.optional("task").and_then(Value::as_str).map(str::to_owned);
    if let (true, Some(task)) = (layout.has_task, &task) {
        here.insert("task".to_owned(), task.as_str().into());
    }
    Ok(Meta {
        name: layout.name.to_owned(),
        kind: if uses_gradients { ModelKind::WhiteBox } else { ModelKind::BlackBox },
        task: task.filter(|_| layout.has_task),
        scope: layout.scope.iter().map(|&word| word.to_owned()).collect(),
        params: here.into(),
        // Old versions of alibi do not write theirs.
        version: meta.optional("version").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
        seed: seed.map_or_else(|| "unknown".to_owned(), |seed| seed.to_string()),
        queries: queries.unwrap_or(0),
        output: None,
        warnings,
    })
}

/// For layouts without such settings.
fn derive_none(_: &Native<'_>) -> Result<Object> {
    Ok(Map::new())
}

/// For layouts without such settings.
fn restore_none(_: &Document<'_>, _: &mut Object) -> Result<()> {
    Ok(())
}

/// For layouts that do not say the queries.
fn no_queries(_: &Document<'_>) -> Option<u64> {
    None
}

/// The fields of a JSON object.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
