//! The models of a job, in memory or from files, and how methods ask them: as a black box, or with gradients.

use std::path::PathBuf;

use toml::Spanned;
use xai_core::{
    BlackBox, BoxError, Differentiable, ModelRef, OutputNames, ParamError, Predictor, Rows, Run,
    Side, WhiteBox, require,
};
#[cfg(feature = "onnx")]
use xai_onnx::OnnxModel;
#[cfg(all(feature = "onnx", feature = "candle"))]
use xai_onnx::OnnxNetwork;

use super::Job;
use super::document::Gradients;
use super::error::JobError;
use super::named::{NamedModel, given_names, output_names};

/// What a method needs of models.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ModelRequirements {
    /// The keys for gradients that it knows.
    pub(crate) keys: &'static [&'static str],
    /// Whether it cannot do without the gradients of the model.
    pub(crate) gradients: bool,
}

/// How wide the rows are, and what says so.
#[derive(Clone, Debug)]
pub(crate) struct Width {
    /// Numbers in a row.
    pub(crate) n_columns: usize,
    /// What has as many, for messages: "table `train.csv`".
    pub(crate) rows: String,
}

/// The models of a method of rows.
pub(crate) struct JobModels<'j> {
    /// The model that is explained.
    pub(crate) model: RowModel<'j>,
    autoencoder: Option<Network<'j>>,
    encoder: Option<Network<'j>>,
}

/// A model of rows.
pub(crate) enum RowModel<'j> {
    /// In memory, with its gradients or without.
    Memory(ModelRef<'j>),
    /// From a file, as a black box.
    #[cfg(feature = "onnx")]
    Onnx(Box<OnnxModel>),
    /// From a file, with its gradients.
    #[cfg(all(feature = "onnx", feature = "candle"))]
    Network(Box<OnnxNetwork>),
    /// One of these, with the names that the job gives its classes.
    Named(Box<NamedModel<'j>>),
}

/// A network beside the model.
enum Network<'j> {
    Memory(&'j dyn Differentiable),
    #[cfg(all(feature = "onnx", feature = "candle"))]
    Onnx(Box<OnnxNetwork>),
}

impl<'j> JobModels<'j> {
    /// Opens the models of a job for rows of a width.
    pub(crate) fn open(
        job: &'j Job<'j>,
        width: Option<&Width>,
        requirements: &ModelRequirements,
    ) -> Result<Self, JobError> {
        let model = RowModel::open(job, width, requirements.gradients)?;
        let section = job.model();
        let autoencoder = match job.model.autoencoder {
            Some(network) => Some(Network::Memory(network)),
            None => {
                let path = section.and_then(|section| section.autoencoder.as_ref());
                path.map(|path| Network::open(job, "autoencoder", path, width)).transpose()?
            }
        };
        let encoder = match job.model.encoder {
            Some(network) => Some(Network::Memory(network)),
            None => {
                let path = section.and_then(|section| section.encoder.as_ref());
                path.map(|path| Network::open(job, "encoder", path, width)).transpose()?
            }
        };
        Ok(JobModels { model, autoencoder, encoder })
    }

    /// The model as a black box.
    pub(crate) fn black_box(&self) -> BlackBox<'_> {
        self.model.view().predictor().into()
    }

    /// The model with its gradients where the job uses them.
    pub(crate) fn view(&self) -> ModelRef<'_> {
        self.model.view()
    }

    /// The model of a method that requires gradients.
    ///
    /// # Panics
    /// Without gradients: [`open`](Self::open) refuses such a model for such a method.
    pub(crate) fn white_box(&self) -> WhiteBox<'_> {
        match self.model.view() {
            ModelRef::WhiteBox(model) => model.into(),
            ModelRef::BlackBox(_) => unreachable!("a model without gradients was refused"),
        }
    }

    /// The network from rows to rows like those of the training data.
    pub(crate) fn autoencoder(&self) -> Option<&dyn Differentiable> {
        self.autoencoder.as_ref().map(Network::view)
    }

    /// The network from rows to encodings.
    pub(crate) fn encoder(&self) -> Option<&dyn Differentiable> {
        self.encoder.as_ref().map(Network::view)
    }

    /// Numbers that each row gives, where the model tells.
    pub(crate) fn n_outputs(&self) -> Option<usize> {
        self.model.n_outputs()
    }

    /// Requires that classes of the params are classes of the model, where it tells how many there are.
    pub(crate) fn require_classes(
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
    pub(crate) fn require_autoencoder(&self, gamma: f64) -> Result<(), ParamError> {
        let rule = "0 without an `autoencoder` in [model]";
        require(gamma <= 0.0 || self.autoencoder.is_some(), "gamma", rule, gamma)
    }
}

impl<'j> RowModel<'j> {
    /// Opens the model that is explained: the one in memory, or else the file of the job.
    pub(crate) fn open(
        job: &'j Job<'j>,
        width: Option<&Width>,
        needs_gradients: bool,
    ) -> Result<Self, JobError> {
        let model = RowModel::open_unnamed(job, width, needs_gradients)?;
        Ok(match given_names(job) {
            Some(names) => {
                RowModel::Named(Box::new(NamedModel { model, class_names: names.to_vec() }))
            }
            None => model,
        })
    }

    /// The model without the names of the job.
    fn open_unnamed(
        job: &'j Job<'j>,
        width: Option<&Width>,
        needs_gradients: bool,
    ) -> Result<Self, JobError> {
        let gradients = job.model().and_then(|section| section.gradients.as_ref());
        let wants_gradients = needs_gradients
            || gradients.is_some_and(|wanted| *wanted.get_ref() == Gradients::Model);
        let Some(model) = job.model.rows else {
            return RowModel::from_file(
                job,
                width,
                gradients.filter(|_| wants_gradients),
                needs_gradients,
            );
        };
        if let (Some(expected), Some(width)) = (model.predictor().n_features(), width)
            && expected != width.n_columns
        {
            let Width { n_columns, rows } = width;
            let message =
                format!("the model takes {expected} features, the {rows} has {n_columns}");
            return Err(JobError::invalid(job.place(), message));
        }
        if wants_gradients && matches!(model, ModelRef::BlackBox(_)) {
            let message = format!(
                "`{}` is to use the gradients of the model, which has none: give a differentiable model",
                job.method()
            );
            let place = gradients.map_or_else(|| job.place(), |gradients| job.place_of(gradients));
            return Err(JobError::invalid(place, message));
        }
        Ok(RowModel::Memory(match gradients.map(Spanned::get_ref) {
            Some(Gradients::Numerical) => ModelRef::BlackBox(model.predictor()),
            _ => model,
        }))
    }

    /// The model as the job uses it. A file is a black box unless the job or its method asks for gradients, so that a
    /// job gives the same bytes in every build.
    pub(crate) fn view(&self) -> ModelRef<'_> {
        match self {
            RowModel::Memory(model) => *model,
            #[cfg(feature = "onnx")]
            RowModel::Onnx(model) => ModelRef::BlackBox(&**model),
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(network) => ModelRef::WhiteBox(&**network),
            RowModel::Named(named) => named.view(),
        }
    }

    /// Whether the model is one in memory.
    #[cfg(feature = "image")]
    pub(crate) fn is_in_memory(&self) -> bool {
        match self {
            RowModel::Memory(_) => true,
            #[cfg(feature = "onnx")]
            RowModel::Onnx(_) => false,
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(_) => false,
            RowModel::Named(named) => named.model.is_in_memory(),
        }
    }

    /// The width of a row, where the model tells.
    pub(crate) fn n_features(&self) -> Option<usize> {
        self.view().predictor().n_features()
    }

    /// Numbers that each row gives, where the model tells.
    pub(crate) fn n_outputs(&self) -> Option<usize> {
        match self {
            RowModel::Memory(_) => None,
            #[cfg(feature = "onnx")]
            RowModel::Onnx(model) => model.n_outputs(),
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(network) => Some(network.n_outputs()),
            RowModel::Named(named) => named.model.n_outputs(),
        }
    }

    /// Names of the outputs or classes that the model has.
    fn declared_names(&self) -> Vec<String> {
        let names = self.view().predictor().class_names().unwrap_or_default();
        // A number alone would say little in a table.
        let shown = |name: &String| match name.parse::<f64>() {
            Ok(_) => format!("class {name}"),
            Err(_) => name.clone(),
        };
        names.iter().map(shown).collect()
    }

    /// The names of the job, or else those of the model; `row` is any row that the model takes.
    pub(crate) fn output_names(&self, job: &Job<'_>, row: &Rows) -> Result<OutputNames, JobError> {
        let n_outputs = || match self.n_outputs() {
            Some(n_outputs) => Ok(n_outputs),
            // The model does not tell; a single row does.
            None => Ok(Run::seeded(0).predict(self.view().predictor(), row)?.ncols()),
        };
        output_names(job, || self.declared_names(), n_outputs)
    }

    /// The values at which trees split each column.
    pub(crate) fn thresholds(&self) -> Result<Vec<Vec<f64>>, BoxError> {
        match self {
            RowModel::Memory(_) => Err("a model in memory has no trees to ask".into()),
            #[cfg(feature = "onnx")]
            RowModel::Onnx(model) => Ok(model.thresholds()?),
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(_) => {
                let reason = "a network with gradients has no trees".into();
                Err(xai_onnx::OnnxError::NoThresholds { reason }.into())
            }
            RowModel::Named(named) => named.model.thresholds(),
        }
    }

    /// The shapes of the model's inputs without the axis of rows; none where the model does not tell.
    #[cfg(feature = "image")]
    pub(crate) fn input_shapes(&self) -> Vec<Vec<usize>> {
        match self {
            RowModel::Memory(_) => Vec::new(),
            #[cfg(feature = "onnx")]
            RowModel::Onnx(model) => model.input_shapes().map(<[usize]>::to_vec).collect(),
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(_) => Vec::new(),
            RowModel::Named(named) => named.model.input_shapes(),
        }
    }

    /// Requires that a layer is one that the model can be split at, and returns the shapes of its values where the
    /// model tells.
    #[cfg(feature = "intgrad")]
    pub(crate) fn layer_shapes(
        &self,
        layer: &str,
        side: Side,
    ) -> Result<Vec<Vec<usize>>, ParamError> {
        let shapes = match self {
            RowModel::Memory(ModelRef::WhiteBox(model)) => {
                model.split_at(layer, side).map(|_| Vec::new())
            }
            RowModel::Memory(ModelRef::BlackBox(_)) => None,
            #[cfg(feature = "onnx")]
            RowModel::Onnx(_) => None,
            #[cfg(all(feature = "onnx", feature = "candle"))]
            RowModel::Network(network) => network.layer_shapes(layer, side),
            RowModel::Named(named) => return named.model.layer_shapes(layer, side),
        };
        let rule = "a value or node of the network that all ways to the output lead through";
        require(shapes.is_some(), "layer", rule, layer)?;
        Ok(shapes.unwrap_or_default())
    }
}

impl<'j> Network<'j> {
    fn view(&self) -> &dyn Differentiable {
        match self {
            Network::Memory(network) => *network,
            #[cfg(all(feature = "onnx", feature = "candle"))]
            Network::Onnx(network) => &**network,
        }
    }
}

/// The file of the model that is explained.
fn model_file(job: &Job<'_>) -> Result<PathBuf, JobError> {
    if let Some(file) = &job.model.file {
        return Ok(file.clone());
    }
    let Some(section) = &job.document.model else {
        let message = "there is no model: give `path` in [model], or one in memory";
        return Err(JobError::invalid(job.place(), message));
    };
    match &section.get_ref().path {
        Some(path) => Ok(job.resolve(path)),
        None => Err(JobError::invalid(job.place_of(section), "missing field `path`")),
    }
}

#[cfg(feature = "onnx")]
mod files {
    //! Models from ONNX files.

    use std::path::Path;

    use toml::Spanned;
    #[cfg(feature = "candle")]
    use xai_onnx::NetworkOptions;
    use xai_onnx::{OnnxError, OnnxModel, OnnxOptions};

    use super::{Gradients, Job, JobError, Network, PathBuf, RowModel, Width, model_file};

    impl<'j> RowModel<'j> {
        /// Opens the file of the job, with gradients where the job (`wanted`) or the method asks for them.
        pub(super) fn from_file(
            job: &Job<'_>,
            width: Option<&Width>,
            wanted: Option<&Spanned<Gradients>>,
            needs_gradients: bool,
        ) -> Result<Self, JobError> {
            let path = model_file(job)?;
            let output = job.model().and_then(|section| section.output.clone());
            if wanted.is_none() && !needs_gradients {
                let model = open_file("model", &path, output, width, |path, options| {
                    OnnxModel::open_with(path, &options)
                })?;
                return Ok(RowModel::Onnx(Box::new(model)));
            }
            with_gradients(job, &path, output, width, wanted)
        }
    }

    #[cfg(feature = "candle")]
    fn with_gradients<'j>(
        job: &Job<'_>,
        path: &Path,
        output: Option<String>,
        width: Option<&Width>,
        wanted: Option<&Spanned<Gradients>>,
    ) -> Result<RowModel<'j>, JobError> {
        let network = open_file("model", path, output, width, open_network);
        let network = network.map_err(|error| match wanted {
            Some(wanted) => {
                let message = format!("`gradients = \"model\"`: {}", error.with_causes());
                JobError::invalid(job.place_of(wanted), message)
            }
            None => error,
        })?;
        Ok(RowModel::Network(Box::new(network)))
    }

    #[cfg(not(feature = "candle"))]
    fn with_gradients<'j>(
        job: &Job<'_>,
        _: &Path,
        _: Option<String>,
        _: Option<&Width>,
        wanted: Option<&Spanned<Gradients>>,
    ) -> Result<RowModel<'j>, JobError> {
        Err(match wanted {
            Some(wanted) => needs_candle(job.place_of(wanted), "gradients = \"model\""),
            None => needs_candle(job.place_of(&job.document.method), job.method()),
        })
    }

    impl<'j> Network<'j> {
        /// Opens a network beside the model, which takes the same rows; an autoencoder gives rows of the same width.
        #[cfg(feature = "candle")]
        pub(super) fn open(
            job: &Job<'_>,
            key: &str,
            path: &Spanned<PathBuf>,
            width: Option<&Width>,
        ) -> Result<Self, JobError> {
            let refuse = |message: String| JobError::invalid(job.place_of(path), message);
            let file = job.resolve(path.get_ref());
            let network = open_file(key, &file, None, width, open_network)
                .map_err(|error| refuse(error.with_causes()))?;
            let (n_features, n_outputs) = (network.n_features(), network.n_outputs());
            if key == "autoencoder" && n_features != n_outputs {
                return Err(refuse(format!(
                    "the autoencoder `{}` makes {n_outputs} numbers of {n_features}, and should give rows like those it \
                     takes",
                    file.display()
                )));
            }
            Ok(Network::Onnx(Box::new(network)))
        }

        /// Refuses a network beside the model.
        #[cfg(not(feature = "candle"))]
        pub(super) fn open(
            job: &Job<'_>,
            key: &str,
            path: &Spanned<PathBuf>,
            _: Option<&Width>,
        ) -> Result<Self, JobError> {
            Err(needs_candle(job.place_of(path), key))
        }
    }

    /// Says what needs gradients of a network.
    #[cfg(not(feature = "candle"))]
    fn needs_candle(place: crate::job::Place, what: &str) -> JobError {
        let subject = format!("`{what}` needs gradients of a network, which are");
        JobError::NotInBuild { place, subject, feature: "candle" }
    }

    /// Reads a network with gradients.
    #[cfg(feature = "candle")]
    fn open_network(path: &Path, options: OnnxOptions) -> Result<xai_onnx::OnnxNetwork, OnnxError> {
        let options = NetworkOptions { model: options, ..NetworkOptions::default() };
        xai_onnx::OnnxNetwork::open_with(path, &options)
    }

    /// Reads an ONNX file, which is called `what`.
    fn open_file<M>(
        what: &str,
        path: &Path,
        output: Option<String>,
        width: Option<&Width>,
        open: impl FnOnce(&Path, OnnxOptions) -> Result<M, OnnxError>,
    ) -> Result<M, JobError> {
        let n_features = width.map(|width| width.n_columns);
        let options = OnnxOptions { output, n_features };
        open(path, options).map_err(|error| match (error, width) {
            (OnnxError::Width { expected, .. }, Some(Width { n_columns, rows })) => {
                let shown = path.display();
                let message = format!(
                    "the {what} `{shown}` takes {expected} features, the {rows} has {n_columns}"
                );
                JobError::invalid(crate::job::Place::default(), message)
            }
            (error, _) => JobError::File {
                what: what.to_owned(),
                path: path.to_owned(),
                source: error.into(),
            },
        })
    }
}

#[cfg(not(feature = "onnx"))]
mod files {
    //! Refusals of model files in a build without ONNX.

    use toml::Spanned;

    use super::{Gradients, Job, JobError, Network, PathBuf, RowModel, Width, model_file};

    impl<'j> RowModel<'j> {
        /// Refuses the file of the job.
        pub(super) fn from_file(
            job: &Job<'_>,
            _: Option<&Width>,
            _: Option<&Spanned<Gradients>>,
            _: bool,
        ) -> Result<Self, JobError> {
            let path = model_file(job)?;
            let subject = format!("the model `{}` is an ONNX file, and these are", path.display());
            Err(JobError::NotInBuild { place: job.place(), subject, feature: "onnx" })
        }
    }

    impl<'j> Network<'j> {
        /// Refuses a network beside the model.
        pub(super) fn open(
            job: &Job<'_>,
            key: &str,
            path: &Spanned<PathBuf>,
            _: Option<&Width>,
        ) -> Result<Self, JobError> {
            let subject = format!("`{key}` is an ONNX file, and these are");
            Err(JobError::NotInBuild { place: job.place_of(path), subject, feature: "onnx" })
        }
    }
}

/// The model of a method of texts.
#[cfg(feature = "text")]
pub(crate) enum TextModel<'j> {
    /// In memory.
    Memory(&'j dyn Predictor<[String]>),
    /// A model of rows behind a vectoriser.
    Vectorised(Box<super::vectoriser::Vectorised<'j>>),
}

#[cfg(feature = "text")]
impl<'j> TextModel<'j> {
    /// Opens the model that is explained.
    pub(crate) fn open(job: &'j Job<'j>) -> Result<Self, JobError> {
        if let Some(model) = job.model.texts {
            return Ok(TextModel::Memory(model));
        }
        let Some(vectoriser) = job.model().and_then(|section| section.vectoriser.as_ref()) else {
            let message = "the model needs texts as rows: give `vectoriser` in [model]";
            return Err(JobError::invalid(job.place(), message));
        };
        let path = job.resolve(vectoriser.get_ref());
        let vectoriser = super::vectoriser::Vectoriser::read(&path)?;
        let n_columns = vectoriser.n_columns();
        let width = Width { n_columns, rows: format!("vectoriser `{}`", path.display()) };
        let model = RowModel::open(job, Some(&width), false)?;
        let vectorised = super::vectoriser::Vectorised { vectoriser, model };
        Ok(TextModel::Vectorised(Box::new(vectorised)))
    }

    /// The model as a black box.
    pub(crate) fn black_box(&self) -> BlackBox<'_, [String]> {
        match self {
            TextModel::Memory(model) => (*model).into(),
            TextModel::Vectorised(model) => (&**model).into(),
        }
    }

    /// The names of the job, or else those of the model; `text` is any text.
    pub(crate) fn output_names(&self, job: &Job<'_>, text: &str) -> Result<OutputNames, JobError> {
        match self {
            TextModel::Memory(model) => {
                let declared = || model.class_names().unwrap_or_default().to_vec();
                let n_outputs = || {
                    let outputs = Run::seeded(0).predict_texts(*model, &[text.to_owned()])?;
                    Ok(outputs.ncols())
                };
                output_names(job, declared, n_outputs)
            }
            TextModel::Vectorised(model) => {
                let row = ndarray::Array2::zeros((1, model.vectoriser.n_columns()));
                model.model.output_names(job, &row)
            }
        }
    }
}
