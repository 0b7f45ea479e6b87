//! Integrated gradients of a tanh layer: the queries of each case stand in its name and are asserted.

#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use xai_core::tabular::Features;
use xai_core::{BoxError, Differentiable, Explainer, Predictor, Rows, Run};
use xai_intgrad::IntegratedGradientsParams;

/// `sum_j tanh(x_j)`: cheap, so that the overhead shows.
struct Tanh;

impl Predictor for Tanh {
    fn predict(&self, batch: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(batch
            .map_axis(ndarray::Axis(1), |row| row.mapv(f64::tanh).sum())
            .insert_axis(ndarray::Axis(1)))
    }
}

impl Differentiable for Tanh {
    fn vjp(&self, batch: &Rows, cotangent: &Rows) -> Result<Array2<f64>, BoxError> {
        Ok(batch.mapv(|value| 1.0 - value.tanh().powi(2)) * cotangent)
    }
}

fn widths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("integrated-gradients/tanh");
    group.sample_size(20);
    for n_features in [16, 1024] {
        let features = Features::unnamed(n_features).expect("at least one feature");
        let explainer =
            IntegratedGradientsParams::default().build(features).expect("valid settings");
        let x = Array1::from_shape_fn(n_features, |column| (column as f64).sin());
        let explain = || explainer.explain(&Tanh, &x, Run::seeded(0)).expect("an explanation");
        assert_eq!(explain().meta.queries, 52);
        group.throughput(Throughput::Elements(52));
        let name = format!("{n_features}-features-queries-52");
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(explain()));
        });
    }
    group.finish();
}

criterion_group!(benches, widths);
criterion_main!(benches);
