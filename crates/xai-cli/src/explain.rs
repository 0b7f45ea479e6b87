//! `xai explain`: from arguments to a job, and from its results to an output.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use xai::job::{FittedJob, Job, RowError, Selection, find};

use crate::failure::Failure;
use crate::output::{Destination, Format, NotWritten, Sink, sink};
use crate::pictures::Pictures;
use crate::progress::{Progress, ProgressMode};

/// What the command line says beside the job.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A table, texts, an image or a folder of images in the place of the job's.
    pub input: Option<PathBuf>,
    /// The rows of the input to explain.
    pub rows: Selection,
    /// Where the explanations go.
    pub output: Destination,
    /// The layout of JSON.
    pub format: Format,
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

/// Runs a job file.
///
/// # Errors
/// [`Failure::Input`] for a wrong job, table, parameter or model file, before any model call; [`Failure::Run`] when
/// the output cannot be written. A row that fails is not an error but [`Outcome::Partial`].
pub fn explain(job: &Path, request: &Request) -> Result<Outcome, Failure> {
    if request.format != Format::Native && request.output == Destination::Tables {
        return Err(Failure::refuse(
            "--format: tables have no layout; name a file with --output, or -",
        ));
    }
    let mut job = Job::read(job)?.with_selection(request.rows);
    if let Some(input) = &request.input {
        job = job.with_input_file(input);
    }
    if let Some(seed) = request.seed {
        job = job.with_seed(seed);
    }
    if request.pictures.is_some() && find(job.method()).is_ok_and(|method| !method.draws_pictures())
    {
        let message = format!("--pictures: `{}` draws no pictures", job.method());
        return Err(Failure::refuse(message));
    }
    let loaded = job.load()?;
    let fitted = loaded.fit()?;
    let output = || sink(&request.output, request.format, &fitted);
    let mut sink = match &request.pictures {
        Some(folder) => Box::new(Pictures::create(folder, &fitted, output)?),
        None => output()?,
    };
    run(&fitted, request.progress, sink.as_mut())
}

/// Explains the inputs of a job and hands each result to the sink, with progress and messages on the standard error.
///
/// # Errors
/// [`Failure::Run`] when the sink fails.
pub fn run(
    job: &FittedJob<'_>,
    progress: ProgressMode,
    sink: &mut dyn Sink,
) -> Result<Outcome, Failure> {
    let n_rows = job.n_inputs();
    let progress = Progress::start(progress, n_rows);
    let mut n_failed = 0;
    let mut written: io::Result<()> = Ok(());
    job.explain(&mut |id, result| {
        written = progress.suspended(|| {
            let error = match result {
                Ok(explanation) => match sink.explanation(id, explanation) {
                    Ok(()) => return Ok(()),
                    Err(NotWritten::Destination(error)) => return Err(error),
                    Err(NotWritten::Layout(error)) => RowError::new(id, &error),
                },
                Err(error) => RowError::new(id, &error),
            };
            n_failed += 1;
            progress.complain(&error);
            sink.error(&error)
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
