//! Reports external changes: signals, key files, the file of addresses. Does I/O: waits for them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_local;

use super::message::PodEvent;
use crate::files::{JoinKeyWatch, KeyWatch, Watcher};
use crate::hub::Advertised;
use crate::protocol::token::Keyring;

/// Watches for the signals that end a pod. A first one drains, a second one aborts.
pub(super) fn signals(events: &UnboundedSender<PodEvent>) {
    let all = [
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::interrupt(), "SIGINT"),
        // What a terminal sends that is closed.
        (SignalKind::hangup(), "SIGHUP"),
    ];
    for (kind, name) in all {
        if is_ignored(kind) {
            continue;
        }
        match signal(kind) {
            Ok(mut signals) => {
                let events = events.clone();
                spawn_local(async move {
                    while signals.recv().await.is_some() {
                        let _ = events.send(PodEvent::Signal(name));
                    }
                });
            }
            Err(error) => tracing::error!(%error, signal = name, "cannot handle this signal; it will kill the process"),
        }
    }
}

/// Whether this process was started so that the signal does nothing, as `nohup` does with SIGHUP.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    ignored >> (kind.as_raw_value() - 1) & 1 == 1
}

pub(super) async fn keys(mut keys: KeyWatch, events: UnboundedSender<PodEvent>) {
    loop {
        let loaded = keys.changed().await;
        let count = loaded.keys.len();
        match Keyring::new(loaded.keys, &loaded.signing) {
            Ok(ring) => {
                let _ = events.send(PodEvent::Keys(Arc::new(ring), count));
            }
            Err(error) => tracing::error!(%error, "cannot use the changed token keys; keeping the old ones"),
        }
    }
}

pub(super) async fn join_keys(mut keys: JoinKeyWatch, events: UnboundedSender<PodEvent>) {
    loop {
        let verifier = keys.changed().await;
        let _ = events.send(PodEvent::JoinKeys(verifier));
    }
}

pub(super) async fn addresses(mut watcher: Watcher<HashMap<String, Advertised>>, events: UnboundedSender<PodEvent>) {
    loop {
        let read = watcher.changed().await;
        let _ = events.send(PodEvent::Advertised(Arc::new(read)));
    }
}
