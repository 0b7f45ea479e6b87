//! From the values of coalitions to Shapley values and their uncertainty.

use std::rc::Rc;

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{Result, Rows, Run};

use crate::coalitions::{Coalitions, members};
use crate::designs::PermutationDesign;
use crate::exact;
use crate::game::{Game, Memory, Totals};
use crate::interactions::Smoother;
use crate::l1::{self, L1Reg, NativeSelection};
use crate::paired::{Regression, differences};
use crate::params::KernelShapParams;
use crate::selected::restricted;
use crate::uncertainty::Influences;
use crate::work::Work;

/// Evaluated coalitions: all of them in the order of their bits, or the empty one, the full one and the design's.
pub(crate) struct State<'s> {
    pub(crate) params: &'s KernelShapParams,
    pub(crate) game: &'s Game<'s>,
    pub(crate) memory: &'s Memory,
    pub(crate) work: &'s Work,
    pub(crate) totals: &'s Totals,
    /// Pairs of a sample.
    pub(crate) done: usize,
}

impl State<'_> {
    /// The number of parts of the background that are kept apart.
    fn n_parts(&self) -> usize {
        self.totals.len() / self.memory.answers.n_outputs().max(1)
    }

    /// The totals of one part of the background, shape `(n_outputs, n_coalitions)`.
    pub(crate) fn part(&self, part: usize) -> Array2<f64> {
        let n_outputs = self.memory.answers.n_outputs();
        let n_columns = self.totals.first().map_or(0, Vec::len);
        let numbers = self.totals[part * n_outputs..][..n_outputs].concat();
        Array2::from_shape_vec((n_outputs, n_columns), numbers).expect("a number per coalition")
    }
}

/// Values of the players and how far they may be off.
pub(crate) struct Found {
    /// Shape `(n_outputs, n_players)`.
    pub(crate) values: Array2<f64>,
    /// By output; `None` when there are too few coalitions to estimate it.
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
            let error = influences.standard_errors().fold(0.0_f64, |most, &error| most.max(error));
            params.tolerance.is_some_and(|share| error <= share * (largest - smallest))
                || params.absolute_tolerance.is_some_and(|most| error <= most)
        })
    }
}

/// The linear map from the values of coalitions to those of the players.
enum Map<'s> {
    /// All coalitions in the order of their bits.
    All,
    /// The same, in a regression on the selected players of each output.
    AllSelected {
        coalitions: Coalitions,
        weights: Vec<f64>,
        selected: Vec<Vec<usize>>,
    },
    Paired(Rc<Regression>),
    /// The regression with interactions in it.
    Smoothed(Smoother),
    /// One regression for each output, on its selected players.
    PairedSelected(Vec<(Vec<usize>, Regression)>),
    Permutation(&'s PermutationDesign, usize),
}

impl Map<'_> {
    /// Values of the players, shape `(n_outputs, n_players)`, from those of the coalitions, shape
    /// `(n_outputs, n_coalitions)`.
    fn values(&self, worth: &Rows, changes: &Array1<f64>, n_players: usize) -> Result<Array2<f64>> {
        Ok(match self {
            Map::All => exact::shapley(worth, n_players),
            Map::AllSelected { coalitions, weights, selected } => {
                restricted(coalitions, weights, &effects_of_all(worth), changes, selected)?
            }
            Map::Paired(regression) => regression.values(&deltas(worth), changes),
            Map::Smoothed(smoother) => smoother.values(&deltas(worth), changes),
            Map::PairedSelected(regressions) => {
                let mut values = Array2::zeros((worth.nrows(), n_players));
                let deltas = deltas(worth);
                for (output, (players, regression)) in regressions.iter().enumerate() {
                    let of_one = s![output..=output, ..];
                    let changes = changes.slice(s![output..=output]).to_owned();
                    let of_output = regression.values(&deltas.slice(of_one), &changes);
                    for (&player, &value) in players.iter().zip(of_output.row(0)) {
                        values[[output, player]] = value;
                    }
                }
                values
            }
            Map::Permutation(design, n_pairs) => design.values(*n_pairs, &deltas(worth), changes),
        })
    }

    /// What each draw adds to the error of `values`, by output; `None` when there are too few to estimate it.
    fn influences(
        &self,
        worth: &Rows,
        changes: &Array1<f64>,
        values: &Array2<f64>,
    ) -> Option<Vec<Influences>> {
        let (n_outputs, n_players) = values.dim();
        if let Map::All | Map::AllSelected { .. } = self {
            return Some((0..n_outputs).map(|_| Influences::none(n_players)).collect());
        }
        let deltas = deltas(worth);
        let of_output = |output: usize| {
            let (deltas, values) = (deltas.row(output).to_owned(), values.row(output).to_owned());
            match self {
                Map::Paired(regression) => regression.influences(&deltas, &values),
                Map::Smoothed(smoother) => smoother.influences(output),
                Map::PairedSelected(regressions) => {
                    let (players, regression) = &regressions[output];
                    let found = regression.influences(&deltas, &values.select(Axis(0), players))?;
                    let place = |player| players.iter().position(|&other| other == player);
                    let places: Vec<Vec<usize>> =
                        (0..n_players).map(|player| place(player).into_iter().collect()).collect();
                    Some(found.of_sums(&places))
                }
                Map::Permutation(design, n_pairs) => {
                    design.influences(*n_pairs, &deltas, changes[output])
                }
                Map::All | Map::AllSelected { .. } => None,
            }
        };
        (0..n_outputs).map(of_output).collect()
    }
}

/// Differences of the pairs that stand behind the empty and the full coalition.
fn deltas(worth: &Rows) -> Array2<f64> {
    differences(&worth.slice(s![.., 2..]))
}

/// `v(z) - v(empty)` of all coalitions between the empty and the full one.
fn effects_of_all(worth: &Rows) -> Array2<f64> {
    &worth.slice(s![.., 1..worth.ncols() - 1]) - &worth.slice(s![.., ..1])
}

/// The kernel weight of each coalition of a list, of sum 1: `1 / (C(M, s) s (M - s))` up to a factor.
fn kernel_weights(coalitions: &Coalitions) -> Vec<f64> {
    let n_players = coalitions.n_players();
    let mut of_size = vec![0.0; n_players + 1];
    let mut number = 1.0;
    for (size, weight) in of_size.iter_mut().enumerate().take(n_players).skip(1) {
        number *= (n_players - size + 1) as f64 / size as f64;
        *weight = 1.0 / (number * (size * (n_players - size)) as f64);
    }
    let weights: Vec<f64> = (0..coalitions.len())
        .map(|index| of_size[members(coalitions.get(index)).count()])
        .collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// Solves for the players' values from what has been evaluated.
///
/// # Errors
/// [`Error::Singular`](xai_core::Error::Singular) when the coalitions leave some players' values open;
/// [`Error::Param`](xai_core::Error::Param) when the link does not fit the outputs.
pub(crate) fn solve(state: &State<'_>, run: &mut Run<'_>) -> Result<Found> {
    let (params, game, n_parts) = (state.params, state.game, state.n_parts());
    if let Work::RowByRow = state.work {
        return Ok(row_by_row(
            game,
            &(0..n_parts).map(|part| state.part(part)).collect::<Vec<_>>(),
        ));
    }
    let mut means = state.part(0);
    (1..n_parts).for_each(|index| means += &state.part(index));
    let mut worth = means.clone();
    params.link.apply(&mut worth, params.link_epsilon, run)?;
    let (n_outputs, n_columns) = worth.dim();
    let all = matches!(state.work, Work::All);
    let full = if all { n_columns - 1 } else { 1 };
    let expected_value = worth.column(0).to_owned();
    let changes = &worth.column(full) - &expected_value;
    let n_players = game.players.len();
    let n_coalitions = if all { n_columns.max(2) - 2 } else { 2 * state.done };
    let exact = match state.work {
        Work::Paired(design) => design.exhausted(state.done),
        _ => all,
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
    let map = map(params, state, &worth, &changes, &mut found)?;
    found.values = map.values(&worth, &changes, n_players)?;
    found.influences = map.influences(&worth, &changes, &found.values);
    if 1 < n_parts {
        let slopes = params.link.slopes(&means, params.link_epsilon);
        let deviation = |index: usize| {
            let weight = game.part_weight(index, n_parts);
            let deviations = (state.part(index) - &means * weight) * &slopes;
            let changes = &deviations.column(full) - &deviations.column(0);
            let freedom = (n_parts as f64 / (n_parts - 1) as f64).sqrt();
            Ok(map.values(&deviations, &changes, n_players)? * freedom)
        };
        found.background = Some((0..n_parts).map(deviation).collect::<Result<_>>()?);
    }
    Ok(found)
}

/// Adds up the parts of an evaluation row by row.
fn row_by_row(game: &Game<'_>, parts: &[Array2<f64>]) -> Found {
    let (n_players, n_parts) = (game.players.len(), parts.len());
    let mut sums = parts[0].clone();
    parts[1..].iter().for_each(|part| sums += part);
    let values = sums.slice(s![.., ..n_players]).to_owned();
    let deviation = |(index, part): (usize, &Array2<f64>)| {
        let weight = game.part_weight(index, n_parts);
        let freedom = (n_parts as f64 / (n_parts - 1) as f64).sqrt();
        (&part.slice(s![.., ..n_players]) - &(&values * weight)) * freedom
    };
    let all = u32::try_from(n_players).ok().and_then(|players| 1_u64.checked_shl(players));
    Found {
        influences: Some((0..values.nrows()).map(|_| Influences::none(n_players)).collect()),
        background: (1 < n_parts).then(|| parts.iter().enumerate().map(deviation).collect()),
        expected_value: sums.column(n_players).to_owned(),
        n_coalitions: all.unwrap_or(u64::MAX).max(2) - 2,
        exact: true,
        selected: None,
        values,
    }
}

/// The map for what has been evaluated; notes in `found` which players it selects.
fn map<'s>(
    params: &KernelShapParams,
    state: &State<'s>,
    worth: &Rows,
    changes: &Array1<f64>,
    found: &mut Found,
) -> Result<Map<'s>> {
    let n_players = found.values.ncols();
    let all = ((n_players as f64).exp2() - 2.0).max(1.0);
    let rule = params.l1_reg.resolve(found.n_coalitions as f64 / all);
    let select = |coalitions: &Coalitions, weights: &[f64], effects: &Rows| {
        let n_allocated = weights.len();
        l1::select(coalitions, weights, n_allocated, effects, changes, rule, &NativeSelection)
    };
    Ok(match state.work {
        Work::Permutation(design) => Map::Permutation(design, state.done),
        Work::Paired(design) if rule == L1Reg::Off => {
            let regression = design.regression(state.done)?;
            let smoother = if params.model_interactions {
                Smoother::fit(Rc::clone(&regression), &deltas(worth), changes)?
            } else {
                None
            };
            smoother.map_or(Map::Paired(regression), Map::Smoothed)
        }
        Work::Paired(design) => {
            let coalitions = design.coalitions(0, state.done);
            let effects = &worth.slice(s![.., 2..]) - &worth.slice(s![.., ..1]);
            let selected = select(&coalitions, &design.weights(state.done), &effects)?;
            let regression = |players: &Vec<usize>| {
                Ok((players.clone(), design.restricted(state.done, players)?))
            };
            let regressions = selected.iter().map(regression).collect::<Result<_>>()?;
            found.selected = Some(selected);
            Map::PairedSelected(regressions)
        }
        _ if rule == L1Reg::Off || n_players < 2 => Map::All,
        _ => {
            let coalitions = Coalitions::all(n_players).slice(1, worth.ncols() - 1);
            let weights = kernel_weights(&coalitions);
            let selected = select(&coalitions, &weights, &effects_of_all(worth))?;
            found.selected = Some(selected.clone());
            Map::AllSelected { coalitions, weights, selected }
        }
    })
}
