//! AnchorTabular on a free model, on a forest, and on the network of UCI Adult where `XAI_ADULT` names its folder.
//!
//! The last part of an id is the number of queries: work that asks for something else is not compared.

#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, s};
use xai_anchors::{AnchorTabular, AnchorTabularParams};
use xai_benches::adult::Adult;
use xai_benches::{Free, Recorder, first, spread};
use xai_core::tabular::Features;
use xai_core::tabular::discretizer::{DECILES, Edges};
use xai_core::{Explainer, Output, Predictor, Run, RunConfig};
use xai_onnx::{OnnxModel, OnnxOptions};

/// A forest of 20 trees, and the flowers it was trained on.
const FOREST: &[u8] =
    include_bytes!("../../crates/xai-onnx/tests/fixtures/iris_random_forest.onnx");
const FLOWERS: &str = include_str!("../../crates/xai-cli/tests/fixtures/iris_cm_train.csv");

/// The work of the explainer: 1,000 training rows in quartiles, the model costs nothing. Throughput in predictor rows.
fn free(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("anchor-tabular/explain/free");
    group.sample_size(20);
    for n_features in [4, 12, 30, 100] {
        let features = Features::unnamed(n_features).expect("at least one feature");
        // No quartile is near 0.6, so that the search goes through many sets of predicates.
        let params = AnchorTabularParams::default()
            .with_output(Output::Bins { edges: vec![0.6], target: 0 })
            .with_max_anchor_size(Some(3));
        let explainer =
            params.fit(&spread(1000, n_features, 0.0), features).expect("a valid table");
        let x = spread(1, n_features, 0.55);
        let explain =
            || explainer.explain(&Free, &x.row(0), Run::seeded(0)).expect("an explanation");
        let n_queries = explain().meta.queries;
        group.throughput(Throughput::Elements(n_queries));
        group.bench_function(BenchmarkId::new(n_features.to_string(), n_queries), |bencher| {
            bencher.iter(|| black_box(explain()));
        });
    }
    group.finish();
}

/// 105 irises, explained with quartiles, with deciles and with the thresholds of the forest as bins.
fn forest(criterion: &mut Criterion) {
    let model =
        OnnxModel::from_bytes(FOREST, &OnnxOptions::default()).expect("the fixture is a model");
    let cells: Vec<f64> = FLOWERS
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').take(4))
        .map(|cell| cell.parse().expect("the fixture holds numbers"))
        .collect();
    let rows = Array2::from_shape_vec((cells.len() / 4, 4), cells).expect("four columns");
    let features = Features::unnamed(4).expect("four features");
    let thresholds = model.thresholds().expect("a forest has thresholds");
    let edges =
        features.names().into_iter().zip(thresholds).map(|(name, thresholds)| {
            (name, Edges::new(thresholds).expect("thresholds are finite"))
        });
    let settings = [
        ("quartiles", AnchorTabularParams::default()),
        ("deciles", AnchorTabularParams::default().with_disc_perc(DECILES.to_vec())),
        ("model", AnchorTabularParams::default().with_edges(edges.collect())),
    ];
    for (name, params) in settings {
        let explainer = params.fit(&rows, features.clone()).expect("a valid table");
        table(
            criterion,
            &format!("anchor-tabular/iris-forest/105-rows-{name}"),
            &explainer,
            &model,
            &rows,
        );
    }
}

/// A real network: 12 features in 55 columns, 30,000 training rows.
fn adult(criterion: &mut Criterion) {
    #[allow(
        clippy::disallowed_methods,
        reason = "benches are an edge; the data set is not part of the repository"
    )]
    let Ok(folder) = std::env::var("XAI_ADULT") else { return };
    let adult =
        Adult::load(Path::new(&folder)).expect("XAI_ADULT names a folder with the Adult files");
    let instances = adult.rows.slice(s![30_000..30_020, ..]).to_owned();
    let explainer = AnchorTabularParams::default()
        .fit(&first(&adult.rows, 30_000), adult.features.clone())
        .expect("a valid table");
    table(criterion, "anchor-tabular/adult-mlp/20-rows", &explainer, &adult.network, &instances);
}

/// Rows explained together, and what the model alone takes for the same batches. Throughput in predictor rows.
fn table(
    criterion: &mut Criterion,
    name: &str,
    explainer: &AnchorTabular,
    model: &dyn Predictor,
    rows: &Array2<f64>,
) {
    let recorder = Recorder::new(model);
    assert!(
        explainer.explain_many(&recorder, rows, &RunConfig::seeded(0)).iter().all(Result::is_ok)
    );
    let batches = recorder.batches.into_inner().expect("no thread failed");
    let n_queries = batches.iter().map(|batch| batch.nrows() as u64).sum();
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.throughput(Throughput::Elements(n_queries));
    group.bench_function(BenchmarkId::new("explain", n_queries), |bencher| {
        bencher.iter(|| black_box(explainer.explain_many(model, rows, &RunConfig::seeded(0))));
    });
    group.bench_function(BenchmarkId::new("bare-model-one-thread", n_queries), |bencher| {
        #[allow(clippy::disallowed_methods, reason = "the bare model is what is measured")]
        bencher.iter(|| batches.iter().for_each(|batch| drop(black_box(model.predict(batch)))));
    });
    group.finish();
}

criterion_group!(benches, free, forest, adult);
criterion_main!(benches);
