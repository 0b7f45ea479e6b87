//! The networks of the tests have the gradients that their differences say, and those that alibi's helper gave.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, Axis};
use serde::Deserialize;
use xai_core::decision::{Output, Reading};
use xai_core::{CentralDifference, Differentiable, ModelRef, Row, Run};
use xai_optim::loss::{ClassScores, Hinge};
use xai_optim::{Evaluator, Instance, Problem, Query};
use xai_testkit::{Digits, Fixture, reference};

/// Rows probed at a fixed distance.
struct Probed {
    n: usize,
    eps: f64,
}

impl Problem for Probed {
    fn n_columns(&self) -> usize {
        self.n
    }

    fn probe(&self, _: usize, point: &Row, k: usize) -> Option<(f64, f64)> {
        Some((point[k] - self.eps, point[k] + self.eps))
    }
}

#[test]
fn numeric_gradients_are_those_of_alibi() {
    #[derive(Deserialize)]
    struct Case {
        model: String,
        eps: f64,
        inputs: Vec<Vec<f64>>,
        gradients: Vec<Vec<Vec<f64>>>,
    }
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_str(&reference("numerical_gradient.json")).unwrap();
    for case in file.cases {
        let network = Fixture::load(&case.model).network;
        for (input, gradients) in case.inputs.iter().zip(&case.gradients) {
            let x = Array1::from(input.clone());
            let outputs = Run::seeded(0).predict(&network, &x.view().insert_axis(Axis(0))).unwrap();
            let reading = ClassScores::new(
                &Reading::new(&Output::Auto, None, &outputs.row(0)).unwrap(),
                &outputs.row(0),
            )
            .unwrap();
            let instances = [Instance::free(x.clone(), Hinge::other(&reading, 0, 0.0))];
            let problem = Probed { n: x.len(), eps: case.eps };
            let access = ModelRef::BlackBox(&network);
            let evaluator = Evaluator { model: access, problem: &problem, instances: &instances };
            for (output, expected) in gradients.iter().enumerate() {
                let query = Query { instance: 0, point: x.clone(), gradient: true };
                let answers = evaluator
                    .evaluate(&mut [Run::seeded(0)], &[query], &|_, outputs| {
                        let mut unit = Array1::zeros(outputs.len());
                        unit[output] = 1.0;
                        Some(unit)
                    })
                    .unwrap();
                for (own, expected) in answers[0].gradient.as_ref().unwrap().iter().zip(expected) {
                    // Outputs below 1 with a rounding of a few units, over twice the step; alibi's inputs have six
                    // decimals here and there.
                    assert!(
                        (own - expected).abs() <= 1e-14 / case.eps,
                        "{own} instead of {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_networks_of_the_tests_have_their_gradients() {
    let digits = Digits::load();
    let image = digits.x_test.slice(ndarray::s![..1, ..]).mapv(|pixel| pixel * 0.99);
    let row = Fixture::load("cancer_mlp");
    let check = |model: &dyn Differentiable, x: &Array2<f64>, n_outputs: usize| {
        let cotangent = Array2::from_shape_fn((1, n_outputs), |(_, k)| (k as f64 + 1.0).sin());
        let exact = Run::seeded(0).vjp(model, x, &cotangent).unwrap();
        let numeric = Run::seeded(0).vjp(&CentralDifference::new(model), x, &cotangent).unwrap();
        for (exact, numeric) in exact.iter().zip(&numeric) {
            // A step of 6e-6: rounding 1e-16 / 6e-6 and a bent third derivative, of sums of tens of terms.
            assert!((exact - numeric).abs() < 1e-6, "{exact} and {numeric}");
        }
    };
    check(&digits.classifier, &image, 10);
    check(&digits.autoencoder, &image, 64);
    check(&digits.encoder, &image, 10);
    check(&row.network, &row.x_test.slice(ndarray::s![..1, ..]).to_owned(), 2);
}
