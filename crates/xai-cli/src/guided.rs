//! The model of a method that searches along gradients, and the networks that guide the search.

use std::path::PathBuf;

use toml::Spanned;
use xai_core::{Differentiable, ModelRef, ParamError, Predictor, require};
#[cfg(feature = "gradients")]
use xai_onnx::OnnxNetwork;
use xai_onnx::{OnnxError, OnnxModel};

use crate::failure::Failure;
use crate::job::{Gradients, Job};
use crate::model::{Model, Width};
#[cfg(feature = "gradients")]
use crate::model::{open_file, open_network};

/// A model with its own gradients or without, and the networks beside it.
pub struct GuidedModel {
    model: Explained,
    autoencoder: Option<Box<dyn Differentiable>>,
    encoder: Option<Box<dyn Differentiable>>,
}

/// The model that is explained.
enum Explained {
    BlackBox(OnnxModel),
    #[cfg(feature = "gradients")]
    WhiteBox(OnnxNetwork),
}

impl GuidedModel {
    /// The model as a search sees it.
    #[must_use]
    pub fn access(&self) -> ModelRef<'_> {
        match &self.model {
            Explained::BlackBox(model) => ModelRef::BlackBox(model),
            #[cfg(feature = "gradients")]
            Explained::WhiteBox(network) => ModelRef::WhiteBox(network),
        }
    }

    /// The network from rows to rows like those of the training data.
    #[must_use]
    pub fn autoencoder(&self) -> Option<&dyn Differentiable> {
        self.autoencoder.as_deref()
    }

    /// The network from rows to encodings.
    #[must_use]
    pub fn encoder(&self) -> Option<&dyn Differentiable> {
        self.encoder.as_deref()
    }

    /// Requires that classes of the params are classes of the model, where its file tells how many there are.
    ///
    /// # Errors
    /// With the parameter.
    pub fn require_classes(
        &self,
        name: &'static str,
        classes: impl IntoIterator<Item = usize>,
    ) -> Result<(), ParamError> {
        // A single output is the probability of class 1.
        let Some(n_classes) = self.n_outputs().map(|n_outputs| n_outputs.max(2)) else {
            return Ok(());
        };
        let unknown = classes.into_iter().find(|&class| n_classes <= class);
        let rule = format!("below the model's {n_classes} classes");
        require(unknown.is_none(), name, rule, unknown.unwrap_or_default())
    }

    /// Requires that an autoencoder is there if its weight in the params is above 0.
    ///
    /// # Errors
    /// With the parameter `gamma`.
    pub fn require_autoencoder(&self, gamma: f64) -> Result<(), ParamError> {
        let rule = "0 without an `autoencoder` in [model]";
        require(gamma <= 0.0 || self.autoencoder.is_some(), "gamma", rule, gamma)
    }
}

impl Model for GuidedModel {
    fn open(job: &Job, width: Option<Width<'_>>) -> Result<Self, Failure> {
        let section = job.model();
        let model = match &section.gradients {
            Some(gradients) if *gradients.get_ref() == Gradients::Model => {
                white_box(job, gradients, width)?
            }
            _ => Explained::BlackBox(<OnnxModel as Model>::open(job, width)?),
        };
        let network = |key, path: &Option<Spanned<PathBuf>>| match path {
            Some(path) => network(job, (key, path), width).map(Some),
            None => Ok(None),
        };
        Ok(GuidedModel {
            model,
            autoencoder: network("autoencoder", &section.autoencoder)?,
            encoder: network("encoder", &section.encoder)?,
        })
    }

    fn predictor(&self) -> &dyn Predictor {
        self.access().predictor()
    }

    fn n_outputs(&self) -> Option<usize> {
        match &self.model {
            Explained::BlackBox(model) => model.n_outputs(),
            #[cfg(feature = "gradients")]
            Explained::WhiteBox(network) => Some(network.n_outputs()),
        }
    }

    fn class_labels(&self) -> Option<&[String]> {
        match &self.model {
            Explained::BlackBox(model) => model.class_labels(),
            #[cfg(feature = "gradients")]
            Explained::WhiteBox(network) => network.class_labels(),
        }
    }

    fn thresholds(&self) -> Result<Vec<Vec<f64>>, OnnxError> {
        match &self.model {
            Explained::BlackBox(model) => model.thresholds(),
            #[cfg(feature = "gradients")]
            Explained::WhiteBox(network) => Model::thresholds(network),
        }
    }
}

#[cfg(feature = "gradients")]
fn white_box(
    job: &Job,
    wanted: &Spanned<Gradients>,
    width: Option<Width<'_>>,
) -> Result<Explained, Failure> {
    let network = <OnnxNetwork as Model>::open(job, width).map_err(|failure| {
        job.refuse(Some(wanted.span()), format!("`gradients = \"model\"`: {failure}"))
    })?;
    Ok(Explained::WhiteBox(network))
}

/// A network beside the model, which takes the same rows; an autoencoder gives rows of the same width.
#[cfg(feature = "gradients")]
fn network(
    job: &Job,
    (key, path): (&str, &Spanned<PathBuf>),
    width: Option<Width<'_>>,
) -> Result<Box<dyn Differentiable>, Failure> {
    let at = Some(path.span());
    let file = job.resolve(path.get_ref());
    let network = open_file((key, &file), None, width, open_network)
        .map_err(|failure| job.refuse(at.clone(), failure))?;
    let (n_features, n_outputs) = (network.n_features(), network.n_outputs());
    if key == "autoencoder" && n_features != n_outputs {
        let message = format!(
            "the autoencoder `{}` makes {n_outputs} numbers of {n_features}, and should give rows like those it takes",
            file.display()
        );
        return Err(job.refuse(at, message));
    }
    Ok(Box::new(network))
}

#[cfg(not(feature = "gradients"))]
fn white_box(
    job: &Job,
    wanted: &Spanned<Gradients>,
    _: Option<Width<'_>>,
) -> Result<Explained, Failure> {
    Err(left_out(job, "gradients = \"model\"", wanted.span()))
}

#[cfg(not(feature = "gradients"))]
fn network(
    job: &Job,
    (key, path): (&str, &Spanned<PathBuf>),
    _: Option<Width<'_>>,
) -> Result<Box<dyn Differentiable>, Failure> {
    Err(left_out(job, key, path.span()))
}

/// What needs a network with gradients, in a build without.
#[cfg(not(feature = "gradients"))]
fn left_out(job: &Job, what: &str, at: std::ops::Range<usize>) -> Failure {
    let message = format!(
        "`{what}` needs gradients of a network, which are not in this build of the command: build it with \
         `--features gradients`"
    );
    job.refuse(Some(at), message)
}
