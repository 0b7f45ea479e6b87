//! What the methods of anchors have in common.

use serde::Serialize;
use xai_anchors::Output;
use xai_core::{Meta, OutputNames};

/// What an anchor says, for a title.
pub(super) struct Anchor<'a, S> {
    /// What the model decides.
    pub(super) decision: String,
    /// The conditions.
    pub(super) conditions: &'a [String],
    /// How the search ended.
    pub(super) status: S,
    /// Whether the anchor is as precise as it must be.
    pub(super) is_valid: bool,
}

impl<S: Serialize> Anchor<'_, S> {
    /// The anchor in words, with what the model decides and how the search ended.
    pub(super) fn title(&self) -> String {
        let Anchor { decision, conditions, status, is_valid } = self;
        let anchor = joined(conditions);
        let status = serde_json::to_value(status).unwrap_or_default();
        match status.as_str() {
            Some("found") => format!("{decision} if {anchor}"),
            Some("empty") => format!("{decision}, whatever is held"),
            _ if *is_valid => format!("{decision} if {anchor}, by the time the search ended"),
            _ => format!("{decision}, no anchor; the most precise was: {anchor}"),
        }
    }
}

/// Conditions in words.
pub(super) fn joined(conditions: &[String]) -> String {
    match conditions {
        [] => "anything".to_owned(),
        conditions => conditions.join(" AND "),
    }
}

/// How the settings of an explanation read the outputs of the model.
#[cfg(any(feature = "text", feature = "image"))]
pub(super) fn output_of(meta: &Meta) -> Output {
    let output = meta.params.get("output").cloned().unwrap_or_default();
    serde_json::from_value(output).unwrap_or_default()
}

/// What the model decides, with the names of its outputs where there are some.
pub(super) fn decision(output: &Output, decision: f64, outputs: &OutputNames) -> String {
    let names = outputs.as_slice();
    let name =
        |output: usize| names.get(output).cloned().unwrap_or_else(|| format!("output {output}"));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "classes and bins are counted from 0"
    )]
    let index = decision as usize;
    match output {
        Output::Proba => name(index),
        Output::Auto if 1 < names.len() => name(index),
        Output::Auto | Output::Label => format!("class {decision}"),
        Output::Bins { edges, target } => {
            let name = name(*target);
            match (index.checked_sub(1).map(|below| edges[below]), edges.get(index)) {
                (Some(lower), Some(upper)) => format!("{lower} <= {name} < {upper}"),
                (Some(lower), None) => format!("{name} >= {lower}"),
                (None, Some(upper)) => format!("{name} < {upper}"),
                (None, None) => format!("any {name}"),
            }
        }
        Output::Within { tolerance, target } => {
            format!("{} within {tolerance} of {decision}", name(*target))
        }
    }
}
