//! What shap does, for users who compare numbers with it: the other implementation of [`Rules`].
//!
//! Nothing outside this folder asks which rules are in use.

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{AsJson, ParamError, Result, Rows, Run, require};

use crate::designs::Designs;
use crate::l1::{self, Crossing, Descent, L1Reg, SelectionRules, Units};
use crate::params::{Estimator, KernelShapParams};
use crate::session::{Rules, Session};
use crate::solution::{Found, State};
use crate::uncertainty::Influences;
use crate::work::Work;
use design::ReferenceDesign;

pub(crate) mod design;
pub(crate) mod regression;

/// Refuses settings that the reference does not have.
pub(crate) fn validate(params: &KernelShapParams) -> Result<(), ParamError> {
    let auto = params.estimator == Estimator::Auto;
    require(auto, "estimator", "\"auto\" with the reference semantics", AsJson(&params.estimator))?;
    let tolerances =
        [("tolerance", params.tolerance), ("absolute_tolerance", params.absolute_tolerance)];
    for (name, tolerance) in tolerances {
        let rule = "none with the reference semantics, which have no standard errors";
        require(tolerance.is_none(), name, rule, tolerance.unwrap_or_default())?;
    }
    Ok(())
}

/// The rules of shap 0.43.
pub(crate) struct Reference;

impl Rules for Reference {
    fn also_equal(&self) -> Option<fn(f64, f64) -> bool> {
        Some(close)
    }

    fn estimates_errors(&self) -> bool {
        false
    }

    /// All of the coalitions that shap evaluates, in one round; a single player gets the difference.
    fn choose(
        &self,
        session: &mut Session<'_>,
        designs: &mut Designs,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let n_players = session.game.players.len();
        let exact = n_players < 2;
        if exact && session.affords_all(run) {
            session.work = Work::All;
            return Ok(());
        }
        let wanted = session.wanted(exact);
        let funded = session.check_sample(wanted, exact, run)?;
        session.n_pairs = wanted / 2;
        session.work = Work::Reference(designs.reference(n_players, wanted.min(funded), run));
        Ok(())
    }

    /// Columns that count as equal keep the background's values, yet the sum is that of the instance. There are no
    /// standard errors, but 0 where all coalitions were evaluated.
    fn solve(&self, state: &State<'_>, run: &mut Run<'_>) -> Result<Found> {
        let (params, n_players) = (state.params, state.game.players.len());
        let mut worth = state.part(0);
        params.link.apply(&mut worth, params.link_epsilon, run)?;
        let expected_value = worth.column(0).to_owned();
        let n_outputs = expected_value.len();
        let mut found = Found {
            values: Array2::zeros((n_outputs, n_players)),
            influences: None,
            background: None,
            n_coalitions: 0,
            exact: true,
            selected: None,
            expected_value,
        };
        if 0 < n_players {
            let mut at_x = state.memory.answers.of_instance().insert_axis(Axis(1));
            params.link.apply(&mut at_x, params.link_epsilon, run)?;
            let changes = &at_x.column(0) - &found.expected_value;
            match state.work {
                Work::Reference(design) => {
                    let effects = &worth.slice(s![.., 2..]) - &worth.slice(s![.., ..1]);
                    solve_design(params.l1_reg, design, &effects, &changes, &mut found)?;
                }
                _ => found.values.column_mut(0).assign(&changes),
            }
        }
        if found.exact {
            found.influences = Some((0..n_outputs).map(|_| Influences::none(n_players)).collect());
        }
        Ok(found)
    }

    /// The order in which the rule found them.
    fn order(&self, _selected: &mut [usize]) {}
}

fn solve_design(
    l1_reg: L1Reg,
    design: &ReferenceDesign,
    effects: &Rows,
    changes: &Array1<f64>,
    found: &mut Found,
) -> Result<()> {
    let ReferenceDesign { coalitions, weights, n_allocated, fraction_evaluated } = design;
    let rule = l1_reg.resolve(*fraction_evaluated);
    let selected =
        l1::select(coalitions, weights, *n_allocated, effects, changes, rule, &Reference)?;
    found.values = regression::solve(coalitions, weights, effects, changes, &selected)?;
    found.n_coalitions = coalitions.len() as u64;
    found.exact = 1.0 <= *fraction_evaluated;
    found.selected = (rule != L1Reg::Off).then_some(selected);
    Ok(())
}

/// Whether shap takes a value of the instance for that of the background.
fn close(x: f64, background: f64) -> bool {
    let same = (x - background).abs() <= 1e-8 + 1e-5 * background.abs();
    same || x.is_nan() && background.is_nan()
}

/// The most steps of a path in shap.
const PATH_STEPS: usize = 500;

/// shap's paths end where the largest correlation per row is no more than this, whatever the scale of the output.
const FLOOR: f64 = f32::EPSILON as f64;

impl SelectionRules for Reference {
    fn units(
        &self,
        _weights: &[f64],
        effects: &Rows,
        _changes: &Array1<f64>,
        _total_weight: f64,
        _n_rows: f64,
    ) -> Units {
        Units { factor: 1.0, scales: vec![1.0; effects.nrows()] }
    }

    fn crossing(&self) -> Crossing {
        Crossing::Flip
    }

    fn max_steps(&self, _n_players: usize) -> usize {
        PATH_STEPS
    }

    fn floor(&self, n_rows: f64, _correlations: &Array1<f64>) -> f64 {
        FLOOR * n_rows
    }

    fn least_variance(&self) -> f64 {
        f64::MIN_POSITIVE
    }

    fn descent(&self) -> Descent {
        Descent { tolerance: 1e-4, max_sweeps: 1000 }
    }

    fn complete(
        &self,
        selected: Vec<usize>,
        _change: f64,
        _strongest: &dyn Fn() -> usize,
    ) -> Vec<usize> {
        selected
    }
}
