//! The settings of a job's method: read when the method is known, refused at the place of their key.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::de::{DeValue, ValueDeserializer};
use toml::{Spanned, Table};
use xai_core::ParamError;

use super::document::Origin;
use super::error::{JobError, Place};
use crate::alibi::native_settings;

/// A value of a job, and where it stands.
#[cfg(feature = "image")]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

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

    /// The keys by the names here, where alibi has other ones for the settings of a method.
    fn renamed(&self, method: &str, params: &Value) -> Self {
        let renamed = self.0.iter().flat_map(|(key, span)| {
            let alone = params.get(key).map(|value| (key.clone(), value.clone()));
            let names = native_settings(method, &alone.into_iter().collect());
            names.into_iter().map(|(name, _)| (name, span.clone())).collect::<Vec<_>>()
        });
        KeySpans(renamed.collect())
    }
}

impl JobParams {
    /// The settings of a document.
    pub(crate) fn of_document(params: &Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error> {
        let table = Table::deserialize(ValueDeserializer::from(params.clone()))?;
        Ok(JobParams::Document { table, keys: KeySpans::of(params.get_ref()) })
    }

    /// The settings as the type of the method with this name. What cannot be read is read with the names and words of alibi
    /// where some are among them; errors are about the names here.
    pub(crate) fn read<P: Default + DeserializeOwned>(
        &self,
        method: &str,
        origin: &Origin,
    ) -> Result<P, JobError> {
        match self {
            JobParams::Defaults => Ok(P::default()),
            JobParams::Value(value) if !value.is_object() => {
                let message = format!("params: expected an object of settings, got `{value}`");
                Err(JobError::invalid(Place::default(), message))
            }
            JobParams::Value(value) => {
                let read = P::deserialize(value).or_else(|error| match from_alibi(method, value) {
                    Some(converted) => P::deserialize(Value::Object(converted)),
                    None => Err(error),
                });
                read.map_err(|error| {
                    JobError::invalid(Place::default(), format!("params: {error}"))
                })
            }
            JobParams::Document { table, keys } => {
                read_table(table, keys, origin).or_else(|error| {
                    let given = serde_json::to_value(table).unwrap_or_default();
                    let converted = from_alibi(method, &given).map(Table::try_from);
                    match converted {
                        Some(Ok(table)) => {
                            read_table(&table, &keys.renamed(method, &given), origin)
                        }
                        _ => Err(error),
                    }
                })
            }
        }
    }

    /// A setting that is not one of the method's params, and its place.
    #[cfg(feature = "image")]
    ///
    /// # Errors
    /// [`JobError::Invalid`] where it has another form.
    pub(crate) fn setting<T: DeserializeOwned>(
        &self,
        name: &str,
        origin: &Origin,
    ) -> Result<Option<Placed<T>>, JobError> {
        let (value, place) = match self {
            JobParams::Defaults => return Ok(None),
            JobParams::Value(value) => (value.get(name).cloned(), Place::default()),
            JobParams::Document { table, keys } => {
                let value = table.get(name).map(serde_json::to_value);
                let span = keys.0.get(name).map(|key| key.span.clone());
                (value.and_then(Result::ok), origin.place(span))
            }
        };
        let Some(value) = value else { return Ok(None) };
        match T::deserialize(value) {
            Ok(value) => Ok(Some(Placed { value, place })),
            Err(error) => Err(JobError::invalid(place, format!("`{name}`: {error}"))),
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

/// The settings with the names and words here, where some of them are alibi's.
fn from_alibi(method: &str, params: &Value) -> Option<Map<String, Value>> {
    let given = params.as_object()?;
    let converted = native_settings(method, given);
    (converted != *given).then_some(converted)
}

/// Settings of a document, with the place of what cannot be read.
fn read_table<P: DeserializeOwned>(
    table: &Table,
    keys: &KeySpans,
    origin: &Origin,
) -> Result<P, JobError> {
    P::deserialize(table.clone()).map_err(|error| {
        let wrong = WrongTable { table, message: error.message() };
        let span = wrong.find::<P>(&mut Vec::new(), keys);
        JobError::invalid(origin.place(span), error.message())
    })
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
