//! The condition RedisReady: the pods' reports on Redis, summarized. Pure: no I/O. The operator itself never connects to Redis.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Reason, Values, with_remedy};
use crate::scale::Load;

/// A pod's `/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `ok`, or the code of what is wrong, as `directory.state` of chatd's /status.
    pub state: String,
    /// A sentence for people; empty if all is well.
    pub detail: String,
    /// Rooms that the pod owns.
    pub rooms: i64,
    /// Players in them.
    pub players: i64,
    /// The pod's version of chatd; empty if it does not say.
    pub version: String,
    /// Whether it ends and gives its rooms away.
    pub is_draining: bool,
    /// What it holds and has place for; nothing if its version does not say.
    pub load: Option<Load>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    version: String,
    rooms: i64,
    players: i64,
    #[serde(default)]
    draining: bool,
    #[serde(flatten)]
    seats: Option<Capacity>,
    directory: Directory,
}

/// Of the version that knows free seats on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Capacity {
    held_seats: i64,
    room_places: i64,
    connections: i64,
    connection_places: i64,
}

#[derive(Deserialize)]
struct Directory {
    state: String,
    #[serde(default)]
    detail: String,
}

impl Report {
    /// Whether only the counts differ, which change all the time.
    pub fn is_same_but_for_counts(&self, other: &Self) -> bool {
        (&self.state, &self.detail, &self.version) == (&other.state, &other.detail, &other.version)
    }

    /// From the body of an answer; fields that are not known are let be, since later versions of chatd add some.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let load = answer.seats.map(|seats| Load {
            rooms: answer.rooms,
            room_places: seats.room_places,
            // Whose seat is held is expected back.
            connections: seats.connections.saturating_add(seats.held_seats),
            connection_places: seats.connection_places,
        });
        Some(Self {
            state: answer.directory.state,
            detail: answer.directory.detail,
            rooms: answer.rooms,
            players: answer.players,
            version: answer.version,
            is_draining: answer.draining,
            load,
        })
    }
}

fn reason_of(state: &str) -> Reason {
    match state {
        "ok" => Reason::Reachable,
        "unknown_host" => Reason::UnknownHost,
        "timeout" => Reason::Timeout,
        "auth" => Reason::AuthFailed,
        "tls" => Reason::TlsFailed,
        "read_only" => Reason::ReadOnly,
        "full" => Reason::Full,
        "prefix_in_use" => Reason::PrefixInUse,
        // A state of a later chatd is at least no success.
        _ => Reason::Refused,
    }
}

/// True only if every pod that answered reaches Redis. `pods` are there, `desired` are asked for.
pub fn redis_ready(reports: &BTreeMap<String, Report>, pods: usize, desired: i32) -> Values {
    let bad: Vec<_> = reports.iter().filter(|(_, report)| report.state != "ok").collect();
    if let Some((pod, report)) = bad.first() {
        let reason = reason_of(&report.state);
        let detail = if report.detail.is_empty() { reason.meaning() } else { report.detail.as_str() };
        let message = format!("{} of {} pods cannot use Redis; {pod}: {detail}", bad.len(), reports.len());
        return ("False", reason, with_remedy(&message, reason));
    }
    if !reports.is_empty() {
        return ("True", Reason::Reachable, format!("{} pods reach Redis.", reports.len()));
    }
    if pods == 0 || desired == 0 {
        return ("Unknown", Reason::NoPods, with_remedy(Reason::NoPods.meaning(), Reason::NoPods));
    }
    ("Unknown", Reason::PodsNotAnswering, with_remedy(Reason::PodsNotAnswering.meaning(), Reason::PodsNotAnswering))
}
