//! Figures and explanations as text, for a terminal.

use std::fmt;

use comfy_table::{Cell, CellAlignment, LineStyle, Row, Table, TableStyle};

use super::{Bars, Figure, HeatMap, Panel, Picture, Text, ToFigure, decimals};
use crate::decision::OutputNames;
use crate::explanation::Explanation;

/// A rule below the heads and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Characters on each side of zero in a bar.
const HALF_WIDTH: usize = 10;

/// The most characters of a line of prose.
const LINE: usize = 100;

impl fmt::Display for Figure {
    /// Tables, bars and shades of characters. A precision is the most rows of a panel, `{figure:.10}`; panels with more
    /// say how many are left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&draw(self, f.precision().unwrap_or(usize::MAX)))
    }
}

impl<D: ToFigure> fmt::Display for Explanation<D> {
    /// The figure, as [`Figure`] is displayed, with the names that the explanation itself has, and the warnings below
    /// it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.data.figure(&OutputNames::default()), f)?;
        for warning in &self.meta.warnings {
            writeln!(f, "Note: {} ({})", warning.message, warning.code)?;
        }
        Ok(())
    }
}

/// A figure as text; panels show their first `top` rows and say how many more there are.
fn draw(figure: &Figure, top: usize) -> String {
    let rule = "═".repeat(figure.title.chars().count());
    let mut text = format!("{}\n{rule}\n", figure.title);
    for panel in &figure.panels {
        let (title, table, n_rows) = match panel {
            Panel::Bars(panel) => (&panel.title, bars(panel, top), panel.bars.len()),
            Panel::Table(panel) => (&panel.title, cells(panel, top), panel.rows.len()),
            Panel::Image(panel) if panel.width <= LINE / 2 => {
                text += &format!("\n{}\n{}", broken(&panel.title), shades(&brightness(panel)));
                continue;
            }
            // A picture wider than a line is only named.
            Panel::Image(panel) => {
                let size = format!("{} by {} pixels", panel.width, panel.height);
                text += &format!("\n[picture of {size}: {}]\n", panel.title);
                continue;
            }
            Panel::Text(panel) => {
                text += &format!("\n{}\n{}\n", broken(&panel.title), marked(panel));
                continue;
            }
            Panel::HeatMap(panel) => {
                text += &format!("\n{}\n{}", broken(&panel.title), shades(panel));
                continue;
            }
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
        let n_letters = word.chars().count();
        if 0 < length && LINE < length + 1 + n_letters {
            lines.push(String::new());
            length = 0;
        }
        let line = lines.last_mut().expect("there is always a line");
        if 0 < length {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += n_letters;
    }
    lines.join("\n")
}

/// Columns of a table: the first to the left, the others, which are numbers, to the right.
fn cells(panel: &super::Table, top: usize) -> Table {
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate();
        Row::from(cells.map(|(column, text)| cell(text, 0 < column)).collect::<Vec<_>>())
    };
    let mut table = Table::new();
    table.load_style(STYLE).set_header(row(&panel.columns));
    table.add_rows(panel.rows.iter().take(top).map(row));
    table
}

/// A picture as shades from black to white.
fn brightness(picture: &Picture) -> HeatMap {
    let mean = |pixel: &[u8]| pixel.iter().copied().map(f64::from).sum::<f64>() / (3.0 * 255.0);
    let values = picture.rgb.chunks_exact(3).map(mean).collect();
    let size = (picture.height, picture.width);
    HeatMap { limit: 1.0, ..HeatMap::new(&*picture.title, "white", size, values) }
}

/// A grid of shades, two characters for each cell: a sign where the number is negative, and how large it is. Cells of
/// a grid that is wider than a line are drawn as the means of squares.
fn shades(panel: &HeatMap) -> String {
    const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
    let side = panel.width.div_ceil(LINE / 2).max(1);
    let mean = |top: usize, left: usize| {
        let rows = top..(top + side).min(panel.height);
        let columns = left..(left + side).min(panel.width);
        let n = (rows.len() * columns.len()) as f64;
        let cells = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
        cells.map(|(row, column)| panel.values[row * panel.width + column]).sum::<f64>() / n
    };
    let mut text = String::new();
    for top in (0..panel.height).step_by(side) {
        let mut line = String::new();
        for left in (0..panel.width).step_by(side) {
            let value = mean(top, left);
            let share = if 0.0 < panel.limit { (value.abs() / panel.limit).min(1.0) } else { 0.0 };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the last shade"
            )]
            let shade = (share * (SHADES.len() - 1) as f64).round() as usize;
            line.push(if 0 < shade && value < 0.0 { '-' } else { ' ' });
            line.push(SHADES[shade]);
        }
        text += &format!("{line}\n");
    }
    let decimals = decimals(panel.limit);
    let unit = &panel.unit;
    let means = if side < 2 { String::new() } else { format!(", means of {side} x {side} cells") };
    text + &format!(" █ is {:.decimals$} ({unit}), - below 0{means}\n", panel.limit)
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
    use super::super::Mark;
    use super::*;

    #[test]
    fn heat_maps_are_shaded_with_signs() {
        let values = vec![1.0, -1.0, 0.5, -0.25, 0.0, 0.05];
        let map = HeatMap::new("pixels", "attribution", (2, 3), values);
        let figure = Figure { title: "Map".to_owned(), panels: vec![Panel::HeatMap(map)] };
        let expected = "Map\n═══\n\npixels\n █-█ ▒\n-░ · ·\n █ is 1.000 (attribution), - below 0\n";
        assert_eq!(draw(&figure, 10), expected);
    }

    /// A map of 100 columns is drawn in squares of two by two, and the last row of squares is half as high.
    #[test]
    fn wide_heat_maps_are_drawn_as_means() {
        let values = (0..300).map(|cell| if cell % 2 == 0 { 2.0 } else { 0.0 }).collect();
        let text = shades(&HeatMap::new("pixels", "attribution", (3, 100), values));
        let line = " ▒".repeat(50);
        let legend = " █ is 2.000 (attribution), - below 0, means of 2 x 2 cells";
        assert_eq!(text, format!("{line}\n{line}\n{legend}\n"));
    }

    #[test]
    fn a_map_of_zeros_is_blank() {
        let text = shades(&HeatMap::new("pixels", "attribution", (1, 2), vec![0.0, 0.0]));
        assert_eq!(text.lines().next(), Some(" · ·"));
    }

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
