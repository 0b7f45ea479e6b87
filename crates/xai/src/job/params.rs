//! The settings of a job's method: read when the method is known, refused at the place of their key.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::{DeValue, ValueDeserializer};
use toml::{Spanned, Table};
use xai_core::ParamError;

use super::document::Origin;
use super::error::{JobError, Place};
use crate::alibi::native_settings;

/// The settings of a job's method, before they have its type.
#[derive(Clone, Debug)]
pub(crate) enum JobParams {
    /// None is given.
    Defaults,
    /// The `[params]` table of a document.
    Document {
        /// The settings.
        table: Table,
        /// Where their keys are.
        keys: KeySpans,
    },
    /// An object.
    Value(Value),
}

/// The keys of a table, and where each is.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySpans(BTreeMap<String, KeySpan>);

/// Where a key is, and the keys of the table that is its value.
#[derive(Clone, Debug)]
struct KeySpan {
    span: Range<usize>,
    inner: KeySpans,
}

impl KeySpans {
    fn of(value: &DeValue<'_>) -> Self {
        let entries = value.as_table().into_iter().flat_map(|table| table.iter());
        let spans = entries.map(|(key, value)| {
            let inner = KeySpans::of(value.get_ref());
            (key.get_ref().to_string(), KeySpan { span: key.span(), inner })
        });
        KeySpans(spans.collect())
    }
}

impl JobParams {
    /// The settings of a document.
    pub(crate) fn of_document(params: &Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error> {
        let table = Table::deserialize(ValueDeserializer::from(params.clone()))?;
        Ok(JobParams::Document { table, keys: KeySpans::of(params.get_ref()) })
    }

    /// The settings as the type of the method with this name. What cannot be read is tried with the names and words of
    /// alibi; errors are about the names here.
    pub(crate) fn read<P: Default + DeserializeOwned>(
        &self,
        method: &str,
        origin: &Origin,
    ) -> Result<P, JobError> {
        match self {
            JobParams::Defaults => Ok(P::default()),
            JobParams::Value(value) => P::deserialize(value).or_else(|error| {
                from_alibi(method, value)
                    .ok_or_else(|| JobError::invalid(Place::default(), format!("params: {error}")))
            }),
            JobParams::Document { table, keys } => P::deserialize(table.clone()).or_else(|error| {
                let value = serde_json::to_value(table).unwrap_or_default();
                from_alibi(method, &value).ok_or_else(|| {
                    let wrong = WrongTable { table, message: error.message() };
                    let span = wrong.find::<P>(&mut Vec::new(), keys);
                    JobError::invalid(origin.place(span), error.message())
                })
            }),
        }
    }

    /// A setting that is not one of the method's params, and its place.
    #[cfg(feature = "image")]
    pub(crate) fn setting<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Option<(T, Option<Range<usize>>)> {
        match self {
            JobParams::Defaults => None,
            JobParams::Value(value) => Some((T::deserialize(value.get(name)?).ok()?, None)),
            JobParams::Document { table, keys } => {
                let value = T::deserialize(table.get(name)?.clone()).ok()?;
                Some((value, keys.0.get(name).map(|key| key.span.clone())))
            }
        }
    }

    /// A wrong setting, with the place of its key.
    pub(crate) fn refuse(&self, origin: &Origin, error: ParamError) -> JobError {
        let span = match self {
            JobParams::Document { keys, .. } => keys.0.get(error.name).map(|key| key.span.clone()),
            _ => None,
        };
        JobError::Param { place: origin.place(span), error }
    }
}

/// The settings by names and words of alibi, where that makes them readable.
fn from_alibi<P: DeserializeOwned>(method: &str, params: &Value) -> Option<P> {
    P::deserialize(Value::Object(native_settings(method, params.as_object()?))).ok()
}

/// A table of settings that cannot be read.
struct WrongTable<'t> {
    table: &'t Table,
    message: &'t str,
}

impl WrongTable<'_> {
    /// Where the mistake is: at the innermost key without which there is another one or none. Settings that several
    /// methods share are read from a copy, so that their errors have no place of their own.
    fn find<P: DeserializeOwned>(
        &self,
        path: &mut Vec<String>,
        keys: &KeySpans,
    ) -> Option<Range<usize>> {
        for (key, KeySpan { span, inner }) in &keys.0 {
            path.push(key.clone());
            match P::deserialize(without(self.table, path)) {
                Err(error) if error.message() == self.message => {}
                _ => return self.find::<P>(path, inner).or_else(|| Some(span.clone())),
            }
            path.pop();
        }
        None
    }
}

/// The table without the key at the end of a path.
fn without(table: &Table, path: &[String]) -> Table {
    let mut copy = table.clone();
    if let Some((last, tables)) = path.split_last() {
        let mut inner = Some(&mut copy);
        for key in tables {
            inner = inner.and_then(|table| table.get_mut(key)).and_then(toml::Value::as_table_mut);
        }
        if let Some(table) = inner {
            table.remove(last);
        }
    }
    copy
}
