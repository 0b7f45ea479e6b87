//! Rows to explain: arrays, or tables whose columns are matched by name.

use ndarray::{Array2, Axis, s};
use toml::Spanned;
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Features, Kind};
use xai_core::{Row, Rows, Seed};

use super::categories::Categories;
use super::table::{Cells, Column, Table};
use super::{InputKind, JobInput, Loaded};
use crate::job::Job;
use crate::job::document::EdgesFrom;
use crate::job::error::JobError;
use crate::job::models::{JobModels, ModelRequirements, RowModel, Width};

/// Methods that explain rows.
pub(crate) struct RowInput;

/// What a method needs of rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DataRequirements {
    /// Whether there must be training rows. Otherwise the rows to explain stand for them where there are none.
    pub(crate) training: bool,
    /// Whether empty cells are missing values, NaN, and no error.
    pub(crate) missing: bool,
    /// Whether the method puts numbers in bins, whose cuts may be those of the model.
    pub(crate) bins: bool,
}

/// What a method of rows is fitted to.
pub(crate) struct RowData {
    /// The features, in the order of the training columns.
    pub(crate) features: Features,
    /// The background, shape `(n_background, n_columns)`.
    pub(crate) background: Array2<f64>,
    /// Whether the background is made of training rows. Otherwise it is the rows to explain.
    is_trained: bool,
    /// The cuts of numeric features by name, where the job takes them from the model.
    pub(crate) edges: Vec<(String, Edges)>,
}

impl RowData {
    /// The training rows, shape `(n_background, n_columns)`, where there are some.
    pub(crate) fn training(&self) -> Option<&Rows> {
        self.is_trained.then_some(&*self.background)
    }
}

/// The stream below the run's seed that the background is drawn from. Rows draw from the child of their fingerprint.
const BACKGROUND: u64 = u64::from_be_bytes(*b"backgrnd");

impl JobInput for RowInput {
    const KIND: InputKind = InputKind::Rows;
    type Requirements = DataRequirements;
    type One = Row;
    type Many = Array2<f64>;
    type Training = RowData;
    type Models<'j> = JobModels<'j>;

    fn load<'j>(
        job: &'j Job<'j>,
        requirements: &DataRequirements,
        model: &ModelRequirements,
    ) -> Result<Loaded<'j, Self>, JobError> {
        job.check_keys(InputKind::Rows, model.keys)?;
        let sources = Sources::of(job, requirements.training)?;
        let columns = Columns::of(job, &sources)?;
        let missing = requirements.missing;
        let (background, is_trained) = match &sources.training {
            Some(source) => (columns.read(job, source, missing)?, true),
            None => (columns.read(job, &sources.input, missing)?, false),
        };
        let background = drawn(job, background, sources.training())?;
        let input = columns.read(job, &sources.input, missing)?;
        let range = job.selection.within(input.nrows())?;
        let width = Width { n_columns: columns.features.n_columns(), rows: columns.shown.clone() };
        let models = JobModels::open(job, Some(&width), model)?;
        let edges = match &job.data().edges {
            Some(edges) => cuts(job, edges, &models.model, &columns.features, requirements.bins)?,
            None => Vec::new(),
        };
        let outputs = models.model.output_names(job, &background.slice(s![..1, ..]))?;
        let inputs = input.slice(s![range.clone(), ..]).to_owned();
        let training = RowData { features: columns.features, background, is_trained, edges };
        Ok(Loaded { training, models, outputs, inputs, range, files: Vec::new() })
    }
}

/// Where rows come from.
enum Source<'j> {
    Table(Table),
    Array(&'j Array2<f64>),
}

impl Source<'_> {
    fn table(&self) -> Option<&Table> {
        match self {
            Source::Table(table) => Some(table),
            Source::Array(_) => None,
        }
    }

    fn n_columns(&self) -> usize {
        match self {
            Source::Table(table) => table.names().len(),
            Source::Array(rows) => rows.ncols(),
        }
    }
}

/// The rows of a job; the input stands for training rows where there are none.
struct Sources<'j> {
    training: Option<Source<'j>>,
    input: Source<'j>,
}

impl<'j> Sources<'j> {
    /// Opens the tables of a job.
    fn of(job: &'j Job<'j>, needs_training: bool) -> Result<Self, JobError> {
        let input = match (&job.data.rows, job.input_file()) {
            (Some(rows), _) => Err(rows),
            (None, Some(path)) => Ok(path),
            (None, None) => {
                return Err(JobError::NothingToExplain { place: job.place(), key: "input" });
            }
        };
        let training = match (&job.data.training_rows, &job.data().train) {
            (Some(rows), _) => Some(Source::Array(rows)),
            (None, Some(path)) => Some(Source::Table(Table::open(&job.resolve(path.get_ref()))?)),
            (None, None) if needs_training => {
                let message = "there are no training rows: give `train` in [data]";
                return Err(JobError::invalid(job.place(), message));
            }
            (None, None) => None,
        };
        let input = match input {
            Ok(path) => Source::Table(Table::open(&path)?),
            Err(rows) => Source::Array(rows),
        };
        Ok(Sources { training, input })
    }

    /// The rows that the background is drawn from.
    fn training(&self) -> &Source<'j> {
        self.training.as_ref().unwrap_or(&self.input)
    }
}

/// What the columns are, and where their names come from.
struct Columns {
    features: Features,
    categories: Categories,
    /// The names of the columns of tables.
    names: Vec<String>,
    /// The column of tables that is no feature.
    target: Option<String>,
    /// What names them, for messages: "the table `train.csv`".
    shown: String,
}

impl Columns {
    fn of(job: &Job<'_>, sources: &Sources<'_>) -> Result<Self, JobError> {
        let tables = [sources.training(), &sources.input];
        match tables.into_iter().find_map(Source::table) {
            Some(table) => Columns::of_table(job, table),
            None => Columns::of_arrays(job, sources.training().n_columns()),
        }
    }

    /// The columns of the table that names the features.
    fn of_table(job: &Job<'_>, table: &Table) -> Result<Self, JobError> {
        let section = job.data();
        if job.data.features.is_some() {
            let message = "features in memory are for rows in memory: the table names its features";
            return Err(table.refuse_header(message));
        }
        let target = section.target.as_ref().map(|target| target.get_ref().clone());
        if let Some(target) = &target
            && !table.names().contains(target)
        {
            let names = quoted(table.names());
            let message = format!("there is no target column `{target}`, the columns are {names}");
            return Err(table.refuse_header(message));
        }
        let is_feature = |name: &&String| Some(*name) != target.as_ref();
        let names: Vec<String> = table.names().iter().filter(is_feature).cloned().collect();
        if names.is_empty() {
            return Err(table.refuse_header("there is no column besides the target"));
        }
        let categories = match &section.categories {
            Some(path) => Categories::read(&job.resolve(path.get_ref()), &names)?,
            None => Categories::default(),
        };
        let features = categories.features(&names).map_err(|error| table.refuse_header(error))?;
        let shown = format!("table `{}`", table.path().display());
        Ok(Columns { features, categories, names, target, shown })
    }

    /// The columns of rows in memory.
    fn of_arrays(job: &Job<'_>, n_columns: usize) -> Result<Self, JobError> {
        let features = match &job.data.features {
            Some(features) => features.clone(),
            None => Features::unnamed(n_columns).map_err(xai_core::Error::Param)?,
        };
        let categories = Categories::default();
        let shown = "list of features".to_owned();
        Ok(Columns { features, categories, names: Vec::new(), target: None, shown })
    }

    /// The rows of a source, shape `(n_rows, n_columns)`.
    fn read(
        &self,
        job: &Job<'_>,
        source: &Source<'_>,
        missing: bool,
    ) -> Result<Array2<f64>, JobError> {
        let table = match source {
            Source::Table(table) => table,
            Source::Array(rows) => {
                let (got, expected) = (rows.ncols(), self.features.n_columns());
                if got == expected && 0 < rows.nrows() {
                    return Ok((*rows).clone());
                }
                let shape = rows.dim();
                let message = format!(
                    "rows in memory must have shape (1.., {expected}) as the {}, got {shape:?}",
                    self.shown
                );
                return Err(JobError::invalid(job.place(), message));
            }
        };
        self.same_names(table)?;
        let cells = |feature: usize| match self.categories.of(feature) {
            Some(names) => Cells::Codes(names.len()),
            None if missing => Cells::NumbersOrMissing,
            None => Cells::Numbers,
        };
        let place = |name: &String| table.names().iter().position(|other| other == name);
        let places = self.names.iter().map(|name| place(name).expect("the names were compared"));
        let column = |(feature, index): (usize, usize)| Column { index, cells: cells(feature) };
        let columns: Vec<Column> = places.enumerate().map(column).collect();
        table.rows(&columns)
    }

    /// Requires that a table has the features, in any order, and nothing else but the target.
    fn same_names(&self, table: &Table) -> Result<(), JobError> {
        let is_missing = |name: &&String| !table.names().contains(name);
        let is_unknown =
            |name: &&String| !self.names.contains(name) && Some(*name) != self.target.as_ref();
        let missing: Vec<&String> = self.names.iter().filter(is_missing).collect();
        let unknown: Vec<&String> = table.names().iter().filter(is_unknown).collect();
        let lists: Vec<String> = [("missing", missing), ("unknown", unknown)]
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(what, list)| format!("{what} {}", quoted(&list)))
            .collect();
        if lists.is_empty() {
            return Ok(());
        }
        let shown = self.shown.strip_prefix("table ").unwrap_or(&self.shown);
        let message = format!("the columns must be those of {shown}: {}", lists.join("; "));
        Err(table.refuse_header(message))
    }
}

/// The background: all rows, or as many of them as the job wants, drawn by its seed.
fn drawn(job: &Job<'_>, rows: Array2<f64>, source: &Source<'_>) -> Result<Array2<f64>, JobError> {
    let Some(wanted) = &job.data().background_rows else { return Ok(rows) };
    let (n_rows, n_wanted) = (rows.nrows(), *wanted.get_ref());
    if !(1..=n_rows).contains(&n_wanted) {
        let shown = match source.table() {
            Some(table) => format!("rows of `{}`", table.path().display()),
            None => "training rows".to_owned(),
        };
        let message =
            format!("`background_rows` must be from 1 to the {n_rows} {shown}, got {n_wanted}");
        return Err(JobError::invalid(job.place_of(wanted), message));
    }
    Ok(rows.select(Axis(0), &sample(n_rows, n_wanted, job.seed)))
}

/// `wanted` different rows of `n_rows`, in ascending order.
fn sample(n_rows: usize, wanted: usize, seed: Seed) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n_rows).collect();
    seed.child(BACKGROUND).stream().shuffle(&mut rows);
    rows.truncate(wanted);
    rows.sort_unstable();
    rows
}

/// The thresholds of the model's trees for the numeric features that have any.
fn cuts(
    job: &Job<'_>,
    edges: &Spanned<EdgesFrom>,
    model: &RowModel<'_>,
    features: &Features,
    has_bins: bool,
) -> Result<Vec<(String, Edges)>, JobError> {
    let refuse = |message: String| JobError::invalid(job.place_of(edges), message);
    if !has_bins {
        return Err(refuse(format!("`{}` has no bins that `edges` could cut", job.method())));
    }
    let EdgesFrom::Model = edges.get_ref();
    let thresholds = model.thresholds().map_err(|error| refuse(format!("`edges`: {error}")))?;
    let mut cuts = Vec::new();
    for (feature, thresholds) in features.iter().zip(thresholds) {
        if matches!(feature.kind, Kind::Numeric) && !thresholds.is_empty() {
            let edges =
                Edges::new(thresholds).map_err(|error| refuse(format!("`edges`: {error}")))?;
            cuts.push((feature.name.clone(), edges));
        }
    }
    Ok(cuts)
}

/// Names in backticks, with commas between them.
pub(super) fn quoted(names: &[impl AsRef<str>]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}
