//! Which chat process is dead, as far as a pod's status proves it. Pure: no I/O.
//!
//! chatd leaves its boot in its container's termination message, which the kubelet reads only once the container runtime has reported
//! that very container's end (docs/decisions/0014-proof-of-death.md). So nothing has to be paired with times or polls.

pub mod message;
mod signer;
mod tell;

pub use signer::{PURPOSE, SIGNATURE, Signer};
pub use tell::tell;

use crate::desired::CHAT;
use crate::record::PodRecord;

/// A process that is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its pod's name, under which its lease stands.
    pub pod: String,
    /// The process.
    pub boot: String,
}

/// The death that a pod's status tells of, and did not before. What was so when the pod was first seen is past: a lease lasts 10 s.
pub fn death(before: &PodRecord, now: &PodRecord) -> Option<Death> {
    let is_new = before.uid == now.uid && before.ended != now.ended && now.component == CHAT;
    let boot = now.ended.as_deref().filter(|_| is_new)?;
    Some(Death { pod: now.name.clone(), boot: boot.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::message::NOT_FOUND;
    use super::*;
    use crate::desired::CONTAINER;

    const BOOT: &str = "00000000000000ab";

    fn pod(uid: &str, component: &str, status: &Value) -> PodRecord {
        let labels = json!({ "app.kubernetes.io/component": component });
        let metadata = json!({ "name": "chat-0", "uid": uid, "labels": labels });
        PodRecord::of(&serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap())
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({
            "name": CONTAINER, "image": "i", "imageID": "i", "ready": false, "restartCount": 1, "state": state, "lastState": last,
        })
    }

    fn terminated(code: i32, reason: &str, message: &str) -> Value {
        json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } })
    }

    fn statuses(containers: &[Value]) -> Value {
        json!({ "phase": "Running", "containerStatuses": containers })
    }

    #[test]
    fn only_the_end_of_the_very_container_that_the_kubelet_has_seen_proves_a_death() {
        let message = format!("chatd boot {BOOT}");
        let killed = terminated(137, "Error", &message);
        let (runs, waits, none) = (json!({ "running": {} }), json!({ "waiting": {} }), json!({}));
        let of = |state: &Value, last: &Value| statuses(&[container(state, last)]);
        let other = |name: &str| {
            let mut other = container(&killed, &none);
            other["name"] = name.into();
            other
        };
        let mut failed = of(&runs, &none);
        failed["phase"] = "Failed".into();
        let away = json!([{ "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" }]);
        let mut silent = of(&runs, &none);
        silent["conditions"] = away;
        let table = [
            ("killed", of(&killed, &none), true),
            ("out of memory", of(&terminated(137, "OOMKilled", &message), &none), true),
            ("killed, and waiting to start again", of(&waits, &killed), true),
            ("killed, and started again", of(&runs, &killed), true),
            ("killed, beside another container", statuses(&[other("sidecar"), container(&killed, &none)]), true),
            ("it runs", of(&runs, &none), false),
            ("nothing is known", json!({}), false),
            ("its node is silent", silent, false),
            ("the control plane has given the pod up", failed, false),
            ("it ended in order", of(&terminated(0, "Completed", &message), &none), false),
            ("the kubelet does not find it", of(&terminated(137, NOT_FOUND, &message), &none), false),
            ("it had not come to its message", of(&terminated(137, "Error", ""), &none), false),
            ("an older version", of(&terminated(137, "Error", "panicked"), &none), false),
            ("cut", of(&terminated(137, "Error", &message[..message.len() - 1]), &none), false),
            ("more than the message", of(&terminated(137, "Error", &format!("{message}0")), &none), false),
            ("other digits", of(&terminated(137, "Error", &message.replace("ab", "AB")), &none), false),
            ("another container alone", statuses(&[other("sidecar")]), false),
        ];
        let before = pod("u", CHAT, &of(&runs, &none));
        for (what, status, is_dead) in table {
            let expected = is_dead.then(|| Death { pod: "chat-0".into(), boot: BOOT.into() });
            assert_eq!(death(&before, &pod("u", CHAT, &status)), expected, "{what}");
        }
        let dead = of(&killed, &none);
        let now = pod("u", CHAT, &dead);
        assert_eq!(death(&now, &now), None, "it was known");
        assert_eq!(death(&now, &pod("u", CHAT, &of(&runs, &killed))), None, "the same end, told in another place");
        assert_eq!(death(&pod("v", CHAT, &of(&runs, &none)), &now), None, "another pod of its name");
        assert_eq!(death(&pod("u", "valkey", &of(&runs, &none)), &pod("u", "valkey", &dead)), None);
    }
}
