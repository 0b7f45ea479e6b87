//! `cargo xtask peers`: the comparison with other libraries.

use std::ffi::OsString;

use anyhow::Result;

/// Starts the program `peers` of `xai-benches` in the folder that the caller is in.
///
/// # Errors
/// When it cannot be built, or fails.
pub fn run(arguments: &[OsString]) -> Result<()> {
    let program = ["run", "--release", "-p", "xai-benches", "--bin", "peers"];
    let manifest = crate::workspace_root().join("Cargo.toml");
    let mut command = crate::cargo();
    // The paths among the arguments were written for this folder.
    command.current_dir(std::env::current_dir()?);
    command.args(program).arg("--manifest-path").arg(manifest).arg("--").args(arguments);
    crate::run(&mut command)
}
