//! The door to the model: how batches are cut, checked, counted and stopped.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ndarray::{Array1, Array2, Axis, s};
use xai_core::{BoxError, Budget, Error, Event, Predictor, Result, Rows, Run, Stop};

/// Two outputs per row, the sum and the last number, from a model that remembers the sizes of its batches.
/// It fails on the row whose first number is `bad`, and says NaN for the row whose first number is `nan`.
struct Probe {
    max_batch: usize,
    bad: f64,
    nan: f64,
    calls: Mutex<Vec<usize>>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no such row")]
struct NoSuchRow;

impl Probe {
    fn new(max_batch: usize) -> Self {
        Probe { max_batch, bad: f64::NAN, nan: f64::NAN, calls: Mutex::default() }
    }

    /// Sizes of the batches so far, largest first: their order is up to the threads.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = self.calls.lock().unwrap().clone();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    fn n_rows(&self) -> u64 {
        self.sizes().iter().sum::<usize>() as u64
    }
}

impl Predictor for Probe {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.calls.lock().unwrap().push(batch.nrows());
        let mut outputs = Array2::zeros((batch.nrows(), 2));
        for (row, mut outputs) in batch.outer_iter().zip(outputs.outer_iter_mut()) {
            if row[0].to_bits() == self.bad.to_bits() {
                return Err(NoSuchRow.into());
            }
            outputs[0] = row.iter().sum();
            let silent = row[0].to_bits() == self.nan.to_bits();
            outputs[1] = if silent { f64::NAN } else { row[row.len() - 1] };
        }
        Ok(outputs)
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }
}

/// Row `i` is `i, i / 3, i / 3, ...`.
fn rows(n_rows: usize, n_features: usize) -> Array2<f64> {
    Array2::from_shape_fn((n_rows, n_features), |(i, j)| i as f64 / if j == 0 { 1.0 } else { 3.0 })
}

/// RunConfig in a pool of so many threads; without the feature `rayon` the pool has nothing to do.
fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(work)
}

// Predict ----------------------------------------------------------------------------------------------------

#[test]
fn batches_are_cut_by_size_and_by_width() {
    #[track_caller]
    fn check(shape: (usize, usize), max_batch: usize, expected: &[usize]) {
        let (model, mut run) = (Probe::new(max_batch), Run::seeded(0));
        let outputs = run.predict(&model, &rows(shape.0, shape.1)).unwrap();
        assert_eq!(model.sizes(), expected);
        assert_eq!((outputs.nrows(), run.queries()), (shape.0, shape.0 as u64));
    }
    check((10, 3), 4, &[4, 4, 2]);
    check((8, 3), 4, &[4, 4]);
    check((3, 3), 4, &[3]);
    check((3, 3), 0, &[1, 1, 1]);
    check((0, 3), 4, &[]);
    check((10, 3), usize::MAX, &[10]);
    // At most 2^19 numbers in a batch, but at least 16 rows, whatever the model would take.
    check((300, 1 << 12), usize::MAX, &[128, 128, 44]);
    check((20, 1 << 17), usize::MAX, &[16, 4]);
    check((20, 1 << 17), 7, &[7, 7, 6]);
}

#[test]
fn a_closure_gets_256_rows_at_most() {
    let largest = AtomicU64::new(0);
    let model = |batch: &Rows| -> Result<Array2<f64>, BoxError> {
        largest.fetch_max(batch.nrows() as u64, Ordering::Relaxed);
        Ok(batch.to_owned())
    };
    Run::seeded(0).predict(&model, &rows(2500, 1)).unwrap();
    assert_eq!(largest.into_inner(), 256);
}

#[test]
fn outputs_do_not_depend_on_batches_or_threads() {
    let x = rows(1000, 5);
    let expected = Run::seeded(0).predict(&Probe::new(usize::MAX), &x).unwrap();
    for max_batch in [1, 2, 7, 999] {
        for n_threads in [1, 2, 8] {
            let got = on_threads(n_threads, || Run::seeded(0).predict(&Probe::new(max_batch), &x));
            assert_eq!(got.unwrap(), expected);
        }
    }
    // Nor on how the rows lie in memory.
    let reversed = x.slice(s![..;-1, ..]);
    let got = Run::seeded(0).predict(&Probe::new(7), &reversed).unwrap();
    assert_eq!(got.slice(s![..;-1, ..]), expected);
}

#[test]
fn one_output_is_a_column() {
    let (model, x) = (Probe::new(4), rows(10, 3));
    let mut run = Run::seeded(0);
    assert_eq!(run.output(&model, &x, 1).unwrap(), x.column(2));
    let error = run.output(&model, &x, 2).unwrap_err().to_string();
    assert_eq!(error, "parameter `target` must be below the model's 2 outputs, got 2");
    // No rows, no outputs: nobody knows how many the model has.
    assert_eq!(run.output(&model, &rows(0, 3), 5).unwrap(), Array1::<f64>::zeros(0));
    assert_eq!(run.queries(), 20);
}

#[test]
fn wrong_outputs_are_refused_with_their_place() {
    #[track_caller]
    fn check(model: &dyn Predictor, expected: &str) {
        let error = Run::seeded(0).predict(model, &rows(1000, 2)).unwrap_err().to_string();
        assert_eq!(error, expected);
        let streamed = Run::seeded(0).stream(
            model,
            (1000, 2),
            |first, block| block.assign(&rows(1000, 2).slice(s![first..first + block.nrows(), ..])),
            |_, _| Ok(()),
        );
        assert_eq!(streamed.unwrap_err().to_string(), expected);
    }
    type Answer = Result<Array2<f64>, BoxError>;
    check(
        &|batch: &Rows| -> Answer { Ok(Array2::zeros((batch.nrows() - 1, 2))) },
        "the model's output must have shape [256, 2], got [255, 2]",
    );
    check(
        &|batch: &Rows| -> Answer { Ok(Array2::zeros((batch.nrows(), 0))) },
        "the model's output must have shape [256, 1], got [256, 0]",
    );
    // The place of a number is that in the whole batch, in whichever call it came.
    let silent = |max_batch| Probe { nan: 900.0, ..Probe::new(max_batch) };
    for max_batch in [7, 100, 1000] {
        check(&silent(max_batch), "the model's output must be finite, got NaN at [900, 1]");
    }
    let failing = Probe { bad: 900.0, ..Probe::new(100) };
    check(&failing, "the model failed on a batch of 100 rows");
}

#[test]
fn a_changing_number_of_outputs_is_refused() {
    struct Growing;
    impl Predictor for Growing {
        fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
            Ok(Array2::zeros((batch.nrows(), if batch[[0, 0]] < 20.0 { 2 } else { 3 })))
        }
        fn max_batch(&self) -> usize {
            10
        }
    }
    let expected = "the model's output must have shape [10, 2], got [10, 3]";
    let error = Run::seeded(0).predict(&Growing, &rows(30, 1)).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let fill = |first: usize, block: &mut Rows| block.fill(first as f64);
    let error = Run::seeded(0).stream(&Growing, (30, 1), fill, |_, _| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_models_own_error_is_the_source() {
    let model = Probe { bad: 5.0, ..Probe::new(4) };
    let error = Run::seeded(0).predict(&model, &rows(10, 2)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.downcast_ref::<NoSuchRow>(), Some(&NoSuchRow));
    match error {
        Error::Predictor { rows, source } => {
            assert_eq!((rows, source.downcast_ref()), (4, Some(&NoSuchRow)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_width_is_refused_before_the_model_is_called() {
    struct Wide;
    impl Predictor for Wide {
        fn predict(&self, _: &Rows) -> Result<Array2<f64>, BoxError> {
            Err("must not be called".into())
        }
        fn n_features(&self) -> Option<usize> {
            Some(3)
        }
    }
    let mut run = Run::seeded(0);
    let expected = "the model's input must have shape [5, 3], got [5, 2]";
    assert_eq!(run.predict(&Wide, &rows(5, 2)).unwrap_err().to_string(), expected);
    let streamed = run.stream(&Wide, (5, 2), |_, _| {}, |_, _| Ok(()));
    assert_eq!(streamed.unwrap_err().to_string(), expected);
    assert_eq!(run.queries(), 0);
}

// Budget -----------------------------------------------------------------------------------------------------

#[test]
fn a_budget_is_never_overdrawn() {
    let model = Probe::new(4);
    let mut run = Run::seeded(0).with_budget(Budget::queries(9));
    let over = |result: Result<Array2<f64>>| {
        assert!(matches!(result, Err(Error::Stopped(Stop::Budget))), "{result:?}");
    };
    over(run.predict(&model, &rows(10, 2)));
    let streamed = run.stream(&model, (10, 2), |_, _| {}, |_, _| Ok(()));
    over(streamed.map(|()| Array2::zeros((0, 0))));
    assert_eq!((run.queries(), run.queries_left(), model.n_rows()), (0, Some(9), 0));
    run.predict(&model, &rows(8, 2)).unwrap();
    assert_eq!((run.queries(), run.queries_left(), model.n_rows()), (8, Some(1), 8));
    over(run.predict(&model, &rows(2, 2)));
    run.predict(&model, &rows(1, 2)).unwrap();
    assert_eq!((run.queries(), run.queries_left(), model.n_rows()), (9, Some(0), 9));
    run.predict(&model, &rows(0, 2)).unwrap();
    assert_eq!(Run::seeded(0).queries_left(), None);
}

#[test]
fn a_report_says_who_asked_to_stop() {
    #[track_caller]
    fn check(observer_breaks: bool, late: bool, expected: ControlFlow<Stop>) {
        let mut told = Vec::new();
        let mut observer = |event: Event<'_>| {
            told.push(format!("{event:?}"));
            if observer_breaks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let expired = || late;
        let budget = Budget::cancelled_by(&expired);
        let mut run = Run::seeded(0).with_budget(budget).with_observer(&mut observer);
        assert_eq!(run.report(Event::Step { done: 1, total: None }), expected);
        assert_eq!(told, ["Step { done: 1, total: None }"]);
    }
    check(false, false, ControlFlow::Continue(()));
    check(false, true, ControlFlow::Break(Stop::Deadline));
    check(true, false, ControlFlow::Break(Stop::Observer));
    check(true, true, ControlFlow::Break(Stop::Observer));
    assert_eq!(Run::seeded(0).report(Event::Finished { queries: 0 }), ControlFlow::Continue(()));
}

// Stream -----------------------------------------------------------------------------------------------------

/// What a stream of `rows(n_rows, 3)` came to.
#[derive(Debug, PartialEq)]
struct Streamed {
    /// Outputs as they were folded, row by row.
    outputs: Vec<[f64; 2]>,
    steps: Vec<u64>,
    error: Option<String>,
    queries: u64,
}

/// Streams, and checks that every row was filled once and folded in its turn; the observer breaks at step `stop_at`.
#[track_caller]
fn stream(model: &Probe, n_rows: usize, stop_at: usize, budget: Budget<'_>) -> Streamed {
    let x = rows(n_rows, 3);
    let filled: Vec<AtomicU32> = (0..n_rows).map(|_| AtomicU32::new(0)).collect();
    let (mut outputs, mut steps) = (Vec::new(), Vec::new());
    let mut observer = |event: Event<'_>| {
        let Event::Step { done, total } = event else { panic!("{event:?}") };
        assert_eq!(total, Some(n_rows as u64));
        steps.push(done);
        if steps.len() == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut run = Run::seeded(0).with_budget(budget).with_observer(&mut observer);
    let fill = |first: usize, block: &mut Rows| {
        for (row, mut cells) in block.outer_iter_mut().enumerate() {
            cells.assign(&x.row(first + row));
            filled[first + row].fetch_add(1, Ordering::Relaxed);
        }
    };
    let result = run.stream(model, (n_rows, 3), fill, |first, block| {
        assert_eq!(first, outputs.len());
        outputs.extend(block.axis_iter(Axis(0)).map(|row| [row[0], row[1]]));
        Ok(())
    });
    let queries = run.queries();
    let n_filled = queries.try_into().unwrap();
    assert!(filled[..n_filled].iter().all(|count| count.load(Ordering::Relaxed) == 1));
    assert!(filled[n_filled..].iter().all(|count| count.load(Ordering::Relaxed) == 0));
    assert_eq!(model.n_rows(), queries, "the model's own count");
    let error = result.err().map(|error| error.to_string());
    Streamed { outputs, steps, error, queries }
}

#[test]
fn a_stream_folds_what_predict_returns() {
    let expected = Run::seeded(0).predict(&Probe::new(usize::MAX), &rows(1000, 3)).unwrap();
    let expected: Vec<[f64; 2]> = expected.outer_iter().map(|row| [row[0], row[1]]).collect();
    for max_batch in [1, 3, 10, 125, 126, 5000] {
        // Eight calls a wave, and a step after each wave, whatever the number of threads.
        let ends = (1..).map(|wave| (8 * max_batch as u64 * wave).min(1000));
        let mut steps: Vec<u64> = ends.take(1000_usize.div_ceil(8 * max_batch)).collect();
        steps.dedup();
        let whole = Streamed { outputs: expected.clone(), steps, error: None, queries: 1000 };
        for n_threads in [1, 2, 8] {
            let model = Probe::new(max_batch);
            let got = on_threads(n_threads, || stream(&model, 1000, 0, Budget::default()));
            assert_eq!(got, whole);
            assert!(model.sizes().iter().all(|&size| size <= max_batch));
        }
    }
}

#[test]
fn a_stream_of_nothing_calls_nothing() {
    let model = Probe::new(10);
    let nothing = Streamed { outputs: vec![], steps: vec![], error: None, queries: 0 };
    assert_eq!(stream(&model, 0, 0, Budget::default()), nothing);
    assert_eq!(model.sizes(), [0; 0]);
}

#[test]
fn a_stream_ends_at_the_step_that_says_so() {
    for step in 1..=13 {
        // Waves of 80 rows: 12 whole ones, and 40 rows.
        let done = (80 * step).min(1000);
        let got = stream(&Probe::new(10), 1000, step, Budget::default());
        // After the last wave there is nothing left to stop.
        let stopped = |error: &'static str| Some(error).filter(|_| step < 13);
        let error = "stopped before there was an answer: the observer asked for it";
        assert_eq!(got.error.as_deref(), stopped(error));
        assert_eq!((got.outputs.len(), got.queries, got.steps.len()), (done, done as u64, step));
        // The clock is asked as often as the observer.
        let asked = AtomicU64::new(0);
        let expired = || asked.fetch_add(1, Ordering::Relaxed) + 1 == step as u64;
        let late = Budget::cancelled_by(&expired);
        let got = stream(&Probe::new(10), 1000, 0, late);
        let error = "stopped before there was an answer: the time was up";
        assert_eq!(got.error.as_deref(), stopped(error));
        assert_eq!((got.outputs.len(), got.queries, got.steps.len()), (done, done as u64, step));
    }
}

#[test]
fn a_stop_that_comes_with_the_last_rows_ends_the_next_stream() {
    let model = Probe::new(10);
    let mut observer = |_: Event<'_>| ControlFlow::Break(());
    let mut run = Run::seeded(0).with_observer(&mut observer);
    let mut stream = || run.stream(&model, (5, 1), |_, _| {}, |_, _| Ok(()));
    assert!(stream().is_ok());
    assert!(matches!(stream(), Err(Error::Stopped(Stop::Observer))));
    assert_eq!(model.n_rows(), 5);
}

#[test]
fn a_stream_hands_on_errors_of_the_model_and_of_the_fold() {
    for n_threads in [1, 8] {
        let model = Probe { bad: 905.0, ..Probe::new(10) };
        let got = on_threads(n_threads, || stream(&model, 1000, 0, Budget::default()));
        // What came before the failing call was folded; its wave was asked for in full.
        assert_eq!(got.error.as_deref(), Some("the model failed on a batch of 10 rows"));
        assert_eq!((got.outputs.len(), got.queries, got.steps.last()), (900, 960, Some(&880)));
    }
    let mut run = Run::seeded(0);
    let refuse = |_: usize, _: &Rows| Err(Error::Singular { what: "the sum" });
    let error = run.stream(&Probe::new(10), (1000, 1), |_, _| {}, refuse).unwrap_err();
    assert_eq!((error.to_string().as_str(), run.queries()), ("the sum is singular", 80));
}
