//! Short hashes that detect changes. Pure: no I/O. Not for secrets. They are stored, so they must never change.

use serde::Serialize;
use serde_json::Value;

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Its JSON, with the keys of objects sorted.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                self.text("{");
                for (key, value) in entries {
                    self.json(key);
                    self.text(":");
                    self.value(value);
                    self.text(",");
                }
                self.text("}");
            }
            Value::Array(items) => {
                self.text("[");
                for item in items {
                    self.value(item);
                    self.text(",");
                }
                self.text("]");
            }
            plain => self.json(plain),
        }
    }

    fn json(&mut self, value: impl Serialize) {
        // Neither this writer nor what is written can fail.
        let _ = serde_json::to_writer(self, &value);
    }
}

impl std::io::Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// As hexadecimal digits.
pub fn of_text(text: &str) -> String {
    format!("{:016x}", number_of_text(text))
}

/// The same as a number.
pub fn number_of_text(text: &str) -> u64 {
    let mut hash = Fnv::START;
    hash.text(text);
    hash.0
}

/// The hash of a value, whatever the order of its keys in memory, as hexadecimal digits.
pub fn of_value(value: &Value) -> String {
    format!("{:016x}", number_of(value))
}

/// The same as a number.
pub fn number_of(value: &Value) -> u64 {
    let mut hash = Fnv::START;
    hash.value(value);
    hash.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hashes_are_stable_and_tell_apart() {
        assert_eq!(of_text(""), "cbf29ce484222325");
        assert_eq!(of_text("a"), "af63dc4c8601ec8c");
        // Its text, by which older operators went: {"a\"":[1,"b",null,],"é":1.5,}
        assert_eq!(
            of_value(&json!({"é": 1.5, "a\"": [1, "b", null]})),
            of_text("{\"a\\\"\":[1,\"b\",null,],\"é\":1.5,}")
        );
        assert_ne!(of_value(&json!([1, [2]])), of_value(&json!([[1], 2])));
        assert_eq!(of_value(&json!({"a": 1, "b": 2})), of_value(&json!({"b": 2, "a": 1})));
    }
}
