#![doc = include_str!("../README.md")]

pub mod demo;
pub mod explain;
pub mod failure;
pub mod output;
mod pictures;
pub mod progress;
pub mod schema;
