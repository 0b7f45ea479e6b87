//! Figures as text, for a terminal.

use comfy_table::{Cell, CellAlignment, LineStyle, Row, Table, TableStyle};
use xai_core::figure::{Bars, Figure, Panel, Text};

/// A rule below the heads and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Characters on each side of zero in a bar.
const HALF_WIDTH: usize = 10;

/// The most characters of a line of prose.
const LINE: usize = 100;

/// A figure as text; panels show their first `top` rows and say how many more there are.
#[must_use]
pub fn draw(figure: &Figure, top: usize) -> String {
    let rule = "═".repeat(figure.title.chars().count());
    let mut text = format!("{}\n{rule}\n", figure.title);
    for panel in &figure.panels {
        if let Panel::Text(panel) = panel {
            text += &format!("\n{}\n{}\n", broken(&panel.title), marked(panel));
            continue;
        }
        let (title, table, n_rows) = match panel {
            Panel::Bars(panel) => (&panel.title, bars(panel, top), panel.bars.len()),
            Panel::Table(panel) => (&panel.title, cells(panel, top), panel.rows.len()),
            _ => continue,
        };
        text += &format!("\n{}\n{}\n", broken(title), table.trim_fmt());
        if top < n_rows {
            text += &format!(" and {} more\n", n_rows - top);
        }
    }
    text
}

/// A text whose marked parts stand in brackets, each with its label behind it: `the film is [not](2) [bad](1)`.
/// Lines are broken as sentences are; characters that would move the cursor become spaces.
fn marked(panel: &Text) -> String {
    let mut text = String::new();
    let mut marks = panel.marks.iter().peekable();
    for (place, letter) in panel.text.chars().enumerate() {
        if marks.peek().is_some_and(|mark| mark.start == place) {
            text.push('[');
        }
        let is_shown = letter == '\n' || !letter.is_control();
        text.push(if is_shown { letter } else { ' ' });
        if let Some(mark) = marks.next_if(|mark| mark.end == place + 1) {
            text += &format!("]({})", mark.label);
        }
    }
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| format!(" {}", broken(line).replace('\n', "\n ")))
        .collect();
    lines.join("\n")
}

/// A sentence in lines, broken at spaces; a longer word has a line of its own.
fn broken(sentence: &str) -> String {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in sentence.split(' ') {
        let own = word.chars().count();
        if 0 < length && LINE < length + 1 + own {
            lines.push(String::new());
            length = 0;
        }
        let line = lines.last_mut().expect("there is always a line");
        if 0 < length {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += own;
    }
    lines.join("\n")
}

/// Columns of a table: the first to the left, the others, which are numbers, to the right.
fn cells(panel: &xai_core::figure::Table, top: usize) -> Table {
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate();
        Row::from(cells.map(|(column, text)| cell(text, 0 < column)).collect::<Vec<_>>())
    };
    let mut table = Table::new();
    table.load_style(STYLE).set_header(row(&panel.columns));
    table.add_rows(panel.rows.iter().take(top).map(row));
    table
}

/// Label, detail, length, error and a drawn bar; details and errors only when there are some.
fn bars(panel: &Bars, top: usize) -> Table {
    let has_details = panel.bars.iter().any(|bar| !bar.detail.is_empty());
    let has_errors = panel.bars.iter().any(|bar| bar.error.is_some());
    let longest = panel.bars.iter().fold(0.0_f64, |longest, bar| longest.max(bar.value.abs()));
    let decimals = decimals(longest);

    let row = |label: &str, detail: &str, value: &str, error: &str, drawn: &str| {
        let mut cells = vec![cell(label, false)];
        if has_details {
            cells.push(cell(detail, true));
        }
        cells.push(cell(value, true));
        if has_errors {
            cells.push(cell(error, true));
        }
        cells.push(cell(drawn, false));
        Row::from(cells)
    };
    let mut table = Table::new();
    table.load_style(STYLE).set_header(row("", "value", &panel.unit, "± std. error", ""));
    for bar in panel.bars.iter().take(top) {
        let value = format!("{:+.decimals$}", bar.value);
        let error = match bar.error {
            None => String::new(),
            Some(0.0) => "± 0".to_owned(),
            Some(error) => format!("± {error:.decimals$}"),
        };
        table.add_row(row(&bar.label, &bar.detail, &value, &error, &drawn(bar.value, longest)));
    }
    table
}

fn cell(text: &str, right: bool) -> Cell {
    let alignment = if right { CellAlignment::Right } else { CellAlignment::Left };
    Cell::new(text).set_alignment(alignment)
}

/// Decimals that leave four digits of the longest of some numbers.
pub(crate) fn decimals(longest: f64) -> usize {
    let (mut decimals, mut scaled) = (0, longest);
    while decimals < 12 && 0.0 < scaled && scaled < 1000.0 {
        decimals += 1;
        scaled *= 10.0;
    }
    decimals
}

/// A bar to the left or the right of a line that stands for zero, in steps of half a character; always as wide.
fn drawn(value: f64, longest: f64) -> String {
    let steps = if 0.0 < longest { value.abs() / longest * (2 * HALF_WIDTH) as f64 } else { 0.0 };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and twice the half width"
    )]
    let steps = steps.round() as usize;
    let (whole, half) = (steps / 2, steps % 2);
    let blocks = "█".repeat(whole);
    if value < 0.0 {
        let bar = format!("{}{blocks}", "▐".repeat(half));
        format!("{bar:>HALF_WIDTH$}│{:HALF_WIDTH$}", "")
    } else {
        let bar = format!("{blocks}{}", "▌".repeat(half));
        format!("{:HALF_WIDTH$}│{bar:HALF_WIDTH$}", "")
    }
}

#[cfg(test)]
mod tests {
    use xai_core::figure::{Figure, Mark, Panel, Text};

    use super::draw;

    #[test]
    fn marked_parts_stand_in_brackets() {
        let mark = |start, end, label: &str| Mark { start, end, label: label.to_owned() };
        let text = Text {
            title: "words".to_owned(),
            text: "\u{fc}ber\tnot bad.\nAt all".to_owned(),
            marks: vec![mark(0, 4, "2"), mark(9, 12, "1"), mark(14, 16, "3")],
        };
        let figure = Figure { title: "T".to_owned(), panels: vec![Panel::Text(text)] };
        let drawn = draw(&figure, 9);
        assert_eq!(drawn, "T\n═\n\nwords\n [\u{fc}ber](2) not [bad](1).\n [At](3) all\n");
    }
}
