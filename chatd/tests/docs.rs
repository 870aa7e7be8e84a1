//! Keeps the tables of docs/operations.md equal to the code: settings, metrics and log events. Reads (and on request writes) files.
//!
//! `make docs` (UPDATE_DOCS=1) regenerates them.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/asyncapi/mod.rs"]
mod asyncapi;
#[path = "support/documents.rs"]
mod documents;

use documents::{cell, check, metrics_table};

#[test]
fn settings_are_those_of_the_command_line() {
    let command = chatd::settings::command();
    let mut table = String::new();
    let mut heading = "";
    for argument in command.get_arguments() {
        let (Some(long), Some(variable)) = (argument.get_long(), argument.get_env()) else { continue };
        let group = argument.get_help_heading().unwrap_or_default();
        if group != heading {
            heading = group;
            write!(table, "\n**{heading}**\n\n| flag, variable | default | |\n| --- | --- | --- |\n").unwrap();
        }
        let value = argument.get_value_names().unwrap()[0].as_str();
        let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
        let default = match defaults.concat() {
            default if default.is_empty() => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let help = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
        let (value, help) = (cell(value), cell(&help));
        let variable = variable.to_str().unwrap();
        writeln!(table, "| `--{long} <{value}>` `{variable}` | {default} | {help} |").unwrap();
    }
    table.push('\n');
    check("settings", &table);
}

#[test]
fn metrics_are_those_of_the_admin_port() {
    let tls = Some(chatd::metrics::TlsFigures::default());
    let webhook = Some(chatd::webhook::WebhookFigures::default());
    let api = Some(chatd::api::figures::Answers::default());
    let text = chatd::metrics::Snapshot { tls, webhook, api, ..Default::default() }.encode().unwrap();
    check("metrics", &metrics_table(&text));
}

#[test]
fn the_document_of_the_server_api_is_that_of_its_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let expected = chatd::api::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap();
    assert_eq!(found, expected, "docs/openapi.json: `make docs` writes it");
    let document: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    // Each schema that is named is there.
    let named = expected.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    for name in named {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            for field in ["operationId", "summary"] {
                assert!(call[field].is_string(), "{method} {path}: {field}");
            }
        }
    }
}

#[test]
fn the_document_of_the_websocket_is_that_of_its_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/asyncapi.json");
    let expected = asyncapi::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap();
    assert_eq!(found, expected, "docs/asyncapi.json: `make docs` writes it");
    // What is named is there.
    let document: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let named: Vec<_> = expected.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!named.is_empty());
    for name in named {
        assert!(document.pointer(name).is_some(), "{name}");
    }
}

/// Every file of Rust below `directory` that is not a test's.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !name.contains("test") {
            found.push(path);
        }
    }
}

/// The arguments of a macro call: what is between its parentheses, split at the commas that are in no other brackets or texts.
fn arguments(call: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut all = vec![String::new()];
    for character in call.chars() {
        if quoted {
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else {
            match character {
                '"' => quoted = true,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    all.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        all.last_mut().unwrap().push(character);
    }
    all.into_iter().map(|argument| argument.trim().to_owned()).filter(|argument| !argument.is_empty()).collect()
}

#[test]
fn log_events_are_those_of_the_code() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut events: BTreeMap<(usize, String), BTreeSet<String>> = BTreeMap::new();
    let levels = ["error", "warn", "info"];
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let code = source.split("#[cfg(test)]\nmod").next().unwrap().split("#[cfg(test)]\n#[allow").next().unwrap();
        for (rank, level) in levels.iter().enumerate() {
            for (at, call) in code.match_indices(&format!("tracing::{level}!(")) {
                let mut arguments = arguments(&code[at + call.len()..]);
                let message = arguments.pop().unwrap();
                let message = message.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let message =
                    message.unwrap_or_else(|| panic!("{}: an event's last argument is a fixed text", file.display()));
                // A sentence that is built can't be searched for, and may hold what it should not.
                assert!(!message.contains('{'), "{}: {message}: give values as fields", file.display());
                let fields = arguments
                    .iter()
                    .map(|field| field.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned());
                events.entry((rank, message.to_owned())).or_default().extend(fields);
            }
        }
    }
    assert!(events.len() > 3, "the search finds none any more");
    let mut table = "\n| level | message | fields |\n| --- | --- | --- |\n".to_owned();
    for ((rank, message), fields) in events {
        let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
        writeln!(table, "| {} | {} | {} |", levels[rank], cell(&message), fields.join(", ")).unwrap();
    }
    table.push('\n');
    check("log events", &table);
}
