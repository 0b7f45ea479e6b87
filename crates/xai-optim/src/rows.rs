//! The space of a model's rows, under constraints.

use ndarray::Array1;

use crate::loss::Hinge;
use crate::problem::{Instance, Problem};
use xai_core::constraints::{BoundConstraints, Rule};
use xai_core::error::Result;
use xai_core::model::{Row, Rows};
use xai_core::params::{ParamError, require};
use xai_core::run::Run;
use xai_core::tabular::Kind;

/// Requires that an instance's value lies in the range that is searched, from a least to a largest value; `place` says
/// which value it is, for the message.
///
/// # Errors
/// [`ParamError`] named `feature_range`.
pub fn require_inside(place: &str, value: f64, range: [f64; 2]) -> Result<(), ParamError> {
    if (range[0]..=range[1]).contains(&value) {
        return Ok(());
    }
    let rule = format!("around the instance's {value} in {place}, or `widen_range` set");
    require(false, "feature_range", rule, range)
}

/// Rows of a table that may change as constraints allow: points are the model's rows.
///
/// Quantities move freely within their limits, whole numbers and steps are kept to when a point is judged, and the
/// columns of a category move between 0 and 1 (or its codes) and are judged as the category that is closest.
#[derive(Clone, Debug)]
pub struct ConstrainedRows<'a> {
    constraints: &'a BoundConstraints,
    /// The instances that changes are counted from, each of shape `(n_columns,)`.
    origins: Vec<Array1<f64>>,
    /// Steps of numeric derivatives, shape `(n_columns,)`.
    eps: Array1<f64>,
    /// The feature of each column.
    features: Vec<usize>,
}

impl<'a> ConstrainedRows<'a> {
    /// The space of these instances; `eps` are the steps of numeric derivatives, above 0, shape `(n_columns,)`.
    #[must_use]
    pub fn new(
        constraints: &'a BoundConstraints,
        origins: Vec<Array1<f64>>,
        eps: Array1<f64>,
    ) -> Self {
        let table = constraints.features();
        let features = (0..table.len())
            .flat_map(|feature| table.columns(feature).map(move |_| feature))
            .collect();
        ConstrainedRows { constraints, origins, eps, features }
    }

    /// An instance that starts at its row and may go where the constraints and the limits of each column let it, `lower`
    /// and `upper`, shape `(n_columns,)` each.
    ///
    /// Changes are scaled by the constraints' scales and costs.
    #[must_use]
    pub fn instance(&self, index: usize, hinge: Hinge, lower: &Row, upper: &Row) -> Instance {
        let origin = &self.origins[index];
        let mut instance = Instance::free(origin.clone(), hinge);
        instance.max_changes = self.constraints.max_changes();
        for (column, &feature) in self.features.iter().enumerate() {
            let (least, most) = self.column_limits(feature, origin, column);
            instance.lower[column] = least.max(lower[column]).min(origin[column]);
            instance.upper[column] = most.min(upper[column]).max(origin[column]);
            instance.scale[column] = self.constraints.weight(feature);
        }
        instance
    }

    /// Whether a row obeys every rule about single features.
    ///
    /// # Errors
    /// [`Error::Shape`](xai_core::Error::Shape) when it has another width than the table.
    pub fn obeys(&self, instance: usize, row: &Row) -> Result<bool> {
        let violations = self.constraints.violations(&self.origins[instance], row)?;
        Ok(violations.iter().all(|violation| matches!(violation.rule, Rule::MaxChanges(_))))
    }

    fn kind(&self, feature: usize) -> &Kind {
        let described = self.constraints.features().iter().nth(feature);
        &described.expect("a feature of a column").kind
    }

    fn column_limits(&self, feature: usize, origin: &Row, column: usize) -> (f64, f64) {
        let is_mutable = self.constraints.is_mutable(feature);
        match self.kind(feature) {
            Kind::Categorical { encoding, .. } if is_mutable && encoding.first_code().is_some() => {
                (0.0, 1.0)
            }
            _ => self.constraints.limits(feature, origin[column]),
        }
    }

    /// The value of a feature in the instance.
    fn origin_value(&self, instance: usize, feature: usize) -> f64 {
        let value = self.constraints.features().value(feature, &self.origins[instance]);
        value.unwrap_or(f64::NAN)
    }

    fn write(&self, feature: usize, value: f64, point: &mut Row) {
        self.constraints.features().write(feature, value, point);
    }

    /// The value of a feature that is closest to what the point holds.
    fn read(&self, feature: usize, from: f64, point: &Row) -> f64 {
        let columns = self.constraints.features().columns(feature);
        let several = match self.kind(feature) {
            Kind::Categorical { categories, encoding } => {
                encoding.first_code().map(|first| (categories.len(), first))
            }
            Kind::Numeric => None,
        };
        let Some((n_categories, first)) = several else {
            return self.constraints.nearest(feature, from, point[columns.start]);
        };
        let allowed = (0..n_categories).map(|code| code as f64);
        let allowed =
            allowed.filter(|&code| self.constraints.broken(feature, from, code).is_none());
        // A category without a column has what the others leave of 1.
        let rest = 1.0 - columns.clone().map(|column| point[column]).sum::<f64>();
        let place = |code: f64| match code_index(code).checked_sub(first) {
            Some(place) => columns.clone().nth(place).map_or(f64::NAN, |column| point[column]),
            None => rest,
        };
        let better = |best: f64, code: f64| if place(best) < place(code) { code } else { best };
        allowed.fold(from, better)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes are small whole numbers"
)]
fn code_index(code: f64) -> usize {
    code as usize
}

impl Problem for ConstrainedRows<'_> {
    fn n_columns(&self) -> usize {
        self.constraints.features().n_columns()
    }

    fn snap(&self, instance: usize, point: &mut Row) {
        for feature in 0..self.constraints.features().len() {
            let from = self.origin_value(instance, feature);
            let value = self.read(feature, from, point);
            self.write(feature, value, point);
        }
    }

    fn probe(&self, _: usize, point: &Row, coordinate: usize) -> Option<(f64, f64)> {
        let (value, eps) = (point[coordinate], self.eps[coordinate]);
        Some((value - eps, value + eps))
    }

    fn is_discrete(&self, coordinate: usize) -> bool {
        self.constraints.is_discrete(self.features[coordinate])
    }

    #[allow(clippy::float_cmp, reason = "values of a feature are the same numbers or not")]
    fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        let mut neighbors = Vec::new();
        for feature in 0..self.constraints.features().len() {
            if !self.constraints.is_discrete(feature) {
                continue;
            }
            let from = self.origin_value(instance, feature);
            let current = self.read(feature, from, point);
            let values: Vec<f64> = match self.kind(feature) {
                Kind::Categorical { categories, .. } => {
                    let codes = (0..categories.len()).map(|code| code as f64);
                    let allowed =
                        |code: &f64| self.constraints.broken(feature, from, *code).is_none();
                    codes.filter(allowed).collect()
                }
                Kind::Numeric => self.constraints.steps_around(feature, from, current).to_vec(),
            };
            for value in values.into_iter().filter(|&value| value != current) {
                let mut neighbor = point.to_owned();
                self.write(feature, value, &mut neighbor);
                neighbors.push(neighbor);
            }
        }
        neighbors
    }

    fn group(&self, coordinate: usize) -> usize {
        self.features[coordinate]
    }

    fn admits(
        &self,
        _: &mut [Run<'_>],
        instances: &[usize],
        points: &Rows,
        _: &Rows,
    ) -> Result<Vec<bool>> {
        let both = instances.iter().zip(points.rows());
        both.map(|(&instance, row)| self.obeys(instance, &row)).collect()
    }
}
