//! What every method is.

use std::borrow::Borrow;
use std::ops::{ControlFlow, Range};

use serde::Serialize;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::explanation::{Explanation, Meta, SCHEMA, VERSION};
use crate::input::{Input, Inputs};
use crate::model::ModelKind;
use crate::observer::{Event, InputObserver};
use crate::parallel;
use crate::rng::Seed;
use crate::run::Run;

/// The constants of a method, for `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// The method's name, as in job files: `kernel-shap`.
    pub name: &'static str,
    /// What it uses of a model; methods that work with either override [`Explainer::kind`].
    pub kind: ModelKind,
    /// What its explanations are about: `local`, `global`.
    pub scope: &'static [&'static str],
}

/// What many inputs share: the seed, the budget of each, and an observer.
#[derive(Clone, Copy, Default)]
pub struct RunConfig<'b> {
    /// The seed. An input draws from `seed.child(input.fingerprint())`, wherever it stands.
    pub seed: Seed,
    /// The budget of each input. Inputs under a limit of queries do not share model calls, so that no failure of a
    /// neighbour can spend their budget.
    pub budget: Budget<'b>,
    /// Receives the events of all inputs. Default `None`.
    pub observer: Option<&'b dyn InputObserver>,
}

impl<'b> RunConfig<'b> {
    /// Runs without limits or observer.
    #[must_use]
    pub fn seeded(seed: impl Into<Seed>) -> Self {
        RunConfig { seed: seed.into(), budget: Budget::default(), observer: None }
    }

    /// The same runs, each under a budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget<'b>) -> Self {
        self.budget = budget;
        self
    }

    /// The same runs, observed.
    #[must_use]
    pub fn with_observer(mut self, observer: &'b dyn InputObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The run of the input at this place, counted from 0.
    #[must_use]
    pub fn run(&self, index: usize) -> Run<'b> {
        let run = Run::seeded(self.seed).with_budget(self.budget);
        match self.observer {
            Some(observer) => run.with_input_observer(index, observer),
            None => run,
        }
    }
}

/// A fitted method: plain data that explains one input at a time and never changes.
///
/// Authors write [`compute`](Self::compute); callers use [`explain`](Self::explain) and
/// [`explain_many`](Self::explain_many).
/// The same explainer, model, input and seed give the same bytes, at any thread count and beside any other inputs.
pub trait Explainer {
    /// What is explained: [`Row`](crate::Row), or `str` for text.
    type Input: Input + ?Sized;
    /// The model as the method uses it, made of a reference to it: [`BlackBox`](crate::BlackBox),
    /// [`WhiteBox`](crate::WhiteBox) or [`ModelRef`](crate::ModelRef).
    type Model<'m>: Copy + Sync;
    /// The answer; its field names are the JSON keys.
    type Data: Serialize;
    /// The method's constants.
    const INFO: MethodInfo;

    /// The settings, for `meta.params`.
    fn params(&self) -> &impl Serialize;

    /// `classification` or `regression`, for methods that tell them apart. Default `None`.
    fn task(&self) -> Option<String> {
        None
    }

    /// What is used of this model, for `meta.type`. Default: the constant of the method.
    fn kind(&self, model: Self::Model<'_>) -> ModelKind {
        let _ = model;
        Self::INFO.kind
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
        model: Self::Model<'_>,
        x: &Self::Input,
        run: &mut Run<'_>,
    ) -> Result<Self::Data>;

    /// How many inputs [`explain_many_with`](Self::explain_many_with) hands to
    /// [`compute_batch`](Self::compute_batch) at most. Default 1.
    const MAX_BATCH: usize = 1;

    /// Several inputs at once, for methods whose inputs share model calls; each result must be that of
    /// [`compute`](Self::compute), to the bit. The default takes one after the other.
    ///
    /// # Errors
    /// When a call that several inputs share fails: each input is then computed alone, so that only those fail that
    /// fail by themselves.
    fn compute_batch(
        &self,
        model: Self::Model<'_>,
        inputs: &[&Self::Input],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<Self::Data>>> {
        Ok(inputs.iter().zip(runs).map(|(x, run)| self.compute(model, x, run)).collect())
    }

    /// Explains one input: checks it, seeds the run by its fingerprint, computes, and says where the answer came from.
    ///
    /// # Errors
    /// Those of [`check_input`](Self::check_input) before any model call, then those of the method.
    fn explain<'m>(
        &self,
        model: impl Into<Self::Model<'m>>,
        x: &Self::Input,
        mut run: Run<'_>,
    ) -> Result<Explanation<Self::Data>> {
        let model = model.into();
        begin(self, x, &mut run)?;
        let data = self.compute(model, x, &mut run)?;
        finish(self, model, data, run)
    }

    /// Explains every row of a matrix, or every text of a list, in parallel, and hands each result to `sink` in order as
    /// soon as it and all before it are there; `Break` ends the work. An input that fails costs no other input its
    /// explanation.
    ///
    /// Each result is the same, to the bit, as that of [`explain`](Self::explain) on its input alone.
    ///
    /// # Cost
    /// As [`explain`](Self::explain) for each input. When a model call that several inputs share fails, these inputs
    /// are asked again, each alone; `meta.queries` counts both.
    fn explain_many_with<'m, I>(
        &self,
        model: impl Into<Self::Model<'m>>,
        inputs: &I,
        config: &RunConfig<'_>,
        sink: &mut dyn FnMut(usize, Result<Explanation<Self::Data>>) -> ControlFlow<()>,
    ) where
        I: Inputs<Self::Input> + ?Sized,
        Self: Sync,
        Self::Data: Send,
    {
        explain_all(self, model.into(), inputs, config, sink);
    }

    /// Explains every row of a matrix, or every text of a list, in parallel: one result per input, in order.
    ///
    /// # Cost
    /// As [`explain_many_with`](Self::explain_many_with).
    fn explain_many<'m, I>(
        &self,
        model: impl Into<Self::Model<'m>>,
        inputs: &I,
        config: &RunConfig<'_>,
    ) -> Vec<Result<Explanation<Self::Data>>>
    where
        I: Inputs<Self::Input> + ?Sized,
        Self: Sync,
        Self::Data: Send,
    {
        let mut results = Vec::with_capacity(inputs.n_inputs());
        self.explain_many_with(model, inputs, config, &mut |_, result| {
            results.push(result);
            ControlFlow::Continue(())
        });
        results
    }
}

/// What [`Explainer::explain_many_with`] does.
fn explain_all<E, I>(
    explainer: &E,
    model: E::Model<'_>,
    inputs: &I,
    config: &RunConfig<'_>,
    sink: &mut dyn FnMut(usize, Result<Explanation<E::Data>>) -> ControlFlow<()>,
) where
    E: Explainer<Data: Send> + Sync + ?Sized,
    I: Inputs<E::Input> + ?Sized,
{
    let n_inputs = inputs.n_inputs();
    // Under a limit of queries nothing is shared: a call that fails for a neighbour would have been paid for.
    let max_batch = if config.budget.queries.is_some() { 1 } else { E::MAX_BATCH.max(1) };
    // Enough inputs at once that one slow input does not leave the other threads idle for long.
    let batch = (n_inputs / (4 * parallel::width())).clamp(1, max_batch);
    let wave = 4 * parallel::width() * batch;
    for first in (0..n_inputs).step_by(wave) {
        let end = (first + wave).min(n_inputs);
        let chunks = parallel::map(0..(end - first).div_ceil(batch), |chunk| {
            let start = first + chunk * batch;
            explain_batch(explainer, model, inputs, start..(start + batch).min(end), config)
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
    run.reseed(x.fingerprint());
    match run.report(Event::Started { method: E::INFO.name }) {
        ControlFlow::Break(stop) => Err(Error::Stopped(stop)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Ends a run and says where its answer came from.
fn finish<E: Explainer + ?Sized>(
    explainer: &E,
    model: E::Model<'_>,
    data: E::Data,
    mut run: Run<'_>,
) -> Result<Explanation<E::Data>> {
    let queries = run.queries();
    // The answer is there: a request to stop comes too late to change anything.
    let _ = run.report(Event::Finished { queries });
    let provenance = run.into_provenance();
    let meta = Meta {
        name: E::INFO.name.to_owned(),
        kind: explainer.kind(model),
        task: explainer.task(),
        scope: E::INFO.scope.iter().map(|&word| word.to_owned()).collect(),
        params: serde_json::to_value(explainer.params())?,
        version: VERSION.to_owned(),
        seed: provenance.seed.to_string(),
        queries,
        output: provenance.output,
        warnings: provenance.warnings,
    };
    Ok(Explanation { schema: SCHEMA.to_owned(), meta, data })
}

/// Explains neighbouring inputs with shared model calls, and each alone where that fails.
fn explain_batch<E, I>(
    explainer: &E,
    model: E::Model<'_>,
    inputs: &I,
    places: Range<usize>,
    config: &RunConfig<'_>,
) -> Vec<Result<Explanation<E::Data>>>
where
    E: Explainer + ?Sized,
    I: Inputs<E::Input> + ?Sized,
{
    if places.len() < 2 {
        let alone = |place: usize| {
            let input = inputs.input(place);
            explainer.explain(model, input.borrow(), config.run(place))
        };
        return places.map(alone).collect();
    }
    let views: Vec<I::View<'_>> = places.clone().map(|place| inputs.input(place)).collect();
    let mut refused = Vec::new();
    let (mut started, mut runs): (Vec<&E::Input>, Vec<Run<'_>>) = (Vec::new(), Vec::new());
    for (place, view) in places.zip(&views) {
        let mut run = config.run(place);
        let begun = begin(explainer, view.borrow(), &mut run);
        if begun.is_ok() {
            started.push(view.borrow());
            runs.push(run);
        }
        refused.push(begun.err());
    }
    let computed = match explainer.compute_batch(model, &started, &mut runs) {
        Ok(computed) => computed,
        Err(_) => {
            // What the failed calls asked stays counted.
            runs.iter_mut().for_each(Run::restart);
            let both = started.iter().zip(&mut runs);
            both.map(|(input, run)| explainer.compute(model, input, run)).collect()
        }
    };
    let mut explained = computed
        .into_iter()
        .zip(runs)
        .map(|(data, run)| data.and_then(|data| finish(explainer, model, data, run)));
    refused
        .into_iter()
        .map(|refused| match refused {
            Some(error) => Err(error),
            None => explained.next().expect("one result for each input that was not refused"),
        })
        .collect()
}
