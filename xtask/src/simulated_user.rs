//! `cargo xtask simulated-user`: the experiment of the paper on anchors.

use std::path::Path;

use anyhow::Result;

/// Prints how well the anchors of some rows of Adult predict the model on others.
///
/// # Errors
/// When the data are not in `adult` or an explanation fails.
pub fn run(adult: &Path) -> Result<()> {
    let program = ["run", "--release", "-p", "xai-benches", "--bin", "simulated_user", "--"];
    // Cargo runs in the root of the workspace, not in the folder that the path was written for.
    let folder = std::path::absolute(adult)?;
    crate::run(crate::cargo().args(program).arg(folder))
}
