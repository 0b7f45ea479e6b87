//! Laws of the method and of its work.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test may panic, and compares equal bits"
)]

use crate::models;

use crate::models::network;
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use xai_core::tabular::Features;
use xai_core::{Budget, Error, Explainer, Run, RunConfig};
use xai_intgrad::quadrature::Method;
use xai_intgrad::{
    Baselines, InputTensor, IntegratedGradientsData, IntegratedGradientsParams, NoiseTunnel, Target,
};
use xai_testkit::{Linear, Probe};

fn rows(n: usize, width: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, width), |(i, j)| {
        ((i * width + j) as f64 * 0.618_033_988_749_895).fract() * 4.0 - 2.0
    })
}

fn explain(
    model: &str,
    params: IntegratedGradientsParams,
    x: &Array1<f64>,
) -> IntegratedGradientsData {
    let explainer = params.build(Features::unnamed(x.len()).unwrap()).unwrap();
    explainer.explain(&network(model), x, Run::seeded(3)).unwrap().data
}

/// A line's gradients are summed in the order of its points, so that calls of any size give the same bits.
#[test]
fn the_batch_size_changes_nothing() {
    let plain = IntegratedGradientsParams::default().with_target(Some(Target::Predicted));
    let variants = [
        plain.clone(),
        plain.clone().with_layer(Some("dense0".to_owned())),
        plain.clone().with_baselines(Baselines::several(rows(3, 4))),
        plain.clone().with_baselines(Baselines::distribution(rows(3, 4), 40)),
        plain.clone().with_noise_tunnel(Some(NoiseTunnel::default())),
        plain.clone().with_method(Method::ClenshawCurtis).with_tolerance(Some(1e-4)),
    ];
    let x = rows(1, 4).row(0).to_owned();
    for params in variants {
        let with = |internal_batch_size| {
            explain("iris_mlp", params.clone().with_internal_batch_size(internal_batch_size), &x)
        };
        let expected = with(Some(100));
        for size in [Some(1), Some(7), Some(64), None] {
            assert_eq!(with(size), expected, "{size:?}");
        }
    }
}

#[test]
fn several_inputs_are_one_row() {
    let x = rows(1, 4).row(0).to_owned();
    let params = IntegratedGradientsParams::default().with_target(Some(Target::Index(1)));
    let single = explain("iris_mlp", params.clone(), &x);
    let inputs = vec![InputTensor::new("a", &[1]), InputTensor::new("b", &[3, 1])];
    let several = explain("iris_mlp", params.with_inputs(inputs), &x);
    let flat: Vec<f64> = several.attributions.iter().flatten().copied().collect();
    assert_eq!(flat, single.attributions[0].iter().copied().collect::<Vec<_>>());
    assert_eq!(several.attributions[1].shape(), [3, 1]);
    assert_eq!(several.deltas, single.deltas);
    assert_eq!((several.instance[0].len(), several.baselines[1].shape()), (1, &[1, 3, 1][..]));
}

/// A model that treats rows independently is asked for full calls when rows are explained together.
#[test]
fn rows_share_calls() {
    let model = network("iris_mlp");
    let params =
        IntegratedGradientsParams::default().with_n_steps(5).with_target(Some(Target::Index(0)));
    let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
    let many = rows(128, 4);
    let pool = rayon_pool();
    let probe = Probe::new(&model);
    let results = pool.install(|| explainer.explain_many(&probe, &many, &RunConfig::seeded(0)));
    assert!(results.iter().all(|result| result.as_ref().unwrap().meta.queries == 7));
    assert_eq!(probe.queries(), 128 * 7);
    // Four chunks of 32 rows: a call for the 64 ends, and two of 100 and 60 points.
    assert_eq!(probe.calls(), 4 * 3);
}

fn rayon_pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap()
}

#[test]
fn queries_are_those_of_the_documentation() {
    let model = network("iris_mlp");
    let plain =
        IntegratedGradientsParams::default().with_target(Some(Target::Index(0))).with_n_steps(10);
    let check = |params: IntegratedGradientsParams, expected: u64| {
        let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
        let probe = Probe::new(&model);
        let x = rows(1, 4).row(0).to_owned();
        let queries = explainer.explain(&probe, &x, Run::seeded(0)).unwrap().meta.queries;
        assert_eq!((queries, probe.queries()), (expected, expected));
        // A budget of one less is refused, before any call where the price is known.
        let known = explainer.params().noise_tunnel.is_none()
            && !matches!(explainer.params().baselines, Baselines::Distribution(_));
        let probe = Probe::new(&model);
        let run = Run::seeded(0).with_budget(Budget::queries(expected - 1));
        let result = explainer.explain(&probe, &x, run);
        if known {
            let Err(Error::Budget { given, needed, .. }) = result else { panic!("{result:?}") };
            assert_eq!((given, needed), (expected - 1, expected));
            assert_eq!(probe.calls() == 0, explainer.params().layer.is_none());
        } else {
            assert!(probe.queries() < expected);
        }
    };
    check(plain.clone(), 2 + 10);
    let several = Baselines::several(rows(3, 4));
    check(plain.clone().with_baselines(several.clone()), 4 + 30);
    check(plain.clone().with_curve(true), 2 + 10 + 9);
    let layer = Some("dense0".to_owned());
    check(plain.clone().with_layer(layer.clone()), 2 + 2 + 10);
    let noise = NoiseTunnel::default().with_n_samples(4);
    let noisy = plain.clone().with_noise_tunnel(Some(noise));
    check(noisy.clone(), 2 + 4 * (1 + 10));
    check(noisy.clone().with_layer(layer), 4 + 4 * (2 + 10));
    check(noisy.with_baselines(several), 4 + 4 * (1 + 30));
    let drawn = Baselines::distribution(rows(3, 4), 25);
    check(plain.with_baselines(drawn), 4 + 25);
}

/// What was drawn before a budget ended is an answer, with the reason.
#[test]
fn a_budget_leaves_the_draws_so_far() {
    let model = network("iris_mlp");
    let noise = NoiseTunnel::default().with_n_samples(8).with_stdev(0.1);
    let plain = IntegratedGradientsParams::default()
        .with_target(Some(Target::Index(0)))
        .with_n_steps(10)
        .with_internal_batch_size(Some(1));
    let drawn = Baselines::distribution(rows(3, 4), 25);
    for (params, budget, samples) in [
        (plain.clone().with_noise_tunnel(Some(noise)), 2 + 33 + 5, 3),
        (plain.clone().with_baselines(drawn), 4 + 7, 7),
    ] {
        let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
        let run = Run::seeded(0).with_budget(Budget::queries(budget));
        let x = rows(1, 4).row(0).to_owned();
        let data = explainer.explain(&model, &x, run).unwrap().data;
        assert_eq!(data.n_samples, samples);
        assert_eq!(data.stop, xai_core::Stop::Budget);
        assert_eq!(data.status, xai_core::Status::Stopped);
        assert!(
            data.reason.ends_with("the budget of model queries was used up"),
            "{}",
            data.reason
        );
        assert!(data.standard_errors.is_some());
    }
    // A refinement that is stopped has the rule before.
    let params = plain
        .with_method(Method::ClenshawCurtis)
        .with_n_steps(5)
        .with_tolerance(Some(1e-12))
        .with_absolute_tolerance(0.0);
    let explainer = params.build(Features::unnamed(4).unwrap()).unwrap();
    let run = Run::seeded(0).with_budget(Budget::queries(2 + 17 + 3));
    let data = explainer.explain(&model, &rows(1, 4).row(0), run).unwrap().data;
    assert_eq!((data.steps[0], data.stop), (17, xai_core::Stop::Budget));
}

#[test]
fn large_gaps_have_a_warning() {
    let model = network("cancer_mlp");
    let x = rows(1, 30).row(0).to_owned();
    let codes = |n_steps| {
        let params = IntegratedGradientsParams::default()
            .with_method(Method::RiemannRight)
            .with_n_steps(n_steps)
            .with_target(Some(Target::Index(0)));
        let explainer = params.build(Features::unnamed(30).unwrap()).unwrap();
        let explanation = explainer.explain(&model, &x, Run::seeded(0)).unwrap();
        let large = 0.05 < explanation.data.relative_deltas[0].abs();
        let codes: Vec<String> = explanation.meta.warnings.into_iter().map(|w| w.code).collect();
        assert_eq!(codes == ["intgrad.gap"], large);
        codes
    };
    assert_eq!(codes(2), ["intgrad.gap"]);
    assert!(codes(1000).is_empty());
}

#[test]
fn another_target_or_baseline_is_another_explainer() {
    let model = network("iris_mlp");
    let x = rows(1, 4).row(0).to_owned();
    let params = IntegratedGradientsParams::default().with_target(Some(Target::Predicted));
    let explainer = params.clone().build(Features::unnamed(4).unwrap()).unwrap();
    let other = explainer.with_target(Target::Index(2)).unwrap();
    let data = other.explain(&model, &x, Run::seeded(0)).unwrap().data;
    assert_eq!(data.target, Some(Target::Index(2)));
    assert_eq!(data.output, data.predictions[[2]]);
    let moved = explainer.with_baselines(Baselines::Constant(0.5)).unwrap();
    let expected = params.with_baselines(Baselines::Constant(0.5));
    assert_eq!(moved, expected.build(Features::unnamed(4).unwrap()).unwrap());
    assert!(explainer.with_baselines(Baselines::Row(vec![1.0])).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The attributions of a smooth network add up to the change of its output, whatever the ends.
    #[test]
    fn attributions_are_complete(
        x in prop::collection::vec(-2.0..2.0_f64, 10),
        b in prop::collection::vec(-2.0..2.0_f64, 10),
    ) {
        let params = IntegratedGradientsParams::default().with_baselines(Baselines::Row(b)).with_n_steps(100);
        let data = explain("diabetes_mlp", params, &Array1::from(x));
        // Gauss-Legendre converges like rho^(-200) with the closest pole of tanh outside of an ellipse around the path.
        prop_assert!(data.deltas[0].abs() < 1e-8, "{}", data.deltas[0]);
    }

    /// Attributions are linear in the model, and a column without influence has none.
    #[test]
    fn attributions_are_linear_and_ignore_dummies(
        w in prop::collection::vec(-2.0..2.0_f64, 5),
        x in prop::collection::vec(-2.0..2.0_f64, 5),
    ) {
        let mut w = w;
        w[2] = 0.0;
        let explainer = IntegratedGradientsParams::default().build(Features::unnamed(5).unwrap()).unwrap();
        let x = Array1::from(x);
        let of = |w: &[f64]| {
            explainer.explain(&Linear::new(w, 1.0), &x, Run::seeded(0)).unwrap().data.attributions[0].clone()
        };
        let (one, twice) = (of(&w), of(&w.iter().map(|w| 2.0 * w).collect::<Vec<_>>()));
        // Doubling is exact in floating point.
        prop_assert_eq!(&twice, &(2.0 * &one));
        prop_assert_eq!(one[[2]], 0.0);
    }

    /// The path is symmetric: where the model and the ends treat two columns alike, so do the attributions.
    #[test]
    fn equal_columns_have_equal_attributions(a in -2.0..2.0_f64, b in -2.0..2.0_f64) {
        let product = models::Formula {
            n_features: 2,
            f: |x| (x[0] * x[1]).sin(),
            gradient: |x| vec![x[1] * (x[0] * x[1]).cos(), x[0] * (x[0] * x[1]).cos()],
        };
        let params = IntegratedGradientsParams::default().with_baselines(Baselines::Constant(b));
        let explainer = params.build(Features::unnamed(2).unwrap()).unwrap();
        let data = explainer.explain(&product, &ndarray::array![a, a], Run::seeded(0)).unwrap().data;
        prop_assert_eq!(data.attributions[0][[0]], data.attributions[0][[1]]);
    }
}
