//! Differentiable models in float64, row by row, so that a row's numbers never depend on its batch.

#![allow(dead_code, reason = "each test takes the models it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod tensors;

use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};
use xai_core::{BoxError, Differentiable, Predictor, Rows, Side, Split};
use xai_testkit::network::read;

/// A function of one row with one output, and its gradient.
pub(crate) struct Formula {
    pub(crate) n_features: usize,
    pub(crate) f: fn(&[f64]) -> f64,
    pub(crate) gradient: fn(&[f64]) -> Vec<f64>,
}

impl Predictor for Formula {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 1), |(i, _)| (self.f)(&batch.row(i).to_vec())))
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.n_features)
    }
}

impl Differentiable for Formula {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradients = Array2::zeros(batch.dim());
        for (i, mut row) in gradients.rows_mut().into_iter().enumerate() {
            let own = (self.gradient)(&batch.row(i).to_vec());
            row.assign(&(Array1::from(own) * cotangent[[i, 0]]));
        }
        Ok(gradients)
    }
}

/// One step of a network, on one row.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Weights as (outputs, inputs).
    Dense {
        weight: Array2<f64>,
        bias: Vec<f64>,
    },
    /// Same padding, stride 1, on `height x width x in` values; the kernel as (out, in, 3, 3), flat.
    Conv {
        height: usize,
        width: usize,
        kernel: Vec<f64>,
        bias: Vec<f64>,
        n_in: usize,
    },
    /// The largest of squares of two, on `height x width x channels` values.
    MaxPool {
        height: usize,
        width: usize,
        channels: usize,
    },
    Relu,
    Tanh,
    Sigmoid,
    Softmax,
}

impl Step {
    /// For each output the terms (input, factor), and the constant; for the linear steps.
    fn conv(
        (height, width): (usize, usize),
        (n_in, n_out): (usize, usize),
        mut term: impl FnMut(usize, usize, usize),
    ) {
        for y in 0..height {
            for x in 0..width {
                for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                    let (Some(row), Some(column)) =
                        ((y + dy).checked_sub(1), (x + dx).checked_sub(1))
                    else {
                        continue;
                    };
                    if height <= row || width <= column {
                        continue;
                    }
                    for out in 0..n_out {
                        for own in 0..n_in {
                            term(
                                (y * width + x) * n_out + out,
                                (row * width + column) * n_in + own,
                                ((out * n_in + own) * 3 + dy) * 3 + dx,
                            );
                        }
                    }
                }
            }
        }
    }

    /// For each output of the pool the input it comes from, the first of equals.
    fn pooled(size: (usize, usize, usize), x: &[f64]) -> Vec<usize> {
        let (height, width, channels) = size;
        let mut sources = Vec::new();
        for y in 0..height / 2 {
            for column in 0..width / 2 {
                for channel in 0..channels {
                    let at = |dy: usize, dx: usize| {
                        ((2 * y + dy) * width + 2 * column + dx) * channels + channel
                    };
                    let all = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
                    sources.push(
                        all.into_iter().reduce(|a, b| if x[a] < x[b] { b } else { a }).unwrap(),
                    );
                }
            }
        }
        sources
    }

    fn forward(&self, x: &[f64]) -> Vec<f64> {
        match self {
            Step::Dense { weight, bias } => weight
                .rows()
                .into_iter()
                .zip(bias)
                .map(|(w, b)| w.iter().zip(x).fold(*b, |sum, (w, x)| sum + w * x))
                .collect(),
            Step::Conv { height, width, kernel, bias, n_in } => {
                let mut y: Vec<f64> = (0..height * width).flat_map(|_| bias.clone()).collect();
                Step::conv((*height, *width), (*n_in, bias.len()), |to, from, k| {
                    y[to] += kernel[k] * x[from];
                });
                y
            }
            Step::MaxPool { height, width, channels } => {
                Step::pooled((*height, *width, *channels), x).into_iter().map(|i| x[i]).collect()
            }
            Step::Relu => x.iter().map(|x| x.max(0.0)).collect(),
            Step::Tanh => x.iter().map(|x| x.tanh()).collect(),
            Step::Sigmoid => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Step::Softmax => {
                let largest = x.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
                let powers: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|power| power / sum).collect()
            }
        }
    }

    /// From the derivative by the step's output `y` to the one by its input `x`.
    fn backward(&self, x: &[f64], y: &[f64], slope: &[f64]) -> Vec<f64> {
        let elementwise = |factor: &dyn Fn(usize) -> f64| {
            (0..x.len()).map(|i| slope[i] * factor(i)).collect::<Vec<_>>()
        };
        match self {
            Step::Dense { weight, .. } => {
                let mut back = vec![0.0; x.len()];
                for (row, slope) in weight.rows().into_iter().zip(slope) {
                    back.iter_mut().zip(row).for_each(|(b, w)| *b += w * slope);
                }
                back
            }
            Step::Conv { height, width, kernel, bias, n_in } => {
                let mut back = vec![0.0; x.len()];
                Step::conv((*height, *width), (*n_in, bias.len()), |to, from, k| {
                    back[from] += kernel[k] * slope[to];
                });
                back
            }
            Step::MaxPool { height, width, channels } => {
                let mut back = vec![0.0; x.len()];
                let sources = Step::pooled((*height, *width, *channels), x);
                sources.into_iter().zip(slope).for_each(|(source, slope)| back[source] += slope);
                back
            }
            Step::Relu => elementwise(&|i| f64::from(u8::from(0.0 < x[i]))),
            Step::Tanh => elementwise(&|i| 1.0 - y[i] * y[i]),
            Step::Sigmoid => elementwise(&|i| y[i] * (1.0 - y[i])),
            Step::Softmax => {
                let mean: f64 = y.iter().zip(slope).map(|(y, s)| y * s).sum();
                (0..x.len()).map(|i| y[i] * (slope[i] - mean)).collect()
            }
        }
    }
}

/// Named stages one after the other; the model can be cut in front of each and behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) stages: Vec<(&'static str, Vec<Step>)>,
}

impl Staged {
    fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.stages.iter().flat_map(|(_, steps)| steps)
    }
}

impl Predictor for Staged {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        let of = |row: Vec<f64>| self.steps().fold(row, |x, step| step.forward(&x));
        let outputs: Vec<Vec<f64>> = batch.rows().into_iter().map(|row| of(row.to_vec())).collect();
        let width = outputs.first().map_or(0, Vec::len);
        Ok(Array2::from_shape_vec((outputs.len(), width), outputs.concat())?)
    }
}

impl Differentiable for Staged {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        let mut gradients = Array2::zeros(batch.dim());
        for (i, mut gradient) in gradients.rows_mut().into_iter().enumerate() {
            let mut values = vec![batch.row(i).to_vec()];
            for step in self.steps() {
                values.push(step.forward(values.last().unwrap()));
            }
            let mut slope = cotangent.row(i).to_vec();
            for (k, step) in self.steps().enumerate().collect::<Vec<_>>().into_iter().rev() {
                slope = step.backward(&values[k], &values[k + 1], &slope);
            }
            gradient.assign(&Array1::from(slope));
        }
        Ok(gradients)
    }

    fn split_at(&self, layer: &str, side: Side) -> Option<Split<'_>> {
        let stage = self.stages.iter().position(|(name, _)| *name == layer)?;
        let (body, head) =
            self.stages.split_at(if side == Side::Before { stage } else { stage + 1 });
        Some(Split {
            body: Box::new(Staged { stages: body.to_vec() }),
            head: Box::new(Staged { stages: head.to_vec() }),
        })
    }
}

/// Tensors of a fixture, whatever their precision.
pub(crate) struct Weights(Vec<u8>);

impl Weights {
    pub(crate) fn of(model: &str) -> Self {
        Weights(read("models", &format!("{model}.safetensors")))
    }

    pub(crate) fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap();
        let values = match tensor.dtype() {
            Dtype::F64 => {
                tensor.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
            }
            Dtype::F32 => {
                let number = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
                tensor.data().chunks(4).map(number).collect()
            }
            other => panic!("{name} has type {other:?}"),
        };
        (tensor.shape().to_vec(), values)
    }

    pub(crate) fn dense(&self, name: &str) -> Step {
        let (shape, values) = self.tensor(&format!("{name}.weight"));
        let weight = Array2::from_shape_vec((shape[0], shape[1]), values).unwrap();
        Step::Dense { weight, bias: self.tensor(&format!("{name}.bias")).1 }
    }

    pub(crate) fn conv(&self, name: &str, side: usize) -> Step {
        let (shape, kernel) = self.tensor(&format!("{name}.weight"));
        let bias = self.tensor(&format!("{name}.bias")).1;
        Step::Conv { height: side, width: side, kernel, bias, n_in: shape[1] }
    }
}

/// One of the trained networks, with a stage for each layer and its activation.
pub(crate) fn network(name: &str) -> Staged {
    let weights = Weights::of(name.split('.').next().unwrap());
    let layers = |names: &[&'static str], activation: Step, last: Option<Step>| {
        let stage = |(index, name): (usize, &&'static str)| {
            let hidden = index + 1 < names.len();
            let own = if hidden { Some(activation.clone()) } else { last.clone() };
            (*name, std::iter::once(weights.dense(name)).chain(own).collect())
        };
        Staged { stages: names.iter().enumerate().map(stage).collect() }
    };
    match name {
        "iris_mlp" => layers(&["dense0", "dense1"], Step::Relu, Some(Step::Softmax)),
        "cancer_mlp" => layers(&["dense0", "dense1", "dense2"], Step::Relu, Some(Step::Softmax)),
        "diabetes_mlp" => layers(&["dense0", "dense1"], Step::Tanh, None),
        "wine_softmax" => layers(&["dense0"], Step::Relu, Some(Step::Softmax)),
        "two_inputs" => layers(&["dense0", "dense1"], Step::Tanh, Some(Step::Softmax)),
        "two_inputs.scores" => layers(&["dense0", "dense1"], Step::Tanh, None),
        "digits.cnn" => Staged {
            stages: vec![
                ("conv0", vec![weights.conv("cnn.conv0", 8), Step::Relu]),
                ("pool", vec![Step::MaxPool { height: 8, width: 8, channels: 8 }]),
                ("conv1", vec![weights.conv("cnn.conv1", 4), Step::Relu]),
                ("dense0", vec![weights.dense("cnn.dense0"), Step::Relu]),
                ("dense1", vec![weights.dense("cnn.dense1"), Step::Softmax]),
            ],
        },
        other => panic!("no network {other}"),
    }
}
