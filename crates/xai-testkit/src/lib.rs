#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod conformance;
pub mod digits;
pub mod models;
pub mod network;
pub mod probe;
pub mod reference;

pub use conformance::{Suite, SuiteInput, refused};
pub use digits::{Convolutional, Digits};
pub use models::{Elementwise, Linear, Logistic};
pub use network::{Fixture, Network};
pub use probe::{Fault, Probe, ProbeBatch, TextProbe};
pub use reference::{KernelShapCase, reference};
