//! The comparison with peers: tasks as files that every side reads, the report that every side prints, and what the
//! answers in it are worth.
//!
//! A task is a name, the contenders, and cases; its generator is a function in [`TASKS`].
//! A method is a variant of [`Method`] with its settings, which are a [`PeerMethod`]: how it explains and how its answers
//! are judged stand in the module of that name.
//! The runners of the peers are in `benches/peers`, and the program `peers`, by [`comparison`], makes them take turns.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use xai_core::{Rows, serde_arrays};

use crate::models::Model;

mod anchor_image;
mod anchor_tabular;
mod anchor_text;
pub mod comparison;
mod gradient_counterfactual;
mod grid_counterfactual;
mod integrated_gradients;
mod judgement;
mod kernel_shap;
mod report;
mod task;

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
pub use task::{Bound, Contender, Goal, Measure, Ratio, TaskAbout};

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

/// A method under comparison, with its settings.
pub trait PeerMethod {
    /// Explains instances of the case, shape `(n_instances, n_columns)`: one report for each run of the settings.
    ///
    /// # Errors
    /// When the case asks for what is not there, or an explanation fails.
    fn explain(&self, case: &Case, instances: &Rows) -> Result<Vec<RunReport>>;

    /// What the answers of a side are worth, beside those of another side where that matters.
    ///
    /// # Errors
    /// When an answer does not have the form of the method.
    fn judge(&self, case: &Case, runs: &[RunReport], others: &[RunReport]) -> Result<Judgement>;
}

impl Method {
    /// The settings as the method that they belong to.
    #[must_use]
    pub fn settings(&self) -> &dyn PeerMethod {
        match self {
            Method::AnchorImage(settings) => settings,
            Method::AnchorTabular(settings) => settings,
            Method::AnchorText(settings) => settings,
            Method::GradientCounterfactual(settings) => settings,
            Method::GridCounterfactual(settings) => settings,
            Method::IntegratedGradients(settings) => settings,
            Method::KernelShap(settings) => settings,
        }
    }
}
