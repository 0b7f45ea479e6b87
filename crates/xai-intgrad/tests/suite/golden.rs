//! Numbers computed by alibi; the test kit's fixtures say how.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::models::network;
use crate::models::tensors::in_single_precision;
use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis, IxDyn};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use xai_core::{Differentiable, Explainer, Run, Semantics};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    Baselines, InputTensor, IntegratedGradientsData, IntegratedGradientsParams, Target,
};
use xai_testkit::reference;

/// A case as it stands in the file: arrays have the instances in front, and several inputs stand in a list.
#[derive(Deserialize)]
struct Case {
    name: String,
    model: String,
    inputs: Value,
    target: Value,
    baselines: Value,
    #[serde(deserialize_with = "method")]
    method: Method,
    n_steps: usize,
    attributions: Vec<Value>,
    deltas: Vec<f64>,
    predictions: Value,
}

/// A method by its name in the reference.
fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    let name = match &*String::deserialize(deserializer)? {
        "gausslegendre" => "gauss-legendre".to_owned(),
        other => other.replace('_', "-"),
    };
    Method::deserialize(name.into_deserializer())
}

fn array(value: &Value) -> ArrayD<f64> {
    let array = xai_core::serde_arrays::deserialize::<ndarray::IxDyn, _>(value.clone());
    array.unwrap()
}

/// The rows of arrays with the instances in front: their numbers one after the other.
fn rows(arrays: &[ArrayD<f64>]) -> Array2<f64> {
    let n = arrays[0].shape()[0];
    let flat = |array: &ArrayD<f64>| {
        let width = array.len() / n;
        array.to_shape((n, width)).unwrap().to_owned()
    };
    let parts: Vec<Array2<f64>> = arrays.iter().map(flat).collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(1), &views).unwrap()
}

/// The numbers that the model computes with.
#[derive(Clone, Copy)]
enum Precision {
    /// float64, differentiated by hand.
    Double,
    /// float32, on tensors of candle.
    Single,
}

impl Case {
    /// The model of the case, from the same weights.
    fn network(&self, precision: Precision) -> Box<dyn Differentiable> {
        let scores = self.name == "rank3_output";
        let network = network(if scores { "two_inputs.scores" } else { &self.model });
        match precision {
            Precision::Double => Box::new(network),
            Precision::Single => {
                let width = rows(&self.arrays(&self.inputs)).ncols();
                Box::new(in_single_precision(&network, width))
            }
        }
    }

    fn is_multi(&self) -> bool {
        self.model == "two_inputs"
    }

    /// One array for each input, with the instances in front.
    fn arrays(&self, value: &Value) -> Vec<ArrayD<f64>> {
        if self.is_multi() {
            value.as_array().unwrap().iter().map(array).collect()
        } else {
            vec![array(value)]
        }
    }

    fn params(&self) -> IntegratedGradientsParams {
        let inputs = self.arrays(&self.inputs);
        let tensor = |(index, array): (usize, &ArrayD<f64>)| {
            InputTensor::new(["a", "b"][index], &array.shape()[1..])
        };
        let layer = match &*self.name {
            "cancer_mlp_layer0_outputs" => Some(("dense0", false)),
            "cancer_mlp_layer1_inputs" => Some(("dense1", true)),
            "digits_cnn_layer_conv1_outputs" => Some(("conv1", false)),
            _ => None,
        };
        let shape = array(&self.attributions[0]).shape()[1..].to_vec();
        IntegratedGradientsParams::default()
            .with_method(self.method)
            .with_n_steps(self.n_steps)
            .with_inputs(inputs.iter().enumerate().map(tensor).collect())
            .with_layer(layer.map(|(name, _)| name.to_owned()))
            .with_attribute_to_layer_inputs(layer.is_some_and(|(_, at_inputs)| at_inputs))
            .with_layer_tensors(
                layer.map(|(name, _)| InputTensor::new(name, &shape)).into_iter().collect(),
            )
            .with_output_shape((self.name == "rank3_output").then(|| vec![2, 2]))
    }

    /// The target of an instance.
    fn target(&self, instance: usize) -> Option<Target> {
        let one = match &self.target {
            Value::Array(each) => &each[instance],
            other => other,
        };
        serde_json::from_value(one.clone()).unwrap()
    }

    fn baseline(&self, instance: usize) -> Baselines {
        match &self.baselines {
            Value::Null => Baselines::default(),
            Value::Number(number) => Baselines::Constant(number.as_f64().unwrap()),
            arrays => Baselines::Row(rows(&self.arrays(arrays)).row(instance).to_vec()),
        }
    }

    fn explain(&self, semantics: Semantics, precision: Precision) -> Vec<IntegratedGradientsData> {
        let model = self.network(precision);
        let instances = rows(&self.arrays(&self.inputs));
        let explain = |(instance, x): (usize, ArrayView1<'_, f64>)| {
            let params = self
                .params()
                .with_target(self.target(instance))
                .with_baselines(self.baseline(instance))
                .with_semantics(semantics);
            let explainer = params.build_inputs().unwrap();
            explainer.explain(&*model, &x, Run::seeded(0)).unwrap().data
        };
        instances.rows().into_iter().enumerate().map(explain).collect()
    }
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file: File = serde_json::from_str(&reference("integrated_gradients.json")).unwrap();
    assert_eq!(file.cases.len(), 46, "the reference holds forty-six cases");
    file.cases
}

/// The reference worked in float32 on numbers of order 1: sums of up to fifty terms, each off by a few times 6e-8.
const TOLERANCE: f64 = 2e-6;

#[track_caller]
fn close(name: &str, got: &ArrayD<f64>, expected: &ArrayD<f64>, factor: f64) {
    assert_eq!(got.shape(), expected.shape(), "{name}");
    let mut worst = 0.0_f64;
    for (got, expected) in got.iter().zip(expected) {
        worst = worst.max((got - factor * expected).abs());
    }
    assert!(worst < TOLERANCE, "{name}: off by {worst}");
}

fn check(semantics: Semantics, precision: Precision) {
    for case in cases() {
        // The reference's trapezoid lacks one step.
        let biased = case.method == Method::RiemannTrapezoid;
        let n = case.n_steps as f64;
        let native = biased && semantics == Semantics::Native;
        let factor = if native { n / (n - 1.0) } else { 1.0 };
        let predictions = array(&case.predictions);
        for (instance, data) in case.explain(semantics, precision).iter().enumerate() {
            let name = format!("{} of instance {instance}", case.name);
            assert_eq!(data.attributions.len(), case.attributions.len(), "{name}");
            for (got, expected) in data.attributions.iter().zip(&case.attributions) {
                let expected = array(expected).index_axis(Axis(0), instance).to_owned();
                close(&name, got, &expected, factor);
            }
            close(
                &name,
                &data.predictions,
                &predictions.index_axis(Axis(0), instance).to_owned(),
                1.0,
            );
            if !native {
                let delta = |delta: f64| ArrayD::from_elem(IxDyn(&[1]), delta);
                close(&name, &delta(data.deltas[0]), &delta(case.deltas[instance]), 1.0);
            }
        }
    }
}

#[test]
fn attributions_are_those_of_the_reference() {
    check(Semantics::Reference, Precision::Double);
}

#[test]
fn the_default_differs_in_the_trapezoid_alone() {
    check(Semantics::Native, Precision::Double);
}

#[test]
fn a_model_in_single_precision_gives_the_same() {
    check(Semantics::Reference, Precision::Single);
}

/// The networks of the cases are differentiated by hand: central differences agree.
#[test]
fn the_networks_gradients_are_right() {
    for case in cases() {
        let model = case.network(Precision::Double);
        // Equal pixels are ties of the maxima, where there is no gradient: each is moved by another small step.
        let mut x = rows(&case.arrays(&case.inputs));
        for (place, value) in x.iter_mut().enumerate() {
            *value += 0.01 * (place as f64 * 0.618_033_988_749_895).fract();
        }
        let mut run = Run::seeded(0);
        let n_outputs = run.predict(&*model, &x).unwrap().ncols();
        let cotangent =
            Array2::from_shape_fn((x.nrows(), n_outputs), |(i, k)| ((i + 2 * k) % 3) as f64 - 0.5);
        let exact = run.vjp(&*model, &x, &cotangent).unwrap();
        let numeric = xai_core::CentralDifference::new(&*model);
        let numeric = run.vjp(&numeric, &x, &cotangent).unwrap();
        // The step is 6e-6: the error is its square times a third derivative, and rounding over the step.
        let off: Array1<f64> = (&exact - &numeric).mapv(f64::abs).into_flat();
        let worst = off.fold(0.0_f64, |worst, &own| worst.max(own));
        assert!(worst < 1e-7, "{}: off by {worst}", case.name);
    }
}
