//! One instance on its way: round after round of coalitions, and the best answer so far.

use std::rc::Rc;

use ndarray::Array1;
use xai_core::{Error, Predictor, Result, Row, Run, Stop};

use crate::background::Background;
use crate::coalitions::Coalitions;
use crate::data::UsedEstimator;
use crate::designs::{Designs, PairedDesign};
use crate::exact::MAX_PLAYERS;
use crate::game::{Aim, Answers, Evaluation, Game, Memory, Others, Totals};
use crate::l1::L1Reg;
use crate::link::Link;
use crate::params::KernelShapParams;
use crate::solution::{Found, State};
use crate::work::Work;

/// The coalitions of a sample that a budget of queries cuts short, where all are too many to count.
const MAX_SAMPLE: usize = 1 << 20;

/// The most numbers that are kept apart by part of the background.
const MAX_PARTED: usize = 1 << 23;

/// The rules by which values are computed, chosen once for an explainer: those of this crate, or those of shap.
pub(crate) trait Rules: Sync {
    /// Which numbers count as equal besides those that are; `None` for no others.
    fn also_equal(&self) -> Option<fn(f64, f64) -> bool>;

    /// Whether there are standard errors of samples, and errors that come from the background.
    fn estimates_errors(&self) -> bool;

    /// Chooses what a session evaluates, within `nsamples` and the budget of queries, before any model call.
    ///
    /// # Errors
    /// [`Error::Budget`] when these are too small for an answer; [`Error::Param`] for an estimator that does not fit.
    fn choose(
        &self,
        session: &mut Session<'_>,
        designs: &mut Designs,
        run: &mut Run<'_>,
    ) -> Result<()>;

    /// The players' values from what has been evaluated.
    ///
    /// # Errors
    /// [`Error::Singular`] when the coalitions leave some players' values open; [`Error::Param`] when the link does not
    /// fit the outputs.
    fn solve(&self, state: &State<'_>, run: &mut Run<'_>) -> Result<Found>;

    /// Puts the selected groups of an output into the order in which they are reported.
    fn order(&self, selected: &mut [usize]);
}

/// One instance on its way from coalitions to Shapley values.
///
/// [`drive`] asks [`advance`](Self::advance) how many rows are wanted, has them written, and hands over the outputs, until
/// there are none wanted; then [`finish`](Self::finish) gives the answer. It may [`halt`](Self::halt) before.
pub(crate) struct Session<'a> {
    rules: &'a dyn Rules,
    pub(crate) params: &'a KernelShapParams,
    pub(crate) game: Game<'a>,
    pub(crate) memory: Memory,
    pub(crate) work: Work,
    /// The most pairs of a sample.
    pub(crate) n_pairs: usize,
    /// Whether the pairs are for the early answer of an exact computation.
    pub(crate) early: bool,
    evaluation: Option<Evaluation>,
    /// The totals of the coalitions under evaluation.
    fresh: Totals,
    /// Those of the coalitions before them.
    totals: Totals,
    /// Pairs in the totals, or coalitions of a list.
    done: usize,
    /// Pairs in the totals and under evaluation.
    begun: usize,
    /// The sample of the early answer, when it is complete.
    sample: Option<(Rc<PairedDesign>, Totals, usize)>,
    stop: Option<Stop>,
}

impl<'a> Session<'a> {
    /// Chooses the estimator within `nsamples` and the budget of queries, before any model call.
    pub(crate) fn new(
        rules: &'a dyn Rules,
        params: &'a KernelShapParams,
        background: &'a Background,
        x: &Row,
        designs: &mut Designs,
        run: &mut Run<'_>,
    ) -> Result<Self> {
        let game = Game::new(background, x, &params.fixed_features, rules.also_equal());
        let mut session = Session {
            rules,
            memory: Memory::new(&game),
            params,
            game,
            work: Work::All,
            n_pairs: 0,
            early: false,
            evaluation: None,
            fresh: Vec::new(),
            totals: Vec::new(),
            done: 0,
            begun: 0,
            sample: None,
            stop: None,
        };
        rules.choose(&mut session, designs, run)?;
        Ok(session)
    }

    /// The number of coalitions to evaluate for a sample.
    pub(crate) fn nsamples(&self) -> usize {
        self.params.nsamples.resolve(self.game.players.len())
    }

    /// The number of all coalitions but the empty and the full one; `None` where they are too many to list.
    pub(crate) fn n_coalitions(&self) -> Option<usize> {
        let n_players = self.game.players.len();
        (n_players <= MAX_PLAYERS).then(|| (1_usize << n_players).max(2) - 2)
    }

    /// Whether the budget of queries is enough for all coalitions.
    pub(crate) fn affords_all(&self, run: &Run<'_>) -> bool {
        let affordable = run.queries_left().map(|left| left.saturating_sub(1));
        affordable.is_none_or(|left| self.game.cost_of_all() <= left)
    }

    /// The number of coalitions of a sample, which takes the place of exact values where these were asked for.
    pub(crate) fn wanted(&self, exact: bool) -> usize {
        let nsamples = self.nsamples();
        match self.n_coalitions() {
            Some(all) if exact => all,
            Some(all) => all.min(nsamples),
            None if exact => nsamples.max(MAX_SAMPLE),
            None => nsamples,
        }
    }

    /// Requires that a sample of so many coalitions has an answer, and gives the number that the budget pays for.
    pub(crate) fn check_sample(&self, wanted: usize, exact: bool, run: &Run<'_>) -> Result<usize> {
        let n_players = self.game.players.len();
        let funded = self.funded(run, true).unwrap_or(usize::MAX);
        let needed = 2 * n_players.saturating_sub(1);
        if wanted < needed {
            let (given, needed) = (self.nsamples() as u64, needed as u64);
            return Err(Error::Budget { what: "nsamples", given, needed });
        }
        if wanted.min(funded) < needed || n_players < 2 {
            let n_background = self.game.n_background() as u64;
            let sampled = (needed as u64 + self.ends()) * n_background + 1;
            let all = self.game.cost_of_all().saturating_add(1);
            return Err(Error::Budget {
                what: "the budget of queries",
                given: run.queries_left().unwrap_or_default(),
                needed: if exact { sampled.min(all) } else { sampled },
            });
        }
        Ok(funded)
    }

    /// The most rows it may ask for.
    pub(crate) fn most_rows(&self) -> u64 {
        let sample = (2 * self.n_pairs as u64 + 2).saturating_mul(self.game.n_background() as u64);
        if self.n_pairs == 0 { self.game.cost_of_all() } else { sample }
    }

    /// The empty coalition, and the full one where that is not the instance.
    fn ends(&self) -> u64 {
        if self.game.reaches_instance() { 1 } else { 2 }
    }

    /// The coalitions that the queries left will pay for, whatever rows coincide; `None` without a limit.
    fn funded(&self, run: &Run<'_>, first: bool) -> Option<usize> {
        let left = run.queries_left()?;
        let n_background = self.game.n_background() as u64;
        let coalitions = if first {
            (left.saturating_sub(1) / n_background).saturating_sub(self.ends())
        } else {
            left / n_background
        };
        Some(usize::try_from(coalitions).unwrap_or(usize::MAX))
    }

    /// How many rows to ask for next: those of the slots without answers, which [`Game::write`] writes. `None` when no
    /// more are needed.
    pub(crate) fn advance(&mut self, run: &mut Run<'_>) -> Result<Option<usize>> {
        loop {
            let Some(evaluation) = &mut self.evaluation else {
                match self.next_round(run)? {
                    Some(evaluation) => self.evaluation = Some(evaluation),
                    None => return Ok(None),
                }
                continue;
            };
            evaluation.plan(&self.game, &mut self.memory);
            let wanted = self.memory.len() - self.memory.answered();
            if 0 < wanted {
                return Ok(Some(wanted));
            }
            self.fold();
            if self.evaluation.as_ref().is_some_and(|evaluation| evaluation.done(&self.game)) {
                self.finish_round(run)?;
            }
        }
    }

    /// Takes the answers so far, the new ones included.
    fn take(&mut self, answers: Answers, run: &mut Run<'_>) -> Result<()> {
        self.memory.answers = answers;
        if self.memory.answered() == self.memory.len() {
            self.fold();
        }
        if self.evaluation.as_ref().is_some_and(|evaluation| evaluation.done(&self.game)) {
            self.finish_round(run)?;
        }
        Ok(())
    }

    /// Ends the session: what is not complete is left.
    fn halt(&mut self, stop: Stop) {
        self.stop = Some(self.stop.unwrap_or(stop));
        self.evaluation = None;
    }

    fn fold(&mut self) {
        let n_outputs = self.memory.answers.n_outputs();
        let n_parts = self.n_parts(n_outputs);
        let Some(evaluation) = &mut self.evaluation else { return };
        if self.fresh.is_empty() {
            self.fresh = vec![vec![0.0; evaluation.len(&self.game)]; n_parts * n_outputs];
        }
        evaluation.fold(&self.game, &self.memory, &mut self.fresh);
    }

    /// The parts of the background whose totals are kept apart.
    fn n_parts(&self, n_outputs: usize) -> usize {
        let n_coalitions = match self.work {
            Work::All => 1 << self.game.players.len(),
            Work::RowByRow => self.game.players.len() + 2,
            _ => 2 * self.n_pairs,
        };
        let parts = self.game.n_parts();
        let fits = n_outputs.saturating_mul(n_coalitions).saturating_mul(parts) <= MAX_PARTED;
        let wanted = self.params.background_error && self.rules.estimates_errors();
        if fits && wanted { parts } else { 1 }
    }

    fn finish_round(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.evaluation = None;
        let fresh = std::mem::take(&mut self.fresh);
        if self.totals.is_empty() {
            self.totals = fresh;
        } else {
            self.totals.iter_mut().zip(fresh).for_each(|(totals, fresh)| totals.extend(fresh));
        }
        self.done = self.begun;
        let asked = self.params.tolerance.is_some() || self.params.absolute_tolerance.is_some();
        let sample = matches!(self.work, Work::Paired(_) | Work::Permutation(_)) && !self.early;
        if asked && sample {
            let found = self.solve(run);
            if found.is_ok_and(|found| found.within(self.params)) {
                self.stop = Some(Stop::Converged);
            }
        }
        Ok(())
    }

    fn solve(&self, run: &mut Run<'_>) -> Result<Found> {
        let state = State {
            params: self.params,
            game: &self.game,
            memory: &self.memory,
            work: &self.work,
            totals: &self.totals,
            done: self.done,
        };
        self.rules.solve(&state, run)
    }

    /// The next coalitions to evaluate; `None` when the work is done.
    fn next_round(&mut self, run: &mut Run<'_>) -> Result<Option<Evaluation>> {
        if self.stop.is_some() {
            return Ok(None);
        }
        let first = self.done == 0;
        let limit = match self.funded(run, first) {
            Some(coalitions) => self.n_pairs.min(self.done.saturating_add(coalitions / 2)),
            None => self.n_pairs,
        };
        let (done, coalitions) = match &self.work {
            Work::Reference(design) if !first => {
                let short = design.n_allocated < 2 * self.n_pairs;
                self.stop = Some(if short { Stop::Budget } else { Stop::Converged });
                return Ok(None);
            }
            Work::All | Work::RowByRow if !first => {
                self.stop = Some(Stop::Converged);
                return Ok(None);
            }
            Work::RowByRow => {
                self.begun = 1;
                let others = if self.sample.is_some() { Others::Any } else { Others::None };
                return Ok(Some(Evaluation::new(Aim::RowByRow, others)));
            }
            Work::All => {
                let all = Coalitions::all(self.game.players.len());
                (all.len(), all)
            }
            Work::Reference(design) => (design.coalitions.len(), design.coalitions.clone()),
            Work::Paired(design) => {
                let end = design.after(self.done).min(limit);
                (end, design.coalitions(self.done, end))
            }
            Work::Permutation(design) => {
                let end = design.after(self.done, limit);
                (end, design.coalitions(self.done, end))
            }
        };
        if done == self.done {
            return self.end_sample(limit, run);
        }
        self.begun = done;
        let others = match self.work {
            Work::All if self.sample.is_none() => Others::None,
            Work::Reference(_) => Others::None,
            Work::Paired(_) if !self.early => Others::Different,
            _ => Others::Any,
        };
        if first && !matches!(self.work, Work::All) {
            let mut with_ends = Coalitions::new(self.game.players.len());
            with_ends.push([]);
            with_ends.push_complement();
            with_ends.append(&coalitions);
            return Ok(Some(Evaluation::new(Aim::Coalitions(with_ends), others)));
        }
        Ok(Some(Evaluation::new(Aim::Coalitions(coalitions), others)))
    }

    /// No pair fits any more.
    fn end_sample(&mut self, limit: usize, run: &mut Run<'_>) -> Result<Option<Evaluation>> {
        let all = match &self.work {
            Work::Paired(design) if self.early => {
                let totals = std::mem::take(&mut self.totals);
                self.sample = Some((Rc::clone(design), totals, self.done));
                self.early = false;
                self.work = all_of(self.params);
                (self.done, self.begun) = (0, 0);
                return self.next_round(run);
            }
            Work::Paired(design) => design.exhausted(self.done),
            _ => false,
        };
        let asked = self.params.tolerance.is_some() || self.params.absolute_tolerance.is_some();
        let short = limit < self.n_pairs || asked;
        self.stop = Some(if all || !short { Stop::Converged } else { Stop::Budget });
        Ok(None)
    }

    /// The answer: the best so far where the session was halted.
    pub(crate) fn finish(mut self, run: &mut Run<'_>) -> Result<Answer> {
        let stop = self.stop.unwrap_or(Stop::Converged);
        if self.done == 0
            && let Some((design, totals, done)) = self.sample.take()
        {
            (self.work, self.totals, self.done) = (Work::Paired(design), totals, done);
        }
        if self.done == 0 {
            return Err(Error::Stopped(stop));
        }
        let mut found = match self.solve(run) {
            // Too few pairs for any answer.
            Err(Error::Singular { .. }) if stop != Stop::Converged => {
                return Err(Error::Stopped(stop));
            }
            found => found?,
        };
        let estimator = match &self.work {
            Work::All | Work::RowByRow => UsedEstimator::Exact,
            Work::Paired(_) => UsedEstimator::Paired,
            Work::Permutation(_) => UsedEstimator::Permutation,
            Work::Reference(_) => UsedEstimator::Reference,
        };
        if found.background.is_none()
            && self.params.background_error
            && self.rules.estimates_errors()
            && 1 < self.game.n_background()
        {
            run.warn(
                "shap.no_background_error",
                "too many coalitions and outputs to keep parts of the background apart",
            );
        }
        for set in found.selected.iter_mut().flatten() {
            set.iter_mut().for_each(|player| *player = self.game.players[*player]);
            self.rules.order(set);
        }
        let at_x = self.memory.answers.of_instance();
        let too_few = found.influences.is_none() && self.rules.estimates_errors();
        Ok(Answer { found, estimator, stop, at_x, too_few })
    }
}

/// How all coalitions are evaluated: a mean behind a link, or a choice of players, needs the coalitions' means.
pub(crate) fn all_of(params: &KernelShapParams) -> Work {
    let linear = params.link == Link::Identity && params.l1_reg == L1Reg::Off;
    if linear { Work::RowByRow } else { Work::All }
}

/// What a session has come to.
pub(crate) struct Answer {
    pub(crate) found: Found,
    pub(crate) estimator: UsedEstimator,
    pub(crate) stop: Stop,
    /// The outputs at the instance.
    pub(crate) at_x: Array1<f64>,
    /// Whether there are too few coalitions for standard errors.
    pub(crate) too_few: bool,
}

/// Advances sessions together until none of them wants more rows; their rows share the model's calls.
///
/// # Errors
/// When a call fails. A stop is no error: the sessions end with what they have.
pub(crate) fn drive(
    sessions: &mut [Result<Session<'_>>],
    model: &dyn Predictor,
    runs: &mut [Run<'_>],
) -> Result<()> {
    loop {
        let mut sizes = Vec::with_capacity(sessions.len());
        for (slot, run) in sessions.iter_mut().zip(&mut *runs) {
            let wanted = match slot {
                Ok(session) => session.advance(run),
                Err(_) => Ok(None),
            };
            match wanted {
                Ok(wanted) => sizes.push(wanted.unwrap_or(0)),
                Err(error) => {
                    *slot = Err(error);
                    sizes.push(0);
                }
            }
        }
        if sizes.iter().all(|&size| size == 0) {
            return Ok(());
        }
        let width = sessions.iter().flatten().next().map_or(0, |session| session.game.width());
        let mut answers: Vec<Answers> = sessions
            .iter_mut()
            .map(|slot| slot.as_mut().map(|session| std::mem::take(&mut session.memory.answers)))
            .map(Result::unwrap_or_default)
            .collect();
        let asked: Vec<usize> = answers.iter().map(Answers::len).collect();
        let writers: Vec<Option<(&Game<'_>, &Memory)>> = sessions
            .iter()
            .map(|slot| slot.as_ref().ok().map(|session| (&session.game, &session.memory)))
            .collect();
        let streamed = Run::stream_batched(
            runs,
            model,
            (&sizes, width),
            |part, first, block| {
                let (game, memory) = writers[part].expect("the others want no rows");
                game.write(memory, asked[part] + first, block);
            },
            |part, _, outputs| answers[part].take(outputs),
        );
        for ((slot, run), answers) in sessions.iter_mut().zip(&mut *runs).zip(answers) {
            if let Ok(session) = slot
                && let Err(error) = session.take(answers, run)
            {
                *slot = Err(error);
            }
        }
        match streamed {
            Err(Error::Stopped(stop)) => {
                sessions.iter_mut().flatten().for_each(|session| session.halt(stop));
                return Ok(());
            }
            other => other?,
        }
    }
}
