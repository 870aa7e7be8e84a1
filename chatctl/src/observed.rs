//! What was observed of a chat service: its ChatDeployment, its pods, and what each pod answers. Plain data: no I/O.

use serde::Serialize;

use crate::metrics::Figures;

/// A chat service: a ChatDeployment with its pods, or one process.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The ChatDeployment. Absent for one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// Its pods, sorted by name.
    pub pods: Vec<Pod>,
}

/// A ChatDeployment, as the API server has it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Desired pods, within the bounds of the autoscaler.
    pub desired: i32,
    /// Image of chatd in use.
    pub image: Option<String>,
    /// Address of Redis, without user and password.
    pub redis: Option<String>,
    /// Address for raw TCP clients.
    pub tcp: Option<String>,
    /// Address for browsers.
    pub web: Option<String>,
    /// Whether the operator has seen the present spec.
    pub is_observed: bool,
    /// The operator that manages it.
    pub operator: Option<String>,
    /// A second operator that claims it.
    pub contender: Option<String>,
    /// Ready, Progressing, Degraded, RedisReady.
    pub conditions: Vec<Condition>,
}

/// A condition of the ChatDeployment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type, such as Ready.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word of a fixed list.
    pub reason: String,
    /// A sentence with the remedy.
    pub message: String,
}

impl Deployment {
    /// The condition of this type, if it has this status.
    pub fn condition(&self, kind: &str, status: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind && condition.status == status)
    }
}

/// A chat pod.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name; of a single process its address.
    pub name: String,
    /// The node that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether Kubernetes calls it ready.
    pub is_ready: bool,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Restarts of its container.
    pub restarts: i32,
    /// Why its container does not run, such as CrashLoopBackOff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// How its container ended last, such as `OOMKilled, exit code 137`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_end: Option<String>,
    /// What its admin port answered.
    pub answer: Answer,
}

impl Pod {
    /// Its report, if it gave one.
    pub fn report(&self) -> Option<&Report> {
        match &self.answer {
            Answer::Report(report) => Some(report),
            _ => None,
        }
    }
}

/// What came of asking a pod's admin port.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It has no running container to ask.
    #[default]
    NotRunning,
    /// Nothing usable came: why.
    Silent(String),
    /// This user may not ask: why.
    Forbidden(String),
    /// What it says of itself.
    Report(Box<Report>),
}

/// A pod's own report: `/status` and `/metrics`.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
#[serde(default, rename_all(serialize = "camelCase"))]
pub struct Report {
    /// Version of chatd.
    pub version: String,
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Whether it moves its rooms away in order to end.
    pub draining: bool,
    /// Rooms that it owns.
    pub rooms: u64,
    /// Seats in its rooms, held ones included.
    pub players: u64,
    /// The state of Redis as it sees it.
    pub directory: Directory,
    /// What `/metrics` adds.
    #[serde(skip_deserializing)]
    pub figures: Figures,
}

/// Redis, as a pod sees it.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Directory {
    /// `ok`, or what is wrong in one word of a fixed list.
    pub state: String,
    /// Since when, in Unix seconds.
    pub since: u64,
    /// The error with an explanation.
    pub detail: String,
}
