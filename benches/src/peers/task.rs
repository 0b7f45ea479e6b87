//! What a task compares, and with whom.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the page says about a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskAbout {
    /// The name, as in `--only`.
    pub name: String,
    /// The heading.
    pub title: String,
    /// Sentences.
    pub about: Vec<String>,
    /// What is compared.
    pub measure: Measure,
    /// Whether the sides run on one thread alone, and seconds are those of the processor instead of the wall clock.
    #[serde(default)]
    pub processor_time: bool,
    /// The most memory that ours may take at its peak, in bytes.
    pub memory_goal: Option<u64>,
}

/// What a task compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Time, and what the answers are worth, at default settings.
    Speed,
    /// Squared error at equal numbers of coalitions.
    Error,
}

/// A peer with a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// The peer: its runner is `PEER_runner.py`.
    pub peer: String,
    /// One of the methods that the runner knows.
    pub method: String,
    /// How many of the instances it is given.
    pub instances: usize,
    /// How ours should compare with it on one thread.
    pub goals: Vec<Goal>,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.peer, self.method)
    }
}

/// A relation between ours and a peer that is hoped for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What is divided by what.
    pub ratio: Ratio,
    /// Where the quotient should lie.
    pub bound: Bound,
}

/// A quotient of ours and a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ratio {
    /// Their time over ours.
    Speed,
    /// Our queries over theirs.
    Queries,
    /// Our quality of this name over theirs.
    Quality(String),
}

/// A one-sided bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// From below.
    AtLeast(f64),
    /// From above.
    AtMost(f64),
}

impl Bound {
    /// Whether a number lies within it; nothing does when it is not known.
    #[must_use]
    pub fn holds(self, number: Option<f64>) -> bool {
        number.is_some_and(|number| match self {
            Bound::AtLeast(least) => least <= number,
            Bound::AtMost(most) => number <= most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_on_their_side_and_for_no_missing_number() {
        for (bound, number, expected) in [
            (Bound::AtLeast(1.1), Some(1.1), true),
            (Bound::AtLeast(1.1), Some(1.0), false),
            (Bound::AtMost(1.0), Some(1.0), true),
            (Bound::AtMost(1.0), Some(1.01), false),
            (Bound::AtLeast(0.0), Some(f64::NAN), false),
            (Bound::AtMost(1.0), None, false),
        ] {
            assert_eq!(bound.holds(number), expected, "{bound:?} {number:?}");
        }
    }
}
