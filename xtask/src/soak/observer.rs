//! Takes samples: asks pods and Redis by kubectl, and the kernel about their processes, which are on this machine. Does I/O.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use devcluster::kube::Kube;
use devcluster::pods::{self, Pod};

use super::sample::{self, Process, Redis, Sample, Usage};
use crate::deploy::{CHAT, OPERATOR};

const REDIS: &str = "chat-valkey-0";

/// Looks at one deployment and its operator.
pub struct Observer<'a> {
    kube: &'a Kube,
    redis_password: String,
    since: Instant,
}

impl<'a> Observer<'a> {
    pub fn new(kube: &'a Kube) -> Result<Self> {
        let secret = kube.get(&["secret", "chat-valkey", &in_namespace(CHAT.namespace)])?;
        let password = secret.as_ref().and_then(|secret| secret["data"]["password"].as_str());
        let password = base64::engine::general_purpose::STANDARD.decode(password.context("Redis has no password")?)?;
        Ok(Self { kube, redis_password: String::from_utf8(password)?, since: Instant::now() })
    }

    /// What is there now.
    pub fn sample(&self) -> Result<Sample> {
        let chat = self.pods(CHAT.namespace, CHAT.selector)?;
        let mut all = self.pods(OPERATOR.namespace, OPERATOR.selector)?;
        all.extend(self.pods(CHAT.namespace, "app.kubernetes.io/instance=chat,app.kubernetes.io/component!=chat")?);
        let gauges = chat.iter().filter_map(|pod| Some((pod.name.clone(), sample::gauges(&self.metrics(&pod.name)?))));
        let gauges = gauges.collect();
        all.extend(chat);
        Ok(Sample { at: self.since.elapsed(), usage: usage(&all), gauges, redis: self.redis() })
    }

    fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let list = self.kube.get(&["pods", &in_namespace(namespace), "--selector", selector])?;
        Ok(pods::pods(&list.unwrap_or_default()))
    }

    /// `None`: the pod comes or goes.
    fn metrics(&self, pod: &str) -> Option<String> {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}:9090/proxy/metrics", CHAT.namespace);
        let output = self.kube.ask(&["get", "--raw", &path]).ok()?;
        output.status.success().then_some(output.stdout)
    }

    fn redis(&self) -> Option<Redis> {
        let namespace = in_namespace(CHAT.namespace);
        let words = ["exec", REDIS, &namespace, "--", "redis-cli", "--no-auth-warning", "--user", "chatd", "--pass"];
        let output = self.kube.ask(&[&words[..], &[self.redis_password.as_str(), "INFO"]].concat()).ok()?;
        sample::redis(&output.stdout)
    }
}

fn in_namespace(namespace: &str) -> String {
    format!("--namespace={namespace}")
}

/// The processes of these pods by their control groups, which have a pod's uid in their names.
fn usage(pods: &[Pod]) -> BTreeMap<Process, Usage> {
    let mut usage = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let folder = entry.path();
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let group = read("cgroup").replace('_', "-");
        let Some(pod) = pods.iter().find(|pod| group.contains(&pod.uid)) else { continue };
        // What keeps a pod's namespaces, and programs that were executed in it beside its own, such as redis-cli.
        if !["chatd\n", "chatd-operator\n", "redis-server\n"].contains(&read("comm").as_str()) {
            continue;
        }
        let descriptors = fs::read_dir(folder.join("fd")).map_or(0, Iterator::count) as u64;
        if let Some(of_process) = sample::usage(&read("status"), descriptors) {
            usage.insert(Process { pod: pod.name.clone(), id }, of_process);
        }
    }
    usage
}
