//! The tables of a job: the background, the rows to explain, and what their columns mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndarray::{Array2, Axis};
use serde::Deserialize;
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{Rows, Seed};

use crate::failure::Failure;
use crate::job::{Job, Kind};
use crate::table::{Cells, Column, Table};

/// What a method is fitted to, and what it explains.
#[derive(Debug)]
pub struct Data {
    /// The features, in the order of the training columns.
    pub features: Features,
    /// The background, shape `(n_background, n_features)`.
    pub background: Array2<f64>,
    /// Whether the background is made of training rows. Otherwise it is the rows to explain.
    pub is_trained: bool,
    /// The rows to explain, shape `(n_rows, n_features)`, columns in the same order.
    pub input: Array2<f64>,
}

/// What a method needs of tables.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Whether there must be training rows. Otherwise the rows to explain stand for them where there are none.
    pub training: bool,
    /// Whether empty cells are missing values, NaN, and no error.
    pub missing: bool,
    /// The keys for gradients that it knows.
    pub keys: &'static [&'static str],
}

impl Data {
    /// The training rows, shape `(n_background, n_features)`, where there are some.
    #[must_use]
    pub fn training(&self) -> Option<&Rows> {
        self.is_trained.then_some(&*self.background)
    }
}

/// The stream below the run's seed that the background is drawn from. Rows draw from the child of their fingerprint.
const BACKGROUND: u64 = u64::from_be_bytes(*b"backgrnd");

impl Data {
    /// Reads the tables of a job. `input` replaces the job's own.
    ///
    /// # Errors
    /// [`Failure::Input`] with file, line and column.
    pub fn load(
        job: &Job,
        input: Option<&Path>,
        seed: Seed,
        Needs { training, missing, keys }: Needs,
    ) -> Result<Self, Failure> {
        let section = job.data();
        job.check_keys(Kind::Rows, keys)?;
        let input = match (input, &section.input) {
            (Some(path), _) => path.to_owned(),
            (None, Some(path)) => job.resolve(path.get_ref()),
            (None, None) => {
                let message = "there is nothing to explain: give `input` in [data] or --input FILE";
                return Err(job.refuse(None, message));
            }
        };
        let train = match &section.train {
            Some(path) => job.resolve(path.get_ref()),
            None if training => {
                return Err(job.refuse(None, "there are no training rows: give `train` in [data]"));
            }
            None => input.clone(),
        };
        let train = Table::open(&train)?;
        let target = section.target.as_ref().map(|target| target.get_ref().as_str());
        if let Some(target) = target
            && !train.names().iter().any(|name| name == target)
        {
            let message = format!(
                "there is no target column `{target}`, the columns are {}",
                quoted(train.names())
            );
            return Err(train.refuse_header(message));
        }
        let names: Vec<&String> =
            train.names().iter().filter(|name| Some(name.as_str()) != target).collect();
        if names.is_empty() {
            return Err(train.refuse_header("there is no column besides the target"));
        }
        let categories = match &section.categories {
            Some(path) => Categories::read(&job.resolve(path.get_ref()), &names)?,
            None => Categories::default(),
        };
        let features = categories.features(&names).map_err(|error| train.refuse_header(error))?;

        let cells = |feature: usize| match categories.0.get(&feature) {
            Some(names) => Cells::Codes(names.len()),
            None if missing => Cells::NumbersOrMissing,
            None => Cells::Numbers,
        };
        let background = train.rows(&columns(&train, &names, cells))?;
        let background = match &section.background_rows {
            None => background,
            Some(wanted) => {
                let (n_rows, n_wanted) = (background.nrows(), *wanted.get_ref());
                if !(1..=n_rows).contains(&n_wanted) {
                    let message = format!(
                        "`background_rows` must be from 1 to the {n_rows} rows of `{}`, got {n_wanted}",
                        train.path().display()
                    );
                    return Err(job.refuse(Some(wanted.span()), message));
                }
                background.select(Axis(0), &sample(n_rows, n_wanted, seed))
            }
        };

        let input = Table::open(&input)?;
        same_names(&train, &names, &input, target)?;
        let input = input.rows(&columns(&input, &names, cells))?;
        let is_trained = section.train.is_some();
        Ok(Data { features, background, is_trained, input })
    }
}

/// The columns of a table that hold the features, in the order of the features.
fn columns(table: &Table, names: &[&String], cells: impl Fn(usize) -> Cells) -> Vec<Column> {
    let place = |name: &String| table.names().iter().position(|other| other == name);
    let places = names.iter().map(|name| place(name).expect("the names were compared"));
    places.enumerate().map(|(feature, index)| Column { index, cells: cells(feature) }).collect()
}

/// Requires that the input has the features, in any order, and nothing else but the target.
fn same_names(
    train: &Table,
    names: &[&String],
    input: &Table,
    target: Option<&str>,
) -> Result<(), Failure> {
    let missing: Vec<&String> =
        names.iter().copied().filter(|name| !input.names().contains(name)).collect();
    let unknown: Vec<&String> = input
        .names()
        .iter()
        .filter(|name| !names.contains(name) && Some(name.as_str()) != target)
        .collect();
    let lists = [("missing", missing), ("unknown", unknown)];
    let lists: Vec<String> = lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(what, list)| format!("{what} {}", quoted(&list)))
        .collect();
    if lists.is_empty() {
        return Ok(());
    }
    let train = train.path().display();
    Err(input
        .refuse_header(format!("the columns must be those of `{train}`: {}", lists.join("; "))))
}

/// `wanted` different rows of `n_rows`, in ascending order.
fn sample(n_rows: usize, wanted: usize, seed: Seed) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n_rows).collect();
    seed.child(BACKGROUND).stream().shuffle(&mut rows);
    rows.truncate(wanted);
    rows.sort_unstable();
    rows
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}

/// Names of the categories of the categorical features, by the index of the feature.
#[derive(Debug, Default)]
struct Categories(BTreeMap<usize, Vec<String>>);

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
    fn read(path: &Path, names: &[&String]) -> Result<Self, Failure> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the categories `{shown}`");
            Failure::Input(anyhow::Error::new(error).context(message))
        })?;
        let file = serde_json::from_str(&text)
            .map_err(|error| Failure::refuse(format!("{shown}: {error}")))?;
        let (CategoryFile::Nested { category_map: lists } | CategoryFile::Plain(lists)) = file;
        let mut categories = BTreeMap::new();
        for (key, list) in lists {
            let by_name = names.iter().position(|name| **name == key);
            let by_index = || key.parse().ok().filter(|&index: &usize| index < names.len());
            let Some(feature) = by_name.or_else(by_index) else {
                let message = format!(
                    "{shown}: `{key}` is neither a feature nor an index below {}",
                    names.len()
                );
                return Err(Failure::refuse(message));
            };
            if list.is_empty() {
                return Err(Failure::refuse(format!("{shown}: `{key}` has no category")));
            }
            if let Some(twice) =
                list.iter().enumerate().find(|(index, name)| list[..*index].contains(name))
            {
                let message = format!("{shown}: `{key}` has the category `{}` twice", twice.1);
                return Err(Failure::refuse(message));
            }
            if categories.insert(feature, list).is_some() {
                let message = format!(
                    "{shown}: feature `{}` is there twice, by name and by index",
                    names[feature]
                );
                return Err(Failure::refuse(message));
            }
        }
        Ok(Categories(categories))
    }

    fn features(&self, names: &[&String]) -> Result<Features, xai_core::ParamError> {
        let feature = |(index, name): (usize, &&String)| match self.0.get(&index) {
            Some(categories) => {
                Feature::categorical(*name, categories.iter().cloned(), Encoding::Ordinal)
            }
            None => Feature::numeric(*name),
        };
        Features::new(names.iter().enumerate().map(feature).collect())
    }
}
