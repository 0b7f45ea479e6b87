//! `cargo xtask`: the tasks of this workspace that cargo has no command for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the rules that the compiler and clippy cannot check
    Tidy,
    /// Runs the five checks that a change must pass
    Ci,
    /// Runs the benches
    Bench {
        /// The bench to run; all of them when absent
        name: Option<String>,
        /// The folder with the Adult data set, for the benches that need it
        #[arg(long, value_name = "DIR")]
        adult: Option<PathBuf>,
    },
    /// Checks and tests each crate with each of its features alone; needs cargo-hack
    Features,
    /// Compares with other libraries
    #[command(disable_help_flag = true)]
    Peers {
        /// What the program `peers` gets: setup, page or run, and their options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prints how well anchors predict the model: the simulated user of the paper on anchors
    SimulatedUser {
        /// The folder with the Adult data set
        #[arg(long, value_name = "DIR")]
        adult: PathBuf,
    },
    /// Trains the small language model that the tests of texts use
    TrainLanguageModel,
}

#[allow(clippy::print_stderr, reason = "the one place that reports a failure")]
fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Tidy => xtask::tidy::run(),
        Command::Ci => xtask::ci::run(),
        Command::Bench { name, adult } => xtask::bench::run(name.as_deref(), adult.as_deref()),
        Command::Features => xtask::features::run(),
        Command::Peers { arguments } => xtask::peers::run(&arguments),
        Command::SimulatedUser { adult } => xtask::simulated_user::run(&adult),
        Command::TrainLanguageModel => xtask::language_model::run(),
    };
    // Not by returning the error: its backtrace would bury the violations.
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
