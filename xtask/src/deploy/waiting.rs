//! Waits until a workload is rolled out: prints each change of a pod and of a ChatDeployment's conditions, and the events and log
//! of a failure. Does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use devcluster::kube::Kube;
use devcluster::pods::{self, Pod};

use super::chat_deployment;

const POLL: Duration = Duration::from_millis(300);
/// A container that fails at once may be right a moment later: what it needs is being made too.
const PATIENCE: Duration = Duration::from_secs(15);
const LOG_LINES: &str = "--tail=15";
const EVENTS: usize = 8;

/// What to wait for: a StatefulSet, a Deployment or a ChatDeployment, and the label of its pods.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    pub namespace: &'static str,
    /// `statefulset/redis`.
    pub name: &'static str,
    /// `app.kubernetes.io/name=redis`.
    pub selector: &'static str,
    /// Whose log tells more if this one fails: a ChatDeployment's operator.
    pub maker: Option<&'static Workload>,
}

impl Workload {
    fn is_chat(&self) -> bool {
        self.name.starts_with("chatdeployment/")
    }

    fn namespace_flag(&self) -> String {
        format!("--namespace={}", self.namespace)
    }

    fn is_done(&self, object: &Value) -> bool {
        if self.is_chat() { chat_deployment::is_ready(object) } else { pods::rolled_out(object) }
    }

    /// Why it will not get ready by waiting.
    fn failure(&self, object: &Value, pods: &[Pod]) -> Option<String> {
        let pod = pods.iter().find(|pod| pod.failed).map(|pod| format!("{} is {}", pod.name, pod.state));
        pod.or_else(|| chat_deployment::failure(object).filter(|_| self.is_chat()))
    }
}

/// Returns when all of them are rolled out.
pub fn rolled_out(kube: &Kube, workloads: &[Workload], limit: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut printed = Printed { begun, pods: BTreeMap::new(), conditions: BTreeMap::new() };
    let mut hopeless_since: Option<Instant> = None;
    loop {
        let mut open = Vec::new();
        let mut failed = None;
        for workload in workloads {
            let pods = pods_of(kube, workload)?;
            let object = kube.get(&[workload.name, &workload.namespace_flag()])?.unwrap_or(Value::Null);
            for pod in &pods {
                printed.pod(pod);
            }
            if workload.is_chat() {
                printed.conditions(workload, &object);
            }
            failed = failed.or_else(|| workload.failure(&object, &pods).map(|why| (workload, why)));
            if !workload.is_done(&object) {
                open.push(workload);
            }
        }
        let Some(first) = open.first() else { return Ok(()) };
        if let Some((workload, why)) = failed {
            if hopeless_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                show(kube, workload);
                bail!("{} in the namespace {} does not become ready: {why}", workload.name, workload.namespace);
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
    let list = kube.get(&["pods", &workload.namespace_flag(), "--selector", workload.selector])?;
    Ok(pods::pods(&list.unwrap_or(Value::Null)))
}

/// The lines printed last, so that only changes are printed.
struct Printed {
    begun: Instant,
    /// By uid.
    pods: BTreeMap<String, String>,
    /// By the workload's name.
    conditions: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Printed {
    fn pod(&mut self, pod: &Pod) {
        if self.pods.get(&pod.uid) != Some(&pod.state) {
            self.line(&pod.name, &pod.state);
            self.pods.insert(pod.uid.clone(), pod.state.clone());
        }
    }

    fn conditions(&mut self, workload: &Workload, object: &Value) {
        let now = chat_deployment::conditions(object);
        let name = workload.name.rsplit('/').next().unwrap_or_default();
        let before = self.conditions.insert(workload.name, now.iter().cloned().collect()).unwrap_or_default();
        // That nothing is wrong is no news while others are.
        for line in now.iter().filter(|line| !before.contains(*line) && !line.starts_with("Degraded False")) {
            self.line(name, line);
        }
    }

    fn line(&self, name: &str, text: &str) {
        println!("    {:5.1} s  {name:<14} {text}", self.begun.elapsed().as_secs_f64());
    }
}

/// What a ChatDeployment says of itself, the last warnings of the namespace, and the last lines of each pod that is not ready and of
/// the operator. What is not available is left out.
fn show(kube: &Kube, workload: &Workload) {
    let namespace = workload.namespace_flag();
    if workload.is_chat()
        && let Ok(Some(object)) = kube.get(&[workload.name, &namespace])
    {
        eprintln!("--- status of {}:", workload.name);
        for line in chat_deployment::conditions(&object) {
            eprintln!("    {line}");
        }
    }
    let events = ["get", "events", &namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"];
    if let Ok(output) = kube.ask(&events) {
        let lines: Vec<&str> = output.stdout.lines().collect();
        eprintln!("--- warnings in the namespace {}:", workload.namespace);
        for line in &lines[lines.len().saturating_sub(EVENTS)..] {
            eprintln!("    {line}");
        }
    }
    for pod in pods_of(kube, workload).unwrap_or_default().iter().filter(|pod| !pod.ready) {
        show_log(kube, workload, pod);
    }
    if let Some(maker) = workload.maker {
        for pod in pods_of(kube, maker).unwrap_or_default() {
            show_log(kube, maker, &pod);
        }
    }
}

fn show_log(kube: &Kube, workload: &Workload, pod: &Pod) {
    for (what, more) in [("log", None), ("log before its last start", Some("--previous"))] {
        let namespace = workload.namespace_flag();
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
