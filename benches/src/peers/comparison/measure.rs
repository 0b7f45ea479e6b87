//! Runs the sides, each in a separate process, and takes their reports.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::results::{Comparison, Cost, PeerCost, Results, Setting, Threads, error_cells};
use super::statistics::Spread;
use super::{CaseFile, PEERS, setup, workspace_root};
use crate::peers::{Contender, Judgement, Measure, Report};

/// What keeps the libraries of both sides to one thread.
const ONE_THREAD: [&str; 6] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
];

/// Runs a task.
pub(super) fn task(cases: &[CaseFile], repetitions: usize) -> Result<Results> {
    let task = cases[0].content.task.clone();
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
fn speed_of(file: &CaseFile, results: &mut Results) -> Result<()> {
    let case = &file.content;
    let all = [Threads::One, Threads::All];
    for &threads in if case.task.processor_time { &all[..1] } else { &all[..] } {
        let n_threads = if threads == Threads::One { 1 } else { results.setting.threads };
        let cost = |reports: &[Report], others: &[Report]| {
            let last = reports.last().context("no repetitions")?;
            let judgement = Judgement::of(case, last, others.last())?;
            Cost::of(reports.iter(), &judgement, n_threads).context("a side reported no run")
        };
        let comparison = |ours, peer| Comparison {
            case: case.case.clone(),
            threads,
            model_share_goal: case.model_share_goal,
            ours,
            peer,
        };
        if case.contenders.is_empty() {
            let turns = (0..results.repetitions).map(|_| explain_ours(file, threads));
            let ours = turns.collect::<Result<Vec<_>>>()?;
            remember(&mut results.setting, "ours", &ours[0]);
            results.speed.push(comparison(cost(&ours, &[])?, None));
        }
        for contender in &case.contenders {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..results.repetitions {
                ours.push(explain_ours(file, threads)?);
                theirs.push(explain_peer(file, contender, threads)?);
            }
            remember(&mut results.setting, "ours", &ours[0]);
            remember(&mut results.setting, &contender.peer, &theirs[0]);
            let seconds =
                |report: &Report| report.runs.first().map_or(0.0, |run| run.seconds_each());
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
fn errors_of(file: &CaseFile, results: &mut Results) -> Result<()> {
    let case = &file.content;
    let name = &case.case;
    let ours = explain_ours(file, Threads::One)?;
    remember(&mut results.setting, "ours", &ours);
    let judgement = Judgement::of(case, &ours, None)?;
    let found = Some((&ours, &judgement));
    results.errors.extend(error_cells(name, "ours", "paired", &judgement, found));
    for contender in &case.contenders {
        let Contender { peer, method, .. } = contender;
        let found = explain_peer(file, contender, Threads::One).and_then(|report| {
            let judgement = Judgement::of(case, &report, None)?;
            Ok((report, judgement))
        });
        match &found {
            Ok((report, _)) => remember(&mut results.setting, peer, report),
            Err(error) => eprintln!("{peer} {method} on {name}: {error:#}"),
        }
        let found = found.as_ref().ok().map(|(report, judgement)| (report, judgement));
        results.errors.extend(error_cells(name, peer, method, &judgement, found));
    }
    Ok(())
}

fn remember(setting: &mut Setting, name: &str, report: &Report) {
    setting.versions.insert(name.to_owned(), report.version.clone());
}

/// Our side in a separate process: memory and time are those of one case.
fn explain_ours(case: &CaseFile, threads: Threads) -> Result<Report> {
    let program = std::env::current_exe().context("the program does not know its file")?;
    explain(Command::new(program).arg("explain").arg(&case.path), threads)
}

fn explain_peer(case: &CaseFile, contender: &Contender, threads: Threads) -> Result<Report> {
    let peer = &contender.peer;
    let runner = workspace_root().join(PEERS).join(format!("{peer}_runner.py"));
    let mut command = Command::new(setup::python(peer)?);
    // Compiled Python would lie beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(runner).arg(&case.path);
    explain(command.arg(&contender.method).arg(contender.instances.to_string()), threads)
}

fn explain(command: &mut Command, threads: Threads) -> Result<Report> {
    for variable in ONE_THREAD {
        match threads {
            Threads::One => command.env(variable, "1"),
            Threads::All => command.env_remove(variable),
        };
    }
    serde_json::from_slice(&output_of(command)?).context("a side printed no report")
}

/// What a command prints, or the last line of its complaint.
fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("cannot start a side")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last_line = complaint.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "{}: {last_line}", output.status);
    Ok(output.stdout)
}

/// The name of the processor.
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
