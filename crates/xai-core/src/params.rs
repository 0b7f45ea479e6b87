//! Parameters as plain data, and the proof that they were checked.

use std::fmt;
use std::ops::Deref;

use ndarray::Array1;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A parameter outside its allowed range: ``parameter `beta` must be finite and at least 0, got NaN``.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` must be {rule}, got {value}")]
pub struct ParamError {
    /// The parameter's name, as in the struct and in JSON.
    pub name: &'static str,
    /// What is allowed.
    pub rule: String,
    /// What was given.
    pub value: String,
}

/// Requires that a parameter obeys its rule. State what is allowed, never what is not: `!(x < 0.0)` lets NaN pass.
///
/// A rule with numbers in it is given as `format_args!(..)`, which is formatted only when the parameter is refused.
/// The value is written as in a job: numbers and words as they are, lists in brackets.
///
/// # Errors
/// [`ParamError`] with the name, the rule and the value when `allowed` is false.
pub fn require(
    allowed: bool,
    name: &'static str,
    rule: impl fmt::Display,
    value: impl Written,
) -> Result<(), ParamError> {
    if allowed {
        return Ok(());
    }
    Err(ParamError { name, rule: rule.to_string(), value: value.written() })
}

/// A value as messages write it: numbers as they are, texts in quotes, lists in brackets, nothing as `none`.
pub trait Written {
    /// The value as text.
    fn written(&self) -> String;
}

macro_rules! written_as_displayed {
    ($($type:ty)*) => {
        $(impl Written for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}

written_as_displayed! { i32 i64 u8 u16 u32 u64 u128 usize bool fmt::Arguments<'_> }

/// Very large and small numbers in powers of ten, and always with what shows that it is no whole number.
impl Written for f64 {
    fn written(&self) -> String {
        format!("{self:?}")
    }
}

impl Written for str {
    fn written(&self) -> String {
        format!("{self:?}")
    }
}

impl Written for String {
    fn written(&self) -> String {
        self.as_str().written()
    }
}

impl<T: Written + ?Sized> Written for &T {
    fn written(&self) -> String {
        T::written(self)
    }
}

impl<T: Written> Written for Option<T> {
    fn written(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::written)
    }
}

/// The most values of a list that a message shows.
const MOST_VALUES: usize = 12;

impl<T: Written> Written for [T] {
    fn written(&self) -> String {
        let values: Vec<String> = self.iter().take(MOST_VALUES).map(T::written).collect();
        let more = match self.len().saturating_sub(MOST_VALUES) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        format!("[{}{more}]", values.join(", "))
    }
}

impl<T: Written> Written for Vec<T> {
    fn written(&self) -> String {
        self.as_slice().written()
    }
}

impl<T: Written, const N: usize> Written for [T; N] {
    fn written(&self) -> String {
        self.as_slice().written()
    }
}

impl<T: Written + Clone> Written for Array1<T> {
    fn written(&self) -> String {
        self.to_vec().written()
    }
}

impl<A: Written, B: Written> Written for (A, B) {
    fn written(&self) -> String {
        format!("[{}, {}]", self.0.written(), self.1.written())
    }
}

/// A setting as it stands in JSON.
pub struct AsJson<'v, T>(pub &'v T);

impl<T: Serialize> Written for AsJson<'_, T> {
    fn written(&self) -> String {
        serde_json::to_string(self.0).unwrap_or_else(|error| error.to_string())
    }
}

impl Written for PerFeature {
    fn written(&self) -> String {
        match self {
            PerFeature::All(value) => value.written(),
            PerFeature::Each(values) => values.written(),
        }
    }
}

/// Requires a finite number above 0.
///
/// # Errors
/// [`ParamError`] with the name and the value.
pub fn positive(name: &'static str, value: f64) -> Result<(), ParamError> {
    require(0.0 < value && value < f64::INFINITY, name, "finite and above 0", value)
}

/// Requires a finite number of at least 0.
///
/// # Errors
/// [`ParamError`] with the name and the value.
pub fn not_negative(name: &'static str, value: f64) -> Result<(), ParamError> {
    require((0.0..f64::INFINITY).contains(&value), name, "finite and at least 0", value)
}

/// Requires a number between 0 and 1, both excluded.
///
/// # Errors
/// [`ParamError`] with the name and the value.
pub fn share(name: &'static str, value: f64) -> Result<(), ParamError> {
    require(0.0 < value && value < 1.0, name, "in (0, 1)", value)
}

/// Requires a number of at least `least`.
///
/// # Errors
/// [`ParamError`] with the name, the rule and the value.
pub fn at_least<T>(name: &'static str, least: T, value: T) -> Result<(), ParamError>
where
    T: Copy + PartialOrd + fmt::Display + Written,
{
    require(least <= value, name, format_args!("at least {least}"), value)
}

/// Settings of a method: public fields, `Default` from the paper, one check.
pub trait Params: Sized {
    /// Checks every field that has a range.
    ///
    /// # Errors
    /// [`ParamError`] for the first field outside its range.
    fn validate(&self) -> Result<(), ParamError>;

    /// Turns the settings into checked ones.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    fn check(self) -> Result<Valid<Self>, ParamError> {
        self.validate()?;
        Ok(Valid(self))
    }
}

/// Parameters that passed [`Params::validate`]. Reads like `P`, cannot be changed, checks again when deserialised.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid<P>(P);

impl<P> Valid<P> {
    /// The plain parameters, to be changed and checked again.
    pub fn into_inner(self) -> P {
        self.0
    }
}

impl<P> Deref for Valid<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<P: Serialize> Serialize for Valid<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, P: Params + Deserialize<'de>> Deserialize<'de> for Valid<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        P::deserialize(deserializer)?.check().map_err(serde::de::Error::custom)
    }
}

impl<P: JsonSchema> JsonSchema for Valid<P> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        P::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

/// One number for all features, or one for each of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or a list with one for each feature")]
pub enum PerFeature {
    /// The same for all.
    All(f64),
    /// One for each, shape `(n_features,)`.
    Each(Vec<f64>),
}

impl PerFeature {
    /// One number for each of `n` features, shape `(n,)`.
    ///
    /// # Errors
    /// [`ParamError`] with the parameter's `name` when there are numbers for another count of features.
    pub fn expand(&self, name: &'static str, n: usize) -> Result<Array1<f64>, ParamError> {
        match self {
            PerFeature::All(value) => Ok(Array1::from_elem(n, *value)),
            PerFeature::Each(values) => {
                let rule = format_args!("one number, or one for each of {n} features");
                require(values.len() == n, name, rule, values.len())?;
                Ok(Array1::from(values.clone()))
            }
        }
    }

    /// The numbers that are given.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        match self {
            PerFeature::All(value) => std::slice::from_ref(value),
            PerFeature::Each(values) => values,
        }
    }
}

impl From<f64> for PerFeature {
    fn from(value: f64) -> Self {
        PerFeature::All(value)
    }
}

impl From<Vec<f64>> for PerFeature {
    fn from(values: Vec<f64>) -> Self {
        PerFeature::Each(values)
    }
}

/// Whether a method follows the paper or, bug for bug, the reference library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Semantics {
    /// The correct behaviour, the default; each difference from the reference is a row in the method's README.
    #[default]
    Native,
    /// The reference's behaviour, for users who must match old results.
    Reference,
}

/// Consuming setters for the fields of settings that are `#[non_exhaustive]`, so that a new field breaks nobody.
///
/// ```
/// #[derive(Clone, Default)]
/// struct Settings {
///     depth: usize,
/// }
///
/// xai_core::setters! { Settings { with_depth => depth: usize } }
///
/// assert_eq!(Settings::default().with_depth(3).depth, 3);
/// ```
#[macro_export]
macro_rules! setters {
    ($settings:ident { $($setter:ident => $field:ident : $type:ty),* $(,)? }) => {
        impl $settings {
            $(
                #[doc = concat!("The same settings with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}
