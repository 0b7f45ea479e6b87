//! The pieces of one step of a first-order method: learning rates, momentum, proximal maps.

use xai_core::model::Row;

use crate::problem::Instance;

/// The learning rate of step `i` of `n`: `start * sqrt(1 - i / n)`, which ends at 0.
#[must_use]
pub fn polynomial_decay(start: f64, i: usize, n: usize) -> f64 {
    start * (1.0 - i as f64 / n as f64).max(0.0).sqrt()
}

/// The learning rate of step `i` of `n`: `start * (1 - i / n)`, which ends at 0.
#[must_use]
pub fn linear_decay(start: f64, i: usize, n: usize) -> f64 {
    start * (1.0 - i as f64 / n as f64).max(0.0)
}

/// The weight of the momentum after step `i`, counted from 0: `(i + 1) / (i + 4)`, that is 1/4, 2/5, 1/2, 4/7.
///
/// # Source
/// Beck and Teboulle 2009, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", with the
/// weights of Chambolle and Dossal 2015 for `a = 4`.
#[must_use]
pub fn momentum(i: usize) -> f64 {
    (i as f64 + 1.0) / (i as f64 + 4.0)
}

/// The soft threshold: `sign(value) * max(|value| - threshold, 0)`.
#[must_use]
pub fn shrink(value: f64, threshold: f64) -> f64 {
    value - value.clamp(-threshold, threshold)
}

/// The proximal map of `threshold * scale * |v - center|` over the box of an instance, in place: the deviation of `point`,
/// shape `(n_coordinates,)`, from the centre is shrunk, then cut to the box.
pub fn proximal(point: &mut Row, instance: &Instance, threshold: f64) {
    for (k, value) in point.iter_mut().enumerate() {
        let center = instance.center[k];
        let deviation = *value - center;
        let shrunk = shrink(deviation, threshold * instance.scale[k]);
        // What is not shrunk to nothing is shifted itself, so that the centre costs no digits.
        let moved = if shrunk == 0.0 { center } else { *value + (shrunk - deviation) };
        *value = moved.max(instance.lower[k]).min(instance.upper[k]);
    }
}
