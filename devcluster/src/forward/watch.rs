//! The known pods of a selector, updated by `kubectl get --watch`. Does I/O, in a thread of its own.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::Child;
use crate::kube::Kube;
use crate::pods::{self, Pod};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A watch that lasted this long was not broken from the start.
const GOOD: Duration = Duration::from_secs(10);

/// The pods as they were last heard of.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Vec<Pod>>>);

impl Watch {
    /// Goes on until this process ends.
    pub fn start(kube: Kube, namespace: String, selector: String) -> Self {
        let watch = Self::default();
        let mine = watch.clone();
        thread::spawn(move || {
            let mut pause = FIRST_PAUSE;
            loop {
                let begun = Instant::now();
                mine.follow(&kube, &namespace, &selector);
                pause = if begun.elapsed() > GOOD { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
                thread::sleep(pause);
            }
        });
        watch
    }

    pub fn pods(&self) -> Vec<Pod> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One watch, until it breaks. What was known before stays until then: a watch begins with all that there is.
    fn follow(&self, kube: &Kube, namespace: &str, selector: &str) {
        let namespace = format!("--namespace={namespace}");
        // The next watch does not report pods that went since the last one.
        if let Ok(list) = kube.get(&["pods", &namespace, "--selector", selector]) {
            self.replace(pods::pods(&list.unwrap_or(Value::Null)));
        }
        let words = ["get", "pods", &namespace, "--selector", selector, "--watch", "--output-watch-events"];
        let mut command: Command = kube.command(&words);
        command.arg("--output=json");
        let Ok(child) = Child::start(command) else { return };
        // Each event is a line.
        while let Some(line) = child.wait_for_line() {
            let Ok(event) = serde_json::from_str(&line) else { continue };
            let mut pods = self.pods();
            take(&mut pods, &event);
            self.replace(pods);
        }
    }

    fn replace(&self, pods: Vec<Pod>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pods;
    }
}

/// What one event of a watch changes.
fn take(pods: &mut Vec<Pod>, event: &Value) {
    let kind = event["type"].as_str().unwrap_or_default();
    if !["ADDED", "MODIFIED", "DELETED"].contains(&kind) {
        return;
    }
    let pod = pods::pod(&event["object"]);
    pods.retain(|known| known.uid != pod.uid);
    if kind != "DELETED" {
        pods.push(pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_add_change_and_remove_one_pod_each() {
        let event = |kind: &str, name: &str| json!({"type": kind, "object": {"metadata": {"name": name, "uid": name}}});
        let mut pods = Vec::new();
        take(&mut pods, &event("ADDED", "a"));
        take(&mut pods, &event("ADDED", "b"));
        take(&mut pods, &event("MODIFIED", "a"));
        take(&mut pods, &event("BOOKMARK", "c"));
        take(&mut pods, &json!({}));
        assert_eq!(pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        take(&mut pods, &event("DELETED", "b"));
        assert_eq!(pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
