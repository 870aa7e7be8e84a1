//! An event as the JSON that the webhook gets, in the form that Standard Webhooks recommends. Pure: no I/O.

use jiff::Timestamp;
use serde::Serialize;

use super::event::{Occurrence, WebhookEvent};
use crate::protocol::{Epoch, PlayerName, PodBoot, RoomId, Timeline};

/// The pod that tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teller {
    /// Its name.
    pub pod_id: String,
    /// Its process.
    pub boot: PodBoot,
}

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

/// Of each event the fields that it has.
#[derive(Serialize)]
struct Data<'a> {
    room: RoomId,
    epoch: Epoch,
    timeline: Timeline,
    number: u64,
    pod: &'a str,
    #[serde(skip_serializing_if = "is_none")]
    dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PlayerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    players: Option<&'a [PlayerName]>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_none(dropped: &u64) -> bool {
    *dropped == 0
}

/// The body of a request. `dropped`: how many events this pod has dropped since the last one that told so.
pub fn payload(teller: &Teller, event: &WebhookEvent, dropped: u64) -> Vec<u8> {
    let WebhookEvent { room, epoch, timeline, number, at, what } = event;
    let mut data = Data {
        room: *room,
        epoch: *epoch,
        timeline: *timeline,
        number: *number,
        pod: &teller.pod_id,
        dropped,
        name: None,
        reason: None,
        from: None,
        text: None,
        seq: None,
        players: None,
    };
    match what {
        Occurrence::Created => {}
        Occurrence::Closed(reason) => data.reason = Some(reason.as_str()),
        Occurrence::Joined(name) => data.name = Some(*name),
        Occurrence::Left(name, reason) => (data.name, data.reason) = (Some(*name), Some(reason.as_str())),
        Occurrence::Moved { players } => data.players = Some(players),
        Occurrence::TakenOver { from, players } => {
            (data.from, data.players) = (Some(&**from), Some(players.as_slice()));
        }
        Occurrence::Message { from, text, seq } => {
            (data.from, data.text, data.seq) = (Some(from.as_str()), Some(&**text), Some(*seq));
        }
    }
    let at = i64::try_from(*at).unwrap_or(i64::MAX);
    let timestamp = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX).to_string();
    let payload = Payload { r#type: what.kind(), timestamp, data };
    // Texts and numbers alone: nothing in it can fail to be written.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// What a receiver knows the event by, however often it comes. With the process: after a loss of the directory two pods may have counted one
/// timeline. It holds no full stop, which ends it in what is signed.
pub fn id(teller: &Teller, event: &WebhookEvent) -> String {
    format!("evt_{}{}_{}", teller.boot, event.timeline, event.number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::ExitReason;
    use crate::webhook::CloseReason;

    fn body(what: Occurrence, dropped: u64) -> String {
        let teller = Teller { pod_id: "chat-0".into(), boot: PodBoot(10) };
        let room = "match-42.a".parse().unwrap();
        let event = WebhookEvent { room, epoch: 5, timeline: Timeline(255), number: 7, at: 1_700_000_000_123, what };
        assert_eq!(id(&teller, &event), "evt_000000000000000a00000000000000ff_7");
        String::from_utf8(payload(&teller, &event, dropped)).unwrap()
    }

    #[test]
    fn each_event_has_its_fields() {
        let name: PlayerName = "ana".parse().unwrap();
        let frame = |kind: &str, more: &str| {
            format!(
                r#"{{"type":"{kind}","timestamp":"2023-11-14T22:13:20.123Z","data":{{"room":"match-42.a","epoch":5,"timeline":"00000000000000ff","number":7,"pod":"chat-0"{more}}}}}"#
            )
        };
        for (what, kind, more) in [
            (Occurrence::Created, "room.created", ""),
            (Occurrence::Closed(CloseReason::Empty), "room.closed", r#","reason":"empty""#),
            (Occurrence::Closed(CloseReason::MadeWay), "room.closed", r#","reason":"made_way""#),
            (Occurrence::Closed(CloseReason::Expired), "room.closed", r#","reason":"expired""#),
            (Occurrence::Closed(CloseReason::Deleted), "room.closed", r#","reason":"deleted""#),
            (Occurrence::Joined(name), "player.joined", r#","name":"ana""#),
            (Occurrence::Left(name, ExitReason::Timeout), "player.left", r#","name":"ana","reason":"timeout""#),
            (Occurrence::Moved { players: vec![name] }, "room.moved", r#","players":["ana"]"#),
            (
                Occurrence::TakenOver { from: "chat-1".into(), players: vec![] },
                "room.taken_over",
                r#","from":"chat-1","players":[]"#,
            ),
            (
                Occurrence::Message { from: name, text: "a \"b\"\nc".into(), seq: 3 },
                "message",
                r#","from":"ana","text":"a \"b\"\nc","seq":3"#,
            ),
        ] {
            assert_eq!(body(what, 0), frame(kind, more));
        }
        assert_eq!(body(Occurrence::Created, 12), frame("room.created", r#","dropped":12"#));
    }
}
