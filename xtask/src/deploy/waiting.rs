//! Waiting until a workload is rolled out: each change of a pod is said, and what fails is shown with its events and log. Does I/O.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::kube::Kube;
use super::pods::{self, Pod};

const POLL: Duration = Duration::from_millis(300);
/// A container that fails at once may be right a moment later: what it needs is being made too.
const PATIENCE: Duration = Duration::from_secs(15);
const LOG_LINES: &str = "--tail=15";
const EVENTS: usize = 8;

/// What to wait for: a StatefulSet or a Deployment and the label of its pods.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub namespace: &'static str,
    /// `statefulset/redis`.
    pub name: &'static str,
    /// `app.kubernetes.io/name=redis`.
    pub selector: &'static str,
}

/// Returns when all of them are rolled out.
pub fn rolled_out(kube: &Kube, workloads: &[Workload], limit: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let mut hopeless_since: Option<Instant> = None;
    loop {
        let mut open = Vec::new();
        let mut failed: Option<(Workload, Pod)> = None;
        for workload in workloads {
            let pods = pods_of(kube, workload)?;
            for pod in &pods {
                say_change(&mut said, pod, begun);
            }
            failed = failed.or_else(|| pods.into_iter().find(|pod| pod.failed).map(|pod| (*workload, pod)));
            let namespace = format!("--namespace={}", workload.namespace);
            let done = kube.get(&[workload.name, &namespace])?.is_some_and(|object| pods::rolled_out(&object));
            if !done {
                open.push(*workload);
            }
        }
        let Some(first) = open.first() else { return Ok(()) };
        if let Some((workload, pod)) = failed {
            if hopeless_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                show(kube, &workload);
                bail!("{} in the namespace {} does not get ready: {}", pod.name, workload.namespace, pod.state);
            }
        } else {
            hopeless_since = None;
        }
        if begun.elapsed() >= limit {
            show(kube, first);
            bail!("{} in the namespace {} is not ready after {} s", first.name, first.namespace, limit.as_secs());
        }
        sleep(POLL);
    }
}

fn pods_of(kube: &Kube, workload: &Workload) -> Result<Vec<Pod>> {
    let namespace = format!("--namespace={}", workload.namespace);
    let list = kube.get(&["pods", &namespace, "--selector", workload.selector])?;
    Ok(pods::pods(&list.unwrap_or(Value::Null)))
}

fn say_change(said: &mut BTreeMap<String, String>, pod: &Pod, begun: Instant) {
    if said.get(&pod.uid) != Some(&pod.state) {
        println!("    {:5.1} s  {:<14} {}", begun.elapsed().as_secs_f64(), pod.name, pod.state);
        said.insert(pod.uid.clone(), pod.state.clone());
    }
}

/// The last warnings of the namespace, and the last lines of each pod that is not ready. What cannot be had is left out.
fn show(kube: &Kube, workload: &Workload) {
    let namespace = format!("--namespace={}", workload.namespace);
    let events = ["get", "events", &namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"];
    if let Ok(output) = kube.ask(&events) {
        let lines: Vec<&str> = output.stdout.lines().collect();
        eprintln!("--- warnings in the namespace {}:", workload.namespace);
        for line in &lines[lines.len().saturating_sub(EVENTS)..] {
            eprintln!("    {line}");
        }
    }
    for pod in pods_of(kube, workload).unwrap_or_default().iter().filter(|pod| !pod.ready) {
        for (what, more) in [("log", None), ("log before its last start", Some("--previous"))] {
            let words: Vec<&str> =
                ["logs", &namespace, &pod.name, LOG_LINES, "--all-containers"].into_iter().chain(more).collect();
            if let Ok(output) = kube.ask(&words)
                && !output.stdout.trim().is_empty()
            {
                eprintln!("--- the end of {}'s {what}:", pod.name);
                output.stdout.lines().for_each(|line| eprintln!("    {line}"));
            }
        }
    }
}
