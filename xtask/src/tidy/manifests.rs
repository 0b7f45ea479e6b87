//! Rules about the manifests of the members.

use super::{Tree, Violation};

/// What every member takes from the workspace, as section and key.
const INHERITED: [(&str, &str); 5] = [
    ("package", "version.workspace"),
    ("package", "edition.workspace"),
    ("package", "rust-version.workspace"),
    ("package", "license.workspace"),
    ("lints", "workspace"),
];

/// Every member has the version, edition, Rust version, license and lints of the workspace.
#[must_use]
pub fn inheritance(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in members(tree) {
        let entries = entries(text);
        for (section, key) in INHERITED {
            let is_it = |e: &Entry| e.section == section && e.key == key && e.value == "true";
            if !entries.iter().any(is_it) {
                let message = format!("`{key} = true` is missing under `[{section}]`");
                violations.push(Violation::new(path, 1, message));
            }
        }
    }
    violations
}

/// Every dependency of a member comes from the workspace, so that there is one version of each.
#[must_use]
pub fn workspace_dependencies(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in members(tree) {
        for Entry { section, key, value, line } in entries(text) {
            let complain = |what: &str| {
                Violation::new(path, line, format!("`{what}` must come from the workspace"))
            };
            if section.contains("dependencies.") {
                // A section of its own is one more form to know; a line in the table says the same.
                violations.push(complain(&section));
            } else if section.ends_with("dependencies") {
                let inherits = key.ends_with(".workspace") && value == "true"
                    || value.replace(' ', "").contains("workspace=true");
                if !inherits {
                    violations.push(complain(&key));
                }
            }
        }
    }
    violations.dedup_by(|second, first| second.message == first.message);
    violations
}

/// What a published crate says about itself in `[package]`, each key with a value or from the workspace.
const PUBLISHED: [&str; 5] = ["description", "repository", "keywords", "categories", "readme"];

/// The line that lets docs.rs show which feature an item needs.
const DOC_CFG: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]";

/// Every published crate has what crates.io and docs.rs show: its keys, the features that its pages are built with, and
/// marks on the items that need a feature.
#[must_use]
pub fn publishing(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in members(tree) {
        let entries = entries(text);
        let value = |section: &str, key: &str| {
            entries.iter().find(|e| e.section == section && e.key == key).map(|e| &*e.value)
        };
        if value("package", "publish") == Some("false") {
            continue;
        }
        let mut missing = |message: String| violations.push(Violation::new(path, 1, message));
        for key in PUBLISHED {
            let inherited = value("package", &format!("{key}.workspace")) == Some("true");
            if !inherited && value("package", key).is_none() {
                missing(format!("a published crate needs `{key}` under `[package]`"));
            }
        }
        let docs = "package.metadata.docs.rs";
        if value(docs, "all-features") != Some("true") && value(docs, "features").is_none() {
            missing(format!("`all-features = true` or `features` is missing under `[{docs}]`"));
        }
        if value(docs, "rustdoc-args") != Some("[\"--cfg\", \"docsrs\"]") {
            missing(format!(
                "`rustdoc-args = [\"--cfg\", \"docsrs\"]` is missing under `[{docs}]`"
            ));
        }
        let library = path.replace("Cargo.toml", "src/lib.rs");
        if tree.text(&library).is_some_and(|text| !text.lines().any(|line| line == DOC_CFG)) {
            violations.push(Violation::new(&library, 1, format!("`{DOC_CFG}` is missing")));
        }
    }
    violations
}

/// The manifests of the members.
fn members(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts("toml").filter(|(path, _)| path.ends_with("/Cargo.toml"))
}

/// A line `key = value` of a manifest.
struct Entry {
    section: String,
    key: String,
    value: String,
    line: usize,
}

/// The entries of a manifest; enough of TOML for manifests in their usual form.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut depth = 0;
    for (line, raw) in (1..).zip(text.lines()) {
        let content = before_comment(raw).trim();
        if depth == 0 && content.starts_with('[') {
            content.trim_matches(['[', ']']).clone_into(&mut section);
            continue;
        }
        if depth == 0 {
            let Some((key, value)) = content.split_once('=') else { continue };
            let (section, key) = (section.clone(), key.trim().to_owned());
            entries.push(Entry { section, key, value: value.trim().to_owned(), line });
        } else if let Some(entry) = entries.last_mut() {
            entry.value.push_str(content);
        }
        // Brackets inside strings come in pairs in a manifest.
        depth += content.matches(['[', '{']).count();
        depth = depth.saturating_sub(content.matches([']', '}']).count());
    }
    entries
}

/// The line up to a `#` that stands outside a string.
fn before_comment(line: &str) -> &str {
    let mut quotes = 0;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quotes += 1,
            '#' if quotes % 2 == 0 => return &line[..at],
            _ => {}
        }
    }
    line
}
