//! The kernel, the posterior and its errors against enumeration and dense algebra.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis, s};
use xai_core::linalg::cholesky_solve;
use xai_core::{Row, Rows, Seed};

use super::evidence::Problem;
use super::kernel::Pairs;
use super::triples::{self, Triples};
use super::{Rc, Smoother};
use crate::coalitions::contains;
use crate::design::Design;
use crate::exact;
use crate::paired::{Regression, differences};

/// A game of six to nine players with interactions of all orders, its regression and its differences.
struct Example {
    /// By the bits of the coalition, shape `(1, 2^n_players)`.
    worth: Array2<f64>,
    regression: Rc<Regression>,
    deltas: Array2<f64>,
    changes: Array1<f64>,
}

fn example(n_players: usize, n_pairs: usize, seed: u64) -> Example {
    let mut stream = Seed::new(seed).stream();
    let worth = Array2::from_shape_simple_fn((1, 1 << n_players), || stream.uniform());
    of_worth(worth, n_players, n_pairs)
}

fn of_worth(worth: Array2<f64>, n_players: usize, n_pairs: usize) -> Example {
    let mut design = Design::new(n_players, n_pairs, true, Seed::new(1));
    let coalitions = design.coalitions(0, n_pairs);
    let players: Vec<usize> = (0..n_players).collect();
    let regression = Rc::new(Regression::new(&design, n_pairs, &players).unwrap());
    let bits = |words: &[u64]| (0..n_players).filter(|&j| contains(words, j)).map(|j| 1 << j).sum();
    let order: Vec<usize> = (0..2 * n_pairs).map(|index| bits(coalitions.get(index))).collect();
    let deltas = differences(&worth.select(Axis(1), &order));
    let changes = &worth.column((1 << n_players) - 1) - &worth.column(0);
    Example { worth, regression, deltas, changes }
}

impl Example {
    fn problem(&self) -> Problem {
        Problem::new(&self.regression, self.regression.targets(&self.deltas, &self.changes))
    }

    fn targets(&self) -> Array1<f64> {
        self.regression.targets(&self.deltas, &self.changes).column(0).to_owned()
    }

    /// `K + noise / (a_k mean(1 / a))`.
    fn with_noise(&self, covariance: &Array2<f64>, noise: f64) -> Array2<f64> {
        let inverse = self.regression.strata.weights().mapv(f64::recip);
        covariance + &Array2::from_diag(&(&inverse * (noise / inverse.mean().unwrap())))
    }

    /// The values of the players, and `R t`.
    fn posterior(&self, pairs: &Pairs, shares: &[f64], noise: f64) -> (Array1<f64>, Array2<f64>) {
        let problem = self.problem();
        let posterior = problem.posterior(&pairs.covariance(shares), noise).unwrap();
        let weights = posterior.weights(&problem, &pairs.shapley(shares)).unwrap();
        let share = self.changes[0] / pairs.n_players() as f64;
        (weights.t().dot(&self.targets()) + share, posterior.dual)
    }
}

#[track_caller]
fn close(got: &Row, expected: &Row, tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got} for {expected}");
    }
}

/// `psi` and the prediction of the last of the points, from those before it: generalised least squares on the basis
/// `e_j - e_last` of what lies across the ones, then the conditional mean.
fn predicted(
    centred: &Rows,
    covariance: &Rows,
    shapley: &Rows,
    targets: &Row,
) -> (Array1<f64>, f64) {
    let (n, n_players) = (centred.nrows() - 1, centred.ncols());
    let basis = Array2::from_shape_fn((n_players, n_players - 1), |(i, j)| {
        f64::from(i == j) - f64::from(i == n_players - 1)
    });
    let linear = centred.dot(&basis);
    let (known, v) = (linear.slice(s![..n, ..]), covariance.slice(s![..n, ..n]));
    let t = targets.slice(s![..n]).insert_axis(Axis(1)).to_owned();
    let solved = cholesky_solve(&v, &known).unwrap();
    let beta = cholesky_solve(&known.t().dot(&solved), &solved.t().dot(&t)).unwrap();
    let dual = cholesky_solve(&v, &(&t - &known.dot(&beta))).unwrap();
    let psi = basis.dot(&beta) + shapley.slice(s![..n, ..]).t().dot(&dual);
    let last =
        linear.row(n).dot(&beta.column(0)) + covariance.slice(s![n, ..n]).dot(&dual.column(0));
    (psi.column(0).to_owned(), last)
}

#[test]
fn the_shapley_values_of_a_section_of_the_kernel_are_those_of_enumeration() {
    for n_players in [5, 6, 9] {
        let example = example(n_players, 15, 0);
        let pairs = Pairs::new(&example.regression);
        let n_degrees = pairs.shares(1.0).len();
        let point = |bits: usize| {
            Array1::from_shape_fn(n_players, |j| if bits >> j & 1 == 1 { 1.0 } else { -1.0 })
        };
        for degree in 0..n_degrees {
            let mut shares = vec![0.0; n_degrees];
            shares[degree] = 1.0;
            let (covariance, shapley) = (pairs.covariance(&shares), pairs.shapley(&shares));
            // The mean of products over all sets of 3, 5, ... players, as it is defined.
            let sets: Vec<usize> = (0..1_usize << n_players)
                .filter(|set| set.count_ones() as usize == 3 + 2 * degree)
                .collect();
            let product = |u: &Row, set: usize| {
                (0..n_players).filter(|j| set >> j & 1 == 1).map(|j| u[j]).product::<f64>()
            };
            let centred = |u: &Row, set: usize| product(u, set) - u.mean().unwrap();
            for (pair, row) in pairs.signs.rows().into_iter().enumerate() {
                let section = |u: &Row| {
                    let terms = sets.iter().map(|&set| centred(u, set) * centred(&row, set));
                    terms.sum::<f64>() / sets.len() as f64
                };
                for (other, signs) in pairs.signs.rows().into_iter().enumerate() {
                    assert!((covariance[[pair, other]] - section(&signs)).abs() < 1e-13);
                }
                // Of v = g / 2 the differences of pairs are g.
                let worth = (0..1 << n_players).map(|bits| 0.5 * section(&point(bits)));
                let worth = worth.collect::<Array1<f64>>().insert_axis(Axis(0));
                let expected = exact::shapley(&worth, n_players);
                close(&shapley.row(pair), &expected.row(0), 1e-13);
            }
        }
    }
}

#[test]
fn the_lack_of_a_pair_changes_the_values_by_its_weight_times_its_error() {
    let example = example(6, 20, 2);
    let pairs = Pairs::new(&example.regression);
    let shares = pairs.shares(0.3);
    let (covariance, shapley) = (pairs.covariance(&shares), pairs.shapley(&shares));
    for noise in [1e-2, 1.0] {
        let (problem, targets) = (example.problem(), example.targets());
        let weights =
            problem.posterior(&covariance, noise).unwrap().weights(&problem, &shapley).unwrap();
        let psi = weights.t().dot(&targets);
        let noisy = example.with_noise(&covariance, noise);
        for pair in 0..pairs.len() {
            let known: Vec<usize> = (0..pairs.len()).filter(|&other| other != pair).collect();
            let order = [known.clone(), vec![pair]].concat();
            let (without, prediction) = predicted(
                &example.regression.centred.select(Axis(0), &order),
                &noisy.select(Axis(0), &order).select(Axis(1), &order),
                &shapley.select(Axis(0), &order),
                &targets.select(Axis(0), &order),
            );
            let columns = covariance.select(Axis(1), &known);
            let posterior =
                problem.select(&known).posterior(&columns.select(Axis(0), &known), noise);
            let others = problem.select(&[pair]);
            let error =
                posterior.unwrap().errors(&others, &columns.select(Axis(0), &[pair]))[[0, 0]];
            // Condition numbers below 1e4, of the covariance and of the linear part together.
            assert!((error - (targets[pair] - prediction)).abs() < 1e-11, "{error}");
            close(&(&psi - &(&weights.row(pair) * error)), &without, 1e-11);
        }
    }
}

#[test]
fn the_posterior_is_the_plain_regression_on_what_interactions_leave() {
    let example = example(7, 30, 3);
    let pairs = Pairs::new(&example.regression);
    let shares = pairs.shares(0.1);
    for noise in [1e-3, 1.0] {
        let (values, dual) = example.posterior(&pairs, &shares, noise);
        let rest = &example.deltas - &pairs.covariance(&shares).dot(&dual).t();
        let plain = example.regression.values(&rest, &example.changes);
        let of_interactions = pairs.shapley(&shares).t().dot(&dual.column(0));
        close(&values, &(&plain.row(0) + &of_interactions), 1e-11);
    }
    // With nothing but noise it is the plain regression itself; what is left is of the order of 1 / noise.
    let (values, _) = example.posterior(&pairs, &shares, 1e13);
    let plain = example.regression.values(&example.deltas, &example.changes);
    close(&values, &plain.row(0), 1e-11);
}

#[test]
fn any_kernel_is_exact_with_all_pairs_and_without_interactions() {
    let all = example(6, 31, 4);
    let mut stream = Seed::new(5).stream();
    let slopes = Array2::from_shape_simple_fn((7, 7), || stream.uniform());
    let quadratic = |bits: usize| {
        let on = |j: usize| if j == 7 { 1.0 } else { f64::from(u8::from(bits >> j & 1 == 1)) };
        (0..7)
            .flat_map(|i| (0..=i).map(move |j| (i, j)))
            .map(|(i, j)| slopes[[i, j]] * on(i) * on(j))
            .sum()
    };
    let worth = (0..1 << 7).map(quadratic).collect::<Array1<f64>>().insert_axis(Axis(0));
    for (example, n_players) in [(all, 6), (of_worth(worth, 7, 20), 7)] {
        let pairs = Pairs::new(&example.regression);
        let expected = exact::shapley(&example.worth, n_players);
        for (decay, noise) in [(0.0, 1e-3), (0.3, 0.1), (1.0, 1.0)] {
            let (values, _) = example.posterior(&pairs, &pairs.shares(decay), noise);
            close(&values, &expected.row(0), 1e-11);
        }
        // Neither needs a kernel, and none is chosen.
        let (deltas, changes) = (&example.deltas, &example.changes);
        assert!(Smoother::fit(Rc::clone(&example.regression), deltas, changes).unwrap().is_none());
    }
}

#[test]
fn triples_of_equal_variance_are_the_kernel_of_degree_three() {
    // 20 triples and 25 pairs: each triple has a separate variance.
    let example = example(6, 25, 6);
    let pairs = Pairs::new(&example.regression);
    let shares = pairs.shares(0.1);
    let problem = example.problem();
    let posterior = problem.posterior(&pairs.covariance(&shares), 0.1).unwrap();
    let mut triples = Triples::new(6).unwrap();
    assert_eq!(triples::number(6), 20);
    assert!(triples.reweigh(&pairs, &posterior, 0.0));
    assert_eq!(triples.common, 0.0);
    let of_degree = [shares[0], 0.0];
    let covariance = triples.covariance(&pairs, shares[0]);
    close(&covariance.flatten(), &pairs.covariance(&of_degree).flatten(), 1e-13);
    let shapley = triples.shapley(&pairs, shares[0]);
    close(&shapley.flatten(), &pairs.shapley(&of_degree).flatten(), 1e-13);
    // The trace of R K, from its definition as what noise alone would not explain.
    let explained = posterior.explained(&problem, 0.1).unwrap();
    let dual = |targets: &Array2<f64>| {
        Problem::new(&example.regression, targets.clone())
            .posterior(&pairs.covariance(&shares), 0.1)
            .unwrap()
            .dual
    };
    let trace = dual(&pairs.covariance(&shares)).diag().sum();
    assert!((explained - trace).abs() < 1e-10, "{explained} for {trace}");
}

#[test]
fn a_triple_that_stands_out_gets_the_variance() {
    // A product of three players and a hundredth of noise: its share of the variance tends to all of it.
    let n_players = 8;
    let mut stream = Seed::new(7).stream();
    let worth = (0..1_usize << n_players)
        .map(|bits| f64::from(u8::from(bits & 0b10_0101 == 0b10_0101)) + 0.01 * stream.uniform())
        .collect::<Array1<f64>>();
    let example = of_worth(worth.insert_axis(Axis(0)), n_players, 40);
    let fitted = |regression: &Rc<Regression>| {
        Smoother::fit(Rc::clone(regression), &example.deltas, &example.changes).unwrap().unwrap()
    };
    let smoother = fitted(&example.regression);
    let truth = exact::shapley(&example.worth, n_players);
    let error = |values: Array2<f64>| (&values - &truth).mapv(|gap| gap * gap).sum();
    let plain = error(example.regression.values(&example.deltas, &example.changes));
    let smoothed = error(smoother.values(&example.deltas, &example.changes));
    // The noise alone has a hundredth of the product's size and a ten thousandth of its square.
    assert!(smoothed < 0.01 * plain, "{smoothed} against {plain}");
}
