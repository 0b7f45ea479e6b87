//! The command, run as its users run it.

#![allow(
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "what is read from one file twice has the same bits, and a test fails where it cannot go on"
)]

mod anchors;
mod contrast;
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
#[cfg(feature = "gradients")]
mod white_box;
