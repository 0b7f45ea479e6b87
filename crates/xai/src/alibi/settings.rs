//! How settings are renamed.

use serde_json::{Map, Value};

use super::fields::{Fields, Object, flatten};

/// A setting under `meta.params` of alibi's document.
pub(super) struct Setting {
    /// Its name there.
    pub(super) alibi: &'static str,
    /// What it is here.
    pub(super) here: Here,
}

/// What a setting of alibi is here.
pub(super) enum Here {
    /// The setting of this name, with the same values.
    Same(&'static str),
    /// As `Same`, written only for the settings that the function accepts.
    SameWhere(&'static str, fn(&Fields<'_>) -> bool),
    /// The setting of this name, with other values.
    Converted {
        /// Its name here.
        name: &'static str,
        /// Alibi's value of a value here.
        write: fn(&Value) -> Value,
        /// The value here of alibi's.
        read: fn(&Value) -> Value,
    },
    /// Without effect here; the text is the JSON of alibi's default, which is written.
    NoEffect(&'static str),
    /// Made of other settings or of the data by the method's layout.
    Derived,
}

/// A setting with the same name and values.
pub(super) const fn same(name: &'static str) -> Setting {
    Setting { alibi: name, here: Here::Same(name) }
}

/// A setting with another name and the same values.
pub(super) const fn renamed(alibi: &'static str, name: &'static str) -> Setting {
    Setting { alibi, here: Here::Same(name) }
}

/// A setting with the same name and other values.
pub(super) const fn converted(
    name: &'static str,
    write: fn(&Value) -> Value,
    read: fn(&Value) -> Value,
) -> Setting {
    Setting { alibi: name, here: Here::Converted { name, write, read } }
}

/// A setting without effect here.
pub(super) const fn no_effect(alibi: &'static str, default: &'static str) -> Setting {
    Setting { alibi, here: Here::NoEffect(default) }
}

/// A setting that the method's layout makes.
pub(super) const fn derived(alibi: &'static str) -> Setting {
    Setting { alibi, here: Here::Derived }
}

/// A number, or one for each feature, which alibi has with a batch axis in front.
pub(super) const fn by_feature(name: &'static str) -> Setting {
    converted(name, with_batch_axis, without_batch_axis)
}

/// A pair of [`by_feature`].
pub(super) const fn pair_by_feature(name: &'static str) -> Setting {
    converted(name, |pair| each(pair, with_batch_axis), |pair| each(pair, without_batch_axis))
}

fn each(pair: &Value, convert: fn(&Value) -> Value) -> Value {
    match pair {
        Value::Array(values) => values.iter().map(convert).collect(),
        other => other.clone(),
    }
}

fn with_batch_axis(value: &Value) -> Value {
    if value.is_array() { Value::Array(vec![value.clone()]) } else { value.clone() }
}

fn without_batch_axis(value: &Value) -> Value {
    if value.is_array() { Value::Array(flatten(value)) } else { value.clone() }
}

/// A word with underscores for its hyphens.
pub(super) fn underscored(word: &Value) -> Value {
    word.as_str().map_or_else(|| word.clone(), |word| word.replace('-', "_").into())
}

/// A word with hyphens for its underscores.
pub(super) fn hyphenated(word: &Value) -> Value {
    word.as_str().map_or_else(|| word.clone(), |word| word.replace('_', "-").into())
}

/// Alibi's settings of the settings here. What `params` lack is left out.
pub(super) fn write(settings: &[&[Setting]], params: &Fields<'_>) -> Object {
    let mut written = Map::new();
    for setting in settings.iter().copied().flatten() {
        let value = match setting.here {
            Here::Same(name) => params.get(name).ok().cloned(),
            Here::SameWhere(name, applies) if applies(params) => params.get(name).ok().cloned(),
            Here::Converted { name, write, .. } => params.get(name).ok().map(write),
            Here::NoEffect(default) => serde_json::from_str(default).ok(),
            Here::SameWhere(..) | Here::Derived => None,
        };
        written.extend(value.map(|value| (setting.alibi.to_owned(), value)));
    }
    written
}

/// Settings as they are here, and the names of those that have no counterpart.
pub(super) fn read(settings: &[&[Setting]], params: &Fields<'_>) -> (Object, Vec<String>) {
    let (mut here, mut unknown) = (Map::new(), Vec::new());
    for (name, value) in params.iter() {
        let setting = settings.iter().copied().flatten().find(|setting| setting.alibi == name);
        match setting.map(|setting| &setting.here) {
            Some(Here::Same(name) | Here::SameWhere(name, _)) => {
                here.insert((*name).to_owned(), value.clone());
            }
            Some(Here::Converted { name, read, .. }) => {
                here.insert((*name).to_owned(), read(value));
            }
            Some(Here::NoEffect(_) | Here::Derived) => {}
            None => unknown.push(name.clone()),
        }
    }
    (here, unknown)
}

/// Settings with the names and words here for those of alibi. What has no other name stays, and so does what alibi makes of
/// other settings; a setting that is there under both names stays under both.
#[cfg(feature = "job")]
pub(super) fn rename(settings: &[&[Setting]], params: &Object) -> Object {
    let mut here = Map::new();
    for (name, value) in params {
        let setting = settings.iter().copied().flatten().find(|setting| setting.alibi == name);
        let (renamed, converted) = match setting.map(|setting| &setting.here) {
            Some(Here::Same(name) | Here::SameWhere(name, _)) => (*name, value.clone()),
            Some(Here::Converted { name, read, .. }) => (*name, read(value)),
            Some(Here::NoEffect(_)) => continue,
            Some(Here::Derived) | None => (name.as_str(), value.clone()),
        };
        if renamed != name && params.contains_key(renamed) {
            here.insert(name.clone(), value.clone());
        } else {
            here.insert(renamed.to_owned(), converted);
        }
    }
    here
}
