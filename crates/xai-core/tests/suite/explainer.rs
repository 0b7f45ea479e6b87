//! What every explainer gets for nothing: meta data, seeds by content, rows in parallel.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, Axis, array};
use serde::Serialize;
use serde_json::json;
use xai_core::explanation::{SCHEMA, VERSION};
use xai_core::{
    BlackBox, BoxError, Budget, Error, Event, Explainer, Input, MethodInfo, ModelKind, Result, Row,
    Rows, Run, RunConfig, Seed, Stop, Warning,
};

/// The model's first output, and a random number, which tells whose seed it was.
#[derive(Serialize)]
struct Toy {
    repeat: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ToyData {
    output: f64,
    random: u64,
}

impl Explainer for Toy {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = ToyData;
    const INFO: MethodInfo =
        MethodInfo { name: "Toy", kind: ModelKind::BlackBox, scope: &["local", "toy"] };

    fn params(&self) -> &impl Serialize {
        self
    }

    fn task(&self) -> Option<String> {
        Some("regression".to_owned())
    }

    fn compute(&self, model: Self::Model<'_>, x: &Row, run: &mut Run<'_>) -> Result<ToyData> {
        let batch = Array2::from_shape_fn((self.repeat, x.len()), |(_, column)| x[column]);
        let output = run.output(model.predictor(), &batch, 0)?[0];
        for code in ["toy.doubt", "toy.other", "toy.doubt"] {
            run.warn(code, format!("{output}"));
        }
        run.warn("toy.doubt", "said before");
        Ok(ToyData { output, random: run.seed().stream().bits() })
    }
}

type Answer = Result<Array2<f64>, BoxError>;

/// The sum of each row, refused for rows that hold 13; `calls` counts.
fn model(calls: &AtomicU64) -> impl Fn(&Rows) -> Answer + Sync {
    |batch: &Rows| {
        calls.fetch_add(1, Ordering::Relaxed);
        let unlucky = batch.iter().any(|&value| value.to_bits() == 13.0_f64.to_bits());
        if unlucky {
            Err("unlucky".into())
        } else {
            Ok(batch.sum_axis(Axis(1)).insert_axis(Axis(1)))
        }
    }
}

fn explain(x: &Row, run: Run<'_>) -> xai_core::Explanation<ToyData> {
    Toy { repeat: 3 }.explain(&model(&AtomicU64::new(0)), x, run).unwrap()
}

fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(work)
}

// One input --------------------------------------------------------------------------------------------------

#[test]
fn the_explanation_says_where_it_comes_from() {
    let x = array![1.0, 2.5];
    let explanation = explain(&x, Run::seeded(7));
    let random = Seed::new(7).child(x.fingerprint()).stream().bits();
    assert_eq!(explanation.data, ToyData { output: 3.5, random });
    assert_eq!(explanation.schema, SCHEMA);
    let meta = explanation.meta;
    assert_eq!((meta.name.as_str(), meta.version.as_str()), ("Toy", VERSION));
    assert_eq!(
        (meta.kind, meta.scope),
        (ModelKind::BlackBox, vec!["local".to_owned(), "toy".to_owned()])
    );
    assert_eq!(meta.task.as_deref(), Some("regression"));
    assert_eq!(meta.params, json!({"repeat": 3}));
    // The seed that was given, with which `explain` gives the same again; not the row's own.
    assert_eq!((meta.seed.as_str(), meta.queries), ("7", 3));
    let warning = |code: &str| Warning { code: code.to_owned(), message: "3.5".to_owned() };
    assert_eq!(meta.warnings, [warning("toy.doubt"), warning("toy.other")]);
}

#[test]
fn numbers_that_are_not_finite_are_refused_before_any_call() {
    for (value, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let calls = AtomicU64::new(0);
        let mut events = 0;
        let mut observer = |_: Event<'_>| {
            events += 1;
            ControlFlow::Continue(())
        };
        let run = Run::seeded(0).with_observer(&mut observer);
        let error =
            Toy { repeat: 1 }.explain(&model(&calls), &array![1.0, value], run).unwrap_err();
        assert_eq!(error.to_string(), format!("the input must be finite, got {text} at [1]"));
        assert_eq!((calls.into_inner(), events), (0, 0));
    }
    // Finite numbers whose sum is not are finite numbers.
    let huge = array![f64::MAX, f64::MAX];
    huge.check().unwrap();
}

#[test]
fn an_observer_sees_the_run_and_may_end_it_at_its_start() {
    let mut told = Vec::new();
    let mut observer = |event: Event<'_>| {
        told.push(format!("{event:?}"));
        // Too late to change anything at `Finished`.
        if matches!(event, Event::Started { .. }) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let x = array![1.0, 2.5];
    assert_eq!(
        explain(&x, Run::seeded(7).with_observer(&mut observer)),
        explain(&x, Run::seeded(7))
    );
    assert_eq!(told, [r#"Started { method: "Toy" }"#, "Finished { queries: 3 }"]);

    let calls = AtomicU64::new(0);
    let mut observer = |_: Event<'_>| ControlFlow::Break(());
    let run = Run::seeded(7).with_observer(&mut observer);
    let stopped = Toy { repeat: 1 }.explain(&model(&calls), &x, run);
    assert!(matches!(stopped, Err(Error::Stopped(Stop::Observer))), "{stopped:?}");
    let expired = || true;
    let run = Run::seeded(7).with_budget(Budget::cancelled_by(&expired));
    let stopped = Toy { repeat: 1 }.explain(&model(&calls), &x, run);
    assert!(matches!(stopped, Err(Error::Stopped(Stop::Deadline))), "{stopped:?}");
    assert_eq!(calls.into_inner(), 0);
}

#[test]
fn texts_are_explained_as_rows_are() {
    struct Words;
    impl Explainer for Words {
        type Input = str;
        type Model<'m> = BlackBox<'m, [String]>;
        type Data = (usize, u64);
        const INFO: MethodInfo =
            MethodInfo { name: "Words", kind: ModelKind::BlackBox, scope: &[] };
        fn params(&self) -> &impl Serialize {
            &()
        }
        fn compute(&self, _: Self::Model<'_>, x: &str, run: &mut Run<'_>) -> Result<(usize, u64)> {
            Ok((x.split(' ').count(), run.seed().stream().bits()))
        }
    }
    let model = |texts: &[String]| -> Answer { Ok(Array2::zeros((texts.len(), 1))) };
    let explanation = Words.explain(&model, "good food", Run::seeded(1)).unwrap();
    let random = Seed::new(1).child("good food".fingerprint()).stream().bits();
    assert_eq!(explanation.data, (2, random));
    assert_eq!((explanation.meta.queries, explanation.meta.task), (0, None));
}

// Fingerprints -----------------------------------------------------------------------------------------------

/// The hash is part of the format: with another one, recorded seeds give other explanations.
#[test]
fn fingerprints_are_fnv_1a() {
    #[track_caller]
    fn check(input: &(impl Input + ?Sized), expected: u64) {
        assert_eq!(input.fingerprint(), expected, "{:#018x}", input.fingerprint());
    }
    // The test vectors of draft-eastlake-fnv, appendix C.
    check("", 0xcbf2_9ce4_8422_2325);
    check("a", 0xaf63_dc4c_8601_ec8c);
    check("foobar", 0x8594_4171_f739_67e8);
    let none: &Row = &ndarray::Array1::zeros(0);
    check(none, 0xcbf2_9ce4_8422_2325);
    // A row is the bytes of its numbers, little-endian: FNV-1a computed apart.
    let row: &Row = &array![0.0];
    check(row, 0xa8c7_f832_281a_39c5);
    let row: &Row = &array![1.0, -2.5, 1e300];
    check(row, 0xa349_cf69_2ab2_f53a);
}

#[test]
fn fingerprints_tell_rows_apart_and_zeros_together() {
    let rows = [
        array![0.0, 1.0],
        array![1.0, 0.0],
        array![0.0],
        array![0.0, 0.0],
        array![0.0, 1.0 + f64::EPSILON],
        array![0.0, -1.0],
        array![0.0, f64::from_bits(1)],
    ];
    let prints: std::collections::BTreeSet<u64> =
        rows.iter().map(|row| row.fingerprint()).collect();
    assert_eq!(prints.len(), rows.len());
    assert_eq!(array![-0.0, 1.0].fingerprint(), array![0.0, 1.0].fingerprint());
    // A view with a stride is the row it shows.
    let wide = array![[0.0, 9.0, 1.0, 9.0]];
    assert_eq!(wide.slice(ndarray::s![0, ..;2]).fingerprint(), rows[0].fingerprint());
}

#[test]
fn the_two_zeros_are_explained_alike() {
    let with_zero = |zero: f64| explain(&array![zero, 1.0], Run::seeded(3));
    assert_eq!(with_zero(-0.0), with_zero(0.0));
    assert_ne!(with_zero(1.0).data.random, with_zero(0.0).data.random);
}

// Many rows --------------------------------------------------------------------------------------------------

/// Fifty rows, each value of the first column twice; rows 13 and 38 hold 13.
fn many() -> Array2<f64> {
    Array2::from_shape_fn((50, 2), |(i, j)| if j == 0 { (i % 25) as f64 } else { 0.5 })
}

/// The results as text, errors with their source.
fn lines(results: Vec<Result<xai_core::Explanation<ToyData>>>) -> Vec<String> {
    let line = |result: Result<xai_core::Explanation<ToyData>>| match result {
        Ok(explanation) => explanation.to_json().unwrap(),
        Err(error) => format!("{error}: {}", std::error::Error::source(&error).unwrap()),
    };
    results.into_iter().map(line).collect()
}

#[test]
fn many_rows_are_explained_as_one_by_one() {
    let (x, toy, calls) = (many(), Toy { repeat: 3 }, AtomicU64::new(0));
    let one = |row: &Row| toy.explain(&model(&calls), row, Run::seeded(9));
    let expected = lines(x.outer_iter().map(|row| one(&row)).collect());
    for n_threads in [1, 2, 8] {
        let got =
            on_threads(n_threads, || toy.explain_many(&model(&calls), &x, &RunConfig::seeded(9)));
        assert_eq!(lines(got), expected);
    }
    // A row that fails costs no other row its explanation, and equal rows have equal ones.
    for (row, line) in expected.iter().enumerate() {
        let failed = line == "the model failed on a batch of 3 rows: unlucky";
        assert_eq!(failed, row % 25 == 13, "{line}");
        assert_eq!(line, &expected[(row + 25) % 50]);
    }
    // Nor does it matter where the rows stand, or beside which.
    let shuffled = x.slice(ndarray::s![..;-3, ..]);
    let got = lines(toy.explain_many(&model(&calls), &shuffled, &RunConfig::seeded(9)));
    assert!(got.iter().eq(expected.iter().rev().step_by(3)));
    // Another seed is another answer.
    let other = lines(toy.explain_many(&model(&calls), &x, &RunConfig::seeded(10)));
    assert_ne!(other[0], expected[0]);
    assert!(
        toy.explain_many(&model(&calls), &Array2::zeros((0, 2)), &RunConfig::seeded(9)).is_empty()
    );
}

#[test]
fn rows_are_delivered_in_order_until_the_sink_has_enough() {
    let (x, toy, calls) = (many(), Toy { repeat: 1 }, AtomicU64::new(0));
    let expected = lines(toy.explain_many(&model(&calls), &x, &RunConfig::seeded(9)));
    for n_threads in [1, 2, 8] {
        for enough in [1, 2, 14, 49, 50, 51] {
            let (calls, delivered) = on_threads(n_threads, || {
                let (calls, mut delivered) = (AtomicU64::new(0), Vec::new());
                toy.explain_many_with(
                    &model(&calls),
                    &x,
                    &RunConfig::seeded(9),
                    &mut |row, result| {
                        assert_eq!(row, delivered.len());
                        delivered.push(result);
                        if delivered.len() == enough {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    },
                );
                (calls.into_inner(), lines(delivered))
            });
            assert_eq!(delivered, expected[..enough.min(50)]);
            // What was begun beside the last row is lost, and no more: four rows a thread.
            let begun = enough.next_multiple_of(4 * n_threads).min(50) as u64;
            assert!(calls <= begun, "{calls} calls for {enough} rows on {n_threads} threads");
        }
    }
}

#[test]
fn each_row_has_the_whole_budget() {
    let (x, calls) = (array![[1.0], [2.0]], AtomicU64::new(0));
    let runs = |queries| RunConfig::seeded(9).with_budget(Budget::queries(queries));
    let toy = Toy { repeat: 3 };
    assert!(toy.explain_many(&model(&calls), &x, &runs(3)).iter().all(Result::is_ok));
    for result in toy.explain_many(&model(&calls), &x, &runs(2)) {
        assert!(matches!(result, Err(Error::Stopped(Stop::Budget))), "{result:?}");
    }
    assert_eq!(calls.into_inner(), 2);
}
