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

/// `||found - truth||^2 / ||truth||^2` over all outputs and players of one instance.
#[must_use]
pub fn relative_squared_error(found: &[Vec<f64>], truth: &[Vec<f64>]) -> f64 {
    let pairs = || found.iter().flatten().zip(truth.iter().flatten());
    let distance: f64 = pairs().map(|(found, truth)| (found - truth).powi(2)).sum();
    distance / pairs().map(|(_, truth)| truth.powi(2)).sum::<f64>()
}

/// The largest distance between a prediction and the sum of its expected value and its values.
#[must_use]
pub fn largest_gap(
    values: &[Vec<Vec<f64>>],
    expected_values: &[Vec<f64>],
    predictions: &[Vec<f64>],
) -> f64 {
    let mut largest = 0.0_f64;
    for ((values, expected), predictions) in values.iter().zip(expected_values).zip(predictions) {
        for ((values, expected), prediction) in values.iter().zip(expected).zip(predictions) {
            largest = largest.max((expected + values.iter().sum::<f64>() - prediction).abs());
        }
    }
    largest
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

    #[test]
    fn errors_are_relative_to_the_truth() {
        let truth = [vec![3.0, 0.0], vec![0.0, 4.0]];
        let found = [vec![3.0, 1.0], vec![0.0, 2.0]];
        assert_eq!(relative_squared_error(&found, &truth), 5.0 / 25.0);
        assert_eq!(relative_squared_error(&truth, &truth), 0.0);
    }

    #[test]
    fn the_gap_is_what_the_sum_misses() {
        let values = [vec![vec![1.0, 2.0]], vec![vec![0.5, 0.0]]];
        let expected = [vec![1.0], vec![1.0]];
        assert_eq!(largest_gap(&values, &expected, &[vec![4.0], vec![1.25]]), 0.25);
    }
}
