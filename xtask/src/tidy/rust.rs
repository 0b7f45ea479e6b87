//! Rules about Rust sources.

use super::graph::{Kind, kind};
use super::source::{Part, only};
use super::{Tree, Violation};

/// The most lines of one source file.
const MAX_LINES: usize = 600;

/// Marks of work that is not done.
const LOOSE_ENDS: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Names that say nothing about what is inside.
const CATCH_ALL: [&str; 4] = ["common", "helpers", "misc", "utils"];

/// Ways to the outside world: files, network, environment, processes, terminal, clock.
const IO: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "Instant::now",
    "SystemTime",
];

/// Files that read what others may not: an adapter that lives in a method behind a feature reads the files that it is
/// for, and a budget with a deadline reads the clock.
const READERS: [&str; 2] =
    ["crates/xai-anchors/src/language_model/weights.rs", "crates/xai-core/src/budget.rs"];

/// A source file has at most 600 lines.
#[must_use]
pub fn file_length(tree: &Tree) -> Vec<Violation> {
    let lengths = sources(tree).map(|(path, text)| (path, text.lines().count()));
    lengths
        .filter(|&(_, n_lines)| MAX_LINES < n_lines)
        .map(|(path, n_lines)| {
            let message = format!("{n_lines} lines; split the file, {MAX_LINES} is the most");
            Violation::new(path, MAX_LINES + 1, message)
        })
        .collect()
}

/// Code and comments carry no mark of unfinished work: it is done, or it is an issue.
#[must_use]
pub fn no_loose_ends(tree: &Tree) -> Vec<Violation> {
    let wanted = [Part::Code, Part::Comment];
    find(sources(tree), &wanted, &LOOSE_ENDS, |word| format!("`{word}`: do it or open an issue"))
}

/// Tests are never skipped, and a test of a panic says what it expects by catching it.
#[must_use]
pub fn no_skipped_tests(tree: &Tree) -> Vec<Violation> {
    find(sources(tree), &[Part::Code], &["#[ignore", "#[should_panic"], |attribute| {
        format!("`{attribute}]`: tests run always, and failures are compared as values")
    })
}

/// No module is called by a name that says nothing.
#[must_use]
pub fn no_catch_all_modules(tree: &Tree) -> Vec<Violation> {
    let complain = |path: &str, line, name: &str| {
        Violation::new(path, line, format!("`{name}` says nothing about what is inside"))
    };
    let mut violations = Vec::new();
    for (path, text) in sources(tree) {
        let stem = path.trim_end_matches(".rs");
        let named = stem.split('/').find(|part| CATCH_ALL.contains(part));
        violations.extend(named.map(|name| complain(path, 1, name)));
        for (line, code) in (1..).zip(only(text, &[Part::Code]).lines()) {
            let words: Vec<&str> = code.split([' ', ';', '{']).collect();
            let inline = words.windows(2).find(|w| w[0] == "mod" && CATCH_ALL.contains(&w[1]));
            violations.extend(inline.map(|words| complain(path, line, words[1])));
        }
    }
    violations
}

/// The core's code names no method crate.
#[must_use]
pub fn core_names_no_method(tree: &Tree) -> Vec<Violation> {
    let methods = tree.crates().into_iter().filter(|name| kind(name) == Some(Kind::Method));
    let spellings = methods.flat_map(|name| [name.to_owned(), name.replace('-', "_")]);
    let spellings: Vec<String> = spellings.collect();
    let core = sources_of(tree, |kind| kind == Kind::Core);
    find(core, &[Part::Code, Part::Literal], &spellings, |name| {
        format!("`{name}`: the core knows no method")
    })
}

/// The core and the methods do no input or output and read no clock; the edges do.
#[must_use]
pub fn no_io(tree: &Tree) -> Vec<Violation> {
    let sources = sources_of(tree, |kind| matches!(kind, Kind::Core | Kind::Engine | Kind::Method));
    let pure = sources.filter(|(path, _)| !READERS.contains(path));
    find(pure, &[Part::Code], &IO, |call| format!("`{call}`: only the edges do IO or read clocks"))
}

/// The core and the methods import from `std` one path per line; [`no_io`] would not see `fs` in `std::{fmt, fs}`.
#[must_use]
pub fn one_import_per_line(tree: &Tree) -> Vec<Violation> {
    let pure = sources_of(tree, |kind| matches!(kind, Kind::Core | Kind::Engine | Kind::Method));
    find(pure, &[Part::Code], &["std::{"], |_| "write one `use std::...` line per path".to_owned())
}

/// The sources of the workspace.
fn sources(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let folders = ["crates/", "xtask/", "benches/"];
    tree.texts("rs").filter(move |(path, _)| folders.iter().any(|folder| path.starts_with(folder)))
}

/// The sources of the libraries of some kinds, without their tests, examples and benches.
fn sources_of(tree: &Tree, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = (&str, &str)> {
    sources(tree).filter(move |(path, _)| {
        let crate_path = path.strip_prefix("crates/").and_then(|path| path.split_once('/'));
        crate_path.is_some_and(|(name, inside)| {
            inside.starts_with("src/") && kind(name).is_some_and(&wanted)
        })
    })
}

/// Every line of the wanted parts that holds one of the words, as a whole word; one violation per line.
fn find<'t, W: AsRef<str>>(
    sources: impl Iterator<Item = (&'t str, &'t str)>,
    wanted: &[Part],
    words: &[W],
    message: impl Fn(&str) -> String,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in sources {
        for (line, part) in (1..).zip(only(text, wanted).lines()) {
            let word = words.iter().map(AsRef::as_ref).find(|word| has_word(part, word));
            violations.extend(word.map(|word| Violation::new(path, line, message(word))));
        }
    }
    violations
}

/// Whether `line` holds `word` with no letter, digit or underscore right before or after it.
fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = word.ends_with(is_word) && after.is_some_and(is_word);
        !goes_on && !before.is_some_and(is_word)
    })
}
