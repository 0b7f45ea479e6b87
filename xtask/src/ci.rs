//! `cargo xtask ci`: the five checks that a change must pass.

use anyhow::Result;

/// The optional features that need no library of the system: their tests run with the others.
pub const FEATURES: &str = "xai-anchors/image,xai-anchors/language-model,xai-anchors/text,xai-cli/gradients,\
                            xai-onnx/gradients,xai-shap/sparse,xai/alibi,xai/candle,xai/display,xai/image,xai/job,\
                            xai/language-model,xai/onnx,xai/text";

/// One check: a call of cargo.
pub struct Check {
    /// The arguments of cargo.
    pub arguments: &'static [&'static str],
    /// A variable for its environment.
    pub environment: Option<(&'static str, &'static str)>,
}

/// The checks, in the order in which they run; `.ci/run` runs the same.
pub const CHECKS: [Check; 5] = [
    Check { arguments: &["test", "--workspace", "--features", FEATURES], environment: None },
    Check { arguments: &["fmt", "--all", "--check"], environment: None },
    Check {
        arguments: &[
            "clippy",
            "--workspace",
            "--features",
            FEATURES,
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        environment: None,
    },
    Check {
        arguments: &["doc", "--workspace", "--features", FEATURES, "--no-deps"],
        environment: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
    Check { arguments: &["xtask", "tidy"], environment: None },
];

/// Runs the checks and stops at the first that fails.
///
/// # Errors
/// When a check fails or cannot start.
#[allow(clippy::print_stdout, reason = "the caller wants to see which check runs")]
pub fn run() -> Result<()> {
    for Check { arguments, environment } in CHECKS {
        println!("==> cargo {}", arguments.join(" "));
        crate::run(crate::cargo().args(arguments).envs(environment))?;
    }
    println!("all checks passed");
    Ok(())
}
