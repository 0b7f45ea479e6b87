//! What every method is.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::error::Result;
use crate::explanation::{Explanation, Meta, SCHEMA, VERSION};
use crate::input::Input;
use crate::model::{Row, Rows};
use crate::parallel;
use crate::rng::Seed;
use crate::run::{Budget, Event, Run};

/// The constants of a method, for `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The method's name.
    pub name: &'static str,
    /// What it sees of the model: `blackbox`, `whitebox`.
    pub kind: &'static [&'static str],
    /// What its explanations speak of: `local`, `global`.
    pub scope: &'static [&'static str],
}

/// What many rows share: the seed they all descend from, and the budget of each.
#[derive(Clone, Copy)]
pub struct Runs<'b> {
    /// The seed. A row draws from `seed.child(row.fingerprint())`, wherever it stands.
    pub seed: Seed,
    /// The budget of each row.
    pub budget: Budget<'b>,
}

impl<'b> Runs<'b> {
    /// Runs without limits.
    #[must_use]
    pub fn seeded(seed: impl Into<Seed>) -> Self {
        Runs { seed: seed.into(), budget: Budget::default() }
    }

    /// The same runs, each under a budget.
    #[must_use]
    pub fn within(mut self, budget: Budget<'b>) -> Self {
        self.budget = budget;
        self
    }

    /// The run of one row.
    #[must_use]
    pub fn run(&self) -> Run<'b> {
        Run::seeded(self.seed).within(self.budget)
    }
}

/// A fitted method: plain data that explains one input at a time and never changes.
///
/// Authors write [`compute`](Self::compute); callers use [`explain`](Self::explain) and
/// [`explain_rows`](Self::explain_rows).
/// The same explainer, model, input and seed give the same bytes, at any thread count and beside any other rows.
pub trait Explainer {
    /// What is explained: [`Row`], or `str` for text.
    type Input: Input + ?Sized;
    /// The view of the model it needs: `dyn Predictor + 'm` or `dyn Differentiable + 'm`.
    type Model<'m>: ?Sized + Sync;
    /// The answer; its field names are the JSON keys.
    type Data: Serialize;
    /// The method's constants.
    const ABOUT: About;

    /// The settings, for `meta.params`.
    fn params(&self) -> &impl Serialize;

    /// `classification` or `regression`, for methods that tell them apart. Default `None`.
    fn task(&self) -> Option<String> {
        None
    }

    /// Refuses inputs before any model call. The default refuses NaN and infinities; overrides also check the width.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) or [`Error::Shape`](crate::Error::Shape).
    fn check_input(&self, x: &Self::Input) -> Result<()> {
        x.check()
    }

    /// The method itself; `run.seed()` is the input's own seed.
    ///
    /// # Errors
    /// Those of the method.
    fn compute(
        &self,
        model: &Self::Model<'_>,
        x: &Self::Input,
        run: &mut Run<'_>,
    ) -> Result<Self::Data>;

    /// Explains one input: checks it, seeds the run by its fingerprint, computes, and says where the answer came from.
    ///
    /// # Errors
    /// Those of [`check_input`](Self::check_input) before any model call, then those of the method.
    fn explain(
        &self,
        model: &Self::Model<'_>,
        x: &Self::Input,
        mut run: Run<'_>,
    ) -> Result<Explanation<Self::Data>> {
        self.check_input(x)?;
        let seed = run.seed();
        run.rekey(seed.child(x.fingerprint()));
        if let ControlFlow::Break(stop) = run.report(Event::Started { method: Self::ABOUT.name }) {
            return Err(crate::Error::Stopped(stop));
        }
        let data = self.compute(model, x, &mut run)?;
        let queries = run.queries();
        // The answer is there: a request to stop comes too late to change anything.
        let _ = run.report(Event::Finished { queries });
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        let meta = Meta {
            name: Self::ABOUT.name.to_owned(),
            kind: words(Self::ABOUT.kind),
            task: self.task(),
            scope: words(Self::ABOUT.scope),
            params: serde_json::to_value(self.params())?,
            version: VERSION.to_owned(),
            seed: seed.to_string(),
            queries,
            warnings: run.into_warnings(),
        };
        Ok(Explanation { schema: SCHEMA.to_owned(), meta, data })
    }

    /// Explains every row, in parallel, and hands each result to `sink` in order as soon as it and all before it are
    /// there; `Break` ends the work. A row that fails costs no other row its explanation.
    ///
    /// Each result is the same, to the bit, as that of [`explain`](Self::explain) on its row alone.
    fn explain_each<'m>(
        &self,
        model: &Self::Model<'m>,
        x: &Rows,
        runs: &Runs<'_>,
        sink: &mut dyn FnMut(usize, Result<Explanation<Self::Data>>) -> ControlFlow<()>,
    ) where
        Self: Explainer<Input = Row> + Sync,
        Self::Data: Send,
    {
        // Enough rows at once that one slow row does not leave the other threads idle for long.
        let wave = 4 * parallel::width();
        for first in (0..x.nrows()).step_by(wave) {
            let end = (first + wave).min(x.nrows());
            let results =
                parallel::map(first..end, |row| self.explain(model, &x.row(row), runs.run()));
            for (row, result) in (first..end).zip(results) {
                if sink(row, result).is_break() {
                    return;
                }
            }
        }
    }

    /// Explains every row, in parallel: one result per row, in order.
    fn explain_rows<'m>(
        &self,
        model: &Self::Model<'m>,
        x: &Rows,
        runs: &Runs<'_>,
    ) -> Vec<Result<Explanation<Self::Data>>>
    where
        Self: Explainer<Input = Row> + Sync,
        Self::Data: Send,
    {
        let mut results = Vec::with_capacity(x.nrows());
        self.explain_each(model, x, runs, &mut |_, result| {
            results.push(result);
            ControlFlow::Continue(())
        });
        results
    }
}
