//! Keeps the operator's tables of docs/operations.md equal to the code: settings and metrics; and its reasons on the page that is
//! linked from there. Reads (and on request writes) files. `make docs` (UPDATE_DOCS=1) writes them anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use operator::metrics::{Gauges, Metrics};
use operator::settings::Command;
use operator::status::Reason;

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Compares the part of the document between the markers of `name` with `expected`, or replaces it.
fn check(name: &str, expected: &str) {
    // One test at a time reads and writes the document.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = std::fs::read_to_string(page("operations.md")).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the begin marker");
    let (found, after) = rest.split_once(&end).expect("the end marker");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(page("operations.md"), format!("{before}{begin}{expected}{end}{after}")).unwrap();
        return;
    }
    assert!(found == expected, "docs/operations.md, {name}: run `make docs`, which would write {expected}");
}

#[test]
fn settings_are_those_of_the_command_line() {
    let command = Command::command();
    let run = command.get_subcommands().find(|command| command.get_name() == "run").unwrap();
    let mut table = "\n| flag, variable | default | |\n| --- | --- | --- |\n".to_owned();
    let mut count = 0;
    for argument in run.get_arguments() {
        let (Some(long), Some(variable)) = (argument.get_long(), argument.get_env()) else { continue };
        let values: Vec<_> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        let default = match defaults.concat() {
            none if none.is_empty() && argument.is_required_set() => "required".to_owned(),
            none if none.is_empty() => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let help = argument.get_help().unwrap_or_else(|| panic!("--{long} says what it is for")).to_string();
        let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        writeln!(table, "| `--{long}` `{}` | {default} | {help}{values} |", variable.to_str().unwrap()).unwrap();
        count += 1;
    }
    assert!(count >= 10, "{table}");
    table.push('\n');
    check("operator settings", &table);
}

#[test]
fn metrics_are_those_of_the_admin_port() {
    let metrics = Metrics::default();
    // A label is shown once something has been counted under it.
    metrics.called("get", 200);
    metrics.reconciled("ok", Duration::ZERO);
    let text = metrics.encode(Gauges::default()).unwrap();
    let mut table = "\n| metric | type | |\n| --- | --- | --- |\n".to_owned();
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap().1;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let shown = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            let labels = text.lines().find_map(|line| line.strip_prefix(&shown)?.strip_prefix('{'));
            let names = labels.map(|labels| {
                let pairs = labels.split_once('}').unwrap().0.split(',');
                pairs.map(|pair| pair.split_once('=').unwrap().0).collect::<Vec<_>>().join(", ")
            });
            let labels = names.map(|names| format!("{{{names}}}")).unwrap_or_default();
            writeln!(table, "| `{shown}{labels}` | {kind} | {help} |").unwrap();
        }
    }
    table.push('\n');
    check("operator metrics", &table);
}

#[test]
fn every_reason_is_on_the_page_that_the_troubleshooting_links_to() {
    let operations = std::fs::read_to_string(page("operations.md")).unwrap();
    assert!(operations.contains("](chatdeployment.md#reasons)"));
    let fields = std::fs::read_to_string(page("chatdeployment.md")).unwrap();
    let (_, reasons) = fields.split_once("\n## Reasons\n").expect("the heading that is linked to");
    for reason in Reason::ALL {
        assert!(reasons.contains(&format!("| {} | {} |", reason.as_str(), reason.meaning())), "{reason:?}");
    }
}
