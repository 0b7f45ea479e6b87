//! How far two values of a feature are apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::tabular::{Feature, Kind};
use xai_core::{ParamError, require};

/// The distance between two values of one feature, at least 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Distance {
    /// `|a - b|`. The default of quantities.
    Absolute,
    /// `(a - b)^2`.
    Squared,
    /// `|a - b| / scale`, the scale finite and above 0.
    Scaled(f64),
    /// 0 when they are equal and 1 when not. The default of categories.
    Mismatch,
    /// The entry in the row of the instance's category and the column of the other's, for a feature with category names:
    /// as many rows and columns as categories, finite and at least 0.
    Table(Vec<Vec<f64>>),
}

impl Distance {
    pub(crate) fn validate(&self) -> Result<(), ParamError> {
        match self {
            Distance::Scaled(scale) => {
                let allowed = 0.0 < *scale && *scale < f64::INFINITY;
                require(allowed, "distance_functions", "a finite scale above 0", scale)
            }
            Distance::Table(table) => {
                let allowed = |&entry: &f64| (0.0..f64::INFINITY).contains(&entry);
                let wrong = table.iter().flatten().find(|entry| !allowed(entry));
                let rule = "a table of finite numbers, at least 0";
                require(wrong.is_none(), "distance_functions", rule, wrong)
            }
            _ => Ok(()),
        }
    }

    /// Requires that a table of distances has an entry for each pair of categories.
    pub(crate) fn fits(&self, feature: &Feature) -> Result<(), ParamError> {
        let Distance::Table(table) = self else { return Ok(()) };
        let n = match &feature.kind {
            Kind::Numeric => 0,
            Kind::Categorical { categories, .. } => categories.len(),
        };
        let name = &feature.name;
        let rule = format!("no table for `{name}`, whose categories have no names");
        require(0 < n, "distance_functions", rule, "a table")?;
        let lengths: Vec<usize> = table.iter().map(Vec::len).collect();
        let rule = format!("a table of {n} rows and columns for `{name}`");
        require(lengths == vec![n; n], "distance_functions", rule, format!("rows of {lengths:?}"))
    }

    /// The distance from the instance's value to another. Codes of a table are valid.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "codes are indices of categories"
    )]
    #[allow(clippy::float_cmp, reason = "categories are the same number or not the same")]
    pub(crate) fn between(&self, from: f64, to: f64) -> f64 {
        match self {
            Distance::Absolute => (from - to).abs(),
            Distance::Squared => (from - to) * (from - to),
            Distance::Scaled(scale) => (from - to).abs() / scale,
            Distance::Mismatch => f64::from(u8::from(from != to)),
            Distance::Table(table) => table[from as usize][to as usize],
        }
    }
}
