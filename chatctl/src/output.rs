//! How commands end, and formats of what is printed: tables as kubectl's, JSON, YAML. Does I/O: writes to standard output.

use std::io::{self, Write};

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::findings::{Finding, Severity};

/// How a command went that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Well,
    /// Something is wrong that the output tells.
    Wrong,
}

impl Outcome {
    /// Wrong with any error.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let is_error = findings.into_iter().any(|finding| finding.severity == Severity::Error);
        if is_error { Self::Wrong } else { Self::Well }
    }
}

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

impl Format {
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    /// A document for programs.
    pub fn document(self, value: &impl Serialize) -> Result<String> {
        let value = serde_json::to_value(value)?;
        Ok(match self {
            Self::Yaml => operator::yaml::to_yaml(&value)?,
            _ => format!("{value:#}\n"),
        })
    }
}

/// A table without lines, for any width: it is often piped into other programs.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.add_rows(rows);
    table
}

/// Writes to standard output. That a reader such as `head` has enough is no failure.
pub fn print(text: &str) -> Result<()> {
    is_read(text).map(|_| ())
}

/// Writes to standard output. False: a reader such as `head` has enough.
pub fn is_read(text: &str) -> Result<bool> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}
