//! What the runner of the comparison needs to know of a case; the sides read the rest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A case of a task.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Its file.
    #[serde(skip)]
    pub path: PathBuf,
    /// The task it belongs to.
    pub task: Task,
    /// Its name.
    pub case: String,
    /// The peers and methods that take part.
    pub contenders: Vec<Contender>,
    /// One for each call of a method.
    pub runs: Vec<RunSettings>,
    /// The model's outputs on the scale of the values, `[instance][output]`.
    pub predictions: Vec<Vec<f64>>,
    /// The values to be found.
    pub truth: Option<Truth>,
}

/// What the page says about a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Its name, as in `--only`.
    pub name: String,
    /// The heading.
    pub title: String,
    /// Sentences.
    pub about: Vec<String>,
    /// What is compared.
    pub measure: Measure,
    /// The most memory that ours may take, in bytes.
    pub memory_goal: Option<u64>,
}

/// What a task compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Time at default settings.
    Speed,
    /// Squared error at equal budgets.
    Error,
}

/// A peer with a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// The peer.
    pub peer: String,
    /// The method, as its runner calls it.
    pub method: String,
    /// How many of the instances it explains.
    pub instances: usize,
    /// How many times as long as ours it should take at least.
    pub goal: Option<f64>,
}

/// The settings of one call.
#[derive(Debug, Deserialize)]
pub struct RunSettings {
    /// The budget; the default of the method when absent.
    pub nsamples: Option<u64>,
}

/// The values to be found.
#[derive(Debug, Deserialize)]
pub struct Truth {
    /// `[instance][output][player]`.
    pub values: Vec<Vec<Vec<f64>>>,
    /// Where they come from.
    pub source: String,
    /// How uncertain they are themselves.
    pub relative_squared_error: f64,
}

/// The cases in a folder, in the order of their names.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn read_all(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let case: Case = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        cases.push(Case { path, ..case });
    }
    ensure!(!cases.is_empty(), "{} holds no case", folder.display());
    cases.sort_by(|a, b| a.case.cmp(&b.case));
    Ok(cases)
}
