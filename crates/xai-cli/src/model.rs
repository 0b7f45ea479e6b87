//! The model of a job, as its method asks it.

use std::path::Path;

use xai_core::{Predictor, Rows, Run};
#[cfg(feature = "gradients")]
use xai_onnx::{NetworkOptions, OnnxNetwork};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

use crate::failure::Failure;
use crate::job::Job;

/// What a method asks a job's model as.
pub trait Model: Sized {
    /// Reads the files of a job, for rows of the width, where that is known.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file and why it cannot be used.
    fn open(job: &Job, width: Option<Width<'_>>) -> Result<Self, Failure>;

    /// The model without its gradients.
    fn predictor(&self) -> &dyn Predictor;

    /// Numbers that each row gives, where the file tells.
    fn n_outputs(&self) -> Option<usize>;

    /// The classes of the outputs, where the file names them.
    fn class_labels(&self) -> Option<&[String]>;

    /// The values at which trees split each column.
    ///
    /// # Errors
    /// [`OnnxError::NoThresholds`] where there are none.
    fn thresholds(&self) -> Result<Vec<Vec<f64>>, OnnxError>;
}

impl Model for OnnxModel {
    fn open(job: &Job, width: Option<Width<'_>>) -> Result<Self, Failure> {
        open_explained(job, width, |path, options| OnnxModel::open_with(path, &options))
    }

    fn predictor(&self) -> &dyn Predictor {
        self
    }

    fn n_outputs(&self) -> Option<usize> {
        self.n_outputs()
    }

    fn class_labels(&self) -> Option<&[String]> {
        self.class_labels()
    }

    fn thresholds(&self) -> Result<Vec<Vec<f64>>, OnnxError> {
        self.thresholds()
    }
}

#[cfg(feature = "gradients")]
impl Model for OnnxNetwork {
    fn open(job: &Job, width: Option<Width<'_>>) -> Result<Self, Failure> {
        open_explained(job, width, open_network)
    }

    fn predictor(&self) -> &dyn Predictor {
        self
    }

    fn n_outputs(&self) -> Option<usize> {
        Some(self.n_outputs())
    }

    fn class_labels(&self) -> Option<&[String]> {
        self.class_labels()
    }

    fn thresholds(&self) -> Result<Vec<Vec<f64>>, OnnxError> {
        Err(OnnxError::NoThresholds { reason: "a network with gradients has no trees".into() })
    }
}

/// Reads a network with gradients.
#[cfg(feature = "gradients")]
pub(crate) fn open_network(path: &Path, options: OnnxOptions) -> Result<OnnxNetwork, OnnxError> {
    OnnxNetwork::open_with(path, &NetworkOptions { model: options, ..NetworkOptions::default() })
}

/// How wide the rows are, and which file says so.
#[derive(Clone, Copy, Debug)]
pub struct Width<'a> {
    /// Numbers in a row.
    pub n_columns: usize,
    /// What the file is, in a word.
    pub what: &'static str,
    /// The file.
    pub file: &'a Path,
}

/// Reads the model that is explained.
fn open_explained<M>(
    job: &Job,
    width: Option<Width<'_>>,
    open: impl FnOnce(&Path, OnnxOptions) -> Result<M, OnnxError>,
) -> Result<M, Failure> {
    let path = job.resolve(&job.model().path);
    open_file(("model", &path), job.model().output.clone(), width, open)
}

/// Reads an ONNX file, which is called `what`.
pub(crate) fn open_file<M>(
    (what, path): (&str, &Path),
    output: Option<String>,
    width: Option<Width<'_>>,
    open: impl FnOnce(&Path, OnnxOptions) -> Result<M, OnnxError>,
) -> Result<M, Failure> {
    let options = OnnxOptions { output, n_features: width.map(|width| width.n_columns) };
    open(path, options).map_err(|error| match (error, width) {
        (OnnxError::Width { expected, .. }, Some(width)) => Failure::refuse(format!(
            "the {what} `{}` takes {expected} features, the {} `{}` has {}",
            path.display(),
            width.what,
            width.file.display(),
            width.n_columns,
        )),
        (error, _) => {
            let message = format!("the {what} `{}` cannot be used", path.display());
            Failure::Input(anyhow::Error::new(error).context(message))
        }
    })
}

/// The names of the job, or else the classes that the model names; `row` is any row that the model takes.
pub(crate) fn name_outputs(
    job: &Job,
    model: &impl Model,
    row: &Rows,
) -> Result<Vec<String>, Failure> {
    let labels =
        model.class_labels().map(|labels| labels.iter().map(|label| format!("class {label}")));
    let Some(names) = &job.model().outputs else {
        let labels: Vec<String> = labels.into_iter().flatten().collect();
        return Ok(if model.n_outputs() == Some(labels.len()) { labels } else { Vec::new() });
    };
    let n_outputs = match model.n_outputs() {
        Some(n_outputs) => n_outputs,
        // The graph does not tell; a single row does.
        None => Run::seeded(0).predict(model.predictor(), row).map_err(Failure::run)?.ncols(),
    };
    if names.get_ref().len() != n_outputs {
        let message = format!(
            "`outputs` must name the model's {n_outputs} outputs, got {} names",
            names.get_ref().len()
        );
        return Err(job.refuse(Some(names.span()), message));
    }
    Ok(names.get_ref().clone())
}
