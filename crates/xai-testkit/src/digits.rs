//! A convolutional network that reads small images of digits, and an autoencoder of them, with their gradients.

use ndarray::{Array1, Array2, Array3, Array4, ArrayView1};
use serde::Deserialize;
use xai_core::{BoxError, Differentiable, Predictor, Row, Rows};

use crate::network::{Activation, Head, Layer, Network, Tensor, read, tensors};

/// Height and width of an image.
const SIDE: usize = 8;

/// The models of the digits and the images they were made with; an image is a row of 64 pixels from -0.5 to 0.5.
#[derive(Debug)]
pub struct Digits {
    /// Reads an image: probabilities of ten digits.
    pub classifier: Convolutional,
    /// From an image to ten numbers.
    pub encoder: Network,
    /// From an image through those numbers to an image.
    pub autoencoder: Network,
    /// Training images, shape `(600, 64)`.
    pub x_train: Array2<f64>,
    /// Test images, shape `(40, 64)`.
    pub x_test: Array2<f64>,
}

impl Digits {
    /// Loads the fixture.
    ///
    /// # Panics
    /// When the fixture is not there: this crate serves tests alone.
    #[must_use]
    pub fn load() -> Self {
        #[derive(Deserialize)]
        struct Images {
            x_train: Vec<Vec<Vec<f64>>>,
            x_test: Vec<Vec<Vec<f64>>>,
        }
        let images: Images =
            serde_json::from_slice(&read("models", "digits.json")).expect("lists of images");
        let rows = |images: Vec<Vec<Vec<f64>>>| {
            let n = images.len();
            let pixels = images.into_iter().flatten().flatten().collect();
            Array2::from_shape_vec((n, SIDE * SIDE), pixels).expect("images of 8 x 8 pixels")
        };
        let bytes = read("models", "digits.safetensors");
        let tensors = tensors(&bytes);
        let layer = |name: &str, activation| Layer::read(&tensors, name, activation);
        let encoder =
            || vec![layer("ae.enc0", Activation::Relu), layer("ae.enc1", Activation::None)];
        let decoder = [layer("ae.dec0", Activation::Relu), layer("ae.dec1", Activation::Tanh)];
        let dense =
            vec![layer("cnn.dense0", Activation::Relu), layer("cnn.dense1", Activation::None)];
        let convolution = |name: &str| Convolution::read(&tensors, name);
        Digits {
            classifier: Convolutional {
                first: convolution("cnn.conv0"),
                second: convolution("cnn.conv1"),
                dense: Network::new(dense, Head::Softmax),
            },
            autoencoder: Network::new(
                encoder().into_iter().chain(decoder).collect(),
                Head::Identity,
            ),
            encoder: Network::new(encoder(), Head::Identity),
            x_train: rows(images.x_train),
            x_test: rows(images.x_test),
        }
    }
}

/// Convolution and ReLU, maximum of 2 x 2 pixels, convolution and ReLU, two dense layers, softmax.
#[derive(Clone, Debug)]
pub struct Convolutional {
    first: Convolution,
    second: Convolution,
    dense: Network,
}

/// What a row becomes on its way.
struct Pass {
    /// After the first convolution, shape `(8, 8, 8)`: height, width, channel.
    first: Array3<f64>,
    pooled: Array3<f64>,
    /// After the second, shape `(4, 4, 16)`.
    second: Array3<f64>,
}

impl Convolutional {
    fn pass(&self, row: &Row) -> Result<Pass, BoxError> {
        if row.len() != SIDE * SIDE {
            return Err(format!("expected {} pixels, got {}", SIDE * SIDE, row.len()).into());
        }
        let image = Array3::from_shape_fn((SIDE, SIDE, 1), |(y, x, _)| row[y * SIDE + x]);
        let first = self.first.forward(&image);
        let pooled =
            Array3::from_shape_fn((SIDE / 2, SIDE / 2, first.dim().2), |(y, x, channel)| {
                let (y, x) = largest(&first, (2 * y, 2 * x, channel));
                first[[y, x, channel]]
            });
        let second = self.second.forward(&pooled);
        Ok(Pass { first, pooled, second })
    }
}

/// The place of the largest of 2 x 2 pixels, the first of equals.
fn largest(image: &Array3<f64>, (y, x, channel): (usize, usize, usize)) -> (usize, usize) {
    let better = |best: (usize, usize), other: (usize, usize)| {
        let (old, new) = (image[[best.0, best.1, channel]], image[[other.0, other.1, channel]]);
        if old < new { other } else { best }
    };
    [(y, x + 1), (y + 1, x), (y + 1, x + 1)].into_iter().fold((y, x), better)
}

impl Predictor for Convolutional {
    #[allow(clippy::disallowed_methods, reason = "a model made of a model")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let flat = |row: ArrayView1<'_, f64>| Ok(Array1::from_iter(self.pass(&row)?.second));
        let rows = batch.rows().into_iter().map(flat).collect::<Result<Vec<_>, BoxError>>()?;
        let width = rows.first().map_or(0, Array1::len);
        self.dense.predict(&Array2::from_shape_fn((rows.len(), width), |(i, j)| rows[i][j]))
    }
}

impl Differentiable for Convolutional {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradients = Array2::zeros(batch.dim());
        for (index, mut gradient) in gradients.rows_mut().into_iter().enumerate() {
            let Pass { first, pooled, second } = self.pass(&batch.row(index))?;
            let flat = Array1::from_iter(second.iter().copied());
            let slope = self.dense.row_vjp(&flat, &cotangent.row(index))?;
            let slope = slope.into_shape_with_order(second.dim())?;
            let slope = self.second.backward(pooled.dim(), &second, &slope);
            let mut spread = Array3::zeros(first.dim());
            for ((y, x, channel), &value) in slope.indexed_iter() {
                let (y, x) = largest(&first, (2 * y, 2 * x, channel));
                spread[[y, x, channel]] = value;
            }
            let slope = self.first.backward((SIDE, SIDE, 1), &first, &spread);
            gradient.assign(&Array1::from_iter(slope));
        }
        Ok(gradients)
    }
}

/// A 3 x 3 convolution of the same size with a ReLU; outside the image there are zeros.
#[derive(Clone, Debug)]
struct Convolution {
    /// Shape `(outputs, inputs, 3, 3)`.
    weight: Array4<f64>,
    bias: Array1<f64>,
}

impl Convolution {
    fn read(tensors: &dyn Fn(&str) -> Tensor, name: &str) -> Self {
        let (shape, values) = tensors(&format!("{name}.weight"));
        let shape = (shape[0], shape[1], shape[2], shape[3]);
        let weight = Array4::from_shape_vec(shape, values).expect("a full tensor");
        Convolution { weight, bias: Array1::from(tensors(&format!("{name}.bias")).1) }
    }

    /// Calls `visit(output, input, weight)` with indices of pixels for every weight that meets two of them.
    fn each(
        &self,
        (height, width): (usize, usize),
        mut visit: impl FnMut((usize, usize, usize), (usize, usize, usize), f64),
    ) {
        for ((to, from, dy, dx), &weight) in self.weight.indexed_iter() {
            for y in 0..height {
                for x in 0..width {
                    let (v, u) = (y + dy, x + dx);
                    if (1..=height).contains(&v) && (1..=width).contains(&u) {
                        visit((y, x, to), (v - 1, u - 1, from), weight);
                    }
                }
            }
        }
    }

    fn forward(&self, image: &Array3<f64>) -> Array3<f64> {
        let (height, width, _) = image.dim();
        let shape = (height, width, self.bias.len());
        let mut output = Array3::from_shape_fn(shape, |(_, _, channel)| self.bias[channel]);
        self.each((height, width), |to, from, weight| output[to] += weight * image[from]);
        output.mapv_inplace(|value| value.max(0.0));
        output
    }

    fn backward(
        &self,
        shape: (usize, usize, usize),
        output: &Array3<f64>,
        slope: &Array3<f64>,
    ) -> Array3<f64> {
        let mut gradient = Array3::zeros(shape);
        self.each((shape.0, shape.1), |to, from, weight| {
            if 0.0 < output[to] {
                gradient[from] += weight * slope[to];
            }
        });
        gradient
    }
}
