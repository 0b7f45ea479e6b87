//! The page of the book, from the recorded results.

use std::collections::{BTreeMap, BTreeSet};

use super::results::{Comparison, Cost, ErrorCell, PeerCost, Results, Threads};
use super::statistics::{Spread, geometric_mean};
use crate::peers::{Bound, Goal, Measure, Ratio};

/// How the comparison is made, for all tasks.
const HEAD: &str = "\
# Comparison with peers

This page is written by `cargo xtask peers run` from the records in `docs/bench/peers`.

Every side reads the same file with the model's weights, the background or the training rows, and the instances, and makes a float64 predictor of it.
Each run is a separate process, warms up with one instance outside the clock, and counts the calls of its predictor and their rows.
In tasks about speed ours and the peer take turns, and the ratio of each pair of turns counts: their time for one instance over ours.
One thread means that the libraries of both sides are limited to one; a ratio is a median with the smallest and the largest beside it.
Ours is measured anew beside each contender and stands once in a table, from the turns with the first; on a busy machine only the ratios compare.
Queries are the rows that the predictor was asked for and calls its calls, both for one instance.
What the answers are worth is judged for both sides by the same program.
The gap is the largest distance between a prediction and the sum of expected value and values.
A commit whose name ends in `-dirty` had changes that were not committed when it was measured; such figures stand until the task is measured again.
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
    let costs = || results.speed.iter().flat_map(Comparison::costs);
    let counts_calls = costs().any(|cost| cost.calls.is_some());
    let mut qualities: Vec<&str> = Vec::new();
    for (name, _) in costs().flat_map(|cost| &cost.qualities) {
        if !qualities.contains(&name.as_str()) {
            qualities.push(name);
        }
    }
    let mut columns =
        vec!["case", "threads", "method", "ms per instance", "their time / ours", "queries"];
    columns.extend(counts_calls.then_some("calls"));
    columns.extend(["peak memory, MB", "in the model"]);
    columns.extend(&qualities);
    let mut text = format!("\n| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    // Ours was measured beside each contender: once in the table is enough.
    let mut shown = BTreeSet::new();
    for comparison in &results.speed {
        let Comparison { case, ours, peer, .. } = comparison;
        let threads = match comparison.threads {
            Threads::One => "one",
            Threads::All => "all",
        };
        let mut row = |method: &str, ratio: String, cost: &Cost| {
            // A peer that runs its model itself reports neither its queries nor their time.
            let counted = |text: String| if 0.0 < cost.queries { text } else { String::new() };
            let mut cells = vec![
                case.clone(),
                threads.to_owned(),
                method.to_owned(),
                number(cost.milliseconds.median),
                ratio,
                counted(format!("{:.0}", cost.queries)),
            ];
            let calls = || cost.calls.map_or_else(String::new, |calls| format!("{calls:.0}"));
            cells.extend(counts_calls.then(|| counted(calls())));
            cells.push(format!("{:.0}", cost.peak_memory_bytes as f64 * 1e-6));
            cells.push(counted(format!("{:.0} %", 100.0 * cost.model_share.median)));
            let of_name = |name: &&str| cost.quality(name).map_or_else(String::new, quality);
            cells.extend(qualities.iter().map(of_name));
            text += &format!("| {} |\n", cells.join(" | "));
        };
        if shown.insert((case, threads)) {
            row("ours", String::new(), ours);
        }
        if let Some(peer) = peer {
            row(&peer.contender.to_string(), spread(&peer.ratio), &peer.cost);
        }
    }
    text + &goals(results)
}

/// What was hoped for, and whether it came true.
fn goals(results: &Results) -> String {
    let mut text = String::new();
    let on_one = || results.speed.iter().filter(|comparison| comparison.threads == Threads::One);
    for comparison in on_one() {
        let Some(peer) = &comparison.peer else { continue };
        for goal in &peer.contender.goals {
            text += &goal_beside(comparison, peer, goal);
        }
    }
    let mut shown = BTreeSet::new();
    for comparison in on_one() {
        let Some(goal) = comparison.model_share_goal else { continue };
        if shown.insert(&comparison.case) {
            let share = comparison.ours.model_share.median;
            text += &format!(
                "Goal: at least {:.0} % of our time in the model in case `{}` on one thread; measured: {:.0} %, {}.\n",
                100.0 * goal,
                comparison.case,
                100.0 * share,
                verdict(goal <= share),
            );
        }
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

/// A goal that compares ours with a peer.
fn goal_beside(comparison: &Comparison, peer: &PeerCost, goal: &Goal) -> String {
    let ours = &comparison.ours;
    let measured = match &goal.ratio {
        Ratio::Speed => Some(peer.ratio.median),
        Ratio::Queries => Some(ours.queries / peer.cost.queries),
        Ratio::Quality(name) => {
            ours.quality(name).zip(peer.cost.quality(name)).map(|(ours, theirs)| ours / theirs)
        }
    };
    let times = match goal.bound {
        Bound::AtLeast(least) => format!("at least {} times", number(least)),
        Bound::AtMost(most) => format!("at most {} times", number(most)),
    };
    let who = &peer.contender;
    let hoped = match (&goal.ratio, goal.bound) {
        (Ratio::Speed, Bound::AtLeast(least)) => {
            format!("{} times as fast as {who}", number(least))
        }
        (Ratio::Speed, Bound::AtMost(_)) => format!("{times} as fast as {who}"),
        (Ratio::Queries, _) => format!("{times} the queries of {who}"),
        (Ratio::Quality(name), _) => format!("{times} the {name} of {who}"),
    };
    format!(
        "Goal: {hoped} in case `{}` on one thread; measured: {}, {}.\n",
        comparison.case,
        measured.map_or_else(|| "nothing".to_owned(), number),
        verdict(goal.bound.holds(measured)),
    )
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

/// Three decimals for a share, a power of ten for what they would round away.
fn quality(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 1e-2 => format!("{value:.1e}"),
        _ => format!("{value:.3}"),
    }
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
    use crate::peers::comparison::results::Setting;
    use crate::peers::{Contender, TaskAbout};

    fn cost(milliseconds: f64, squared_error: f64) -> Cost {
        let one = |number| Spread { median: number, min: number, max: number };
        Cost {
            milliseconds: one(milliseconds),
            model_share: one(0.5),
            queries: 2048.0,
            calls: None,
            peak_memory_bytes: 50_000_000,
            idle_memory_bytes: 3_000_000,
            qualities: vec![("squared error".to_owned(), squared_error), ("gap".to_owned(), 1e-15)],
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
        let task = TaskAbout {
            name: "a-task".to_owned(),
            title: "A task".to_owned(),
            about: vec!["What it is.".to_owned()],
            measure,
            processor_time: false,
            memory_goal: Some(49_000_000),
        };
        let contender = Contender {
            peer: "shap".to_owned(),
            method: "default".to_owned(),
            instances: 3,
            goals: vec![Goal { ratio: Ratio::Speed, bound: Bound::AtLeast(20.0) }],
        };
        let ratio = Spread { median: 25.0, min: 9.0, max: 130.4 };
        let comparison = || Comparison {
            case: "small".to_owned(),
            threads: Threads::One,
            model_share_goal: None,
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
            "| small | one | ours | 4.00 |  | 2048 | 50 | 50 % | 0 | 1.0e-15 |\n",
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
    fn calls_and_qualities_have_columns_where_a_side_has_them() {
        let mut results = results(Measure::Speed);
        results.speed.truncate(1);
        let comparison = &mut results.speed[0];
        comparison.ours.calls = Some(12.0);
        comparison.ours.qualities = vec![("coverage".to_owned(), 0.25)];
        let peer = comparison.peer.as_mut().unwrap();
        peer.cost.qualities = vec![("found".to_owned(), 1.0)];
        let page = render(&[results]);
        for expected in [
            "| queries | calls | peak memory, MB | in the model | coverage | found |\n",
            "| 2048 | 12 | 50 | 50 % | 0.250 |  |\n",
            "| 2048 |  | 50 | 50 % |  | 1.000 |\n",
        ] {
            assert!(page.contains(expected), "{expected}\nis missing in\n{page}");
        }
    }

    #[test]
    fn goals_are_met_or_missed() {
        let mut results = results(Measure::Speed);
        let goal = |ratio, bound| Goal { ratio, bound };
        for comparison in &mut results.speed {
            comparison.model_share_goal = Some(0.6);
            comparison.ours.queries = 512.0;
            comparison.ours.qualities = vec![("coverage".to_owned(), 0.3)];
            let peer = comparison.peer.as_mut().unwrap();
            peer.cost.qualities = vec![("coverage".to_owned(), 0.25)];
            peer.contender.goals = vec![
                goal(Ratio::Queries, Bound::AtMost(0.25)),
                goal(Ratio::Quality("coverage".to_owned()), Bound::AtLeast(1.25)),
                goal(Ratio::Quality("found".to_owned()), Bound::AtLeast(1.0)),
            ];
        }
        let page = render(&[results]);
        for (expected, times) in [
            (
                "Goal: at most 0.25 times the queries of shap, default in case `small` on one thread; measured: 0.25, met.\n",
                2,
            ),
            (
                "Goal: at least 1.25 times the coverage of shap, default in case `small` on one thread; measured: 1.20, missed.\n",
                2,
            ),
            (
                "Goal: at least 1.00 times the found of shap, default in case `small` on one thread; measured: nothing, missed.\n",
                2,
            ),
            (
                "Goal: at least 60 % of our time in the model in case `small` on one thread; measured: 50 %, missed.\n",
                1,
            ),
        ] {
            assert_eq!(page.matches(expected).count(), times, "{expected}\nin\n{page}");
        }
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
