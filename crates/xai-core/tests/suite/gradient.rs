//! Gradients through the door, exact and by central differences.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Mutex;

use ndarray::{Array2, Axis, array};
use xai_core::{
    BoxError, Budget, CentralDifference, Differentiable, Error, Predictor, Result, Rows, Run,
};

const U: f64 = f64::EPSILON / 2.0;

/// `f_k(x) = sum_j w[j, k] x_j^power`, row by row, so that nothing depends on the batch; its batches are counted.
struct Powers {
    w: Array2<f64>,
    power: i32,
    max_batch: usize,
    calls: Mutex<Vec<usize>>,
}

impl Powers {
    fn new(w: Array2<f64>, power: i32, max_batch: usize) -> Self {
        Powers { w, power, max_batch, calls: Mutex::default() }
    }

    fn sizes(&self) -> Vec<usize> {
        self.calls.lock().unwrap().clone()
    }

    fn slopes(&self, x: f64) -> f64 {
        f64::from(self.power) * x.powi(self.power - 1)
    }
}

impl Predictor for Powers {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.lock().unwrap().push(batch.nrows());
        Ok(Array2::from_shape_fn((batch.nrows(), self.w.ncols()), |(i, k)| {
            let terms = batch.row(i).into_iter().zip(self.w.column(k));
            terms.map(|(x, w)| w * x.powi(self.power)).sum()
        }))
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.w.nrows())
    }
}

impl Differentiable for Powers {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.lock().unwrap().push(batch.nrows());
        if cotangent.ncols() != self.w.ncols() {
            return Err("the cotangent has another number of outputs".into());
        }
        Ok(Array2::from_shape_fn(batch.dim(), |(i, j)| {
            let pulled: f64 =
                cotangent.row(i).into_iter().zip(self.w.row(j)).map(|(c, w)| c * w).sum();
            pulled * self.slopes(batch[[i, j]])
        }))
    }
}

fn weights() -> Array2<f64> {
    array![[2.0, -1.0], [-3.0, 0.0], [0.5, 4.0]]
}

/// Small integers, so that products and sums are exact.
fn rows(n_rows: usize) -> Array2<f64> {
    Array2::from_shape_fn((n_rows, 3), |(i, j)| (i % 7) as f64 - 2.0 * j as f64)
}

#[test]
fn gradients_have_their_closed_form() {
    for n_rows in [0, 1, 3, 10] {
        for max_batch in [1, 3, 100] {
            let x = rows(n_rows);
            let linear = Powers::new(weights(), 1, max_batch);
            let square = Powers::new(weights(), 2, max_batch);
            let mut run = Run::seeded(0);
            for target in 0..2 {
                let slopes = weights().column(target).insert_axis(Axis(0)).to_owned();
                let gradient = run.gradient(&linear, &x, target, 2).unwrap();
                assert_eq!(gradient, slopes.broadcast(x.dim()).unwrap());
                assert_eq!(run.gradient(&square, &x, target, 2).unwrap(), 2.0 * &x * &slopes);
            }
            let cotangent = Array2::from_shape_fn((n_rows, 2), |(i, k)| (i + 3 * k) as f64);
            let expected = 2.0 * &x * cotangent.dot(&weights().t());
            assert_eq!(run.vjp(&square, &x, &cotangent).unwrap(), expected);
            assert_eq!(run.queries(), 5 * n_rows as u64);
            assert_eq!(linear.sizes().iter().sum::<usize>(), 2 * n_rows);
            assert!(linear.sizes().iter().all(|&size| size <= max_batch));
        }
    }
}

#[test]
fn wrong_questions_are_refused() {
    let model = Powers::new(weights(), 2, 4);
    let mut run = Run::seeded(0).with_budget(Budget::queries(9));
    let check = |result: Result<Array2<f64>>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    check(
        run.gradient(&model, &rows(5), 2, 2),
        "parameter `target` must be below the model's 2 outputs, got 2",
    );
    check(
        run.vjp(&model, &rows(5), &Array2::ones((4, 2))),
        "the cotangent must have shape [5, 2], got [4, 2]",
    );
    check(
        run.vjp(&model, &Array2::ones((5, 4)), &Array2::ones((5, 2))),
        "the model's input must have shape [5, 3], got [5, 4]",
    );
    let over = "stopped before there was an answer: the budget of model queries was used up";
    check(run.gradient(&model, &rows(10), 0, 2), over);
    // Two probes for each of three features: 12 queries for two rows.
    check(run.gradient(&CentralDifference::new(&model), &rows(2), 0, 2), over);
    assert_eq!((run.queries(), model.sizes()), (0, vec![]));
    let error = run.vjp(&model, &rows(5), &Array2::ones((5, 3))).unwrap_err();
    let Error::Predictor { rows: 4, source } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "the cotangent has another number of outputs");
}

#[test]
fn wrong_gradients_are_refused_with_their_place() {
    /// The gradient is infinite where the first feature is 900, and has the given width.
    struct Broken(usize);
    impl Predictor for Broken {
        fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
            Ok(batch.to_owned())
        }
        fn max_batch(&self) -> usize {
            100
        }
    }
    impl Differentiable for Broken {
        fn vjp(&self, batch: &Rows, _: &Rows) -> Result<Array2<f64>, BoxError> {
            Ok(Array2::from_shape_fn((batch.nrows(), self.0), |(i, j)| {
                if j == 1 { (batch[[i, 0]] - 900.0).recip() } else { 0.0 }
            }))
        }
    }
    let x = Array2::from_shape_fn((1000, 2), |(i, _)| i as f64);
    let error = Run::seeded(0).gradient(&Broken(2), &x, 0, 2).unwrap_err().to_string();
    assert_eq!(error, "the model's gradient must be finite, got inf at [900, 1]");
    let error = Run::seeded(0).gradient(&Broken(3), &x, 0, 2).unwrap_err().to_string();
    assert_eq!(error, "the model's gradient must have shape [100, 2], got [100, 3]");
}

// Central differences ----------------------------------------------------------------------------------------

/// Cubes: `(f(x + h) - f(x - h)) / 2h = 3 x^2 + h^2` without rounding, `h = STEP max(1, |x|)`.
/// Each output is a sum of three cubes, 5 roundings of at most `F = sum |w| (|x| + h)^3`; two outputs and their difference
/// err by `12 U F`, over `2h`. The grid moves either probe by up to `U (|x| + h)`, which costs `U (|x| + h) f''` twice,
/// and the quotient rounds three times more.
#[test]
fn central_differences_err_within_the_bound_at_every_scale() {
    for exponent in -6..=8 {
        let scale = 10.0_f64.powi(exponent);
        for power in [1, 3] {
            let model = Powers::new(weights(), power, 1000);
            let x = array![[1.0, -0.5, 0.25]] * scale;
            let got = Run::seeded(0).gradient(&CentralDifference::new(&model), &x, 0, 2).unwrap();
            for (j, &x_j) in x.row(0).iter().enumerate() {
                let h = CentralDifference::STEP * x_j.abs().max(1.0);
                let (w, expected) = (weights()[[j, 0]], weights()[[j, 0]] * model.slopes(x_j));
                let size: f64 = (0..3)
                    .map(|i| weights()[[i, 0]].abs() * (x[[0, i]].abs() + h).powi(power))
                    .sum();
                let bend = w.abs() * f64::from(power * (power - 1)) * (x_j.abs() + h);
                let truncation = if power == 3 { w.abs() * h * h } else { 0.0 };
                let rounding = 6.0 * size / h + 2.0 * bend * (x_j.abs() + h) + 3.0 * expected.abs();
                let error = (got[[0, j]] - expected).abs();
                // A hundredth for terms of second order.
                let bound = 1.01 * (truncation + U * rounding);
                assert!(
                    error <= bound,
                    "x {x_j:e}, power {power}: error {error:e}, bound {bound:e}"
                );
            }
        }
    }
}

#[test]
fn central_differences_ask_two_rows_for_each_feature() {
    let x = rows(5);
    let cotangent = Array2::from_shape_fn((5, 2), |(i, k)| 1.0 + (i * k) as f64);
    let whole = Powers::new(weights(), 3, 1000);
    let expected = Run::seeded(0).vjp(&CentralDifference::new(&whole), &x, &cotangent).unwrap();
    assert_eq!(whole.sizes(), [30]);
    for max_batch in [0, 1, 2, 3, 7, 30] {
        let model = Powers::new(weights(), 3, max_batch);
        let mut run = Run::seeded(0);
        let got = run.vjp(&CentralDifference::new(&model), &x, &cotangent).unwrap();
        assert_eq!(got, expected, "at most {max_batch} rows a call");
        assert_eq!(run.queries(), 2 * 3 * 5);
        assert_eq!(model.sizes().iter().sum::<usize>(), 2 * 3 * 5);
        assert!(model.sizes().iter().all(|&size| size <= max_batch.max(1)), "{:?}", model.sizes());
    }
}

#[test]
fn central_differences_keep_wide_batches_small() {
    let n_features = 1 << 14;
    let model = Powers::new(Array2::ones((n_features, 1)), 1, usize::MAX);
    let x = Array2::ones((1, n_features));
    // Probing every feature would take 2^29 numbers at once; a batch has 2^19.
    let narrow = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        model.calls.lock().unwrap().push(batch.nrows());
        Ok(batch.slice(ndarray::s![.., ..1]).to_owned())
    };
    struct Unlimited<F>(F);
    impl<F: Fn(&Rows) -> Result<Array2<f64>, BoxError> + Sync> Predictor for Unlimited<F> {
        fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
            self.0(batch)
        }
        fn max_batch(&self) -> usize {
            usize::MAX
        }
    }
    let probed = Unlimited(narrow);
    Run::seeded(0).gradient(&CentralDifference::new(&probed), &x, 0, 1).unwrap();
    assert_eq!(model.sizes().iter().max(), Some(&32));
}

#[test]
fn central_differences_pass_on_what_the_model_knows() {
    let model = Powers::new(weights(), 1, 5);
    let wrapped = CentralDifference::new(&model);
    assert_eq!((wrapped.max_batch(), wrapped.n_features()), (5, Some(3)));
    let mut run = Run::seeded(0);
    assert_eq!(run.predict(&wrapped, &rows(7)).unwrap(), run.predict(&model, &rows(7)).unwrap());
    let error = run.vjp(&wrapped, &rows(1), &Array2::ones((1, 3))).unwrap_err();
    let Error::Predictor { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "outputs have shape (4, 2), expected (4, 3)");
}

#[test]
fn the_step_is_checked() {
    let model = Powers::new(weights(), 1, 5);
    for step in [0.0, -1e-3, f64::NAN, f64::INFINITY] {
        let error = CentralDifference::with_step(&model, step).err().unwrap().to_string();
        assert_eq!(error, format!("parameter `step` must be finite and above 0, got {step:?}"));
    }
    // A power of two on a line of small integers: nothing is rounded.
    let exact = CentralDifference::with_step(&model, 0.25).unwrap();
    let gradient = Run::seeded(0).gradient(&exact, &rows(1), 0, 2).unwrap();
    assert_eq!(gradient, weights().column(0).insert_axis(Axis(0)));
}
