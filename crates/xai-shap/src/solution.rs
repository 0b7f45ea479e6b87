//! From the values of coalitions to Shapley values and their uncertainty.

use std::rc::Rc;

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Result, Rows, Run, Semantics};

use crate::coalitions::Coalitions;
use crate::design::Design;
use crate::designs::PairedDesign;
use crate::exact;
use crate::game::{Game, Memory, Totals};
use crate::l1::{self, L1Reg};
use crate::paired::{Regression, differences};
use crate::params::KernelShapParams;
use crate::reference;
use crate::session::Work;
use crate::uncertainty::Influences;

/// Evaluated coalitions: all of them in the order of their bits, or the empty one, the full one and the design's.
pub(crate) struct State<'s> {
    pub(crate) work: &'s Work,
    pub(crate) totals: &'s Totals,
    /// Pairs of a sample.
    pub(crate) done: usize,
}

/// Values of the players and how far they may be off.
pub(crate) struct Found {
    /// Shape `(n_outputs, n_players)`.
    pub(crate) values: Array2<f64>,
    /// By output; `None` when there are too few coalitions to tell.
    pub(crate) influences: Option<Vec<Influences>>,
    /// What each part of the background adds to the error that comes from it, shape `(n_outputs, n_players)` each;
    /// `None` when the parts were not kept apart.
    pub(crate) background: Option<Vec<Array2<f64>>>,
    pub(crate) expected_value: Array1<f64>,
    pub(crate) n_coalitions: u64,
    pub(crate) exact: bool,
    /// The players of each output's regression, where a rule chose them.
    pub(crate) selected: Option<Vec<Vec<usize>>>,
}

impl Found {
    /// Whether the standard errors are within the tolerance that was asked for.
    pub(crate) fn within(&self, params: &KernelShapParams) -> bool {
        let Some(influences) = &self.influences else { return false };
        self.values.rows().into_iter().zip(influences).all(|(values, influences)| {
            let largest = values.fold(f64::NEG_INFINITY, |largest, &value| largest.max(value));
            let smallest = values.fold(f64::INFINITY, |smallest, &value| smallest.min(value));
            let error = influences.standard_errors().fold(0.0_f64, |most, &own| most.max(own));
            params.tolerance.is_some_and(|share| error <= share * (largest - smallest))
                || params.absolute_tolerance.is_some_and(|most| error <= most)
        })
    }
}

/// The linear map from the values of coalitions to those of the players, by output where outputs differ.
enum Map<'s> {
    All {
        n_players: usize,
    },
    Paired {
        regression: Rc<Regression>,
    },
    /// One regression for each output, on its selected players; `pairs` are columns of a complete list.
    Selected {
        regressions: Vec<(Vec<usize>, Regression)>,
        pairs: Option<Vec<[usize; 2]>>,
        n_players: usize,
    },
    Permutation {
        design: &'s crate::designs::PermutationDesign,
        n_pairs: usize,
    },
}

impl Map<'_> {
    /// Values of the players from those of the coalitions, shape `(n_outputs, n_coalitions)`.
    fn values(&self, worth: &Rows, changes: &Array1<f64>) -> Array2<f64> {
        match self {
            Map::All { n_players } => exact::shapley(worth, *n_players),
            Map::Paired { regression } => regression.values(&deltas(worth), changes),
            Map::Permutation { design, n_pairs } => {
                design.values(*n_pairs, &deltas(worth), changes)
            }
            Map::Selected { regressions, pairs, n_players } => {
                let deltas = paired_deltas(worth, pairs.as_deref());
                let mut values = Array2::zeros((worth.nrows(), *n_players));
                let chosen =
                    |&(_, (players, _)): &(usize, &(Vec<usize>, Regression))| !players.is_empty();
                for (output, (players, regression)) in regressions.iter().enumerate().filter(chosen)
                {
                    let deltas = deltas.slice(s![output..=output, ..]);
                    let of_output =
                        regression.values(&deltas, &changes.slice(s![output..=output]).to_owned());
                    for (&player, &value) in players.iter().zip(of_output.row(0)) {
                        values[[output, player]] = value;
                    }
                }
                values
            }
        }
    }

    fn influences(
        &self,
        worth: &Rows,
        changes: &Array1<f64>,
        values: &Array2<f64>,
    ) -> Option<Vec<Influences>> {
        let n_players = values.ncols();
        let of_output = |output: usize| match self {
            Map::All { .. } => Some(Influences::none(n_players)),
            Map::Paired { regression } => {
                let deltas = deltas(&worth.slice(s![output..=output, ..]));
                regression.influences(&deltas.row(0).to_owned(), &values.row(output).to_owned())
            }
            Map::Permutation { design, n_pairs } => {
                let deltas = deltas(&worth.slice(s![output..=output, ..]));
                design.influences(*n_pairs, &deltas.row(0).to_owned(), changes[output])
            }
            Map::Selected { regressions, pairs, .. } => {
                let (players, regression) = &regressions[output];
                let deltas = paired_deltas(&worth.slice(s![output..=output, ..]), pairs.as_deref());
                let own: Array1<f64> =
                    players.iter().map(|&player| values[[output, player]]).collect();
                let found = regression.influences(&deltas.row(0).to_owned(), &own)?;
                let places: Vec<Vec<usize>> = (0..n_players)
                    .map(|player| {
                        players.iter().position(|&own| own == player).into_iter().collect()
                    })
                    .collect();
                Some(found.of_sums(&places))
            }
        };
        (0..values.nrows()).map(of_output).collect()
    }
}

/// Differences of pairs that stand behind the empty and the full coalition.
fn deltas(worth: &Rows) -> Array2<f64> {
    differences(&worth.slice(s![.., 2..]))
}

fn paired_deltas(worth: &Rows, pairs: Option<&[[usize; 2]]>) -> Array2<f64> {
    let Some(pairs) = pairs else { return deltas(worth) };
    Array2::from_shape_fn((worth.nrows(), pairs.len()), |(output, pair)| {
        let [one, other] = pairs[pair];
        worth[[output, one]] - worth[[output, other]]
    })
}

/// Solves for the players' values from what has been evaluated.
///
/// # Errors
/// [`Error::Singular`](xai_core::Error::Singular) when the coalitions leave some players' values open;
/// [`Error::Param`](xai_core::Error::Param) when the link does not fit the outputs.
pub(crate) fn solve(
    params: &KernelShapParams,
    game: &Game<'_>,
    memory: &Memory,
    state: &State<'_>,
    run: &mut Run<'_>,
) -> Result<Found> {
    let n_outputs = memory.answers.n_outputs();
    let n_parts = state.totals.len() / n_outputs.max(1);
    let n_columns = state.totals.first().map_or(0, Vec::len);
    let part = |part: usize| {
        let numbers = state.totals[part * n_outputs..][..n_outputs].concat();
        Array2::from_shape_vec((n_outputs, n_columns), numbers).expect("a number per coalition")
    };
    let mut means = part(0);
    (1..n_parts).for_each(|index| means += &part(index));
    let mut worth = means.clone();
    params.link.apply(&mut worth, params.link_epsilon, run)?;
    let all = matches!(state.work, Work::All);
    let full = if all { n_columns - 1 } else { 1 };
    let expected_value = worth.column(0).to_owned();
    if params.semantics == Semantics::Reference && full != 0 {
        // Columns that the reference takes for equal keep the background's values, yet the sum is that of the instance.
        let mut at_x = memory.answers.of_instance().insert_axis(Axis(1));
        params.link.apply(&mut at_x, params.link_epsilon, run)?;
        worth.column_mut(full).assign(&at_x.column(0));
    }
    let changes = &worth.column(full) - &expected_value;
    let n_players = game.players.len();
    let n_coalitions = if all { n_columns.max(2) - 2 } else { 2 * state.done };
    let exact = match state.work {
        Work::All => true,
        Work::Paired(design) => design.exhausted(state.done),
        Work::Permutation(_) => false,
        Work::Reference(design) => 1.0 <= design.fraction_evaluated,
    };
    let mut found = Found {
        values: Array2::zeros((n_outputs, n_players)),
        influences: None,
        background: None,
        expected_value,
        n_coalitions: n_coalitions as u64,
        exact,
        selected: None,
    };
    let rule = rule(params.l1_reg, n_players, n_coalitions);
    if let Work::Reference(design) = state.work {
        found.n_coalitions = design.coalitions.len() as u64;
        let effects = &worth.slice(s![.., 2..]) - &worth.slice(s![.., ..1]);
        let selected = l1::select(
            &design.coalitions,
            &design.weights,
            design.n_allocated,
            &effects,
            &changes,
            params.l1_reg.resolve(design.fraction_evaluated),
            params.semantics,
        )?;
        let (values, _) =
            reference::solve(&design.coalitions, &design.weights, &effects, &changes, &selected)?;
        found.values = values;
        found.influences =
            exact.then(|| (0..n_outputs).map(|_| Influences::none(n_players)).collect());
        found.selected = (rule != L1Reg::Off).then_some(selected);
        return Ok(found);
    }
    let map = match (rule, state.work) {
        (L1Reg::Off, Work::Paired(design)) => {
            Map::Paired { regression: design.regression(state.done)? }
        }
        (_, Work::Permutation(design)) => Map::Permutation { design, n_pairs: state.done },
        (rule, Work::Paired(design)) => {
            let coalitions = design.coalitions(0, state.done);
            let selected =
                select(rule, &coalitions, &design.weights(state.done), &worth, &changes)?;
            let regressions = regressions(design, state.done, &selected)?;
            found.selected = Some(selected);
            Map::Selected { regressions, pairs: None, n_players }
        }
        (rule, _) if rule != L1Reg::Off && 2 <= n_players => {
            // All pairs, as columns of the complete list.
            let all = (1 << (n_players - 1)) - 1;
            let design = PairedDesign::new(Design::new(n_players, all, true, run.seed()));
            let coalitions = design.coalitions(0, all);
            let column =
                |index: usize| usize::try_from(coalitions.get(index)[0]).expect("an index");
            let columns: Vec<usize> = (0..coalitions.len()).map(column).collect();
            let ends = [0, full];
            let order: Vec<usize> = ends.into_iter().chain(columns.iter().copied()).collect();
            let ordered = worth.select(Axis(1), &order);
            let selected = select(rule, &coalitions, &design.weights(all), &ordered, &changes)?;
            let regressions = regressions(&design, all, &selected)?;
            found.selected = Some(selected);
            let pairs = columns.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
            Map::Selected { regressions, pairs: Some(pairs), n_players }
        }
        _ => Map::All { n_players },
    };
    found.values = map.values(&worth, &changes);
    found.influences = map.influences(&worth, &changes, &found.values);
    if 1 < n_parts {
        let slopes = params.link.slopes(&means, params.link_epsilon);
        let deviation = |index: usize| {
            let weight = game.part_weight(index, n_parts);
            let deviations = (part(index) - &means * weight) * &slopes;
            let changes = &deviations.column(full) - &deviations.column(0);
            map.values(&deviations, &changes) * (n_parts as f64 / (n_parts - 1) as f64).sqrt()
        };
        found.background = Some((0..n_parts).map(deviation).collect());
    }
    Ok(found)
}

/// The rule for a game of so many players and coalitions.
fn rule(rule: L1Reg, n_players: usize, n_coalitions: usize) -> L1Reg {
    let all = if n_players < 31 { 2.0_f64.powi(n_players as i32) - 2.0 } else { f64::INFINITY };
    rule.resolve(n_coalitions as f64 / all.max(1.0))
}

fn select(
    rule: L1Reg,
    coalitions: &Coalitions,
    weights: &[f64],
    worth: &Rows,
    changes: &Array1<f64>,
) -> Result<Vec<Vec<usize>>> {
    let effects = &worth.slice(s![.., 2..]) - &worth.slice(s![.., ..1]);
    l1::select(coalitions, weights, weights.len(), &effects, changes, rule, Semantics::Native)
}

/// The regression of each output on its selected players.
fn regressions(
    design: &PairedDesign,
    n_pairs: usize,
    selected: &[Vec<usize>],
) -> Result<Vec<(Vec<usize>, Regression)>> {
    let of_output =
        |players: &Vec<usize>| Ok((players.clone(), design.restricted(n_pairs, players)?));
    selected.iter().map(of_output).collect()
}
