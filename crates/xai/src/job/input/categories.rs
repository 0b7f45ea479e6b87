//! The file of categories: which features have some, and their names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use xai_core::ParamError;
use xai_core::tabular::{Encoding, Feature, Features};

use crate::job::error::{JobError, Place};

/// Names of the categories of the categorical features, by the index of the feature.
#[derive(Debug, Default)]
pub(super) struct Categories(BTreeMap<usize, Vec<String>>);

/// The file of categories: the map itself, or the map under a key.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected an object from feature names or indices to lists of category names"
)]
enum CategoryFile {
    Nested { category_map: BTreeMap<String, Vec<String>> },
    Plain(BTreeMap<String, Vec<String>>),
}

impl Categories {
    /// Reads the categories of features with these names.
    pub(super) fn read(path: &Path, names: &[String]) -> Result<Self, JobError> {
        let text = fs::read_to_string(path).map_err(|source| JobError::Read {
            what: "categories",
            path: path.to_owned(),
            source,
        })?;
        let refuse = |message: String| JobError::invalid(Place::file(path), message);
        let file = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let (CategoryFile::Nested { category_map: lists } | CategoryFile::Plain(lists)) = file;
        let mut categories = BTreeMap::new();
        for (key, list) in lists {
            let by_name = names.iter().position(|name| *name == key);
            let by_index = || key.parse().ok().filter(|&index: &usize| index < names.len());
            let Some(feature) = by_name.or_else(by_index) else {
                let n_features = names.len();
                let message =
                    format!("`{key}` is neither a feature nor an index below {n_features}");
                return Err(refuse(message));
            };
            if list.is_empty() {
                return Err(refuse(format!("`{key}` has no category")));
            }
            let is_repeated = |(index, name): &(usize, &String)| list[..*index].contains(name);
            if let Some((_, name)) = list.iter().enumerate().find(is_repeated) {
                return Err(refuse(format!("`{key}` has the category `{name}` twice")));
            }
            if categories.insert(feature, list).is_some() {
                let name = &names[feature];
                let message = format!("feature `{name}` is there twice, by name and by index");
                return Err(refuse(message));
            }
        }
        Ok(Categories(categories))
    }

    /// The categories of a feature, where it has some.
    pub(super) fn of(&self, feature: usize) -> Option<&[String]> {
        self.0.get(&feature).map(Vec::as_slice)
    }

    /// Features with these names.
    pub(super) fn features(&self, names: &[String]) -> Result<Features, ParamError> {
        let feature = |(index, name): (usize, &String)| match self.of(index) {
            Some(categories) => Feature::categorical(name, categories, Encoding::Ordinal),
            None => Feature::numeric(name),
        };
        Features::new(names.iter().enumerate().map(feature).collect())
    }
}
