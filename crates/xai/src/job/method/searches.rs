//! What the methods that search have in common.

use std::collections::BTreeMap;

use serde::Serialize;
use xai_core::figure::Table;
#[cfg(any(feature = "cem", feature = "cfproto", feature = "counterfactual"))]
use xai_core::figure::{Figure, Panel, decimals};

/// Searches by how they ended: those that found something first.
pub(super) fn by_status<S, T: Serialize>(
    searches: &[S],
    status: impl Fn(&S) -> &T,
) -> Vec<(String, Vec<&S>)> {
    let mut groups: BTreeMap<String, Vec<&S>> = BTreeMap::new();
    for search in searches {
        let word = serde_json::to_value(status(search)).ok();
        let word = word.as_ref().and_then(|word| word.as_str()).unwrap_or_default();
        groups.entry(word.replace(['-', '_'], " ")).or_default().push(search);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(word, _)| word != "found");
    groups
}

/// A table of how searches ended.
pub(super) fn table_of_statuses(columns: [&str; 4], rows: Vec<Vec<String>>) -> Table {
    Table {
        title: "How the searches ended".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows,
    }
}

/// How the search for one row ended.
#[cfg(any(feature = "cem", feature = "cfproto", feature = "counterfactual"))]
pub(super) struct Ended<T> {
    pub(super) status: T,
    /// How far the answer is, where there is one.
    pub(super) distance: Option<f64>,
    /// Features that differ in it.
    pub(super) n_changes: usize,
}

/// How the searches for several rows ended.
#[cfg(any(feature = "cem", feature = "cfproto", feature = "counterfactual"))]
pub(super) fn summary<T: Serialize>(searches: impl Iterator<Item = Ended<T>>) -> Figure {
    let searches: Vec<Ended<T>> = searches.collect();
    let row = |(status, alike): (String, Vec<&Ended<T>>)| {
        let found: Vec<f64> = alike.iter().filter_map(|search| search.distance).collect();
        let mean = |sum: f64| sum / found.len() as f64;
        let [distance, changes] = if found.is_empty() {
            [String::new(), String::new()]
        } else {
            let distance = mean(found.iter().sum());
            let n_changes: usize = alike.iter().map(|search| search.n_changes).sum();
            let decimals = decimals(distance);
            [format!("{distance:.decimals$}"), format!("{:.1}", mean(n_changes as f64))]
        };
        vec![status, alike.len().to_string(), distance, changes]
    };
    let groups = by_status(&searches, |search| &search.status);
    let columns = ["status", "rows", "mean distance", "mean changed features"];
    let table = table_of_statuses(columns, groups.into_iter().map(row).collect());
    let title = format!("Searches of {} rows", searches.len());
    Figure { title, panels: vec![Panel::Table(table)] }
}
