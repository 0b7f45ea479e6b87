//! Models that travel between languages as data, so that everybody explains the same function.

use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use xai_core::{BoxError, Predictor, Rows, nested};

/// A model as its numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Model {
    /// A dense network; with one layer a linear or logistic model.
    Dense(Dense),
    /// A sum of regression trees.
    Trees(Trees),
    /// A sum of unanimity games.
    Unanimity(Unanimity),
}

/// A dense network in float64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dense {
    /// The layers from input to output.
    pub layers: Vec<Layer>,
    /// What follows every layer but the last.
    pub activation: Activation,
    /// What follows the last layer.
    pub head: Head,
}

/// An affine map.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// Shape `(inputs, outputs)`.
    #[serde(with = "nested")]
    pub weight: Array2<f64>,
    /// Shape `(outputs,)`.
    #[serde(with = "nested")]
    pub bias: Array1<f64>,
}

/// The nonlinearity of hidden units.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(0, z)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// The nonlinearity of the outputs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// None.
    Identity,
    /// Class probabilities.
    Softmax,
}

impl Predictor for Dense {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut values = Array2::zeros((0, 0));
        for (index, layer) in self.layers.iter().enumerate() {
            values = if index == 0 { batch.dot(&layer.weight) } else { values.dot(&layer.weight) };
            values += &layer.bias;
            if index + 1 < self.layers.len() {
                match self.activation {
                    Activation::Relu => values.mapv_inplace(|value| value.max(0.0)),
                    Activation::Tanh => values.mapv_inplace(f64::tanh),
                }
            }
        }
        if let Head::Softmax = self.head {
            let n_outputs = values.ncols();
            let numbers = values.as_slice_mut().ok_or("a product is contiguous")?;
            for row in numbers.chunks_exact_mut(n_outputs) {
                let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &own| largest.max(own));
                row.iter_mut().for_each(|value| *value = (*value - largest).exp());
                let total: f64 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= total);
            }
        }
        Ok(values)
    }
}

/// A sum of regression trees with one output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trees {
    /// What the sum starts with.
    pub base: f64,
    /// The trees.
    pub trees: Vec<Tree>,
}

/// A tree as parallel arrays over its nodes; the root is node 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tree {
    /// The column a node splits on.
    pub feature: Vec<usize>,
    /// Rows with at most this value go left.
    pub threshold: Vec<f64>,
    /// The left child; 0 for a leaf, since the root is nobody's child.
    pub left: Vec<usize>,
    /// The right child.
    pub right: Vec<usize>,
    /// The value of a leaf.
    pub value: Vec<f64>,
}

impl Predictor for Trees {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let outputs = batch.rows().into_iter().map(|row| {
            let leaf = |tree: &Tree| {
                let mut node = 0;
                while tree.left[node] != 0 {
                    let goes_left = row[tree.feature[node]] <= tree.threshold[node];
                    node = if goes_left { tree.left[node] } else { tree.right[node] };
                }
                tree.value[node]
            };
            self.base + self.trees.iter().map(leaf).sum::<f64>()
        });
        Ok(Array1::from_iter(outputs).insert_axis(Axis(1)))
    }
}

/// `sum_t coefficient_t * product of the columns in members_t`: over a background of zeros a sum of unanimity games.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unanimity {
    /// The columns of each product.
    pub members: Vec<Vec<usize>>,
    /// One number for each product.
    pub coefficients: Vec<f64>,
}

impl Predictor for Unanimity {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let outputs = batch.rows().into_iter().map(|row| {
            let product = |members: &Vec<usize>| members.iter().map(|&m| row[m]).product::<f64>();
            let terms = self.members.iter().zip(&self.coefficients);
            terms.map(|(members, coefficient)| coefficient * product(members)).sum()
        });
        Ok(Array1::from_iter(outputs).insert_axis(Axis(1)))
    }
}

impl Model {
    /// The model as a predictor.
    #[must_use]
    pub fn predictor(&self) -> &dyn Predictor {
        match self {
            Model::Dense(network) => network,
            Model::Trees(trees) => trees,
            Model::Unanimity(games) => games,
        }
    }
}
