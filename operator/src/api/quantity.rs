//! A quantity of Kubernetes (`100m`, `64Mi`, `1`), written with or without quotes. No I/O.
//! It is compared by value, since the API server writes quantities in a form of its own.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The text of a quantity, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quantity(pub String);

impl Quantity {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Its value in thousandths, rounded up, or nothing if the text is no quantity.
    pub fn thousandths(&self) -> Option<i128> {
        thousandths(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(i64),
            Decimal(f64),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Decimal(number) => number.to_string(),
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "maxLength": 32,
            "pattern": "^[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]{1,2}|[mkMGTPE]|[KMGTPE]i)?$",
        })
    }
}

/// The value of `text` in thousandths, rounded up.
pub fn thousandths(text: &str) -> Option<i128> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let decimals = decimals.trim_end_matches('0');
    // Beyond these lengths nothing is a quantity that Kubernetes would take, and the sums below stay far from overflow.
    if number.is_empty() || number == "." || whole.len() > 19 || decimals.len() > 9 || decimals.contains('.') {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(decimals.len()).ok()?);
    let digits: i128 = format!("0{whole}{decimals}").parse().ok()?;
    let (factor, divisor) = unit(suffix)?;
    let product = digits.checked_mul(factor)?.checked_mul(1000)?;
    let divisor = divisor.checked_mul(scale)?;
    Some(product.checked_add(divisor - 1)? / divisor)
}

/// What a suffix multiplies by, and what it divides by.
fn unit(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    let binary = |power: u32| Some((1_i128 << (10 * power), 1));
    match suffix {
        "" => decimal(0),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent >= 0 { (power, 1) } else { (1, power) })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_depend_on_how_they_are_written() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.1", "100m"),
            ("1Gi", "1024Mi"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("100e-3", "0.1"),
            ("1.0000000000Gi", "1Gi"),
        ] {
            assert_eq!(thousandths(one).unwrap(), thousandths(other).unwrap(), "{one} {other}");
        }
        assert!(thousandths("1G").unwrap() < thousandths("1Gi").unwrap());
    }

    #[test]
    fn what_is_no_quantity_has_no_value() {
        for text in ["", ".", "Mi", "1.2.3", "1 Mi", "1Xi", "-1", "1e999", "99999999999999999999999999"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_without_quotes_are_quantities() {
        assert_eq!(serde_json::from_str::<Quantity>("1").unwrap(), Quantity::new("1"));
        assert_eq!(serde_json::from_str::<Quantity>("0.5").unwrap(), Quantity::new("0.5"));
        assert_eq!(serde_json::from_str::<Quantity>("\"64Mi\"").unwrap(), Quantity::new("64Mi"));
    }
}
