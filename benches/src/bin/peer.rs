//! Our side of the comparison with peers.
//!
//! `peer CASE.json [INSTANCES]` explains a case and prints the report; `peer --write-tasks FOLDER [--adult FOLDER]
//! [--only NAME]` writes the cases, `FOLDER/TASK/CASE.json`.

#![allow(clippy::print_stdout, reason = "the report goes to the caller")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xai_benches::peers::{Case, Report, Sources, TASKS};

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first() {
        Some(first) if first == "--write-tasks" => write_tasks(&arguments[1..]),
        Some(file) => {
            let n_instances = arguments.get(1).map(|text| text.to_string_lossy().parse());
            explain(Path::new(file), n_instances.transpose().context("the number of instances")?)
        }
        None => bail!(
            "usage: peer CASE.json [INSTANCES] | --write-tasks FOLDER [--adult FOLDER] [--only NAME]"
        ),
    }
}

fn explain(file: &Path, n_instances: Option<usize>) -> Result<()> {
    let reader = File::open(file).with_context(|| file.display().to_string())?;
    let case: Case = serde_json::from_reader(BufReader::new(reader))
        .with_context(|| file.display().to_string())?;
    println!("{}", serde_json::to_string(&Report::of(&case, n_instances)?)?);
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
            std::fs::create_dir_all(&folder)?;
            let file = File::create(folder.join(format!("{}.json", case.case)))?;
            serde_json::to_writer(BufWriter::new(file), &case)?;
        }
    }
    Ok(())
}
