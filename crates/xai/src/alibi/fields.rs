//! Reading keys of a document so that messages name the key and the document, and nested lists.

use serde_json::{Map, Value};

use super::error::{AlibiError, Result};

/// An object of JSON.
pub(super) type Object = Map<String, Value>;

/// An object inside a document.
#[derive(Clone, Debug)]
pub(super) struct Fields<'d> {
    /// The method's name in the document, for messages.
    document: &'d str,
    /// Where the object is: `data.raw`.
    path: String,
    object: &'d Object,
}

impl<'d> Fields<'d> {
    /// The object at a path; it must be one.
    pub(super) fn new(document: &'d str, path: &str, value: &'d Value) -> Result<Self> {
        match value.as_object() {
            Some(object) => Ok(Fields { document, path: path.to_owned(), object }),
            None => Err(form(document, path, "an object", value)),
        }
    }

    fn path_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The names of the keys and their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'d String, &'d Value)> {
        self.object.iter()
    }

    /// The value of a key that is there and not `null`.
    pub(super) fn optional(&self, key: &str) -> Option<&'d Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The value of a key, which may be `null`.
    pub(super) fn get(&self, key: &str) -> Result<&'d Value> {
        self.object.get(key).ok_or_else(|| AlibiError::Missing {
            document: self.document.to_owned(),
            key: self.path_of(key),
        })
    }

    /// The value of a key, `null` where it is absent.
    pub(super) fn or_null(&self, key: &str) -> Value {
        self.object.get(key).cloned().unwrap_or(Value::Null)
    }

    /// The error that a key has another form.
    pub(super) fn form(&self, key: &str, expected: &str, found: &Value) -> AlibiError {
        form(self.document, &self.path_of(key), expected, found)
    }

    /// The list of a key.
    pub(super) fn list(&self, key: &str) -> Result<&'d [Value]> {
        let value = self.get(key)?;
        value.as_array().map(Vec::as_slice).ok_or_else(|| self.form(key, "a list", value))
    }

    /// The list of a key, empty where the key is absent or `null`.
    pub(super) fn list_or_empty(&self, key: &str) -> Result<&'d [Value]> {
        self.optional(key).map_or(Ok(&[]), |_| self.list(key))
    }

    /// The number of a key.
    pub(super) fn number(&self, key: &str) -> Result<f64> {
        let value = self.get(key)?;
        number(value).ok_or_else(|| self.form(key, "a number", value))
    }

    /// The numbers of a key's list.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        let numbers = self.list(key)?.iter().map(number).collect::<Option<Vec<_>>>();
        numbers.ok_or_else(|| self.form(key, "a list of numbers", &self.or_null(key)))
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str) -> Result<&'d str> {
        let value = self.get(key)?;
        value.as_str().ok_or_else(|| self.form(key, "a text", value))
    }

    /// The object of a key.
    pub(super) fn object(&self, key: &str) -> Result<Fields<'d>> {
        Fields::new(self.document, &self.path_of(key), self.get(key)?)
    }

    /// The object of a key that is there and not `null`.
    pub(super) fn optional_object(&self, key: &str) -> Result<Option<Fields<'d>>> {
        self.optional(key).map(|_| self.object(key)).transpose()
    }

    /// The objects of a key's list.
    pub(super) fn objects(&self, key: &str) -> Result<Vec<Fields<'d>>> {
        let item = |(index, value): (usize, &'d Value)| {
            Fields::new(self.document, &format!("{}.{index}", self.path_of(key)), value)
        };
        self.list(key)?.iter().enumerate().map(item).collect()
    }

    /// The error that the layout cannot hold a key.
    pub(super) fn no_place(&self, key: &str, reason: String) -> AlibiError {
        AlibiError::NoPlace { document: self.document.to_owned(), key: self.path_of(key), reason }
    }

    /// The element of a key's list at a place.
    pub(super) fn element(&self, key: &str, place: usize) -> Result<&'d Value> {
        let list = self.list(key)?;
        list.get(place).ok_or_else(|| {
            let expected = format!("a list of at least {} elements", place + 1);
            self.form(key, &expected, &self.or_null(key))
        })
    }

    /// The numbers of an array of any rank with an axis of length 1 in front, without the axes.
    pub(super) fn flat_row(&self, key: &str) -> Result<Value> {
        let list = self.list(key)?;
        if list.len() != 1 || depth(&list[0]) == 0 {
            return Err(self.form(key, "one row with a batch axis in front", &self.or_null(key)));
        }
        Ok(Value::Array(flatten(&list[0])))
    }

    /// As [`flat_row`](Self::flat_row), `null` where the key is absent or `null`.
    pub(super) fn optional_flat_row(&self, key: &str) -> Result<Value> {
        self.optional(key).map_or(Ok(Value::Null), |_| self.flat_row(key))
    }
}

fn form(document: &str, key: &str, expected: &str, found: &Value) -> AlibiError {
    let text = found.to_string();
    let short: String = text.chars().take(60).collect();
    let found = if short.len() < text.len() { format!("{short} ...") } else { text };
    let (document, key) = (document.to_owned(), key.to_owned());
    AlibiError::Form { document, key, expected: expected.to_owned(), found }
}

/// A number as documents have it: those that JSON lacks are text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A number as documents have it.
pub(super) fn number_value(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if 0.0 < number => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// How deep lists are nested, by their first elements; 0 for no list.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.first().map_or(0, depth),
        _ => 0,
    }
}

/// What nested lists hold, in order.
pub(super) fn flatten(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(flatten).collect(),
        leaf => vec![leaf.clone()],
    }
}

/// A flat list as nested lists of this shape, a batch axis of length 1 in front; flat for no shape. `None` when the shape
/// has another size.
pub(super) fn batch_of_one(row: &[Value], shape: Option<&[usize]>) -> Option<Value> {
    let shape = shape.unwrap_or(&[]);
    let nested = match shape {
        [] => Value::Array(row.to_vec()),
        _ if shape.iter().product::<usize>() != row.len() => return None,
        [_, inner @ ..] => nest(row, inner),
    };
    Some(Value::Array(vec![nested]))
}

/// A flat list as nested lists, whose lengths below the outermost are `inner`.
fn nest(row: &[Value], inner: &[usize]) -> Value {
    let [_, innermost @ ..] = inner else { return Value::Array(row.to_vec()) };
    let size = inner.iter().product::<usize>().max(1);
    row.chunks(size).map(|part| nest(part, innermost)).collect()
}
