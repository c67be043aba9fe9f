//! Rows under headings, aligned.

use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_tuf::without_controls;

/// The text of a table; each row has as many cells as there are headings.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| without_controls(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(headings[column].len())
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let head = line(&headings);
    let head = head.if_supports_color(Stdout, |t| t.bold()).to_string();
    let lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    [vec![head], lines].concat().join("\n")
}

/// A time to the minute, as tables have it.
pub(super) fn minute(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
