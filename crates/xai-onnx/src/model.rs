//! The model as its users see it.

use std::path::Path;

use ndarray::{Array2, Axis, concatenate};
use xai_core::{BoxError, Output, Predictor, Rows};

use crate::container::decode;
use crate::error::OnnxError;
use crate::graph::{Prepared, prepare};
use crate::plan::{Plan, ROWS_PER_RUN, guarded};
use crate::thresholds::{Thresholds, thresholds};

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// The graph output to predict with. Default `None`: the last one that holds floating-point numbers, which for a
    /// classifier is the one with the probabilities.
    ///
    /// An integer output, such as the label, is taken only by its name.
    pub output: Option<String>,

    /// Features in a row, `1..`, for a graph that leaves the width of its only input open. Default `None`: the graph
    /// says.
    pub n_features: Option<usize>,
}

/// A model from an ONNX file, as a black box.
///
/// # Cost
/// Loading optimises the graph, milliseconds for the models of scikit-learn.
/// Memory is that of the weights, about twice while loading.
pub struct OnnxModel {
    plan: Plan,
    prepared: Prepared,
    thresholds: Thresholds,
}

impl std::fmt::Debug for OnnxModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxModel")
            .field("n_features", &self.n_features())
            .field("output", &self.output_name())
            .field("n_outputs", &self.n_outputs())
            .field("operators", &self.operators())
            .field("class_labels", &self.class_labels())
            .finish_non_exhaustive()
    }
}

impl OnnxModel {
    /// Reads a model from a file, with the default options.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OnnxError> {
        Self::open_with(path, &OnnxOptions::default())
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// [`OnnxError::Io`] when the file cannot be read, else as [`from_bytes`](Self::from_bytes).
    pub fn open_with(path: impl AsRef<Path>, options: &OnnxOptions) -> Result<Self, OnnxError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|source| OnnxError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, options)
    }

    /// Reads a model from the bytes of a file.
    ///
    /// # Errors
    /// [`OnnxError::NotOnnx`] and [`OnnxError::Truncated`] for bytes that are no whole model,
    /// [`OnnxError::UnsupportedOperator`] and [`OnnxError::Attribute`] for a graph beyond this crate, naming the node,
    /// and the other variants of [`OnnxError`] for inputs and outputs that do not fit rows of numbers.
    pub fn from_bytes(bytes: &[u8], options: &OnnxOptions) -> Result<Self, OnnxError> {
        let (proto, prepared) = prepare(decode(bytes)?, options.output.as_deref())?;
        let plan = guarded(|| Plan::build(&proto, &prepared, options.n_features))
            .map_err(|source| OnnxError::Prepare { source })??;
        let thresholds = thresholds(&proto, plan.blocks());
        Ok(OnnxModel { plan, prepared, thresholds })
    }

    /// The names of the inputs, in the order of their columns in a row.
    pub fn input_names(&self) -> impl Iterator<Item = &str> {
        self.prepared.inputs.iter().map(|input| input.name.as_str())
    }

    /// The shapes of the inputs that the output needs, without the axis of the rows, in the order of their columns.
    pub fn input_shapes(&self) -> impl Iterator<Item = &[usize]> {
        self.plan.blocks().iter().map(|block| block.inner.as_slice())
    }

    /// Features in a row: the cells of all inputs, one input after the other.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.plan.n_features()
    }

    /// The name of the output that predictions come from.
    #[must_use]
    pub fn output_name(&self) -> &str {
        &self.prepared.output
    }

    /// The names of all outputs of the graph, for [`OnnxOptions::output`].
    #[must_use]
    pub fn output_names(&self) -> &[String] {
        &self.prepared.outputs
    }

    /// Numbers that each row gives, where the graph tells without being run.
    #[must_use]
    pub fn n_outputs(&self) -> Option<usize> {
        self.plan.n_outputs()
    }

    /// The operators that the output needs, each once, in alphabetical order.
    #[must_use]
    pub fn operators(&self) -> &[String] {
        &self.prepared.operators
    }

    /// The classes of the columns of the output, for a classifier that names them; integer labels in decimal.
    #[must_use]
    pub fn class_labels(&self) -> Option<&[String]> {
        self.prepared.class_labels.as_deref()
    }

    /// The values at which the trees of the model split each column of a row, distinct and ascending: for a threshold
    /// `t`, the trees treat all values `<= t` alike in that test, and all values above it.
    ///
    /// Rows of numbers that lie on the same sides of all thresholds of their columns have outputs of the same bits, if
    /// they also agree in the columns that are one-hot encoded before the trees; such columns have no thresholds, nor
    /// have those that no tree asks.
    /// NaN, a missing value, lies on no side.
    ///
    /// The thresholds are exact for rows of `f64`: an input of single precision rounds its cells first, so that the
    /// threshold is the largest `f64` that rounds to the split value, half a unit in the last place of an `f32` above
    /// it.
    /// A strict split has the threshold below its value, an equality one on either side, and where columns are scaled
    /// before the trees the threshold is that of the unscaled column.
    ///
    /// The columns are followed through `ArrayFeatureExtractor`, `Cast`, `Concat`, `Gather`, `Identity`, `Imputer` of
    /// NaN, `OneHotEncoder`, `Reshape` and `Scaler`; after the trees there may be any operator.
    ///
    /// # Errors
    /// [`OnnxError::NoThresholds`] for a model without trees, one whose output depends on the columns past its trees,
    /// or one whose trees ask for what several columns or another operator make.
    ///
    /// # Cost
    /// None: they are found while loading.
    pub fn thresholds(&self) -> Result<Vec<Vec<f64>>, OnnxError> {
        let found = match &self.thresholds {
            Ok(found) => found,
            Err(reason) => return Err(OnnxError::NoThresholds { reason: reason.clone() }),
        };
        let columns = 0..self.n_features();
        Ok(columns.map(|column| found.get(&column).cloned().unwrap_or_default()).collect())
    }

    /// Outputs for a batch of shape `(n_rows, n_features)`, shape `(n_rows, n_outputs)`.
    ///
    /// A row's outputs have the same bits in every batch.
    /// NaN passes into the graph, where tree ensembles take it for a missing value.
    ///
    /// # Errors
    /// [`OnnxError::Width`], [`OnnxError::Cell`] for a cell that an integer input cannot take, and
    /// [`OnnxError::Evaluate`] when the graph fails.
    pub fn evaluate(&self, batch: &Rows) -> Result<Array2<f64>, OnnxError> {
        let expected = self.n_features();
        if batch.ncols() != expected {
            return Err(OnnxError::Width { expected, got: batch.ncols() });
        }
        let step = self.plan.step();
        let mut blocks = (0..batch.nrows())
            .step_by(step)
            .map(|start| {
                self.plan.run(batch, start..(start + step).min(batch.nrows()), self.output_name())
            })
            .collect::<Result<Vec<_>, _>>()?;
        match blocks.len() {
            0 => Ok(Array2::zeros((0, self.n_outputs().unwrap_or(0)))),
            1 => Ok(blocks.swap_remove(0)),
            _ => {
                let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
                concatenate(Axis(0), &views).map_err(|source| OnnxError::Evaluate {
                    rows: batch.nrows(),
                    source: source.into(),
                })
            }
        }
    }
}

impl Predictor for OnnxModel {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(self.evaluate(batch)?)
    }

    fn max_batch(&self) -> usize {
        ROWS_PER_RUN
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.plan.n_features())
    }

    /// What the graph says: `Classes` for the scores or probabilities of a classifier and for a softmax of two or more
    /// columns, `Label` for the label of a classifier, `Probability` for a single column that ends in a sigmoid,
    /// `Score` for a regressor. `None` for any other graph.
    fn output(&self) -> Option<Output> {
        self.prepared.ending?.meaning(self.plan.output_shape())
    }

    /// The [`class_labels`](OnnxModel::class_labels), where there is one for each output.
    fn class_names(&self) -> Option<&[String]> {
        self.class_labels().filter(|labels| Some(labels.len()) == self.n_outputs())
    }
}
