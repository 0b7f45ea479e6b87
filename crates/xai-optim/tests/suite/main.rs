//! The tests of xai-optim in one binary, which links the crate and its dependencies once.

mod loss;
mod search;
