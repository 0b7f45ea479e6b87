//! The comparison with peers: tasks as files that every side reads, and the report that every side prints.
//!
//! A task is a name, the contenders, and cases; its generator is a function in [`TASKS`].
//! The runners of the peers are in `benches/peers`, and `cargo xtask peers` makes them take turns.

use std::path::PathBuf;

use anyhow::Result;
use ndarray::{Array2, Array3};
use serde::{Deserialize, Serialize};
use xai_core::nested;
use xai_shap::{Estimator, Link};

use crate::models::Model;

mod kernel_shap;
mod report;
mod truth;

pub use report::{Report, RunReport};

/// What generators may need from outside the repository.
#[derive(Debug)]
pub struct Sources {
    /// The folder with UCI Adult.
    pub adult: Option<PathBuf>,
}

/// Makes the cases of a task; none, when a source that they need is absent.
pub type Generator = fn(&Sources) -> Result<Vec<Case>>;

/// All tasks by name.
pub const TASKS: [(&str, Generator); 3] = [
    ("kernel-shap-adult", kernel_shap::adult),
    ("kernel-shap-adult-batch", kernel_shap::adult_batch),
    ("kernel-shap-error", kernel_shap::error),
];

/// One case of a task: everything that a side needs to explain, and what the explanation should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// The task it belongs to.
    pub task: TaskAbout,
    /// Its name within the task.
    pub case: String,
    /// The peers and methods that take part.
    pub contenders: Vec<Contender>,
    /// The method under comparison.
    pub explainer: Method,
    /// Our way to the values.
    pub estimator: Estimator,
    /// The scale of the values.
    pub link: Link,
    /// Columns that join together; each column by itself when absent.
    pub groups: Option<Vec<Vec<usize>>>,
    /// What to do with the instances, once or several times.
    pub runs: Vec<RunSettings>,
    /// The model.
    pub model: Model,
    /// Shape `(n_background, n_columns)`.
    #[serde(with = "nested")]
    pub background: Array2<f64>,
    /// Shape `(n_instances, n_columns)`.
    #[serde(with = "nested")]
    pub instances: Array2<f64>,
    /// The model's outputs on the scale of the link, shape `(n_instances, n_outputs)`.
    #[serde(with = "nested")]
    pub predictions: Array2<f64>,
    /// The values to be found.
    pub truth: Option<Truth>,
}

/// What the page says about a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskAbout {
    /// The name, as in `--only`.
    pub name: String,
    /// The heading.
    pub title: String,
    /// Sentences.
    pub about: Vec<String>,
    /// What is compared.
    pub measure: Measure,
    /// The most memory that ours may take at its peak, in bytes.
    pub memory_goal: Option<u64>,
}

/// What a task compares.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Time at default settings.
    Speed,
    /// Squared error at equal numbers of coalitions.
    Error,
}

/// The methods that tasks exist for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// KernelSHAP.
    KernelShap,
}

/// A peer with a setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contender {
    /// The peer: its runner is `PEER_runner.py`.
    pub peer: String,
    /// One of the methods that the runner knows.
    pub method: String,
    /// How many of the instances it is given.
    pub instances: usize,
    /// How many times as long as ours it should take at least.
    pub goal: Option<f64>,
}

/// One call of a method for all instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSettings {
    /// The most coalitions besides the empty and the full one; the method's default when absent.
    pub nsamples: Option<usize>,
    /// The seed.
    pub seed: u64,
}

/// The values to be found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Truth {
    /// Shape `(n_instances, n_outputs, n_players)`.
    #[serde(with = "nested")]
    pub values: Array3<f64>,
    /// Where they come from.
    pub source: String,
    /// The mean over instances of the squared standard error relative to the squared values; 0 for exact values.
    pub relative_squared_error: f64,
}
