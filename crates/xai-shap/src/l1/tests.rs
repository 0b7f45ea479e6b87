//! Selections by scikit-learn, the numbers of alibi, and the laws of the native semantics.

use ndarray::{Array1, Array2, Axis, array};
use serde::Deserialize;
use serde_json::{from_value, json, to_value};
use xai_core::{Error, Predictor, Rows, Seed, Stream};
use xai_testkit::{KernelShapCase, reference};

use super::{L1Reg, NativeSelection, SelectionRules, select};
use crate::coalitions::{Coalitions, contains};
use crate::reference::Reference;
use crate::reference::design::design;
use crate::reference::regression::solve;
use crate::selected::restricted;

#[derive(Deserialize)]
struct Recorded {
    games: Vec<Game>,
}

#[derive(Deserialize)]
struct Game {
    n_players: usize,
    n_allocated: usize,
    coalitions: Vec<String>,
    weights: Vec<f64>,
    effects: Vec<f64>,
    change: f64,
    selected: Vec<(L1Reg, Vec<usize>)>,
}

impl Game {
    fn all() -> Vec<Self> {
        let recorded: Recorded = serde_json::from_str(&reference("l1_selection.json")).unwrap();
        recorded.games
    }

    fn coalitions(&self) -> Coalitions {
        let mut coalitions = Coalitions::new(self.n_players);
        for bits in &self.coalitions {
            coalitions.push(bits.bytes().enumerate().filter(|bit| bit.1 == b'1').map(|bit| bit.0));
        }
        coalitions
    }

    /// The selection when the outputs are multiplied by the factor.
    fn select(&self, factor: f64, rule: L1Reg, rules: &dyn SelectionRules) -> Vec<usize> {
        let effects = Array1::from(self.effects.clone()).insert_axis(Axis(0)) * factor;
        select(
            &self.coalitions(),
            &self.weights,
            self.n_allocated,
            &effects,
            &array![self.change * factor],
            rule,
            rules,
        )
        .unwrap()
        .remove(0)
    }
}

#[test]
fn the_reference_selects_as_scikit_learn_does() {
    let games = Game::all();
    let mut shortened = 0;
    for (index, game) in games.iter().enumerate() {
        for (rule, expected) in &game.selected {
            let got = game.select(1.0, *rule, &Reference);
            assert_eq!(&got, expected, "game {index}, {rule:?}");
            let all = *rule == L1Reg::NumFeatures(game.n_players);
            shortened += usize::from(all && expected.len() < game.n_players);
        }
    }
    assert!(10 <= games.len() && 2 <= shortened, "floors and crossings shorten some paths");
}

#[test]
fn native_selections_do_not_depend_on_the_scale() {
    for (index, game) in Game::all().iter().enumerate() {
        let rules = [L1Reg::NumFeatures(2), L1Reg::Aic, L1Reg::Bic];
        for rule in rules.into_iter().chain([0.01, 0.1, 10.0].map(L1Reg::Alpha)) {
            let expected = game.select(1.0, rule, &NativeSelection);
            assert!(!expected.is_empty() && expected.is_sorted(), "game {index}, {rule:?}");
            for factor in [1e-12, 1e-5, -1.0, 1e12] {
                let got = game.select(factor, rule, &NativeSelection);
                assert_eq!(got, expected, "game {index}, {rule:?}, {factor}");
            }
        }
        assert_eq!(game.select(1.0, L1Reg::Alpha(1e9), &NativeSelection).len(), 1);
        assert_eq!(game.select(1.0, L1Reg::Alpha(1e9), &Reference), Vec::<usize>::new());
    }
}

#[test]
fn native_selection_finds_the_players_of_a_linear_game() {
    let slopes = [0.0, 3.0, 0.0, -0.5, 0.0, 1.0, 0.0, 0.0];
    for scale in [1e-12, 1.0, 1e12] {
        let design = design(8, 100, &mut Seed::new(3).stream());
        let (effects, changes) = linear(&design.coalitions, &slopes.map(|slope| slope * scale));
        let select = |rule, rules: &dyn SelectionRules| {
            select(
                &design.coalitions,
                &design.weights,
                design.n_allocated,
                &effects,
                &changes,
                rule,
                rules,
            )
            .unwrap()
            .remove(0)
        };
        assert_eq!(select(L1Reg::NumFeatures(3), &NativeSelection), [1, 3, 5]);
        assert_eq!(select(L1Reg::NumFeatures(1), &NativeSelection), [1]);
        assert_eq!(select(L1Reg::Alpha(0.01), &NativeSelection), [1, 3, 5]);
        assert!(
            [1, 3, 5].iter().all(|player| select(L1Reg::Aic, &NativeSelection).contains(player))
        );
        let kept = if scale < 1.0 { vec![] } else { vec![1, 5, 3] };
        assert_eq!(select(L1Reg::NumFeatures(3), &Reference), kept);
    }
}

/// Effects and change of a game in which each player adds its slope.
fn linear(coalitions: &Coalitions, slopes: &[f64]) -> (Array2<f64>, Array1<f64>) {
    let effect = |(_, index): (usize, usize)| {
        let coalition = coalitions.get(index);
        (0..slopes.len()).filter(|&player| contains(coalition, player)).map(|p| slopes[p]).sum()
    };
    let effects = Array2::from_shape_fn((1, coalitions.len()), effect);
    (effects, array![slopes.iter().sum::<f64>()])
}

#[test]
fn a_change_that_no_coalition_shows_still_has_a_player() {
    let design = design(4, 14, &mut Seed::new(0).stream());
    let effects = Array2::zeros((2, 14));
    for rule in [L1Reg::NumFeatures(2), L1Reg::Aic, L1Reg::Bic, L1Reg::Alpha(0.5)] {
        let select = |rules: &dyn SelectionRules| {
            let changes = array![1.0, 0.0];
            select(&design.coalitions, &design.weights, 14, &effects, &changes, rule, rules)
                .unwrap()
        };
        let native = select(&NativeSelection);
        assert!(!native[0].is_empty() && native[1].is_empty(), "{rule:?}: {native:?}");
        assert!(select(&Reference)[1].is_empty());
    }
}

#[test]
fn a_criterion_needs_more_rows_than_players() {
    let mut coalitions = Coalitions::new(9);
    (0..5).for_each(|player| coalitions.push([player]));
    let (effects, changes) = linear(&coalitions, &[1.0; 9]);
    let select = |n_allocated| {
        let weights = [0.2; 5];
        let rules = &Reference;
        select(&coalitions, &weights, n_allocated, &effects, &changes, L1Reg::Bic, rules)
    };
    assert!(matches!(select(5), Err(Error::Budget { given: 5, needed: 6, .. })));
    assert!(select(6).is_ok());
}

#[test]
fn every_case_with_an_l1_rule_agrees_with_alibi() {
    let cases = KernelShapCase::with_l1();
    assert_eq!(cases.len(), 6, "the reference holds six cases with an l1 rule");
    cases.iter().for_each(check);
}

#[track_caller]
fn check(case: &KernelShapCase) {
    let n_players = case.background.ncols();
    let rule: L1Reg = from_value(case.explain.l1_reg.clone()).unwrap();
    let design = design(n_players, 2 * n_players + 2048, &mut Seed::new(0).stream());
    assert_eq!(design.coalitions.len(), 1022);
    let expected = case.expected_value.view();
    for (row, instance) in case.instances.rows().into_iter().enumerate() {
        let worth = |coalition: &[u64]| {
            let mut rows = case.background.clone();
            for player in (0..n_players).filter(|&player| contains(coalition, player)) {
                rows.column_mut(player).fill(instance[player]);
            }
            mean_output(&case.fixture.network, &rows)
        };
        let mut effects = Array2::zeros((expected.len(), design.coalitions.len()));
        for (index, mut effects) in effects.columns_mut().into_iter().enumerate() {
            effects.assign(&(worth(design.coalitions.get(index)) - expected));
        }
        let changes = worth(&[u64::MAX]) - expected;
        let (coalitions, weights) = (&design.coalitions, &design.weights);
        let rules = &Reference;
        let selected =
            select(coalitions, weights, design.n_allocated, &effects, &changes, rule, rules);
        let values = solve(coalitions, weights, &effects, &changes, &selected.unwrap()).unwrap();
        for ((output, player), &value) in values.indexed_iter() {
            let golden = case.shap_values[[output, row, player]];
            // Both solve normal equations in float64 on values of order 1.
            assert!(
                (value - golden).abs() <= 1e-9 * golden.abs(),
                "{}, row {row}: {values}",
                case.name
            );
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the game is computed outside of a run")]
fn mean_output(network: &dyn Predictor, rows: &Rows) -> Array1<f64> {
    network.predict(rows).unwrap().mean_axis(Axis(0)).unwrap()
}

#[test]
fn a_restricted_problem_has_the_same_solution_either_way() {
    let design = design(12, 200, &mut Seed::new(5).stream());
    let mut stream: Stream = Seed::new(6).stream();
    let effects = Array2::from_shape_fn((3, 200), |_| stream.uniform() - 0.3);
    let changes = array![0.7, -0.2, 1.3];
    let sets = [vec![7, 0, 3, 11], vec![5], vec![7, 0, 3, 11]];
    let (coalitions, weights) = (&design.coalitions, &design.weights);
    let values = solve(coalitions, weights, &effects, &changes, &sets).unwrap();
    let centred = restricted(coalitions, weights, &effects, &changes, &sets).unwrap();
    // Two factorisations of one well conditioned problem of order 1.
    assert!((&values - &centred).iter().all(|difference| difference.abs() < 1e-12));
    assert!((centred.sum_axis(Axis(1)) - &changes).iter().all(|rest| rest.abs() < 1e-14));
    assert!((centred[[1, 5]] - changes[1]).abs() < 1e-15);
    assert_eq!(centred.iter().filter(|&&value| value != 0.0).count(), 9);
}

#[test]
fn rules_read_and_write_as_in_the_reference() {
    for (text, rule) in [
        (json!(false), L1Reg::Off),
        (json!("auto"), L1Reg::Auto),
        (json!("aic"), L1Reg::Aic),
        (json!("bic"), L1Reg::Bic),
        (json!("num_features(3)"), L1Reg::NumFeatures(3)),
        (json!(0.25), L1Reg::Alpha(0.25)),
    ] {
        assert_eq!(to_value(rule).unwrap(), text);
        assert_eq!(from_value::<L1Reg>(text).unwrap(), rule);
        assert!(rule.check().is_ok());
    }
    for zero in [json!(0), json!(0.0), json!(-0.0)] {
        assert_eq!(from_value::<L1Reg>(zero).unwrap(), L1Reg::Off);
    }
    for bad in
        [json!(true), json!(null), json!("AIC"), json!("num_features(-1)"), json!("num_features(3")]
    {
        let message = from_value::<L1Reg>(bad.clone()).unwrap_err().to_string();
        assert!(message.contains("l1_reg must be false, \"auto\""), "{bad}: {message}");
    }
    let nan = f64::NAN;
    for rule in [L1Reg::NumFeatures(0), L1Reg::Alpha(0.0), L1Reg::Alpha(-1.0), L1Reg::Alpha(nan)] {
        assert_eq!(rule.check().unwrap_err().name, "l1_reg");
    }
}

#[test]
fn the_automatic_rule_looks_at_the_share_of_coalitions() {
    assert_eq!(L1Reg::Auto.resolve(0.199), L1Reg::Aic);
    assert_eq!(L1Reg::Auto.resolve(0.2), L1Reg::Off);
    assert_eq!(L1Reg::Bic.resolve(0.0), L1Reg::Bic);
}
