//! `xai explain`: from a job to the explanations of its rows.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ndarray::{Array2, s};
use xai_core::tabular::discretizer::Edges;
use xai_core::tabular::{Features, Kind};
use xai_core::{Error, Explainer, Explanation, Rows, Run, Runs, Seed};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

use crate::data::Data;
use crate::failure::Failure;
use crate::job::{EdgesFrom, Job};
use crate::method::{self, Method};
use crate::output::{Destination, RowError, Sink};
use crate::progress::{Progress, ProgressMode};
use crate::selection::Selection;

/// What the command line says beside the job.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A table in the place of the job's input.
    pub input: Option<PathBuf>,
    /// The rows of the input to explain.
    pub rows: Selection,
    /// Where the explanations go.
    pub output: Destination,
    /// A seed in the place of the job's.
    pub seed: Option<u64>,
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

/// Runs a job file.
///
/// # Errors
/// [`Failure::Input`] for a wrong job, table, parameter or model file, before any model call; [`Failure::Run`] when
/// the output cannot be written. A row that fails is not an error but [`Outcome::Partial`].
pub fn explain(job: &Path, request: &Request) -> Result<Outcome, Failure> {
    let job = Job::read(job)?;
    let name = job.method();
    let method = method::find(name.get_ref())
        .ok_or_else(|| job.refuse(Some(name.span()), method::unknown(name.get_ref())))?;
    method.explain(&job, request)
}

/// A job whose inputs have all been read and checked, so that only the model can fail.
pub struct Prepared<M: Method> {
    explainer: M::Explainer,
    model: OnnxModel,
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
        let missing = M::takes_missing(&params);
        let Data { features, background, input } =
            Data::load(job, request.input.as_deref(), seed, missing)?;
        let range = request
            .rows
            .within(input.nrows())
            .map_err(|error| Failure::refuse(format!("--rows: {error}")))?;
        let model = open_model(job, features.n_columns(), "table", &train_of(job))?;
        if let Some(wanted) = &job.data().edges {
            let Some(edges) = M::edges(&mut params) else {
                let message = format!("`{}` has no bins that `edges` could cut", M::NAME);
                return Err(job.refuse(Some(wanted.span()), message));
            };
            let EdgesFrom::Model = wanted.get_ref();
            let found = edges_of_model(&model, &features)
                .map_err(|error| job.refuse(Some(wanted.span()), format!("`edges`: {error}")))?;
            for (name, found) in found {
                edges.entry(name).or_insert(found);
            }
        }
        let explainer =
            M::fit(params, &background, features.clone()).map_err(|error| match error {
                Error::Param(error) => job.refuse_param(&error),
                error => Failure::input(error),
            })?;
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
        let runs = Runs::seeded(self.seed);
        drive(self.range.clone(), progress, sink, |take| {
            self.explainer.explain_each(M::view(&self.model), &self.rows, &runs, take);
        })
    }
}

/// What takes the result of an input by its place among those to explain.
pub(crate) type Take<'t, D> =
    &'t mut dyn FnMut(usize, xai_core::Result<Explanation<D>>) -> ControlFlow<()>;

/// Hands the results that `explain` gives to the sink, with the rows of the input that `range` says, and ends it.
pub(crate) fn drive<D>(
    range: Range<usize>,
    progress: ProgressMode,
    sink: &mut dyn Sink<D>,
    explain: impl FnOnce(Take<'_, D>),
) -> Result<Outcome, Failure> {
    let n_rows = range.len();
    let progress = Progress::start(progress, n_rows);
    let mut n_failed = 0;
    let mut written: io::Result<()> = Ok(());
    explain(&mut |index, result| {
        let row = range.start + index;
        written = progress.suspended(|| match result {
            Ok(explanation) => sink.explanation(row, explanation),
            Err(error) => {
                n_failed += 1;
                let error = RowError::new(row, &error);
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

/// Where the training rows of a job are.
fn train_of(job: &Job) -> PathBuf {
    job.data().train.as_ref().map(|path| job.resolve(path.get_ref())).unwrap_or_default()
}

/// Opens the model of a job, which must take as many columns as the file `source`, a `what`, has.
pub(crate) fn open_model(
    job: &Job,
    n_columns: usize,
    what: &str,
    source: &Path,
) -> Result<OnnxModel, Failure> {
    let path = job.resolve(&job.model().path);
    let options = OnnxOptions { output: job.model().output.clone(), n_features: Some(n_columns) };
    OnnxModel::open_with(&path, &options).map_err(|error| match error {
        OnnxError::Width { expected, .. } => Failure::refuse(format!(
            "the model `{}` takes {expected} features, the {what} `{}` has {n_columns}",
            path.display(),
            source.display(),
        )),
        error => {
            let message = format!("the model `{}` cannot be used", path.display());
            Failure::Input(anyhow::Error::new(error).context(message))
        }
    })
}

/// The thresholds of the model's trees for the numeric features that have any.
fn edges_of_model(
    model: &OnnxModel,
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

/// The names of the job, or else the classes that the model names; `row` is any row that the model takes.
pub(crate) fn name_outputs(
    job: &Job,
    model: &OnnxModel,
    row: &Rows,
) -> Result<Vec<String>, Failure> {
    let labels =
        model.class_labels().map(|labels| labels.iter().map(|label| format!("class {label}")));
    let Some(names) = &job.model().outputs else {
        let labels: Vec<String> = labels.into_iter().flatten().collect();
        return Ok(if model.n_outputs() == Some(labels.len()) { labels } else { Vec::new() });
    };
    let n_outputs = match model.n_outputs() {
        Some(n_outputs) => n_outputs,
        // The graph does not tell; a single row does.
        None => Run::seeded(0).predict(model, row).map_err(Failure::run)?.ncols(),
    };
    if names.get_ref().len() != n_outputs {
        let message = format!(
            "`outputs` must name the model's {n_outputs} outputs, got {} names",
            names.get_ref().len()
        );
        return Err(job.refuse(Some(names.span()), message));
    }
    Ok(names.get_ref().clone())
}
