//! The comparison with peers: tasks as files that every side reads, the report that every side prints, and what the
//! answers in it are worth.
//!
//! A task is a name, the contenders, and cases; its generator is a function in [`TASKS`].
//! A method is a variant of [`Method`] with its settings; how it explains and how its answers are judged stand in the
//! module of that name.
//! The runners of the peers are in `benches/peers`, and `cargo xtask peers` makes them take turns.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use xai_core::serde_arrays;

use crate::models::Model;

mod anchor_image;
mod anchor_tabular;
mod anchor_text;
mod gradient_counterfactual;
mod grid_counterfactual;
mod integrated_gradients;
mod judgement;
mod kernel_shap;
mod report;

pub use anchor_image::{AnchorImageRunSettings, AnchorImageSettings};
pub use anchor_tabular::{AnchorRunSettings, AnchorTabularSettings, Categories};
pub use anchor_text::{AnchorTextRunSettings, AnchorTextSettings};
pub use gradient_counterfactual::{
    GradientCounterfactualSettings, GradientRunSettings, ModelAccess, Search,
};
pub use grid_counterfactual::{GridCounterfactualSettings, GridRunSettings};
pub use integrated_gradients::{IntegratedGradientsRunSettings, IntegratedGradientsSettings};
pub use judgement::{Judgement, RunJudgement};
pub use kernel_shap::{KernelShapSettings, RunSettings, Truth};
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
pub const TASKS: [(&str, Generator); 11] = [
    ("anchor-image", anchor_image::tasks),
    ("anchor-tabular-adult", anchor_tabular::adult),
    ("anchor-text", anchor_text::tasks),
    ("cem", gradient_counterfactual::tasks::cem),
    ("cfproto", gradient_counterfactual::tasks::cfproto),
    ("counterfactual", gradient_counterfactual::tasks::counterfactual),
    ("grid-counterfactual", grid_counterfactual::tasks),
    ("integrated-gradients", integrated_gradients::tasks),
    ("kernel-shap-adult", kernel_shap::tasks::adult),
    ("kernel-shap-adult-batch", kernel_shap::tasks::adult_batch),
    ("kernel-shap-error", kernel_shap::tasks::error),
];

/// One case of a task: everything that a side needs to explain, and what the explanation should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// The task it belongs to.
    pub task: TaskAbout,
    /// Its name within the task.
    pub case: String,
    /// The peers and settings that take part.
    pub contenders: Vec<Contender>,
    /// The share of our time that should be inside the model at least, in `[0, 1]`.
    pub model_share_goal: Option<f64>,
    /// The method under comparison, with its settings.
    pub explainer: Method,
    /// The model.
    pub model: Model,
    /// The background or the training rows, shape `(n_rows, n_columns)`.
    #[serde(with = "serde_arrays")]
    pub data: Array2<f64>,
    /// Shape `(n_instances, n_columns)`.
    #[serde(with = "serde_arrays")]
    pub instances: Array2<f64>,
}

impl Case {
    /// Reads a case, and the weights that lie beside it.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let reader = BufReader::new(File::open(path).with_context(name)?);
        let mut case: Case = serde_json::from_reader(reader).with_context(name)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Model::Network(network) = &mut case.model {
            network.load(folder)?;
        }
        if let Method::GradientCounterfactual(settings) = &mut case.explainer
            && let Some(encoder) = settings.search.encoder_mut()
        {
            encoder.load(folder)?;
        }
        Ok(case)
    }

    /// Writes a case into the folder of its task, and its weights beside it.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let file = File::create(folder.join(format!("{}.json", self.case)))?;
        serde_json::to_writer(BufWriter::new(file), self)?;
        match &self.model {
            Model::Network(network) => network.save(folder),
            _ => Ok(()),
        }
    }
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
    /// Whether the sides run on one thread alone, and seconds are those of the processor instead of the wall clock.
    pub processor_time: bool,
    /// The most memory that ours may take at its peak, in bytes.
    pub memory_goal: Option<u64>,
}

/// What a task compares.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Time, and what the answers are worth, at default settings.
    Speed,
    /// Squared error at equal numbers of coalitions.
    Error,
}

/// The methods that tasks exist for, each with its settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Method {
    /// Anchors of images.
    AnchorImage(AnchorImageSettings),
    /// Anchors of tables.
    AnchorTabular(AnchorTabularSettings),
    /// Anchors of texts.
    AnchorText(AnchorTextSettings),
    /// Counterfactuals by gradient.
    GradientCounterfactual(GradientCounterfactualSettings),
    /// Grid counterfactuals.
    GridCounterfactual(GridCounterfactualSettings),
    /// Integrated gradients.
    IntegratedGradients(IntegratedGradientsSettings),
    /// KernelSHAP.
    KernelShap(KernelShapSettings),
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
    /// How ours should compare with it on one thread.
    pub goals: Vec<Goal>,
}

/// A relation between ours and a peer that is hoped for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Goal {
    /// What is divided by what.
    pub ratio: Ratio,
    /// Where the quotient should lie.
    pub bound: Bound,
}

/// A quotient of ours and a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ratio {
    /// Their time over ours.
    Speed,
    /// Our queries over theirs.
    Queries,
    /// Our quality of this name over theirs.
    Quality(String),
}

/// A one-sided bound.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// From below.
    AtLeast(f64),
    /// From above.
    AtMost(f64),
}
