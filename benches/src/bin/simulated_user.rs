//! The simulated user of the paper on anchors, on UCI Adult: `simulated_user ADULT_FOLDER`.

#![allow(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::path::PathBuf;

use anyhow::{Context, Result};
use xai_anchors::Sampling;
use xai_benches::adult::Adult;
use xai_benches::simulated_user::{MeanAndDeviation, experiment, settings};
use xai_benches::timed;
use xai_core::Semantics;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: simulated_user ADULT_FOLDER")?;
    let adult = Adult::load(&PathBuf::from(folder))?;
    println!(
        "| search | beam | anchors | model accuracy, % | test precision, % | test coverage, % | predicates | found, % | queries per anchor | ms per anchor |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let reference = settings().with_semantics(Semantics::Reference);
    let conditional = settings().with_sampling(Sampling::Conditional);
    let searches =
        [("native", settings()), ("native, conditional", conditional), ("reference", reference)];
    for ((name, params), beam_size) in searches.into_iter().flat_map(|s| [(s.clone(), 10), (s, 1)])
    {
        let params = params.with_beam_size(beam_size);
        let (outcome, seconds) = timed(|| experiment(&adult, params));
        let outcome = outcome?;
        let percent = |one: MeanAndDeviation| {
            format!("{:.2} ± {:.2}", 100.0 * one.mean, 100.0 * one.deviation)
        };
        println!(
            "| {name} | {beam_size} | {} | {:.2} | {} | {} | {:.2} | {:.1} | {:.0} | {:.2} |",
            outcome.n_anchors,
            100.0 * outcome.accuracy,
            percent(outcome.precision),
            percent(outcome.coverage),
            outcome.size.mean,
            100.0 * outcome.found,
            outcome.queries,
            1e3 * seconds / outcome.n_anchors as f64,
        );
    }
    Ok(())
}
