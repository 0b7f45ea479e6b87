//! The same bytes at any number of threads, in any order and beside any other rows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array2, Axis};
use xai_anchors::{AnchorTabular, AnchorTabularParams, CoverageSet, Sampling};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{BoxError, Explainer, Output, Predictor, Rows, Run, RunConfig, Seed, Semantics};
use xai_testkit::Logistic;

type P = AnchorTabularParams;

fn features() -> Features {
    Features::new(vec![
        Feature::numeric("age"),
        Feature::numeric("hours"),
        Feature::categorical("home", ["rented", "owned", "other"], Encoding::Ordinal),
        Feature::categorical("sex", ["f", "m"], Encoding::OneHot),
    ])
    .unwrap()
}

/// Random rows of the table.
fn rows(n: usize, seed: u64) -> Array2<f64> {
    let mut stream = Seed::new(seed).stream();
    let mut rows = Array2::zeros((n, 5));
    for mut row in rows.rows_mut() {
        row[0] = 20.0 + 50.0 * stream.uniform();
        row[1] = 60.0 * stream.uniform().powi(2);
        row[2] = stream.index(3) as f64;
        let sex = stream.index(2);
        row[3 + sex] = 1.0;
    }
    rows
}

fn model() -> Logistic {
    Logistic::new(&[0.08, -0.05, 1.2, 0.4, -0.4], -3.0)
}

fn base() -> P {
    let output = Output::Bins { edges: vec![0.5], target: 0 };
    P::default().with_output(output).with_final_samples(200)
}

fn settings() -> Vec<P> {
    vec![
        base(),
        base().with_beam_size(3).with_strict(true).with_top_k(5).with_verbose(true),
        base().with_sampling(Sampling::Conditional).with_coverage(CoverageSet::Sampled),
        base().with_row_weights(Some((0..300).map(f64::from).collect())).with_batch_size(37),
        base().with_semantics(Semantics::Reference).with_beam_size(2),
    ]
}

fn fitted(params: P) -> AnchorTabular {
    params.fit(&rows(300, 1), features()).unwrap()
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The explanations of some rows as bytes.
fn bytes(explainer: &AnchorTabular, x: &Array2<f64>, seed: u64) -> Vec<String> {
    let results = explainer.explain_many(&model(), x, &RunConfig::seeded(seed));
    results.into_iter().map(|result| result.unwrap().to_json().unwrap()).collect()
}

#[test]
fn threads_order_and_neighbours_change_nothing() {
    let x = rows(24, 2);
    for params in settings() {
        let explainer = fitted(params);
        let alone = |row: usize| {
            explainer.explain(&model(), &x.row(row), Run::seeded(9)).unwrap().to_json().unwrap()
        };
        let expected: Vec<String> = (0..24).map(alone).collect();
        for threads in [1, 2, 8] {
            assert!(in_pool(threads, || bytes(&explainer, &x, 9)) == expected, "{threads} threads");
        }
        assert!((0..24).rev().map(alone).eq(expected.iter().rev().cloned()));
        // In another order, and twice the same row.
        let order: Vec<usize> = (0..24).map(|place| place * 7 % 24).chain([3, 3]).collect();
        let shuffled = bytes(&explainer, &x.select(Axis(0), &order), 9);
        assert!(order.iter().zip(&shuffled).all(|(&row, own)| *own == expected[row]));
        // An explainer read back from JSON is the same.
        let saved: AnchorTabular =
            serde_json::from_str(&serde_json::to_string(&explainer).unwrap()).unwrap();
        assert!(saved == explainer && bytes(&saved, &x, 9) == expected);
        // Another seed draws other perturbations.
        assert!(bytes(&explainer, &x, 10) != expected);
    }
}

/// Counts the rows that it is really asked for.
struct Counting(Logistic, AtomicU64);

impl Predictor for Counting {
    #[allow(clippy::disallowed_methods, reason = "a wrapper hands on what it was given")]
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        self.1.fetch_add(batch.nrows() as u64, Ordering::Relaxed);
        self.0.predict(batch)
    }
}

/// What rows of one call have in common is asked once, while each counts what it would cost alone.
#[test]
fn rows_of_one_call_share_answers() {
    let explainer = fitted(base());
    let x = rows(60, 4);
    let alone: Vec<u64> = (0..60)
        .map(|row| {
            let counting = Counting(model(), AtomicU64::new(0));
            let explanation = explainer.explain(&counting, &x.row(row), Run::seeded(5)).unwrap();
            let asked = counting.1.into_inner();
            assert_eq!(asked, explanation.meta.queries);
            asked
        })
        .collect();
    let counting = Counting(model(), AtomicU64::new(0));
    let together = in_pool(1, || explainer.explain_many(&counting, &x, &RunConfig::seeded(5)));
    let counted: Vec<u64> = together.into_iter().map(|one| one.unwrap().meta.queries).collect();
    assert_eq!(counted, alone);
    let (sum, asked) = (alone.iter().sum::<u64>(), counting.1.into_inner());
    // The empty anchor alone has 100 perturbations in common for all 15 rows of a chunk.
    assert!(asked + 100 * (60 - 4) <= sum, "{asked} of {sum}");
}

/// The budget of a row is its own: what its neighbours have asked already is not free for it.
#[test]
fn a_budget_cuts_a_row_alike_alone_and_beside_others() {
    let explainer = fitted(base());
    let x = rows(16, 6);
    for queries in [50, 101, 250, 400, 700, 1000] {
        let budget = xai_core::Budget::queries(queries);
        let config = RunConfig::seeded(1).with_budget(budget);
        let together = in_pool(1, || explainer.explain_many(&model(), &x, &config));
        for (row, together) in together.into_iter().enumerate() {
            let alone = explainer.explain(&model(), &x.row(row), config.run(row));
            match (together, alone) {
                (Ok(a), Ok(b)) => assert_eq!(a.to_json().unwrap(), b.to_json().unwrap()),
                (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
                _ => panic!("row {row} under {queries}"),
            }
        }
    }
}
