//! Rules about the book.

use std::collections::BTreeSet;

use super::markdown::link_targets;
use super::tree::resolve;
use super::{Tree, Violation};

/// The folder of the book's pages.
const BOOK: &str = "docs/book/src/";

/// The summary lists every page, and no page that is empty or not there.
#[must_use]
pub fn summary(tree: &Tree) -> Vec<Violation> {
    let path = format!("{BOOK}SUMMARY.md");
    let Some(text) = tree.text(&path) else {
        return vec![Violation::new(path, 1, "the book has no summary")];
    };
    let mut violations = Vec::new();
    let mut listed = BTreeSet::from([path.clone()]);
    for (line, target) in link_targets(text) {
        let page = resolve(&path, &target).unwrap_or_default();
        let is_written = tree.text(&page).is_some_and(|text| !text.trim().is_empty());
        if !is_written {
            let message = format!("`{target}` is not a page with text in it");
            violations.push(Violation::new(&path, line, message));
        }
        listed.insert(page);
    }
    let pages = tree.texts("md").filter(|(page, _)| page.starts_with(BOOK));
    let unlisted = pages.filter(|(page, _)| !listed.contains(*page));
    violations.extend(unlisted.map(|(page, _)| Violation::new(page, 1, "not in SUMMARY.md")));
    violations
}

/// Every `{{#include file:anchor}}` names a file of the workspace and an anchor in it.
#[must_use]
pub fn includes(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (page, text) in tree.texts("md").filter(|(page, _)| page.starts_with(BOOK)) {
        for (line, content) in (1..).zip(text.lines()) {
            let Some((_, after)) = content.split_once("include ") else { continue };
            let Some((target, _)) = after.split_once("}}") else { continue };
            if !content.contains("{{#") || content.contains("\\{{#") {
                continue;
            }
            let (file, anchor) = target.trim().split_once(':').unwrap_or((target.trim(), ""));
            let found = resolve(page, file).filter(|file| tree.contains(file));
            let Some(found) = found else {
                violations.push(Violation::new(page, line, format!("`{file}` is not there")));
                continue;
            };
            let text = tree.text(&found).unwrap_or_default();
            let has_mark = |mark: &str| {
                text.lines().any(|line| {
                    line.split_once(mark).is_some_and(|(_, name)| name.trim() == anchor)
                })
            };
            let is_marked = ["ANCHOR: ", "ANCHOR_END: "].into_iter().all(has_mark);
            if !anchor.is_empty() && !is_marked {
                let message = format!("`{found}` has no anchor `{anchor}`");
                violations.push(Violation::new(page, line, message));
            }
        }
    }
    violations
}
