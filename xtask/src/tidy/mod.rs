//! `cargo xtask tidy`: the rules that the compiler and clippy cannot check.
//!
//! Each rule is a function from the [`Tree`] (and the parsed cargo metadata, where it needs the crate graph) to its
//! violations, so that `tests/tidy.rs` can show each of them fail on a small broken tree.

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

pub mod book;
pub mod graph;
pub mod manifests;
pub mod markdown;
pub mod pages;
pub mod rust;
mod source;
mod tree;

pub use tree::Tree;

/// One place that breaks a rule; prints as `path:line: message`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, relative to the root of the workspace.
    pub path: String,
    /// The line, from 1; 1 when the rule is about the whole file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Violation {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Violation { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A rule that needs nothing but the files.
pub type Rule = fn(&Tree) -> Vec<Violation>;

/// The rules that need nothing but the files; [`graph::edges`] also needs cargo's metadata.
pub const RULES: [Rule; 17] = [
    book::includes,
    book::summary,
    manifests::inheritance,
    manifests::publishing,
    manifests::workspace_dependencies,
    markdown::links,
    markdown::machine_paths,
    pages::architecture,
    pages::changelog,
    pages::readmes,
    rust::core_names_no_method,
    rust::file_length,
    rust::no_catch_all_modules,
    rust::no_io,
    rust::no_loose_ends,
    rust::no_skipped_tests,
    rust::one_import_per_line,
];

/// All violations in the workspace at `root`, by path and line.
///
/// # Errors
/// When the files or cargo's metadata cannot be read.
pub fn tidy(root: &Path) -> Result<Vec<Violation>> {
    let tree = Tree::read(root)?;
    let packages = graph::packages(root)?;
    let mut violations = graph::edges(&tree, &packages);
    violations.extend(RULES.iter().flat_map(|rule| rule(&tree)));
    violations.sort();
    Ok(violations)
}

/// Prints every violation in this workspace.
///
/// # Errors
/// When there is one, or when the files cannot be read.
#[allow(clippy::print_stdout, reason = "the violations are the output of the command")]
pub fn run() -> Result<()> {
    let violations = tidy(crate::workspace_root())?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        1 => bail!("1 violation"),
        n => bail!("{n} violations"),
    }
}
