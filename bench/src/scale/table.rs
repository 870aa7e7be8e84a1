//! The results of a scenario, one column per size, as Markdown. Pure.

use std::fmt::Write as _;

/// What was measured at one size.
#[derive(Debug)]
pub struct Column {
    size: usize,
    figures: Vec<(String, String)>,
}

impl Column {
    pub fn new(size: usize) -> Self {
        Self { size, figures: Vec::new() }
    }

    pub fn add(&mut self, what: &str, figure: impl Into<String>) {
        let figure = figure.into();
        eprintln!("  {what}: {figure}");
        self.figures.push((what.to_owned(), figure));
    }
}

/// `1000` as `1,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// A table with a row for each figure that any of the columns has, in the order of their first appearance.
pub fn table(unit: &str, columns: &[Column]) -> String {
    let mut rows: Vec<&str> = Vec::new();
    for (what, _) in columns.iter().flat_map(|column| &column.figures) {
        if !rows.contains(&what.as_str()) {
            rows.push(what);
        }
    }
    let mut out = format!("| {unit} |");
    for column in columns {
        let _ = write!(out, " {} |", grouped(column.size));
    }
    let _ = writeln!(out, "\n| --- |{}", " --- |".repeat(columns.len()));
    for row in rows {
        let _ = write!(out, "| {row} |");
        for column in columns {
            let figure = column.figures.iter().find(|(what, _)| what == row);
            let _ = write!(out, " {} |", figure.map_or("", |(_, figure)| figure));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_a_row_and_each_size_a_column() {
        let (mut small, mut large) = (Column::new(500), Column::new(12_000));
        small.add("time", "1 s");
        large.add("time", "2 s");
        large.add("lost", "0");
        let expected = "| rooms | 500 | 12,000 |\n| --- | --- | --- |\n| time | 1 s | 2 s |\n| lost |  | 0 |\n";
        assert_eq!(table("rooms", &[small, large]), expected);
    }
}
