//! What the columns of a table mean: names, kinds, categories and their layout.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result, same_shape};
use crate::model::{Row, Rows};
use crate::params::{ParamError, require};

mod change;
pub mod discretizer;

pub use change::Change;

/// One feature: a name, and what its numbers stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    /// The name, unique in its table.
    pub name: String,
    /// What the numbers stand for.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a feature's numbers stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// A quantity, in one column.
    Numeric,
    /// One of a list of categories.
    Categorical {
        /// The names, at least one; the code of a category is its place in this list.
        categories: Vec<String>,
        /// How the code is laid out in columns.
        encoding: Encoding,
    },
}

/// How a category is laid out in columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// One column that holds the code.
    #[default]
    Ordinal,
    /// One column per category, 1 in the column of the code and 0 elsewhere.
    OneHot,
    /// One column per category but the first, 1 in the column of the code and 0 elsewhere; the first category is all
    /// zeros. At least two categories.
    DropFirst,
}

impl Encoding {
    /// The code of the category that the first column stands for, where every column stands for one category; `None`
    /// where one column holds the code.
    #[must_use]
    pub fn first_code(self) -> Option<usize> {
        match self {
            Encoding::Ordinal => None,
            Encoding::OneHot => Some(0),
            Encoding::DropFirst => Some(1),
        }
    }
}

impl Feature {
    /// A numeric feature.
    pub fn numeric(name: impl Into<String>) -> Self {
        Feature { name: name.into(), kind: Kind::Numeric }
    }

    /// A categorical feature.
    pub fn categorical(
        name: impl Into<String>,
        categories: impl IntoIterator<Item = impl Into<String>>,
        encoding: Encoding,
    ) -> Self {
        let categories = categories.into_iter().map(Into::into).collect();
        Feature { name: name.into(), kind: Kind::Categorical { categories, encoding } }
    }

    fn n_columns(&self) -> usize {
        match &self.kind {
            Kind::Categorical { categories, encoding } => {
                encoding.first_code().map_or(1, |first| categories.len() - first)
            }
            Kind::Numeric => 1,
        }
    }
}

/// The name of a feature, or its index in the table where no feature has that name.
///
/// In JSON and TOML a text or a whole number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[schemars(with = "FeatureKeyForm")]
pub struct FeatureKey(String);

/// A key as it stands in a file.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a feature or its index")]
enum FeatureKeyForm {
    Name(String),
    Index(usize),
}

impl FeatureKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FeatureKey {
    fn from(name: &str) -> Self {
        FeatureKey(name.to_owned())
    }
}

impl From<usize> for FeatureKey {
    fn from(index: usize) -> Self {
        FeatureKey(index.to_string())
    }
}

impl<'de> Deserialize<'de> for FeatureKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match FeatureKeyForm::deserialize(deserializer)? {
            FeatureKeyForm::Name(name) => FeatureKey(name),
            FeatureKeyForm::Index(index) => FeatureKey(index.to_string()),
        })
    }
}

/// The features of a table, in the order of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Feature>", into = "Vec<Feature>")]
pub struct Features {
    features: Vec<Feature>,
    /// The first column of each feature, and the number of columns at the end.
    starts: Vec<usize>,
}

impl Features {
    /// Checks and lays out the features.
    ///
    /// # Errors
    /// [`ParamError`] when there is no feature, when two have one name, or when a categorical feature has no category,
    /// a single one of which the first is dropped, or the same one twice.
    pub fn new(features: Vec<Feature>) -> Result<Self, ParamError> {
        require(!features.is_empty(), "features", "at least one feature", 0)?;
        let mut names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        unique(&mut names, "features", "named differently")?;
        for feature in &features {
            if let Kind::Categorical { categories, encoding } = &feature.kind {
                let rule = || format!("at least one name for feature `{}`", feature.name);
                require(!categories.is_empty(), "categories", rule(), 0)?;
                let dropped = encoding.first_code().unwrap_or(0);
                let rule = || format!("at least two names for feature `{}`", feature.name);
                require(dropped < categories.len(), "categories", rule(), categories.len())?;
                let mut names: Vec<&str> = categories.iter().map(String::as_str).collect();
                unique(
                    &mut names,
                    "categories",
                    &format!("different names for feature `{}`", feature.name),
                )?;
            }
        }
        Ok(Features::laid_out(features))
    }

    /// Checked features and their columns.
    fn laid_out(features: Vec<Feature>) -> Self {
        let mut starts = vec![0];
        for feature in &features {
            starts.push(starts[starts.len() - 1] + feature.n_columns());
        }
        Features { features, starts }
    }

    /// Numeric features with the given names.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn numeric(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, ParamError> {
        Features::new(names.into_iter().map(Feature::numeric).collect())
    }

    /// `n` numeric features named `feature_0`, `feature_1`, and so on.
    ///
    /// # Errors
    /// [`ParamError`] when `n` is 0.
    pub fn unnamed(n: usize) -> Result<Self, ParamError> {
        Features::numeric((0..n).map(|index| format!("feature_{index}")))
    }

    /// Number of features.
    #[must_use]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Never: there is at least one feature.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Number of columns, at least the number of features.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.starts[self.features.len()]
    }

    /// The features in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Feature> {
        self.features.iter()
    }

    /// The columns of a feature, `feature` below [`len`](Self::len).
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn columns(&self, feature: usize) -> Range<usize> {
        self.starts[feature]..self.starts[feature + 1]
    }

    /// The names in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(|feature| feature.name.clone()).collect()
    }

    /// Category names by feature index, for the categorical features only.
    #[must_use]
    pub fn categorical_names(&self) -> BTreeMap<usize, Vec<String>> {
        let named =
            self.features.iter().enumerate().filter_map(|(index, feature)| match &feature.kind {
                Kind::Categorical { categories, .. } => Some((index, categories.clone())),
                Kind::Numeric => None,
            });
        named.collect()
    }

    /// The feature that a key names: the one of that name, or else the one at that index.
    #[must_use]
    pub fn find(&self, key: &FeatureKey) -> Option<usize> {
        let named = self.features.iter().position(|feature| feature.name == key.0);
        named.or_else(|| key.0.parse().ok().filter(|&index: &usize| index < self.len()))
    }

    /// What a feature holds in a row: the number, or the code of the category. `None` where a categorical cell holds no
    /// valid code.
    ///
    /// # Panics
    /// When there is no such feature, or when the row has fewer columns than the table.
    #[must_use]
    pub fn value(&self, feature: usize, row: &Row) -> Option<f64> {
        let cells = row.slice(s![self.columns(feature)]);
        match &self.features[feature].kind {
            Kind::Numeric => Some(cells[0]),
            Kind::Categorical { categories, encoding } => {
                code_in(&cells, categories.len(), *encoding).map(|code| code as f64)
            }
        }
    }

    /// Writes a value of a feature, a number or the code of a category, into a row.
    ///
    /// # Panics
    /// When there is no such feature, or when the row has fewer columns than the table.
    #[allow(clippy::float_cmp, reason = "codes are exact whole numbers")]
    pub fn write(&self, feature: usize, value: f64, row: &mut Row) {
        let mut cells = row.slice_mut(s![self.columns(feature)]);
        let first = match &self.features[feature].kind {
            Kind::Numeric => None,
            Kind::Categorical { encoding, .. } => encoding.first_code(),
        };
        let Some(first) = first else {
            cells[0] = value;
            return;
        };
        for (place, cell) in cells.iter_mut().enumerate() {
            *cell = if (place + first) as f64 == value { 1.0 } else { 0.0 };
        }
    }

    /// The value of a feature in a row, human-readable: the category's name, or the number in its shortest form.
    /// A categorical cell that holds no valid code shows its number.
    ///
    /// # Panics
    /// When there is no such feature, or when the row has fewer columns than the table.
    #[must_use]
    pub fn describe(&self, feature: usize, row: &Row) -> String {
        let cells = row.slice(s![self.columns(feature)]);
        let name = |categories: &[String], code: Option<usize>| {
            code.and_then(|code| categories.get(code).cloned())
        };
        match &self.features[feature].kind {
            Kind::Numeric => cells[0].to_string(),
            Kind::Categorical { categories, encoding } => {
                name(categories, code_in(&cells, categories.len(), *encoding)).unwrap_or_else(
                    || match encoding {
                        Encoding::Ordinal => cells[0].to_string(),
                        _ => cells.to_string(),
                    },
                )
            }
        }
    }

    /// Requires that rows fit this table: its width, and a valid code in every categorical cell.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width, [`Error::Category`] for the first cell that holds no valid code.
    pub fn check(&self, what: &'static str, rows: &Rows) -> Result<()> {
        same_shape(what, &[rows.nrows(), self.n_columns()], rows.shape())?;
        for (index, feature) in self.features.iter().enumerate() {
            if let Kind::Categorical { categories, encoding } = &feature.kind {
                let cells = rows.slice(s![.., self.columns(index)]);
                for (row, cells) in cells.axis_iter(Axis(0)).enumerate() {
                    code(feature, categories, *encoding, row, &cells)?;
                }
            }
        }
        Ok(())
    }

    /// A row with one number for each feature: the code of a category, or the quantity.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn coded(&self, row: &Row) -> Result<Vec<f64>> {
        same_shape("the row", &[self.n_columns()], row.shape())?;
        let value = |(index, feature): (usize, &Feature)| match &feature.kind {
            Kind::Numeric => Ok(row[self.columns(index).start]),
            Kind::Categorical { categories, encoding } => {
                let cells = row.slice(s![self.columns(index)]);
                Ok(code(feature, categories, *encoding, 0, &cells)? as f64)
            }
        };
        self.features.iter().enumerate().map(value).collect()
    }

    /// The same features with every categorical one laid out by `encoding`; one with a single category, of which none can
    /// be dropped, stays as it is where it would have no column.
    #[must_use]
    pub fn encoded(&self, encoding: Encoding) -> Self {
        let relaid = self.features.iter().map(|feature| match &feature.kind {
            Kind::Numeric => feature.clone(),
            Kind::Categorical { categories, .. }
                if categories.len() <= encoding.first_code().unwrap_or(0) =>
            {
                feature.clone()
            }
            Kind::Categorical { categories, .. } => {
                Feature::categorical(feature.name.clone(), categories.iter().cloned(), encoding)
            }
        });
        Features::laid_out(relaid.collect())
    }

    /// Rows of this table in the layout of [`encoded`](Self::encoded).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn encode(&self, rows: &Rows, encoding: Encoding) -> Result<Array2<f64>> {
        same_shape("the rows to encode", &[rows.nrows(), self.n_columns()], rows.shape())?;
        let target = self.encoded(encoding);
        let mut encoded = Array2::zeros((rows.nrows(), target.n_columns()));
        for (index, feature) in self.features.iter().enumerate() {
            let from = self.columns(index);
            let Kind::Categorical { categories, encoding: current } = &feature.kind else {
                encoded.column_mut(target.columns(index).start).assign(&rows.column(from.start));
                continue;
            };
            for (row, cells) in rows.slice(s![.., from]).axis_iter(Axis(0)).enumerate() {
                let code = code(feature, categories, *current, row, &cells)?;
                target.write(index, code as f64, &mut encoded.row_mut(row));
            }
        }
        Ok(encoded)
    }
}

impl TryFrom<Vec<Feature>> for Features {
    type Error = ParamError;

    fn try_from(features: Vec<Feature>) -> Result<Self, ParamError> {
        Features::new(features)
    }
}

/// What describes the columns of a table: [`Features`], the number of numeric columns, their names, or a list of
/// [`Feature`].
pub trait IntoFeatures {
    /// The features.
    ///
    /// # Errors
    /// As [`Features::new`].
    fn into_features(self) -> Result<Features, ParamError>;
}

impl IntoFeatures for Features {
    fn into_features(self) -> Result<Features, ParamError> {
        Ok(self)
    }
}

impl IntoFeatures for &Features {
    fn into_features(self) -> Result<Features, ParamError> {
        Ok(self.clone())
    }
}

impl IntoFeatures for Vec<Feature> {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::new(self)
    }
}

impl IntoFeatures for usize {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::unnamed(self)
    }
}

impl<const N: usize> IntoFeatures for [&str; N] {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::numeric(self)
    }
}

impl<const N: usize> IntoFeatures for [String; N] {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::numeric(self)
    }
}

impl IntoFeatures for Vec<&str> {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::numeric(self)
    }
}

impl IntoFeatures for &[&str] {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::numeric(self.iter().copied())
    }
}

impl IntoFeatures for Vec<String> {
    fn into_features(self) -> Result<Features, ParamError> {
        Features::numeric(self)
    }
}

impl From<Features> for Vec<Feature> {
    fn from(features: Features) -> Self {
        features.features
    }
}

/// The code that the cells of a categorical feature hold in a row.
fn code(
    feature: &Feature,
    categories: &[String],
    encoding: Encoding,
    row: usize,
    cells: &Row,
) -> Result<usize> {
    let code = code_in(cells, categories.len(), encoding);
    code.ok_or_else(|| Error::Category {
        feature: feature.name.clone(),
        row,
        got: cells.to_vec(),
        rule: match encoding {
            Encoding::Ordinal => format!("an integer code below {}", categories.len()),
            Encoding::OneHot => "a single 1 among zeros".to_owned(),
            Encoding::DropFirst => "zeros, with a single 1 at most".to_owned(),
        },
    })
}

/// The code that cells hold.
fn code_in(cells: &Row, n_categories: usize, encoding: Encoding) -> Option<usize> {
    match encoding {
        Encoding::Ordinal => code_of(cells[0], n_categories),
        Encoding::OneHot => hot(cells),
        Encoding::DropFirst if cells.iter().all(|&cell| cell == 0.0) => Some(0),
        Encoding::DropFirst => hot(cells).map(|place| place + 1),
    }
}

/// The code a cell holds, when it is an integer below `n_categories`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be an integer in range"
)]
#[allow(clippy::float_cmp, reason = "codes are exact integers")]
fn code_of(cell: f64, n_categories: usize) -> Option<usize> {
    (0.0 <= cell && cell < n_categories as f64 && cell.fract() == 0.0).then_some(cell as usize)
}

/// The place of the single 1 among zeros.
#[allow(clippy::float_cmp, reason = "one-hot cells are exactly 0 or 1")]
fn hot(cells: &Row) -> Option<usize> {
    let valid = cells.iter().all(|&cell| cell == 0.0 || cell == 1.0) && cells.sum() == 1.0;
    cells.iter().position(|&cell| cell == 1.0).filter(|_| valid)
}

fn unique(names: &mut [&str], parameter: &'static str, rule: &str) -> Result<(), ParamError> {
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let value = format!("`{}` twice", pair[0]);
            Err(ParamError { name: parameter, rule: rule.to_owned(), value })
        }
        None => Ok(()),
    }
}
