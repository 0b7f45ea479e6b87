//! Our side of the comparison with peers.
//!
//! `peer CASE.json [INSTANCES]` explains a case and prints the report; `peer --judge CASE.json REPORT.json [BESIDE.json]`
//! prints what the answers of a report are worth, beside those of another; `peer --write-tasks FOLDER [--adult FOLDER] [--only NAME]` writes the cases,
//! `FOLDER/TASK/CASE.json`.

#![allow(clippy::print_stdout, reason = "the report goes to the caller")]

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use xai_benches::peers::{Case, Judgement, Report, Sources, TASKS};

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [first, rest @ ..] if first == "--write-tasks" => write_tasks(rest),
        [first, case, report, beside @ ..] if first == "--judge" && beside.len() < 2 => {
            let beside = beside.first().map(read::<Report>).transpose()?;
            let case = Case::read(case.as_ref())?;
            print(&Judgement::of(&case, &read::<Report>(report)?, beside.as_ref())?)
        }
        [case] => print(&Report::of(&Case::read(case.as_ref())?, None)?),
        [case, n_instances] => {
            let n_instances = n_instances.to_string_lossy().parse();
            print(&Report::of(
                &Case::read(case.as_ref())?,
                Some(n_instances.context("the number of instances")?),
            )?)
        }
        _ => bail!(
            "usage: peer CASE.json [INSTANCES] | --judge CASE.json REPORT.json [BESIDE.json] | --write-tasks FOLDER [--adult FOLDER] [--only NAME]"
        ),
    }
}

fn read<T: DeserializeOwned>(file: &OsString) -> Result<T> {
    let name = || Path::new(file).display().to_string();
    let reader = BufReader::new(File::open(file).with_context(name)?);
    serde_json::from_reader(reader).with_context(name)
}

fn print(content: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(content)?);
    Ok(())
}

fn write_tasks(arguments: &[OsString]) -> Result<()> {
    let (folder, options) = arguments.split_first().context("--write-tasks needs a folder")?;
    let option = |name: &str| {
        let place = options.iter().position(|word| word == name)?;
        options.get(place + 1)
    };
    let only = option("--only").map(|name| name.to_string_lossy().into_owned());
    let sources = Sources { adult: option("--adult").map(PathBuf::from) };
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    ensure!(TASKS.iter().any(|(name, _)| wanted(name)), "there is no such task");
    for (name, generate) in TASKS.iter().filter(|(name, _)| wanted(name)) {
        let folder = Path::new(folder).join(name);
        let cases = generate(&sources).with_context(|| format!("task {name}"))?;
        ensure!(!cases.is_empty() || only.is_none(), "task {name} needs --adult");
        for case in cases {
            case.write(&folder)?;
        }
    }
    Ok(())
}
