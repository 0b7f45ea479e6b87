//! Models of candle as predictors with gradients: closed forms, inputs, cuts, paths, and bits.

#![allow(
    clippy::disallowed_methods,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "the model itself is under test, bits are compared, and a test may panic"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::device::devices;
use ndarray::{Array2, Axis, array, s};
use xai_candle::candle_core::{DType, Device, Module, Result, Tensor, Var};
use xai_candle::{CandleError, CandleInput, CandleModel, Linear, candle_nn, relu};
use xai_core::{
    BoxError, Differentiable, Error, ModelKind, ModelRef, Paths, Predictor, Rows, Seed, Side,
    Split, Stream,
};

fn double(shape: &[usize]) -> CandleInput {
    CandleInput::new(shape).with_dtype(DType::F64)
}

fn matrix(shape: (usize, usize), stream: &mut Stream) -> Array2<f64> {
    Array2::from_shape_simple_fn(shape, || 2.0 * stream.uniform() - 1.0)
}

fn tensor(matrix: &Array2<f64>, device: &Device) -> Tensor {
    Tensor::from_vec(matrix.iter().copied().collect(), matrix.dim(), device).unwrap()
}

#[track_caller]
fn close(got: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), expected.dim());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got}, {expected}");
    }
}

/// `f(x) = x^T A x + B x`, one quadratic form for each output.
#[test]
fn gradients_of_quadratic_forms_have_their_closed_form() {
    let mut stream = Seed::new(1).stream();
    let (a, b) = (matrix((4, 4), &mut stream), matrix((3, 4), &mut stream));
    let (rows, cotangent) = (matrix((7, 4), &mut stream), matrix((7, 3), &mut stream));
    for device in devices() {
        let (a_tensor, b_tensor) = (tensor(&a, &device), tensor(&b, &device));
        let form = |x: &Tensor| {
            let square = (x.matmul(&a_tensor)? * x)?.sum_keepdim(1)?;
            x.matmul(&b_tensor.t()?)?.broadcast_add(&square)
        };
        let model =
            CandleModel::chain([double(&[4])]).stage("form", form).on(&device).build().unwrap();
        let squares = (&rows.dot(&a) * &rows).sum_axis(Axis(1)).insert_axis(Axis(1));
        close(&model.predict(&rows).unwrap(), &(&squares + &rows.dot(&b.t())), 1e-12);
        let sums = cotangent.sum_axis(Axis(1)).insert_axis(Axis(1));
        let expected = cotangent.dot(&b) + &rows.dot(&(&a + &a.t())) * &sums;
        close(&model.vjp(&rows, &cotangent).unwrap(), &expected, 1e-12);
    }
}

#[test]
fn a_linear_model_in_single_precision_is_exact_on_small_integers() {
    let weight = Tensor::new(&[[1.0_f32, -2.0], [3.0, 4.0], [0.0, 1.0]], &Device::Cpu).unwrap();
    let bias = Tensor::new(&[10.0_f32, 20.0, 30.0], &Device::Cpu).unwrap();
    let layer = Linear::new(&weight, Some(&bias)).unwrap();
    let model = CandleModel::new(CandleInput::new([2]), layer).unwrap();
    let rows = array![[1.0, 2.0], [-3.0, 5.0]];
    assert_eq!(model.predict(&rows).unwrap(), array![[7.0, 31.0, 32.0], [-3.0, 31.0, 35.0]]);
    let cotangent = array![[1.0, 0.0, 0.0], [1.0, 1.0, 2.0]];
    assert_eq!(model.vjp(&rows, &cotangent).unwrap(), array![[1.0, -2.0], [4.0, 4.0]]);
    assert_eq!((model.n_features(), model.n_outputs()), (Some(2), 3));
}

#[test]
fn inputs_are_blocks_of_columns_and_masks_have_no_gradient() {
    // Rows are a (1, 2) image, a mask of two cells, an index, and a factor.
    let inputs = [
        double(&[1, 2]),
        double(&[2]).without_gradient(),
        CandleInput::new([]).with_dtype(DType::U32),
        double(&[1]),
    ];
    let table = Tensor::new(&[5.0_f64, 7.0, 11.0], &Device::Cpu).unwrap();
    let model = CandleModel::of_inputs(inputs, |tensors| {
        let [image, mask, index, factor] = tensors else { unreachable!("four inputs") };
        assert_eq!(image.dims()[1..], [1, 2]);
        assert_eq!(index.dims().len(), 1);
        let picked = table.index_select(index, 0)?.unsqueeze(1)?;
        image.squeeze(1)?.mul(mask)?.broadcast_mul(factor)?.broadcast_mul(&picked)
    });
    let model = model.unwrap();
    let rows = array![[2.0, 3.0, 1.0, 0.0, 2.0, 0.5], [2.0, 3.0, 1.0, 1.0, 0.0, 4.0]];
    assert_eq!(model.predict(&rows).unwrap(), array![[11.0, 0.0], [40.0, 60.0]]);
    let gradient = model.vjp(&rows, &array![[1.0, 1.0], [1.0, 0.0]]).unwrap();
    let expected = array![[5.5, 0.0, 0.0, 0.0, 0.0, 22.0], [20.0, 0.0, 0.0, 0.0, 0.0, 10.0]];
    assert_eq!(gradient, expected);
    // Points between the ends of a path keep the index, which stays.
    let paths = Paths {
        from: &(rows.clone() - array![1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
        to: &rows,
        alphas: &[0.0, 1.0],
        weights: &[1.0, 1.0],
        cotangent: &array![[1.0, 1.0], [1.0, 0.0]],
    };
    let sums = model.path_vjp(&paths, 3).unwrap();
    assert_eq!(sums.column(0).to_vec(), [11.0, 40.0]);
}

#[test]
fn a_model_is_taken_with_its_gradients() {
    let model = CandleModel::new(double(&[2]), |x: &Tensor| x.sqr()).unwrap();
    assert_eq!(ModelRef::from(&model).kind(), ModelKind::WhiteBox);
    let gradients = model.differentiable().unwrap();
    assert_eq!(
        gradients.vjp(&array![[3.0, -1.0]], &array![[1.0, 1.0]]).unwrap(),
        array![[6.0, -2.0]]
    );
    // What the numbers mean is for the user to say.
    assert_eq!((model.output(), model.class_names()), (None, None));
}

#[test]
fn outputs_of_any_rank_are_flattened_and_several_stand_side_by_side() {
    let outer = |x: &Tensor| x.unsqueeze(2)?.matmul(&x.unsqueeze(1)?);
    let model = CandleModel::new(double(&[2]), outer).unwrap();
    let rows = array![[2.0, 3.0]];
    assert_eq!(model.predict(&rows).unwrap(), array![[4.0, 6.0, 6.0, 9.0]]);
    let gradient = model.vjp(&rows, &array![[0.0, 1.0, 0.0, 0.0]]).unwrap();
    assert_eq!(gradient, array![[3.0, 2.0]]);

    let both = |x: &[Tensor]| Ok(vec![x[0].sum(1)?, x[0].sqr()?, x[0].argmax(1)?]);
    let model = CandleModel::chain([double(&[2])]).join("both", both).build().unwrap();
    assert_eq!(model.predict(&rows).unwrap(), array![[5.0, 4.0, 9.0, 1.0]]);
    let gradient = model.vjp(&rows, &array![[1.0, 10.0, 0.0, 5.0]]).unwrap();
    assert_eq!(gradient, array![[41.0, 1.0]]);
}

#[test]
fn an_output_that_ignores_the_input_has_a_gradient_of_zero() {
    let constant = |x: &Tensor| Tensor::ones((x.dims()[0], 1), DType::F64, x.device());
    let model = CandleModel::new(double(&[2]), constant).unwrap();
    assert_eq!(model.vjp(&array![[1.0, 2.0]], &array![[1.0]]).unwrap(), array![[0.0, 0.0]]);
}

#[test]
fn variables_as_weights_give_the_same_gradients() {
    let weights = array![[1.0, -2.0, 0.5], [0.25, 4.0, -1.0]];
    let plain = tensor(&weights, &Device::Cpu);
    let variable = Var::from_tensor(&plain).unwrap();
    let rows = array![[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]];
    let cotangent = array![[1.0, 2.0], [3.0, -1.0]];
    let expected = cotangent.dot(&weights);
    for weight in [&plain, variable.as_tensor()] {
        let ours = Linear::new(weight, None).unwrap();
        // The layer holds constants: a variable behind it is not part of the backward pass.
        let input = Var::from_tensor(&tensor(&rows, &Device::Cpu)).unwrap();
        let gradients = ours.forward(&input).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(gradients.get(weight).is_none() && gradients.get(&input).is_some());
        let theirs = candle_nn::Linear::new(weight.clone(), None);
        let model = CandleModel::new(double(&[3]), ours).unwrap();
        assert_eq!(model.vjp(&rows, &cotangent).unwrap(), expected);
        let model = CandleModel::new(double(&[3]), theirs).unwrap();
        assert_eq!(model.vjp(&rows, &cotangent).unwrap(), expected);
    }
}

/// Three dense layers with a rectifier, by our layers or by candle's.
fn network<'m>(ours: bool, stream: &mut Stream) -> [Box<dyn Module + Send + Sync + 'm>; 3] {
    [(20, 37), (37, 19), (19, 3)].map(|(inputs, outputs)| {
        let weight = tensor(&matrix((outputs, inputs), stream), &Device::Cpu);
        let bias = tensor(&matrix((1, outputs), stream), &Device::Cpu).squeeze(0).unwrap();
        if ours {
            let layer = Linear::new(&weight, Some(&bias)).unwrap();
            Box::new(move |x: &Tensor| relu(&layer.forward(x)?)) as Box<dyn Module + Send + Sync>
        } else {
            let layer = candle_nn::Linear::new(weight, Some(bias));
            Box::new(move |x: &Tensor| layer.forward(x)?.relu())
        }
    })
}

struct Layer<'m>(Box<dyn Module + Send + Sync + 'm>);

impl Module for Layer<'_> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

fn chain<'m>(ours: bool, seed: u64) -> xai_candle::CandleChain<'m> {
    let layers = network(ours, &mut Seed::new(seed).stream());
    let chain = CandleModel::chain([double(&[20])]);
    ["first", "second", "third"]
        .iter()
        .zip(layers)
        .fold(chain, |chain, (name, layer)| chain.stage(name, Layer(layer)))
}

/// Outputs and gradients of all rows, in batches of a size.
fn in_batches(model: &CandleModel<'_>, rows: &Rows, size: usize) -> Vec<u64> {
    let cotangent = Array2::from_shape_fn((rows.nrows(), 3), |(i, k)| (i + 2 * k) as f64 - 3.0);
    let mut bits = Vec::new();
    for first in (0..rows.nrows()).step_by(size) {
        let batch = rows.slice(s![first..(first + size).min(rows.nrows()), ..]);
        let cotangent = cotangent.slice(s![first..(first + size).min(rows.nrows()), ..]);
        let outputs = model.predict(&batch).unwrap();
        let gradients = model.vjp(&batch, &cotangent).unwrap();
        for (outputs, gradients) in outputs.rows().into_iter().zip(gradients.rows()) {
            bits.extend(outputs.iter().chain(gradients).map(|number| number.to_bits()));
        }
    }
    bits
}

fn largest_difference(left: &[u64], right: &[u64]) -> f64 {
    let pairs = left.iter().zip(right).map(|(a, b)| (f64::from_bits(*a), f64::from_bits(*b)));
    pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn a_row_has_the_same_bits_in_every_batch_and_at_any_number_of_threads() {
    let rows = matrix((100, 20), &mut Seed::new(7).stream());
    let fixed = chain(false, 3).fixed_batch(16).build().unwrap();
    for model in [chain(true, 3).build().unwrap(), fixed] {
        let alone = in_batches(&model, &rows, 1);
        for (size, threads) in [(7, 1), (7, 2), (100, 1), (100, 2), (33, 2)] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| in_batches(&model, &rows, size)) == alone, "{size}, {threads}");
        }
    }
    // Candle's products sum in an order that depends on the batch: sums of at most 37 terms below 40, a few roundings.
    let model = chain(false, 3).build().unwrap();
    let alone = in_batches(&model, &rows, 1);
    for size in [7, 100] {
        assert!(largest_difference(&in_batches(&model, &rows, size), &alone) <= 1e-12);
    }
}

#[test]
fn models_are_asked_in_parts_of_the_size_they_want() {
    let (largest, fewest) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let watch = |x: &Tensor| {
        largest.fetch_max(x.dims()[0], Ordering::Relaxed);
        fewest.fetch_min(x.dims()[0], Ordering::Relaxed);
        Ok(x.clone())
    };
    let rows = Array2::from_shape_fn((10, 1), |(i, _)| i as f64);
    let chain = || CandleModel::chain([double(&[1])]).stage("watch", watch);
    let model = chain().rows_at_once(4).max_batch(5).build().unwrap();
    assert_eq!(model.max_batch(), 5);
    assert_eq!(model.predict(&rows).unwrap(), rows);
    assert_eq!(largest.load(Ordering::Relaxed), 4);
    largest.store(0, Ordering::Relaxed);
    fewest.store(usize::MAX, Ordering::Relaxed);
    let model = chain().fixed_batch(4).build().unwrap();
    assert_eq!(model.predict(&rows).unwrap(), rows);
    assert_eq!(model.vjp(&rows, &rows).unwrap(), rows);
    assert_eq!((largest.load(Ordering::Relaxed), fewest.load(Ordering::Relaxed)), (4, 4));
    let none = Array2::zeros((0, 1));
    assert_eq!(model.predict(&none).unwrap().dim(), (0, 1));
    assert_eq!(model.vjp(&none, &none).unwrap().dim(), (0, 1));
}

#[test]
fn values_and_gradients_come_from_one_pass_each() {
    let (forwards, n_rows) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let square = |x: &Tensor| {
        forwards.fetch_add(1, Ordering::Relaxed);
        n_rows.fetch_add(x.dims()[0], Ordering::Relaxed);
        x.sqr()
    };
    let rows = matrix((10, 2), &mut Seed::new(4).stream());
    let chain = || CandleModel::chain([double(&[2])]).stage("square", square);
    let free = chain().rows_at_once(4).build().unwrap();
    let fixed = chain().fixed_batch(4).build().unwrap();
    for (model, rows_seen) in [(free, 10), (fixed, 12)] {
        forwards.store(0, Ordering::Relaxed);
        n_rows.store(0, Ordering::Relaxed);
        // Rows after the fifth have no cotangent.
        let mut along = |outputs: &Rows| {
            let wants = |(i, _): (usize, usize)| f64::from(u8::from(i < 5));
            Array2::from_shape_fn(outputs.dim(), wants) * outputs
        };
        let (values, gradients) = model.value_and_vjp(&rows, &mut along).unwrap();
        assert_eq!(forwards.load(Ordering::Relaxed), 3);
        assert_eq!(n_rows.load(Ordering::Relaxed), rows_seen);
        assert_eq!(values, rows.mapv(|x| x * x));
        for ((i, j), &gradient) in gradients.indexed_iter() {
            let x = rows[[i, j]];
            let expected = if i < 5 { 2.0 * x * x * x } else { 0.0 };
            // Three products, each rounded once, in two orders.
            assert!((gradient - expected).abs() <= 4.0 * f64::EPSILON * expected.abs());
        }
    }
}

/// The shapes of a layer's tensors.
fn shapes(model: &CandleModel<'_>, stage: &str, side: Side) -> Vec<Vec<usize>> {
    let layer = model.layer(stage, side).unwrap();
    layer.iter().map(|tensor| tensor.shape().to_vec()).collect()
}

#[test]
fn a_cut_model_is_the_model() {
    let mut stream = Seed::new(5).stream();
    let (rows, cotangent) = (matrix((9, 20), &mut stream), matrix((9, 3), &mut stream));
    let model = chain(true, 11).build().unwrap();
    let outputs = model.predict(&rows).unwrap();
    let gradient = model.vjp(&rows, &cotangent).unwrap();
    let widths = [
        ("first", Side::Before, 20),
        ("first", Side::After, 37),
        ("second", Side::Before, 37),
        ("third", Side::After, 3),
    ];
    for (name, side, width) in widths {
        let Split { body, head } = model.split_at(name, side).unwrap();
        let layer = body.predict(&rows).unwrap();
        assert_eq!(layer.ncols(), width);
        assert_eq!(shapes(&model, name, side), [[width]]);
        assert_eq!(head.predict(&layer).unwrap(), outputs);
        // The chain rule, through the stages in front of the cut.
        let at_layer = head.vjp(&layer, &cotangent).unwrap();
        let front = chain(true, 11).build().unwrap();
        let front = front.split_at("third", Side::After).unwrap();
        assert_eq!(front.body.predict(&rows).unwrap(), outputs);
        assert_eq!(at_layer.ncols(), width);
        if width == 20 {
            assert_eq!(at_layer, gradient);
        }
    }
    assert!(model.split_at("fourth", Side::Before).is_none());
    assert!(model.layer("fourth", Side::Before).is_none());
}

#[test]
fn gradients_at_a_layer_chain_to_those_of_the_model() {
    let split = |x: &[Tensor]| Ok(vec![x[0].narrow(1, 0, 2)?.reshape(((), 2, 1))?, x[0].exp()?]);
    let join = |x: &[Tensor]| Ok(vec![x[0].squeeze(2)?.mul(&x[1].narrow(1, 1, 2)?)?]);
    let model = CandleModel::chain([double(&[3])]).join("split", split).join("join", join);
    let model = model.build().unwrap();
    assert_eq!(shapes(&model, "join", Side::Before), [vec![2, 1], vec![3]]);
    let (x, cotangent) = (array![[0.5, -1.0, 2.0]], array![[1.0, 3.0]]);
    let Split { body, head } = model.split_at("join", Side::Before).unwrap();
    let layer = body.predict(&x).unwrap();
    close(&layer, &array![[0.5, -1.0, 0.5_f64.exp(), (-1.0_f64).exp(), 2.0_f64.exp()]], 1e-15);
    let g = head.vjp(&layer, &cotangent).unwrap();
    let expected = array![[(-1.0_f64).exp(), 3.0 * 2.0_f64.exp(), 0.0, 0.5, -3.0]];
    close(&g, &expected, 1e-14);
    let chained = array![[
        g[[0, 0]] + g[[0, 2]] * layer[[0, 2]],
        g[[0, 1]] + g[[0, 3]] * layer[[0, 3]],
        g[[0, 4]] * layer[[0, 4]]
    ]];
    close(&model.vjp(&x, &cotangent).unwrap(), &chained, 1e-14);
}

#[test]
fn sums_along_paths_are_those_of_single_gradients() {
    let mut stream = Seed::new(9).stream();
    let (from, to) = (matrix((5, 20), &mut stream), matrix((5, 20), &mut stream));
    let cotangent = matrix((5, 3), &mut stream);
    let (alphas, weights) = ([0.0, 0.25, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4]);
    let paths =
        Paths { from: &from, to: &to, alphas: &alphas, weights: &weights, cotangent: &cotangent };
    let model = chain(true, 13).build().unwrap();
    let mut expected = Array2::<f64>::zeros((5, 20));
    for (alpha, weight) in alphas.iter().zip(weights) {
        let points = &from + &((&to - &from) * *alpha);
        expected.scaled_add(weight, &model.vjp(&points, &cotangent).unwrap());
    }
    let sums = model.path_vjp(&paths, 1).unwrap();
    close(&sums, &expected, 1e-12);
    // The blocks do not show.
    for max_points in [3, 7, 1000] {
        assert_eq!(model.path_vjp(&paths, max_points).unwrap(), sums);
    }
    let (row, ends) = (from.slice(s![3..4, ..]), to.slice(s![3..4, ..]));
    let cotangent = cotangent.slice(s![3..4, ..]);
    let paths =
        Paths { from: &row, to: &ends, alphas: &alphas, weights: &weights, cotangent: &cotangent };
    assert_eq!(model.path_vjp(&paths, 9).unwrap().row(0), sums.row(3));
}

#[track_caller]
fn refused<T>(result: std::result::Result<T, BoxError>, part: &str) {
    let mut error: &dyn std::error::Error = &*result.err().unwrap();
    let mut message = error.to_string();
    while let Some(source) = error.source() {
        message = format!("{message}: {source}");
        error = source;
    }
    assert!(message.contains(part), "{message}");
}

#[test]
fn what_does_not_fit_is_refused_before_the_model_is_called() {
    let calls = AtomicUsize::new(0);
    let count = |x: &Tensor| {
        calls.fetch_add(1, Ordering::Relaxed);
        Ok(x.clone())
    };
    let model = CandleModel::new(double(&[3]), count).unwrap();
    let calls_to_build = calls.load(Ordering::Relaxed);
    let (good, wide) = (Array2::<f64>::zeros((2, 3)), Array2::<f64>::zeros((2, 4)));
    refused(model.predict(&wide), "a batch must have shape [2, 3], got [2, 4]");
    refused(model.vjp(&wide, &good), "a batch must have shape [2, 3], got [2, 4]");
    refused(model.vjp(&good, &wide), "cotangents must have shape [2, 3], got [2, 4]");
    let paths = Paths { from: &good, to: &wide, alphas: &[1.0], weights: &[1.0], cotangent: &good };
    refused(model.path_vjp(&paths, 4), "the ends of the paths");
    assert_eq!(calls.load(Ordering::Relaxed), calls_to_build);

    let index = CandleInput::new([2]).with_dtype(DType::U8);
    let model = CandleModel::of_inputs([double(&[1]), index], |x| Ok(x[0].clone())).unwrap();
    for bad in [0.5, -1.0, 256.0, f64::NAN] {
        let rows = array![[0.0, 1.0, 2.0], [0.0, 1.0, bad]];
        let error = model.predict(&rows).err().unwrap();
        let error = error.downcast_ref::<CandleError>();
        assert!(matches!(error, Some(CandleError::Cell { row: 1, column: 2, dtype: "u8", .. })));
    }
}

#[test]
fn models_that_cannot_be_are_refused_when_they_are_built() {
    #[track_caller]
    fn refused_to_build(chain: xai_candle::CandleChain<'_>, part: &str) {
        refused(chain.build().map_err(Into::into), part);
    }
    let chain = || CandleModel::chain([double(&[3])]).stage("same", |x: &Tensor| Ok(x.clone()));
    refused_to_build(CandleModel::chain([]), "`inputs` must be at least one");
    refused_to_build(chain().max_batch(0), "`max_batch`");
    refused_to_build(chain().rows_at_once(0), "`rows_at_once`");
    refused_to_build(chain().stage("same", |x: &Tensor| Ok(x.clone())), "named apart");
    let mean = |x: &Tensor| x.mean_keepdim(0);
    refused_to_build(chain().stage("mean", mean), "stage `mean` must return tensors with 2 rows");
    let fails = |x: &Tensor| x.reshape((7, 7));
    refused_to_build(chain().stage("fails", fails), "stage `fails` failed");
    let two = |x: &[Tensor]| Ok(vec![x[0].clone(), x[0].clone()]);
    refused_to_build(chain().join("two", two).stage("one", relu), "takes one tensor, got 2");
    let error = chain().stage("mean", mean).build().err().unwrap();
    assert!(matches!(error, Error::Predictor { rows: 2, .. }));
}

#[test]
fn an_operator_without_a_gradient_is_an_error_of_the_backward_pass() {
    let model = CandleModel::new(double(&[2]), |x: &Tensor| x.ceil()).unwrap();
    assert_eq!(model.predict(&array![[0.5, 1.5]]).unwrap(), array![[1.0, 2.0]]);
    // Candle gives steps no gradient at all; what it cannot differentiate, it says.
    assert_eq!(model.vjp(&array![[0.5, 1.5]], &array![[1.0, 1.0]]).unwrap(), array![[0.0, 0.0]]);
    let pool = |x: &Tensor| x.max_pool2d_with_stride(3, 1);
    let model = CandleModel::new(double(&[1, 4, 4]), pool).unwrap();
    let error = model.vjp(&Array2::zeros((1, 16)), &Array2::zeros((1, 4))).err().unwrap();
    assert!(matches!(error.downcast_ref::<CandleError>(), Some(CandleError::Backward(_))));
}

#[test]
fn a_stage_that_needs_no_gradient_is_not_differentiated() {
    // Candle cannot differentiate it.
    let pool = |x: &Tensor| x.max_pool2d_with_stride(3, 1);
    let model = CandleModel::new(double(&[1, 4, 4]).without_gradient(), pool).unwrap();
    let (rows, slopes) = (Array2::zeros((1, 16)), Array2::ones((1, 4)));
    assert_eq!(model.vjp(&rows, &slopes).unwrap(), rows);
}
