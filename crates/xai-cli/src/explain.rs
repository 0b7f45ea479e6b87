//! `xai explain`: from a job to the explanations of its rows.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ndarray::{Array2, s};
use toml::Spanned;
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Features, Kind};
use xai_core::{Error, Explainer, Explanation, RunConfig, Seed};

use crate::data::{Data, Needs};
use crate::failure::Failure;
use crate::job::{EdgesFrom, Job};
use crate::method::{self, Method};
use crate::model::{Model, Width, name_outputs};
use crate::output::{Destination, Place, RowError, Sink};
use crate::progress::{Progress, ProgressMode};
use crate::selection::Selection;

/// What the command line says beside the job.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A table, texts, an image or a folder of images in the place of the job's.
    pub input: Option<PathBuf>,
    /// The rows of the input to explain.
    pub rows: Selection,
    /// Where the explanations go.
    pub output: Destination,
    /// A seed in the place of the job's.
    pub seed: Option<u64>,
    /// A folder for pictures, for a method that draws some.
    pub pictures: Option<PathBuf>,
    /// Whether to show progress.
    pub progress: ProgressMode,
}

/// How a run ended that could be run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every row has its explanation.
    Complete,
    /// This many rows, at least one, have an error instead.
    Partial {
        /// Rows that failed.
        n_failed: usize,
        /// Rows that were asked for.
        n_rows: usize,
    },
}

/// RunConfig a job file.
///
/// # Errors
/// [`Failure::Input`] for a wrong job, table, parameter or model file, before any model call; [`Failure::Run`] when
/// the output cannot be written. A row that fails is not an error but [`Outcome::Partial`].
pub fn explain(job: &Path, request: &Request) -> Result<Outcome, Failure> {
    let job = Job::read(job)?;
    let name = job.method();
    let method = method::find(name.get_ref())
        .ok_or_else(|| job.refuse(Some(name.span()), method::unknown(name.get_ref())))?;
    if request.pictures.is_some() && !method.draws_pictures() {
        let message = format!("--pictures: `{}` draws no pictures", method.name());
        return Err(Failure::refuse(message));
    }
    method.explain(&job, request)
}

/// A job whose inputs have all been read and checked, so that only the model can fail.
pub struct Prepared<M: Method> {
    explainer: M::Explainer,
    model: M::Model,
    features: Features,
    background: Array2<f64>,
    /// Names of the model's outputs, or nothing when nobody named them.
    outputs: Vec<String>,
    /// The rows of the input to explain.
    range: Range<usize>,
    rows: Array2<f64>,
    seed: Seed,
}

impl<M: Method> Prepared<M> {
    /// Reads everything a job names and fits the method.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file and the place in it.
    pub fn new(job: &Job, request: &Request) -> Result<Self, Failure> {
        let mut params = job.params::<M::Params>()?;
        let seed = Seed::new(request.seed.unwrap_or_else(|| job.seed()));
        let needs = Needs {
            training: M::needs_training(&params, job),
            missing: M::takes_missing(&params),
            keys: M::KEYS,
        };
        let data = Data::load(job, request.input.as_deref(), seed, needs)?;
        let range = request
            .rows
            .within(data.input.nrows())
            .map_err(|error| Failure::refuse(format!("--rows: {error}")))?;
        let file = table_of(job, request);
        let width = Width { n_columns: data.features.n_columns(), what: "table", file: &file };
        let model = M::Model::open(job, Some(width))?;
        if let Some(wanted) = &job.data().edges {
            let Some(edges) = M::edges(&mut params) else {
                let message = format!("`{}` has no bins that `edges` could cut", M::NAME);
                return Err(job.refuse(Some(wanted.span()), message));
            };
            let EdgesFrom::Model = wanted.get_ref();
            let found = edges_of_model(&model, &data.features)
                .map_err(|error| job.refuse(Some(wanted.span()), format!("`edges`: {error}")))?;
            for (name, found) in found {
                edges.entry(name).or_insert(found);
            }
        }
        let explainer = M::fit(params, &data, &model).map_err(|error| match error {
            Error::Param(error) => job.refuse_param(&error),
            error @ Error::Predictor { .. } => Failure::run(error),
            error => Failure::input(error),
        })?;
        let Data { features, background, input, .. } = data;
        let outputs = name_outputs(job, &model, &background.slice(s![..1, ..]))?;
        let rows = input.slice(s![range.clone(), ..]).to_owned();
        Ok(Prepared { explainer, model, features, background, outputs, range, rows, seed })
    }

    /// What the columns mean.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The background, shape `(n_background, n_features)`.
    #[must_use]
    pub fn background(&self) -> &Array2<f64> {
        &self.background
    }

    /// Names of the model's outputs, or nothing when nobody named them.
    #[must_use]
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Explains the rows and hands each result to the sink, in the order of the rows, as soon as it is there.
    ///
    /// # Errors
    /// [`Failure::Run`] when the sink fails.
    pub fn run(
        &self,
        progress: ProgressMode,
        sink: &mut dyn Sink<M::Data>,
    ) -> Result<Outcome, Failure> {
        let runs = RunConfig::seeded(self.seed);
        drive(self.range.clone(), &[], progress, sink, |take| {
            M::with_view(&self.model, |model| {
                self.explainer.explain_many_with(model, &self.rows, &runs, take);
            });
        })
    }
}

/// What takes the result of an input by its place among those to explain.
pub(crate) type Take<'t, D> =
    &'t mut dyn FnMut(usize, xai_core::Result<Explanation<D>>) -> ControlFlow<()>;

/// Hands the results that `explain` gives to the sink, with the rows of the input that `range` says, and ends it.
/// `files` are the names of these inputs, or nothing where they have none.
pub(crate) fn drive<D>(
    range: Range<usize>,
    files: &[String],
    progress: ProgressMode,
    sink: &mut dyn Sink<D>,
    explain: impl FnOnce(Take<'_, D>),
) -> Result<Outcome, Failure> {
    let n_rows = range.len();
    let progress = Progress::start(progress, n_rows);
    let mut n_failed = 0;
    let mut written: io::Result<()> = Ok(());
    explain(&mut |index, result| {
        let file = files.get(index).map(String::as_str);
        let place = Place { row: range.start + index, file };
        written = progress.suspended(|| match result {
            Ok(explanation) => sink.explanation(place, explanation),
            Err(error) => {
                n_failed += 1;
                let error = RowError::new(place, &error);
                progress.complain(&error);
                sink.error(&error)
            }
        });
        progress.advance();
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    progress.finish();
    written
        .and_then(|()| sink.finish())
        .context("the explanations cannot be written")
        .map_err(Failure::Run)?;
    Ok(if n_failed == 0 { Outcome::Complete } else { Outcome::Partial { n_failed, n_rows } })
}

/// The table that names the features.
fn table_of(job: &Job, request: &Request) -> PathBuf {
    let named = |path: &Option<Spanned<PathBuf>>| path.as_ref().map(|p| job.resolve(p.get_ref()));
    let input = || request.input.clone().or_else(|| named(&job.data().input));
    named(&job.data().train).or_else(input).expect("a table was read")
}

/// The thresholds of the model's trees for the numeric features that have any.
fn edges_of_model(
    model: &impl Model,
    features: &Features,
) -> Result<Vec<(String, Edges)>, anyhow::Error> {
    let mut edges = Vec::new();
    for (feature, thresholds) in features.iter().zip(model.thresholds()?) {
        if matches!(feature.kind, Kind::Numeric) && !thresholds.is_empty() {
            edges.push((feature.name.clone(), Edges::new(thresholds)?));
        }
    }
    Ok(edges)
}
