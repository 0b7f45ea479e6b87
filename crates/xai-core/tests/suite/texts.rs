//! Models of texts: the door to them, and explainers of many texts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ops::ControlFlow;
use std::sync::Mutex;

use ndarray::{Array2, array};
use serde::Serialize;
use xai_core::{
    BlackBox, BoxError, Budget, Error, Explainer, MethodInfo, ModelKind, Predictor, Result, Run,
    RunConfig, Seed, Stop,
};

/// The number of characters of each text, in calls of three; the sizes of the calls are kept.
#[derive(Default)]
struct Lengths(Mutex<Vec<usize>>);

impl Predictor<[String]> for Lengths {
    fn predict(&self, texts: &[String]) -> Result<Array2<f64>, BoxError> {
        self.0.lock().unwrap().push(texts.len());
        if texts.iter().any(|text| text == "broken") {
            return Err("broken".into());
        }
        let length =
            |text: &String| if text == "nan" { f64::NAN } else { text.chars().count() as f64 };
        Ok(Array2::from_shape_vec((texts.len(), 1), texts.iter().map(length).collect())?)
    }

    fn max_batch(&self) -> usize {
        3
    }
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn texts_are_asked_in_calls_and_counted() {
    let model = Lengths::default();
    let mut run = Run::seeded(0);
    let outputs = run.predict_texts(&model, &texts(&["a", "bb", "", "dd\u{fc}", "e"])).unwrap();
    assert_eq!(outputs, array![[1.0], [2.0], [0.0], [3.0], [1.0]]);
    assert_eq!(run.queries(), 5);
    let mut calls = model.0.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls, [2, 3]);
    assert_eq!(Run::seeded(0).predict_texts(&Lengths::default(), &[]).unwrap().nrows(), 0);
}

#[test]
fn the_door_checks_what_comes_through() {
    let ask = |words: &[&str]| Run::seeded(0).predict_texts(&Lengths::default(), &texts(words));
    assert!(matches!(ask(&["a", "broken"]), Err(Error::Predictor { rows: 2, .. })));
    // The place is that in all texts, not in the call.
    let error = ask(&["a", "b", "c", "d", "nan"]).unwrap_err();
    assert!(matches!(error, Error::NotFinite { at, .. } if at == [4, 0]));
    let short = |texts: &[String]| -> Result<Array2<f64>, BoxError> {
        Ok(Array2::zeros((texts.len() - 1, 1)))
    };
    let error = Run::seeded(0).predict_texts(&short, &texts(&["a", "b"])).unwrap_err();
    assert!(
        matches!(error, Error::Shape { expected, got, .. } if expected == [2, 1] && got == [1, 1])
    );
}

#[test]
fn a_budget_counts_texts() {
    let model = Lengths::default();
    let mut run = Run::seeded(0).with_budget(Budget::queries(3));
    run.predict_texts(&model, &texts(&["a", "b"])).unwrap();
    let error = run.predict_texts(&model, &texts(&["c", "d"])).unwrap_err();
    assert!(matches!(error, Error::Stopped(Stop::Budget)));
    assert_eq!((run.queries(), model.0.into_inner().unwrap()), (2, vec![2]));
}

/// The model's output, and a random number, which tells whose seed it was.
#[derive(Serialize)]
struct Toy;

impl Explainer for Toy {
    type Input = str;
    type Model<'m> = BlackBox<'m, [String]>;
    type Data = (f64, u64);
    const INFO: MethodInfo =
        MethodInfo { name: "Toy", kind: ModelKind::BlackBox, scope: &["local"] };
    const MAX_BATCH: usize = 4;

    fn params(&self) -> &impl Serialize {
        self
    }

    fn compute(&self, model: Self::Model<'_>, x: &str, run: &mut Run<'_>) -> Result<(f64, u64)> {
        let outputs = run.predict_texts(model.predictor(), &[x.to_owned()])?;
        Ok((outputs[[0, 0]], run.seed().stream().bits()))
    }
}

#[test]
fn many_texts_are_explained_as_each_alone() {
    let all: Vec<String> = (0..97).map(|place| "x".repeat(place % 13)).collect();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let model = Lengths::default();
        let results = pool.install(|| Toy.explain_many(&model, &all, &RunConfig::seeded(4)));
        for (text, result) in all.iter().zip(results) {
            let alone = Toy.explain(&Lengths::default(), text, Run::seeded(4)).unwrap();
            let together = result.unwrap();
            assert_eq!(together.to_json().unwrap(), alone.to_json().unwrap());
            assert_eq!(together.meta.seed, Seed::new(4).to_string());
        }
    }
}

#[test]
fn results_of_texts_come_in_order_and_can_be_stopped() {
    let all = texts(&["a", "broken", "nan", "bb", "ccc", "d"]);
    let mut seen = Vec::new();
    Toy.explain_many_with(
        &Lengths::default(),
        &all,
        &RunConfig::seeded(0),
        &mut |place, result| {
            seen.push((place, result.map(|own| own.data.0).ok()));
            if place == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    let expected = [Some(1.0), None, None, Some(2.0), Some(3.0)];
    assert_eq!(seen, expected.into_iter().enumerate().collect::<Vec<_>>());
}
