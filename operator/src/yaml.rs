//! JSON values written as YAML: generated files and snapshots, in one stable form. Pure: no I/O.

use serde_json::Value;
pub use serde_saphyr::ser_error::Error as YamlError;

/// The value as a YAML document that every reader takes for the same, those of YAML 1.1 too. The keys of objects are sorted.
///
/// # Errors
/// None in practice: all that JSON can hold has a form in YAML.
pub fn to_yaml(value: &Value) -> Result<String, YamlError> {
    let mut sorted = value.clone();
    // A crate far away may make serde_json keep the order of insertion.
    sorted.sort_all_objects();
    // Texts of many lines are blocks; a long line stays one.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&sorted, options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_look_as_people_write_them() {
        let long =
            "a text of more than eighty characters stays on one line, since its changes are then seen as one line";
        let value = json!({
            "name": "chat", "on": "true", "number": "7", "count": 7, "empty": {}, "none": [], "long": long,
            "text": "one\ntwo\n", "items": [{ "a": 1, "b": ["x: y", "- z"] }, [1, [2]], "plain"],
        });
        let expected =
            "count: 7\nempty: {}\nitems:\n- a: 1\n  b:\n  - \"x: y\"\n  - \"- z\"\n- - 1\n  - - 2\n- plain\n";
        let expected = format!(
            "{expected}long: {long}\nname: chat\nnone: []\nnumber: \"7\"\n\"on\": \"true\"\ntext: |\n  one\n  two\n"
        );
        assert_eq!(to_yaml(&value).unwrap(), expected);
    }
}
