//! The space that is searched: one number for each feature, categories included.

use ndarray::{Array1, Array2, s};
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::decision::argmax;
use xai_core::tabular::{Encoding, Features, Kind};
use xai_core::{Row, Rows};

use crate::rules::Rules;

/// What turns rows of a table into points and back. Points have shape `(n_features,)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Codes {
    /// The number of each category, by feature; `None` for quantities.
    pub(crate) numbers: Vec<Option<Vec<f64>>>,
}

impl Codes {
    /// Requires a number for each category of each categorical feature, as a saved explainer may lack them.
    pub(crate) fn check(&self, features: &Features) -> xai_core::Result<()> {
        for (feature, numbers) in features.iter().zip(&self.numbers) {
            let fits = match (&feature.kind, numbers) {
                (Kind::Numeric, None) => true,
                (Kind::Categorical { categories, .. }, Some(numbers)) => {
                    numbers.len() == categories.len()
                        && numbers.iter().all(|number| number.is_finite())
                }
                _ => false,
            };
            let rule = "a finite number for each category, and none for quantities";
            xai_core::require(fits, "codes", rule, &feature.name)?;
        }
        Ok(())
    }

    /// The point of a row that fits the features.
    pub(crate) fn point(&self, features: &Features, row: &Row) -> Array1<f64> {
        let coordinate = |(feature, numbers): (usize, &Option<Vec<f64>>)| {
            let value = features.value(feature, row).expect("the row fits the features");
            match numbers {
                None => value,
                Some(numbers) => numbers[index(value)],
            }
        };
        self.numbers.iter().enumerate().map(coordinate).collect()
    }

    /// The points of rows that fit the features, shape `(n_rows, n_features)`.
    pub(crate) fn points(&self, features: &Features, rows: &Rows) -> Array2<f64> {
        let mut points = Array2::zeros((rows.nrows(), self.numbers.len()));
        for (row, mut point) in rows.rows().into_iter().zip(points.rows_mut()) {
            point.assign(&self.point(features, &row));
        }
        points
    }

    /// The point of a row whose categorical cells hold anything: the category whose cell is largest, or whose code is
    /// closest.
    pub(crate) fn reconstructed(&self, features: &Features, row: &Row) -> Array1<f64> {
        let coordinate = |(feature, numbers): (usize, &Option<Vec<f64>>)| {
            let cells = row.slice(s![features.columns(feature)]);
            let Some(numbers) = numbers else { return cells[0] };
            let last = numbers.len() - 1;
            match encoding(features, feature).and_then(Encoding::first_code) {
                None => numbers[index(cells[0].round().clamp(0.0, last as f64))],
                Some(first) => {
                    // A category without a column has what the others leave of 1.
                    let rest = std::iter::repeat_n(1.0 - cells.sum(), first);
                    let scores: Array1<f64> = rest.chain(cells.iter().copied()).collect();
                    numbers[argmax(&scores)]
                }
            }
        };
        self.numbers.iter().enumerate().map(coordinate).collect()
    }
}

/// How a category is laid out; `None` for quantities.
fn encoding(features: &Features, feature: usize) -> Option<Encoding> {
    match features.iter().nth(feature)?.kind {
        Kind::Categorical { encoding, .. } => Some(encoding),
        Kind::Numeric => None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes of categories are small whole numbers"
)]
fn index(code: f64) -> usize {
    code as usize
}

/// An instance as a row and as a point.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) row: Array1<f64>,
    pub(crate) point: Array1<f64>,
}

/// The points around some instances.
#[derive(Clone, Copy)]
pub(crate) struct Space<'a> {
    pub(crate) constraints: &'a BoundConstraints,
    pub(crate) codes: &'a Codes,
    pub(crate) origins: &'a [Origin],
    /// The range by feature, shape `(n_features,)` each.
    pub(crate) range: (&'a Row, &'a Row),
    /// Half the width of numeric derivatives, shape `(n_features,)`.
    pub(crate) eps: &'a Row,
    pub(crate) rules: &'static dyn Rules,
}

impl Space<'_> {
    pub(crate) fn features(&self) -> &Features {
        self.constraints.features()
    }

    /// Whether category `code` may follow the instance's.
    pub(crate) fn allows(&self, instance: usize, feature: usize, code: usize) -> bool {
        let from = self.features().value(feature, &self.origins[instance].row);
        let from = from.expect("the instance fits the features");
        self.constraints.broken(feature, from, code as f64).is_none()
    }

    /// The category that a number stands for.
    fn category(&self, instance: usize, feature: usize, number: f64) -> usize {
        self.rules.category(self, instance, feature, number)
    }

    /// The instance's category.
    pub(crate) fn category_of_instance(&self, instance: usize, feature: usize) -> usize {
        let code = self.features().value(feature, &self.origins[instance].row);
        index(code.expect("the instance fits the features"))
    }

    /// The category whose number is nearest among those that are allowed, the first of equals; `None` where none is.
    pub(crate) fn nearest(
        &self,
        feature: usize,
        number: f64,
        is_allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let numbers = self.codes.numbers[feature].as_ref().expect("a categorical feature");
        let nearer = |best: Option<usize>, code: usize| match best {
            Some(best) if (numbers[best] - number).abs() <= (numbers[code] - number).abs() => {
                Some(best)
            }
            _ => Some(code),
        };
        (0..numbers.len()).filter(|&code| is_allowed(code)).fold(None, nearer)
    }

    /// The categories that may stand in a feature, in the order of their numbers.
    pub(crate) fn allowed(&self, instance: usize, feature: usize) -> Vec<usize> {
        let numbers = self.codes.numbers[feature].as_ref().expect("a categorical feature");
        let mut codes: Vec<usize> =
            (0..numbers.len()).filter(|&code| self.allows(instance, feature, code)).collect();
        codes.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]).then(a.cmp(&b)));
        codes
    }

    /// The least and the largest coordinate of a feature.
    pub(crate) fn limits(&self, instance: usize, feature: usize) -> (f64, f64) {
        self.rules.limits(self, instance, feature)
    }

    /// Writes the row of a point.
    pub(crate) fn decode(&self, instance: usize, point: &Row, input: &mut Row) {
        for (feature, numbers) in self.codes.numbers.iter().enumerate() {
            let value = match numbers {
                None => point[feature],
                Some(_) => self.category(instance, feature, point[feature]) as f64,
            };
            self.features().write(feature, value, input);
        }
    }

    /// Makes a point one of a row that the constraints allow.
    pub(crate) fn snap(&self, instance: usize, point: &mut Row) {
        for feature in 0..point.len() {
            point[feature] = match &self.codes.numbers[feature] {
                Some(numbers) => numbers[self.category(instance, feature, point[feature])],
                None => self.snapped(instance, feature, point[feature]),
            };
        }
    }

    /// The allowed value of a quantity that is closest, within the range.
    fn snapped(&self, instance: usize, feature: usize, value: f64) -> f64 {
        let origin = self.origins[instance].point[feature];
        let (lower, upper) = self.limits(instance, feature);
        let value = value.max(lower).min(upper);
        let nearest = self.constraints.nearest(feature, origin, value);
        let around = self.constraints.steps_around(feature, origin, nearest);
        let inside = |value: &f64| (lower..=upper).contains(value);
        [nearest, around[0], around[1]].into_iter().find(inside).unwrap_or(origin)
    }

    /// The derivative by row as one by coordinate. A category that is probed has none; otherwise its number moves its cells
    /// all alike.
    pub(crate) fn pull_back(&self, gradient: &Row) -> Array1<f64> {
        let coordinate = |(feature, numbers): (usize, &Option<Vec<f64>>)| {
            let cells = gradient.slice(s![self.features().columns(feature)]);
            match numbers {
                Some(_) if self.rules.probes_categories() => 0.0,
                _ => cells.sum(),
            }
        };
        self.codes.numbers.iter().enumerate().map(coordinate).collect()
    }

    /// The two values between which a coordinate is differentiated: the neighbors of a category in the order of the
    /// numbers, itself at the ends.
    pub(crate) fn probe(&self, instance: usize, point: &Row, feature: usize) -> Option<(f64, f64)> {
        let (value, eps) = (point[feature], self.eps[feature]);
        let numbers = self.codes.numbers[feature].as_ref();
        let Some(numbers) = numbers.filter(|_| self.rules.probes_categories()) else {
            return Some((value - eps, value + eps));
        };
        let codes = self.allowed(instance, feature);
        let current = self.category(instance, feature, value);
        let place = codes.iter().position(|&code| code == current)?;
        let (down, up) = (place.saturating_sub(1), (place + 1).min(codes.len() - 1));
        (down < up).then(|| (numbers[codes[down]], numbers[codes[up]]))
    }

    /// Whether a coordinate is that of a category.
    pub(crate) fn is_categorical(&self, feature: usize) -> bool {
        self.codes.numbers[feature].is_some()
    }

    /// Points that differ in one category, or by one step of a quantity that moves in steps.
    #[allow(clippy::float_cmp, reason = "snapped values are the same numbers or others")]
    pub(crate) fn neighbors(&self, instance: usize, point: &Row) -> Vec<Array1<f64>> {
        let mut neighbors = Vec::new();
        for feature in 0..point.len() {
            let origin = self.origins[instance].point[feature];
            let (lower, upper) = self.limits(instance, feature);
            let values: Vec<f64> = match &self.codes.numbers[feature] {
                Some(numbers) => {
                    let codes = self.allowed(instance, feature);
                    codes.into_iter().map(|code| numbers[code]).collect()
                }
                None if self.constraints.is_discrete(feature) => {
                    self.constraints.steps_around(feature, origin, point[feature]).to_vec()
                }
                None => continue,
            };
            let inside = |value: &f64| (lower..=upper).contains(value) && *value != point[feature];
            for value in values.into_iter().filter(inside) {
                let mut neighbor = point.to_owned();
                neighbor[feature] = value;
                neighbors.push(neighbor);
            }
        }
        neighbors
    }
}
