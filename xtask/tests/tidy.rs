//! The workspace is tidy, and every rule of tidy can fail.

use std::fs;

use xtask::tidy::graph::{Dependency, Package};
use xtask::tidy::{Rule, Tree, Violation, book, graph, manifests, markdown, pages, rust};
use xtask::{ci, features, workspace_root};

#[test]
fn workspace_is_tidy() {
    let violations = xtask::tidy::tidy(workspace_root()).unwrap();
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

#[test]
fn ci_script_runs_every_check() {
    let script = fs::read_to_string(workspace_root().join(".ci/run")).unwrap();
    let script = script.replace(" --locked", "").replace("\"$features\"", ci::FEATURES);
    assert!(script.contains(&format!("\nfeatures={}\n", ci::FEATURES)));
    for check in ci::CHECKS {
        let command = format!("cargo {}", check.arguments.join(" "));
        assert!(script.contains(&command), "`.ci/run` lacks `{command}`");
    }
}

#[test]
fn the_workflow_runs_what_the_task_runs() {
    let workflow = workspace_root().join(".github/workflows/ci.yml");
    let workflow = fs::read_to_string(workflow).unwrap();
    let words = workflow.split_whitespace().collect::<Vec<_>>().join(" ");
    for call in features::calls() {
        let command = format!("cargo {}", call.join(" "));
        assert!(words.contains(&command), "ci.yml lacks `{command}`");
    }
    assert!(words.contains(&format!("FEATURES: {}", ci::FEATURES)));
}

/// A tree that was written to a folder and read back.
fn tree(files: &[(&str, &str)]) -> Tree {
    let root = tempfile::tempdir().expect("a folder for the tree");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a new folder");
        fs::write(path, text).expect("a new file");
    }
    Tree::read(root.path()).expect("a readable tree")
}

/// Checks what a rule says about a tree, one violation per line.
#[track_caller]
fn check(rule: Rule, files: &[(&str, &str)], expected: &str) {
    assert_eq!(lines(&rule(&tree(files))), expected);
}

fn lines(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("\n")
}

/// Checks what the rule about the graph says; dependencies are pairs of kind and name, the empty kind is ordinary.
#[track_caller]
fn check_edges(name: &str, dependencies: &[(&str, &str)], expected: &str) {
    let package = |name: &str| Package {
        name: name.to_owned(),
        manifest_path: format!("crates/{name}/Cargo.toml"),
        publish: matches!(name, "xai-benches" | "xtask").then(Vec::new),
        dependencies: Vec::new(),
    };
    let all = [
        "xai-core",
        "xai-optim",
        "xai-candle",
        "xai-shap",
        "xai-cem",
        "xai-onnx",
        "xai",
        "xai-testkit",
        "xai-cli",
    ];
    let mut packages: Vec<Package> =
        all.into_iter().filter(|&other| other != name).map(package).collect();
    let dependency = |&(kind, name): &(&str, &str)| Dependency {
        name: name.to_owned(),
        kind: (!kind.is_empty()).then(|| kind.to_owned()),
    };
    let dependencies = dependencies.iter().map(dependency).collect();
    packages.push(Package { dependencies, ..package(name) });
    let manifest = "[package]\n\n[dependencies]\nxai-core.workspace = true\n";
    let tree = tree(&[("crates/xai-shap/Cargo.toml", manifest)]);
    assert_eq!(lines(&graph::edges(&tree, &packages)), expected);
}

#[test]
fn dependencies_point_to_the_core() {
    check_edges("xai-core", &[("", "ndarray")], "");
    check_edges("xai-shap", &[("", "xai-core"), ("", "serde"), ("dev", "xai-testkit")], "");
    check_edges("xai-onnx", &[("", "xai-core"), ("dev", "xai-testkit")], "");
    check_edges("xai-testkit", &[("", "xai-core")], "");
    check_edges("xai-optim", &[("", "xai-core"), ("dev", "xai-testkit")], "");
    check_edges("xai-cem", &[("", "xai-core"), ("", "xai-optim"), ("dev", "xai-candle")], "");
    check_edges("xai-onnx", &[("", "xai-candle")], "");
    check_edges("xai", &[("", "xai-core"), ("", "xai-shap"), ("", "xai-candle")], "");
    check_edges("xai-cli", &[("", "xai-core"), ("", "xai-shap"), ("", "xai-onnx")], "");
    check_edges("xai-benches", &[("", "xai-shap"), ("", "xai-testkit")], "");
    check_edges("xtask", &[("", "clap")], "");

    let refused = |name: &str, dependency: &str| {
        format!("crates/{name}/Cargo.toml:1: `{name}` must not have the {dependency}")
    };
    for (name, kind, to, expected) in [
        ("xai-core", "", "xai-shap", "dependency `xai-shap`"),
        ("xai-core", "dev", "xai-testkit", "dev-dependency `xai-testkit`"),
        ("xai-shap", "", "xai-cem", "dependency `xai-cem`"),
        ("xai-shap", "dev", "xai-cem", "dev-dependency `xai-cem`"),
        ("xai-shap", "build", "xai-onnx", "build-dependency `xai-onnx`"),
        ("xai-shap", "", "xai-candle", "dependency `xai-candle`"),
        ("xai-optim", "", "xai-cem", "dependency `xai-cem`"),
        ("xai-candle", "", "xai-optim", "dependency `xai-optim`"),
        ("xai", "", "xai-cli", "dependency `xai-cli`"),
        ("xai-shap", "", "xai-testkit", "dependency `xai-testkit`"),
        ("xai-onnx", "", "xai-shap", "dependency `xai-shap`"),
        ("xai-testkit", "", "xai-shap", "dependency `xai-shap`"),
        ("xai-cli", "", "xai-testkit", "dependency `xai-testkit`"),
        ("xtask", "", "xai-core", "dependency `xai-core`"),
    ] {
        check_edges(name, &[(kind, to)], &refused(name, expected));
    }
}

#[test]
fn edges_are_reported_where_they_stand() {
    let package = |name: &str, to: &[&str]| Package {
        name: name.to_owned(),
        manifest_path: format!("crates/{name}/Cargo.toml"),
        publish: None,
        dependencies: to.iter().map(|&to| Dependency { name: to.to_owned(), kind: None }).collect(),
    };
    let packages = [package("xai-cem", &[]), package("xai-shap", &["xai-cem"])];
    let tree = tree(&[("crates/xai-shap/Cargo.toml", "[dependencies]\nxai-cem.workspace = true")]);
    let expected =
        "crates/xai-shap/Cargo.toml:2: `xai-shap` must not have the dependency `xai-cem`";
    assert_eq!(lines(&graph::edges(&tree, &packages)), expected);
}

#[test]
fn crates_are_in_the_table() {
    let unknown = "crates/xai-new/Cargo.toml:1: unknown crate `xai-new`: add it to the table in xtask/src/tidy/graph.rs";
    check_edges("xai-new", &[], unknown);
}

#[test]
fn benches_are_not_published() {
    let package = |publish| Package {
        name: "xai-benches".to_owned(),
        manifest_path: "benches/Cargo.toml".to_owned(),
        publish,
        dependencies: Vec::new(),
    };
    let refused = "benches/Cargo.toml:1: `xai-benches` must say `publish = false`";
    for (publish, expected) in [(Some(vec![]), ""), (None, refused)] {
        assert_eq!(lines(&graph::edges(&tree(&[]), &[package(publish)])), expected);
    }
}

const MANIFEST: &str = "[package]
name = \"x\"
version.workspace = true # the same for all
edition.workspace = true
rust-version.workspace = true
license.workspace = true

[dependencies]
serde.workspace = true
ndarray = { workspace = true, features = [
    \"serde\",
] }

[lints]
workspace = true
";

#[test]
fn members_inherit_from_the_workspace() {
    check(manifests::inheritance, &[("Cargo.toml", ""), ("benches/Cargo.toml", MANIFEST)], "");
    let broken = MANIFEST.replace("edition.workspace = true", "edition = \"2021\"");
    let missing = "benches/Cargo.toml:1: `edition.workspace = true` is missing under `[package]`";
    check(manifests::inheritance, &[("benches/Cargo.toml", &broken)], missing);
    let broken = MANIFEST.replace("[lints]", "[features]");
    let missing = "benches/Cargo.toml:1: `workspace = true` is missing under `[lints]`";
    check(manifests::inheritance, &[("benches/Cargo.toml", &broken)], missing);
}

#[test]
fn published_crates_say_what_registries_show() {
    let manifest = "[package]\nname = \"x\"\ndescription = \"y\"\nrepository.workspace = true\n\
                    keywords = [\"z\"]\ncategories.workspace = true\nreadme = \"README.md\"\n\n\
                    [package.metadata.docs.rs]\nall-features = true\n\
                    rustdoc-args = [\"--cfg\", \"docsrs\"]\n";
    let library = "#![cfg_attr(docsrs, feature(doc_cfg))]\n";
    let check_crate = |manifest: &str, library: &str, expected: &str| {
        let files = [("crates/x/Cargo.toml", manifest), ("crates/x/src/lib.rs", library)];
        check(manifests::publishing, &files, expected);
    };
    check_crate(manifest, library, "");
    let some = manifest.replace("all-features = true", "features = [\"rayon\"]");
    check_crate(&some, library, "");
    check_crate("[package]\npublish = false\n", "", "");
    let place = "crates/x/Cargo.toml:1:";
    for (line, complaint) in [
        ("keywords = [\"z\"]\n", "a published crate needs `keywords` under `[package]`"),
        ("repository.workspace = true\n", "a published crate needs `repository` under `[package]`"),
        (
            "all-features = true\n",
            "`all-features = true` or `features` is missing under `[package.metadata.docs.rs]`",
        ),
        (
            "rustdoc-args = [\"--cfg\", \"docsrs\"]\n",
            "`rustdoc-args = [\"--cfg\", \"docsrs\"]` is missing under `[package.metadata.docs.rs]`",
        ),
    ] {
        check_crate(&manifest.replace(line, ""), library, &format!("{place} {complaint}"));
    }
    let missing = "crates/x/src/lib.rs:1: `#![cfg_attr(docsrs, feature(doc_cfg))]` is missing";
    check_crate(manifest, "mod a;\n", missing);
}

#[test]
fn dependencies_come_from_the_workspace() {
    check(manifests::workspace_dependencies, &[("xtask/Cargo.toml", MANIFEST)], "");
    for (line, what) in [
        ("serde = \"1\"", "serde"),
        ("serde = { version = \"1\", features = [\"derive\"] }", "serde"),
        ("[dev-dependencies]\nserde = \"1\"", "serde"),
        ("[target.'cfg(unix)'.dependencies]\nserde = \"1\"", "serde"),
        ("[dependencies.serde]\nversion = \"1\"", "dependencies.serde"),
    ] {
        let broken = MANIFEST.replace("serde.workspace = true", line);
        let at = 9 + line.matches('\n').count();
        let expected = format!("xtask/Cargo.toml:{at}: `{what}` must come from the workspace");
        check(manifests::workspace_dependencies, &[("xtask/Cargo.toml", &broken)], &expected);
    }
}

#[test]
fn links_lead_somewhere() {
    let pages = [("docs/b.md", "# Two `words`!\n"), ("docs/a.md", "[up](../README.md)")];
    let good = "[x](https://x.org/y) [b](docs/b.md#two-words) [d](docs) [i](crate::Item)\n
```text\n[x](nowhere)\n```\n`[x](nowhere)` [self](#top) ![(p)](docs/b.md \"title\")\n\n[label]: docs/a.md\n# Top\n";
    check(markdown::links, &[pages[0], pages[1], ("README.md", good)], "");
    for (link, expected) in [
        ("[x](nowhere.md)", "`nowhere.md` leads nowhere"),
        ("[x](../outside.md)", "`../outside.md` leads nowhere"),
        ("[label]: nowhere.md", "`nowhere.md` leads nowhere"),
        ("[x](docs/b.md#three)", "`docs/b.md` has no heading for `#three`"),
        ("[x](#bottom)", "`README.md` has no heading for `#bottom`"),
    ] {
        let text = format!("# Top\n{link}\n");
        let files = [pages[0], ("README.md", &text)];
        check(markdown::links, &files, &format!("README.md:2: {expected}"));
    }
}

#[test]
fn documents_name_no_folder_of_one_machine() {
    let good = "see https://x.org/home/page, ~/work/x and target/tmp/x";
    check(markdown::machine_paths, &[("a.md", good), ("b.rs", "\"/tmp/x\"")], "");
    for path in ["a.md", "b/c.toml", ".github/d.yml"] {
        let expected = format!("{path}:2: `/home/` is a folder of one machine");
        check(markdown::machine_paths, &[(path, "x\ndir = \"/home/me\"\n")], &expected);
    }
}

#[test]
fn book_lists_its_pages() {
    let page = ("docs/book/src/a.md", "# A");
    check(book::summary, &[page, ("docs/book/src/SUMMARY.md", "- [A](a.md)")], "");
    check(book::summary, &[page], "docs/book/src/SUMMARY.md:1: the book has no summary");
    let broken = "- [A](a.md)\n- [B](b.md)\n- [C](c.md)\n- [D]()";
    let files = [
        page,
        ("docs/book/src/SUMMARY.md", broken),
        ("docs/book/src/c.md", "\n"),
        ("docs/book/src/e.md", "# E"),
    ];
    let expected = "docs/book/src/SUMMARY.md:2: `b.md` is not a page with text in it
docs/book/src/SUMMARY.md:3: `c.md` is not a page with text in it
docs/book/src/SUMMARY.md:4: `` is not a page with text in it
docs/book/src/e.md:1: not in SUMMARY.md";
    check(book::summary, &files, expected);
}

#[test]
fn book_includes_code_that_is_there() {
    let code = ("examples/a.rs", "// ANCHOR: fit\nfit();\n// ANCHOR_END: fit\n// ANCHOR: open\n");
    for (include, expected) in [
        ("{{#include ../../../examples/a.rs:fit}}", ""),
        ("{{#rustdoc_include ../../../examples/a.rs}}", ""),
        ("these pages include {{ braces }}", ""),
        ("\\{{#include nowhere.rs}}", ""),
        ("{{#include nowhere.rs:fit}}", "`nowhere.rs` is not there"),
        ("{{#include ../../../examples/a.rs:fi}}", "`examples/a.rs` has no anchor `fi`"),
        ("{{#include ../../../examples/a.rs:open}}", "`examples/a.rs` has no anchor `open`"),
        ("{{#include ../../../examples/a.rs:1:2}}", "`examples/a.rs` has no anchor `1:2`"),
    ] {
        let page = format!("```rust\n{include}\n```");
        let expected = match expected {
            "" => String::new(),
            message => format!("docs/book/src/a.md:2: {message}"),
        };
        check(book::includes, &[code, ("docs/book/src/a.md", &page)], &expected);
    }
}

const README_IS_DOC: &str = "#![doc = include_str!(\"../README.md\")]\n";

#[test]
fn crates_have_readmes() {
    let shap = [("crates/xai-shap/Cargo.toml", ""), ("crates/xai-shap/src/lib.rs", README_IS_DOC)];
    let cli = [("crates/xai-cli/Cargo.toml", ""), ("crates/xai-cli/README.md", "# The command")];
    let readme = ("crates/xai-shap/README.md", "# Shapley values\n\n## Source\n");
    check(pages::readmes, &[shap[0], shap[1], readme, cli[0], cli[1]], "");
    check(pages::readmes, &shap, "crates/xai-shap/README.md:1: the crate has no README");
    let short = ("crates/xai-shap/README.md", "# Shapley values\n");
    let expected = "crates/xai-shap/README.md:1: no section `## Source`";
    check(pages::readmes, &[shap[0], shap[1], short], expected);
    let bare = ("crates/xai-shap/src/lib.rs", "//! Shapley values.\n");
    let expected = format!("crates/xai-shap/src/lib.rs:1: `{}` is missing", README_IS_DOC.trim());
    check(pages::readmes, &[shap[0], bare, readme], &expected);
}

#[test]
fn architecture_names_the_crates() {
    let crates = [("crates/xai-core/Cargo.toml", ""), ("crates/xai-shap/Cargo.toml", "")];
    let good = "`crates/xai-core`, [shap](crates/xai-shap/README.md), `crates/*`";
    check(pages::architecture, &[crates[0], crates[1], ("ARCHITECTURE.md", good)], "");
    check(pages::architecture, &crates, "ARCHITECTURE.md:1: the file is missing");
    let expected = "ARCHITECTURE.md:2: `crates/xai-cem` does not exist
ARCHITECTURE.md:1: `crates/xai-shap` is not in the map";
    let broken = "`crates/xai-core`\n`crates/xai-cem`";
    check(pages::architecture, &[crates[0], crates[1], ("ARCHITECTURE.md", broken)], expected);
    let long = good.to_owned() + &"\n".repeat(200);
    let expected = "ARCHITECTURE.md:200: 200 lines; it must stay under 200";
    check(pages::architecture, &[crates[0], crates[1], ("ARCHITECTURE.md", &long)], expected);
}

#[test]
fn changelog_has_news() {
    let released = "\n## [0.1.0]\n- Old.\n";
    for (section, expected) in [
        ("## [Unreleased]\n\n### Added\n- New.\n", ""),
        ("## [Unreleased]\n\n### Added\n", "2: the section `## [Unreleased]` is empty"),
        ("", "1: no section `## [Unreleased]`"),
    ] {
        let text = format!("# Changelog\n{section}{released}");
        let expected = match expected {
            "" => String::new(),
            message => format!("CHANGELOG.md:{message}"),
        };
        check(pages::changelog, &[("CHANGELOG.md", &text)], &expected);
    }
}

#[test]
fn files_are_short() {
    let [good, bad] = [600, 601].map(|n_lines| "\n".repeat(n_lines));
    check(rust::file_length, &[("crates/x/src/a.rs", &good)], "");
    let expected = "benches/a.rs:601: 601 lines; split the file, 600 is the most";
    check(rust::file_length, &[("benches/a.rs", &bad)], expected);
}

/// Checks a rule about lines on one line of the core, at the core's and at the command's place.
#[track_caller]
fn check_core(rule: Rule, line: &str, complaint: &str) {
    let text = format!("//! Core.\n{line}\n");
    let method = ("crates/xai-shap/Cargo.toml", "");
    let expected = match complaint {
        "" => String::new(),
        message => format!("crates/xai-core/src/a.rs:2: {message}"),
    };
    check(rule, &[method, ("crates/xai-core/src/a.rs", &text)], &expected);
    check(rule, &[method, ("crates/xai-cli/src/a.rs", &text)], "");
}

#[test]
fn core_knows_no_method() {
    check_core(rust::core_names_no_method, "// As in xai-shap.", "");
    let refused = "`xai_shap`: the core knows no method";
    check_core(rust::core_names_no_method, "use xai_shap::KernelShap;", refused);
    let refused = "`xai-shap`: the core knows no method";
    check_core(rust::core_names_no_method, "const NAME: &str = \"xai-shap\";", refused);
}

#[test]
fn only_the_edges_do_io() {
    check_core(rust::no_io, "/// let now = Instant::now();", "");
    check_core(rust::no_io, "env!(\"std::fs\")", "");
    for (line, call) in [
        ("use std::fs::File;", "std::fs"),
        ("std::net::lookup()", "std::net"),
        ("std::env::var(name)", "std::env"),
        ("std::process::exit(1)", "std::process"),
        ("println!(\"x\")", "println!"),
        ("std::eprintln!(\"x\")", "eprintln!"),
        ("eprint!(\"x\")", "eprint!"),
        ("let start = Instant::now();", "Instant::now"),
        ("use std::time::SystemTime;", "SystemTime"),
    ] {
        let refused = format!("`{call}`: only the edges do IO or read clocks");
        check_core(rust::no_io, line, &refused);
    }
}

/// The loader of language models is an adapter, though it lives in a method.
#[test]
fn a_named_adapter_reads_its_files() {
    let text = "use std::fs::File;\n";
    let path = "crates/xai-anchors/src/language_model/";
    check(rust::no_io, &[(&format!("{path}weights.rs"), text)], "");
    let refused = format!("{path}words.rs:1: `std::fs`: only the edges do IO or read clocks");
    check(rust::no_io, &[(&format!("{path}words.rs"), text)], &refused);
}

#[test]
fn imports_stand_apart() {
    check_core(rust::one_import_per_line, "use std::fmt;", "");
    let refused = "write one `use std::...` line per path";
    check_core(rust::one_import_per_line, "use std::{fmt, fs};", refused);
}

/// Checks a rule about the lines of all sources on one line.
#[track_caller]
fn check_line(rule: Rule, line: &str, complaint: &str) {
    let text = format!("//! Core.\n{line}\n");
    let expected = match complaint {
        "" => String::new(),
        message => format!("xtask/src/a.rs:2: {message}"),
    };
    check(rule, &[("xtask/src/a.rs", &text)], &expected);
}

#[test]
fn work_is_finished() {
    check_line(rust::no_loose_ends, "const TODOS: &str = \"TODO\";", "");
    for word in ["TODO", "FIXME", "XXX"] {
        let refused = format!("`{word}`: do it or open an issue");
        check_line(rust::no_loose_ends, &format!("let x = 1; // {word}: more"), &refused);
    }
}

#[test]
fn tests_always_run() {
    check_line(rust::no_skipped_tests, "// #[ignore]", "");
    for (line, attribute) in [
        ("#[ignore]", "ignore"),
        ("#[ignore = \"slow\"]", "ignore"),
        ("#[should_panic(expected = \"x\")]", "should_panic"),
    ] {
        let why = "tests run always, and failures are compared as values";
        check_line(rust::no_skipped_tests, line, &format!("`#[{attribute}]`: {why}"));
    }
}

#[test]
fn modules_have_names() {
    check_line(rust::no_catch_all_modules, "mod helpers_of_state;", "");
    for line in ["mod helpers;", "pub(crate) mod helpers {"] {
        let refused = "`helpers` says nothing about what is inside";
        check_line(rust::no_catch_all_modules, line, refused);
    }
    let expected = "crates/x/tests/common/mod.rs:1: `common` says nothing about what is inside";
    check(rust::no_catch_all_modules, &[("crates/x/tests/common/mod.rs", "")], expected);
}
