//! Networks over tensors, as layers in JSON and weights in a file of safetensors, so that frameworks in other languages
//! can build the same.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use xai_candle::candle_core::{self, D, Device, Module, Tensor};
use xai_candle::{
    CandleInput, CandleModel, Conv2d, Conv2dConfig, Flatten, Layer, LayerPullback, Linear,
    MaxPool2d, Pool2dConfig, Relu, by_candle, candle_nn,
};
use xai_core::Seed;

/// A network as its layers, with its weights once they are loaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// What a row holds: height, width and channels of an image, or a number of columns.
    pub shape: Vec<usize>,
    /// The layers from input to output.
    pub layers: Vec<NetworkLayer>,
    /// The file with the weights, beside the case.
    pub weights: String,
    #[serde(skip)]
    tensors: BTreeMap<String, Tensor>,
}

/// A layer of a [`Network`]. Convolutions have `NAME.weight` of shape `(outputs, inputs, height, width)`, dense layers
/// of shape `(outputs, inputs)`, both `NAME.bias`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NetworkLayer {
    /// A convolution with the same padding on all sides.
    Convolution {
        /// The name of its weights.
        name: String,
        /// Cells from one output to the next.
        stride: usize,
        /// Zeros on each side.
        padding: usize,
    },
    /// The largest cell of each window.
    MaxPool {
        /// Height and width of the window.
        size: usize,
        /// Cells from one output to the next.
        stride: usize,
        /// Cells on each side that are never the largest.
        padding: usize,
    },
    /// The mean of each channel.
    GlobalAveragePool,
    /// `max(0, z)`.
    Relu,
    /// An image as a vector: height, then width, then channels.
    Flatten,
    /// An affine map.
    Dense {
        /// The name of its weights.
        name: String,
    },
    /// Class probabilities.
    Softmax,
    /// The sum of two ways from the same input.
    Residual {
        /// One way.
        body: Vec<NetworkLayer>,
        /// The other; without layers it is the input itself.
        shortcut: Vec<NetworkLayer>,
    },
}

fn convolution(name: impl Into<String>, stride: usize, padding: usize) -> NetworkLayer {
    NetworkLayer::Convolution { name: name.into(), stride, padding }
}

fn dense(name: &str) -> NetworkLayer {
    NetworkLayer::Dense { name: name.to_owned() }
}

impl Network {
    fn new(name: &str, shape: &[usize], layers: Vec<NetworkLayer>) -> Self {
        let weights = format!("{name}.safetensors");
        Network { shape: shape.to_vec(), layers, weights, tensors: BTreeMap::new() }
    }

    /// The network for images of digits, 8 by 8 cells, trained.
    ///
    /// # Errors
    /// When its file in the repository cannot be read.
    pub fn digits() -> Result<Self> {
        let layers = vec![
            convolution("cnn.conv0", 1, 1),
            NetworkLayer::Relu,
            NetworkLayer::MaxPool { size: 2, stride: 2, padding: 0 },
            convolution("cnn.conv1", 1, 1),
            NetworkLayer::Relu,
            NetworkLayer::Flatten,
            dense("cnn.dense0"),
            NetworkLayer::Relu,
            dense("cnn.dense1"),
            NetworkLayer::Softmax,
        ];
        let mut network = Network::new("digits", &[8, 8, 1], layers);
        network.load(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/xai-testkit/fixtures/models"),
        )?;
        Ok(network)
    }

    /// The encoder of the digits, to 10 numbers, trained with the decoder that is not here; its weights stand in the file
    /// of [`digits`](Self::digits).
    ///
    /// # Errors
    /// When the file in the repository cannot be read.
    pub fn digits_encoder() -> Result<Self> {
        let layers =
            vec![NetworkLayer::Flatten, dense("ae.enc0"), NetworkLayer::Relu, dense("ae.enc1")];
        Ok(Network { shape: vec![8, 8, 1], layers, ..Self::digits()? })
    }

    /// 784 numbers, 128 relu units, 10 classes; random weights.
    ///
    /// # Errors
    /// When tensors cannot be made.
    pub fn dense_784() -> Result<Self> {
        let layers =
            vec![dense("hidden"), NetworkLayer::Relu, dense("output"), NetworkLayer::Softmax];
        let mut network = Network::new("dense", &[784], layers);
        let mut random = Random::default();
        random.layer(&mut network.tensors, "hidden", &[128, 784])?;
        random.layer(&mut network.tensors, "output", &[10, 128])?;
        Ok(network)
    }

    /// The shape of ResNet-18 with its normalisations folded into the convolutions, 224 by 224 cells, 1,000 classes;
    /// random weights.
    ///
    /// # Errors
    /// When tensors cannot be made.
    ///
    /// # Source
    /// He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", table 1.
    pub fn residual_18() -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let mut random = Random::default();
        let mut layers = vec![
            convolution("first", 2, 3),
            NetworkLayer::Relu,
            NetworkLayer::MaxPool { size: 3, stride: 2, padding: 1 },
        ];
        random.layer(&mut tensors, "first", &[64, 3, 7, 7])?;
        let mut inputs = 64;
        for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
            for block in 0..2 {
                let name = |part: &str| format!("stage{stage}.block{block}.{part}");
                let stride = if 0 < stage && block == 0 { 2 } else { 1 };
                random.layer(&mut tensors, &name("first"), &[outputs, inputs, 3, 3])?;
                random.layer(&mut tensors, &name("second"), &[outputs, outputs, 3, 3])?;
                let body = vec![
                    convolution(name("first"), stride, 1),
                    NetworkLayer::Relu,
                    convolution(name("second"), 1, 1),
                ];
                let mut shortcut = Vec::new();
                if inputs != outputs {
                    random.layer(&mut tensors, &name("shortcut"), &[outputs, inputs, 1, 1])?;
                    shortcut.push(convolution(name("shortcut"), stride, 0));
                }
                layers.extend([NetworkLayer::Residual { body, shortcut }, NetworkLayer::Relu]);
                inputs = outputs;
            }
        }
        random.layer(&mut tensors, "output", &[1000, 512])?;
        layers.extend([NetworkLayer::GlobalAveragePool, dense("output"), NetworkLayer::Softmax]);
        let network = Network::new("residual", &[224, 224, 3], layers);
        Ok(Network { tensors, ..network })
    }

    /// Reads the weights from a folder.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn load(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.weights);
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu)
            .with_context(|| path.display().to_string())?;
        self.tensors = tensors.into_iter().collect();
        Ok(())
    }

    /// Writes the weights into a folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let bytes = |tensor: &Tensor| {
            let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
            anyhow::Ok(numbers.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
        };
        let numbers = self.tensors.values().map(bytes).collect::<Result<Vec<_>>>()?;
        let mut views = Vec::new();
        for ((name, tensor), numbers) in self.tensors.iter().zip(&numbers) {
            views.push((name, TensorView::new(Dtype::F32, tensor.dims().to_vec(), numbers)?));
        }
        safetensors::serialize_to_file(views, None, &folder.join(&self.weights))?;
        Ok(())
    }

    /// The network as a model of rows, in float32 on the CPU, with at most `max_batch` rows in a call.
    ///
    /// # Errors
    /// When a weight is missing or has another shape.
    pub fn model(&self, max_batch: usize) -> Result<CandleModel<'static>> {
        let chain = CandleModel::chain([CandleInput::new(self.shape.clone())]);
        let chain = match self.shape.len() {
            3 => chain.layer("channels-first", ChannelsFirst),
            _ => chain,
        };
        Ok(chain.layer("network", self.steps(&self.layers)?).max_batch(max_batch).build()?)
    }

    fn steps(&self, layers: &[NetworkLayer]) -> Result<Steps> {
        let tensor = |name: &str, part: &str| {
            let name = format!("{name}.{part}");
            self.tensors.get(&name).with_context(|| format!("there is no weight {name}"))
        };
        // The channels of an image that a dense layer reads as a vector.
        let of_image = |place: usize| match layers.get(place.checked_sub(1)?)? {
            NetworkLayer::Flatten => layers[..place].iter().rev().find_map(|layer| match layer {
                NetworkLayer::Convolution { name, .. } => tensor(name, "bias").ok()?.dim(0).ok(),
                _ => None,
            }),
            _ => None,
        };
        let step = |(place, layer): (usize, &NetworkLayer)| -> Result<Box<dyn Layer>> {
            Ok(match layer {
                NetworkLayer::Convolution { name, stride, padding } => {
                    let config = Conv2dConfig {
                        stride: [*stride; 2],
                        padding: [*padding; 4],
                        ..Default::default()
                    };
                    let bias = Some(tensor(name, "bias")?);
                    Box::new(Conv2d::new(tensor(name, "weight")?, bias, config)?)
                }
                NetworkLayer::MaxPool { size, stride, padding } => {
                    Box::new(MaxPool2d::new(&Pool2dConfig {
                        stride: [*stride; 2],
                        padding: [*padding; 4],
                        ..Pool2dConfig::new([*size; 2])
                    })?)
                }
                NetworkLayer::GlobalAveragePool => {
                    Box::new(by_candle(candle_nn::func(|x| x.mean((2, 3)))))
                }
                NetworkLayer::Relu => Box::new(Relu),
                // Moving columns of weights once is cheaper than moving cells in each call.
                NetworkLayer::Flatten
                    if matches!(layers.get(place + 1), Some(NetworkLayer::Dense { .. }))
                        && of_image(place + 1).is_some() =>
                {
                    Box::new(Flatten)
                }
                NetworkLayer::Flatten => Box::new(by_candle(candle_nn::func(|x| {
                    x.permute((0, 2, 3, 1))?.flatten_from(1)
                }))),
                NetworkLayer::Dense { name } => {
                    let (weight, bias) = (tensor(name, "weight")?, Some(tensor(name, "bias")?));
                    let weight = match of_image(place) {
                        Some(n_channels) => {
                            let cells = weight.reshape((weight.dim(0)?, (), n_channels))?;
                            cells.transpose(1, 2)?.flatten_from(1)?
                        }
                        None => weight.clone(),
                    };
                    Box::new(Linear::new(&weight, bias)?)
                }
                NetworkLayer::Softmax => {
                    Box::new(by_candle(candle_nn::func(|x| candle_nn::ops::softmax(x, D::Minus1))))
                }
                NetworkLayer::Residual { body, shortcut } => {
                    Box::new(Residual { body: self.steps(body)?, shortcut: self.steps(shortcut)? })
                }
            })
        };
        Ok(Steps(layers.iter().enumerate().map(step).collect::<Result<_>>()?))
    }
}

/// Layers with their weights, one after the other.
struct Steps(Vec<Box<dyn Layer>>);

impl Module for Steps {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))
    }
}

impl Layer for Steps {
    fn trace(&self, x: &Tensor) -> candle_core::Result<(Tensor, LayerPullback<'_>)> {
        let (mut x, mut backs) = (x.clone(), Vec::with_capacity(self.0.len()));
        for layer in &self.0 {
            let (out, back) = layer.trace(&x)?;
            backs.push(back);
            x = out;
        }
        let back =
            |gradient| backs.into_iter().rev().try_fold(gradient, |gradient, back| back(gradient));
        Ok((x, Box::new(back)))
    }
}

/// The sum of two ways from the same input.
struct Residual {
    body: Steps,
    shortcut: Steps,
}

impl Module for Residual {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.body.forward(x)? + self.shortcut.forward(x)?
    }
}

impl Layer for Residual {
    fn trace(&self, x: &Tensor) -> candle_core::Result<(Tensor, LayerPullback<'_>)> {
        let (body, body_back) = self.body.trace(x)?;
        let (shortcut, shortcut_back) = self.shortcut.trace(x)?;
        let back = |gradient: Tensor| body_back(gradient.clone())? + shortcut_back(gradient)?;
        Ok(((body + shortcut)?, Box::new(back)))
    }
}

/// From `(rows, height, width, channels)` to `(rows, channels, height, width)`.
struct ChannelsFirst;

/// Moves an axis and makes the result contiguous; with one channel the cells stand in order as they are.
fn permuted(x: &Tensor, order: [usize; 4], n_channels: usize) -> candle_core::Result<Tensor> {
    if n_channels == 1 {
        return x.reshape(order.map(|axis| x.dims()[axis]).to_vec());
    }
    x.permute(order)?.contiguous()
}

impl Module for ChannelsFirst {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        permuted(x, [0, 3, 1, 2], x.dims()[3])
    }
}

impl Layer for ChannelsFirst {
    fn trace(&self, x: &Tensor) -> candle_core::Result<(Tensor, LayerPullback<'_>)> {
        let back = |gradient: Tensor| permuted(&gradient, [0, 2, 3, 1], gradient.dims()[1]);
        Ok((self.forward(x)?, Box::new(back)))
    }
}

/// Random weights that keep the size of what goes through them.
struct Random(xai_core::Stream);

impl Default for Random {
    fn default() -> Self {
        Random(Seed::new(0).stream())
    }
}

impl Random {
    fn layer(
        &mut self,
        tensors: &mut BTreeMap<String, Tensor>,
        name: &str,
        shape: &[usize],
    ) -> Result<()> {
        let [n_outputs, rest @ ..] = shape else { bail!("a weight has outputs") };
        let n_inputs: usize = rest.iter().product();
        // Uniform with the variance 2 / inputs, halved again because residual blocks add up.
        let bound = (3.0 / n_inputs as f64).sqrt();
        let mut numbers = |n: usize| {
            #[allow(clippy::cast_possible_truncation, reason = "weights are in float32")]
            let number = |_| (bound * (2.0 * self.0.uniform() - 1.0)) as f32;
            (0..n).map(number).collect::<Vec<f32>>()
        };
        let weight = Tensor::from_vec(numbers(n_outputs * n_inputs), shape, &Device::Cpu)?;
        let bias = Tensor::from_vec(numbers(*n_outputs), *n_outputs, &Device::Cpu)?;
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.bias"), bias);
        Ok(())
    }
}
