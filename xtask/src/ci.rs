//! `cargo xtask ci`: the five checks that a change must pass.

use anyhow::Result;

/// One check: a call of cargo.
pub struct Check {
    /// The arguments of cargo.
    pub arguments: &'static [&'static str],
    /// A variable for its environment.
    pub environment: Option<(&'static str, &'static str)>,
}

/// The checks, in the order in which they run; `.ci/run` runs the same.
pub const CHECKS: [Check; 5] = [
    Check { arguments: &["test", "--workspace"], environment: None },
    Check { arguments: &["fmt", "--all", "--check"], environment: None },
    Check {
        arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        environment: None,
    },
    Check {
        arguments: &["doc", "--workspace", "--no-deps"],
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
