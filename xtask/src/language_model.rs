//! `cargo xtask train-language-model`: the small language model of the tests.

use anyhow::Result;

/// Trains the model again from its text, into the fixtures of `xai-anchors`.
///
/// # Errors
/// When the training fails.
pub fn run() -> Result<()> {
    let program = ["run", "-p", "xai-anchors", "--features", "language-model"];
    let folder = "crates/xai-anchors/tests/fixtures/language_model";
    let arguments =
        ["--example", "train_language_model", "--", &format!("{folder}/text.txt"), folder];
    crate::run(crate::cargo().args(program).args(arguments))
}
