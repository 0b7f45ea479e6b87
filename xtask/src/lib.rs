//! The logic behind `cargo xtask`, one module per command; a library so that the tests can call it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub mod bench;
pub mod ci;
pub mod features;
pub mod language_model;
pub mod peers;
pub mod simulated_user;
pub mod tidy;

/// The root of the workspace.
///
/// # Panics
/// Never: the manifest of xtask lies in a folder of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// A command that runs the cargo that runs us, in the root of the workspace.
fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace_root());
    command
}

/// Runs a call of cargo to its end and fails when it does.
fn run(command: &mut Command) -> Result<()> {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let name = format!("cargo {}", arguments.join(" "));
    let status = command.status().with_context(|| format!("cannot start `{name}`"))?;
    ensure!(status.success(), "`{name}` failed: {status}");
    Ok(())
}
