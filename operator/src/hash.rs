//! Short hashes that tell whether something is what it was. Pure: no I/O. Not for secrets, and stable for good: they are stored.

use serde_json::Value;

/// FNV-1a, 64 bits, as hexadecimal digits.
pub fn of_text(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// The hash of a value, whatever the order of its keys in memory.
pub fn of_value(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value);
    of_text(&text)
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write(text, value);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(text, item);
                text.push(',');
            }
            text.push(']');
        }
        _ => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hashes_are_stable_and_tell_apart() {
        assert_eq!(of_text(""), "cbf29ce484222325");
        assert_eq!(of_text("a"), "af63dc4c8601ec8c");
        assert_ne!(of_value(&json!([1, [2]])), of_value(&json!([[1], 2])));
        assert_eq!(of_value(&json!({"a": 1, "b": 2})), of_value(&json!({"b": 2, "a": 1})));
    }
}
