//! Uncertainties against known values: bounds follow from the number of runs.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking, and compares exact values"
)]

use ndarray::{Array1, Array2, array};
use xai_core::tabular::Features;
use xai_core::{Explainer, Predictor, Rows, Run, Seed, Stream};
use xai_shap::{Estimator, KernelShapData, KernelShapParams, Link, NSamples, UsedEstimator};
use xai_testkit::{Elementwise, Linear};

fn explain(
    params: &KernelShapParams,
    model: &dyn Predictor,
    background: &Rows,
    x: &Array1<f64>,
    seed: u64,
) -> KernelShapData {
    let features = Features::unnamed(background.ncols()).unwrap();
    let explainer = params.clone().fit(background, features).unwrap();
    explainer.explain(model, x, Run::seeded(seed)).unwrap().data
}

fn sampled(estimator: Estimator, nsamples: usize) -> KernelShapParams {
    let nsamples = NSamples::Count(nsamples);
    KernelShapParams::default().with_estimator(estimator).with_nsamples(nsamples)
}

/// Coefficients and players of `sum_T c_T prod_{j in T} x_j`; at ones over zeros the value of player `j` is
/// `sum_{T with j} c_T / |T|`.
type Terms = Vec<(f64, Vec<usize>)>;

fn unanimity(n_players: usize, n_terms: usize, largest: usize, stream: &mut Stream) -> Terms {
    let mut term = || {
        let mut players: Vec<usize> = (0..n_players).collect();
        stream.shuffle(&mut players);
        players.truncate(1 + stream.index(largest));
        (2.0 * stream.uniform() - 1.0, players)
    };
    (0..n_terms).map(|_| term()).collect()
}

fn play(terms: &Terms, params: &KernelShapParams, n_players: usize, seed: u64) -> KernelShapData {
    let product = |x: &[f64], players: &[usize]| players.iter().map(|&one| x[one]).product::<f64>();
    let model =
        Elementwise(|x: &[f64]| terms.iter().map(|(c, members)| c * product(x, members)).sum());
    explain(params, &model, &Array2::zeros((1, n_players)), &Array1::ones(n_players), seed)
}

fn truth(terms: &Terms, n_players: usize) -> Array1<f64> {
    let mut values = Array1::zeros(n_players);
    for (coefficient, players) in terms {
        players.iter().for_each(|&one| values[one] += coefficient / players.len() as f64);
    }
    values
}

/// Shares of 95% intervals, of single values and of all values at once, that hold over seeded runs.
fn coverage(params: &KernelShapParams, n_players: usize, largest: usize, runs: u64) -> (f64, f64) {
    let (mut single, mut all) = (0.0, 0.0);
    for run in 0..runs {
        let terms = unanimity(n_players, 60, largest, &mut Seed::new(run).child(1).stream());
        let data = play(&terms, params, n_players, run);
        let errors = data.standard_errors.unwrap();
        let intervals = data.confidence_intervals.unwrap();
        let truth = truth(&terms, n_players);
        let gap = |player: usize| (data.shap_values[[0, player]] - truth[player]).abs();
        let covered =
            (0..n_players).filter(|&player| gap(player) <= 1.96 * errors[[0, player]]).count();
        single += covered as f64 / n_players as f64;
        let inside = |player: usize| {
            intervals.lower[[0, player]] <= truth[player]
                && truth[player] <= intervals.upper[[0, player]]
        };
        all += if (0..n_players).all(inside) { 1.0 } else { 0.0 };
    }
    (single / runs as f64, all / runs as f64)
}

#[test]
fn paired_intervals_hold_as_often_as_they_say() {
    // 200 runs of 20 values, of which those of one run depend on each other. Were all 20 one event, the share of a
    // true 95% would have a standard deviation of sqrt(.95 * .05 / 200) = .0154; the bounds are two of these away.
    for (n_players, largest, per_player) in [(12, 4, 6), (16, 5, 8), (16, 5, 16), (30, 10, 32)] {
        // With interactions in the regression they may hold more often: `interactions.rs`.
        let params =
            sampled(Estimator::Paired, per_player * n_players).with_model_interactions(false);
        let (single, all) = coverage(&params, n_players, largest, 200);
        let case = format!("{n_players} players, {per_player} coalitions for each");
        assert!((0.92..=0.98).contains(&single), "{case}: {single} of single values");
        assert!(0.92 <= all, "{case}: {all} of all values at once");
    }
}

#[test]
fn permutation_intervals_hold_at_least_as_often_as_they_say() {
    // Balanced starts make the orders differ more than the estimate: the intervals may be too wide, not too narrow.
    let (single, all) = coverage(&sampled(Estimator::Permutation, 64 * 20), 20, 8, 200);
    assert!(0.92 <= single, "{single} of single values");
    assert!(0.92 <= all, "{all} of all values at once");
}

#[test]
fn permutations_are_exact_for_interactions_of_two_and_add_up() {
    let (n_players, mut stream) = (9, Seed::new(5).stream());
    let terms = unanimity(n_players, 40, 2, &mut stream);
    for nsamples in [16, 17, 40, 200] {
        let data = play(&terms, &sampled(Estimator::Permutation, nsamples), n_players, 3);
        let gaps = &data.shap_values.row(0) - &truth(&terms, n_players);
        assert!(gaps.iter().all(|gap| gap.abs() < 1e-13), "{nsamples}: {gaps}");
        assert!(data.n_coalitions <= nsamples as u64, "{nsamples}: {}", data.n_coalitions);
        assert_eq!(data.estimator, UsedEstimator::Permutation);
        assert!(!data.exact);
        // One order of 9 players takes 8 pairs; a second one shares at most 2 of them.
        assert_eq!(data.standard_errors.is_some(), 28 <= nsamples, "{nsamples}");
    }
    let cubic = unanimity(n_players, 40, 6, &mut stream);
    let data = play(&cubic, &sampled(Estimator::Permutation, 60), n_players, 4);
    let total = truth(&cubic, n_players).sum();
    assert!((data.shap_values.sum() - total).abs() < 1e-13, "efficiency");
}

#[test]
fn the_errors_of_permutations_shrink_with_their_number() {
    // The squared error of a mean over p orders is 1 / p of one order's: between 32 and 512 coalitions per player
    // it falls by 16, here averaged over 40 games.
    let mean_square = |per_player: usize| {
        let of_run = |run: u64| {
            let terms = unanimity(20, 60, 6, &mut Seed::new(run).child(2).stream());
            let data = play(&terms, &sampled(Estimator::Permutation, 20 * per_player), 20, run);
            (&data.shap_values.row(0) - &truth(&terms, 20)).mapv(|gap| gap * gap).sum()
        };
        (0..40).map(of_run).sum::<f64>() / 40.0
    };
    let ratio = mean_square(32) / mean_square(512);
    // Each mean of 40 games of 20 values has a relative standard deviation below sqrt(2 / 40) = .22.
    assert!((8.0..32.0).contains(&ratio), "{ratio}");
}

#[test]
fn ranks_are_certified_only_where_they_are_right() {
    // Slopes that halve from feature to feature, and noise from interactions of three.
    let n_players = 16;
    let slopes: Vec<f64> = (0..n_players).map(|player| 0.5_f64.powi(player)).collect();
    let (mut wrong, mut certified) = (0, 0);
    for run in 0..200_u64 {
        let mut terms = unanimity(16, 30, 3, &mut Seed::new(run).child(3).stream());
        terms.iter_mut().for_each(|(coefficient, _)| *coefficient *= 0.05);
        terms.extend(slopes.iter().enumerate().map(|(player, &slope)| (slope, vec![player])));
        let data = play(&terms, &sampled(Estimator::Paired, 64), 16, run);
        let ranking = &data.ranking.unwrap()[0];
        assert_eq!((ranking.features.len(), ranking.separated.len()), (5, 5));
        let truth = truth(&terms, 16);
        let right = |rank: usize| {
            let feature = ranking.features[rank];
            let higher = &ranking.features[..rank];
            let beats = |other: usize| truth[other].abs() < truth[feature].abs();
            (0..16).filter(|other| !higher.contains(other) && *other != feature).all(beats)
        };
        let separated = (0..5).filter(|&rank| ranking.separated[rank]);
        certified += separated.clone().count();
        wrong += usize::from(separated.into_iter().any(|rank| !right(rank)));
    }
    // At 95% at most 10 of 200 runs say something wrong, give or take 2.5 times sqrt(200 * .05 * .95) = 7.7.
    assert!(wrong <= 17, "{wrong} runs certify a wrong rank");
    assert!(
        300 <= certified,
        "{certified} of 1000 ranks certified: a certificate that is never given is none"
    );
}

#[test]
fn exact_ranks_are_separated_unless_they_tie() {
    let model = Linear::new(&[3.0, -3.0, 2.0, 1.0], 0.0);
    let (background, x) = (Array2::zeros((1, 4)), Array1::ones(4));
    let params = KernelShapParams::default().with_top_k(9);
    let ranking = explain(&params, &model, &background, &x, 0).ranking.unwrap().remove(0);
    assert_eq!(ranking.features, [0, 1, 2, 3]);
    assert_eq!(ranking.separated, [false, true, true, true]);
    let none = KernelShapParams::default().with_top_k(0);
    assert_eq!(explain(&none, &model, &background, &x, 0).ranking, None);
}

#[test]
fn the_error_of_the_background_is_that_of_a_mean() {
    // Linear: phi_j = w_j (x_j - mean_j), whose standard error is |w_j| s_j / sqrt(N) with s_j the sample's standard
    // deviation. With at most 20 rows each is a part by itself, and the estimate is this formula.
    let weights = [2.0_f64, -1.0, 0.5];
    let mut stream = Seed::new(8).stream();
    let background = Array2::from_shape_simple_fn((17, 3), || stream.uniform());
    let formula = |background: &Array2<f64>| {
        let n = background.nrows() as f64;
        let deviations = background.std_axis(ndarray::Axis(0), 1.0);
        Array1::from_iter(deviations.iter().zip(weights).map(|(s, w)| s * w.abs() / n.sqrt()))
    };
    let model = Linear::new(&weights, 0.0);
    for estimator in [Estimator::Exact, Estimator::Auto] {
        let params = KernelShapParams::default().with_estimator(estimator);
        let data = explain(&params, &model, &background, &array![5.0, 6.0, 7.0], 0);
        let error = data.background_error.unwrap();
        for (got, expected) in error.row(0).iter().zip(formula(&background)) {
            assert!((got - expected).abs() < 1e-14, "got {got}, expected {expected}");
        }
    }
    // More rows stand in 20 parts. A variance of 19 degrees of freedom has a relative standard deviation of
    // sqrt(2 / 19) = .32; the mean over 3 features and 30 backgrounds one of .034, of which five are allowed.
    let mut ratios = Vec::new();
    for _ in 0..30 {
        let background = Array2::from_shape_simple_fn((200, 3), || stream.uniform());
        let data =
            explain(&KernelShapParams::default(), &model, &background, &array![5.0, 6.0, 7.0], 0);
        let error = data.background_error.unwrap();
        let expected = formula(&background);
        ratios.extend((&error.row(0) / &expected).mapv(|ratio| ratio * ratio));
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!((mean - 1.0).abs() < 5.0 * 0.034, "{mean}");
}

#[test]
fn the_error_of_the_background_goes_through_the_link() {
    // One feature: phi = logit(p(x)) - logit(mean p), so the error is that of the mean over the slope p (1 - p).
    let background = array![[0.1], [0.4], [0.2], [0.6], [0.3]];
    let model = Elementwise(|x: &[f64]| x[0]);
    let params = KernelShapParams::default().with_link(Link::Logit);
    let data = explain(&params, &model, &background, &array![0.9], 0);
    let (mean, deviation) = (0.32, background.std(1.0));
    let expected = deviation / 5.0_f64.sqrt() / (mean * (1.0 - mean));
    let got = data.background_error.unwrap()[[0, 0]];
    assert!((got - expected).abs() < 1e-14, "got {got}, expected {expected}");
}

#[test]
fn no_background_error_where_there_is_no_sample() {
    let model = Linear::new(&[1.0, 2.0], 0.0);
    let one =
        explain(&KernelShapParams::default(), &model, &Array2::zeros((1, 2)), &array![1.0, 1.0], 0);
    assert_eq!(one.background_error, None);
    let params = KernelShapParams::default().with_background_error(false);
    let off = explain(&params, &model, &array![[0.0, 0.0], [1.0, 0.0]], &array![1.0, 1.0], 0);
    assert_eq!(off.background_error, None);
    let none_varies = explain(
        &KernelShapParams::default(),
        &model,
        &array![[1.0, 1.0], [1.0, 1.0]],
        &array![1.0, 1.0],
        0,
    );
    assert_eq!(none_varies.shap_values, array![[0.0, 0.0]]);
}
