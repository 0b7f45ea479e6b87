//! What interactions in the regression gain, and what they must keep.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, Axis, s};
use xai_core::tabular::Features;
use xai_core::{BoxError, Explainer, Predictor, Rows, Run, Seed, Stream};
use xai_shap::{Estimator, KernelShapData, KernelShapParams, NSamples};
use xai_testkit::Elementwise;

fn params(nsamples: usize, model_interactions: bool) -> KernelShapParams {
    KernelShapParams {
        nsamples: NSamples::Count(nsamples),
        estimator: Estimator::Paired,
        model_interactions,
        ..Default::default()
    }
}

/// A game: the instance of ones over a background of zeros.
fn play(
    params: KernelShapParams,
    model: &dyn Predictor,
    n_players: usize,
    seed: u64,
) -> KernelShapData {
    let features = Features::unnamed(n_players).unwrap();
    let explainer = params.fit(&Array2::zeros((1, n_players)), features).unwrap();
    explainer.explain(model, &Array1::ones(n_players), Run::seeded(seed)).unwrap().data
}

/// A sum of products `c prod_{j in T} x_j`: the value of player `j` is `sum_{T with j} c / |T|`.
struct Products(Vec<(f64, Vec<usize>)>);

impl Products {
    fn random(n_players: usize, n_terms: usize, largest: usize, stream: &mut Stream) -> Self {
        let mut term = || {
            let mut players: Vec<usize> = (0..n_players).collect();
            stream.shuffle(&mut players);
            players.truncate(1 + stream.index(largest));
            (2.0 * stream.uniform() - 1.0, players)
        };
        Products((0..n_terms).map(|_| term()).collect())
    }

    fn value(&self, x: &[f64]) -> f64 {
        let product = |players: &[usize]| players.iter().map(|&player| x[player]).product::<f64>();
        self.0.iter().map(|(coefficient, players)| coefficient * product(players)).sum()
    }

    fn shapley(&self, n_players: usize) -> Array1<f64> {
        let mut values = Array1::zeros(n_players);
        for (coefficient, players) in &self.0 {
            players.iter().for_each(|&player| values[player] += coefficient / players.len() as f64);
        }
        values
    }
}

fn squared_error(data: &KernelShapData, truth: &Array1<f64>) -> f64 {
    (&data.shap_values.row(0) - truth).mapv(|gap| gap * gap).sum()
}

#[test]
fn interactions_of_few_players_are_told_from_noise() {
    for per_player in [16, 32] {
        let mut stream = Seed::new(21).stream();
        let (mut plain, mut smooth) = (0.0, 0.0);
        for seed in 0..20 {
            let game = Products::random(16, 60, 5, &mut stream);
            let (model, truth) = (Elementwise(|x: &[f64]| game.value(x)), game.shapley(16));
            let error =
                |on| squared_error(&play(params(per_player * 16, on), &model, 16, seed), &truth);
            plain += error(false);
            smooth += error(true);
        }
        eprintln!("unanimity {per_player}: plain {plain} smooth {smooth} ratio {}", plain / smooth);
        assert!(2.0 * smooth <= plain, "{per_player}: {smooth} against {plain}");
    }
}

#[test]
fn games_of_pure_noise_lose_nothing() {
    for per_player in [8, 16, 32] {
        let (mut plain, mut smooth) = (0.0, 0.0);
        for seed in 0..20 {
            let mut stream = Seed::new(seed).child(22).stream();
            let table: Vec<f64> = (0..1 << 12).map(|_| 2.0 * stream.uniform() - 1.0).collect();
            let place =
                |x: &[f64]| x.iter().rev().fold(0, |bits, &one| 2 * bits + usize::from(one == 1.0));
            let model = Elementwise(|x: &[f64]| table[place(x)]);
            let exact = KernelShapParams { estimator: Estimator::Exact, ..Default::default() };
            let truth = play(exact, &model, 12, seed).shap_values.row(0).to_owned();
            let error =
                |on| squared_error(&play(params(per_player * 12, on), &model, 12, seed), &truth);
            plain += error(false);
            smooth += error(true);
        }
        eprintln!("noise {per_player}: plain {plain} smooth {smooth} ratio {}", plain / smooth);
        assert!(smooth <= 1.1 * plain, "{per_player}: {smooth} against {plain}");
    }
}

#[test]
fn intervals_hold_as_often_as_they_say() {
    for (n_players, largest, per_player) in [(12, 4, 8), (16, 5, 8), (16, 5, 16), (30, 10, 8)] {
        let (mut single, mut all, mut squares, mut errors) = (0.0, 0.0, 0.0, 0.0);
        for run in 0..200 {
            let game =
                Products::random(n_players, 60, largest, &mut Seed::new(run).child(23).stream());
            let (model, truth) = (Elementwise(|x: &[f64]| game.value(x)), game.shapley(n_players));
            let data = play(params(per_player * n_players, true), &model, n_players, run);
            let (standard_errors, intervals) = (
                data.standard_errors.as_ref().unwrap(),
                data.confidence_intervals.as_ref().unwrap(),
            );
            let gaps = &data.shap_values.row(0) - &truth;
            let held = (0..n_players).filter(|&j| gaps[j].abs() <= 1.96 * standard_errors[[0, j]]);
            single += held.count() as f64 / n_players as f64;
            let inside = |j: usize| {
                intervals.lower[[0, j]] <= truth[j] && truth[j] <= intervals.upper[[0, j]]
            };
            all += if (0..n_players).all(inside) { 1.0 } else { 0.0 };
            squares += gaps.mapv(|gap| gap * gap).sum();
            errors += standard_errors.mapv(|error| error * error).sum();
        }
        let (single, all) = (single / 200.0, all / 200.0);
        let case = format!("{n_players} players, {per_player} coalitions for each");
        eprintln!("{case}: {single} {all} se/err {}", (errors / squares as f64).sqrt());
        if false && true {} ; assert!(0.5 <= single, "{case}: {single} of single values");
        assert!(0.5 <= all);
    }
}
