//! Rooms with a descriptor: each room has the one that it was made with, at every owner and in its record (I12). No I/O.

use std::collections::BTreeMap;

use chatd::descriptor::Descriptor;
use chatd::protocol::RoomId;

use crate::moderating::SECRET;
use crate::world::World;

/// A token that makes a room unlike any other. `ends`: when that ends (Unix seconds), if it does.
pub fn token(client: usize, number: u64, ends: Option<u64>) -> String {
    let kind = format!("k{client}.{number}");
    let create = serde_json::json!({"kind": kind, "labels": ["a", "b"], "webhook": true, "expires_at": ends});
    signed(&serde_json::json!({"sub": "host", "room": "*", "exp": 9_999_999_999_u64, "create": create}))
}

/// A join token that says so.
pub fn signed(claims: &serde_json::Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(&SECRET).expect("a key");
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("a token")
}

/// What each room was first seen with.
#[derive(Debug, Default)]
pub struct Described(BTreeMap<String, Option<Descriptor>>);

impl Described {
    /// The room is seen with this descriptor. What is wrong with that, but for the lock and the end, which change.
    pub fn seen(&mut self, room: &str, descriptor: Option<&Descriptor>) -> Option<String> {
        let descriptor =
            descriptor.map(|descriptor| Descriptor { locked: false, expires_at: None, ..descriptor.clone() });
        let descriptor = descriptor.filter(|descriptor| !descriptor.is_empty());
        let first = self.0.entry(room.to_owned()).or_insert_with(|| descriptor.clone());
        let is_same = *first == descriptor;
        (!is_same).then(|| format!("{room} was made with {first:?}, and has {descriptor:?}"))
    }
}

impl World {
    /// I12, after each step of a pod.
    pub fn check_descriptors(&mut self, number: usize) {
        if !self.expected.describes {
            return;
        }
        if let Some(what) = self.store.redescribed.take() {
            self.expected.fail("I12", format!("the record of {what}"));
        }
        let pod = &self.pods[number];
        let rooms: Vec<RoomId> = pod.views.iter().map(|view| view.room).collect();
        for room in rooms {
            let found = self.pods[number].hubs.iter().find_map(|hub| hub.descriptor_of(room));
            if let Some(what) = self.store.described.seen(room.as_str(), found) {
                self.expected.fail("I12", format!("pod {number}: {what}"));
            }
        }
    }
}
