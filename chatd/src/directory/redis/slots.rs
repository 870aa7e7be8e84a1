//! Maps keys to the nodes of a Redis Cluster. Pure: no I/O.

use redis::Value;

use super::url::Address;

/// How many hash slots a cluster has.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: CRC16 of the key, or of what stands between its first braces (Redis Cluster specification, "Hash tags").
pub fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, starts at 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

/// The masters by slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlotMap {
    /// First slot, last slot, master; in order.
    ranges: Vec<(u16, u16, Address)>,
}

impl SlotMap {
    /// Reads the reply to `CLUSTER SLOTS`, given by `asked`; a node that does not know its own name is where it was asked.
    pub fn parse(reply: Value, asked: &Address) -> Option<Self> {
        let Value::Array(items) = reply else { return None };
        let mut ranges = Vec::with_capacity(items.len());
        for item in items {
            let Value::Array(parts) = item else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &parts[..] else { return None };
            let [host, Value::Int(port), ..] = &master[..] else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() && host != b"?" => String::from_utf8(host.clone()).ok()?,
                _ => asked.host.clone(),
            };
            let first = u16::try_from(*first).ok().filter(|slot| *slot < SLOTS)?;
            let last = u16::try_from(*last).ok().filter(|slot| *slot < SLOTS)?;
            let port = u16::try_from(*port).ok().filter(|port| *port != 0)?;
            ranges.push((first, last, Address { host, port }));
        }
        ranges.sort_unstable();
        Some(Self { ranges })
    }

    /// The master of a slot.
    pub fn master(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|(first, _, _)| *first <= slot);
        let (_, last, master) = self.ranges.get(after.checked_sub(1)?)?;
        (*last >= slot).then_some(master)
    }

    /// Every master, once.
    pub fn masters(&self) -> Vec<&Address> {
        let mut masters: Vec<&Address> = self.ranges.iter().map(|(_, _, master)| master).collect();
        masters.sort_unstable();
        masters.dedup();
        masters
    }

    /// Whether a slot that had a master has another one in `newer`.
    pub fn changed_hands(&self, newer: &Self) -> bool {
        self != newer
            && (0..SLOTS)
                .any(|slot| matches!((self.master(slot), newer.master(slot)), (Some(old), Some(new)) if old != new))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(vec![host, Value::Int(port), bulk("id")]),
            Value::Array(vec![bulk("replica"), Value::Int(1), bulk("id")]),
        ])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        // The check value of CRC-16/XMODEM, which the specification gives as well.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"{"), crc16(b"{") % SLOTS);
    }

    #[test]
    fn masters_are_found_by_slot() {
        let asked = address("10.0.0.9", 7_000);
        let reply = Value::Array(vec![
            range(8_192, 16_383, bulk("b"), 2),
            range(0, 100, Value::Nil, 1),
            range(200, 8_191, bulk(""), 3),
        ]);
        let map = SlotMap::parse(reply, &asked).unwrap();
        assert_eq!(map.master(0), Some(&address("10.0.0.9", 1)));
        assert_eq!(map.master(100), Some(&address("10.0.0.9", 1)));
        assert_eq!(map.master(101), None);
        assert_eq!(map.master(200), Some(&address("10.0.0.9", 3)));
        assert_eq!(map.master(16_383), Some(&address("b", 2)));
        assert_eq!(map.masters().len(), 3);
        assert_eq!(SlotMap::default().master(5), None);
    }

    #[test]
    fn only_another_master_is_a_change_of_hands() {
        let asked = address("h", 1);
        let map = |ranges: Vec<Value>| SlotMap::parse(Value::Array(ranges), &asked).unwrap();
        let whole = map(vec![range(0, 16_383, bulk("a"), 1)]);
        let split = map(vec![range(0, 5, bulk("a"), 1), range(6, 16_383, bulk("a"), 1)]);
        let less = map(vec![range(0, 5, bulk("a"), 1)]);
        let moved = map(vec![range(0, 5, bulk("a"), 1), range(6, 16_383, bulk("b"), 1)]);
        assert!(!whole.changed_hands(&split));
        assert!(!whole.changed_hands(&less));
        assert!(whole.changed_hands(&moved));
        assert!(!SlotMap::default().changed_hands(&whole));
    }

    #[test]
    fn rubbish_is_no_map() {
        let asked = address("h", 1);
        for reply in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(0, 16_384, bulk("a"), 1)]),
            Value::Array(vec![range(-1, 5, bulk("a"), 1)]),
            Value::Array(vec![range(0, 5, bulk("a"), 0)]),
        ] {
            assert_eq!(SlotMap::parse(reply, &asked), None);
        }
    }
}
