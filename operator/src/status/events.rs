//! Current problems from Kubernetes' Events. Events are kept for an hour, even if their problem is gone: one counts only until a
//! later observation contradicts it. Pure: (events, their objects, time) -> problem; no I/O.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;

use super::Problem;

/// The kubelet tries a mount again every 2 minutes at most, and writes every third Event of many.
const POD_EVENT_COUNTS: SignedDuration = SignedDuration::from_mins(10);
/// The StatefulSet controller tries to make a pod again every 17 minutes at most.
const SET_EVENT_COUNTS: SignedDuration = SignedDuration::from_mins(20);

/// How far a pod has come on its way to its containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Attached,
    Mounted,
    Sandboxed,
    Started,
}

/// The stage that an Event of this reason tells the end of, and whether it was reached.
fn stage(reason: &str) -> Option<(Stage, bool)> {
    Some(match reason {
        "FailedAttachVolume" => (Stage::Attached, false),
        "SuccessfulAttachVolume" => (Stage::Attached, true),
        "FailedMount" => (Stage::Mounted, false),
        "FailedCreatePodSandBox" => (Stage::Sandboxed, false),
        // Images are fetched, and containers made, in a pod that is set up.
        "Pulling" | "Pulled" | "Created" | "Started" | "BackOff" | "Failed" => (Stage::Started, true),
        _ => return None,
    })
}

/// What keeps a pod without containers from having some. All Events are of that pod, by its uid.
pub fn of_pod(events: &[Event], now: Timestamp) -> Option<Problem> {
    let mut sorted: Vec<_> = events
        .iter()
        .filter_map(|event| {
            let (stage, is_reached) = stage(event.reason.as_deref()?)?;
            Some((time(event)?, stage, is_reached, event))
        })
        .collect();
    // Times are whole seconds: of two in one second the later stage is the later one, and of one stage that it was reached.
    sorted.sort_by_key(|(at, stage, is_reached, _)| (*at, *stage, *is_reached));
    let mut reached = None;
    for (at, stage, is_reached, event) in sorted.into_iter().rev() {
        if is_reached {
            reached = reached.max(Some(stage));
        } else if reached < Some(stage) {
            return (now.duration_since(at) < POD_EVENT_COUNTS).then(|| problem(event)).flatten();
        }
    }
    None
}

/// What keeps a StatefulSet from making the pods that it `lacks`.
pub fn of_set(events: &[Event], lacks: &BTreeSet<String>, now: Timestamp) -> Option<Problem> {
    let mut sorted: Vec<_> = events.iter().filter_map(|event| Some((time(event)?, event))).collect();
    sorted.sort_by_key(|(at, event)| (*at, event.reason.as_deref() == Some("SuccessfulCreate")));
    let mut made = BTreeSet::new();
    for (at, event) in sorted.into_iter().rev() {
        let pod = pod_of(event.message.as_deref().unwrap_or_default());
        match (event.reason.as_deref(), pod) {
            (Some("SuccessfulCreate"), Some(pod)) => {
                made.insert(pod);
            }
            (Some("FailedCreate"), Some(pod)) if made.contains(pod) || !lacks.contains(pod) => {}
            (Some("FailedCreate"), _) => {
                return (now.duration_since(at) < SET_EVENT_COUNTS).then(|| problem(event)).flatten();
            }
            _ => {}
        }
    }
    None
}

fn problem(event: &Event) -> Option<Problem> {
    Problem::of_event(event.reason.as_deref()?, event.message.as_deref().unwrap_or_default())
}

/// The pod that a StatefulSet's Event is about: `create Pod chat-0 in StatefulSet chat failed error: ...`.
fn pod_of(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Pod ")?;
    let (pod, _) = rest.split_once(" in StatefulSet ")?;
    (!pod.contains(' ')).then_some(pod)
}

/// When it was last so.
fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series.max(last).max(first).or_else(|| event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;

    use super::*;
    use crate::status::Reason;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(second: i64, reason: &str, message: &str) -> Event {
        let (reason, message) = (Some(reason.to_owned()), Some(message.to_owned()));
        Event { reason, message, last_timestamp: Some(Time(at(second))), ..Event::default() }
    }

    fn missing(second: i64) -> Event {
        event(second, "FailedMount", "MountVolume.SetUp failed for volume \"redis\" : secret \"x\" not found")
    }

    fn refused(second: i64, pod: &str) -> Event {
        let message = format!(
            "create Pod {pod} in StatefulSet chat failed error: pods \"{pod}\" is forbidden: exceeded quota: q"
        );
        event(second, "FailedCreate", &message)
    }

    fn made(second: i64, pod: &str) -> Event {
        event(second, "SuccessfulCreate", &format!("create Pod {pod} in StatefulSet chat successful"))
    }

    #[test]
    fn what_a_pod_has_got_over_is_past() {
        let sandbox = |second| event(second, "FailedCreatePodSandBox", "no network");
        let attached = |second| event(second, "SuccessfulAttachVolume", "attached");
        let pulling = |second| event(second, "Pulling", "image");
        let detached = |second| event(second, "FailedAttachVolume", "no disk");
        let table = [
            ("it is missing", vec![missing(10)], 20, Some(Reason::MountFailed)),
            ("it was missing for a moment", vec![missing(10), pulling(11)], 20, None),
            ("within a second", vec![pulling(10), missing(10)], 20, None),
            ("the network came after it", vec![missing(10), sandbox(30)], 31, Some(Reason::ContainerRefused)),
            ("it is missing again", vec![pulling(10), missing(30)], 31, Some(Reason::MountFailed)),
            ("the disk is there, the Secret is not", vec![missing(10), attached(11)], 20, Some(Reason::MountFailed)),
            ("the disk came", vec![detached(10), attached(11)], 20, None),
            ("within a second", vec![attached(10), detached(10)], 20, None),
            ("the kubelet would have said it again", vec![missing(10)], 10 + 600, None),
            ("other Events", vec![event(10, "Unhealthy", "Readiness probe failed")], 20, None),
        ];
        for (name, events, now, expected) in table {
            assert_eq!(of_pod(&events, at(now)).map(|problem| problem.reason), expected, "{name}");
        }
    }

    #[test]
    fn a_refusal_counts_for_the_pod_that_is_missing() {
        let lacks = |pods: &[&str]| pods.iter().map(|pod| (*pod).to_owned()).collect::<BTreeSet<_>>();
        let limits = || event(5, "FailedCreate", "something without a name");
        let table = [
            ("refused", vec![refused(10, "chat-2")], lacks(&["chat-2"]), 20, true),
            ("made since", vec![refused(10, "chat-2"), made(11, "chat-2")], lacks(&["chat-2"]), 20, false),
            ("made in the same second", vec![made(10, "chat-2"), refused(10, "chat-2")], lacks(&["chat-2"]), 20, false),
            ("refused again", vec![made(10, "chat-2"), refused(11, "chat-2")], lacks(&["chat-2"]), 20, true),
            ("it is there, another is missing", vec![refused(10, "chat-1")], lacks(&["chat-2"]), 20, false),
            ("another was made", vec![refused(10, "chat-2"), made(11, "chat-1")], lacks(&["chat-2"]), 20, true),
            ("no name", vec![limits()], lacks(&["chat-2"]), 20, true),
            ("long ago", vec![refused(10, "chat-2")], lacks(&["chat-2"]), 10 + 1200, false),
        ];
        for (name, events, lacks, now, expected) in table {
            assert_eq!(of_set(&events, &lacks, at(now)).is_some(), expected, "{name}");
        }
        let claim = "create Claim data-chat-valkey-0 for Pod chat-valkey-0 in StatefulSet chat-valkey failed error: no";
        assert_eq!(pod_of(claim), Some("chat-valkey-0"));
    }

    fn history() -> impl Strategy<Value = Vec<Event>> {
        let reasons = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "SuccessfulAttachVolume"];
        let one = (0_i64..500, proptest::sample::select(reasons.to_vec()));
        proptest::collection::vec(one.prop_map(|(second, reason)| event(second, reason, "why")), 0..12)
    }

    proptest! {
        #[test]
        fn no_past_fault_outlives_a_start(events in history(), shuffle in any::<proptest::sample::Index>()) {
            let mut events = events;
            let place = shuffle.index(events.len() + 1);
            events.insert(place, event(500, "Started", "container"));
            prop_assert_eq!(of_pod(&events, at(501)), None);
        }

        #[test]
        fn the_order_in_a_list_does_not_matter(events in history(), now in 0_i64..2000) {
            let of = |events: &[Event]| of_pod(events, at(500 + now)).map(|problem| problem.reason);
            let mut reversed = events.clone();
            reversed.reverse();
            prop_assert_eq!(of(&events), of(&reversed));
        }
    }
}
