//! The model of a job: a black box or a network with gradients, whichever its method asks for.

use std::path::Path;

use xai_core::{Predictor, Rows, Run};
#[cfg(feature = "gradients")]
use xai_onnx::{NetworkOptions, OnnxNetwork};
use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

use crate::failure::Failure;
use crate::job::Job;

/// What a file is read as.
pub trait Model: Predictor + Sized {
    /// Reads a file.
    ///
    /// # Errors
    /// Those of the file and of what it is read as.
    fn open(path: &Path, options: OnnxOptions) -> Result<Self, OnnxError>;

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
    fn open(path: &Path, options: OnnxOptions) -> Result<Self, OnnxError> {
        OnnxModel::open_with(path, &options)
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
    fn open(path: &Path, options: OnnxOptions) -> Result<Self, OnnxError> {
        let options = NetworkOptions { model: options, ..NetworkOptions::default() };
        OnnxNetwork::open_with(path, &options)
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

/// How wide the rows are, and which file says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width<'a> {
    pub(crate) n_columns: usize,
    /// What the file is, in a word.
    pub(crate) what: &'static str,
    pub(crate) file: &'a Path,
}

/// Opens the model of a job, which must take rows of the width, where that is known.
pub(crate) fn open_model<M: Model>(job: &Job, width: Option<Width<'_>>) -> Result<M, Failure> {
    let path = job.resolve(&job.model().path);
    let n_features = width.map(|width| width.n_columns);
    let options = OnnxOptions { output: job.model().output.clone(), n_features };
    M::open(&path, options).map_err(|error| match (error, width) {
        (OnnxError::Width { expected, .. }, Some(Width { n_columns, what, file })) => {
            Failure::refuse(format!(
                "the model `{}` takes {expected} features, the {what} `{}` has {n_columns}",
                path.display(),
                file.display(),
            ))
        }
        (error, _) => {
            let message = format!("the model `{}` cannot be used", path.display());
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
        None => Run::seeded(0).predict(model, row).map_err(Failure::run)?.ncols(),
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
