//! The page of the book with the settings of all methods is made from their schemas, and checked to be current.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;
use xai::job::methods;

const INTRODUCTION: &str = "# Settings of all methods

What may stand under `[params]` of a [job](job-files.md), and in the params of a method in Rust; the chapter of each method says what matters.
Made from the code; `xai schema METHOD` prints the same as a JSON Schema, with all words that a setting may be.
";

/// A description in one line, without the links of the documentation of the code.
fn plain(description: &str) -> String {
    let link = Regex::new(r"\[(`[^`]*`)\](\([^)]*\))?").unwrap();
    let path = Regex::new(r"`(?:[A-Za-z_]+::)+").unwrap();
    // An example follows the first paragraph, and a pipe would end the cell.
    let first = description.split("\n\n").next().unwrap().replace('\n', " ").replace('|', "\\|");
    let without_links = link.replace_all(&first, "$1");
    path.replace_all(&without_links, "`").into_owned()
}

/// The rows of a table of settings, by name.
fn rows(schema: &Value) -> String {
    let mut rows = String::new();
    for (name, setting) in schema["properties"].as_object().unwrap() {
        let default = match &setting["default"] {
            Value::Null => "none".to_owned(),
            // Inner settings have their descriptions in the schema.
            Value::Object(_) => "see the schema".to_owned(),
            value => format!("`{value}`"),
        };
        let description = plain(setting["description"].as_str().unwrap_or_default());
        writeln!(rows, "| `{name}` | {description} | {default} |").unwrap();
    }
    rows
}

#[test]
fn the_page_of_settings_is_current() {
    let mut page = INTRODUCTION.to_owned();
    for method in methods() {
        let schema = serde_json::to_value(method.schema()).unwrap();
        let table = rows(&schema["params"]);
        let name = method.name();
        write!(
            page,
            "\n## {name}\n\n| setting | meaning | default |\n| --- | --- | --- |\n{table}"
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/book/src/settings.md");
    let current = fs::read_to_string(&path).unwrap_or_default();
    if current != page {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("settings.md");
        fs::write(&made, page).unwrap();
        panic!("docs/book/src/settings.md is out of date: copy {} there", made.display());
    }
}
