//! Numbers about numbers.

use serde::{Deserialize, Serialize};

/// The middle of some numbers and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The median; of an even number the mean of the middle two.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one number; `None` of none.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread { median: f64::midpoint(below, above), min, max })
    }
}

/// The mean; NaN of no number.
#[must_use]
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The geometric mean of positive numbers; NaN of no number.
#[must_use]
pub fn geometric_mean(numbers: &[f64]) -> f64 {
    let logarithms: Vec<f64> = numbers.iter().map(|number| number.ln()).collect();
    mean(&logarithms).exp()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers and powers of two are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 8.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 3.0, min: 1.0, max: 8.0 }));
        assert_eq!(Spread::of([5.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn means() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        let geometric = geometric_mean(&[1.0, 4.0, 16.0]);
        assert!((geometric - 4.0).abs() < 8.0 * f64::EPSILON * 4.0, "{geometric}");
        assert!(geometric_mean(&[]).is_nan());
    }
}
