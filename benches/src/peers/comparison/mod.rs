//! The comparison with other libraries, as a program: the binary `peers`.
//!
//! It writes the tasks and explains them in processes that it starts; `benches/peers` holds the runners of the peers and
//! their pinned requirements.
//! What is measured goes to `docs/bench/peers`, one JSON per task, and from there to a page of the book.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Case, Sources, TASKS};

mod measure;
pub mod page;
pub mod results;
pub mod setup;
pub mod statistics;

/// The requirements and runners of the peers.
const PEERS: &str = "benches/peers";

/// The recorded results.
const RESULTS: &str = "docs/bench/peers";

/// The page about them.
const PAGE: &str = "docs/book/src/peers.md";

/// What to run.
#[derive(Debug)]
pub struct Options {
    /// The one task to run; all of them when absent.
    pub only: Option<String>,
    /// How many times ours and each peer take turns in tasks about speed.
    pub repetitions: usize,
    /// The folder with the Adult data set, for the tasks that need it.
    pub adult: Option<PathBuf>,
}

/// Runs the tasks, records the results and writes the page.
///
/// # Errors
/// When a side fails, or a file cannot be written.
#[allow(
    clippy::print_stderr,
    reason = "the comparison takes long; the caller wants to see progress"
)]
pub fn run(options: &Options) -> Result<()> {
    ensure!(0 < options.repetitions, "--repetitions must be at least 1");
    let root = workspace_root();
    let folder = root.join("target/peers/tasks");
    let stale = options.only.as_ref().map_or_else(|| folder.clone(), |name| folder.join(name));
    if stale.exists() {
        fs::remove_dir_all(&stale).context("cannot clear the old tasks")?;
    }
    let sources = Sources { adult: options.adult.clone() };
    write_tasks(&folder, &sources, options.only.as_deref())?;
    let results_folder = root.join(RESULTS);
    fs::create_dir_all(&results_folder)?;
    let tasks = if options.only.is_some() { vec![stale] } else { folders(&folder)? };
    for task in tasks {
        let cases = read_all(&task)?;
        eprintln!("==> {}", cases[0].content.task.name);
        let results = measure::task(&cases, options.repetitions)?;
        let file = results_folder.join(format!("{}.json", results.task.name));
        fs::write(&file, serde_json::to_string_pretty(&results)? + "\n")
            .with_context(|| file.display().to_string())?;
    }
    write_page()
}

/// Writes the page from the recorded results.
///
/// # Errors
/// When the results cannot be read or the page cannot be written.
pub fn write_page() -> Result<()> {
    let root = workspace_root();
    let mut all = Vec::new();
    for entry in fs::read_dir(root.join(RESULTS))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path)?;
            let results: results::Results =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            all.push(results);
        }
    }
    all.sort_by(|a, b| a.task.name.cmp(&b.task.name));
    fs::write(root.join(PAGE), page::render(&all)).context("cannot write the page")
}

/// Writes the cases of all tasks, or of the one with a name, as `FOLDER/TASK/CASE.json`.
///
/// # Errors
/// When there is no such task, a source is missing, or a file cannot be written.
pub fn write_tasks(folder: &Path, sources: &Sources, only: Option<&str>) -> Result<()> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    ensure!(TASKS.iter().any(|(name, _)| wanted(name)), "there is no such task");
    for (name, generate) in TASKS.iter().filter(|(name, _)| wanted(name)) {
        let cases = generate(sources).with_context(|| format!("task {name}"))?;
        ensure!(!cases.is_empty() || only.is_none(), "task {name} needs --adult");
        for case in cases {
            case.write(&folder.join(name))?;
        }
    }
    Ok(())
}

/// A case with its file, which the sides read.
struct CaseFile {
    path: PathBuf,
    content: Case,
}

/// The cases in a folder, in the order of their names.
fn read_all(folder: &Path) -> Result<Vec<CaseFile>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Weights of networks lie beside their cases.
        if path.extension().is_some_and(|extension| extension == "json") {
            cases.push(CaseFile { content: Case::read(&path)?, path });
        }
    }
    ensure!(!cases.is_empty(), "{} holds no case", folder.display());
    cases.sort_by(|a, b| a.content.case.cmp(&b.content.case));
    Ok(cases)
}

/// The root of the workspace.
fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches is a folder of the workspace")
}

/// The folders in a folder, in the order of their names.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
