//! Gradients along paths, through the door.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares exact numbers"
)]

use std::ops::ControlFlow;
use std::sync::Mutex;

use ndarray::{Array2, array};
use xai_core::{
    BoxError, Budget, CentralDifference, Differentiable, Error, Event, Paths, Predictor, Rows, Run,
    Stop,
};

/// `f(x) = x_0^2 + x_0 x_1`; remembers the sizes of its batches.
#[derive(Default)]
struct Square(Mutex<Vec<usize>>);

impl Square {
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = self.0.lock().unwrap().clone();
        sizes.sort_unstable();
        sizes
    }
}

impl Predictor for Square {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(Array2::from_shape_fn((batch.nrows(), 1), |(i, _)| {
            batch[[i, 0]] * batch[[i, 0]] + batch[[i, 0]] * batch[[i, 1]]
        }))
    }

    fn n_features(&self) -> Option<usize> {
        Some(2)
    }
}

impl Differentiable for Square {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        self.0.lock().unwrap().push(batch.nrows());
        Ok(Array2::from_shape_fn(batch.dim(), |(i, j)| {
            let x = batch.row(i);
            cotangent[[i, 0]] * if j == 0 { 2.0 * x[0] + x[1] } else { x[0] }
        }))
    }
}

const ALPHAS: [f64; 3] = [0.0, 0.5, 1.0];
const WEIGHTS: [f64; 3] = [1.0, -2.0, 4.0];

/// Lines of small integers, so that sums are exact.
fn lines(n: usize) -> (Array2<f64>, Array2<f64>, Array2<f64>) {
    let at =
        |offset: f64| Array2::from_shape_fn((n, 2), |(i, j)| (i % 5) as f64 + offset * j as f64);
    (at(2.0), at(-4.0), Array2::from_shape_fn((n, 1), |(i, _)| 1.0 + (i % 3) as f64))
}

/// By the formula, without the door.
#[allow(
    clippy::disallowed_methods,
    reason = "what the door gives is compared with the model itself"
)]
fn expected(from: &Rows, to: &Rows, cotangent: &Rows) -> Array2<f64> {
    let mut sums = Array2::zeros(from.dim());
    for (alpha, weight) in ALPHAS.iter().zip(WEIGHTS) {
        let points = from + (*alpha * (to - from));
        sums += &(weight * Square::default().vjp(&points, cotangent).unwrap());
    }
    sums
}

fn paths<'a>(from: &'a Rows, to: &'a Rows, cotangent: &'a Rows) -> Paths<'a> {
    Paths { from, to, alphas: &ALPHAS, weights: &WEIGHTS, cotangent }
}

#[test]
fn sums_do_not_depend_on_the_size_of_the_calls() {
    let (from, to, cotangent) = lines(7);
    let expected = expected(&from, &to, &cotangent);
    for (max_points, sizes) in [
        (1, vec![1; 21]),
        (2, [vec![1; 7], vec![2; 7]].concat()),
        (3, vec![3; 7]),
        (7, vec![3, 6, 6, 6]),
        (21, vec![21]),
        (usize::MAX, vec![21]),
    ] {
        let (model, mut run) = (Square::default(), Run::seeded(0));
        let sums = run.path_vjp(&model, &paths(&from, &to, &cotangent), max_points).unwrap();
        assert_eq!(sums, expected, "{max_points}");
        assert_eq!((run.queries(), model.sizes()), (21, sizes), "{max_points}");
    }
}

#[test]
fn no_lines_and_no_points_are_no_gradients() {
    let (model, mut run) = (Square::default(), Run::seeded(0));
    let (from, to, cotangent) = lines(0);
    assert_eq!(run.path_vjp(&model, &paths(&from, &to, &cotangent), 4).unwrap().dim(), (0, 2));
    let (from, to, cotangent) = lines(3);
    let none = Paths { alphas: &[], weights: &[], ..paths(&from, &to, &cotangent) };
    assert_eq!(run.path_vjp(&model, &none, 4).unwrap(), Array2::<f64>::zeros((3, 2)));
    assert_eq!((run.queries(), model.sizes()), (0, vec![]));
}

#[test]
fn several_runs_pay_for_their_own_lines() {
    let (from, to, cotangent) = lines(6);
    let model = Square::default();
    let mut runs: Vec<Run<'_>> = (0..3).map(Run::seeded).collect();
    let own = paths(&from, &to, &cotangent);
    let sums = Run::path_vjp_batched(&mut runs, &[4, 0, 2], &model, &own, 100).unwrap();
    assert_eq!(sums, expected(&from, &to, &cotangent));
    assert_eq!(runs.iter().map(Run::queries).collect::<Vec<_>>(), [12, 0, 6]);
    assert_eq!(model.sizes(), [18]);
    // One budget that forbids its lines, and nothing is asked.
    let budget = Budget::queries(5);
    let mut runs = [Run::seeded(0), Run::seeded(1).with_budget(budget)];
    let result = Run::path_vjp_batched(&mut runs, &[4, 2], &model, &own, 100);
    assert!(matches!(result, Err(Error::Stopped(Stop::Budget))));
    assert_eq!((runs[0].queries(), model.sizes()), (0, vec![18]));
}

#[test]
fn a_point_costs_what_its_gradient_costs() {
    let (from, to, cotangent) = lines(2);
    let model = Square::default();
    let mut run = Run::seeded(0);
    let own = paths(&from, &to, &cotangent);
    run.path_vjp(&CentralDifference::new(&model), &own, 10).unwrap();
    assert_eq!(run.queries(), 2 * 3 * 4);
}

#[test]
fn a_stop_comes_before_the_next_call() {
    let (from, to, cotangent) = lines(2);
    let model = Square::default();
    let mut observer = |_: Event<'_>| ControlFlow::Break(());
    let mut run = Run::seeded(0).with_observer(&mut observer);
    let own = paths(&from, &to, &cotangent);
    // What is done is handed over.
    assert!(run.path_vjp(&model, &own, 10).is_ok());
    let result = run.path_vjp(&model, &own, 10);
    assert!(matches!(result, Err(Error::Stopped(Stop::Observer))));
    assert_eq!(run.queries(), 6);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (from, to, cotangent) = lines(3);
    let (short, wide) = (array![[1.0, 2.0]], Array2::zeros((3, 3)));
    let own = paths(&from, &to, &cotangent);
    let check = |paths: &Paths<'_>, what: &str| {
        let model = Square::default();
        let error = Run::seeded(0).path_vjp(&model, paths, 10).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        assert!(model.sizes().is_empty());
    };
    check(&Paths { to: &short, ..own }, "the ends of the paths");
    check(&Paths { weights: &[1.0], ..own }, "the weights of the points");
    check(&Paths { cotangent: &short, ..own }, "the cotangent");
    check(&Paths { from: &wide, to: &wide, ..own }, "the model's input");
}

#[test]
fn sums_that_are_not_finite_are_refused_with_their_line() {
    let (from, mut to, cotangent) = lines(5);
    to[[3, 1]] = f64::MAX;
    let own = Paths { weights: &[4.0; 3], ..paths(&from, &to, &cotangent) };
    for max_points in [1, 6, 100] {
        let error = Run::seeded(0).path_vjp(&Square::default(), &own, max_points).unwrap_err();
        assert!(
            matches!(&error, Error::NotFinite { at, .. } if *at == [3, 0]),
            "{max_points}: {error:?}"
        );
    }
}
