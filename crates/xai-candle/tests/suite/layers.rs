//! Layers with short backward passes, against loops that say what they compute, against candle's, and against
//! central differences.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the model itself is under test, and a test may panic"
)]

use ndarray::{Array2, Array4, s};
use xai_candle::candle_core::{DType, Device, Module, Result, Tensor, Var};
use xai_candle::{
    AvgPool2d, CandleInput, CandleModel, Conv2d, Conv2dConfig, Flatten, Layer, Linear, MaxPool2d,
    Pool2dConfig, Relu, avg_pool2d, by_candle, candle_nn, max_pool2d, relu,
};
use xai_core::{CentralDifference, Differentiable, Predictor, Seed, Stream};

/// Numbers between -1 and 1, no two alike.
fn numbers(shape: &[usize], stream: &mut Stream) -> Tensor {
    let n = shape.iter().product();
    let numbers: Vec<f64> = (0..n).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn images(tensor: &Tensor) -> Array4<f64> {
    let numbers = tensor.flatten_all().unwrap().to_vec1().unwrap();
    Array4::from_shape_vec(tensor.dims4().unwrap(), numbers).unwrap()
}

#[track_caller]
fn close(got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims());
    let got = got.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let expected = expected.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() <= tolerance * expected.abs().max(1.0), "{got}, {expected}");
    }
}

/// The gradient of random sums of the outputs agrees with central differences, whose truncation and rounding for
/// numbers near 1 are about 1e-10.
#[track_caller]
fn differentiates(shape: &[usize], module: impl Module + Send + Sync, stream: &mut Stream) {
    let input = CandleInput::new(&shape[1..]).with_dtype(DType::F64);
    let model = CandleModel::new(input, module).unwrap();
    let width = shape[1..].iter().product();
    let rows = Array2::from_shape_simple_fn((shape[0], width), || 2.0 * stream.uniform() - 1.0);
    let outputs = (shape[0], model.n_outputs());
    let cotangent = Array2::from_shape_simple_fn(outputs, || 2.0 * stream.uniform() - 1.0);
    let got = model.vjp(&rows, &cotangent).unwrap();
    let expected = CentralDifference::new(&model).vjp(&rows, &cotangent).unwrap();
    assert!(got.iter().any(|gradient| *gradient != 0.0));
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() <= 1e-7, "{got}, {expected}");
    }
}

struct Convolution {
    /// Rows, channels, height, width.
    image: [usize; 4],
    /// Outputs, height, width.
    kernel: [usize; 3],
    config: Conv2dConfig,
    has_bias: bool,
}

fn convolutions() -> Vec<Convolution> {
    let plain = Conv2dConfig::default();
    let case = |image, kernel, has_bias, config| Convolution { image, kernel, config, has_bias };
    vec![
        case([2, 3, 5, 6], [4, 3, 3], true, plain),
        case([3, 2, 6, 5], [3, 2, 3], false, Conv2dConfig { padding: [1; 4], ..plain }),
        case(
            [2, 2, 7, 7],
            [3, 3, 3],
            true,
            Conv2dConfig { stride: [2, 2], padding: [1; 4], ..plain },
        ),
        case([1, 2, 7, 6], [2, 3, 2], true, Conv2dConfig { stride: [3, 2], ..plain }),
        case([2, 1, 5, 5], [2, 4, 4], true, Conv2dConfig { padding: [1, 2, 2, 1], ..plain }),
        case(
            [1, 2, 8, 8],
            [2, 3, 3],
            false,
            Conv2dConfig { dilation: [2, 2], padding: [2; 4], ..plain },
        ),
        case(
            [1, 1, 9, 4],
            [2, 3, 2],
            true,
            Conv2dConfig { dilation: [3, 1], stride: [1, 2], ..plain },
        ),
        case([2, 4, 5, 5], [6, 3, 3], true, Conv2dConfig { groups: 2, padding: [1; 4], ..plain }),
        case([2, 3, 4, 5], [3, 2, 2], true, Conv2dConfig { groups: 3, ..plain }),
        case([2, 3, 4, 5], [5, 1, 1], true, plain),
        case([2, 4, 3, 3], [4, 1, 1], false, Conv2dConfig { groups: 2, ..plain }),
        case([1, 1, 2, 2], [1, 3, 3], true, Conv2dConfig { padding: [3, 0, 0, 3], ..plain }),
    ]
}

impl Convolution {
    fn weights(&self, stream: &mut Stream) -> (Tensor, Option<Tensor>) {
        let [outputs, height, width] = self.kernel;
        let shape = [outputs, self.image[1] / self.config.groups, height, width];
        let weight = numbers(&shape, stream);
        (weight, self.has_bias.then(|| numbers(&[outputs], stream)))
    }

    /// The definition: a sum over channels and positions, reading zero outside the image.
    fn by_definition(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (x, weight) = (images(x), images(weight));
        let bias = bias.map(|bias| bias.to_vec1::<f64>().unwrap());
        let Conv2dConfig { stride, padding: [top, left, bottom, right], dilation, groups } =
            self.config;
        let (n, channels, height, width) = x.dim();
        let (outputs, depth, kernel_height, kernel_width) = weight.dim();
        let out_height =
            (height + top + bottom - dilation[0] * (kernel_height - 1) - 1) / stride[0] + 1;
        let out_width =
            (width + left + right - dilation[1] * (kernel_width - 1) - 1) / stride[1] + 1;
        let mut padded = Array4::zeros((n, channels, height + top + bottom, width + left + right));
        padded.slice_mut(s![.., .., top..top + height, left..left + width]).assign(&x);
        let out = Array4::from_shape_fn((n, outputs, out_height, out_width), |(i, o, y, x)| {
            let first = o / (outputs / groups) * depth;
            let mut sum = bias.as_ref().map_or(0.0, |bias| bias[o]);
            for ((c, ky, kx), w) in weight.slice(s![o, .., .., ..]).indexed_iter() {
                let line = y * stride[0] + ky * dilation[0];
                sum += w * padded[[i, first + c, line, x * stride[1] + kx * dilation[1]]];
            }
            sum
        });
        let shape = out.dim();
        Tensor::from_vec(out.into_raw_vec_and_offset().0, shape, &Device::Cpu).unwrap()
    }
}

#[test]
fn convolutions_are_what_they_are_defined_to_be() {
    let mut stream = Seed::new(1).stream();
    for case in convolutions() {
        let (weight, bias) = case.weights(&mut stream);
        let x = numbers(&case.image, &mut stream);
        let layer = Conv2d::new(&weight, bias.as_ref(), case.config).unwrap();
        let expected = case.by_definition(&x, &weight, bias.as_ref());
        // At most 36 products of numbers below 1, each rounded twice.
        close(&Module::forward(&layer, &x).unwrap(), &expected, 72.0 * f64::EPSILON);
    }
}

#[test]
fn convolutions_agree_with_candle_where_it_has_them() {
    let mut stream = Seed::new(2).stream();
    let mut n_compared = 0;
    for case in convolutions() {
        let Conv2dConfig { stride, padding, dilation, groups } = case.config;
        let alike = padding.iter().all(|cells| *cells == padding[0]);
        if stride[0] != stride[1] || dilation[0] != dilation[1] || !alike {
            continue;
        }
        n_compared += 1;
        let (weight, _) = case.weights(&mut stream);
        let x = numbers(&case.image, &mut stream);
        let x = variable(&x);
        let layer = Conv2d::new(&weight, None, case.config).unwrap();
        let ours = Module::forward(&layer, &x).unwrap();
        let theirs = x.conv2d(&weight, padding[0], stride[0], dilation[0], groups).unwrap();
        close(&ours, &theirs, 72.0 * f64::EPSILON);
        let cotangent = numbers(ours.dims(), &mut stream);
        let gradient = |out: &Tensor| {
            let sum = (out * &cotangent).unwrap().sum_all().unwrap();
            sum.backward().unwrap().get(&x).unwrap().clone()
        };
        close(&gradient(&ours), &gradient(&theirs), 72.0 * f64::EPSILON);
    }
    assert!(n_compared >= 7);
}

fn variable(x: &Tensor) -> Tensor {
    Var::from_tensor(x).unwrap().into_inner()
}

#[test]
fn gradients_of_convolutions_are_those_of_central_differences() {
    let mut stream = Seed::new(3).stream();
    for case in convolutions() {
        let (weight, bias) = case.weights(&mut stream);
        let layer = Conv2d::new(&weight, bias.as_ref(), case.config).unwrap();
        differentiates(&case.image, layer, &mut stream);
    }
}

/// The layer's backward pass gives the bits of candle's.
#[track_caller]
fn goes_back_as_candle_does(
    layer: &impl Layer,
    f: impl Fn(&Tensor) -> Result<Tensor>,
    shape: &[usize],
    stream: &mut Stream,
) {
    let x = variable(&numbers(shape, stream));
    let expected = f(&x).unwrap();
    let (out, back) = layer.trace(&x).unwrap();
    close(&out, &expected, 0.0);
    close(&layer.forward(&x).unwrap(), &expected, 0.0);
    let cotangent = numbers(out.dims(), stream);
    let gradients = (&expected * &cotangent).unwrap().sum_all().unwrap().backward().unwrap();
    close(&back(cotangent).unwrap(), gradients.get(&x).unwrap(), 0.0);
}

#[test]
fn layers_go_back_as_candle_does() {
    let mut stream = Seed::new(8).stream();
    for case in convolutions() {
        let (weight, bias) = case.weights(&mut stream);
        let layer = Conv2d::new(&weight, bias.as_ref(), case.config).unwrap();
        let f = |x: &Tensor| Module::forward(&layer, x);
        goes_back_as_candle_does(&layer, f, &case.image, &mut stream);
    }
    for (image, config) in pools() {
        let largest = MaxPool2d::new(&config).unwrap();
        let f = |x: &Tensor| max_pool2d(x, &config);
        goes_back_as_candle_does(&largest, f, &image, &mut stream);
        let mean = AvgPool2d::new(&config).unwrap();
        goes_back_as_candle_does(&mean, |x| avg_pool2d(x, &config), &image, &mut stream);
    }
    let layer = Linear::new(&numbers(&[3, 5], &mut stream), None).unwrap();
    let f = |x: &Tensor| Module::forward(&layer, x);
    goes_back_as_candle_does(&layer, f, &[4, 2, 5], &mut stream);
    goes_back_as_candle_does(&Relu, relu, &[4, 5], &mut stream);
    goes_back_as_candle_does(&Flatten, |x| x.flatten_from(1), &[4, 5, 2], &mut stream);
    let wave = by_candle(candle_nn::func(|x| x.sin()));
    goes_back_as_candle_does(&wave, |x| x.sin(), &[4, 5], &mut stream);
}

fn pools() -> Vec<([usize; 4], Pool2dConfig)> {
    let pool = Pool2dConfig::new;
    vec![
        ([2, 3, 4, 6], pool([2, 2])),
        ([2, 2, 5, 7], pool([2, 3])),
        ([1, 2, 7, 7], Pool2dConfig { stride: [2, 2], ..pool([3, 3]) }),
        ([2, 2, 6, 6], Pool2dConfig { stride: [1, 1], padding: [1; 4], ..pool([3, 3]) }),
        ([1, 2, 6, 5], Pool2dConfig { stride: [2, 1], padding: [1, 0, 0, 1], ..pool([3, 2]) }),
        ([1, 2, 6, 6], Pool2dConfig { ceil_mode: true, ..pool([4, 4]) }),
        (
            [1, 1, 7, 7],
            Pool2dConfig { stride: [2, 2], padding: [1; 4], ceil_mode: true, ..pool([2, 2]) },
        ),
        ([1, 1, 8, 8], Pool2dConfig { dilation: [2, 2], stride: [1, 1], ..pool([3, 3]) }),
    ]
}

/// The definition, with the number of cells that an average divides by.
fn pool_by_definition(
    x: &Tensor,
    config: &Pool2dConfig,
    fold: impl Fn(&[f64], usize) -> f64,
) -> Vec<f64> {
    let x = images(x);
    let (n, channels, height, width) = x.dim();
    let [top, left, bottom, right] = config.padding;
    let mut pooled = Vec::new();
    let starts = |image: usize, before: usize, after: usize, axis: usize| {
        let span = config.dilation[axis] * (config.kernel[axis] - 1) + 1;
        let mut starts = Vec::new();
        let mut start = 0;
        // A window counts while it fits the padded image; with the ceil mode, while it starts before the image ends.
        while start + span <= image + before + after || (config.ceil_mode && start < image + before)
        {
            // One that only begins where the last full one ended.
            starts.push(start);
            start += config.stride[axis];
            let reached = starts.last().unwrap() + span >= image + before + after;
            if reached {
                break;
            }
        }
        starts
    };
    for (i, c) in (0..n).flat_map(|i| (0..channels).map(move |c| (i, c))) {
        for y in starts(height, top, bottom, 0) {
            for x_start in starts(width, left, right, 1) {
                let (mut cells, mut n_padded) = (Vec::new(), 0);
                for ky in 0..config.kernel[0] {
                    for kx in 0..config.kernel[1] {
                        let line = y + ky * config.dilation[0];
                        let column = x_start + kx * config.dilation[1];
                        let is_inside = (top..top + height).contains(&line)
                            && (left..left + width).contains(&column);
                        if is_inside {
                            cells.push(x[[i, c, line - top, column - left]]);
                        }
                        n_padded += usize::from(
                            line < top + height + bottom && column < left + width + right,
                        );
                    }
                }
                pooled.push(fold(&cells, n_padded));
            }
        }
    }
    pooled
}

#[test]
fn pooling_is_what_it_is_defined_to_be() {
    let mut stream = Seed::new(4).stream();
    #[track_caller]
    fn check(got: &Tensor, expected: &[f64]) {
        let got = got.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            // A sum of at most 16 numbers below 1 and a quotient.
            assert!((got - expected).abs() <= 17.0 * f64::EPSILON, "{got}, {expected}");
        }
    }
    for (shape, config) in pools() {
        let x = numbers(&shape, &mut stream);
        let largest = |cells: &[f64], _| cells.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        check(&max_pool2d(&x, &config).unwrap(), &pool_by_definition(&x, &config, largest));
        let mean = |cells: &[f64], _| cells.iter().sum::<f64>() / cells.len() as f64;
        check(&avg_pool2d(&x, &config).unwrap(), &pool_by_definition(&x, &config, mean));
        let config = Pool2dConfig { count_include_pad: true, ..config };
        let mean = |cells: &[f64], n: usize| cells.iter().sum::<f64>() / n as f64;
        check(&avg_pool2d(&x, &config).unwrap(), &pool_by_definition(&x, &config, mean));
    }
}

#[test]
fn gradients_of_pooling_are_those_of_central_differences() {
    let mut stream = Seed::new(5).stream();
    for (shape, config) in pools() {
        differentiates(&shape, move |x: &Tensor| max_pool2d(x, &config), &mut stream);
        differentiates(&shape, move |x: &Tensor| avg_pool2d(x, &config), &mut stream);
        let config = Pool2dConfig { count_include_pad: true, ..config };
        differentiates(&shape, move |x: &Tensor| avg_pool2d(x, &config), &mut stream);
    }
}

#[test]
fn the_first_of_equal_cells_takes_the_gradient() {
    let input = CandleInput::new([1, 2, 2]);
    let pool = |x: &Tensor| max_pool2d(x, &Pool2dConfig::new([2, 2]));
    let model = CandleModel::new(input, pool).unwrap();
    let rows = ndarray::array![[1.0, 3.0, 3.0, 3.0]];
    let gradient = model.vjp(&rows, &ndarray::array![[2.0]]).unwrap();
    assert_eq!(gradient, ndarray::array![[0.0, 2.0, 0.0, 0.0]]);
}

#[test]
fn dense_layers_agree_with_candle_and_with_central_differences() {
    let mut stream = Seed::new(6).stream();
    let (weight, bias) = (numbers(&[4, 5], &mut stream), numbers(&[4], &mut stream));
    for (shape, bias) in
        [(vec![3, 5], Some(&bias)), (vec![2, 3, 5], None), (vec![1, 5], Some(&bias))]
    {
        let x = numbers(&shape, &mut stream);
        let ours = Linear::new(&weight, bias).unwrap();
        let theirs = candle_nn::Linear::new(weight.clone(), bias.cloned());
        let (got, expected) = (ours.forward(&x).unwrap(), theirs.forward(&x).unwrap());
        close(&got, &expected, 12.0 * f64::EPSILON);
        differentiates(&shape, ours, &mut stream);
    }
}

#[test]
fn the_rectifier_has_no_gradient_at_zero() {
    let model = CandleModel::new(CandleInput::new([4]), relu).unwrap();
    let rows = ndarray::array![[-1.0, 0.0, 2.0, f64::NAN]];
    let outputs = model.predict(&rows).unwrap();
    assert_eq!(outputs.slice(s![0, ..3]).to_vec(), [0.0, 0.0, 2.0]);
    assert!(outputs[[0, 3]].is_nan());
    let gradient = model.vjp(&rows, &Array2::ones((1, 4))).unwrap();
    assert_eq!(gradient, ndarray::array![[0.0, 0.0, 1.0, 0.0]]);
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    #[track_caller]
    fn refused<T>(result: Result<T>, part: &str) {
        let message = result.err().unwrap().to_string();
        assert!(message.contains(part), "{message}");
    }
    let device = &Device::Cpu;
    let weight = Tensor::zeros((4, 2, 3, 3), DType::F32, device).unwrap();
    let integers = Tensor::zeros((4, 2, 3, 3), DType::U32, device).unwrap();
    let config = Conv2dConfig::default();
    let other = |groups, stride| Conv2dConfig { groups, stride: [stride; 2], ..config };
    refused(Conv2d::new(&weight, None, other(3, 1)), "divide the 4 outputs");
    refused(Conv2d::new(&weight, None, other(0, 1)), "divide the 4 outputs");
    refused(Conv2d::new(&weight, None, other(1, 0)), "stride must be at least 1");
    refused(Conv2d::new(&integers, None, config), "f32 or f64");
    let none = Tensor::zeros((4, 0, 3, 3), DType::F32, device).unwrap();
    refused(Conv2d::new(&none, None, config), "needs weights");
    let bias = Tensor::zeros(3, DType::F32, device).unwrap();
    refused(Conv2d::new(&weight, Some(&bias), config), "4 numbers");
    let layer = Conv2d::new(&weight, None, config).unwrap();
    let image =
        |channels, size| Tensor::zeros((1, channels, size, size), DType::F32, device).unwrap();
    refused(layer.forward(&image(3, 5)), "(rows, 2, height, width)");
    refused(layer.forward(&image(2, 2)), "does not fit");
    let padded = Conv2d::new(&weight, None, Conv2dConfig { padding: [2; 4], ..config }).unwrap();
    refused(padded.forward(&image(2, 0)), "does not fit");
    refused(max_pool2d(&image(2, 0), &Pool2dConfig::new([2, 2])), "does not fit");
    let double = image(2, 5).to_dtype(DType::F64).unwrap();
    assert!(layer.forward(&double).is_err());
    let pool = Pool2dConfig { padding: [2, 0, 0, 0], ..Pool2dConfig::new([2, 2]) };
    refused(max_pool2d(&image(1, 4), &pool), "padding must be less");
    refused(
        max_pool2d(&weight.flatten_all().unwrap(), &Pool2dConfig::new([2, 2])),
        "pooling takes",
    );
    let dense = Linear::new(&Tensor::zeros((2, 3), DType::F32, device).unwrap(), None).unwrap();
    refused(dense.forward(&Tensor::zeros((1, 4), DType::F32, device).unwrap()), "takes 3 numbers");
}
