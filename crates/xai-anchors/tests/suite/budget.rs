//! What a search costs, and what comes back when it may not cost as much.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test fails by panicking; exact shares"
)]

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{Array1, Array2, Axis};
use xai_anchors::{AnchorTabular, AnchorTabularData, AnchorTabularParams};
use xai_core::tabular::{Encoding, Feature, Features};
use xai_core::{
    BoxError, Budget, Error, Event, Explainer, Explanation, Predictor, Result, Rows, Run, Status,
    Stop,
};

type P = AnchorTabularParams;

fn features(n: usize) -> Features {
    let feature =
        |index| Feature::categorical(format!("f{index}"), ["a", "b", "c"], Encoding::Ordinal);
    Features::new((0..n).map(feature).collect()).unwrap()
}

/// All rows of `width` features of three values.
fn grid(width: usize) -> Array2<f64> {
    let n_rows = 3_usize.pow(u32::try_from(width).unwrap());
    Array2::from_shape_fn((n_rows, width), |(row, column)| {
        (row / 3_usize.pow(u32::try_from(column).unwrap()) % 3) as f64
    })
}

fn fitted(params: P) -> AnchorTabular {
    params.fit(&grid(4), features(4)).unwrap()
}

/// Labels by a function, and the sizes of all calls.
struct Counted<F> {
    label: F,
    calls: Mutex<Vec<usize>>,
}

impl<F> Counted<F> {
    fn new(label: F) -> Self {
        Counted { label, calls: Mutex::default() }
    }

    fn calls(&self) -> Vec<usize> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn rows(&self) -> u64 {
        self.calls.lock().unwrap().iter().sum::<usize>() as u64
    }
}

impl<F: Fn(&[f64]) -> f64 + Sync> Predictor for Counted<F> {
    fn predict(&self, batch: &Rows) -> std::result::Result<Array2<f64>, BoxError> {
        self.calls.lock().unwrap().push(batch.nrows());
        let labels = batch.rows().into_iter().map(|row| (self.label)(&row.to_vec()));
        Ok(Array1::from_iter(labels).insert_axis(Axis(1)))
    }

    // Each request is one call, so that calls can be counted.
    fn max_batch(&self) -> usize {
        1 << 20
    }
}

fn explain(
    explainer: &AnchorTabular,
    model: &dyn Predictor,
    x: &[f64],
    run: Run<'_>,
) -> Result<Explanation<AnchorTabularData>> {
    explainer.explain(model, &Array1::from(x.to_vec()), run)
}

const X: [f64; 4] = [1.0, 0.0, 2.0, 0.0];

fn pair(row: &[f64]) -> f64 {
    f64::from(row[0] == 1.0 && row[2] == 2.0)
}

/// Three features that count alike, so that the bandit has to look for long.
fn alike(row: &[f64]) -> f64 {
    f64::from(5.0 <= row[0] + row[1] + row[2])
}

/// One for the row, 100 for the empty anchor, 1,000 for the certificate; the last in batches of the search, in one call.
#[test]
fn a_constant_model_costs_what_the_settings_say() {
    let model = Counted::new(|_: &[f64]| 1.0);
    for (min_samples_start, final_samples) in [(100, 1000), (45, 0), (300, 250)] {
        let explainer = fitted(
            P::default()
                .with_min_samples_start(min_samples_start)
                .with_final_samples(final_samples),
        );
        let explanation = explain(&explainer, &model, &X, Run::seeded(0)).unwrap();
        let queries = explanation.data.result.queries;
        assert_eq!((queries.instance, queries.search_requests), (1, 1));
        assert_eq!(queries.search, min_samples_start as u64);
        assert_eq!(queries.certificate, final_samples as u64);
        assert_eq!(explanation.meta.queries, 1 + (min_samples_start + final_samples) as u64);
        assert_eq!(explanation.data.result.certificate.is_some(), 0 < final_samples);
        let mut calls = vec![1, min_samples_start, final_samples];
        calls.retain(|&n| 0 < n);
        assert_eq!(model.calls(), calls);
    }
}

/// The parts add up to what the run counts and to what the model was really asked.
#[test]
fn queries_are_counted_in_full() {
    for strict in [false, true] {
        for beam_size in [1, 4] {
            let explainer = fitted(P::default().with_strict(strict).with_beam_size(beam_size));
            for seed in 0..10 {
                let model = Counted::new(pair);
                let explanation = explain(&explainer, &model, &X, Run::seeded(seed)).unwrap();
                let queries = explanation.data.result.queries;
                let sum = queries.instance + queries.search + queries.certificate;
                assert_eq!((sum, model.rows()), (explanation.meta.queries, sum));
                assert_eq!(explanation.data.result.queries.search, queries.search);
                assert!(queries.certificate.is_multiple_of(1000));
                let certificates = queries.certificate / 1000;
                let calls = model.calls().len() as u64;
                assert_eq!(calls, 1 + queries.search_requests + certificates);
            }
        }
    }
}

/// Each step of the bandit asks for a batch of its two arms in one call. The other calls of a search are for the row,
/// the empty anchor, one sample of each unseen arm, and the candidates whose validity is unclear.
#[test]
fn a_step_of_the_bandit_is_one_call_of_two_batches() {
    for batch_size in [100, 30] {
        let params = P::default()
            .with_batch_size(batch_size)
            .with_verbose(true)
            .with_coverage_sweep(false)
            .with_tau(0.1);
        let explainer = fitted(params);
        for seed in 0..10 {
            let model = Counted::new(alike);
            let data = explain(&explainer, &model, &[2.0, 2.0, 2.0, 0.0], Run::seeded(seed));
            let data = data.unwrap().data;
            let calls = model.calls();
            assert_eq!(calls[..2], [1, 100]);
            // The last step of each size ends the bandit and asks for nothing.
            let last =
                |place: usize| data.result.trace.get(place + 1).is_none_or(|next| next.step == 1);
            let steps = (0..data.result.trace.len()).filter(|&place| !last(place)).count();
            assert!(0 < steps, "the bandit took steps");
            let doubles = calls.iter().filter(|&&n| n == 2 * batch_size).count();
            assert_eq!(doubles, steps, "{calls:?}");
            // With a beam of 1, validity is sampled for one candidate at a time.
            let allowed = [1, 100, batch_size, 2 * batch_size, 1000];
            assert!(calls.iter().all(|n| allowed.contains(n) || *n < 4), "{calls:?}");
        }
    }
}

/// Every second, third or other step is kept on request, each with the numbers it had.
#[test]
fn the_trace_keeps_every_nth_step() {
    let of = |verbose_every: usize| {
        let params =
            P::default().with_verbose(true).with_verbose_every(verbose_every).with_tau(0.1);
        let model = Counted::new(alike);
        let x = [2.0, 2.0, 2.0, 0.0];
        explain(&fitted(params), &model, &x, Run::seeded(1)).unwrap().data.result.trace
    };
    let all = of(1);
    assert!(5 < all.len(), "{}", all.len());
    for every in [2, 3] {
        let expected: Vec<_> =
            all.iter().filter(|step| (step.step - 1).is_multiple_of(every as u64)).collect();
        assert_eq!(of(every).iter().collect::<Vec<_>>(), expected);
    }
    for step in &all {
        assert!(step.best.len() == step.size && step.challenger.len() == step.size);
        assert!(step.best_lower_bound <= step.best_mean);
        assert!(step.challenger_mean <= step.challenger_upper_bound);
        assert!(step.challenger_mean <= step.best_mean);
    }
}

/// Two equal arms and a tolerance of 1e-9: only the limit ends it.
#[test]
fn a_search_that_cannot_decide_ends_at_max_samples() {
    for max_samples in [5000, 777, 300, 100] {
        let explainer = fitted(P::default().with_tau(1e-9).with_max_samples(max_samples));
        let model = Counted::new(|row: &[f64]| f64::from(row[0] == row[1]));
        let explanation = explain(&explainer, &model, &X, Run::seeded(0)).unwrap();
        let data = explanation.data;
        assert_eq!((data.result.status, data.result.stop), (Status::Stopped, Stop::Budget));
        assert!(data.result.queries.search <= max_samples, "{}", data.result.queries.search);
        // Within one request, of two batches.
        assert!(max_samples < data.result.queries.search + 200, "{}", data.result.queries.search);
        assert!(
            !data.result.valid && data.result.reason.contains("ended early"),
            "{}",
            data.result.reason
        );
    }
}

/// Under any budget from nothing to enough, no more is asked than allowed; where there is an answer it counts what it
/// cost, and where there is none the error says what it takes.
#[test]
fn every_budget_is_kept() {
    let explainer =
        fitted(P::default().with_min_samples_start(20).with_batch_size(10).with_final_samples(100));
    let model = Counted::new(pair);
    let full = explain(&explainer, &model, &X, Run::seeded(4)).unwrap();
    let (mut exhausted, mut cut_certificates) = (0, 0);
    for limit in 0..=full.meta.queries + 1 {
        model.calls();
        let budget = Budget::queries(limit);
        match explain(&explainer, &model, &X, Run::seeded(4).with_budget(budget)) {
            Ok(explanation) => {
                let data = &explanation.data;
                assert!(21 <= limit && explanation.meta.queries <= limit);
                assert_eq!(explanation.meta.queries, model.rows());
                if full.meta.queries <= limit {
                    assert_eq!(explanation.to_json().unwrap(), full.to_json().unwrap());
                }
                if data.result.status == Status::Stopped {
                    exhausted += 1;
                    assert_eq!(data.result.stop, Stop::Budget);
                } else {
                    // The search came to its end; only the certificate may have fewer samples, or be missing.
                    assert_eq!(
                        (data.result.status, &data.anchor),
                        (Status::Found, &full.data.anchor)
                    );
                    let left = limit - 1 - data.result.queries.search;
                    let n = data.result.certificate.as_ref().map_or(0, |one| one.n_samples);
                    assert_eq!(n, left.min(100));
                    cut_certificates += u64::from(n < 100);
                }
            }
            Err(Error::Budget { given, needed, .. }) => {
                assert_eq!((given, needed), (limit, 21));
                assert!(limit < 21);
                assert_eq!(model.rows(), 0, "the model was asked for nothing");
            }
            Err(error) => panic!("{limit}: {error}"),
        }
    }
    assert!(10 < exhausted && cut_certificates == 100, "{exhausted} {cut_certificates}");
}

/// A strict search needs a certificate: without the queries for it nothing is called found.
#[test]
fn a_strict_search_finds_nothing_without_a_certificate() {
    let explainer = fitted(P::default().with_strict(true));
    let model = Counted::new(pair);
    let full = explain(&explainer, &model, &X, Run::seeded(4)).unwrap();
    assert_eq!(full.data.result.status, Status::Found);
    for limit in [101, 400, full.meta.queries - 1000] {
        let budget = Budget::queries(limit);
        let data =
            explain(&explainer, &model, &X, Run::seeded(4).with_budget(budget)).unwrap().data;
        // It was the budget that said no, not the anchor; what is left tells the precision of the best so far.
        assert!(
            data.result.certificate.is_none_or(|own| own.n_samples < 100) && !data.result.valid
        );
        assert_eq!(
            (data.result.status, data.result.stop),
            (Status::Stopped, Stop::Budget),
            "{limit}"
        );
    }
    // With ten queries for the certificate it does not clear the threshold: 0.05^(1/10) = 0.74.
    let limit = full.meta.queries - 990;
    let budget = Budget::queries(limit);
    let data = explain(&explainer, &model, &X, Run::seeded(4).with_budget(budget)).unwrap().data;
    assert_eq!((data.result.status, data.result.valid), (Status::Stopped, false));
}

/// A clock that runs out before, at and after each report of the search.
#[test]
fn a_deadline_ends_the_search_with_what_it_has() {
    let explainer = fitted(P::default());
    let model = Counted::new(pair);
    let mut stopped = [0, 0];
    for allowed in 0..30 {
        let looks = AtomicU64::new(0);
        let expired = || allowed <= looks.fetch_add(1, Ordering::Relaxed);
        let budget = Budget::cancelled_by(&expired);
        match explain(&explainer, &model, &X, Run::seeded(0).with_budget(budget)) {
            Ok(explanation) => {
                let data = explanation.data;
                if data.result.status == Status::Stopped {
                    assert_eq!(
                        (data.result.stop, &data.result.certificate),
                        (Stop::Deadline, &None)
                    );
                    assert!(
                        data.result.reason.contains("the time was up"),
                        "{}",
                        data.result.reason
                    );
                    stopped[1] += 1;
                } else if data.result.certificate.is_none() {
                    // The time was up between the search and its certificate.
                    assert_eq!(data.result.stop, Stop::Deadline);
                } else {
                    assert_eq!(
                        (data.result.status, data.result.stop),
                        (Status::Found, Stop::Converged)
                    );
                }
            }
            Err(Error::Stopped(Stop::Deadline)) => stopped[0] += 1,
            Err(error) => panic!("{error}"),
        }
    }
    // Once before the start, once before the empty anchor; then at each request.
    assert!(stopped[0] == 2 && 2 <= stopped[1], "{stopped:?}");
}

#[test]
fn an_observer_sees_the_samples_and_may_end_the_search() {
    let explainer = fitted(P::default());
    let model = Counted::new(pair);
    let mut events = Vec::new();
    let mut watch = |event: Event<'_>| {
        events.push(match event {
            Event::Step { done, total } => format!("{done} {total:?}"),
            Event::Started { method } => format!("started {method}"),
            Event::Finished { queries } => format!("finished {queries}"),
            _ => "another".to_owned(),
        });
        ControlFlow::Continue(())
    };
    let full = explain(&explainer, &model, &X, Run::seeded(0).with_observer(&mut watch)).unwrap();
    assert_eq!(events[..3], ["started anchor-tabular", "0 None", "100 None"]);
    assert_eq!(events[events.len() - 1], format!("finished {}", full.meta.queries));
    assert_eq!(events[events.len() - 2], format!("{} None", full.data.result.queries.search));
    let mut stopped = 0;
    for allowed in 0..events.len() {
        let mut left = allowed;
        let mut watch = |_: Event<'_>| {
            left = match left.checked_sub(1) {
                Some(left) => left,
                None => return ControlFlow::Break(()),
            };
            ControlFlow::Continue(())
        };
        match explain(&explainer, &model, &X, Run::seeded(0).with_observer(&mut watch)) {
            Ok(explanation) => {
                stopped += usize::from(explanation.data.result.stop == Stop::Observer);
                assert!(explanation.data.result.status != Status::NotFound);
            }
            Err(error) => assert!(allowed < 2 && matches!(error, Error::Stopped(Stop::Observer))),
        }
    }
    // At each step but the first, which leaves nothing to tell; `Finished` comes too late to change anything.
    assert_eq!(stopped, events.len() - 3);
}
