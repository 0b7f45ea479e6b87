//! A progress bar on the standard error, for a person who waits.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use xai::job::RowError;

/// Whether to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// When the standard error is a terminal.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

/// Rows done and rows to do.
pub struct Progress(ProgressBar);

impl Progress {
    /// Begins to count `n_rows`.
    #[must_use]
    pub fn start(mode: ProgressMode, n_rows: usize) -> Self {
        if mode == ProgressMode::Never || !io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let target = ProgressDrawTarget::stderr();
        Progress(ProgressBar::with_draw_target(Some(n_rows as u64), target).with_style(style))
    }

    /// One more row is done.
    pub fn advance(&self) {
        self.0.inc(1);
    }

    /// Takes the bar away while something else is written.
    pub fn suspended<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    /// Tells the person about a row that failed.
    pub fn complain(&self, error: &RowError) {
        // A closed standard error must not cost the other rows their explanations.
        let _ = writeln!(io::stderr(), "error: {error}");
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
