//! docs/chatdeployment.md, written from the CustomResourceDefinition and the reasons. Pure: no I/O.

use std::fmt::Write as _;

use serde_json::Value;

use crate::api;
use crate::status::Reason;

const HEAD: &str = "# ChatDeployment `chatd.dev/v1alpha1`

<!-- Written by `chatd-operator docs` from operator/src; a test compares. Do not edit. -->

Everything that a ChatDeployment can hold. `kubectl explain chatdeployment.spec` says the same. Each field has a default or may be
left out; `spec: {}` gives three chat pods that share a Valkey which the operator runs. How to install, upgrade and repair is in
[operations.md](operations.md).

metadata.name is 1 to 40 characters of a-z, 0-9 and `-`, and starts with a letter.

";

/// The whole page.
pub fn chatdeployment() -> String {
    let crd = api::crd();
    let mut text = HEAD.to_owned();
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned().unwrap_or_default();
    text.push_str("## spec\n\n| field | type, bounds | default | |\n| --- | --- | --- | --- |\n");
    fields(&mut text, "", &schema["properties"]["spec"]);
    text.push_str("\n## Rules\n\nThe API server refuses what breaks one of them, in these words:\n\n");
    for rule in api::RULES {
        let _ = writeln!(text, "- {}.", rule.message);
    }
    text.push_str("\n## status\n\n| field | type | | |\n| --- | --- | --- | --- |\n");
    fields(&mut text, "", &schema["properties"]["status"]);
    text.push_str(
        "\n## Reasons\n\nThe conditions Ready, Progressing, Degraded and RedisReady have one of these reasons.\n\n\
         | reason | meaning | what to do |\n| --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let _ = writeln!(text, "| {} | {} | {} |", reason.as_str(), reason.meaning(), reason.remedy());
    }
    text
}

/// Types of Kubernetes itself, which are not listed again.
const FOREIGN: [&str; 4] = ["affinity", "tolerations", "topologySpreadConstraints", "monitoringFrom"];

fn fields(text: &mut String, prefix: &str, schema: &Value) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{prefix}{name}");
        let description = field["description"].as_str().unwrap_or_default().replace('|', "\\|");
        let default = match &field["default"] {
            Value::Null => String::new(),
            // Its fields have their own lines.
            Value::Object(_) if field["properties"].is_object() && name != "resources" => String::new(),
            value => format!("`{value}`"),
        };
        let _ = writeln!(text, "| `{place}` | {} | {default} | {description} |", type_of(field));
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        fields(text, &format!("{place}."), field);
        fields(text, &format!("{place}[]."), &field["items"]);
    }
}

fn type_of(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    if field["additionalProperties"].is_object() {
        return "map".to_owned();
    }
    let type_ = match field["type"].as_str().unwrap_or_default() {
        "array" => format!("list of {}", field["items"]["type"].as_str().unwrap_or_default()),
        other => other.to_owned(),
    };
    match (field["minimum"].as_i64(), field["maximum"].as_i64(), field["maxItems"].as_i64()) {
        (Some(least), Some(most), _) => format!("{type_}, {least} to {most}"),
        (_, _, Some(most)) => format!("{type_}, at most {most}"),
        _ => type_,
    }
}
