//! The tables of docs/operations.md, for the tests of chatd and of the operator that keep them equal to the code. Reads (and on
//! request writes) that file.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::sync::{Mutex, PoisonError};

/// From any package of the workspace.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");

/// Compares the part of the document between the markers of `name` with `expected`, or replaces it if `UPDATE_DOCS` is set.
pub fn check(name: &str, expected: &str) {
    // One test at a time reads and writes the document.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let text = fs::read_to_string(DOCUMENT).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the begin marker");
    let (found, after) = rest.split_once(&end).expect("the end marker");
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, format!("{before}{begin}{expected}{end}{after}")).unwrap();
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (found_lines, expected_lines) = (lines(found), lines(expected));
    let gone: Vec<_> = found_lines.difference(&expected_lines).collect();
    let new: Vec<_> = expected_lines.difference(&found_lines).collect();
    panic!(
        "docs/operations.md, {name}: `make docs` would take out {gone:#?} and put in {new:#?} (or change the order)"
    );
}

/// Text in a table's cell.
pub fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The metrics of a text in OpenMetrics, as a table. A family without any metric in it shows no labels.
pub fn metrics_table(text: &str) -> String {
    let mut table = "\n| metric | type | |\n| --- | --- | --- |\n".to_owned();
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap().1;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            // As they are queried: OpenMetrics puts these ends to names.
            let shown = match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            };
            let labels = text.lines().find_map(|line| line.strip_prefix(&shown)?.strip_prefix('{'));
            let labels = labels.map_or_else(String::new, |labels| {
                let pairs = labels.split_once('}').unwrap().0.split(',');
                let names: Vec<_> = pairs.map(|pair| pair.split_once('=').unwrap().0).collect();
                format!("{{{}}}", names.join(", "))
            });
            writeln!(table, "| `{shown}{labels}` | {kind} | {} |", cell(help)).unwrap();
        }
    }
    table.push('\n');
    table
}
