//! Keeps the operator's tables of docs/operations.md equal to the code: settings and metrics; and its reasons on the page that is
//! linked from there. Reads (and on request writes) files. `make docs` (UPDATE_DOCS=1) regenerates them.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use operator::metrics::{DeploymentFigures, Gauges, Metrics};
use operator::settings::Command;
use operator::status::Reason;

#[path = "../../chatd/tests/support/documents.rs"]
mod documents;

use documents::{check, metrics_table};

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
    let states = vec![DeploymentFigures { conditions: vec![("Ready".into(), true)], ..DeploymentFigures::default() }];
    let text = metrics.encode(Gauges { states, ..Gauges::default() }).unwrap();
    check("operator metrics", &metrics_table(&text));
}

#[test]
fn the_alerts_are_those_of_the_rules() {
    check("alerts", &operator::monitoring::table());
}

#[test]
fn every_reason_is_on_the_page_that_the_troubleshooting_links_to() {
    let page =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap();
    let operations = page("operations.md");
    assert!(operations.contains("](chatdeployment.md#reasons)"));
    let fields = page("chatdeployment.md");
    let (_, reasons) = fields.split_once("\n## Reasons\n").expect("the heading that is linked to");
    for reason in Reason::ALL {
        assert!(reasons.contains(&format!("| {} | {} |", reason.as_str(), reason.meaning())), "{reason:?}");
    }
}
