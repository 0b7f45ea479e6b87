//! Runs the sides, each in a process of its own, and takes their reports.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::case::{Case, Contender, Measure};
use super::results::{
    Comparison, Cost, Judgement, PeerCost, Report, Results, Setting, Threads, error_cells,
};
use super::statistics::Spread;
use super::{Options, PEERS, setup};
use crate::workspace_root;

/// What keeps the libraries of both sides to one thread.
const ONE_THREAD: [&str; 6] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
];

/// Has our side write the cases.
pub(super) fn write_tasks(folder: &Path, options: &Options) -> Result<()> {
    let mut command = ours();
    command.arg("--write-tasks").arg(folder);
    if let Some(name) = &options.only {
        command.args(["--only", name]);
    }
    if let Some(adult) = &options.adult {
        command.arg("--adult").arg(adult);
    }
    let status = command.status().context("cannot start our side")?;
    ensure!(status.success(), "the tasks could not be written");
    Ok(())
}

/// Runs a task.
pub(super) fn task(cases: &[Case], repetitions: usize) -> Result<Results> {
    let task = cases[0].task.clone();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let setting = Setting {
        processor: processor(),
        threads,
        load: load(),
        commit: commit()?,
        versions: BTreeMap::new(),
    };
    let (speed, errors) = (Vec::new(), Vec::new());
    let mut results = Results { task, setting, repetitions, speed, errors };
    for case in cases {
        match results.task.measure {
            Measure::Speed => speed_of(case, &mut results)?,
            Measure::Error => errors_of(case, &mut results)?,
        }
    }
    if results.task.measure == Measure::Error {
        results.repetitions = 1;
    }
    Ok(results)
}

/// Ours and each contender in turns.
fn speed_of(case: &Case, results: &mut Results) -> Result<()> {
    let all = [Threads::One, Threads::All];
    for &threads in if case.task.processor_time { &all[..1] } else { &all[..] } {
        let n_threads = if threads == Threads::One { 1 } else { results.setting.threads };
        let cost = |sides: &[Side], beside: &[Side]| {
            let last = sides.last().context("no repetitions")?;
            let judgement = judge(case, last, beside.last())?;
            let reports = sides.iter().map(|side| &side.report);
            Cost::of(reports, &judgement, n_threads).context("a side reported no run")
        };
        let comparison = |ours, peer| Comparison {
            case: case.case.clone(),
            threads,
            model_share_goal: case.model_share_goal,
            ours,
            peer,
        };
        if case.contenders.is_empty() {
            let turns = (0..results.repetitions).map(|_| ask_ours(case, threads));
            let ours = turns.collect::<Result<Vec<_>>>()?;
            remember(&mut results.setting, "ours", &ours[0]);
            results.speed.push(comparison(cost(&ours, &[])?, None));
        }
        for contender in &case.contenders {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..results.repetitions {
                ours.push(ask_ours(case, threads)?);
                theirs.push(ask_peer(case, contender, threads)?);
            }
            remember(&mut results.setting, "ours", &ours[0]);
            remember(&mut results.setting, &contender.peer, &theirs[0]);
            let seconds =
                |side: &Side| side.report.runs.first().map_or(0.0, |run| run.seconds_each());
            let ratios = ours.iter().zip(&theirs).map(|(ours, peer)| seconds(peer) / seconds(ours));
            let ratio = Spread::of(ratios).context("no repetitions")?;
            let peer =
                PeerCost { contender: contender.clone(), ratio, cost: cost(&theirs, &ours)? };
            results.speed.push(comparison(cost(&ours, &theirs)?, Some(peer)));
        }
    }
    Ok(())
}

/// Each method once; a method that fails on a case has no error there.
#[allow(
    clippy::print_stderr,
    reason = "a peer's failure is a finding, and the caller wants to see it"
)]
fn errors_of(case: &Case, results: &mut Results) -> Result<()> {
    let name = &case.case;
    let ours = ask_ours(case, Threads::One)?;
    remember(&mut results.setting, "ours", &ours);
    let judgement = judge(case, &ours, None)?;
    let found = Some((&ours.report, &judgement));
    results.errors.extend(error_cells(name, "ours", "paired", &judgement, found));
    for contender in &case.contenders {
        let Contender { peer, method, .. } = contender;
        let found = ask_peer(case, contender, Threads::One).and_then(|side| {
            let judgement = judge(case, &side, None)?;
            Ok((side, judgement))
        });
        match &found {
            Ok((side, _)) => remember(&mut results.setting, peer, side),
            Err(error) => eprintln!("{peer} {method} on {name}: {error:#}"),
        }
        let found = found.as_ref().ok().map(|(side, judgement)| (&side.report, judgement));
        results.errors.extend(error_cells(name, peer, method, &judgement, found));
    }
    Ok(())
}

/// What a side said: the part of the report that is needed here, and the whole of it for the judge.
struct Side {
    report: Report,
    text: Vec<u8>,
}

fn remember(setting: &mut Setting, name: &str, side: &Side) {
    setting.versions.insert(name.to_owned(), side.report.version.clone());
}

fn ours() -> Command {
    Command::new(workspace_root().join("target/release/peer"))
}

fn ask_ours(case: &Case, threads: Threads) -> Result<Side> {
    ask(ours().arg(&case.path), threads)
}

fn ask_peer(case: &Case, contender: &Contender, threads: Threads) -> Result<Side> {
    let peer = &contender.peer;
    let runner = workspace_root().join(PEERS).join(format!("{peer}_runner.py"));
    let mut command = Command::new(setup::python(peer)?);
    // Compiled Python would lie beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(runner).arg(&case.path);
    ask(command.arg(&contender.method).arg(contender.instances.to_string()), threads)
}

fn ask(command: &mut Command, threads: Threads) -> Result<Side> {
    for variable in ONE_THREAD {
        match threads {
            Threads::One => command.env(variable, "1"),
            Threads::All => command.env_remove(variable),
        };
    }
    let text = output_of(command)?;
    let report = serde_json::from_slice(&text).context("a side printed no report")?;
    Ok(Side { report, text })
}

/// Has our side judge the answers of either, beside those of the other.
fn judge(case: &Case, side: &Side, beside: Option<&Side>) -> Result<Judgement> {
    let mut command = ours();
    command.arg("--judge").arg(&case.path);
    for (name, side) in [("report.json", Some(side)), ("beside.json", beside)] {
        let Some(side) = side else { continue };
        let file = workspace_root().join("target/peers").join(name);
        fs::write(&file, &side.text).context("cannot write a report")?;
        command.arg(&file);
    }
    let text = output_of(&mut command)?;
    serde_json::from_slice(&text).context("the judge printed no judgement")
}

/// What a command prints, or the last line of its complaint.
fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("cannot start a side")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last_line = complaint.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "{}: {last_line}", output.status);
    Ok(output.stdout)
}

/// The processor by its own name.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("an unknown processor", |(_, name)| name).to_owned()
}

/// The load average of the last minute, where the system tells it.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn commit() -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(workspace_root()).args(["describe", "--always", "--dirty"]);
    let output = git.output().context("cannot start git")?;
    ensure!(output.status.success(), "git does not know the commit");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
