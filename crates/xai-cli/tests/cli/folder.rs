//! A folder of its own for each test, and the command run inside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use xai::core::Explanation;
use xai::shap::KernelShapData;

pub(crate) const IRIS_MODEL: &[u8] = include_bytes!("../fixtures/iris_mlp.onnx");
pub(crate) const IRIS_TRAIN: &str = include_str!("../fixtures/iris_train.csv");
pub(crate) const IRIS_INPUT: &str = include_str!("../fixtures/iris_input.csv");

/// A job on the iris files.
pub(crate) const IRIS_JOB: &str = r#"method = "kernel-shap"
[model]
path = "iris_mlp.onnx"
[data]
train = "train.csv"
input = "input.csv"
target = "target"
"#;

/// A folder that goes away with the test.
pub(crate) struct Folder(TempDir);

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    /// A folder with `job.toml` and the files it names.
    pub(crate) fn iris() -> Self {
        let folder = Folder::new();
        folder.write("job.toml", IRIS_JOB);
        folder.write("iris_mlp.onnx", IRIS_MODEL);
        folder.write("train.csv", IRIS_TRAIN);
        folder.write("input.csv", IRIS_INPUT);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(self.0.path(), arguments)
    }

    pub(crate) fn xai(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// RunConfig the command, which must succeed and have nothing to complain about, and returns its standard output.
    #[track_caller]
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let Ran { code, stdout, stderr } = self.xai(arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        stdout
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xai"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

/// The explanations of JSON lines.
#[track_caller]
pub(crate) fn lines(text: &str) -> Vec<Explanation<KernelShapData>> {
    text.lines().map(|line| Explanation::from_json(line).unwrap()).collect()
}

/// The lines of a table, header first.
pub(crate) fn table_of(header: &str, rows: &[&str]) -> String {
    std::iter::once(header).chain(rows.iter().copied()).map(|row| format!("{row}\n")).collect()
}
