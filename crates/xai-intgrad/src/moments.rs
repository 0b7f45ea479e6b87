//! Running moments of a sample of rows.

use ndarray::{Array1, Zip};
use xai_core::Row;

/// Mean and central moments up to the fourth, column by column, in one pass.
///
/// # Source
/// Pébay 2008, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
/// moments", Sandia report SAND2008-6212, for one sample at a time.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    n: f64,
    mean: Array1<f64>,
    m2: Array1<f64>,
    m3: Array1<f64>,
    m4: Array1<f64>,
}

impl Moments {
    pub(crate) fn new(width: usize) -> Self {
        let zeros = || Array1::zeros(width);
        Moments { n: 0.0, mean: zeros(), m2: zeros(), m3: zeros(), m4: zeros() }
    }

    pub(crate) fn add(&mut self, sample: &Row) {
        self.n += 1.0;
        let n = self.n;
        Zip::from(&mut self.mean)
            .and(&mut self.m2)
            .and(&mut self.m3)
            .and(&mut self.m4)
            .and(sample)
            .for_each(|mean, m2, m3, m4, &x| {
                let delta = x - *mean;
                let share = delta / n;
                let term = delta * share * (n - 1.0);
                *mean += share;
                *m4 += term * share * share * (n * n - 3.0 * n + 3.0) + 6.0 * share * share * *m2
                    - 4.0 * share * *m3;
                *m3 += term * share * (n - 2.0) - 3.0 * share * *m2;
                *m2 += term;
            });
    }

    pub(crate) fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// `sqrt(s^2 / n)` with the unbiased variance `s^2`; at least two samples.
    pub(crate) fn standard_error_of_mean(&self) -> Array1<f64> {
        self.m2.mapv(|m2| (m2 / (self.n - 1.0) / self.n).sqrt())
    }

    /// The mean of squares less the square of the mean.
    pub(crate) fn variance(&self) -> Array1<f64> {
        &self.m2 / self.n
    }

    /// `sqrt((mu_4 - mu_2^2) / n)`, the first term for large samples (Cramér 1946, 27.4).
    pub(crate) fn standard_error_of_variance(&self) -> Array1<f64> {
        let n = self.n;
        Zip::from(&self.m2)
            .and(&self.m4)
            .map_collect(|m2, m4| ((m4 / n - (m2 / n).powi(2)).max(0.0) / n).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_two_passes() {
        let samples = [3.0, -1.0, 4.5, 1.25, -9.0, 2.0, 6.0];
        let mut moments = Moments::new(1);
        samples.iter().for_each(|&sample| moments.add(&ndarray::array![sample]));
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let central = |power: i32| samples.iter().map(|x| (x - mean).powi(power)).sum::<f64>();
        // A few dozen operations on numbers below 10^4.
        let close =
            |got: f64, expected: f64| (got - expected).abs() <= 1e-12 * expected.abs().max(1.0);
        assert!(close(moments.mean()[0], mean));
        assert!(close(moments.variance()[0], central(2) / n));
        assert!(close(moments.m3[0], central(3)));
        assert!(close(moments.m4[0], central(4)));
        let error = (central(2) / (n - 1.0) / n).sqrt();
        assert!(close(moments.standard_error_of_mean()[0], error));
        let error = ((central(4) / n - (central(2) / n).powi(2)) / n).sqrt();
        assert!(close(moments.standard_error_of_variance()[0], error));
    }
}
