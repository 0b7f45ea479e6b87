//! Numeric gradients of outputs against those of alibi's helper, which its black boxes descend along.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::{Array1, Array2, array};
use serde::Deserialize;
use xai_core::constraints::Constraints;
use xai_core::decision::{Output, Reading};
use xai_core::tabular::Features;
use xai_core::{Differentiable, ModelRef, Row, Run};
use xai_optim::loss::{ClassScores, Hinge};
use xai_optim::{ConstrainedRows, Evaluator, Instance, Query};
use xai_testkit::{Fixture, Network};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    eps: f64,
    inputs: Vec<Vec<f64>>,
    /// Instances x outputs x features.
    gradients: Vec<Vec<Vec<f64>>>,
}

/// The numeric gradient of each output at a point, shape `(n_outputs, n_features)`.
fn gradients(access: ModelRef<'_>, x: &Row, eps: f64, n_outputs: usize) -> Array2<f64> {
    let n = x.len();
    let bound = Constraints::default().bind(&Features::unnamed(n).unwrap()).unwrap();
    let rows = ConstrainedRows::new(&bound, vec![x.to_owned()], Array1::from_elem(n, eps));
    let outputs = Array1::zeros(n_outputs);
    let reading = Reading::new(&Output::Classes, None, &outputs).unwrap();
    let scores = ClassScores::new(&reading, &outputs).unwrap();
    let instances = [Instance::free(x.to_owned(), Hinge::other(&scores, 0, 0.0))];
    let evaluator = Evaluator { model: access, problem: &rows, instances: &instances };
    let mut gradients = Array2::zeros((n_outputs, n));
    for output in 0..n_outputs {
        let query = Query { instance: 0, point: x.to_owned(), gradient: true };
        let unit = Array1::from_shape_fn(n_outputs, |k| f64::from(u8::from(k == output)));
        let mut runs = [Run::seeded(0)];
        let answers = evaluator.evaluate(&mut runs, &[query], &|_, _| Some(unit.clone())).unwrap();
        gradients.row_mut(output).assign(answers[0].gradient.as_ref().unwrap());
    }
    gradients
}

#[test]
fn differences_are_those_of_the_references_helper() {
    let text = include_str!("../../../xai-testkit/fixtures/reference/numerical_gradient.json");
    let golden: Golden = serde_json::from_str(text).unwrap();
    for case in &golden.cases {
        let network = Fixture::load(&case.model).network;
        for (x, expected) in case.inputs.iter().zip(&case.gradients) {
            let x = Array1::from(x.clone());
            let own = gradients(ModelRef::BlackBox(&network), &x, case.eps, expected.len());
            for (own, expected) in own.iter().zip(expected.iter().flatten()) {
                // The reference's outputs may be float32: their rounding, taken twice, over the step.
                let rounding = f64::from(f32::EPSILON) / case.eps;
                assert!((own - expected).abs() <= rounding, "{}: {own} {expected}", case.model);
            }
        }
    }
}

/// The softmax of a linear map at `(1, 0.5, -0.3)`; numbers by hand from `p_i (w_i - sum_k p_k w_k)`.
#[test]
fn gradients_of_three_classes_are_the_closed_form() {
    let weights = array![[1.5, -1.0, 0.2], [-0.5, 1.0, -0.7], [0.3, 0.3, 1.1]];
    let model = Network::tanh(vec![(weights, Array1::zeros(3))]).softmax();
    let x = array![1.0, 0.5, -0.3];
    let expected = [0.367_023, -0.118_597, -0.082_953];
    for access in [ModelRef::WhiteBox(&model as &dyn Differentiable), ModelRef::BlackBox(&model)] {
        // The error of a central difference is a sixth of the third derivative, below 1 here, times the squared step.
        let own = gradients(access, &x, 1e-3, 3);
        for (own, expected) in own.row(0).iter().zip(expected) {
            assert!((own - expected).abs() <= 1e-6, "{own} {expected}");
        }
        let gap = &own.row(0) - &own.row(2);
        for (own, expected) in gap.iter().zip([0.480_199, -0.067_227, -0.180_321]) {
            assert!((own - expected).abs() <= 1e-6, "{own} {expected}");
        }
    }
}
