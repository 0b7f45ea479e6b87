//! What a changed row may look like, as plain data that every method that changes rows shares.
//!
//! [`Constraints`] name features and say how each may change; [`Constraints::bind`] checks them against a table, and the
//! [`BoundConstraints`] judge single values while a method searches, and whole rows when it is done.
//!
//! Rules bind changes: a feature that keeps the instance's value breaks none, wherever that value lies.
//! A categorical feature, in whatever layout, holds one of its categories in every row; for one-hot columns that is a
//! single 1 among zeros.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, same_shape};
use crate::model::Row;
use crate::params::{ParamError, require};
use crate::tabular::{Feature, FeatureKey, Features, Kind};

/// How the features of a row may change. The default allows every change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constraints {
    /// Rules by feature. Default none.
    pub features: BTreeMap<FeatureKey, Constraint>,
    /// The most features that may change at once, at least 1. Default `None`: any number.
    pub max_changes: Option<usize>,
}

/// How one feature may change. The default allows every change and takes each at its own size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constraint {
    /// The direction of a change. Default `"any"`.
    pub change: Direction,
    /// The least value after a change, not NaN. For numeric features. Default `None`.
    pub min: Option<f64>,
    /// The largest value after a change, not NaN and at least `min`. For numeric features. Default `None`.
    pub max: Option<f64>,
    /// Whether a changed value is a whole number. For numeric features. Default false.
    pub integer: bool,
    /// A change is a multiple of this, finite and above 0, to nine digits. For numeric features. Default `None`.
    pub step: Option<f64>,
    /// The categories after a change, by name, at least one. For categorical features. Default `None`: all.
    pub categories: Option<Vec<String>>,
    /// The size of a change that counts as 1, finite and above 0. For numeric features. Default 1.
    pub scale: Option<f64>,
    /// What a change of size 1, or of category, costs, finite and at least 0. Default 1.
    pub cost: Option<f64>,
}

/// The direction in which a feature may change; for categories in the order in which the table lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Up and down.
    #[default]
    Any,
    /// Not at all: the feature is immutable.
    None,
    /// Only up.
    Up,
    /// Only down.
    Down,
}

impl Constraints {
    /// The same rules with the limits of whole numbers and steps inside a range by column, shape `(n_columns,)` each, so that
    /// what is rounded does not leave it. Keys that name no feature stay as they are.
    #[must_use]
    pub fn rounded_inside(&self, features: &Features, (lower, upper): (&Row, &Row)) -> Self {
        let mut rules = self.clone();
        for (key, rule) in &mut rules.features {
            let Some(feature) = features.find(key) else { continue };
            if rule.integer || rule.step.is_some() {
                let column = features.columns(feature).start;
                rule.min = Some(rule.min.unwrap_or(f64::NEG_INFINITY).max(lower[column]));
                rule.max = Some(rule.max.unwrap_or(f64::INFINITY).min(upper[column]));
            }
        }
        rules
    }

    /// Checks the rules and binds them to the features of a table.
    ///
    /// # Errors
    /// [`ParamError`] when a key names no feature, when two keys name the same one, when a number is outside its range,
    /// when a rule for numbers is given to a categorical feature or the other way round, and for an unknown category.
    pub fn bind(&self, features: &Features) -> Result<BoundConstraints, ParamError> {
        let most = self.max_changes;
        require(most.is_none_or(|most| 0 < most), "max_changes", "at least 1", most)?;
        let mut bound = vec![BoundConstraint::default(); features.len()];
        let described: Vec<&Feature> = features.iter().collect();
        let mut keys: Vec<Option<&FeatureKey>> = vec![None; features.len()];
        for (key, constraint) in &self.features {
            let Some(index) = features.find(key) else {
                let rule = "keyed by names or indices of features";
                return Err(unfit("constraints", rule, key.as_str()));
            };
            if let Some(other) = keys[index].replace(key) {
                let both = format!("`{}` and `{}`", other.as_str(), key.as_str());
                return Err(unfit("constraints", "keyed by different features", &both));
            }
            bound[index] = constraint.bind(described[index])?;
        }
        Ok(BoundConstraints { features: features.clone(), bound, max_changes: most })
    }
}

impl Constraint {
    fn bind(&self, feature: &Feature) -> Result<BoundConstraint, ParamError> {
        let of = |rule: &str| format!("{rule} for feature `{}`", feature.name);
        for (name, bound) in [("min", self.min), ("max", self.max)] {
            require(!bound.is_some_and(f64::is_nan), name, of("a number"), bound)?;
        }
        let (min, max) = (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY));
        require(min <= max, "max", of("at least `min`"), max)?;
        for (name, size) in [("step", self.step), ("scale", self.scale)] {
            let allowed = size.is_none_or(|size| 0.0 < size && size < f64::INFINITY);
            require(allowed, name, of("finite and above 0"), size)?;
        }
        let cost = self.cost.unwrap_or(1.0);
        let allowed = (0.0..f64::INFINITY).contains(&cost);
        require(allowed, "cost", of("finite and at least 0"), cost)?;
        let codes = match &feature.kind {
            Kind::Numeric => {
                let none = self.categories.is_none();
                require(none, "categories", of("left out"), &self.categories)?;
                None
            }
            Kind::Categorical { categories, .. } => {
                let numbers = [("min", self.min), ("max", self.max), ("step", self.step)];
                for (name, given) in numbers.into_iter().chain([("scale", self.scale)]) {
                    require(given.is_none(), name, of("left out"), given)?;
                }
                require(!self.integer, "integer", of("left out"), self.integer)?;
                self.categories.as_ref().map(|names| codes(names, categories, &of)).transpose()?
            }
        };
        Ok(BoundConstraint {
            direction: self.change,
            range: (min, max),
            integer: self.integer,
            step: self.step,
            codes,
            weight: cost / self.scale.unwrap_or(1.0),
        })
    }
}

/// The codes of categories.
fn codes(
    names: &[String],
    categories: &[String],
    of: &dyn Fn(&str) -> String,
) -> Result<Vec<usize>, ParamError> {
    require(!names.is_empty(), "categories", of("at least one name"), 0)?;
    let code = |name: &String| {
        let code = categories.iter().position(|category| category == name);
        code.ok_or_else(|| unfit("categories", &of("names of its categories"), name))
    };
    names.iter().map(code).collect()
}

fn unfit(name: &'static str, rule: &str, value: &str) -> ParamError {
    ParamError { name, rule: rule.to_owned(), value: format!("{value:?}") }
}

/// Constraints that fit a table. Made by [`Constraints::bind`].
#[derive(Clone, Debug, PartialEq)]
pub struct BoundConstraints {
    features: Features,
    /// One for each feature.
    bound: Vec<BoundConstraint>,
    max_changes: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct BoundConstraint {
    direction: Direction,
    range: (f64, f64),
    integer: bool,
    step: Option<f64>,
    codes: Option<Vec<usize>>,
    weight: f64,
}

impl Default for BoundConstraint {
    fn default() -> Self {
        BoundConstraint {
            direction: Direction::Any,
            range: (f64::NEG_INFINITY, f64::INFINITY),
            integer: false,
            step: None,
            codes: None,
            weight: 1.0,
        }
    }
}

/// A rule that a row breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The feature's name; `None` for a rule about the whole row.
    pub feature: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// The feature in the instance, human-readable; for a rule about the row, nothing.
    pub from: String,
    /// The feature in the row, human-readable; for a rule about the row, the names of the changed features.
    pub to: String,
}

/// What a row may be refused for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The feature is immutable.
    Immutable,
    /// The feature may only go up.
    OnlyUp,
    /// The feature may only go down.
    OnlyDown,
    /// The value lies in this closed range.
    Range(f64, f64),
    /// The value is a whole number.
    Integer,
    /// The change is a multiple of this.
    Step(f64),
    /// The category is one of those that are allowed.
    Category,
    /// The number is finite; the cells of a categorical feature hold a valid code.
    Valid,
    /// At most this many features change.
    MaxChanges(usize),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Immutable => f.write_str("must not change"),
            Rule::OnlyUp => f.write_str("may only go up"),
            Rule::OnlyDown => f.write_str("may only go down"),
            Rule::Range(min, max) => write!(f, "must be in [{min}, {max}]"),
            Rule::Integer => f.write_str("must be a whole number"),
            Rule::Step(step) => write!(f, "must change by a multiple of {step}"),
            Rule::Category => f.write_str("must be one of the allowed categories"),
            Rule::Valid => f.write_str("must hold a finite number or a valid code"),
            Rule::MaxChanges(most) => write!(f, "at most {most} features may change"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.feature {
            Some(name) => write!(f, "`{name}` {}: {} -> {}", self.rule, self.from, self.to),
            None => write!(f, "{}: {}", self.rule, self.to),
        }
    }
}

impl BoundConstraints {
    /// The table they are bound to.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The most features that may change at once.
    #[must_use]
    pub fn max_changes(&self) -> Option<usize> {
        self.max_changes
    }

    /// Whether a feature may change at all.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn is_mutable(&self, feature: usize) -> bool {
        self.bound[feature].direction != Direction::None
    }

    /// What a change of size 1, or of category, costs: `cost / scale`.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn weight(&self, feature: usize) -> f64 {
        self.bound[feature].weight
    }

    /// The first rule that a change of one feature breaks; `from` and `to` are numbers, or codes of categories.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "a value is kept when it is the same number")]
    pub fn broken(&self, feature: usize, from: f64, to: f64) -> Option<Rule> {
        let bound = &self.bound[feature];
        let (min, max) = bound.range;
        if from == to {
            return None;
        }
        if !to.is_finite() {
            return Some(Rule::Valid);
        }
        match bound.direction {
            Direction::None => return Some(Rule::Immutable),
            Direction::Up if to < from => return Some(Rule::OnlyUp),
            Direction::Down if from < to => return Some(Rule::OnlyDown),
            _ => {}
        }
        if !(min..=max).contains(&to) {
            return Some(Rule::Range(min, max));
        }
        if bound.integer && to.fract() != 0.0 {
            return Some(Rule::Integer);
        }
        if let Some(step) = bound.step {
            let steps = (to - from) / step;
            if 1e-9 * steps.abs().max(1.0) < (steps - steps.round()).abs() {
                return Some(Rule::Step(step));
            }
        }
        let allowed =
            bound.codes.as_ref().is_none_or(|codes| codes.iter().any(|&c| c as f64 == to));
        (!allowed).then_some(Rule::Category)
    }

    /// The least and the largest value that a feature may have when it has `from` in the instance, `from` between them;
    /// numbers, or codes of categories. Values in between may still break a rule.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn limits(&self, feature: usize, from: f64) -> (f64, f64) {
        let bound = &self.bound[feature];
        let (min, max) = match &self.features.iter().nth(feature).map(|feature| &feature.kind) {
            Some(Kind::Categorical { categories, .. }) => (0.0, categories.len() as f64 - 1.0),
            _ => bound.range,
        };
        match bound.direction {
            Direction::None => (from, from),
            Direction::Up => (from, max.max(from)),
            Direction::Down => (min.min(from), from),
            Direction::Any => (min.min(from), max.max(from)),
        }
    }

    /// Whether a feature that may change takes separate values alone: categories, whole numbers, steps.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn is_discrete(&self, feature: usize) -> bool {
        let bound = &self.bound[feature];
        let described = self.features.iter().nth(feature).map(|feature| &feature.kind);
        bound.integer || bound.step.is_some() || matches!(described, Some(Kind::Categorical { .. }))
    }

    /// The value closest to `to` that a feature may have when it has `from` in the instance; `from` itself where no
    /// other is found. Numbers, or codes of categories.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "a value is kept when it is the same number")]
    pub fn nearest(&self, feature: usize, from: f64, to: f64) -> f64 {
        let closer = |best: f64, value: f64| {
            let allowed = self.broken(feature, from, value).is_none();
            if allowed && (value - to).abs() < (best - to).abs() { value } else { best }
        };
        let kind = self.features.iter().nth(feature).map(|feature| &feature.kind);
        if let Some(Kind::Categorical { categories, .. }) = kind {
            return (0..categories.len()).map(|code| code as f64).fold(from, closer);
        }
        if to == from || self.broken(feature, from, to).is_none() {
            return to;
        }
        let bound = &self.bound[feature];
        let (min, max) = bound.range;
        let (lower, upper) = self.limits(feature, from);
        let inside = to.max(lower.max(min)).min(upper.min(max));
        let mut candidates = vec![inside, inside.floor(), inside.ceil()];
        if let Some(step) = bound.step {
            let steps = ((inside - from) / step).round();
            candidates.extend((-8..=8).map(|k: i8| from + (steps + f64::from(k)) * step));
            if bound.integer {
                // Steps that are no whole numbers themselves meet whole numbers to nine digits.
                let whole: Vec<f64> = candidates.iter().map(|value| value.round()).collect();
                candidates.extend(whole);
            }
        }
        candidates.into_iter().fold(from, closer)
    }

    /// The allowed values next to `current` of a numeric feature that has `from` in the instance: one below, one above, `current`
    /// where there is none.
    ///
    /// # Panics
    /// When there is no such feature.
    #[must_use]
    pub fn steps_around(&self, feature: usize, from: f64, current: f64) -> [f64; 2] {
        let step = self.bound[feature].step.unwrap_or(1.0);
        [current - step, current + step].map(|to| {
            let allowed = self.broken(feature, from, to).is_none();
            if allowed { to } else { current }
        })
    }

    /// Everything that is wrong with a row that was made of an instance, in the order of the features; nothing when
    /// all is well. Both have shape `(n_columns,)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when either has another width than the table.
    pub fn violations(&self, instance: &Row, row: &Row) -> Result<Vec<Violation>> {
        let width = [self.features.n_columns()];
        same_shape("the instance", &width, instance.shape())?;
        same_shape("the changed row", &width, row.shape())?;
        let mut violations = Vec::new();
        let mut changed = Vec::new();
        for (index, feature) in self.features.iter().enumerate() {
            if self.is_kept(index, instance, row) {
                continue;
            }
            changed.push(feature.name.clone());
            let value = |row| self.features.value(index, row);
            let broken = match (value(instance), value(row)) {
                (_, None) => Some(Rule::Valid),
                // What an instance without a valid code changed from is no code: only the new one can be judged.
                (from, Some(to)) => self.broken(index, from.unwrap_or(f64::NAN), to),
            };
            violations.extend(broken.map(|rule| Violation {
                feature: Some(feature.name.clone()),
                rule,
                from: self.features.describe(index, instance),
                to: self.features.describe(index, row),
            }));
        }
        if let Some(most) = self.max_changes.filter(|&most| most < changed.len()) {
            let (from, to) = (String::new(), changed.join(", "));
            violations.push(Violation { feature: None, rule: Rule::MaxChanges(most), from, to });
        }
        Ok(violations)
    }

    /// The cost of the way from an instance to a row: the sum over the features of `cost * |change| / scale`, a change
    /// of category counting 1. Both have shape `(n_columns,)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when either has another width than the table.
    pub fn cost(&self, instance: &Row, row: &Row) -> Result<f64> {
        let width = [self.features.n_columns()];
        same_shape("the instance", &width, instance.shape())?;
        same_shape("the changed row", &width, row.shape())?;
        let cost = |(index, feature): (usize, &Feature)| match &feature.kind {
            _ if self.is_kept(index, instance, row) => 0.0,
            Kind::Numeric => {
                let column = self.features.columns(index).start;
                self.weight(index) * (instance[column] - row[column]).abs()
            }
            Kind::Categorical { .. } => self.weight(index),
        };
        Ok(self.features.iter().enumerate().map(cost).sum())
    }

    /// Whether a feature has the same cells in both rows.
    #[allow(clippy::float_cmp, reason = "a cell is kept when it is the same number")]
    fn is_kept(&self, feature: usize, instance: &Row, row: &Row) -> bool {
        self.features.columns(feature).all(|column| instance[column] == row[column])
    }
}
