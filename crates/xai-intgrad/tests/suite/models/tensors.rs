//! The same networks on tensors in single precision.

use xai_candle::candle_core::{self, D, DType, Device, Module, Tensor};
use xai_candle::{
    CandleInput, CandleModel, Conv2d, Conv2dConfig, Linear, Pool2dConfig, candle_nn, max_pool2d,
    relu,
};

use super::{Staged, Step};

fn tensor(numbers: &[f64], shape: &[usize]) -> Tensor {
    let tensor = Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap();
    tensor.to_dtype(DType::F32).unwrap()
}

type Function = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync>;

/// A function of rows whose pixels stand in the order height, width, channels.
fn of_images(
    (height, width, channels): (usize, usize, usize),
    f: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
) -> Function {
    Box::new(move |x| {
        let images = x.reshape(((), height, width, channels))?.permute((0, 3, 1, 2))?;
        f(&images.contiguous()?)?.permute((0, 2, 3, 1))?.contiguous()?.flatten_from(1)
    })
}

fn function(step: &Step) -> Function {
    match step {
        Step::Dense { weight, bias } => {
            let weight = tensor(&weight.iter().copied().collect::<Vec<_>>(), weight.shape());
            let layer = Linear::new(&weight, Some(&tensor(bias, &[bias.len()]))).unwrap();
            Box::new(move |x| layer.forward(x))
        }
        Step::Conv { height, width, kernel, bias, n_in } => {
            let weight = tensor(kernel, &[bias.len(), *n_in, 3, 3]);
            let config = Conv2dConfig { padding: [1; 4], ..Conv2dConfig::default() };
            let bias = tensor(bias, &[bias.len()]);
            let layer = Conv2d::new(&weight, Some(&bias), config).unwrap();
            of_images((*height, *width, *n_in), move |x| layer.forward(x))
        }
        Step::MaxPool { height, width, channels } => {
            of_images((*height, *width, *channels), |x| max_pool2d(x, &Pool2dConfig::new([2, 2])))
        }
        Step::Relu => Box::new(relu),
        Step::Tanh => Box::new(|x| x.tanh()),
        Step::Sigmoid => Box::new(candle_nn::ops::sigmoid),
        Step::Softmax => Box::new(|x| candle_nn::ops::softmax(x, D::Minus1)),
    }
}

/// A network of this width with the same stages.
pub(crate) fn in_single_precision(network: &Staged, width: usize) -> CandleModel<'static> {
    let chain = CandleModel::chain([CandleInput::new([width])]);
    let stages = network.stages.iter().fold(chain, |chain, (name, steps)| {
        let functions: Vec<Function> = steps.iter().map(function).collect();
        let all = move |x: &Tensor| functions.iter().try_fold(x.clone(), |x, step| step(&x));
        chain.stage(name, candle_nn::func(all))
    });
    stages.build().unwrap()
}
