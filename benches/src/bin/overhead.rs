//! How much slower an explanation is than the bare model on the same rows: `overhead ADULT_FOLDER [CASE]`.
//!
//! Explanation and bare model take turns, so that a machine that slows down slows both; the ratio of each turn counts.

#![allow(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use ndarray::{Array2, s};
use xai_benches::adult::Adult;
use xai_benches::{Recorder, first};
use xai_core::{Explainer, Predictor, Runs};
use xai_shap::{Estimator, KernelShapParams, Link, NSamples};

const TURNS: usize = 21;
const ROWS: usize = 20;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("usage: overhead ADULT_FOLDER [CASE]")?;
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let adult = Adult::load(&folder)?;
    let background = first(&adult.rows, 100);
    let instances = adult.rows.slice(s![30_000..30_000 + ROWS, ..]).to_owned();
    println!("| case | queries per row | ms per row | explain / bare model: median (min to max) |");
    println!("|---|---|---|---|");
    let cases = [
        ("exact, identity", NSamples::Count(4094), Estimator::Exact, Link::Identity),
        ("exact, logit", NSamples::Count(4094), Estimator::Exact, Link::Logit),
        ("paired, 2072 coalitions", NSamples::Auto, Estimator::Paired, Link::Identity),
    ];
    for (name, nsamples, estimator, link) in
        cases.into_iter().filter(|case| case.0.contains(&wanted))
    {
        let params = KernelShapParams { nsamples, estimator, link, ..Default::default() };
        let explainer = params.fit(&background, adult.features.clone())?;
        let recorder = Recorder::new(&adult.network);
        let explained = explainer.explain_rows(&recorder, &instances, &Runs::seeded(0));
        let queries: u64 = explained
            .into_iter()
            .map(|result| result.map(|one| one.meta.queries))
            .sum::<Result<_, _>>()?;
        let batches = recorder.batches.into_inner().ok().context("a recording thread failed")?;
        let (mut ratios, mut times) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let explain = seconds(|| {
                explainer.explain_rows(&adult.network, &instances, &Runs::seeded(0)).len()
            });
            let bare = seconds(|| predict_all(&adult.network, &batches));
            ratios.push(explain / bare);
            times.push(1e3 * explain / ROWS as f64);
        }
        ratios.sort_by(f64::total_cmp);
        times.sort_by(f64::total_cmp);
        println!(
            "| {name} | {} | {:.2} | {:.3} ({:.3} to {:.3}) |",
            queries / ROWS as u64,
            times[TURNS / 2],
            ratios[TURNS / 2],
            ratios[0],
            ratios[TURNS - 1]
        );
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}

#[allow(clippy::disallowed_methods, reason = "the bare model is what is measured")]
fn predict_all(model: &dyn Predictor, batches: &[Array2<f64>]) -> usize {
    use rayon::prelude::*;
    batches.par_iter().map(|batch| model.predict(batch).map_or(0, |outputs| outputs.nrows())).sum()
}
