//! `logs`: what all pods of a ChatDeployment log, each line with its pod's name. Does I/O: streams from the API server.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::io::AsyncBufReadExt;
use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::LogParams;
use operator::api::ChatDeployment;
use operator::desired::CONTAINER;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cluster::Cluster;
use crate::output::{self, Outcome};

/// Between two looks for new pods and restarted containers.
const LOOK: Duration = Duration::from_secs(2);
/// Before a stream that broke is taken up again.
const RETRY: Duration = Duration::from_secs(1);

/// Which lines.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Lines {
    /// Goes on with new lines, also of new pods, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only lines of the last so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..))]
    since: Option<i64>,
    /// Only the last so many lines of each pod
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    tail: Option<i64>,
    /// Of the containers before the last restarts
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
    /// Only of this pod
    #[arg(long)]
    pod: Option<String>,
}

/// A container's run: a restarted one has logs of its own.
type Run = (String, String, i32);

/// Prints the lines of all chat pods.
pub async fn logs(cluster: &Cluster, name: Option<&str>, lines: &Lines) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let api = cluster.of(&deployment);
    let runs = runs(cluster, &deployment, lines).await?;
    ensure!(!runs.is_empty(), "there is no such pod");
    if lines.follow {
        tokio::select! {
            result = follow(cluster, &deployment, lines, runs) => result?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        return Ok(Outcome::Well);
    }
    let width = width(&runs);
    let mut outcome = Outcome::Well;
    for (pod, _, restarts) in runs {
        if lines.previous && restarts == 0 {
            continue;
        }
        match copy(&api, &pod, width, &parameters(lines)).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                eprintln!("warning: the logs of {pod} are missing: {error:#}");
                outcome = Outcome::Wrong;
            }
        }
    }
    Ok(outcome)
}

fn parameters(lines: &Lines) -> LogParams {
    LogParams { since_seconds: lines.since, tail_lines: lines.tail, previous: lines.previous, ..of_chatd() }
}

/// A pod may have other containers, such as a mesh's.
fn of_chatd() -> LogParams {
    LogParams { container: Some(CONTAINER.to_owned()), ..LogParams::default() }
}

async fn runs(cluster: &Cluster, deployment: &ChatDeployment, lines: &Lines) -> Result<Vec<Run>> {
    let pods = cluster.pods(deployment).await?.into_iter().filter_map(run_of);
    Ok(pods.filter(|(name, ..)| lines.pod.as_ref().is_none_or(|pod| pod == name)).collect())
}

/// `None`: its container has not run yet.
fn run_of(pod: ApiPod) -> Option<Run> {
    let status = pod.status?.container_statuses?.into_iter().find(|status| status.name == CONTAINER)?;
    let has_run = status.restart_count > 0 || status.state.is_some_and(|state| state.waiting.is_none());
    has_run.then_some((pod.metadata.name?, pod.metadata.uid?, status.restart_count))
}

fn width(runs: &[Run]) -> usize {
    runs.iter().map(|(name, ..)| name.len()).max().unwrap_or(0)
}

fn prefixed(pod: &str, width: usize, line: &str) -> String {
    format!("{pod:width$} | {line}\n")
}

/// False: nobody reads them any more.
async fn copy(api: &Api<ApiPod>, pod: &str, width: usize, parameters: &LogParams) -> Result<bool> {
    let mut lines = api.log_stream(pod, parameters).await?.lines();
    while let Some(line) = lines.try_next().await? {
        if !output::is_read(&prefixed(pod, width, &line))? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn follow(cluster: &Cluster, deployment: &ChatDeployment, lines: &Lines, first: Vec<Run>) -> Result<()> {
    let api = cluster.of(deployment);
    let width = width(&first);
    let (sender, mut receiver) = unbounded_channel();
    let mut known = BTreeSet::new();
    let mut start = |run: Run, parameters: LogParams| {
        if known.insert(run.clone()) {
            tokio::spawn(follow_one(api.clone(), run.0, width, parameters, sender.clone()));
        }
    };
    for run in first {
        start(run, parameters(lines));
    }
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(line) = receiver.recv() => {
                if !output::is_read(&line?)? {
                    return Ok(());
                }
            }
            // The API server may be away for a moment; what a new run has logged is read from its beginning.
            _ = look.tick() => {
                let runs = runs(cluster, deployment, lines).await.unwrap_or_default();
                for run in runs {
                    start(run, of_chatd());
                }
            }
        }
    }
}

/// Sends the lines of one run until its container ends; takes the stream up where it broke.
async fn follow_one(
    api: Api<ApiPod>,
    pod: String,
    width: usize,
    parameters: LogParams,
    sender: UnboundedSender<Result<String>>,
) {
    let mut parameters = LogParams { follow: true, timestamps: true, ..parameters };
    let mut last = None;
    loop {
        match follow_once(&api, &pod, width, &parameters, &mut last, &sender).await {
            Ok(()) => return,
            Err(error) if is_refused(&error) => {
                let _ = sender.send(Err(error.context(format!("cannot read the logs of {pod}"))));
                return;
            }
            Err(_) => {}
        }
        // Whole seconds: lines of the last one come again, and are left out.
        parameters = LogParams { since_time: last, since_seconds: None, ..parameters };
        sleep(RETRY).await;
    }
}

/// It will be refused again, unlike what a broken connection or a restarted API server cuts off.
fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if matches!(status.code, 401 | 403))
}

async fn follow_once(
    api: &Api<ApiPod>,
    pod: &str,
    width: usize,
    parameters: &LogParams,
    last: &mut Option<Timestamp>,
    sender: &UnboundedSender<Result<String>>,
) -> Result<()> {
    let stream = api.log_stream(pod, parameters).await;
    if matches!(&stream, Err(kube::Error::Api(status)) if status.code == 404) {
        return Ok(());
    }
    let mut lines = stream.context("no logs")?.lines();
    let resumed_at = *last;
    while let Some(line) = lines.next().await {
        let (time, line) = line.map(timed)?;
        if time.is_some() && time <= resumed_at {
            continue;
        }
        *last = time.or(*last);
        // Nobody listens any more: the program ends.
        if sender.send(Ok(prefixed(pod, width, &line))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A line without the time that the kubelet put before it.
fn timed(line: String) -> (Option<Timestamp>, String) {
    let time = line.split_once(' ').and_then(|(time, rest)| Some((time.parse().ok()?, rest.to_owned())));
    time.map_or((None, line), |(time, rest)| (Some(time), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_pod_and_lose_the_kubelet_s_time() {
        assert_eq!(prefixed("chat-0", 8, "hello"), "chat-0   | hello\n");
        let (time, line) = timed("2026-11-29T10:00:00.5Z {\"level\":\"info\"} x".to_owned());
        assert_eq!(
            (time.map(Timestamp::as_millisecond), line.as_str()),
            (Some(1_795_946_400_500), "{\"level\":\"info\"} x")
        );
        for text in ["", "hello world", "hello"] {
            assert_eq!(timed(text.to_owned()), (None, text.to_owned()));
        }
    }

    #[test]
    fn a_run_is_one_container_and_only_one_that_has_run() {
        let pod = |state: &str, restarts: i32| -> Option<Run> {
            let container = serde_json::json!({ "name": "chatd", "image": "", "imageID": "", "ready": false,
                "restartCount": restarts, "state": { state: {} } });
            let pod = serde_json::json!({ "metadata": { "name": "chat-0", "uid": "u" },
                "status": { "containerStatuses": [container] } });
            serde_json::from_value(pod).ok().and_then(run_of)
        };
        assert_eq!(pod("waiting", 0), None);
        assert_eq!(pod("running", 0), Some(("chat-0".to_owned(), "u".to_owned(), 0)));
        assert_eq!(pod("waiting", 2), Some(("chat-0".to_owned(), "u".to_owned(), 2)));
    }
}
