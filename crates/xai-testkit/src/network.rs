//! Small trained networks with their data, from files shipped with this crate.

use std::path::Path;

use ndarray::{Array1, Array2, Axis};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use xai_core::{BoxError, Differentiable, Predictor, Row, Rows, serde_arrays};

/// A file of this crate's fixtures, from the folder `models` or `reference`.
///
/// # Panics
/// When there is no such file: this crate serves tests alone.
#[must_use]
pub fn read(folder: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("fixture {}: {error}", path.display()))
}

/// A network and the data it was trained and tested on.
#[derive(Debug, Deserialize)]
pub struct Fixture {
    /// Names of the columns.
    pub feature_names: Vec<String>,
    /// Training rows, shape `(n_rows, n_features)`.
    #[serde(with = "serde_arrays")]
    pub x_train: Array2<f64>,
    /// Test rows, shape `(n_rows, n_features)`.
    #[serde(with = "serde_arrays")]
    pub x_test: Array2<f64>,
    layers: usize,
    activation: Activation,
    head: Head,
    /// The network in float64; filled from the weights beside the data.
    #[serde(skip)]
    pub network: Network,
    /// The same network as an ONNX file in float32.
    #[serde(skip)]
    pub onnx: Vec<u8>,
}

/// A dense network in float64: layers with activations, then a head. It treats rows independently, to the bit.
#[derive(Clone, Debug, Default)]
pub struct Network {
    layers: Vec<Layer>,
    head: Head,
}

/// A dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Shape `(inputs, outputs)`, so that a row is a sum of scaled rows.
    pub(crate) weight: Array2<f64>,
    pub(crate) bias: Array1<f64>,
    pub(crate) activation: Activation,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activation {
    #[default]
    None,
    Relu,
    Tanh,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Head {
    #[default]
    Identity,
    Softmax,
}

impl Fixture {
    /// Loads a fixture by name: `iris_mlp`, `wine_mlp`, `wine_softmax`, `cancer_mlp`, `diabetes_linear` or
    /// `diabetes_mlp`.
    ///
    /// # Panics
    /// When there is no such fixture: this crate serves tests alone.
    #[must_use]
    pub fn load(name: &str) -> Self {
        let file = |extension: &str| read("models", &format!("{name}.{extension}"));
        let mut fixture: Fixture =
            serde_json::from_slice(&file("json")).expect("the fixture has this layout");
        fixture.network =
            Network::read(&file("safetensors"), fixture.layers, fixture.activation, fixture.head);
        fixture.onnx = file("onnx");
        fixture
    }
}

/// A tensor: its shape and its numbers in row-major order.
pub(crate) type Tensor = (Vec<usize>, Vec<f64>);

/// The tensors of a file by name, in float64.
pub(crate) fn tensors(bytes: &[u8]) -> impl Fn(&str) -> Tensor {
    let tensors = SafeTensors::deserialize(bytes).expect("a safetensors file");
    move |name| {
        let tensor = tensors.tensor(name).expect("the tensor is there");
        let number = |bytes: &[u8]| match tensor.dtype() {
            Dtype::F32 => f64::from(f32::from_le_bytes(bytes.try_into().expect("f32"))),
            _ => f64::from_le_bytes(bytes.try_into().expect("f64")),
        };
        let size = tensor.dtype().bitsize() / 8;
        (tensor.shape().to_vec(), tensor.data().chunks(size).map(number).collect())
    }
}

impl Layer {
    /// The layer `name`, stored as (outputs, inputs).
    pub(crate) fn read(
        tensors: &dyn Fn(&str) -> Tensor,
        name: &str,
        activation: Activation,
    ) -> Self {
        let (shape, values) = tensors(&format!("{name}.weight"));
        let weight = Array2::from_shape_vec((shape[0], shape[1]), values).expect("a full matrix");
        let weight = weight.t().as_standard_layout().into_owned();
        Layer { weight, bias: Array1::from(tensors(&format!("{name}.bias")).1), activation }
    }

    fn forward(&self, input: &Row) -> Array1<f64> {
        let mut output = self.bias.clone();
        // In a fixed order, so that a row's output does not depend on its batch.
        for (&value, weights) in input.iter().zip(self.weight.axis_iter(Axis(0))) {
            output.scaled_add(value, &weights);
        }
        match self.activation {
            Activation::None => {}
            Activation::Relu => output.mapv_inplace(|value| value.max(0.0)),
            Activation::Tanh => output.mapv_inplace(f64::tanh),
        }
        output
    }

    /// The cotangent of the input, from that of the output.
    fn backward(&self, output: &Row, mut cotangent: Array1<f64>) -> Array1<f64> {
        for (slope, &value) in cotangent.iter_mut().zip(output) {
            match self.activation {
                Activation::None => {}
                Activation::Relu if value <= 0.0 => *slope = 0.0,
                Activation::Relu => {}
                Activation::Tanh => *slope *= 1.0 - value * value,
            }
        }
        let products = self.weight.axis_iter(Axis(0)).map(|weights| weights.dot(&cotangent));
        products.collect()
    }
}

/// The softmax of a row, in place.
fn softmax(row: &mut Row) {
    let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &value| largest.max(value));
    row.mapv_inplace(|value| (value - largest).exp());
    let total = row.sum();
    row.mapv_inplace(|value| value / total);
}

impl Network {
    fn read(bytes: &[u8], n_layers: usize, activation: Activation, head: Head) -> Self {
        let tensors = tensors(bytes);
        let layer = |index: usize| {
            let last = index + 1 == n_layers;
            let activation = if last { Activation::None } else { activation };
            Layer::read(&tensors, &format!("dense{index}"), activation)
        };
        Network { layers: (0..n_layers).map(layer).collect(), head }
    }

    pub(crate) fn new(layers: Vec<Layer>, head: Head) -> Self {
        Network { layers, head }
    }

    /// A network with tanh units and an identity head, from its matrices `(inputs, outputs)` and biases.
    #[must_use]
    pub fn tanh(layers: Vec<(Array2<f64>, Array1<f64>)>) -> Self {
        let last = layers.len();
        let layer = |(index, (weight, bias)): (usize, (Array2<f64>, Array1<f64>))| {
            let activation = if index + 1 < last { Activation::Tanh } else { Activation::None };
            Layer { weight, bias, activation }
        };
        Network {
            layers: layers.into_iter().enumerate().map(layer).collect(),
            head: Head::Identity,
        }
    }

    /// The same network with a softmax at its end.
    #[must_use]
    pub fn softmax(mut self) -> Self {
        self.head = Head::Softmax;
        self
    }

    /// The input of each layer, and the output of the last.
    fn activations(&self, input: &Row) -> Result<Vec<Array1<f64>>, BoxError> {
        let mut values = vec![input.to_owned()];
        for layer in &self.layers {
            let last = &values[values.len() - 1];
            if last.len() != layer.weight.nrows() {
                let (got, expected) = (last.len(), layer.weight.nrows());
                return Err(format!("expected {expected} columns, got {got}").into());
            }
            values.push(layer.forward(last));
        }
        if let (Head::Softmax, Some(last)) = (self.head, values.last_mut()) {
            softmax(last);
        }
        Ok(values)
    }

    fn n_outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.bias.len())
    }

    /// The vector-Jacobian product of one row.
    pub(crate) fn row_vjp(&self, input: &Row, cotangent: &Row) -> Result<Array1<f64>, BoxError> {
        let values = self.activations(input)?;
        let mut cotangent = cotangent.to_owned();
        if let (Head::Softmax, Some(probabilities)) = (self.head, values.last()) {
            let mean = probabilities.dot(&cotangent);
            cotangent = probabilities * &(&cotangent - mean);
        }
        for (layer, output) in self.layers.iter().zip(&values[1..]).rev() {
            cotangent = layer.backward(output, cotangent);
        }
        Ok(cotangent)
    }
}

impl Predictor for Network {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut outputs = Array2::zeros((batch.nrows(), self.n_outputs()));
        for (input, mut output) in batch.axis_iter(Axis(0)).zip(outputs.axis_iter_mut(Axis(0))) {
            let values = self.activations(&input)?;
            output.assign(&values[values.len() - 1]);
        }
        Ok(outputs)
    }
}

impl Differentiable for Network {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradients = Array2::zeros(batch.dim());
        for (row, mut gradient) in gradients.rows_mut().into_iter().enumerate() {
            gradient.assign(&self.row_vjp(&batch.row(row), &cotangent.row(row))?);
        }
        Ok(gradients)
    }
}
