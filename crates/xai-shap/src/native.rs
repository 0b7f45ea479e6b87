//! The rules of this crate: which estimator, and what the values are.

use xai_core::{ParamError, Result, Run, require};

use crate::designs::Designs;
use crate::exact::MAX_PLAYERS;
use crate::game::REMEMBERED;
use crate::l1::L1Reg;
use crate::params::Estimator;
use crate::session::{Rules, Session, all_of};
use crate::solution::{self, Found, State};
use crate::work::Work;

/// The queries of an exact computation below which there is no early answer.
const QUICK: u64 = 2048;

/// The most players whose coalitions `"auto"` lists because many of them give the same rows.
const MAX_LISTED: usize = 16;

/// The rules of this crate.
pub(crate) struct Native;

impl Rules for Native {
    fn also_equal(&self) -> Option<fn(f64, f64) -> bool> {
        None
    }

    fn estimates_errors(&self) -> bool {
        true
    }

    fn choose(
        &self,
        session: &mut Session<'_>,
        designs: &mut Designs,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let exact = is_exact(session)?;
        if exact && session.affords_all(run) {
            session.work = all_of(session.params);
            begin_early(session, designs, run);
            return Ok(());
        }
        let wanted = session.wanted(exact);
        let funded = session.check_sample(wanted, exact, run)?;
        if exact {
            run.warn(
                "shap.budget",
                "the budget of queries allows no exact values; they are sampled",
            );
        }
        session.n_pairs = wanted / 2;
        let n_players = session.game.players.len();
        session.work = if takes_permutations(session, exact) {
            Work::Permutation(designs.permutation(n_players, run))
        } else {
            Work::Paired(designs.paired(n_players, session.n_pairs, funded / 2, run)?)
        };
        Ok(())
    }

    fn solve(&self, state: &State<'_>, run: &mut Run<'_>) -> Result<Found> {
        solution::solve(state, run)
    }

    fn order(&self, selected: &mut [usize]) {
        selected.sort_unstable();
    }
}

/// Whether the values are to be exact, as far as the budget of queries allows it.
fn is_exact(session: &Session<'_>) -> Result<bool, ParamError> {
    let n_players = session.game.players.len();
    let row_by_row = matches!(all_of(session.params), Work::RowByRow);
    let listed = if row_by_row {
        session.game.most_differing() <= MAX_PLAYERS
    } else {
        session.n_coalitions().is_some()
    };
    Ok(match session.params.estimator {
        Estimator::Auto if n_players < 2 => true,
        Estimator::Auto => {
            // Where many coalitions give the same rows, all of them may cost less than a sample.
            let nsamples = session.nsamples();
            let sample = (nsamples as u64).saturating_mul(session.game.n_background() as u64);
            let cheap = row_by_row || n_players <= MAX_LISTED;
            session.n_coalitions().is_some_and(|all| all <= nsamples)
                || listed && cheap && session.game.cost_of_all() <= sample
        }
        Estimator::Exact => {
            let rule =
                format_args!("other than \"exact\" for more than {MAX_PLAYERS} varying features");
            require(listed, "estimator", rule, format_args!("\"exact\" for {n_players}"))?;
            true
        }
        Estimator::Paired => n_players < 2,
        Estimator::Permutation => n_players < 4,
    })
}

/// Whether a sample consists of permutations rather than pairs.
fn takes_permutations(session: &Session<'_>, exact: bool) -> bool {
    let n_players = session.game.players.len();
    let few = n_players * if 60 <= n_players { 8 } else { 4 };
    match session.params.estimator {
        Estimator::Permutation => true,
        Estimator::Auto => {
            let regression = session.params.l1_reg != L1Reg::Off;
            session.nsamples() < few && !exact && !regression && 4 <= n_players
        }
        Estimator::Exact | Estimator::Paired => false,
    }
}

/// Decides whether an exact computation is long enough to have an answer before its end: paired values of a part
/// of the coalitions, whose rows are asked for first.
fn begin_early(session: &mut Session<'_>, designs: &mut Designs, run: &Run<'_>) {
    let n_players = session.game.players.len();
    let cost = session.game.cost_of_all();
    let all = (1_usize << n_players.min(MAX_PLAYERS)) / 2;
    // What is still remembered costs nothing twice; past that an early answer costs its own rows again.
    let large = REMEMBERED as u64 <= cost;
    let n_pairs = if large { all / 16 } else { all / 4 };
    let n_pairs = n_pairs.min(REMEMBERED / (2 * session.game.n_background()));
    let sample = (2 * n_pairs as u64 + 2) * session.game.n_background() as u64;
    let extra = if large { sample } else { 0 };
    let affordable = run.queries_left().is_none_or(|left| cost + extra < left);
    if (large || run.can_stop() && QUICK < cost)
        && n_players < n_pairs
        && affordable
        && let Ok(design) = designs.paired(n_players, n_pairs, n_pairs, run)
    {
        session.work = Work::Paired(design);
        session.n_pairs = n_pairs;
        session.early = true;
    }
}
