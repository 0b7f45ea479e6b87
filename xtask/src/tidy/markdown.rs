//! Rules about Markdown files.

use super::tree::resolve;
use super::{Tree, Violation};

/// Folders of one machine.
const MACHINE_FOLDERS: [&str; 3] = ["/home/", "/tmp/", "/work/"];

/// Every relative link leads to a file of the workspace, and every anchor to a heading.
#[must_use]
pub fn links(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in tree.texts("md") {
        for (line, target) in link_targets(text) {
            // `mailto:` and `https:` are elsewhere; `crate::Item` is rustdoc's to check.
            if target.is_empty() || target.contains(':') {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
            let file = if file.is_empty() { Some(path.to_owned()) } else { resolve(path, file) };
            let Some(file) = file.filter(|file| tree.contains(file)) else {
                violations.push(Violation::new(path, line, format!("`{target}` leads nowhere")));
                continue;
            };
            let has_anchor = |text| headings(text).any(|heading| slug(heading) == anchor);
            if !anchor.is_empty() && tree.text(&file).is_some_and(|text| !has_anchor(text)) {
                let message = format!("`{file}` has no heading for `#{anchor}`");
                violations.push(Violation::new(path, line, message));
            }
        }
    }
    violations
}

/// No document or configuration names a folder of one machine.
#[must_use]
pub fn machine_paths(tree: &Tree) -> Vec<Violation> {
    let files =
        ["md", "toml", "yml", "yaml"].into_iter().flat_map(|extension| tree.texts(extension));
    let mut violations = Vec::new();
    for (path, text) in files {
        for (line, content) in (1..).zip(text.lines()) {
            let folder = MACHINE_FOLDERS.iter().find(|folder| starts_a_path(content, folder));
            violations.extend(folder.map(|folder| {
                Violation::new(path, line, format!("`{folder}` is a folder of one machine"))
            }));
        }
    }
    violations
}

/// Whether the folder is in the line at the start of a path, not inside an address or a longer path.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-/~*}".contains(c))
    })
}

/// The targets of the links of a text with their lines, `[text](target)` and `[label]: target`; code is left out.
pub(super) fn link_targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    for (line, content) in outside_fences(text) {
        let prose = without_code(content);
        let inline = prose.match_indices("](").map(|(at, opening)| {
            let after = &prose[at + opening.len()..];
            &after[..closing_parenthesis(after)]
        });
        let defined = prose.starts_with('[').then(|| prose.split_once("]: ")).flatten();
        let found = inline.chain(defined.map(|(_, target)| target));
        targets.extend(found.map(|target| {
            // A title may follow the target.
            let target = target.split_whitespace().next().unwrap_or_default();
            (line, target.trim_matches(['<', '>']).to_owned())
        }));
    }
    targets
}

/// Where the parenthesis closes that was open before the text.
fn closing_parenthesis(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The lines outside fenced code, with their numbers.
fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let line = line.trim_start();
        let opening = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, opening) {
            (None, Some(_)) => fence = opening,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return true,
            _ => {}
        }
        false
    })
}

/// The line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The texts of the headings.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    outside_fences(text).filter_map(|(_, line)| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.strip_prefix(' ')).flatten()
    })
}

/// The anchor that renderers give to a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}
