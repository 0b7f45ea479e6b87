//! The tests of xai-core in one binary, which links the crate and its dependencies once.

mod attribution;
mod batched;
mod closure;
mod constraints;
mod decision;
mod discretizer;
mod explainer;
mod explanation;
mod figure;
mod gradient;
mod interval;
mod linalg;
mod params;
mod paths;
mod rng;
mod run;
mod serde_arrays;
mod tabular;
mod texts;
