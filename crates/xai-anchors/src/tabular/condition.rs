//! Predicates and conditions on one feature.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use xai_core::Seed;

/// The conjunction of predicates on one feature, by index of category or edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// It is the category of this code.
    Code(usize),
    /// It is above one edge and up to another; a number in any case.
    Range { lower: Option<usize>, upper: Option<usize> },
    /// It is missing.
    Missing,
}

/// One predicate of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicate {
    pub feature: usize,
    pub test: Test,
}

/// How a predicate tests its feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Equal(usize),
    AtMost(usize),
    Above(usize),
    Missing,
    Present,
}

impl Test {
    pub(crate) fn condition(self) -> Condition {
        match self {
            Test::Equal(code) => Condition::Code(code),
            Test::AtMost(edge) => Condition::Range { lower: None, upper: Some(edge) },
            Test::Above(edge) => Condition::Range { lower: Some(edge), upper: None },
            Test::Present => Condition::Range { lower: None, upper: None },
            Test::Missing => Condition::Missing,
        }
    }
}

impl Condition {
    /// Both conditions; they come from one instance, so that both can hold.
    pub(crate) fn and(self, other: Condition) -> Condition {
        match (self, other) {
            (
                Condition::Range { lower, upper },
                Condition::Range { lower: other_lower, upper: other_upper },
            ) => Condition::Range {
                lower: lower.max(other_lower),
                upper: upper.into_iter().chain(other_upper).min(),
            },
            _ => self,
        }
    }

    /// A number for each condition of a feature.
    fn label(self) -> u64 {
        let place = |edge: Option<usize>| edge.map_or(0, |edge| edge as u64 + 1);
        match self {
            Condition::Code(code) => code as u64,
            Condition::Range { lower, upper } => place(lower) << 32 | place(upper),
            Condition::Missing => u64::MAX,
        }
    }
}

/// The conditions that predicates amount to, in the order in which their features first appear.
pub(crate) fn merge(predicates: impl IntoIterator<Item = Predicate>) -> Vec<(usize, Condition)> {
    let mut merged: Vec<(usize, Condition)> = Vec::new();
    for Predicate { feature, test } in predicates {
        match merged.iter_mut().find(|(known, _)| *known == feature) {
            Some((_, condition)) => *condition = condition.and(test.condition()),
            None => merged.push((feature, test.condition())),
        }
    }
    merged
}

/// The seed of conditions, whatever their order.
pub(crate) fn seed_of(conditions: &[(usize, Condition)], root: Seed) -> Seed {
    let mut sorted = conditions.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().fold(root, |seed, (feature, condition)| {
        seed.child(feature as u64).child(condition.label())
    })
}

/// How a predicate compares its feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operator {
    /// Is the category of the code.
    Eq,
    /// Is at most the edge.
    Le,
    /// Is above the edge.
    Gt,
    /// Is missing.
    Missing,
    /// Is not missing.
    Present,
}
