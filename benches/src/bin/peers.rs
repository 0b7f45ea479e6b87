//! The comparison with other libraries: `cargo xtask peers` starts it.

#![allow(clippy::print_stdout, reason = "the report goes to the caller")]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xai_benches::peers::comparison::{Options, run, setup, write_page, write_tasks};
use xai_benches::peers::{Case, Report, Sources};

/// Compares with other libraries.
#[derive(Parser)]
#[command(name = "cargo xtask peers")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs the peers, each in a Python environment of its own
    Setup,
    /// Writes the page of the book from the recorded results
    Page,
    /// Runs the tasks, records the results and writes the page of the book
    Run {
        /// The one task to run; all of them when absent
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// How often ours and each peer take turns in tasks about speed
        #[arg(long, value_name = "N", default_value_t = 5)]
        repetitions: usize,
        /// The folder with the Adult data set, for the cases that need it
        #[arg(long, value_name = "DIR")]
        adult: Option<PathBuf>,
    },
    /// Writes the cases of the tasks, as FOLDER/TASK/CASE.json
    WriteTasks {
        /// The folder
        folder: PathBuf,
        /// The one task to write; all of them when absent
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// The folder with the Adult data set, for the cases that need it
        #[arg(long, value_name = "DIR")]
        adult: Option<PathBuf>,
    },
    /// Explains a case and prints the report, one line of JSON
    Explain {
        /// The file of the case
        case: PathBuf,
        /// How many of the instances; all of them when absent
        instances: Option<usize>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Page => write_page(),
        Command::Run { only, repetitions, adult } => run(&Options { only, repetitions, adult }),
        Command::WriteTasks { folder, only, adult } => {
            write_tasks(&folder, &Sources { adult }, only.as_deref())
        }
        Command::Explain { case, instances } => {
            println!("{}", serde_json::to_string(&Report::of(&Case::read(&case)?, instances)?)?);
            Ok(())
        }
    }
}
