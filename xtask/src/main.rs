//! `cargo xtask`: the tasks of this workspace that cargo has no command for.

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
    /// Compares with other libraries
    #[command(subcommand)]
    Peers(Peers),
    /// Prints how well anchors predict the model: the simulated user of the paper on anchors
    SimulatedUser {
        /// The folder with the Adult data set
        #[arg(long, value_name = "DIR")]
        adult: PathBuf,
    },
    /// Trains the small language model that the tests of texts use
    TrainLanguageModel,
}

#[derive(Subcommand)]
enum Peers {
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
}

#[allow(clippy::print_stderr, reason = "the one place where a failure is told")]
fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Tidy => xtask::tidy::run(),
        Command::Ci => xtask::ci::run(),
        Command::Bench { name, adult } => xtask::bench::run(name.as_deref(), adult.as_deref()),
        Command::Peers(Peers::Setup) => xtask::peers::setup::run(),
        Command::Peers(Peers::Page) => xtask::peers::write_page(xtask::workspace_root()),
        Command::Peers(Peers::Run { only, repetitions, adult }) => {
            xtask::peers::run(&xtask::peers::Options { only, repetitions, adult })
        }
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
