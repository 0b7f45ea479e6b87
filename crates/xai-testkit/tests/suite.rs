//! The suite itself: it passes what conforms, for rows and for texts, and fails what does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ndarray::{Array1, array};
use serde::{Deserialize, Serialize};
use xai_core::{
    BlackBox, Error, Event, Explainer, Input, MethodInfo, ModelKind, Result, Row, Run, Stop,
    same_shape, text_predictor,
};
use xai_testkit::conformance::black_box;
use xai_testkit::{Linear, Suite};

/// Asks for the input and returns its outputs; `wrong` is how it breaks the rules.
#[derive(Serialize, Deserialize)]
struct Echo {
    wrong: Wrong,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Wrong {
    Nothing,
    /// A call that is not counted in `meta.queries`.
    Uncounted,
    /// Rows of another width are taken.
    AnyWidth,
    /// Neighbours share their fate.
    SharedFate,
}

const INFO: MethodInfo = MethodInfo { name: "echo", kind: ModelKind::BlackBox, scope: &["local"] };

impl Explainer for Echo {
    type Input = Row;
    type Model<'m> = BlackBox<'m>;
    type Data = Vec<f64>;
    const INFO: MethodInfo = INFO;
    const MAX_BATCH: usize = 8;

    fn params(&self) -> &impl Serialize {
        &()
    }

    fn check_input(&self, x: &Row) -> Result<()> {
        if self.wrong != Wrong::AnyWidth {
            same_shape("the input", &[2], x.shape())?;
        }
        x.check()
    }

    #[allow(clippy::disallowed_methods, reason = "what the suite must notice")]
    fn compute(&self, model: BlackBox<'_>, x: &Row, run: &mut Run<'_>) -> Result<Vec<f64>> {
        let rows = x.to_owned().insert_axis(ndarray::Axis(0));
        let outputs = run.predict(model.predictor(), &rows)?;
        if self.wrong == Wrong::Uncounted {
            model.predictor().predict(&rows).unwrap();
        }
        let step = Event::Step { done: 1, total: Some(1) };
        if let std::ops::ControlFlow::Break(stop) = run.report(step) {
            return Err(Error::Stopped(stop));
        }
        Ok(outputs.row(0).to_vec())
    }

    fn compute_batch(
        &self,
        model: BlackBox<'_>,
        inputs: &[&Row],
        runs: &mut [Run<'_>],
    ) -> Result<Vec<Result<Vec<f64>>>> {
        let mut outputs = Vec::new();
        for (x, run) in inputs.iter().zip(&mut *runs) {
            match self.compute(model, x, run) {
                Err(_) if self.wrong == Wrong::SharedFate => {
                    let lost = |_| Err(Error::Stopped(Stop::Observer));
                    return Ok(inputs.iter().map(lost).collect());
                }
                other => outputs.push(Ok(other?)),
            }
        }
        Ok(outputs)
    }
}

fn check(wrong: Wrong) -> std::thread::Result<()> {
    let model = Linear::new(&[1.0, -2.0], 0.5);
    let inputs = array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
    let suite = Suite { explainer: &Echo { wrong }, view: black_box, model: &model, inputs };
    catch_unwind(AssertUnwindSafe(|| suite.run()))
}

#[test]
fn rows_are_checked() {
    check(Wrong::Nothing).unwrap();
    for wrong in [Wrong::Uncounted, Wrong::AnyWidth, Wrong::SharedFate] {
        assert!(check(wrong).is_err());
    }
}

/// The same for texts: it borrows its name, and so cannot be saved.
struct TextEcho<'n> {
    name: &'n str,
    accepts_blanks: bool,
}

impl Explainer for TextEcho<'_> {
    type Input = str;
    type Model<'m> = BlackBox<'m, [String]>;
    type Data = (String, Vec<f64>);
    const INFO: MethodInfo = INFO;

    fn params(&self) -> &impl Serialize {
        &()
    }

    fn check_input(&self, x: &str) -> Result<()> {
        if x.trim().is_empty() && !self.accepts_blanks {
            return Err(Error::Empty { what: "the text" });
        }
        Ok(())
    }

    fn compute(
        &self,
        model: BlackBox<'_, [String]>,
        x: &str,
        run: &mut Run<'_>,
    ) -> Result<Self::Data> {
        let outputs = run.predict_texts(model.predictor(), &[x.to_owned()])?;
        Ok((self.name.to_owned(), outputs.row(0).to_vec()))
    }
}

#[test]
fn texts_are_checked() {
    let model =
        text_predictor(|texts| texts.iter().map(|text| text.len() as f64).collect::<Array1<f64>>());
    for accepts_blanks in [false, true] {
        let name = String::from("echo");
        let explainer = TextEcho { name: &name, accepts_blanks };
        let inputs = ["one", "two words", "three of them"].map(str::to_owned).to_vec();
        let suite = Suite { explainer: &explainer, view: black_box, model: &model, inputs };
        let checked = catch_unwind(AssertUnwindSafe(|| suite.run_unsaved()));
        assert_eq!(checked.is_err(), accepts_blanks);
    }
}
