//! What every method is.

use std::ops::{ControlFlow, Deref, Range};

use serde::Serialize;

use crate::error::{Error, Result};
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
    /// [`Error::NotFinite`] or [`Error::Shape`].
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

    /// How many inputs [`explain_each`](Self::explain_each) hands to
    /// [`compute_together`](Self::compute_together) at most. Default 1.
    const TOGETHER: usize = 1;

    /// Several inputs at once, for methods whose inputs share model calls; each result must be that of
    /// [`compute`](Self::compute), to the bit. The default takes one after the other.
    ///
    /// # Errors
    /// When a call that several inputs share fails: each input is then computed alone, so that only those fail that
    /// fail by themselves.
    fn compute_together(
        &self,
        model: &Self::Model<'_>,
        inputs: &[&Self::Input],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<Self::Data>>> {
        Ok(inputs.iter().zip(runs).map(|(x, run)| self.compute(model, x, run)).collect())
    }

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
        begin(self, x, &mut run)?;
        let data = self.compute(model, x, &mut run)?;
        finish(self, data, run)
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
        explain_all(self, model, x.nrows(), |row| x.row(row), runs, sink);
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

    /// As [`explain_each`](Self::explain_each) for texts.
    fn explain_each_text<'m>(
        &self,
        model: &Self::Model<'m>,
        texts: &[String],
        runs: &Runs<'_>,
        sink: &mut dyn FnMut(usize, Result<Explanation<Self::Data>>) -> ControlFlow<()>,
    ) where
        Self: Explainer<Input = str> + Sync,
        Self::Data: Send,
    {
        explain_all(self, model, texts.len(), |place| texts[place].as_str(), runs, sink);
    }

    /// Explains every text, in parallel: one result per text, in order.
    fn explain_texts<'m>(
        &self,
        model: &Self::Model<'m>,
        texts: &[String],
        runs: &Runs<'_>,
    ) -> Vec<Result<Explanation<Self::Data>>>
    where
        Self: Explainer<Input = str> + Sync,
        Self::Data: Send,
    {
        let mut results = Vec::with_capacity(texts.len());
        self.explain_each_text(model, texts, runs, &mut |_, result| {
            results.push(result);
            ControlFlow::Continue(())
        });
        results
    }
}

/// What [`Explainer::explain_each`] does, for inputs of any kind.
fn explain_all<E, V>(
    explainer: &E,
    model: &E::Model<'_>,
    n_inputs: usize,
    input: impl Fn(usize) -> V + Sync + Send,
    runs: &Runs<'_>,
    sink: &mut dyn FnMut(usize, Result<Explanation<E::Data>>) -> ControlFlow<()>,
) where
    E: Explainer<Data: Send> + Sync + ?Sized,
    V: Deref<Target = E::Input>,
{
    // Enough inputs at once that one slow input does not leave the other threads idle for long.
    let together = (n_inputs / (4 * parallel::width())).clamp(1, E::TOGETHER.max(1));
    let wave = 4 * parallel::width() * together;
    for first in (0..n_inputs).step_by(wave) {
        let end = (first + wave).min(n_inputs);
        let chunks = parallel::map(0..(end - first).div_ceil(together), |chunk| {
            let start = first + chunk * together;
            explain_together(explainer, model, start..(start + together).min(end), &input, runs)
        });
        for (place, result) in (first..end).zip(chunks.into_iter().flatten()) {
            if sink(place, result).is_break() {
                return;
            }
        }
    }
}

/// Checks an input and starts its run.
fn begin<E: Explainer + ?Sized>(explainer: &E, x: &E::Input, run: &mut Run<'_>) -> Result<()> {
    explainer.check_input(x)?;
    run.rekey(x.fingerprint());
    match run.report(Event::Started { method: E::ABOUT.name }) {
        ControlFlow::Break(stop) => Err(Error::Stopped(stop)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Ends a run and says where its answer came from.
fn finish<E: Explainer + ?Sized>(
    explainer: &E,
    data: E::Data,
    mut run: Run<'_>,
) -> Result<Explanation<E::Data>> {
    let queries = run.queries();
    // The answer is there: a request to stop comes too late to change anything.
    let _ = run.report(Event::Finished { queries });
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
    let meta = Meta {
        name: E::ABOUT.name.to_owned(),
        kind: words(E::ABOUT.kind),
        task: explainer.task(),
        scope: words(E::ABOUT.scope),
        params: serde_json::to_value(explainer.params())?,
        version: VERSION.to_owned(),
        seed: run.shared_seed().to_string(),
        queries,
        warnings: run.into_warnings(),
    };
    Ok(Explanation { schema: SCHEMA.to_owned(), meta, data })
}

/// Explains neighbouring inputs with shared model calls, and each alone where that fails.
fn explain_together<E, V>(
    explainer: &E,
    model: &E::Model<'_>,
    places: Range<usize>,
    input: impl Fn(usize) -> V,
    runs: &Runs<'_>,
) -> Vec<Result<Explanation<E::Data>>>
where
    E: Explainer + ?Sized,
    V: Deref<Target = E::Input>,
{
    let alone = |place: usize| explainer.explain(model, &input(place), runs.run());
    if places.len() < 2 {
        return places.map(alone).collect();
    }
    let views: Vec<V> = places.clone().map(&input).collect();
    let mut refused = Vec::new();
    let (mut inputs, mut started): (Vec<&E::Input>, Vec<Run<'_>>) = (Vec::new(), Vec::new());
    for view in &views {
        let mut run = runs.run();
        let begun = begin(explainer, view, &mut run);
        if begun.is_ok() {
            inputs.push(view);
            started.push(run);
        }
        refused.push(begun.err());
    }
    let Ok(computed) = explainer.compute_together(model, &inputs, &mut started) else {
        return places.map(alone).collect();
    };
    let mut explained = computed
        .into_iter()
        .zip(started)
        .map(|(data, run)| data.and_then(|data| finish(explainer, data, run)));
    refused
        .into_iter()
        .map(|refused| match refused {
            Some(error) => Err(error),
            None => explained.next().expect("one result for each input that was not refused"),
        })
        .collect()
}
