//! The tests of xai-candle in one binary, which links the crate and its dependencies once.

mod device;
mod layers;
mod model;
mod networks;
