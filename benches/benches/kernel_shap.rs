//! KernelSHAP on a free model, and on the network of UCI Adult where `XAI_ADULT` names its folder.

#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::s;
use xai_benches::adult::Adult;
use xai_benches::{Free, Recorder, first, spread};
use xai_core::tabular::Features;
use xai_core::{Explainer, Predictor, Run, RunConfig};
use xai_shap::{Estimator, KernelShapParams, Link, NSamples};

/// The work of the explainer: 100 background rows, the model costs nothing. Throughput in predictor rows.
fn free(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernel-shap/explain/free");
    group.sample_size(20);
    for n_features in [8, 11, 16, 30, 60] {
        let features = Features::unnamed(n_features).expect("at least one feature");
        let explainer = KernelShapParams::default()
            .fit(&spread(100, n_features, 0.0), features)
            .expect("a valid table");
        let x = spread(1, n_features, 0.5);
        let explain =
            || explainer.explain(&Free, &x.row(0), Run::seeded(0)).expect("an explanation");
        group.throughput(Throughput::Elements(explain().meta.queries));
        group.bench_function(BenchmarkId::from_parameter(n_features), |bencher| {
            bencher.iter(|| black_box(explain()));
        });
    }
    group.finish();
}

/// A real network: 12 grouped features in 55 columns, 100 background rows, exact values of both classes in log-odds.
fn adult(criterion: &mut Criterion) {
    #[allow(
        clippy::disallowed_methods,
        reason = "benches are an edge; the data set is not part of the repository"
    )]
    let Ok(folder) = std::env::var("XAI_ADULT") else { return };
    let adult =
        Adult::load(Path::new(&folder)).expect("XAI_ADULT names a folder with the Adult files");
    let instances = adult.rows.slice(s![30_000..30_020, ..]).to_owned();
    let params = KernelShapParams::default()
        .with_nsamples(NSamples::Count(4094))
        .with_estimator(Estimator::Exact)
        .with_link(Link::Logit);
    let explainer =
        params.fit(&first(&adult.rows, 100), adult.features.clone()).expect("a valid table");
    let recorder = Recorder::new(&adult.network);
    assert!(
        explainer
            .explain_many(&recorder, &instances, &RunConfig::seeded(0))
            .iter()
            .all(Result::is_ok)
    );
    let batches = recorder.batches.into_inner().expect("no thread failed");
    let mut group = criterion.benchmark_group("kernel-shap/adult-mlp/20-rows");
    group.sample_size(20);
    group.throughput(Throughput::Elements(batches.iter().map(|batch| batch.nrows() as u64).sum()));
    group.bench_function("explain", |bencher| {
        bencher.iter(|| {
            black_box(explainer.explain_many(&adult.network, &instances, &RunConfig::seeded(0)))
        });
    });
    group.bench_function("bare-model-one-thread", |bencher| {
        #[allow(clippy::disallowed_methods, reason = "the bare model is what is measured")]
        bencher.iter(|| {
            batches.iter().for_each(|batch| drop(black_box(adult.network.predict(batch))));
        });
    });
    group.finish();
}

criterion_group!(benches, free, adult);
criterion_main!(benches);
