//! The crate graph: who may depend on whom.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Tree, Violation};

/// The place of a crate in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What all the others stand on.
    Core,
    /// What a family of methods shares.
    Engine,
    /// A tensor library as a model, behind which its types end.
    Backend,
    /// An explanation method.
    Method,
    /// Another way to a model, or from an explanation.
    Adapter,
    /// All methods and adapters behind one name.
    Facade,
    /// What users run.
    Edge,
    /// Help for tests.
    Testkit,
    /// Benches.
    Benches,
    /// Tasks of the workspace.
    Tasks,
}

/// The kind of each crate that the workspace has or plans to have; `None` for the others.
#[must_use]
pub fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "xai-core" => Kind::Core,
        "xai-optim" => Kind::Engine,
        "xai-candle" => Kind::Backend,
        "xai-anchors" | "xai-cem" | "xai-cfproto" | "xai-counterfactual" | "xai-gridcf"
        | "xai-intgrad" | "xai-shap" => Kind::Method,
        "xai-onnx" => Kind::Adapter,
        "xai" => Kind::Facade,
        "xai-cli" => Kind::Edge,
        "xai-testkit" => Kind::Testkit,
        "xai-benches" => Kind::Benches,
        "xtask" => Kind::Tasks,
        _ => return None,
    })
}

impl Kind {
    /// What a crate of this kind may depend on.
    fn dependencies(self) -> &'static [Kind] {
        match self {
            Kind::Core | Kind::Tasks => &[],
            Kind::Engine | Kind::Backend | Kind::Testkit => &[Kind::Core],
            Kind::Method => &[Kind::Core, Kind::Engine],
            Kind::Adapter => &[Kind::Core, Kind::Backend],
            Kind::Facade => &[Kind::Core, Kind::Backend, Kind::Method, Kind::Adapter],
            Kind::Edge => &[Kind::Core, Kind::Method, Kind::Adapter, Kind::Facade],
            Kind::Benches => &[
                Kind::Core,
                Kind::Backend,
                Kind::Method,
                Kind::Adapter,
                Kind::Facade,
                Kind::Edge,
                Kind::Testkit,
            ],
        }
    }

    /// What its tests may use beside that; the core's have no testkit, since the testkit stands on the core.
    fn dev_dependencies(self) -> &'static [Kind] {
        match self {
            Kind::Method => &[Kind::Testkit, Kind::Backend],
            Kind::Engine | Kind::Adapter | Kind::Facade | Kind::Edge => &[Kind::Testkit],
            _ => &[],
        }
    }

    fn is_unpublished(self) -> bool {
        matches!(self, Kind::Benches | Kind::Tasks)
    }
}

/// A package of the workspace, as cargo sees it.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest; relative to the root of the workspace once [`packages`] has read it.
    pub manifest_path: String,
    /// The registries it may go to: `None` for all, an empty list for `publish = false`.
    pub publish: Option<Vec<String>>,
    /// What it depends on, of whatever kind.
    pub dependencies: Vec<Dependency>,
}

/// A dependency of a package.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The name of the package it depends on.
    pub name: String,
    /// `dev`, `build`, or `None` for an ordinary one.
    pub kind: Option<String>,
}

/// The packages of the workspace at `root`.
///
/// # Errors
/// When cargo cannot read the manifests.
pub fn packages(root: &Path) -> Result<Vec<Package>> {
    /// What we read of `cargo metadata`.
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let mut command = crate::cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = command.current_dir(root).output().context("cannot start cargo metadata")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata failed: {complaint}");
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata wrote unknown JSON")?;
    let mut packages = metadata.packages;
    for package in &mut packages {
        let path = Path::new(&package.manifest_path);
        let relative = path.strip_prefix(root).context("a package lies outside the workspace")?;
        package.manifest_path = relative.to_string_lossy().replace('\\', "/");
    }
    Ok(packages)
}

/// Every package is known and depends only on what its kind allows.
#[must_use]
pub fn edges(tree: &Tree, packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let name = &package.name;
        let mut complain = |line, message| {
            violations.push(Violation::new(&package.manifest_path, line, message));
        };
        let Some(from) = kind(name) else {
            complain(
                1,
                format!("unknown crate `{name}`: add it to the table in xtask/src/tidy/graph.rs"),
            );
            continue;
        };
        if from.is_unpublished() && package.publish.as_ref().is_none_or(|to| !to.is_empty()) {
            complain(1, format!("`{name}` must say `publish = false`"));
        }
        for dependency in &package.dependencies {
            let is_member = packages.iter().any(|other| other.name == dependency.name);
            let (true, Some(to)) = (is_member, kind(&dependency.name)) else { continue };
            let for_tests =
                dependency.kind.as_deref() == Some("dev") && from.dev_dependencies().contains(&to);
            if !for_tests && !from.dependencies().contains(&to) {
                let section = match dependency.kind.as_deref() {
                    Some(kind) => format!("{kind}-dependency"),
                    None => "dependency".to_owned(),
                };
                let line = line_of(tree, package, &dependency.name);
                complain(
                    line,
                    format!("`{name}` must not have the {section} `{}`", dependency.name),
                );
            }
        }
    }
    violations
}

/// The line of the manifest that names the dependency, 1 when it is not found.
fn line_of(tree: &Tree, package: &Package, dependency: &str) -> usize {
    let text = tree.text(&package.manifest_path).unwrap_or_default();
    let names = |line: &str| {
        line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    text.lines().position(names).map_or(1, |at| at + 1)
}
