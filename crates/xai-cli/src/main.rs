//! The `xai` command: arguments in, exit code out. The work is in the library beside it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use xai::job::Selection;
use xai_cli::demo;
use xai_cli::explain::{Outcome, Request, explain};
use xai_cli::failure::Failure;
use xai_cli::output::{Destination, Format};
use xai_cli::progress::ProgressMode;
use xai_cli::schema::write_schema;

/// Networks with gradients allocate and free many arrays of a megabyte, which the allocator of glibc returns to the
/// system each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Explains the predictions of machine-learning models.
#[derive(Parser)]
#[command(name = "xai", version, after_help = "Start with `xai demo`.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explain the rows of a table, as a job file says
    Explain(ExplainArguments),
    /// Explain a bundled model on bundled data, and leave the files to try more
    Demo {
        /// The folder for the files
        #[arg(long, value_name = "DIR", default_value = "xai-demo")]
        output: PathBuf,
    },
    /// Print the JSON Schema of a method's params and explanations
    Schema {
        /// The method; all of them without it
        method: Option<String>,
    },
}

#[derive(Args)]
struct ExplainArguments {
    /// The job file: method, model, data and params
    #[arg(value_name = "JOB.toml")]
    job: PathBuf,
    /// What to explain in the place of the job's: a table, texts, an image or a folder of images
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Rows of the input, counted from 0, B not included: A..B, A.., ..B or a single row
    #[arg(long, value_name = "A..B", default_value = "..", hide_default_value = true)]
    rows: Selection,
    /// A JSON array (.json), JSON lines (.jsonl) or lines on the standard output (-); human-readable tables without it
    #[arg(long, value_name = "FILE")]
    output: Option<Destination>,
    /// The layout of the JSON: that of this workspace, or that of alibi
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// A folder for pictures of the explanations, for methods of images
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// A seed in the place of the job's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads to use; all cores without it. The explanations do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Progress on the standard error
    #[arg(long, value_enum, default_value_t)]
    progress: ProgressMode,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Explain(arguments) => run_explain(arguments),
        Command::Demo { output } => demo::demo(&output, &mut io::stdout()),
        Command::Schema { method } => {
            write_schema(method.as_deref(), &mut io::stdout()).map(|()| Outcome::Complete)
        }
    };
    match result {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Partial { n_failed, n_rows }) => {
            complain(&format!("{n_failed} of {n_rows} rows could not be explained"));
            ExitCode::FAILURE
        }
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run_explain(arguments: ExplainArguments) -> Result<Outcome, Failure> {
    let ExplainArguments { job, input, rows, output, format, pictures, seed, threads, progress } =
        arguments;
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .map_err(Failure::run)?;
    }
    let output = output.unwrap_or_default();
    explain(&job, &Request { input, rows, output, format, seed, pictures, progress })
}

fn complain(message: &dyn std::fmt::Display) {
    // There is nobody left to tell when the standard error is closed.
    let _ = writeln!(io::stderr(), "error: {message}");
}
