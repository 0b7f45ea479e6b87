//! The grid around one instance: for each feature the values other than the instance's, nearest first.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::constraints::BoundConstraints;
use xai_core::tabular::{Features, Kind};
use xai_core::{ParamError, Result, Row, require};

use crate::data::OutOfRange;
use crate::ranges::{GridFeature, MAX_VALUES, Values};

/// Where the steps of a range are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Anchor {
    /// The least value of the range.
    #[default]
    Min,
    /// The instance's value: the grid has the values that are a whole number of steps away from it.
    Instance,
}

/// A range of a quantity, in steps.
pub(crate) struct RangeSteps {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) step: f64,
    /// Where the steps are counted from.
    pub(crate) origin: f64,
    /// Whether the ends of the range are grid points.
    pub(crate) inclusive_end: bool,
}

/// How far from a whole number of steps the end of a range may lie and still count as one: more than rounding adds up
/// to, less than anyone means.
const SLACK: f64 = 1e-9;

/// One feature that may change.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Its index in the table.
    pub(crate) feature: usize,
    pub(crate) columns: Range<usize>,
    /// The category of the first column, where each column is one category.
    first_code: Option<usize>,
    /// Whether the values stand for categories.
    pub(crate) is_category: bool,
    /// Numbers or codes, in the order of `terms`.
    pub(crate) values: Vec<f64>,
    /// What each value adds to the distance (squared, where squares add up), ascending.
    pub(crate) terms: Vec<f64>,
}

/// The grid around one instance.
pub(crate) struct InstanceGrid {
    /// The features that have a value to change to, ascending.
    pub(crate) axes: Vec<Axis>,
    /// For each axis, whether the instance's value is on the grid too.
    pub(crate) instance_on_grid: Vec<bool>,
    /// Whether a feature has the instance's value on its grid and no other.
    pub(crate) instance_alone: bool,
    pub(crate) out_of_range: Vec<OutOfRange>,
}

/// The distance of one feature from the instance, and whether distances are squared before they add up.
pub(crate) struct Measure<'a> {
    /// The distance of a feature between the instance's value and another.
    pub(crate) between: &'a dyn Fn(usize, f64, f64) -> f64,
    pub(crate) squared: bool,
}

impl Measure<'_> {
    /// What a value of a feature adds to the distance.
    ///
    /// # Errors
    /// When a distance is no number of at least 0.
    pub(crate) fn term(&self, feature: usize, from: f64, to: f64) -> Result<f64, ParamError> {
        let distance = (self.between)(feature, from, to);
        if !(0.0..f64::INFINITY).contains(&distance) {
            let rule = format!("finite and at least 0 (feature {feature}, from {from} to {to})");
            return Err(ParamError {
                name: "distance_functions",
                rule,
                value: distance.to_string(),
            });
        }
        Ok(if self.squared { distance * distance } else { distance })
    }
}

/// What of a fitted explainer a grid is made of.
pub(crate) struct Fitted<'a> {
    pub(crate) features: &'a Features,
    pub(crate) grid: &'a [GridFeature],
    pub(crate) constraints: &'a BoundConstraints,
    pub(crate) anchor: Anchor,
    /// Whether the ends of ranges are grid points.
    pub(crate) inclusive_end: bool,
    /// The grid points of a range.
    pub(crate) steps: fn(&RangeSteps) -> Vec<f64>,
}

impl InstanceGrid {
    #[allow(clippy::float_cmp, reason = "a value is the instance's when it is the same number")]
    pub(crate) fn new(fitted: &Fitted<'_>, measure: &Measure<'_>, x: &Row) -> Result<Self> {
        let mut grid = InstanceGrid {
            axes: Vec::new(),
            instance_on_grid: Vec::new(),
            instance_alone: false,
            out_of_range: Vec::new(),
        };
        for GridFeature { feature, values } in fitted.grid {
            let feature = *feature;
            let own_value = fitted.features.value(feature, x).expect("the input was checked");
            if let Some(range) = outside(fitted, feature, values, own_value) {
                let described = fitted.features.iter().nth(feature).expect("a fitted feature");
                grid.out_of_range.push(OutOfRange {
                    feature: described.name.clone(),
                    value: fitted.features.describe(feature, x),
                    range,
                });
            }
            let candidates = fitted.candidates(values, own_value);
            let is_quantity = !matches!(values, Values::Categories(_));
            let instance_on_grid = is_quantity && candidates.contains(&own_value);
            let mut placed = Vec::with_capacity(candidates.len());
            for value in candidates {
                if value != own_value
                    && fitted.constraints.broken(feature, own_value, value).is_none()
                {
                    placed.push((measure.term(feature, own_value, value)?, value));
                }
            }
            if placed.is_empty() {
                grid.instance_alone |= instance_on_grid;
                continue;
            }
            placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let kind = &fitted.features.iter().nth(feature).expect("a fitted feature").kind;
            grid.instance_on_grid.push(instance_on_grid);
            grid.axes.push(Axis {
                feature,
                columns: fitted.features.columns(feature),
                first_code: match kind {
                    Kind::Categorical { encoding, .. } => encoding.first_code(),
                    Kind::Numeric => None,
                },
                is_category: !is_quantity,
                values: placed.iter().map(|&(_, value)| value).collect(),
                terms: placed.iter().map(|&(term, _)| term).collect(),
            });
        }
        Ok(grid)
    }
}

impl Axis {
    /// Writes the value at `place` into a row of the instance.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "codes are indices of columns"
    )]
    pub(crate) fn write(&self, place: usize, row: &mut [f64]) {
        let value = self.values[place];
        if let Some(first) = self.first_code {
            let cells = &mut row[self.columns.clone()];
            cells.fill(0.0);
            if let Some(place) = (value as usize).checked_sub(first) {
                cells[place] = 1.0;
            }
        } else {
            row[self.columns.start] = value;
        }
    }
}

/// The range of a feature, human-readable, when the instance's value lies outside.
fn outside(fitted: &Fitted<'_>, feature: usize, values: &Values, own_value: f64) -> Option<String> {
    match values {
        &Values::Steps { min, max, .. } => {
            (!(min..=max).contains(&own_value)).then(|| format!("[{min}, {max}]"))
        }
        Values::Numbers(numbers) => {
            let (min, max) = (numbers[0], numbers[numbers.len() - 1]);
            (!(min..=max).contains(&own_value)).then(|| format!("[{min}, {max}]"))
        }
        Values::Categories(codes) => (!codes.contains(&own_value)).then(|| {
            let described = fitted.features.iter().nth(feature).expect("a fitted feature");
            let name = |&code: &f64| match &described.kind {
                Kind::Numeric => code.to_string(),
                Kind::Categorical { categories, .. } => {
                    let named = categories.iter().enumerate();
                    let found = named
                        .into_iter()
                        .find(|&(index, _)| (index as f64).total_cmp(&code).is_eq());
                    found.map_or_else(|| code.to_string(), |(_, name)| name.clone())
                }
            };
            codes.iter().map(name).collect::<Vec<_>>().join(", ")
        }),
    }
}

impl Fitted<'_> {
    /// The values of a feature that are on the grid, the instance's among them.
    fn candidates(&self, values: &Values, own_value: f64) -> Vec<f64> {
        match values {
            &Values::Steps { min, max, step } => {
                let origin = if self.anchor == Anchor::Instance { own_value } else { min };
                let inclusive_end = self.inclusive_end;
                (self.steps)(&RangeSteps { min, max, step, origin, inclusive_end })
            }
            Values::Numbers(numbers) => numbers.clone(),
            Values::Categories(codes) => codes.clone(),
        }
    }
}

/// `origin` plus whole steps within the range, and its ends where they are asked for.
pub(crate) fn steps_within(range: &RangeSteps) -> Vec<f64> {
    let &RangeSteps { min, max, step, origin, inclusive_end } = range;
    let (first, last) =
        (((min - origin) / step + SLACK).ceil(), ((max - origin) / step - SLACK).floor());
    let between =
        (0..value_count(last - first + 1.0)).map(|place| origin + (first + place as f64) * step);
    // Within the slack of an end lies the end itself.
    let whole = |end: f64| ((end - origin) / step - ((end - origin) / step).round()).abs() <= SLACK;
    let mut values = Vec::new();
    if inclusive_end || whole(min) {
        values.push(min);
    }
    values.extend(between.filter(|&value| min < value && value < max));
    if inclusive_end {
        values.push(max);
    }
    values
}

/// A number of values as an index; what is checked to be no more than 2^20 does not lose anything.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=2^20")]
pub(crate) fn value_count(n: f64) -> usize {
    n.clamp(0.0, MAX_VALUES + 2.0) as usize
}

/// Requires steps that give no more values than fit.
pub(crate) fn check_steps(features: &Features, grid: &[GridFeature]) -> Result<(), ParamError> {
    for GridFeature { feature, values } in grid {
        if let &Values::Steps { min, max, step } = values {
            let n = (max - min) / step;
            let name = &features.iter().nth(*feature).expect("a fitted feature").name;
            let rule = format!("such that feature `{name}` has at most 2^20 values");
            require(n <= MAX_VALUES, "step_sizes", rule, step)?;
        }
    }
    Ok(())
}

#[cfg(test)]
impl Axis {
    /// An axis of one column.
    pub(crate) fn plain(feature: usize, values: Vec<f64>, terms: Vec<f64>) -> Self {
        Axis {
            feature,
            columns: feature..feature + 1,
            first_code: None,
            is_category: false,
            values,
            terms,
        }
    }
}
