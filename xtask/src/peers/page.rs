//! The page of the book, from the recorded results.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Measure;
use super::results::{Comparison, ErrorCell, Results, Threads};
use super::statistics::{Spread, geometric_mean};

/// How the comparison is made, for all tasks.
const HEAD: &str = "\
# Comparison with peers

This page is written by `cargo xtask peers run` from the records in `docs/bench/peers`.

Every side reads the same file with the model's weights, the background and the instances, and makes its own float64 predictor of it.
Each run is a process of its own, warms up with one instance outside the clock, and counts the rows that its predictor is asked for.
In tasks about speed ours and the peer take turns, and the ratio of each pair of turns counts: their time for one instance over ours.
One thread means that all libraries of both sides are told so; a ratio is a median with the smallest and the largest beside it.
Ours is measured anew beside each contender and stands once in a table, from the turns with the first; on a busy machine only the ratios compare.
The gap is the largest distance between a prediction and the sum of expected value and values.
";

/// How to repeat it.
const TAIL: &str = "
## How to repeat it

```text
cargo xtask peers setup
cargo xtask peers run --adult FOLDER
```

The first command makes a Python environment for each peer from the pinned requirements in `benches/peers`, the second runs all tasks; `--only NAME` runs one.
The Adult data are not part of the repository; without `--adult` the cases that need them are left out.
";

/// The page about these results.
#[must_use]
pub fn render(all: &[Results]) -> String {
    let mut page = HEAD.to_owned();
    for results in all {
        let task = &results.task;
        page += &format!("\n## {}\n\n", task.title);
        task.about.iter().for_each(|sentence| page += &format!("{sentence}\n"));
        page += &match task.measure {
            Measure::Speed => speed(results),
            Measure::Error => errors(&results.errors),
        };
        page += &setting(results);
    }
    page + TAIL
}

/// Machine, versions and commit in sentences.
fn setting(results: &Results) -> String {
    let setting = &results.setting;
    let versions: Vec<String> =
        setting.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "\nTask `{}`, {}, machine: {} with {} threads{}, commit `{}`{}{}.\n",
        results.task.name,
        match results.repetitions {
            1 => "1 repetition".to_owned(),
            n => format!("{n} repetitions"),
        },
        setting.processor,
        setting.threads,
        setting
            .load
            .map_or_else(String::new, |load| format!(", load average {load:.1} at the start")),
        setting.commit,
        if versions.is_empty() { "" } else { ", " },
        versions.join(", "),
    )
}

fn speed(results: &Results) -> String {
    let mut text = "\n| case | threads | method | ms per instance | their time / ours | queries | peak memory, MB | in the model | squared error | gap |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n".to_owned();
    // Ours was measured beside each contender: once in the table is enough.
    let mut told = BTreeSet::new();
    for comparison in &results.speed {
        let Comparison { case, threads, ours, peer } = comparison;
        let threads = match threads {
            Threads::One => "one",
            Threads::All => "all",
        };
        let mut row = |method: &str, ratio: String, cost: &super::results::Cost| {
            text += &format!(
                "| {case} | {threads} | {method} | {} | {ratio} | {:.0} | {:.0} | {:.0} % | {} | {:.0e} |\n",
                number(cost.milliseconds.median),
                cost.queries,
                cost.peak_memory_bytes as f64 * 1e-6,
                100.0 * cost.model_share.median,
                cost.squared_error.map_or_else(String::new, |error| format!("{error:.1e}")),
                cost.largest_gap,
            );
        };
        if told.insert((case, threads)) {
            row("ours", String::new(), ours);
        }
        if let Some(peer) = peer {
            let method = format!("{}, {}", peer.contender.peer, peer.contender.method);
            row(&method, spread(&peer.ratio), &peer.cost);
        }
    }
    text + &goals(results)
}

/// What was hoped for, and whether it came true.
fn goals(results: &Results) -> String {
    let mut text = String::new();
    for comparison in &results.speed {
        let Some(peer) = &comparison.peer else { continue };
        let (Some(goal), Threads::One) = (peer.contender.goal, comparison.threads) else {
            continue;
        };
        text += &format!(
            "Goal: {} times as fast as {}, {} in case `{}` on one thread; measured: {}, {}.\n",
            number(goal),
            peer.contender.peer,
            peer.contender.method,
            comparison.case,
            number(peer.ratio.median),
            verdict(goal <= peer.ratio.median),
        );
    }
    let peak = results.speed.iter().map(|comparison| comparison.ours.peak_memory_bytes).max();
    if let (Some(goal), Some(peak)) = (results.task.memory_goal, peak) {
        let (goal, peak) = (goal as f64 * 1e-6, peak as f64 * 1e-6);
        text += &format!(
            "Goal: at most {goal:.0} MB for ours; measured: {peak:.0} MB, {}.\n",
            verdict(peak <= goal),
        );
    }
    let rates = results.speed.iter().filter(|comparison| comparison.peer.is_none());
    for comparison in rates {
        let threads = if comparison.threads == Threads::One { "one thread" } else { "all threads" };
        text += &format!(
            "Case `{}` on {threads}: {:.0} instances per second.\n",
            comparison.case,
            1e3 / comparison.ours.milliseconds.median,
        );
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// One table for each budget; its last columns say how many times our error a method has.
fn errors(cells: &[ErrorCell]) -> String {
    let budgets: BTreeSet<u64> = cells.iter().map(|cell| cell.per_player).collect();
    let mut text = String::new();
    for budget in budgets {
        let cells: Vec<&ErrorCell> = cells.iter().filter(|c| c.per_player == budget).collect();
        text += &format!("\n{budget} coalitions per player:\n\n{}", errors_at(&cells));
    }
    let uncertain: BTreeMap<&str, f64> = cells
        .iter()
        .filter(|cell| 0.0 < cell.of_truth)
        .map(|cell| (cell.case.as_str(), cell.of_truth))
        .collect();
    if !uncertain.is_empty() {
        text.push('\n');
    }
    for (case, error) in uncertain {
        text += &format!(
            "The true values of `{case}` are themselves sampled, with a squared error of {error:.1e}; all others are exact.\n"
        );
    }
    text
}

fn errors_at(cells: &[&ErrorCell]) -> String {
    let (mut cases, mut methods) = (Vec::new(), Vec::new());
    for cell in cells {
        if !cases.contains(&&cell.case) {
            cases.push(&cell.case);
        }
        if !methods.contains(&(&cell.peer, &cell.method)) {
            methods.push((&cell.peer, &cell.method));
        }
    }
    let find = |case: &str, peer: &str, method: &str| {
        let mut of_case = cells.iter().filter(|cell| cell.case == case);
        of_case.find(|cell| cell.peer == peer && cell.method == method)?.squared_error
    };
    let ours = |case: &str| {
        let mut of_case = cells.iter().filter(|cell| cell.case == case);
        of_case.find(|cell| cell.peer == "ours")?.squared_error
    };
    let mut text = "| method |".to_owned();
    cases.iter().for_each(|case| text += &format!(" {case} |"));
    text += " error / ours, geometric mean |\n| --- |";
    text += &" --- |".repeat(cases.len() + 1);
    text.push('\n');
    let mut rows = Vec::new();
    for (peer, method) in methods {
        let mut row = format!("| {peer}, {method} |");
        let mut ratios = Vec::new();
        for case in &cases {
            let error = find(case, peer, method);
            row += &error.map_or_else(|| " failed |".to_owned(), |error| format!(" {error:.1e} |"));
            ratios.extend(error.zip(ours(case)).map(|(error, ours)| error / ours));
        }
        let ratio = geometric_mean(&ratios);
        rows.push((ratio, format!("{row} {ratio:.2} |\n")));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().for_each(|(_, row)| text += &row);
    text
}

/// `8.2 (7.9 to 9.1)`.
fn spread(spread: &Spread) -> String {
    format!("{} ({} to {})", number(spread.median), number(spread.min), number(spread.max))
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        large if 100.0 <= large => format!("{value:.0}"),
        medium if 10.0 <= medium => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::case::{Contender, Task};
    use crate::peers::results::{Cost, PeerCost, Setting};

    fn cost(milliseconds: f64, squared_error: f64) -> Cost {
        let one = |number| Spread { median: number, min: number, max: number };
        Cost {
            milliseconds: one(milliseconds),
            model_share: one(0.5),
            queries: 2048.0,
            peak_memory_bytes: 50_000_000,
            idle_memory_bytes: 3_000_000,
            squared_error: Some(squared_error),
            largest_gap: 1e-15,
        }
    }

    fn results(measure: Measure) -> Results {
        let setting = Setting {
            processor: "A Processor".to_owned(),
            threads: 2,
            load: Some(0.25),
            commit: "0123abc".to_owned(),
            versions: BTreeMap::from([("shap".to_owned(), "0.54.1".to_owned())]),
        };
        let task = Task {
            name: "a-task".to_owned(),
            title: "A task".to_owned(),
            about: vec!["What it is.".to_owned()],
            measure,
            memory_goal: Some(49_000_000),
        };
        let contender = Contender {
            peer: "shap".to_owned(),
            method: "default".to_owned(),
            instances: 3,
            goal: Some(20.0),
        };
        let ratio = Spread { median: 25.0, min: 9.0, max: 130.4 };
        let comparison = || Comparison {
            case: "small".to_owned(),
            threads: Threads::One,
            ours: cost(4.0, 0.0),
            peer: Some(PeerCost { contender: contender.clone(), ratio, cost: cost(100.0, 2.5e-3) }),
        };
        let cell = |case: &str, peer: &str, squared_error| ErrorCell {
            case: case.to_owned(),
            per_player: 8,
            peer: peer.to_owned(),
            method: "m".to_owned(),
            squared_error,
            queries: 1.0,
            milliseconds: 1.0,
            of_truth: 0.0,
        };
        let errors = vec![
            cell("a", "ours", Some(1e-3)),
            cell("a", "worse", Some(4e-3)),
            cell("a", "better", Some(5e-4)),
            cell("b", "ours", Some(1e-2)),
            cell("b", "worse", Some(9e-2)),
            cell("b", "better", None),
        ];
        Results { task, setting, repetitions: 5, speed: vec![comparison(), comparison()], errors }
    }

    #[test]
    fn ratios_and_goals_stand_on_the_page() {
        let page = render(&[results(Measure::Speed)]);
        for expected in [
            "## A task\n\nWhat it is.\n",
            "| small | one | ours | 4.00 |  | 2048 | 50 | 50 % | 0.0e0 | 1e-15 |\n",
            "| small | one | shap, default | 100 | 25.0 (9.00 to 130) | 2048 | 50 | 50 % | 2.5e-3 |",
            "Goal: 20.0 times as fast as shap, default in case `small` on one thread; measured: 25.0, met.\n",
            "Goal: at most 49 MB for ours; measured: 50 MB, missed.\n",
            "5 repetitions, machine: A Processor with 2 threads, load average 0.2 at the start, commit `0123abc`, shap 0.54.1.\n",
        ] {
            assert!(page.contains(expected), "{expected}\nis missing in\n{page}");
        }
        assert_eq!(page.matches("| ours |").count(), 1, "ours stands once per case and threads");
    }

    #[test]
    fn errors_are_sorted_by_their_ratio_to_ours() {
        let page = render(&[results(Measure::Error)]);
        let expected = "\
| method | a | b | error / ours, geometric mean |
| --- | --- | --- | --- |
| better, m | 5.0e-4 | failed | 0.50 |
| ours, m | 1.0e-3 | 1.0e-2 | 1.00 |
| worse, m | 4.0e-3 | 9.0e-2 | 6.00 |
";
        assert!(page.contains(expected), "{page}");
    }
}
