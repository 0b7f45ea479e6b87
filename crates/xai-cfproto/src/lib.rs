#![doc = "x"]

pub mod distance;
pub mod neighbors;
pub mod prototype;
pub mod scaling;
pub mod trust;
