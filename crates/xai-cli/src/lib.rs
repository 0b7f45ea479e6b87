#![doc = include_str!("../README.md")]

pub mod data;
pub mod demo;
pub mod explain;
pub mod failure;
pub mod guided;
mod images;
pub mod job;
pub mod method;
pub mod model;
pub mod output;
mod pixels;
pub mod progress;
pub mod schema;
pub mod selection;
pub mod table;
pub mod text;
mod texts;
mod vectoriser;
