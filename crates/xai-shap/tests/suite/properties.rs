//! The axioms on random games, and what sampling must keep.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis, s};
use proptest::prelude::*;
use xai_core::tabular::Features;
use xai_core::{Explainer, Predictor, Rows, Run, Seed, Stream};
use xai_shap::{Estimator, KernelShapData, KernelShapParams, NSamples};
use xai_testkit::Elementwise;

fn explain(
    params: KernelShapParams,
    model: &dyn Predictor,
    background: &Rows,
    x: &Array1<f64>,
    seed: u64,
) -> KernelShapData {
    let explainer = params.fit(background, Features::unnamed(background.ncols()).unwrap()).unwrap();
    explainer.explain(model, x, Run::seeded(seed)).unwrap().data
}

/// `sum_T c_T prod_{j in T} x_j` over random sets of players. Over a zero background and `x = 1` the value of player
/// `j` is `sum_{T with j} c_T / |T|` (each unanimity game shares its coefficient equally).
struct Unanimity {
    terms: Vec<(f64, Vec<usize>)>,
}

impl Unanimity {
    fn random(
        n_players: usize,
        n_terms: usize,
        orders: std::ops::RangeInclusive<usize>,
        stream: &mut Stream,
    ) -> Self {
        let mut term = || {
            let order = orders.start() + stream.index(orders.end() - orders.start() + 1);
            let mut players: Vec<usize> = (0..n_players).collect();
            stream.shuffle(&mut players);
            players.truncate(order);
            (2.0 * stream.uniform() - 1.0, players)
        };
        Unanimity { terms: (0..n_terms).map(|_| term()).collect() }
    }

    fn value(&self, x: &[f64]) -> f64 {
        self.terms
            .iter()
            .map(|(c, players)| c * players.iter().map(|&player| x[player]).product::<f64>())
            .sum()
    }

    fn shapley(&self, n_players: usize) -> Array1<f64> {
        let mut phi = Array1::zeros(n_players);
        for (c, players) in &self.terms {
            for &player in players {
                phi[player] += c / players.len() as f64;
            }
        }
        phi
    }
}

fn paired(nsamples: usize) -> KernelShapParams {
    KernelShapParams::default()
        .with_nsamples(NSamples::Count(nsamples))
        .with_estimator(Estimator::Paired)
}

/// A unanimity game over a zero background at the point of ones, by pairs.
fn play(game: &Unanimity, n_players: usize, nsamples: usize, seed: u64) -> KernelShapData {
    let model = Elementwise(|x: &[f64]| game.value(x));
    let (none, all) = (Array2::zeros((1, n_players)), Array1::ones(n_players));
    explain(paired(nsamples), &model, &none, &all, seed)
}

/// Values of a unanimity game from the plain regression on pairs, their standard errors, and the truth.
fn sampled(
    game: &Unanimity,
    n_players: usize,
    nsamples: usize,
    seed: u64,
) -> (Array1<f64>, Array1<f64>, Array1<f64>) {
    let model = Elementwise(|x: &[f64]| game.value(x));
    let (none, all) = (Array2::zeros((1, n_players)), Array1::ones(n_players));
    let params = paired(nsamples).with_model_interactions(false);
    let data = explain(params, &model, &none, &all, seed);
    let errors = data.standard_errors.expect("enough pairs for standard errors");
    (data.shap_values.row(0).to_owned(), errors.row(0).to_owned(), game.shapley(n_players))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn axioms_hold_on_random_games(seed: u64, n_players in 2_usize..=9, n_background in 1_usize..=4) {
        let mut stream = Seed::new(seed).stream();
        let (a, b) = (
            Unanimity::random(n_players, 12, 1..=n_players, &mut stream),
            Unanimity::random(n_players, 12, 1..=n_players, &mut stream),
        );
        // Player 0 is a dummy, and players 1 and 2 (where there are that many) are symmetric.
        let blind = |game: &Unanimity, x: &[f64]| {
            let mut seen = x.to_vec();
            seen[0] = 0.5;
            let mut mirrored = seen.clone();
            if 2 < n_players {
                mirrored.swap(1, 2);
            }
            game.value(&seen) + game.value(&mirrored)
        };
        let f = Elementwise(|x: &[f64]| blind(&a, x));
        let g = Elementwise(|x: &[f64]| blind(&b, x));
        let h = Elementwise(|x: &[f64]| 2.0 * blind(&a, x) - 3.0 * blind(&b, x));
        let mut background = Array2::from_shape_simple_fn((n_background, n_players), || stream.uniform());
        let mut x = Array1::from_shape_simple_fn(n_players, || stream.uniform());
        if 2 < n_players {
            let one = background.column(1).to_owned();
            background.column_mut(2).assign(&one);
            x[2] = x[1];
        }
        let run = |model: &dyn Predictor| explain(KernelShapParams::default(), model, &background, &x, 0);
        let (of_f, of_g, of_h) = (run(&f), run(&g), run(&h));
        // Some 2^9 terms of order 10, each with a few roundings.
        let tolerance = 1e-12 * 24.0;
        for data in [&of_f, &of_g, &of_h] {
            let change = data.raw_prediction[0] - data.expected_value[0];
            prop_assert!((data.shap_values.sum() - change).abs() < tolerance, "efficiency");
            prop_assert_eq!(data.shap_values[[0, 0]], 0.0, "dummy");
            if 2 < n_players {
                prop_assert!((data.shap_values[[0, 1]] - data.shap_values[[0, 2]]).abs() < tolerance, "symmetry");
            }
        }
        let combined = 2.0 * &of_f.shap_values - 3.0 * &of_g.shap_values;
        prop_assert!((&combined - &of_h.shap_values).iter().all(|gap| gap.abs() < tolerance), "linearity");
        // A background row given twice is a row of double weight, and weights are shares.
        let twice = ndarray::concatenate![Axis(0), background, background.slice(s![..1, ..])];
        let mut weights = vec![0.25; n_background];
        weights[0] = 0.5;
        let weighted = KernelShapParams::default().with_weights(Some(weights));
        let doubled = explain(KernelShapParams::default(), &f, &twice, &x, 0);
        let weighted = explain(weighted, &f, &background, &x, 0);
        prop_assert!((&doubled.shap_values - &weighted.shap_values).iter().all(|gap| gap.abs() < tolerance), "weights");
    }

    #[test]
    fn permuting_the_features_permutes_exact_values(seed: u64, n_players in 2_usize..=7) {
        let mut stream = Seed::new(seed).stream();
        let game = Unanimity::random(n_players, 10, 1..=n_players, &mut stream);
        let background = Array2::from_shape_simple_fn((3, n_players), || stream.uniform());
        let x = Array1::from_shape_simple_fn(n_players, || stream.uniform());
        let mut order: Vec<usize> = (0..n_players).collect();
        stream.shuffle(&mut order);
        let straight = Elementwise(|x: &[f64]| game.value(x));
        let permuted = Elementwise(|x: &[f64]| {
            let mut back = vec![0.0; n_players];
            for (place, &feature) in order.iter().enumerate() {
                back[feature] = x[place];
            }
            game.value(&back)
        });
        let one = explain(KernelShapParams::default(), &straight, &background, &x, 0).shap_values;
        let other = explain(
            KernelShapParams::default(), &permuted,
            &background.select(Axis(1), &order), &x.select(Axis(0), &order), 0,
        ).shap_values;
        prop_assert!((&one.select(Axis(1), &order) - &other).iter().all(|gap| gap.abs() < 1e-13));
    }

    #[test]
    fn paired_values_keep_efficiency_and_scale(seed: u64, exponent in -12_i32..=12) {
        let mut stream = Seed::new(seed).stream();
        let game = Unanimity::random(14, 20, 1..=6, &mut stream);
        let scale = 10_f64.powi(exponent);
        let scaled = Unanimity { terms: game.terms.iter().map(|(c, players)| (c * scale, players.clone())).collect() };
        let (values, errors, truth) = sampled(&game, 14, 120, seed);
        prop_assert!((values.sum() - truth.sum()).abs() < 1e-12, "efficiency");
        let (scaled_values, scaled_errors, _) = sampled(&scaled, 14, 120, seed);
        for (one, other) in values.iter().chain(&errors).zip(scaled_values.iter().chain(&scaled_errors)) {
            prop_assert!((one * scale - other).abs() <= 1e-11 * scale, "{one} times {scale} became {other}");
        }
    }
}

#[test]
fn paired_values_are_exact_for_interactions_of_two() {
    // Every budget with as many pairs as unknowns gives the values of a quadratic model.
    let (n_players, mut stream) = (15, Seed::new(3).stream());
    let weights =
        Array2::from_shape_simple_fn((n_players, n_players), || 2.0 * stream.uniform() - 1.0);
    let model = Elementwise(|x: &[f64]| {
        let x = ndarray::ArrayView1::from(x);
        x.dot(&weights.dot(&x))
    });
    let background = Array2::from_shape_simple_fn((3, n_players), || stream.uniform());
    let x = Array1::from_shape_simple_fn(n_players, || 2.0 * stream.uniform());
    let exact = KernelShapParams::default().with_estimator(Estimator::Exact);
    let exact = explain(exact, &model, &background, &x, 0).shap_values;
    for nsamples in [28, 30, 31, 45, 60, 200, 2000] {
        let data = explain(paired(nsamples), &model, &background, &x, 1);
        let worst = (&data.shap_values - &exact).fold(0.0_f64, |worst, gap| worst.max(gap.abs()));
        assert!(worst < 1e-9, "{nsamples} coalitions: {worst}");
        assert_eq!(data.n_coalitions, nsamples as u64 / 2 * 2);
        assert_eq!(
            data.standard_errors.is_some(),
            nsamples / 2 >= 2 * n_players,
            "{nsamples} coalitions"
        );
    }
}

#[test]
fn all_pairs_are_all_coalitions() {
    // With the whole budget the regression solves the full kernel problem, whose solution is the Shapley value.
    let mut stream = Seed::new(5).stream();
    for n_players in 2..=9 {
        let game = Unanimity::random(n_players, 15, 1..=n_players, &mut stream);
        let (values, errors, truth) = sampled(&game, n_players, 1 << n_players, 0);
        assert!(play(&game, n_players, 1 << n_players, 0).exact);
        assert!(
            (&values - &truth).iter().all(|gap| gap.abs() < 1e-12),
            "{n_players}: {values} against {truth}"
        );
        assert!(errors.iter().all(|&error| error == 0.0), "nothing was sampled");
    }
}

#[test]
fn the_squared_error_falls_with_the_budget() {
    // Third-order games at 8 and 32 times the players' number: the squared error is of order 1 / budget, so four times
    // the budget divides it by about 4, and by more as strata fill up.
    let n_players = 20;
    let mut stream = Seed::new(7).stream();
    let squared = |nsamples: usize, stream: &mut Stream| -> f64 {
        let errors = (0..40).map(|seed| {
            let game = Unanimity::random(n_players, 30, 3..=3, stream);
            let (values, _, truth) = sampled(&game, n_players, nsamples, seed);
            (&values - &truth).mapv(|gap| gap * gap).sum()
        });
        errors.sum::<f64>() / 40.0
    };
    let ratio = squared(8 * n_players, &mut stream) / squared(32 * n_players, &mut stream);
    assert!((3.0..12.0).contains(&ratio), "{ratio}");
}

#[test]
fn intervals_cover_the_truth() {
    // Were the values of a run one event, the share would have a standard deviation of .0154: three below, two above.
    for n_players in [12, 20, 60] {
        let mut stream = Seed::new(11).stream();
        let (mut covered, mut all) = (0, 0);
        for seed in 0..200 {
            let game = Unanimity::random(n_players, 40, 1..=6, &mut stream);
            let (values, errors, truth) = sampled(&game, n_players, 16 * n_players, seed);
            for player in 0..n_players {
                all += 1;
                covered +=
                    usize::from((values[player] - truth[player]).abs() <= 1.96 * errors[player]);
            }
        }
        let coverage = covered as f64 / all as f64;
        assert!((0.90..=0.98).contains(&coverage), "{n_players} players: {coverage}");
    }
}

#[test]
fn many_players_are_no_obstacle() {
    // More players than a word has bits, strata past 2^64 pairs, and the least budget there is.
    let n_players = 150;
    let mut stream = Seed::new(13).stream();
    let game = Unanimity::random(n_players, 60, 1..=2, &mut stream);
    for nsamples in [2 * (n_players - 1), 4 * n_players, 16 * n_players] {
        let data = play(&game, n_players, nsamples, 0);
        let worst = (&data.shap_values.row(0) - &game.shapley(n_players))
            .fold(0.0_f64, |worst, gap| worst.max(gap.abs()));
        assert!(worst < 1e-8, "{nsamples} coalitions: {worst}");
    }
}
