//! Small trained networks with their data, from files shipped with this crate.

use std::path::Path;

use ndarray::{Array1, Array2, Axis};
use safetensors::SafeTensors;
use serde::Deserialize;
use xai_core::{BoxError, Predictor, Rows, nested};

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
    #[serde(with = "nested")]
    pub x_train: Array2<f64>,
    /// Test rows, shape `(n_rows, n_features)`.
    #[serde(with = "nested")]
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

/// A dense network in float64: hidden layers with one activation, then a head.
#[derive(Clone, Debug, Default)]
pub struct Network {
    layers: Vec<(Array2<f64>, Array1<f64>)>,
    activation: Activation,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Activation {
    #[default]
    None,
    Relu,
    Tanh,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Head {
    #[default]
    Identity,
    Softmax,
}

impl Fixture {
    /// Loads a fixture by name: `iris_mlp`, `wine_mlp`, `wine_softmax`, `diabetes_linear` or `diabetes_mlp`.
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

impl Network {
    fn read(bytes: &[u8], n_layers: usize, activation: Activation, head: Head) -> Self {
        let tensors = SafeTensors::deserialize(bytes).expect("a safetensors file");
        let numbers = |name: String| {
            let tensor = tensors.tensor(&name).expect("the layer is there");
            let values = tensor
                .data()
                .chunks(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().expect("f64")));
            (tensor.shape().to_vec(), values.collect::<Vec<_>>())
        };
        let layer = |index: usize| {
            let (shape, values) = numbers(format!("dense{index}.weight"));
            let weight =
                Array2::from_shape_vec((shape[0], shape[1]), values).expect("a full matrix");
            // Stored as (outputs, inputs); kept as (inputs, outputs), so that a row is a sum of scaled rows.
            let weight = weight.t().as_standard_layout().into_owned();
            (weight, Array1::from(numbers(format!("dense{index}.bias")).1))
        };
        Network { layers: (0..n_layers).map(layer).collect(), activation, head }
    }

    /// A network with tanh units and an identity head, from its matrices `(inputs, outputs)` and biases.
    #[must_use]
    pub fn tanh(layers: Vec<(Array2<f64>, Array1<f64>)>) -> Self {
        Network { layers, activation: Activation::Tanh, head: Head::Identity }
    }
}

impl Predictor for Network {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut values = batch.to_owned();
        for (index, (weight, bias)) in self.layers.iter().enumerate() {
            if values.ncols() != weight.nrows() {
                return Err(
                    format!("expected {} columns, got {}", weight.nrows(), values.ncols()).into()
                );
            }
            let mut next = Array2::zeros((values.nrows(), bias.len()));
            // Row by row in a fixed order, so that a row's output does not depend on its batch.
            for (input, mut output) in values.axis_iter(Axis(0)).zip(next.axis_iter_mut(Axis(0))) {
                output.assign(bias);
                for (&value, weights) in input.iter().zip(weight.axis_iter(Axis(0))) {
                    output.scaled_add(value, &weights);
                }
            }
            values = next;
            if index + 1 < self.layers.len() {
                match self.activation {
                    Activation::None => {}
                    Activation::Relu => values.mapv_inplace(|value| value.max(0.0)),
                    Activation::Tanh => values.mapv_inplace(f64::tanh),
                }
            }
        }
        if let Head::Softmax = self.head {
            for mut row in values.rows_mut() {
                let largest = row.fold(f64::NEG_INFINITY, |largest, &value| largest.max(value));
                row.mapv_inplace(|value| (value - largest).exp());
                let total = row.sum();
                row /= total;
            }
        }
        Ok(values)
    }
}
