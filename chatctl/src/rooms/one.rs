//! `room`: what pods, record and lease say of a room, and whether they agree. Pure: no I/O, no clock.

use std::fmt::Write as _;

use serde::Serialize;

use super::list::age;
use crate::findings::{self, Finding, Severity, count, finding};
use crate::inspected::{Lease, Record, Room, Seat, Stored, Told};
use crate::output;

/// All that is known of a room.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// The room's id.
    pub room: String,
    /// What each pod told.
    pub told: Vec<Told>,
    /// The pods that did not tell anything, and why.
    pub silent: Vec<(String, String)>,
    /// Whether all agree.
    pub findings: Vec<Finding>,
}

impl Known {
    /// Judges what was told.
    pub fn new(room: &str, told: Vec<Told>, silent: Vec<(String, String)>) -> Self {
        let mut known = Self { room: room.to_owned(), told, silent, findings: Vec::new() };
        known.findings = known.judge();
        known
    }

    fn owners(&self) -> Vec<(&str, &Room)> {
        self.told.iter().filter_map(|told| Some((told.pod.as_str(), told.here.as_ref()?))).collect()
    }

    /// What the owner read of Redis, or else the first that could read it.
    fn reader(&self) -> Option<&Told> {
        let owner = self.told.iter().find(|told| told.here.is_some());
        let able = || self.told.iter().find(|told| !matches!(told.record, Some(Stored::Unread { .. })));
        owner.or_else(able).or(self.told.first())
    }

    fn judge(&self) -> Vec<Finding> {
        let silent = |(pod, why): &(String, String)| {
            let problem = format!("it was not asked: {why}");
            finding(Severity::Warning, pod, problem, "It may have the room; `status` tells more of it.")
        };
        let mut found: Vec<Finding> = self.silent.iter().map(silent).collect();
        let Some(reader) = self.reader() else {
            return found;
        };
        found.extend(unread("record", reader.record.as_ref()));
        found.extend(unread("lease", reader.lease.as_ref()));
        let record = reader.record.as_ref();
        match (&self.owners()[..], record) {
            ([], None) if self.silent.is_empty() => found.push(finding(
                Severity::Error,
                &self.room,
                "does not exist: no pod has it, and Redis has no record",
                "A room ends some time after its last player has left. Is the id right?",
            )),
            ([], Some(Stored::Value(record))) if record.ended => found.push(finding(
                Severity::Error,
                &self.room,
                format!("has ended at {}: no pod has it, and Redis has its tombstone", record.pod),
                "The application has ended it, or its time was over. It may be made again under this id.",
            )),
            ([], Some(Stored::Value(record))) => {
                let is_asked = self.told.iter().any(|told| told.pod == record.pod);
                found.push(without_owner(record, reader.lease.as_ref(), is_asked));
            }
            ([], _) => {}
            ([(pod, room)], record) => found.extend(of_owner(pod, room, record, reader.lease.as_ref())),
            (several, _) => {
                let of = |(pod, room): &(&str, &Room)| format!("{pod} (epoch {})", room.epoch);
                let owners: Vec<String> = several.iter().map(of).collect();
                found.push(finding(
                    Severity::Error,
                    &self.room,
                    format!("{} have it: {}", count(several.len() as u64, "pod"), owners.join(", ")),
                    "The highest epoch wins as soon as the others reach Redis or that pod. If it stays so, a pod is cut off: `status`.",
                ));
            }
        }
        found.sort();
        found
    }

    /// As people read it. `now`: Unix ms.
    pub fn text(&self, now: u64) -> String {
        let mut text = format!("Room {}\n", self.room);
        for (pod, room) in self.owners() {
            let since = age(now.saturating_sub(room.epoch));
            let quiet = room.quiet_ms.map(|quiet| format!(", quiet for {}", age(quiet))).unwrap_or_default();
            let messages = count(room.seq, "message");
            let _ = writeln!(text, "  owner   {pod}, {}, {since}, {messages}{quiet}", room.state);
        }
        let record = self.reader().and_then(|told| told.record.as_ref()?.value());
        if let Some(record) = record {
            let seats = count(record.seats.len() as u64, "seat");
            let ended = if record.ended { ", ended" } else { "" };
            let _ =
                writeln!(text, "  record  {}, epoch {}, {seats}, at {}{ended}", record.pod, record.epoch, record.tcp);
            let lease = self.reader().and_then(|told| told.lease.as_ref()?.value());
            let _ = writeln!(text, "  lease   {}", lease.map_or_else(|| "none".to_owned(), of_lease));
        }
        for (_, room) in self.owners() {
            text.extend(["\n", &players(room, record).to_string(), "\n"]);
        }
        text + &findings::text(&self.findings)
    }
}

fn unread<T>(what: &str, stored: Option<&Stored<T>>) -> Option<Finding> {
    let Some(Stored::Unread { error }) = stored else { return None };
    let problem = format!("the {what} cannot be read: {error}");
    Some(finding(Severity::Error, "Redis", problem, "See docs/operations.md, the states of /status."))
}

fn without_owner(record: &Record, lease: Option<&Stored<Lease>>, is_asked: bool) -> Finding {
    let pod = &record.pod;
    match lease.and_then(Stored::value) {
        Some(lease) if lease.boot == record.boot && !is_asked => finding(
            Severity::Notice,
            pod,
            "holds its lease and is the owner by the record; it was not asked",
            "Ask it for more.",
        ),
        Some(lease) if lease.boot == record.boot => finding(
            Severity::Warning,
            pod,
            "holds its lease and is the owner by the record, but does not have the room",
            "The next JOIN or RESUME asks that pod, and takes the room over if it declines.",
        ),
        _ => finding(
            Severity::Warning,
            pod,
            "was the owner, and has ended; nobody serves the room now",
            "The next JOIN or RESUME takes the room over, with the seats of the record.",
        ),
    }
}

fn of_owner(pod: &str, room: &Room, record: Option<&Stored<Record>>, lease: Option<&Stored<Lease>>) -> Vec<Finding> {
    let mut found = Vec::new();
    let by_itself = "By itself within seconds while Redis answers.";
    match record {
        None => found.push(finding(Severity::Warning, pod, "serves it without a record in Redis", by_itself)),
        Some(Stored::Value(record)) if (&record.boot, record.epoch) != (&room.boot, room.epoch) => {
            let problem = format!("serves it, but the record names {}, epoch {}", record.pod, record.epoch);
            found.push(finding(
                Severity::Error,
                pod,
                problem,
                "The higher epoch wins at the owner's next look, within 30 s.",
            ));
        }
        Some(Stored::Value(record)) => {
            let lease = lease.and_then(Stored::value);
            if lease.is_none_or(|lease| lease.boot != record.boot) {
                found.push(finding(Severity::Warning, pod, "serves it without a lease in Redis", by_itself));
            } else if lease.is_some_and(|lease| lease.draining) {
                found.push(finding(Severity::Notice, pod, "drains: the room will move", "None is needed."));
            }
            if !record.former.is_empty() {
                let peers: Vec<&str> = record.former.iter().map(|former| former.peer.as_str()).collect();
                let problem = format!("has not reached former owners yet: {}", peers.join(", "));
                found.push(finding(
                    Severity::Notice,
                    pod,
                    problem,
                    "None is needed, unless such a pod runs and is cut off.",
                ));
            }
        }
        Some(Stored::Unread { .. }) => {}
    }
    match room.state.as_str() {
        "paused" => found.push(finding(
            Severity::Error,
            pod,
            "has paused the room: its lease lapsed, and the record is not confirmed yet",
            "Is Redis away, or was the process frozen? `status` tells.",
        )),
        _ if !room.written => found.push(finding(Severity::Notice, pod, "is writing the record", by_itself)),
        _ => {}
    }
    found
}

fn of_lease(lease: &Lease) -> String {
    let (rooms, players) = (count(lease.rooms, "room"), count(lease.players, "player"));
    format!("{rooms}, {players}{}", if lease.draining { ", draining" } else { "" })
}

fn players(room: &Room, record: Option<&Record>) -> comfy_table::Table {
    let rows = room.players.iter().map(|seat: &Seat| {
        let recorded = record.and_then(|record| record.seats.iter().find(|recorded| recorded.name == seat.name));
        let recorded = match recorded {
            Some(recorded) if recorded.held => "held",
            Some(recorded) if recorded.joining => "joining",
            Some(_) => "not held",
            None => "no",
        };
        vec![
            seat.name.clone(),
            seat.state.clone(),
            if seat.relayed { "another pod" } else { "this pod" }.to_owned(),
            seat.held_ms.map_or_else(|| "-".to_owned(), age),
            recorded.to_owned(),
        ]
    });
    output::table(&["PLAYER", "STATE", "BY", "HELD FOR", "IN THE RECORD"], rows)
}

#[cfg(test)]
#[path = "one_tests.rs"]
mod tests;
