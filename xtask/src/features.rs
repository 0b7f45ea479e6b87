//! `cargo xtask features`: every feature by itself.

use anyhow::{Result, ensure};

/// What needs a library of the system or of a device to be linked or compiled.
const WITH_LIBRARIES: &str =
    "cuda,intel-mkl-static,lapack,netlib-system,openblas-static,openblas-system";

/// Checks each crate with no feature and with each of its features alone, then runs its tests with the same.
///
/// Features that need a library of the system are left out. This compiles each crate many times.
///
/// # Errors
/// When `cargo hack` is not installed, or a check or a test fails.
pub fn run() -> Result<()> {
    let found = crate::cargo().args(["hack", "--version"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    ensure!(found, "cargo-hack is not installed: run `cargo install cargo-hack --locked`");
    for arguments in calls() {
        crate::run(crate::cargo().args(arguments))?;
    }
    Ok(())
}

/// The calls of `cargo hack`; the workflow runs the same.
#[must_use]
pub fn calls() -> [Vec<&'static str>; 2] {
    let call = |verb, more: &[&'static str]| {
        let mut arguments = vec!["hack", verb, "--workspace", "--each-feature"];
        arguments.extend(["--exclude-features", WITH_LIBRARIES, "--exclude-all-features"]);
        arguments.extend(more);
        arguments
    };
    [call("check", &["--all-targets"]), call("test", &["--lib", "--tests"])]
}
