//! Attributions by name.

use crate::explanation::Explanation;

/// An answer that gives each feature a number for each output: what the feature contributes to that output.
pub trait Attributions {
    /// The contribution of a feature to an output, both by name. An output without a name is found by its index, `"0"`,
    /// `"1"` and so on. `None` where there is no such output or feature; of equal names the first counts.
    fn attribution(&self, output: &str, feature: &str) -> Option<f64>;
}

impl<D: Attributions> Explanation<D> {
    /// The contribution of a feature to an output, both by name; see [`Attributions::attribution`].
    #[must_use]
    pub fn attribution(&self, output: &str, feature: &str) -> Option<f64> {
        self.data.attribution(output, feature)
    }
}
