//! Adam, a first-order method whose steps do not depend on the size of the gradient.

use ndarray::Array1;
use xai_core::model::Row;

/// The state of Adam for one descent.
///
/// # Source
/// Kingma and Ba 2015, "Adam: a method for stochastic optimization", with beta1 0.9, beta2 0.999 and epsilon 1e-8 in the
/// form of its section 2: `x -= lr sqrt(1 - beta2^k) / (1 - beta1^k) * m / (sqrt(v) + epsilon)`.
#[derive(Clone, Debug)]
pub struct Adam {
    first: Array1<f64>,
    second: Array1<f64>,
    /// The decays to the power of the steps so far.
    powers: [f64; 2],
}

impl Adam {
    const DECAYS: [f64; 2] = [0.9, 0.999];
    const EPSILON: f64 = 1e-8;

    /// The state before the first step, for this many coordinates.
    #[must_use]
    pub fn new(n_coordinates: usize) -> Self {
        let zeros = || Array1::zeros(n_coordinates);
        Adam { first: zeros(), second: zeros(), powers: [1.0, 1.0] }
    }

    /// Moves `point` one step against `gradient`; both have shape `(n_coordinates,)`.
    pub fn step(&mut self, point: &mut Row, gradient: &Row, learning_rate: f64) {
        let [beta1, beta2] = Self::DECAYS;
        self.powers = [self.powers[0] * beta1, self.powers[1] * beta2];
        let rate = learning_rate * (1.0 - self.powers[1]).sqrt() / (1.0 - self.powers[0]);
        for (k, &slope) in gradient.iter().enumerate() {
            self.first[k] = beta1 * self.first[k] + (1.0 - beta1) * slope;
            self.second[k] = beta2 * self.second[k] + (1.0 - beta2) * slope * slope;
            point[k] -= rate * self.first[k] / (self.second[k].sqrt() + Self::EPSILON);
        }
    }
}
