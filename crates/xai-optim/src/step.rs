//! The pieces of one step of a first-order method: learning rates, momentum, proximal maps, Adam.

use ndarray::Array1;

use xai_core::model::Row;

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

/// The proximal map of `threshold * scale * |v - center|` over the box `[lower, upper]`, in place: the deviation from the
/// centre is shrunk, then cut to the box. All rows have shape `(n_coordinates,)`.
pub fn proximal(
    point: &mut Row,
    center: &Row,
    scale: &Row,
    threshold: f64,
    (lower, upper): (&Row, &Row),
) {
    for (k, value) in point.iter_mut().enumerate() {
        let deviation = *value - center[k];
        let shrunk = shrink(deviation, threshold * scale[k]);
        // What is not shrunk to nothing is shifted in its own numbers, so that the centre costs no digits.
        let moved = if shrunk == 0.0 { center[k] } else { *value + (shrunk - deviation) };
        *value = moved.max(lower[k]).min(upper[k]);
    }
}

/// The reference's shrinkage of a coordinate: an upward move is cut from above alone, a downward move from below alone,
/// so that a centre outside the range stays where it is.
#[must_use]
pub fn shrink_one_sided(value: f64, center: f64, threshold: f64, (min, max): (f64, f64)) -> f64 {
    let deviation = value - center;
    if threshold < deviation {
        (value - threshold).min(max)
    } else if deviation < -threshold {
        (value + threshold).max(min)
    } else {
        center
    }
}

/// The reference's projection of pertinent negatives: a value that is not farther from `nothing`, the value without
/// information, than the instance's `own` is put back to it.
#[must_use]
pub fn keep_away(value: f64, own: f64, nothing: f64) -> f64 {
    if (own - nothing).abs() < (value - nothing).abs() { value } else { own }
}

/// The reference's projection of pertinent positives: a value that is farther from `nothing` than the instance's `own`
/// is put back to it.
#[must_use]
pub fn keep_toward(value: f64, own: f64, nothing: f64) -> f64 {
    if (own - nothing).abs() < (value - nothing).abs() { own } else { value }
}

/// The state of Adam for one lane.
///
/// # Source
/// Kingma and Ba 2015, "Adam: a method for stochastic optimization", with beta1 0.9, beta2 0.999 and epsilon 1e-8 in the
/// form of its section 2: `x -= lr sqrt(1 - beta2^k) / (1 - beta1^k) * m / (sqrt(v) + epsilon)`.
#[derive(Clone, Debug)]
pub struct Adam {
    first: Array1<f64>,
    second: Array1<f64>,
    powers: (f64, f64),
}

impl Adam {
    const DECAYS: (f64, f64) = (0.9, 0.999);
    const EPSILON: f64 = 1e-8;

    /// The state before the first step, for this many coordinates.
    #[must_use]
    pub fn new(n_coordinates: usize) -> Self {
        let zeros = || Array1::zeros(n_coordinates);
        Adam { first: zeros(), second: zeros(), powers: (1.0, 1.0) }
    }

    /// Moves `point` one step against `gradient`; both have shape `(n_coordinates,)`.
    pub fn step(&mut self, point: &mut Row, gradient: &Row, learning_rate: f64) {
        let (beta1, beta2) = Self::DECAYS;
        self.powers = (self.powers.0 * beta1, self.powers.1 * beta2);
        let rate = learning_rate * (1.0 - self.powers.1).sqrt() / (1.0 - self.powers.0);
        for (k, &slope) in gradient.iter().enumerate() {
            self.first[k] = beta1 * self.first[k] + (1.0 - beta1) * slope;
            self.second[k] = beta2 * self.second[k] + (1.0 - beta2) * slope * slope;
            point[k] -= rate * self.first[k] / (self.second[k].sqrt() + Self::EPSILON);
        }
    }
}
