//! What every explainer must keep to, whatever it computes.

use std::fmt::Debug;
use std::ops::ControlFlow;

use ndarray::{Array1, Array2, Axis, concatenate, s};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xai_core::{
    BlackBox, Differentiable, Error, Event, Explainer, Explanation, ParamError, Params, Result,
    Row, Run, RunConfig, Stop,
};

use crate::probe::{Broken, Fault, Probe};

/// The conformance suite of one fitted explainer.
pub struct Suite<'a, E: Explainer<Input = Row>> {
    /// The explainer, as its `fit` or `build` returned it.
    pub explainer: &'a E,
    /// The model's view the explainer wants: `|probe| probe`.
    pub view: for<'p> fn(&'p Probe<'p>) -> E::Model<'p>,
    /// A model that treats rows independently, to the bit.
    pub model: &'a dyn Differentiable,
    /// At least three different rows, none of which the explainer was fitted on.
    pub rows: Array2<f64>,
}

const SEED: u64 = 20_260_101;

impl<E> Suite<'_, E>
where
    E: Explainer<Input = Row> + Serialize + DeserializeOwned + Sync,
    E::Data: Serialize + DeserializeOwned + Debug + Send,
{
    /// RunConfig every check.
    ///
    /// # Panics
    /// At the first rule that is broken, with the rule.
    #[track_caller]
    pub fn run(&self) {
        assert!(3 <= self.rows.nrows(), "the suite needs three rows");
        self.same_seed_same_bytes();
        self.threads_and_neighbours_change_nothing();
        self.bad_input_is_refused_before_any_call();
        self.model_errors_are_named();
        self.a_failure_costs_no_other_row();
        self.observers_change_nothing();
        self.every_stop_ends_cleanly();
        self.budgets_hold();
        self.save_load_explain();
        self.json_round_trip();
        self.queries_are_true();
    }

    fn explain(&self, probe: &Probe<'_>, row: &Row) -> Result<Explanation<E::Data>> {
        self.explainer.explain((self.view)(probe), row, Run::seeded(SEED))
    }

    fn json(&self, row: &Row) -> String {
        let explanation =
            self.explain(&Probe::new(self.model), row).expect("the suite's rows can be explained");
        explanation.to_json().expect("an explanation is JSON")
    }

    fn same_seed_same_bytes(&self) {
        for row in self.rows.rows() {
            assert_eq!(self.json(&row), self.json(&row), "the same seed gave other bytes");
        }
    }

    fn threads_and_neighbours_change_nothing(&self) {
        let alone: Vec<String> = self.rows.rows().into_iter().map(|row| self.json(&row)).collect();
        let mirrored = self.rows.slice(s![..;-1, ..]);
        let doubled = concatenate(Axis(0), &[self.rows.view(), mirrored]).expect("equal widths");
        for threads in [1, 2, 8] {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let probe = Probe::new(self.model);
            let together = pool.install(|| {
                self.explainer.explain_many((self.view)(&probe), &doubled, &RunConfig::seeded(SEED))
            });
            let expected = alone.iter().chain(alone.iter().rev());
            assert_eq!(together.len(), 2 * alone.len(), "one result per row");
            for (row, (result, expected)) in together.into_iter().zip(expected).enumerate() {
                let json = result.expect("the row can be explained").to_json().expect("JSON");
                assert_eq!(
                    json, *expected,
                    "row {row} differs on {threads} threads among other rows"
                );
            }
        }
    }

    fn bad_input_is_refused_before_any_call(&self) {
        let row = self.rows.row(0);
        let narrow = row.slice(s![1..]).to_owned();
        let mut wide = row.to_vec();
        wide.push(0.0);
        for wrong in [narrow, Array1::from(wide)] {
            let probe = Probe::new(self.model);
            let error = self.explain(&probe, &wrong).expect_err("a wrong width must be refused");
            let expected = [row.len()];
            assert!(
                matches!(&error, Error::Shape { expected: e, got, .. } if *e == expected && *got == [wrong.len()]),
                "a wrong width must be an Error::Shape with both widths, got {error:?}"
            );
            assert_eq!(
                probe.calls(),
                0,
                "a wrong width must be refused before the model is called"
            );
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut wrong = row.to_owned();
            wrong[1] = bad;
            let probe = Probe::new(self.model);
            let error = self
                .explain(&probe, &wrong)
                .expect_err("a number that is not finite must be refused");
            assert!(
                matches!(&error, Error::NotFinite { at, .. } if *at == [1]),
                "{bad} must be an Error::NotFinite at [1], got {error:?}"
            );
            assert_eq!(probe.calls(), 0, "{bad} must be refused before the model is called");
        }
    }

    fn model_errors_are_named(&self) {
        let row = self.rows.row(0);
        let broken = self
            .explain(&Probe::failing(self.model, Fault::Always), &row)
            .expect_err("the model fails");
        let Error::Predictor { source, .. } = &broken else {
            panic!("expected Error::Predictor, got {broken:?}")
        };
        assert_eq!(
            source.downcast_ref::<Broken>(),
            Some(&Broken),
            "the model's own error must be the source"
        );
        let nan = self
            .explain(&Probe::failing(self.model, Fault::NotFinite), &row)
            .expect_err("the outputs are NaN");
        assert!(
            matches!(nan, Error::NotFinite { .. }),
            "NaN outputs must be Error::NotFinite, got {nan:?}"
        );
        let short = self
            .explain(&Probe::failing(self.model, Fault::ShortBatch), &row)
            .expect_err("a row is missing");
        assert!(
            matches!(short, Error::Shape { .. }),
            "missing outputs must be Error::Shape, got {short:?}"
        );
    }

    fn a_failure_costs_no_other_row(&self) {
        let n_rows = self.rows.nrows();
        let many =
            self.rows.select(Axis(0), &(0..1000).map(|row| row % n_rows).collect::<Vec<_>>());
        let fails = |row: usize| row % n_rows == 900 % n_rows;
        let probe = Probe::failing(self.model, Fault::OnRow(many.row(900).to_owned()));
        let results =
            self.explainer.explain_many((self.view)(&probe), &many, &RunConfig::seeded(SEED));
        let expected: Vec<String> =
            self.rows.rows().into_iter().map(|row| self.json(&row)).collect();
        for (row, result) in results.into_iter().enumerate() {
            match result {
                Ok(explanation) => {
                    assert!(!fails(row), "row {row} was explained by a model that fails on it");
                    assert_eq!(
                        explanation.to_json().expect("JSON"),
                        expected[row % n_rows],
                        "row {row} differs"
                    );
                }
                Err(error) => {
                    assert!(fails(row), "row {row} was lost to the failure of another: {error:?}");
                }
            }
        }
    }

    fn observers_change_nothing(&self) {
        let row = self.rows.row(0);
        let mut events = Vec::new();
        let mut observer = |event: Event<'_>| {
            events.push(format!("{event:?}"));
            ControlFlow::Continue(())
        };
        let probe = Probe::new(self.model);
        let run = Run::seeded(SEED).with_observer(&mut observer);
        let watched = self
            .explainer
            .explain((self.view)(&probe), &row, run)
            .expect("the row can be explained");
        assert_eq!(
            watched.to_json().expect("JSON"),
            self.json(&row),
            "an observer changed the explanation"
        );
        assert!(
            events.first().is_some_and(|event| event.starts_with("Started")),
            "the first event is Started"
        );
        assert!(
            events.last().is_some_and(|event| event.starts_with("Finished")),
            "the last event is Finished"
        );
    }

    fn every_stop_ends_cleanly(&self) {
        let row = self.rows.row(0);
        let full = self.json(&row);
        for stop_at in 0.. {
            let mut seen = 0;
            let mut observer = |_: Event<'_>| {
                seen += 1;
                if seen <= stop_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let probe = Probe::new(self.model);
            let run = Run::seeded(SEED).with_observer(&mut observer);
            match self.explainer.explain((self.view)(&probe), &row, run) {
                Ok(explanation) => {
                    assert_eq!(
                        explanation.meta.queries,
                        probe.queries(),
                        "queries after a stop at event {stop_at}"
                    );
                    // Past the last event nothing was stopped.
                    if seen <= stop_at {
                        assert_eq!(explanation.to_json().expect("JSON"), full);
                        return;
                    }
                }
                Err(error) => {
                    assert!(
                        matches!(error, Error::Stopped(Stop::Observer)),
                        "a stop gave {error:?}"
                    );
                    assert!(stop_at < seen, "stopped without having been told");
                }
            }
        }
    }

    fn budgets_hold(&self) {
        let row = self.rows.row(0);
        let full = self
            .explain(&Probe::new(self.model), &row)
            .expect("the row can be explained")
            .meta
            .queries;
        for queries in [0, 1, full / 2, full - 1, full] {
            let probe = Probe::new(self.model);
            let budget = xai_core::Budget::queries(queries);
            let run = Run::seeded(SEED).with_budget(budget);
            match self.explainer.explain((self.view)(&probe), &row, run) {
                Ok(explanation) => {
                    assert_eq!(explanation.meta.queries, probe.queries(), "queries under a budget");
                }
                Err(Error::Stopped(Stop::Budget) | Error::Budget { .. }) => {
                    assert!(queries < full, "the full price was refused");
                }
                Err(other) => panic!("a budget of {queries} gave {other:?}"),
            }
            assert!(
                probe.queries() <= queries,
                "asked {} rows under a budget of {queries}",
                probe.queries()
            );
        }
        let late = || true;
        let budget = xai_core::Budget::cancelled_by(&late);
        let run = Run::seeded(SEED).with_budget(budget);
        match self.explainer.explain((self.view)(&Probe::new(self.model)), &row, run) {
            Ok(_) | Err(Error::Stopped(Stop::Deadline)) => {}
            Err(other) => panic!("an expired clock gave {other:?}"),
        }
    }

    fn save_load_explain(&self) {
        let saved = serde_json::to_string(self.explainer).expect("an explainer is plain data");
        let loaded: E = serde_json::from_str(&saved).expect("a saved explainer loads");
        assert_eq!(
            serde_json::to_string(&loaded).expect("JSON"),
            saved,
            "loading changed the explainer"
        );
        for row in self.rows.rows() {
            let probe = Probe::new(self.model);
            let again = loaded
                .explain((self.view)(&probe), &row, Run::seeded(SEED))
                .expect("explained as before");
            assert_eq!(
                again.to_json().expect("JSON"),
                self.json(&row),
                "a loaded explainer explains differently"
            );
        }
    }

    fn json_round_trip(&self) {
        for row in self.rows.rows() {
            let json = self.json(&row);
            let typed =
                Explanation::<E::Data>::from_json(&json).expect("an explanation reads back");
            assert_eq!(
                typed.to_json().expect("JSON"),
                json,
                "the typed round trip changed the bytes"
            );
            assert_eq!(typed.schema, xai_core::explanation::SCHEMA);
            Explanation::<serde_json::Value>::from_json(&json)
                .expect("an explanation reads back untyped");
        }
    }

    fn queries_are_true(&self) {
        for row in self.rows.rows() {
            let probe = Probe::new(self.model);
            let explanation = self.explain(&probe, &row).expect("the row can be explained");
            assert_eq!(
                explanation.meta.queries,
                probe.queries(),
                "meta.queries is not what the model was asked"
            );
        }
    }
}

/// Requires that illegal parameters are refused by name.
///
/// # Panics
/// When `params` pass their check, or when the error names another parameter.
#[track_caller]
pub fn refused<P: Params + Debug>(name: &str, params: P) {
    let shown = format!("{params:?}");
    match params.check() {
        Ok(_) => panic!("`{name}` is illegal and was accepted in {shown}"),
        Err(ParamError { name: named, .. }) => {
            assert_eq!(named, name, "the error names another parameter, in {shown}");
        }
    }
}

/// The view of a probe for black-box explainers.
#[must_use]
pub fn black_box<'p>(probe: &'p Probe<'p>) -> BlackBox<'p> {
    BlackBox::from(probe)
}
