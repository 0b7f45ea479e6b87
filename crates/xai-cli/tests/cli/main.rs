//! The command, run as its users run it.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod anchors;
mod demo;
mod errors;
mod explain;
mod folder;
#[cfg(feature = "gradients")]
mod gradients;
mod grid;
mod images;
mod output;
mod schema;
mod texts;
