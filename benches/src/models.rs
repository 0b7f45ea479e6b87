//! Models that travel between languages as data, so that everybody explains the same function.

use anyhow::{Result, anyhow, bail};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use xai_core::{BoxError, Differentiable, Predictor, Rows, serde_arrays};

use crate::bag_of_words::BagOfWords;
use crate::networks::Network;

/// A model as its numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Model {
    /// A logistic model over counts of words.
    BagOfWords(BagOfWords),
    /// A dense network; with one layer a linear or logistic model.
    Dense(Dense),
    /// A dense network over numbers as they are and codes of categories.
    EncodedDense(EncodedDense),
    /// A network over tensors.
    Network(Network),
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
    #[serde(with = "serde_arrays")]
    pub weight: Array2<f64>,
    /// Shape `(outputs,)`.
    #[serde(with = "serde_arrays")]
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
        let first = self.layers.first().ok_or("a network has a layer")?;
        let mut values = batch.dot(&first.weight);
        values += &first.bias;
        self.after_first(values)
    }
}

impl Dense {
    /// The outputs from what the first layer makes of a batch.
    fn after_first(&self, mut values: Array2<f64>) -> Result<Array2<f64>, BoxError> {
        for layer in &self.layers[1..] {
            match self.activation {
                Activation::Relu => values.mapv_inplace(|value| value.max(0.0)),
                Activation::Tanh => values.mapv_inplace(f64::tanh),
            }
            values = values.dot(&layer.weight);
            values += &layer.bias;
        }
        self.head(&mut values)?;
        Ok(values)
    }

    fn head(&self, values: &mut Array2<f64>) -> Result<(), BoxError> {
        if let Head::Softmax = self.head {
            let n_outputs = values.ncols();
            let numbers = values.as_slice_mut().ok_or("a product is contiguous")?;
            for row in numbers.chunks_exact_mut(n_outputs) {
                let largest =
                    row.iter().fold(f64::NEG_INFINITY, |largest, &score| largest.max(score));
                row.iter_mut().for_each(|value| *value = (*value - largest).exp());
                let total: f64 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= total);
            }
        }
        Ok(())
    }
}

impl Differentiable for Dense {
    #[allow(clippy::disallowed_methods, reason = "a model calls itself")]
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let (_, gradients) = self.value_and_vjp(batch, &mut |_| cotangent.to_owned())?;
        Ok(gradients)
    }

    fn value_and_vjp(
        &self,
        batch: &Rows,
        cotangent: &mut dyn FnMut(&Rows) -> Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), BoxError> {
        // What each layer is given, and last the outputs.
        let mut values = vec![batch.to_owned()];
        for (index, layer) in self.layers.iter().enumerate() {
            let mut next = values[index].dot(&layer.weight);
            next += &layer.bias;
            if index + 1 < self.layers.len() {
                match self.activation {
                    Activation::Relu => next.mapv_inplace(|value| value.max(0.0)),
                    Activation::Tanh => next.mapv_inplace(f64::tanh),
                }
            }
            values.push(next);
        }
        let mut outputs = values.pop().ok_or("a network has a layer")?;
        self.head(&mut outputs)?;
        let mut slopes = cotangent(&outputs);
        if let Head::Softmax = self.head {
            for (mut slopes, outputs) in slopes.rows_mut().into_iter().zip(outputs.rows()) {
                let mean = slopes.dot(&outputs);
                slopes.zip_mut_with(&outputs, |slope, output| *slope = output * (*slope - mean));
            }
        }
        for (index, layer) in self.layers.iter().enumerate().rev() {
            slopes = slopes.dot(&layer.weight.t());
            if 0 < index {
                slopes.zip_mut_with(&values[index], |slope, &value| match self.activation {
                    Activation::Relu if value <= 0.0 => *slope = 0.0,
                    Activation::Relu => {}
                    Activation::Tanh => *slope *= 1.0 - value * value,
                });
            }
        }
        Ok((outputs, slopes))
    }
}

/// A dense network whose inputs are standardised numbers and then a block of one-hot columns for each category, on rows
/// that hold the numbers as they are and codes of categories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncodedDense {
    /// The numbers, in the order of the network's first inputs.
    pub numeric: Vec<NumericColumn>,
    /// The categories, in the order of the blocks that follow.
    pub categorical: Vec<CategoricalColumn>,
    /// The network.
    pub network: Dense,
}

/// A column of numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NumericColumn {
    /// Where it stands in a row.
    pub column: usize,
    /// What is subtracted.
    pub mean: f64,
    /// What divides the difference.
    pub deviation: f64,
}

/// A column of codes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CategoricalColumn {
    /// Where it stands in a row.
    pub column: usize,
    /// The codes are `0..n_categories`.
    pub n_categories: usize,
}

impl Predictor for EncodedDense {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "a code that is no small whole number differs from what the cast makes of it"
    )]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let first = self.network.layers.first().ok_or("a network has a layer")?;
        let bias = first.bias.as_slice().ok_or("a bias is contiguous")?;
        let weights = first.weight.as_slice().ok_or("a weight is contiguous")?;
        let width = bias.len();
        let mut values = Array2::zeros((batch.nrows(), width));
        let sums = values.as_slice_mut().ok_or("a new matrix is contiguous")?;
        // A one-hot block selects one row of the weights, so the sum of those rows is all there is to multiply.
        for (row, sums) in batch.rows().into_iter().zip(sums.chunks_exact_mut(width)) {
            sums.copy_from_slice(bias);
            let mut rest = weights;
            for numeric in &self.numeric {
                let (weights, behind) = rest.split_at_checked(width).ok_or("too few weights")?;
                let value = (row[numeric.column] - numeric.mean) / numeric.deviation;
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                rest = behind;
            }
            for categorical in &self.categorical {
                let size = categorical.n_categories * width;
                let (block, behind) = rest.split_at_checked(size).ok_or("too few weights")?;
                let value = row[categorical.column];
                let code = value as usize;
                if code as f64 != value || categorical.n_categories <= code {
                    return Err(
                        format!("column {} has no category {value}", categorical.column).into()
                    );
                }
                let weights = &block[code * width..][..width];
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
                rest = behind;
            }
        }
        self.network.after_first(values)
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
    /// The model of rows.
    ///
    /// # Errors
    /// For a model of texts, and for a network, which [`network`](Self::network) gives.
    pub fn predictor(&self) -> Result<&dyn Predictor> {
        Ok(match self {
            Model::Dense(network) => network,
            Model::EncodedDense(encoded) => encoded,
            Model::Trees(trees) => trees,
            Model::Unanimity(games) => games,
            Model::BagOfWords(_) => bail!("the model is one of texts"),
            Model::Network(_) => bail!("the model is a network over tensors"),
        })
    }

    /// The model of rows with its gradients; a network takes at most `max_batch` rows in a call.
    ///
    /// # Errors
    /// For a model without gradients.
    pub fn differentiable(&self, max_batch: usize) -> Result<Box<dyn Differentiable>> {
        Ok(match self {
            Model::Dense(network) => Box::new(network.clone()),
            Model::Network(network) => Box::new(network.model(max_batch)?),
            _ => bail!("the model has no gradients"),
        })
    }

    /// The model of texts.
    ///
    /// # Errors
    /// For another one.
    pub fn bag_of_words(&self) -> Result<&BagOfWords> {
        match self {
            Model::BagOfWords(model) => Ok(model),
            _ => bail!("the model is none of texts"),
        }
    }

    /// The network over tensors.
    ///
    /// # Errors
    /// For another model.
    pub fn network(&self) -> Result<&Network> {
        match self {
            Model::Network(network) => Ok(network),
            _ => bail!("the model is no network over tensors"),
        }
    }
}

/// The class of each row: the first of its largest outputs.
///
/// # Errors
/// When the model fails.
#[allow(clippy::disallowed_methods, reason = "what explanations are judged by")]
pub fn classes(model: &dyn Predictor, rows: &Rows) -> Result<Vec<usize>> {
    let outputs = model.predict(rows).map_err(|error| anyhow!("the model: {error}"))?;
    let largest = |row: ArrayView1<'_, f64>| {
        let better = |best: usize, class: usize| if row[best] < row[class] { class } else { best };
        (0..row.len()).fold(0, better)
    };
    Ok(outputs.rows().into_iter().map(largest).collect())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the model is what is tested")]
mod tests {
    use ndarray::array;

    use super::*;

    fn encoded() -> EncodedDense {
        let weight = Array2::from_shape_fn((4, 3), |(i, j)| (i as f64 - 1.5) * (j as f64 + 0.25));
        let layers = vec![
            Layer { weight, bias: array![0.5, -0.25, 0.0] },
            Layer { weight: array![[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]], bias: array![0.0, 0.125] },
        ];
        EncodedDense {
            numeric: vec![NumericColumn { column: 1, mean: 2.0, deviation: 4.0 }],
            categorical: vec![CategoricalColumn { column: 0, n_categories: 3 }],
            network: Dense { layers, activation: Activation::Relu, head: Head::Softmax },
        }
    }

    /// Rows of codes and the same rows with one-hot columns, through the same network.
    #[test]
    fn a_code_selects_its_row_of_the_weights() {
        let encoded = encoded();
        let coded = array![[0.0, 4.0], [2.0, -1.0], [1.0, 2.0]];
        let one_hot = array![[0.5, 1.0, 0.0, 0.0], [-0.75, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]];
        let found = encoded.predict(&coded.view()).unwrap();
        let expected = encoded.network.predict(&one_hot.view()).unwrap();
        // Each number passes fewer than 32 roundings, and none is larger than 8.
        let bound = 32.0 * 8.0 * f64::EPSILON;
        assert!((found - expected).iter().all(|difference| difference.abs() <= bound));
    }

    /// Central differences of a smooth network and of one with kinks, away from them.
    #[test]
    fn the_gradients_of_a_network_are_those_of_its_outputs() {
        let rows = array![[0.5, -1.0, 0.25, 2.0], [-0.75, 0.5, 1.5, -0.5]];
        let cotangent = array![[1.0, -0.5], [0.25, 2.0]];
        for (activation, head) in
            [(Activation::Tanh, Head::Identity), (Activation::Relu, Head::Softmax)]
        {
            let network = Dense { activation, head, ..encoded().network };
            let gradients = network.vjp(&rows, &cotangent).unwrap();
            let numeric = xai_core::CentralDifference::new(&network);
            let expected = numeric.vjp(&rows, &cotangent).unwrap();
            // Truncation and rounding of central differences with a step of 6e-6, at derivatives below 100.
            assert!(
                (&gradients - &expected).iter().all(|gap| gap.abs() <= 1e-7),
                "{gradients} {expected}"
            );
            assert!(gradients.iter().any(|slope| slope.abs() > 1e-3));
        }
    }

    #[test]
    fn a_code_without_category_is_refused() {
        for code in [3.0, 0.5, -1.0, f64::NAN] {
            assert!(encoded().predict(&array![[code, 0.0]].view()).is_err(), "{code}");
        }
    }
}
