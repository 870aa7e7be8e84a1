//! JSON values written as YAML: generated files and snapshots, in one stable form. Pure: no I/O.

use std::fmt::Write as _;

use serde_json::Value;

/// The value as a YAML document. The keys of objects are sorted.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(object) if !object.is_empty() => write_object(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => write_items(&mut out, items, 0),
        _ => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
    out
}

fn write_object(out: &mut String, value: &Value, indent: usize) {
    // Sorted here too: a crate far away may make serde_json keep the order of insertion.
    let mut entries: Vec<_> = value.as_object().into_iter().flatten().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    for (key, value) in entries {
        let _ = write!(out, "{:indent$}{}:", "", scalar(&Value::String(key.clone())));
        write_value(out, value, indent);
    }
}

fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            out.push('\n');
            write_object(out, value, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_items(out, items, indent);
        }
        Value::String(text) if is_block(text) => {
            out.push_str(" |");
            out.push_str(if text.ends_with('\n') { "\n" } else { "-\n" });
            for line in text.lines() {
                if line.is_empty() {
                    out.push('\n');
                } else {
                    let _ = writeln!(out, "{:width$}{line}", "", width = indent + 2);
                }
            }
        }
        _ => {
            let _ = writeln!(out, " {}", scalar(value));
        }
    }
}

fn write_items(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        match item {
            Value::Object(object) if !object.is_empty() => {
                let mut inner = String::new();
                write_object(&mut inner, item, indent + 2);
                let _ = write!(out, "{:indent$}- {}", "", &inner[indent + 2..]);
            }
            Value::Array(inner_items) if !inner_items.is_empty() => {
                let _ = writeln!(out, "{:indent$}-", "");
                write_items(out, inner_items, indent + 2);
            }
            _ => {
                let _ = writeln!(out, "{:indent$}- {}", "", scalar(item));
            }
        }
    }
}

/// Whether a text is readable, and safe, as a block of lines.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && text.lines().all(|line| !line.ends_with(' '))
        && text.chars().all(|character| character == '\n' || character == '\t' || !character.is_control())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        // A JSON string is a YAML string.
        _ => value.to_string(),
    }
}

/// Whether a text is itself without quotes: it must not look like anything else to any YAML reader.
fn is_plain(text: &str) -> bool {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];
    let first = |character: char| character.is_ascii_alphabetic() || "/$_".contains(character);
    let rest = |character: char| {
        character.is_ascii_alphanumeric() || " -_./$=()+,;?'`<>*|!\"{}[]%^@".contains(character) || character == ':'
    };
    let start = text.strip_prefix('.').unwrap_or(text);
    start.starts_with(first)
        && text.chars().all(rest)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([' ', ':'])
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_look_as_people_write_them() {
        let value = json!({
            "name": "chat", "on": "true", "number": "7", "count": 7, "empty": {}, "none": [],
            "text": "one\ntwo\n", "items": [{ "a": 1, "b": ["x: y", "- z"] }, [1, [2]], "plain"],
        });
        let expected = "count: 7\nempty: {}\nitems:\n- a: 1\n  b:\n  - \"x: y\"\n  - \"- z\"\n-\n  - 1\n  -\n    - 2\n- plain\nname: chat\nnone: []\nnumber: \"7\"\n\"on\": \"true\"\ntext: |\n  one\n  two\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
