//! Smoothing by a Gaussian.

use ndarray::{Array3, Axis};

use super::pixels::Image;

/// An image smoothed along both axes of space, each channel by itself; the same image for `sigma` 0.
///
/// Beyond its edges the image is mirrored, the pixel at the edge included.
/// The kernel ends at four standard deviations.
pub(crate) fn smooth(image: &Image, sigma: f64) -> Array3<f64> {
    let mut smoothed = image.as_standard_layout().into_owned();
    if 0.0 < sigma {
        let weights = weights(sigma);
        for axis in [Axis(0), Axis(1)] {
            let mut line = Vec::new();
            for mut lane in smoothed.lanes_mut(axis) {
                line.clear();
                line.extend(lane.iter().copied());
                for (place, value) in lane.iter_mut().enumerate() {
                    *value = convolved(&line, &weights, place);
                }
            }
        }
    }
    smoothed
}

/// The kernel from its middle outwards; with the mirrored half its weights sum to 1.
fn weights(sigma: f64) -> Vec<f64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sigma is positive and at most a thousand"
    )]
    let radius = (4.0 * sigma + 0.5) as usize;
    let weight = |d: usize| (-0.5 / (sigma * sigma) * (d * d) as f64).exp();
    let half: Vec<f64> = (0..=radius).map(weight).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    half.iter().map(|weight| weight / sum).collect()
}

/// From the ends of the kernel to its middle, so that small terms are summed first.
fn convolved(line: &[f64], weights: &[f64], place: usize) -> f64 {
    let mut sum = line[place] * weights[0];
    for (distance, weight) in weights.iter().enumerate().skip(1).rev() {
        let pair = line[before(place, distance, line.len())]
            + line[mirrored(place + distance, line.len())];
        sum += pair * weight;
    }
    sum
}

/// The place `distance` before another, on a line that is mirrored at its ends.
fn before(place: usize, distance: usize, len: usize) -> usize {
    // A mirrored line repeats after twice its length.
    let period = 2 * len;
    mirrored(place + period - distance % period, len)
}

fn mirrored(place: usize, len: usize) -> usize {
    let place = place % (2 * len);
    if place < len { place } else { 2 * len - 1 - place }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::{before, mirrored, smooth};

    #[test]
    fn lines_are_mirrored_with_their_ends() {
        let right: Vec<usize> = (0..8).map(|place| mirrored(place, 3)).collect();
        assert_eq!(right, [0, 1, 2, 2, 1, 0, 0, 1]);
        let left: Vec<usize> = (0..8).map(|distance| before(0, distance, 3)).collect();
        assert_eq!(left, [0, 0, 1, 2, 2, 1, 0, 0]);
    }

    /// A point becomes the kernel, whose neighbours have the ratio `exp(-1 / (2 sigma^2))`; the sum stays.
    #[test]
    fn a_point_becomes_the_kernel() {
        let mut image = Array3::zeros((9, 9, 1));
        image[[4, 4, 0]] = 1.0;
        let sigma = 0.7;
        let smoothed = smooth(&image, sigma);
        let ratio = smoothed[[4, 5, 0]] / smoothed[[4, 4, 0]];
        // A few roundings of numbers below 1.
        assert!((ratio - (-0.5 / (sigma * sigma)).exp()).abs() < 1e-15);
        assert!((smoothed.sum() - 1.0).abs() < 1e-14);
    }
}
