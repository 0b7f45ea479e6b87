//! The files of the workspace, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The extensions of the files whose text the rules read.
const TEXTS: [&str; 5] = ["rs", "md", "toml", "yml", "yaml"];

/// The hidden folders that are part of the workspace.
const HIDDEN: [&str; 3] = [".cargo", ".ci", ".github"];

/// The files of a workspace; paths are relative to its root, with `/` on every platform.
pub struct Tree {
    /// The text of each file that a rule reads, `None` for the others.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the files below `root`, without build outputs and hidden folders that are not ours.
    ///
    /// # Errors
    /// When a folder or a text file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Tree { files: BTreeMap::new() };
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let complaint = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(folder).with_context(complaint)? {
            let entry = entry.with_context(complaint)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type().with_context(complaint)?.is_dir() {
                let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
                if name != "target" && !hidden {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
                continue;
            }
            let is_text = TEXTS.iter().any(|extension| has_extension(&name, extension));
            let text = is_text
                .then(|| fs::read_to_string(entry.path()))
                .transpose()
                .with_context(|| format!("cannot read {path}"))?;
            self.files.insert(path, text);
        }
        Ok(())
    }

    /// The text files with this extension, as path and text, in the order of their paths.
    pub(super) fn texts(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(move |(path, text)| {
            has_extension(path, extension).then_some((path.as_str(), text.as_deref()?))
        })
    }

    /// The text of one file; `None` when there is no such text file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is such a file or folder.
    pub(super) fn contains(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path)
            || path.is_empty()
            || self.files.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below))
    }

    /// The names of the folders under `crates` that hold a manifest.
    pub(super) fn crates(&self) -> BTreeSet<&str> {
        let manifests = self.files.keys().filter_map(|path| path.strip_prefix("crates/"));
        manifests
            .filter_map(|path| path.strip_suffix("/Cargo.toml"))
            .filter(|name| !name.contains('/'))
            .collect()
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

/// The path that `target` means inside the file `from`; `None` when it leaves the workspace.
pub(super) fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}
