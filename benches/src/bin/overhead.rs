//! How much slower an explanation is than the bare model on the same rows: `overhead ADULT_FOLDER [CASE]`.
//!
//! Explanation and bare model take turns, so that a machine that slows down slows both; the ratio of each turn counts.

#![allow(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use ndarray::{Array2, s};
use xai_anchors::AnchorTabularParams;
use xai_benches::adult::Adult;
use xai_benches::{Recorder, first, timed};
use xai_core::tabular::Features;
use xai_core::{BlackBox, Explainer, Predictor, Row, RunConfig};
use xai_onnx::{OnnxModel, OnnxOptions};
use xai_shap::{Estimator, KernelShapParams, Link};

const TURNS: usize = 21;
const ROWS: usize = 20;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("usage: overhead ADULT_FOLDER [CASE]")?;
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let adult = Adult::load(&folder)?;
    let onnx = OnnxModel::from_bytes(
        include_bytes!("../../../crates/xai-onnx/tests/fixtures/adult_pipeline_mlp.onnx"),
        &OnnxOptions::default(),
    )?;
    let exact = KernelShapParams::default().with_estimator(Estimator::Exact);
    let logit = exact.clone().with_link(Link::Logit);
    let paired = KernelShapParams::default().with_estimator(Estimator::Paired);
    let anchors = AnchorTabularParams::default();
    let training = adult.codes.slice(s![..30_000, ..]).to_owned();
    println!(
        "| model | values | queries per row | ms per row | explain / bare model: median (min to max) |"
    );
    println!("|---|---|---|---|---|");
    for (values, params) in
        [("exact", exact), ("exact, logit", logit), ("paired, 2072 coalitions", paired)]
    {
        let models: [(&str, &dyn Predictor, &Array2<f64>, &Features); 2] = [
            ("float64 network", &adult.network, &adult.rows, &adult.features),
            ("scikit-learn pipeline in ONNX", &onnx, &adult.codes, &adult.coded),
        ];
        for (name, model, rows, features) in models {
            if format!("{name}, {values}").contains(&wanted) {
                let explainer = params.clone().fit(&first(rows, 100), features.clone())?;
                let instances = rows.slice(s![30_000..30_000 + ROWS, ..]).to_owned();
                measure(&format!("{name} | {values}"), &explainer, model, &instances)?;
            }
        }
    }
    let (logistic, network) = (adult.over_codes(&adult.logistic), adult.over_codes(&adult.network));
    let models: [(&str, &dyn Predictor); 3] = [
        ("float64 logistic regression", &logistic),
        ("float64 network", &network),
        ("scikit-learn pipeline in ONNX", &onnx),
    ];
    for (name, model) in models {
        if format!("{name}, anchors").contains(&wanted) {
            let explainer = anchors.clone().fit(&training, adult.coded.clone())?;
            let instances = adult.codes.slice(s![30_000..30_000 + ROWS, ..]).to_owned();
            measure(&format!("{name} | anchors"), &explainer, model, &instances)?;
        }
    }
    Ok(())
}

fn measure<E>(
    name: &str,
    explainer: &E,
    model: &dyn Predictor,
    instances: &Array2<f64>,
) -> Result<()>
where
    E: for<'m> Explainer<Input = Row, Model<'m> = BlackBox<'m>> + Sync,
    E::Data: Send,
{
    let recorder = Recorder::new(model);
    let explained = explainer.explain_many(&recorder, instances, &RunConfig::seeded(0));
    let queries: u64 = explained
        .into_iter()
        .map(|result| result.map(|one| one.meta.queries))
        .sum::<Result<_, _>>()?;
    let batches = recorder.batches.into_inner().ok().context("a recording thread failed")?;
    let (mut ratios, mut times) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (_, explain) =
            timed(|| explainer.explain_many(model, instances, &RunConfig::seeded(0)));
        let (_, bare) = timed(|| predict_all(model, &batches));
        ratios.push(explain / bare);
        times.push(1e3 * explain / ROWS as f64);
    }
    ratios.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    let (median, last) = (TURNS / 2, TURNS - 1);
    println!(
        "| {name} | {} | {:.2} | {:.2} ({:.2} to {:.2}) |",
        queries / ROWS as u64,
        times[median],
        ratios[median],
        ratios[0],
        ratios[last]
    );
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the bare model is what is measured")]
fn predict_all(model: &dyn Predictor, batches: &[Array2<f64>]) -> usize {
    use rayon::prelude::*;
    batches.par_iter().map(|batch| model.predict(batch).map_or(0, |outputs| outputs.nrows())).sum()
}
