//! Trained networks, against numbers of TensorFlow and alibi.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the model itself is under test, and a test may panic"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::device::devices;
use ndarray::{Array2, Axis, concatenate};
use serde_json::Value;
use xai_candle::candle_core::{DType, Device, Result, Tensor, safetensors};
use xai_candle::{
    CandleInput, CandleModel, Conv2d, Conv2dConfig, Linear, Pool2dConfig, candle_nn, max_pool2d,
    relu,
};
use xai_core::{Differentiable, Paths, Predictor, Side, Split};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../xai-testkit/fixtures").join(name)
}

struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    fn load(name: &str, device: &Device) -> Self {
        let weights = safetensors::load(fixture(&format!("models/{name}.safetensors")), device);
        Weights(weights.unwrap().into_iter().collect())
    }

    fn dense(&self, name: &str) -> Linear {
        let [weight, bias] = ["weight", "bias"].map(|part| &self.0[&format!("{name}.{part}")]);
        Linear::new(weight, Some(bias)).unwrap()
    }

    fn convolution(&self, name: &str) -> Conv2d {
        let [weight, bias] = ["weight", "bias"].map(|part| &self.0[&format!("{name}.{part}")]);
        let config = Conv2dConfig { padding: [1; 4], ..Conv2dConfig::default() };
        Conv2d::new(weight, Some(bias), config).unwrap()
    }
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::softmax(x, 1)
}

/// The network for digits; `conv1` ends with the rectifier, its tensor in the order height, width, channel.
fn digits<'m>(device: &Device) -> CandleModel<'m> {
    let weights = Weights::load("digits", device);
    CandleModel::chain([CandleInput::new([1, 8, 8])])
        .stage("conv0", weights.convolution("cnn.conv0"))
        .stage("relu0", relu)
        .stage("pool", |x: &Tensor| max_pool2d(x, &Pool2dConfig::new([2, 2])))
        .stage("convolve1", weights.convolution("cnn.conv1"))
        .stage("conv1", |x: &Tensor| relu(x)?.permute((0, 2, 3, 1))?.contiguous())
        .stage("flatten", |x: &Tensor| x.flatten_from(1))
        .stage("dense0", weights.dense("cnn.dense0"))
        .stage("relu1", relu)
        .stage("dense1", weights.dense("cnn.dense1"))
        .stage("softmax", softmax)
        .on(device)
        .build()
        .unwrap()
}

fn two_inputs<'m>(device: &Device) -> CandleModel<'m> {
    let weights = Weights::load("two_inputs", device);
    let (dense0, dense1) = (weights.dense("dense0"), weights.dense("dense1"));
    let join = |x: &[Tensor]| Ok(vec![Tensor::cat(&[&x[0], &x[1].flatten_from(1)?], 1)?]);
    CandleModel::chain([CandleInput::new([3]), CandleInput::new([2, 2])])
        .join("concat", join)
        .stage("dense0", dense0)
        .stage("tanh", |x: &Tensor| x.tanh())
        .stage("dense1", dense1)
        .stage("softmax", softmax)
        .on(device)
        .build()
        .unwrap()
}

/// All numbers in a nested list, as one row for each entry of the outermost.
fn rows(value: &Value) -> Array2<f64> {
    fn collect(value: &Value, numbers: &mut Vec<f64>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, numbers)),
            number => numbers.push(number.as_f64().unwrap()),
        }
    }
    let mut numbers = Vec::new();
    collect(value, &mut numbers);
    let n_rows = value.as_array().unwrap().len();
    Array2::from_shape_vec((n_rows, numbers.len() / n_rows), numbers).unwrap()
}

/// Inputs or attributions of several inputs, side by side; a list of one for a single input.
fn side_by_side(values: &[Value]) -> Array2<f64> {
    let blocks: Vec<Array2<f64>> = values.iter().map(rows).collect();
    let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    concatenate(Axis(1), &views).unwrap()
}

/// Nodes and weights of Gauss-Legendre quadrature on (0, 1), by Newton's method on the polynomial.
fn gauss_legendre(n: u32) -> (Vec<f64>, Vec<f64>) {
    let degree = f64::from(n);
    let node = |i: u32| {
        let mut x = -((f64::from(i) + 0.75) / (degree + 0.5) * std::f64::consts::PI).cos();
        let mut slope = 0.0;
        for _ in 0..10 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=n {
                let k = f64::from(k);
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = degree * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(node).unzip()
}

/// Gradients summed along the path from zero, times the path: integrated gradients.
fn attributions(
    model: &dyn Differentiable,
    from: &Array2<f64>,
    to: &Array2<f64>,
    target: &[u64],
    n: usize,
) -> Array2<f64> {
    let (alphas, weights) = gauss_legendre(50);
    let mut cotangent = Array2::zeros((to.nrows(), n));
    for (mut row, &class) in cotangent.rows_mut().into_iter().zip(target) {
        row[usize::try_from(class).unwrap()] = 1.0;
    }
    let paths = Paths { from, to, alphas: &alphas, weights: &weights, cotangent: &cotangent };
    let sums = model.path_vjp(&paths, 100).unwrap();
    sums * (to - from)
}

#[test]
fn integrated_gradients_are_those_of_the_reference() {
    let text = std::fs::read_to_string(fixture("reference/integrated_gradients_networks.json"));
    let reference: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for (device, case) in
        devices().iter().flat_map(|device| cases.iter().map(move |case| (device, case)))
    {
        let is_digits = case["model"] == "digits.cnn";
        let (model, x) = if is_digits {
            (digits(device), rows(&case["inputs"]))
        } else {
            (two_inputs(device), side_by_side(case["inputs"].as_array().unwrap()))
        };
        let predictions = rows(&case["predictions"]);
        let got = model.predict(&x).unwrap();
        // Single precision on either side; probabilities are at most 1.
        assert!(got.iter().zip(&predictions).all(|(got, expected)| (got - expected).abs() < 1e-5));
        let target: Vec<u64> = case["target"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| class.as_u64().unwrap())
            .collect();
        let n_outputs = predictions.ncols();
        let zeros = Array2::zeros(x.dim());
        let expected = side_by_side(case["attributions"].as_array().unwrap());
        let got = if case["name"] == "digits_cnn_layer_conv1_outputs" {
            let Split { body, head } = model.split_at("conv1", Side::After).unwrap();
            let layer = |x: &Array2<f64>| body.predict(x).unwrap();
            attributions(&*head, &layer(&zeros), &layer(&x), &target, n_outputs)
        } else {
            attributions(&model, &zeros, &x, &target, n_outputs)
        };
        assert_eq!(got.dim(), expected.dim());
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() < 2e-5, "{}: {got}, {expected}", case["name"]);
        }
    }
}

/// The shapes of a layer's tensors.
fn shapes(model: &CandleModel<'_>, stage: &str, side: Side) -> Vec<Vec<usize>> {
    let layer = model.layer(stage, side).unwrap();
    layer.iter().map(|tensor| tensor.shape().to_vec()).collect()
}

#[test]
fn the_first_layer_of_the_digits_has_the_shape_of_its_images() {
    let model = digits(&Device::Cpu);
    assert_eq!(shapes(&model, "conv0", Side::After), [[8, 8, 8]]);
    assert_eq!(shapes(&model, "conv1", Side::After), [[4, 4, 16]]);
    assert_eq!(shapes(&model, "flatten", Side::After), [[256]]);
    assert_eq!(Weights::load("digits", &Device::Cpu).0["cnn.dense0.weight"].dtype(), DType::F32);
}
