//! What people see of changed rows, whichever method changed them.

use ndarray::Array1;
use xai_core::figure::{Figure, Panel, Table};
use xai_core::optim::Status;

use crate::text;

/// The name of a class, where each class has an output with a name.
pub(super) fn class(class: usize, outputs: &[String]) -> String {
    let named = outputs.get(class).filter(|_| 1 < outputs.len());
    named.cloned().unwrap_or_else(|| format!("class {class}"))
}

/// A method's figure whose tables of features also say by how much a number moved, from the first row to the second.
pub(super) fn figure(
    mut figure: Figure,
    feature_names: &[String],
    moved: Option<(&Array1<f64>, &Array1<f64>)>,
) -> Figure {
    let Some((from, to)) = moved else { return figure };
    let change = to - from;
    let decimals = text::decimals(change.iter().fold(0.0, |most, own| f64::max(most, own.abs())));
    for panel in &mut figure.panels {
        let Panel::Table(table) = panel else { continue };
        // Feature, value before, value after.
        if table.columns.len() != 3 {
            continue;
        }
        table.columns.insert(2, "change".to_owned());
        for row in &mut table.rows {
            let place = feature_names.iter().position(|name| *name == row[0]);
            let number = row[1].parse::<f64>().ok().and(place).map(|place| change[place]);
            let cell = number.map_or(String::new(), |number| format!("{number:+.decimals$}"));
            row.insert(2, cell);
        }
    }
    figure
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
