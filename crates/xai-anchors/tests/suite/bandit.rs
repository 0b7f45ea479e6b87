//! The bounds, the exploration rates and the search for the best arms.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test fails by panicking; exact ends")]

use std::convert::Infallible;
use std::ops::ControlFlow;

use proptest::prelude::*;
use xai_anchors::Exploration;
use xai_anchors::bandit::{
    Arms, BestArms, Counts, Step, exploration_rate, kl, lower_bound, upper_bound,
};
use xai_core::{Seed, Stream};

#[track_caller]
fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9, "{got} instead of {expected}");
}

/// By 16 bisections in float64 with an independent program, printed to ten decimals.
#[test]
fn bounds_are_those_of_sixteen_bisections() {
    let ln10 = f64::ln(10.0);
    let means = [0.0, 0.5, 0.9, 0.95, 0.99];
    for (level, above, below) in [
        (
            0.01,
            [0.0099523208, 0.5703589374, 0.9370903056, 0.9750190735, 0.9984074402],
            [0.4296410626, 0.8523240244, 0.9130974333, 0.9688739765, 0.9900487582],
        ),
        (
            0.05,
            [0.0487736551, 0.6542440303, 0.9687225342, 0.9918991089, 0.9999751282],
            [0.3457559697, 0.7799211720, 0.8509351479, 0.9219012076, 0.9512287576],
        ),
        (
            0.1,
            [0.0951666382, 0.7128795673, 0.9834365845, 0.9973129272, 0.9999998474],
            [0.2871204327, 0.7176200232, 0.7935953429, 0.8721403562, 0.9048367737],
        ),
        (
            0.5,
            [0.3934707642, 0.8975372314, 0.9997390747, 0.9999992371, 1.0],
            [0.1024627686, 0.4251770020, 0.4970275879, 0.5752355957, 0.6065292358],
        ),
        (
            ln10 / 100.0,
            [0.0227642148, 0.6060752814, 0.9521606445, 0.9837471008, 0.9996160889],
            [0.3939247186, 0.8237028787, 0.8892337577, 0.9520438153, 0.9772357852],
        ),
    ] {
        for (mean, expected) in means.into_iter().zip(above) {
            close(upper_bound(mean, level), expected);
        }
        for (mean, expected) in means[1..].iter().copied().chain([1.0]).zip(below) {
            close(lower_bound(mean, level), expected);
        }
        assert_eq!((lower_bound(0.0, level), upper_bound(1.0, level)), (0.0, 1.0));
    }
    // All successes: about exp(-level).
    for (n, expected) in [
        (10_u32, 0.794327218),
        (20, 0.891250448),
        (30, 0.926116400),
        (40, 0.944060628),
        (45, 0.950117863),
        (50, 0.954990744),
        (100, 0.977235785),
        (200, 0.988552613),
    ] {
        close(lower_bound(1.0, ln10 / f64::from(n)), expected);
        let all = Counts { n_samples: n.into(), positives: n.into() };
        close(all.lower_bound(ln10), expected);
    }
}

/// `p ln(p/q) + (1-p) ln((1-p)/(1-q))` with both ends clamped, by an independent program.
#[test]
fn the_divergence_is_that_of_clamped_means() {
    close(kl(0.5, 0.6), 0.0204109973);
    close(kl(0.9, 0.8), 0.0366900140);
    close(kl(1.0, 0.5), std::f64::consts::LN_2);
    close(kl(0.0, 0.5), 0.6931454688);
    close(kl(1.0, 0.0), 16.1180956510);
    close(kl(0.0, 1.0), 36.7367951842);
}

/// `u + ln u` with `u = ln(405.5 K t^1.1 / delta)`; the practical rate is `ln((1 + ln t) / delta)`, whatever the arms.
#[test]
fn exploration_rates_are_those_of_their_formulas() {
    for (n_arms, step, delta, expected) in [
        (1, 1, 0.1, 10.4248894803),
        (10, 1, 0.1, 12.9721154444),
        (10, 2, 0.1, 13.8039733614),
        (12, 5, 0.1, 15.0937498539),
        (100, 10, 0.05, 18.9200973935),
        (3, 1, 0.05, 12.4119479311),
    ] {
        close(exploration_rate(n_arms, step, delta), expected);
        close(Exploration::Proved.rate(n_arms, step, delta), expected);
    }
    // ln 10, ln 100, and 1 + ln 7 = 2.9459.
    close(Exploration::Practical.rate(1, 1, 0.1), std::f64::consts::LN_10);
    close(Exploration::Practical.rate(10, 1, 0.01), 2.0 * std::f64::consts::LN_10);
    close(Exploration::Practical.rate(4, 7, 0.05), f64::ln(2.945_910_149_055_313 / 0.05));
}

/// Bounds are rounded outwards by at most this.
fn rounding(level: f64) -> f64 {
    (level / 2.0).sqrt() / 65536.0
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// The mean lies between its bounds, and these in the unit interval.
    #[test]
    fn bounds_enclose_the_mean(p in 0.0..=1.0_f64, level in 1e-6..5.0_f64) {
        let (lower, upper) = (lower_bound(p, level), upper_bound(p, level));
        prop_assert!(0.0 <= lower && lower <= p && p <= upper && upper <= 1.0);
    }

    /// The definition: at the bound, the divergence is the level, up to the slope times the rounding.
    #[test]
    fn the_divergence_at_a_bound_is_the_level(p in 0.05..0.95_f64, level in 1e-3..0.5_f64) {
        for bound in [lower_bound(p, level), upper_bound(p, level)] {
            if 0.01 < bound && bound < 0.99 {
                prop_assert!((kl(p, bound) - level).abs() < 1e-3, "{bound}");
                // Outwards, never inwards.
                prop_assert!(level <= kl(p, bound) + 1e-12);
            }
        }
    }

    /// A larger level leaves more means plausible; more samples leave fewer.
    #[test]
    fn bounds_widen_with_the_level(p in 0.0..=1.0_f64, level in 1e-4..1.0_f64, factor in 1.0..10.0_f64) {
        let slack = rounding(factor * level) + 1e-12;
        prop_assert!(upper_bound(p, level) <= upper_bound(p, factor * level) + slack);
        prop_assert!(lower_bound(p, factor * level) <= lower_bound(p, level) + slack);
    }

    /// The same share of ten times as many samples has tighter bounds; without samples nothing is known.
    #[test]
    fn bounds_tighten_with_samples(n in 1_u64..500, share in 0.0..=1.0_f64, beta in 0.5..20.0_f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of n")]
        let positives = (share * n as f64) as u64;
        let (few, many) = (
            Counts { n_samples: n, positives },
            Counts { n_samples: 10 * n, positives: 10 * positives },
        );
        let slack = rounding(beta / n as f64) + 1e-12;
        prop_assert!(many.upper_bound(beta) <= few.upper_bound(beta) + slack);
        prop_assert!(few.lower_bound(beta) <= many.lower_bound(beta) + slack);
        let none = Counts::default();
        prop_assert_eq!((none.mean(), none.lower_bound(beta), none.upper_bound(beta)), (0.0, 0.0, 1.0));
    }

    /// Rates grow with steps and confidence, and the proved one with the number of arms.
    #[test]
    fn rates_grow(k in 1_usize..200, t in 1_u64..1000, delta in 0.01..0.5_f64) {
        for exploration in [Exploration::Practical, Exploration::Proved] {
            let rate = exploration.rate(k, t, delta);
            prop_assert!(rate < exploration.rate(k, t + 1, delta));
            prop_assert!(rate < exploration.rate(k, t, delta / 2.0));
        }
        prop_assert!(exploration_rate(k, t, delta) < exploration_rate(k + 1, t, delta));
        prop_assert!(Exploration::Practical.rate(k, t, delta) < Exploration::Proved.rate(k, t, delta));
    }
}

/// Arms of known means.
struct Known {
    means: Vec<f64>,
    weights: Vec<f64>,
    counts: Vec<Counts>,
    stream: Stream,
    /// Pulls that are still allowed.
    left: usize,
    pulls: Vec<(Vec<usize>, usize)>,
    steps: Vec<Step>,
}

impl Known {
    fn new(means: &[f64], seed: Seed) -> Self {
        Known {
            means: means.to_vec(),
            weights: vec![0.0; means.len()],
            counts: vec![Counts::default(); means.len()],
            stream: seed.stream(),
            left: usize::MAX,
            pulls: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn n_samples(&self) -> u64 {
        self.counts.iter().map(|counts| counts.n_samples).sum()
    }
}

impl Arms for Known {
    type Error = Infallible;

    fn len(&self) -> usize {
        self.means.len()
    }

    fn counts(&self, arm: usize) -> Counts {
        self.counts[arm]
    }

    fn weight(&self, arm: usize) -> f64 {
        self.weights[arm]
    }

    fn pull(&mut self, arms: &[usize], n_samples: usize) -> Result<ControlFlow<()>, Infallible> {
        if self.left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        self.left -= 1;
        self.pulls.push((arms.to_vec(), n_samples));
        for &arm in arms {
            for _ in 0..n_samples {
                self.counts[arm].n_samples += 1;
                self.counts[arm].positives += u64::from(self.stream.uniform() < self.means[arm]);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn step(&mut self, step: &Step) {
        self.steps.push(*step);
    }
}

fn best_arms(top_n: usize) -> BestArms {
    let exploration = Exploration::Practical;
    BestArms { top_n, tau: 0.15, delta: 0.1, exploration, batch_size: 10, by_weight: true }
}

const RUNS: u64 = 200;

/// Means of arms, from easy to as hard as a tolerance of 0.15 allows: the others just beyond it.
fn layouts() -> Vec<Vec<f64>> {
    vec![
        vec![0.2, 0.4, 0.6, 0.8, 0.95],
        vec![0.9, 0.7, 0.74, 0.72, 0.71, 0.73],
        vec![0.34, 0.34, 0.5, 0.34, 0.34],
        (0..12).map(|arm| f64::from(arm) / 12.0).collect(),
        vec![0.99, 0.83, 0.83, 0.98, 0.83, 0.97, 0.81],
    ]
}

/// The promise itself: each chosen arm is within `tau` of the best that could have been chosen in its place, in at
/// least `1 - delta` of the runs.
#[test]
fn chosen_arms_are_within_tau_of_the_best() {
    for exploration in [Exploration::Practical, Exploration::Proved] {
        for (layout, means) in layouts().into_iter().enumerate() {
            for top_n in [1, 3] {
                let mut sorted = means.clone();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let mut wrong = 0;
                for run in 0..RUNS {
                    let mut arms = Known::new(&means, Seed::new(run).child(layout as u64));
                    let search = BestArms { exploration, ..best_arms(top_n) };
                    let (chosen, complete) = search.search(&mut arms).unwrap();
                    assert!(complete && chosen.len() == top_n);
                    let worst = chosen.iter().map(|&arm| means[arm]).fold(1.0, f64::min);
                    wrong += u64::from(worst < sorted[top_n - 1] - search.tau);
                }
                assert!(wrong as f64 <= 0.1 * RUNS as f64, "{exploration:?} {means:?}: {wrong}");
            }
        }
    }
}

/// A risk near 1 is taken: the searches above are not right whatever the bounds are.
#[test]
fn without_confidence_bounds_the_search_is_often_wrong() {
    let means = &layouts()[2];
    let wrong = (0..RUNS).filter(|&run| {
        let mut arms = Known::new(means, Seed::new(run));
        let search = BestArms { tau: 1.0, ..best_arms(1) };
        let (chosen, _) = search.search(&mut arms).unwrap();
        chosen != [2]
    });
    assert!(RUNS / 5 < wrong.count() as u64);
}

/// What the documentation says of the price of the proved rate.
#[test]
fn the_proved_rate_takes_two_to_six_times_as_many_samples() {
    for means in layouts() {
        let samples = |exploration| -> u64 {
            let of = |run| {
                let mut arms = Known::new(&means, Seed::new(run));
                BestArms { exploration, ..best_arms(1) }.search(&mut arms).unwrap();
                arms.n_samples()
            };
            (0..50).map(of).sum()
        };
        let ratio = samples(Exploration::Proved) as f64 / samples(Exploration::Practical) as f64;
        assert!((2.0..=6.0).contains(&ratio), "{means:?}: {ratio}");
    }
}

/// One sample of each unseen arm in one go, then batches of the two arms that decide; the search ends at the first step
/// whose bounds are within `tau`.
#[test]
fn each_step_pulls_the_two_arms_that_decide() {
    let mut arms = Known::new(&[0.3, 0.5, 0.8, 0.7], Seed::new(5));
    arms.counts[3] = Counts { n_samples: 4, positives: 3 };
    let search = BestArms { top_n: 2, ..best_arms(2) };
    let (chosen, complete) = search.search(&mut arms).unwrap();
    assert!(complete && chosen.len() == 2);
    assert_eq!(arms.pulls[0], (vec![0, 1, 2], 1));
    assert_eq!(arms.steps.len(), arms.pulls.len());
    for (place, step) in arms.steps.iter().enumerate() {
        assert_eq!(step.step, place as u64 + 1);
        let is_last = place + 1 == arms.steps.len();
        assert_eq!(step.upper_bound - step.lower_bound <= search.tau, is_last);
        if !is_last {
            assert_eq!(arms.pulls[place + 1], (vec![step.challenger, step.best], 10));
        }
    }
    // Ascending by mean.
    let mean = |arm: usize| arms.counts[arm].mean();
    assert!(mean(chosen[0]) <= mean(chosen[1]));
}

/// Arms that are known too well for another sample, so that the order alone decides.
fn settled(shares: &[f64], weights: &[f64]) -> Known {
    let mut arms = Known::new(shares, Seed::new(0));
    arms.weights = weights.to_vec();
    for (counts, share) in arms.counts.iter_mut().zip(shares) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let positives = (share * 1e6) as u64;
        *counts = Counts { n_samples: 1_000_000, positives };
    }
    arms
}

#[test]
fn of_equal_means_the_larger_weight_wins_and_then_the_first() {
    let choose = |top_n, by_weight, shares: &[f64], weights: &[f64]| {
        let mut arms = settled(shares, weights);
        BestArms { by_weight, ..best_arms(top_n) }.search(&mut arms).unwrap().0
    };
    let (equal, weights) = ([0.9; 4], [1.0, 3.0, 3.0, 2.0]);
    assert_eq!(choose(1, true, &equal, &weights), [1]);
    assert_eq!(choose(2, true, &equal, &weights), [2, 1]);
    assert_eq!(choose(3, true, &equal, &weights), [3, 2, 1]);
    // The mean comes first, whatever the weight.
    assert_eq!(choose(1, true, &[0.9, 0.8, 0.91], &[5.0, 9.0, 1.0]), [2]);
    // By place alone, the later the better.
    assert_eq!(choose(1, false, &equal, &weights), [3]);
    assert_eq!(choose(2, false, &equal, &weights), [2, 3]);
}

#[test]
fn no_more_arms_than_wanted_are_all_taken_with_one_sample_each() {
    let mut arms = Known::new(&[0.1, 0.9], Seed::new(0));
    assert_eq!(best_arms(5).search(&mut arms).unwrap(), (vec![0, 1], true));
    assert_eq!(arms.pulls, [(vec![0, 1], 1)]);
    assert_eq!(best_arms(1).search(&mut Known::new(&[], Seed::new(0))).unwrap(), (vec![], true));
}

/// An end of the samples is told, at whatever pull it comes, and the best so far is still named.
#[test]
fn a_search_without_samples_says_so() {
    for left in 0..4 {
        let mut arms = Known::new(&[0.5, 0.5, 0.5], Seed::new(2));
        arms.left = left;
        let (chosen, complete) = best_arms(1).search(&mut arms).unwrap();
        assert!(!complete && chosen.len() == 1 && arms.pulls.len() == left);
    }
}
