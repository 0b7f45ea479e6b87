//! What people see of changed rows, whichever method changed them.

use xai_cem::Status;
use xai_core::figure::{Figure, Panel, Table};

use crate::text;

/// The name of a class, where each class has an output with a name.
pub(super) fn class(class: usize, outputs: &[String]) -> String {
    let named = outputs.get(class).filter(|_| 1 < outputs.len());
    named.cloned().unwrap_or_else(|| format!("class {class}"))
}

/// How the search for one row ended.
pub(super) struct End {
    pub(super) status: Status,
    /// How far the answer is, where there is one.
    pub(super) distance: Option<f64>,
    /// Features that differ in it.
    pub(super) n_changes: usize,
}

/// How the searches for several rows ended.
pub(super) fn summary(ends: impl Iterator<Item = End>) -> Figure {
    let statuses = [
        (Status::Found, "found"),
        (Status::EmptyPp, "empty"),
        (Status::GradientVanished, "gradient vanished"),
        (Status::TargetNotReached, "target not reached"),
        (Status::RangeInfeasible, "range infeasible"),
        (Status::TrustRejected, "trust rejected"),
        (Status::Budget, "budget exhausted"),
    ];
    let ends: Vec<End> = ends.collect();
    let mut rows = Vec::new();
    for (status, name) in statuses {
        let own: Vec<&End> = ends.iter().filter(|end| end.status == status).collect();
        if own.is_empty() {
            continue;
        }
        let found: Vec<f64> = own.iter().filter_map(|end| end.distance).collect();
        let mean = |sum: f64| sum / found.len() as f64;
        let [distance, changes] = if found.is_empty() {
            [String::new(), String::new()]
        } else {
            let distance = mean(found.iter().sum());
            let n_changes: usize = own.iter().map(|end| end.n_changes).sum();
            let decimals = text::decimals(distance);
            [format!("{distance:.decimals$}"), format!("{:.1}", mean(n_changes as f64))]
        };
        rows.push(vec![name.to_owned(), own.len().to_string(), distance, changes]);
    }
    let columns = ["status", "rows", "mean distance", "mean changed features"];
    let table = Table {
        title: "How the searches ended".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    };
    Figure { title: format!("Searches of {} rows", ends.len()), panels: vec![Panel::Table(table)] }
}
