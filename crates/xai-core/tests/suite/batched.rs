//! Several runs in one stream, and several inputs in one computation.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares numbers that are written down"
)]

use std::ops::ControlFlow;
use std::sync::Mutex;

use ndarray::{Array1, Array2, Axis, array};
use serde::Serialize;
use xai_core::{
    BlackBox, BoxError, Budget, Error, Event, Explainer, MethodInfo, ModelKind, Predictor, Result,
    Row, Rows, Run, RunConfig, Stop,
};

/// Twice the first number of each row; remembers the first numbers of each batch, and refuses -13.
#[derive(Default)]
struct Double {
    max_batch: usize,
    calls: Mutex<Vec<Vec<f64>>>,
}

impl Double {
    fn of(max_batch: usize) -> Self {
        Double { max_batch, ..Default::default() }
    }

    /// The batches, in the order of their first numbers: that of the calls is up to the threads.
    fn calls(&self) -> Vec<Vec<f64>> {
        let mut calls = self.calls.lock().unwrap().clone();
        calls.sort_by(|a, b| a[0].total_cmp(&b[0]));
        calls
    }
}

impl Predictor for Double {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.lock().unwrap().push(batch.column(0).to_vec());
        if batch.iter().any(|&value| value == -13.0) {
            return Err("unlucky".into());
        }
        Ok(batch.column(0).mapv(|value| 2.0 * value).insert_axis(Axis(1)))
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }
}

/// Rows `100 * run, 100 * run + 1, ..` of each run; gives what each run was handed back.
fn stream(model: &Double, runs: &mut [Run<'_>], sizes: &[usize]) -> (Result<()>, Vec<Vec<f64>>) {
    let mut folded: Vec<Vec<f64>> = vec![Vec::new(); sizes.len()];
    let result = Run::stream_batched(
        runs,
        model,
        (sizes, 1),
        |run, first, block| {
            for (offset, mut row) in block.rows_mut().into_iter().enumerate() {
                row.fill((100 * run + first + offset) as f64);
            }
        },
        |run, first, outputs| {
            assert_eq!(first, folded[run].len(), "rows come in order");
            folded[run].extend(outputs.iter());
            Ok(())
        },
    );
    (result, folded)
}

fn expected(run: usize, size: usize) -> Vec<f64> {
    (0..size).map(|row| 2.0 * (100 * run + row) as f64).collect()
}

#[test]
fn runs_share_calls_and_keep_their_own_rows() {
    let model = Double::of(4);
    let sizes = [3, 0, 6, 0, 0, 1];
    let mut runs: Vec<Run<'_>> = sizes.iter().map(|_| Run::seeded(0)).collect();
    let (result, folded) = stream(&model, &mut runs, &sizes);
    result.unwrap();
    for (run, &size) in sizes.iter().enumerate() {
        assert_eq!(folded[run], expected(run, size));
        assert_eq!(runs[run].queries(), size as u64);
    }
    let calls = [vec![0.0, 1.0, 2.0, 200.0], vec![201.0, 202.0, 203.0, 204.0], vec![205.0, 500.0]];
    assert_eq!(model.calls(), calls);
}

#[test]
fn every_cut_gives_the_same_answers() {
    for max_batch in 1..=12 {
        for sizes in [[5, 0, 7], [0, 0, 0], [1, 1, 1], [0, 40, 3], [90, 0, 0]] {
            let mut runs: Vec<Run<'_>> = sizes.iter().map(|_| Run::seeded(0)).collect();
            let (result, folded) = stream(&Double::of(max_batch), &mut runs, &sizes);
            result.unwrap();
            for (run, &size) in sizes.iter().enumerate() {
                assert_eq!(folded[run], expected(run, size), "{max_batch}, {sizes:?}");
            }
        }
    }
}

#[test]
fn a_budget_that_forbids_one_run_stops_them_before_any_call() {
    let model = Double::of(4);
    let poor = Budget::queries(2);
    let mut runs = [Run::seeded(0), Run::seeded(0).with_budget(poor)];
    let (result, _) = stream(&model, &mut runs, &[3, 3]);
    assert!(matches!(result, Err(Error::Stopped(Stop::Budget))));
    assert!(model.calls().is_empty());
}

#[test]
fn a_stop_of_one_run_leaves_what_is_done() {
    // Waves of eight calls of four rows: run 0 has 40 rows, and its observer says stop after the first wave.
    let model = Double::of(4);
    let mut observer = |event: Event<'_>| match event {
        Event::Step { done: 32, total: Some(40) } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let mut runs = [Run::seeded(0).with_observer(&mut observer), Run::seeded(0)];
    let (result, folded) = stream(&model, &mut runs, &[40, 10]);
    assert!(matches!(result, Err(Error::Stopped(Stop::Observer))));
    assert_eq!((folded[0].clone(), folded[1].len()), (expected(0, 32), 0));
    assert_eq!((runs[0].queries(), runs[1].queries()), (32, 0));
}

/// Doubles its input with calls that inputs share; `alone` counts inputs computed by themselves.
#[derive(Default, Serialize)]
struct Together {
    #[serde(skip)]
    alone: Mutex<usize>,
}

impl Explainer for Together {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = f64;
    const INFO: MethodInfo =
        MethodInfo { name: "Together", kind: ModelKind::BlackBox, scope: &["local"] };
    const MAX_BATCH: usize = 4;

    fn params(&self) -> &impl Serialize {
        self
    }

    fn compute(&self, model: Self::Model<'_>, x: &Row, run: &mut Run<'_>) -> Result<f64> {
        *self.alone.lock().unwrap() += 1;
        Ok(run.predict(model.predictor(), &x.view().insert_axis(Axis(0)))?[[0, 0]])
    }

    fn compute_batch(
        &self,
        model: Self::Model<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<f64>>> {
        let mut outputs = vec![0.0; inputs.len()];
        Run::stream_batched(
            runs,
            model.predictor(),
            (&vec![1; inputs.len()], 1),
            |run, _, block| block.row_mut(0).assign(&inputs[run].view()),
            |run, _, own| {
                outputs[run] = own[[0, 0]];
                Ok(())
            },
        )?;
        Ok(outputs.into_iter().map(Ok).collect())
    }
}

fn explain_all(explainer: &Together, model: &Double, x: &[f64]) -> Vec<Result<f64>> {
    let rows = Array1::from(x.to_vec()).insert_axis(Axis(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let explained = pool.install(|| explainer.explain_many(model, &rows, &RunConfig::seeded(0)));
    explained.into_iter().map(|one| one.map(|one| one.data)).collect()
}

#[test]
fn rows_are_handed_over_together() {
    let (explainer, model) = (Together::default(), Double::of(256));
    let x: Vec<f64> = (0..16).map(f64::from).collect();
    let explained = explain_all(&explainer, &model, &x);
    for (row, result) in explained.into_iter().enumerate() {
        assert_eq!(result.unwrap(), 2.0 * row as f64);
    }
    assert_eq!(model.calls().len(), 4);
    assert_eq!(*explainer.alone.lock().unwrap(), 0);
}

#[test]
fn a_shared_call_that_fails_fails_only_those_that_fail_alone() {
    let (explainer, model) = (Together::default(), Double::of(256));
    let mut x: Vec<f64> = (0..16).map(f64::from).collect();
    x[5] = f64::NAN;
    x[13] = -13.0;
    for (row, result) in explain_all(&explainer, &model, &x).into_iter().enumerate() {
        match row {
            5 => assert!(matches!(result, Err(Error::NotFinite { what: "the input", .. }))),
            13 => assert!(matches!(result, Err(Error::Predictor { rows: 1, .. }))),
            _ => assert_eq!(result.unwrap(), 2.0 * row as f64),
        }
    }
    // Rows 12 to 15 shared the call that failed.
    assert_eq!(*explainer.alone.lock().unwrap(), 4);
}

#[test]
fn what_a_failed_shared_call_asked_stays_counted() {
    let (explainer, model) = (Together::default(), Double::of(256));
    let mut x: Vec<f64> = (0..16).map(f64::from).collect();
    x[13] = -13.0;
    let rows = Array1::from(x.clone()).insert_axis(Axis(1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let explained = pool.install(|| explainer.explain_many(&model, &rows, &RunConfig::seeded(0)));
    let asked = model.calls.into_inner().unwrap().concat();
    for (row, result) in explained.into_iter().enumerate() {
        let times = asked.iter().filter(|&&value| value == x[row]).count() as u64;
        assert_eq!(times, if (12..16).contains(&row) { 2 } else { 1 });
        if row != 13 {
            assert_eq!(result.unwrap().meta.queries, times, "row {row}");
        }
    }
}

#[test]
fn a_budget_is_spent_once_and_by_its_own_row() {
    let (explainer, model) = (Together::default(), Double::of(256));
    let mut x: Vec<f64> = (0..16).map(f64::from).collect();
    x[13] = -13.0;
    let rows = Array1::from(x.clone()).insert_axis(Axis(1));
    let config = RunConfig::seeded(0).with_budget(Budget::queries(1));
    let explained = explainer.explain_many(&model, &rows, &config);
    let asked = model.calls.into_inner().unwrap().concat();
    assert_eq!(asked.len(), 16, "every row is asked once, whatever fails beside it");
    for (row, result) in explained.into_iter().enumerate() {
        match result {
            Ok(explanation) => assert_eq!(explanation.meta.queries, 1),
            Err(error) => {
                assert!(row == 13 && matches!(error, Error::Predictor { .. }), "{row}: {error:?}");
            }
        }
    }
}

#[test]
fn observers_receive_the_events_of_every_input() {
    let (explainer, model) = (Together::default(), Double::of(256));
    let rows = Array2::from_shape_fn((9, 1), |(row, _)| row as f64);
    let seen = Mutex::new(vec![Vec::new(); 9]);
    let observer = |index: usize, event: Event<'_>| {
        seen.lock().unwrap()[index].push(format!("{event:?}"));
        if index == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let config = RunConfig::seeded(0).with_observer(&observer);
    for (row, result) in explainer.explain_many(&model, &rows, &config).into_iter().enumerate() {
        assert_eq!(matches!(result, Err(Error::Stopped(Stop::Observer))), row == 4);
    }
    for (row, events) in seen.into_inner().unwrap().iter().enumerate() {
        assert!(events[0].starts_with("Started"), "{row}: {events:?}");
        let is_finished = events.iter().any(|event| event.starts_with("Finished"));
        assert_eq!(is_finished, row != 4, "{row}: {events:?}");
    }
}

#[test]
fn a_budget_ends_at_its_instant() {
    let (explainer, model) = (Together::default(), Double::of(256));
    #[allow(clippy::disallowed_methods, reason = "a deadline that has passed needs the clock")]
    let budget = Budget::until(std::time::Instant::now()).with_queries(10);
    let result = explainer.explain(&model, &array![1.0], Run::seeded(0).with_budget(budget));
    assert!(matches!(result, Err(Error::Stopped(Stop::Deadline))));
    assert!(model.calls().is_empty());
}

#[test]
fn shared_seeds_are_those_of_the_call() {
    let run = Run::seeded(9);
    assert_eq!(run.shared_seed(), run.seed());
    assert!(!run.can_stop());
    let mut watch = |_: Event<'_>| ControlFlow::Continue(());
    assert!(Run::seeded(9).with_observer(&mut watch).can_stop());
    let clock = || false;
    let timed = Budget::cancelled_by(&clock);
    assert!(Run::seeded(9).with_budget(timed).can_stop());
    let counted = Budget::queries(3);
    assert!(!Run::seeded(9).with_budget(counted).can_stop());

    /// Says both seeds.
    #[derive(Serialize)]
    struct Seeds;
    impl Explainer for Seeds {
        type Input = Row;
        type Model<'m> = BlackBox<'m>;
        type Data = (String, String);
        const INFO: MethodInfo =
            MethodInfo { name: "Seeds", kind: ModelKind::BlackBox, scope: &[] };
        fn params(&self) -> &impl Serialize {
            self
        }
        fn compute(&self, _: Self::Model<'_>, _: &Row, run: &mut Run<'_>) -> Result<Self::Data> {
            Ok((run.shared_seed().to_string(), run.seed().to_string()))
        }
    }
    let seeds = |x: f64| Seeds.explain(&Double::of(1), &array![x], Run::seeded(9)).unwrap();
    let (one, other) = (seeds(1.0), seeds(2.0));
    assert_eq!((one.data.0.as_str(), other.data.0.as_str()), ("9", "9"));
    assert_eq!(one.meta.seed, "9");
    assert_ne!(one.data.1, other.data.1);
}
