//! `cargo xtask bench`: runs the benches.

use std::path::Path;

use anyhow::{Context, Result};

/// Runs one bench, or all of them when `name` is absent.
///
/// The benches find the Adult data set, when they are given it, under `XAI_ADULT`.
///
/// # Errors
/// When `adult` is no folder or a bench fails.
pub fn run(name: Option<&str>, adult: Option<&Path>) -> Result<()> {
    let mut command = crate::cargo();
    command.args(["bench", "-p", "xai-benches"]);
    if let Some(name) = name {
        command.args(["--bench", name]);
    }
    if let Some(folder) = adult {
        // The benches run in another folder than the one the path was written for.
        let folder = folder.canonicalize().with_context(|| {
            format!("the folder {} of the Adult data set is not there", folder.display())
        })?;
        command.env("XAI_ADULT", folder);
    }
    crate::run(&mut command)
}
