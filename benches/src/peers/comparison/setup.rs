//! `cargo xtask peers setup`: one Python environment for each peer, from its pinned requirements.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{PEERS, workspace_root};

/// Makes the environments that are missing or out of date, under `target/peers`.
///
/// # Errors
/// When the Python that a peer needs is not on the path, or an installation fails.
#[allow(clippy::print_stderr, reason = "installations take long; the caller wants to see progress")]
pub fn run() -> Result<()> {
    let mut requirements: Vec<PathBuf> = fs::read_dir(workspace_root().join(PEERS))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    requirements.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    requirements.sort();
    for path in requirements {
        let peer = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = environment(&peer);
        let wanted = fs::read_to_string(&path)?;
        let installed = folder.join("requirements.txt");
        if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
            eprintln!("{peer} is up to date");
            continue;
        }
        eprintln!("installing {peer}");
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot remove the old environment")?;
        }
        let python = interpreter(&wanted)?;
        succeed(Command::new(&python).args(["-m", "venv"]).arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        succeed(Command::new(folder.join("bin/python")).args(install).arg(&path))?;
        // Last, so that an installation that stopped half-way is not taken for a whole one.
        fs::write(&installed, wanted)?;
    }
    Ok(())
}

/// The folder of a peer's environment.
pub(super) fn environment(peer: &str) -> PathBuf {
    workspace_root().join("target/peers").join(peer)
}

/// The interpreter that requirements name in their first line, `# python 3.13`.
///
/// # Errors
/// When they name none.
pub fn interpreter(requirements: &str) -> Result<String> {
    let version = requirements
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# python "))
        .context("the first line of requirements must be `# python MAJOR.MINOR`")?;
    Ok(format!("python{}", version.trim()))
}

/// The environment of a peer, ready for use.
///
/// # Errors
/// When it is not set up.
pub(super) fn python(peer: &str) -> Result<PathBuf> {
    let folder = environment(peer);
    ensure!(
        folder.join("requirements.txt").exists(),
        "{peer} is not installed: run `cargo xtask peers setup` first"
    );
    Ok(folder.join("bin/python"))
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start `{name}`"))?;
    ensure!(status.success(), "`{name}` failed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_name_their_interpreter() {
        assert_eq!(interpreter("# python 3.13\nshap==0.54.1\n").unwrap(), "python3.13");
        assert!(interpreter("shap==0.54.1\n").is_err());
    }
}
