//! `xai schema`: the JSON Schema of what the command reads and writes.

use std::io::Write;

use anyhow::Context;
use serde::Serialize;
use xai::job::{MethodSchema, find, methods};

use crate::failure::Failure;

/// Writes the schema of a method, or a list of those of all methods.
///
/// # Errors
/// [`Failure::Input`] when no method has this name, [`Failure::Run`] when `out` cannot be written to.
pub fn write_schema(name: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    match name {
        None => {
            let all: Vec<MethodSchema> = methods().iter().map(|method| method.schema()).collect();
            write(&all, out)
        }
        Some(name) => write(&find(name)?.schema(), out),
    }
}

fn write(schema: &impl Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(schema).map_err(Failure::run)?;
    writeln!(out, "{text}").context("the schema cannot be written").map_err(Failure::Run)
}
