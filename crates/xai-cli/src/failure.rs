//! Why the command ended without an answer, and with which exit code.

use std::fmt;
use std::io;

use xai::core::Error;
use xai::job::JobError;

/// A failure that knows whose fault it is: the exit code follows from that.
#[derive(Debug)]
pub enum Failure {
    /// The job, a table, the parameters or the model file is wrong. Exit code 2.
    Input(anyhow::Error),
    /// The input is fine and the work failed all the same. Exit code 1.
    Run(anyhow::Error),
}

impl Failure {
    /// A wrong input.
    pub fn input(error: impl Into<anyhow::Error>) -> Self {
        Failure::Input(error.into())
    }

    /// Failed work.
    pub fn run(error: impl Into<anyhow::Error>) -> Self {
        Failure::Run(error.into())
    }

    /// A wrong input, in words.
    pub fn refuse(message: impl fmt::Display) -> Self {
        Failure::Input(anyhow::anyhow!("{message}"))
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Input(_) => 2,
            Failure::Run(_) => 1,
        }
    }

    /// Whether the reader of the output went away, as `head` does: nothing to complain about.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        let Failure::Run(error) = self else { return false };
        error.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

impl From<JobError> for Failure {
    /// The model failed, or else the job is wrong; hints are those of the command line.
    fn from(error: JobError) -> Self {
        match error {
            JobError::Method(error @ Error::Predictor { .. }) => Failure::run(error),
            JobError::NotInBuild { place, subject, .. } => Failure::refuse(format!(
                "{place}{subject} not in this build of the command: build it with `--features gradients`"
            )),
            JobError::NothingToExplain { .. } => {
                Failure::refuse(format!("{error} or --input FILE"))
            }
            JobError::Selection { .. } => Failure::refuse(format!("--rows: {error}")),
            error => Failure::input(error),
        }
    }
}

impl fmt::Display for Failure {
    /// The failure and all its causes, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Input(error) | Failure::Run(error)) = self;
        write!(f, "{error:#}")
    }
}
