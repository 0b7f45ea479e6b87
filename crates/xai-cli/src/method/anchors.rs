//! What the methods of anchors say alike.

use xai_anchors::{Output, Status};

/// An anchor in words, with what the model decides and how the search ended.
pub(super) fn title(
    decision: &str,
    anchor: &[String],
    (status, is_valid): (Status, bool),
) -> String {
    let anchor = conditions(anchor);
    match status {
        Status::Found => format!("{decision} if {anchor}"),
        Status::Empty => format!("{decision}, whatever is held"),
        _ if is_valid => format!("{decision} if {anchor}, by the time the search ended"),
        _ => format!("{decision}, no anchor; the most precise was: {anchor}"),
    }
}

/// What an anchor holds.
pub(super) fn conditions(anchor: &[String]) -> String {
    match anchor {
        [] => "anything".to_owned(),
        anchor => anchor.join(" AND "),
    }
}

/// What the model decides, with the names of its outputs where there are some.
pub(super) fn decision((output, decision): (&Output, f64), outputs: &[String]) -> String {
    let name =
        |output: usize| outputs.get(output).cloned().unwrap_or_else(|| format!("output {output}"));
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "classes and bins are counted from 0"
    )]
    let index = decision as usize;
    match output {
        Output::Proba => name(index),
        Output::Auto if 1 < outputs.len() => name(index),
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
