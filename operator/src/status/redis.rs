//! The condition RedisReady: the pods' reports on Redis, summarized. Pure: no I/O. The operator itself never connects to Redis.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Reason, Said, with_remedy};

/// What a pod's `/status` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `ok`, or the code of what is wrong, as `directory.state` of chatd's /status.
    pub state: String,
    /// A sentence for people; empty if all is well.
    pub detail: String,
    /// Rooms that the pod owns.
    pub rooms: i64,
    /// Players in them.
    pub players: i64,
}

#[derive(Deserialize)]
struct Answer {
    rooms: i64,
    players: i64,
    directory: Directory,
}

#[derive(Deserialize)]
struct Directory {
    state: String,
    #[serde(default)]
    detail: String,
}

impl Report {
    /// From the body of an answer; fields that are not known are let be, since later versions of chatd add some.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        Some(Self {
            state: answer.directory.state,
            detail: answer.directory.detail,
            rooms: answer.rooms,
            players: answer.players,
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
pub fn redis_ready(reports: &BTreeMap<String, Report>, pods: usize, desired: i32) -> Said {
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
