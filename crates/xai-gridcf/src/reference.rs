//! The search of FAT Forensics 0.1.2, where it differs: `semantics = "reference"`.

use std::collections::BTreeMap;

use xai_core::constraints::Constraints;
use xai_core::tabular::FeatureKey;
use xai_core::{AsJson, ParamError, require};

use crate::grid::{Anchor, RangeSteps, value_count};
use crate::ranges::FeatureRange;
use crate::rules::SearchRules;

/// The choices of the reference.
pub(crate) fn rules() -> SearchRules {
    SearchRules {
        steps: half_open,
        parts_compete: true,
        searches_same_class: true,
        accepts_unknown_class: true,
        // A tie is a change of class.
        keeps_margin: false,
        orders_by_length: false,
    }
}

/// Refuses settings that the reference does not have.
pub(crate) fn validate(
    constraints: &Constraints,
    anchor: Anchor,
    prune_supersets: bool,
    feature_ranges: &BTreeMap<FeatureKey, FeatureRange>,
) -> Result<(), ParamError> {
    let rule = "left out with the reference semantics, which know none";
    require(*constraints == Constraints::default(), "constraints", rule, AsJson(constraints))?;
    let rule = "\"min\" with the reference semantics";
    require(anchor == Anchor::Min, "anchor", rule, AsJson(&anchor))?;
    let rule = "false with the reference semantics";
    require(!prune_supersets, "prune_supersets", rule, true)?;
    feature_ranges.iter().try_for_each(|(key, range)| match range {
        FeatureRange::List(_) => Ok(()),
        FeatureRange::Grid(grid) => {
            let key = key.as_str();
            let rule = format!("a minimum and a maximum for `{key}` with the reference semantics");
            require(false, "feature_ranges", rule, AsJson(grid))
        }
    })
}

/// The reference's values, those of `numpy.arange`: `max` is left out, the second value rounds `min + step`, and the
/// others are multiples of what lies between the first two.
fn half_open(range: &RangeSteps) -> Vec<f64> {
    let &RangeSteps { min, max, step, .. } = range;
    let second = min + step;
    let delta = second - min;
    (0..value_count(((max - min) / step).ceil()))
        .map(|place| if place == 1 { second } else { min + place as f64 * delta })
        .collect()
}
