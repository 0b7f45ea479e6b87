//! The grid search on a linear model: the queries of each case stand in its name and are asserted.

#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, array};
use xai_benches::models::{Activation, Dense, Head, Layer};
use xai_core::tabular::Features;
use xai_core::{Explainer, Run};
use xai_gridcf::{FeatureRange, GridCounterfactualParams};

/// Two classes, the second one where the sum of the columns is above a threshold.
fn plane(n_features: usize, threshold: f64) -> Dense {
    let weight = ndarray::Array2::from_shape_fn((n_features, 2), |(_, class)| class as f64);
    let layers = vec![Layer { weight, bias: array![threshold, 0.0] }];
    Dense { layers, activation: Activation::Relu, head: Head::Identity }
}

/// Ten values for each feature; the instance lies between them, below all.
fn grid(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("grid-counterfactual/linear");
    group.sample_size(20);
    // Features, length, threshold and queries: a near answer of every pair, and none at all.
    for (n_features, length, threshold, queries) in
        [(8, 2, 2.0, 865), (8, 2, 1e6, 2881), (8, 3, 1e6, 58_881)]
    {
        let between = FeatureRange::between(0.0, 9.0);
        let params = GridCounterfactualParams::default()
            .with_feature_ranges((0..n_features).map(|f| (f.into(), between.clone())).collect())
            .with_max_counterfactual_length(length);
        let features = Features::unnamed(n_features).expect("at least one feature");
        let explainer = params.build(features).expect("valid settings");
        let (model, x) = (plane(n_features, threshold), Array1::from_elem(n_features, -0.5));
        let explain = || explainer.explain(&model, &x, Run::seeded(0)).expect("an explanation");
        assert_eq!(explain().meta.queries, queries);
        group.throughput(Throughput::Elements(queries));
        let name = format!("{n_features}-features-length-{length}-queries-{queries}");
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| black_box(explain()));
        });
    }
    group.finish();
}

criterion_group!(benches, grid);
criterion_main!(benches);
