//! Rules about the pages that every crate and the workspace must have.

use std::collections::BTreeSet;

use super::graph::{Kind, kind};
use super::{Tree, Violation};

/// ARCHITECTURE.md has fewer lines than this.
const MAX_ARCHITECTURE: usize = 200;

/// How a crate makes its README its documentation.
const README_IS_DOC: &str = "#![doc = include_str!(\"../README.md\")]";

/// Every crate has a README that is its documentation; those of methods and adapters name their sources.
#[must_use]
pub fn readmes(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for name in tree.crates() {
        let path = format!("crates/{name}/README.md");
        let needs_source = matches!(kind(name), Some(Kind::Method | Kind::Adapter));
        match tree.text(&path) {
            None => violations.push(Violation::new(&path, 1, "the crate has no README")),
            Some(text) if needs_source && !text.lines().any(|line| line == "## Source") => {
                violations.push(Violation::new(&path, 1, "no section `## Source`"));
            }
            Some(_) => {}
        }
        let library = format!("crates/{name}/src/lib.rs");
        if tree.text(&library).is_some_and(|text| !text.lines().any(|line| line == README_IS_DOC)) {
            violations.push(Violation::new(library, 1, format!("`{README_IS_DOC}` is missing")));
        }
    }
    violations
}

/// ARCHITECTURE.md is short and names exactly the crates that exist, as `crates/NAME`.
#[must_use]
pub fn architecture(tree: &Tree) -> Vec<Violation> {
    let path = "ARCHITECTURE.md";
    let Some(text) = tree.text(path) else {
        return vec![Violation::new(path, 1, "the file is missing")];
    };
    let mut violations = Vec::new();
    let crates = tree.crates();
    let mut named = BTreeSet::new();
    for (line, content) in (1..).zip(text.lines()) {
        for (_, after) in
            content.match_indices("crates/").map(|(at, m)| content.split_at(at + m.len()))
        {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let name = &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())];
            if !name.is_empty() && !crates.contains(name) {
                let message = format!("`crates/{name}` does not exist");
                violations.push(Violation::new(path, line, message));
            }
            named.insert(name);
        }
    }
    let unnamed = crates.difference(&named);
    violations.extend(
        unnamed.map(|name| Violation::new(path, 1, format!("`crates/{name}` is not in the map"))),
    );
    let n_lines = text.lines().count();
    if MAX_ARCHITECTURE <= n_lines {
        let message = format!("{n_lines} lines; it must stay under {MAX_ARCHITECTURE}");
        violations.push(Violation::new(path, MAX_ARCHITECTURE, message));
    }
    violations
}

/// CHANGELOG.md says what is new since the last release.
#[must_use]
pub fn changelog(tree: &Tree) -> Vec<Violation> {
    let path = "CHANGELOG.md";
    let text = tree.text(path).unwrap_or_default();
    let Some(start) = text.lines().position(|line| line == "## [Unreleased]") else {
        return vec![Violation::new(path, 1, "no section `## [Unreleased]`")];
    };
    let section = text.lines().skip(start + 1).take_while(|line| !line.starts_with("## "));
    if section.into_iter().any(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        return Vec::new();
    }
    vec![Violation::new(path, start + 1, "the section `## [Unreleased]` is empty")]
}
