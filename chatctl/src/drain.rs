//! `drain`: a pod moves its rooms to the others and ends; its successor starts empty. Does I/O: evicts the pod, and asks on and on.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::cluster::{self, Cluster};
use crate::findings::count;
use crate::observed::{Pod, Report, Service};
use crate::output::{self, Format, Outcome};

/// Between two looks at the pod.
const LOOK: Duration = Duration::from_millis(500);
/// Longer than the pod's own time to end: for kubelet and API server.
const SPARE: Duration = Duration::from_mins(1);
/// Rooms that are looked for in Redis when no pod has them.
const LOOKED_FOR: usize = 100;

/// What came of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Drained {
    pod: String,
    seconds: u64,
    /// Rooms that it had at first.
    rooms: usize,
    /// Those that another pod has now.
    moved: usize,
    /// Those that have ended meanwhile.
    ended: usize,
    /// Those that no pod that answered has, and that were not looked for any further.
    unknown: usize,
    /// Those that only their record is left of: the next JOIN takes them over.
    left: Vec<String>,
}

/// Drains a chat pod and waits for its end.
pub async fn drain(cluster: &Cluster, pod: &str, format: Format) -> Result<Outcome> {
    let deployment = cluster.deployment_of(pod).await?;
    let api = cluster.of(&deployment);
    let service = cluster.observe(&deployment).await?;
    let object = api.get(pod).await.with_context(|| format!("cannot read pod {pod}"))?;
    let uid = object.metadata.uid.clone().context("a pod without uid")?;
    may_end(&service, pod).map_err(|why| anyhow!(why))?;
    let before = rooms_of(&api, pod).await.with_context(|| format!("cannot list the rooms of {pod}"))?;
    if object.metadata.deletion_timestamp.is_none() {
        evict(&api, pod, &uid).await?;
        eprintln!("{pod} drains: {}", count(before.len() as u64, "room"));
    } else {
        eprintln!("{pod} drains already: {} left", count(before.len() as u64, "room"));
    }
    let grace = object.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    let limit = Duration::from_secs(grace.unsigned_abs()) + SPARE;
    let began = Instant::now();
    let mut left = before.len() as u64;
    tokio::select! {
        ended = tokio::time::timeout(limit, follow(&api, pod, &uid, &mut left)) => {
            ended.map_err(|_| anyhow!("{pod} has not ended within {} s: kubectl describe pod {pod}", limit.as_secs()))??;
        }
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("stopped waiting. {pod} goes on draining, with {} left; `kubectl chatd status` shows it",
                count(left, "room"));
        }
    }
    let mut drained = Drained { pod: pod.to_owned(), seconds: began.elapsed().as_secs(), ..Drained::default() };
    drained.rooms = before.len();
    find(cluster, &deployment, before, &mut drained).await?;
    output::print(&if format.is_table() { text(&drained) } else { format.document(&drained)? })?;
    Ok(if drained.left.is_empty() && drained.unknown == 0 { Outcome::Well } else { Outcome::Wrong })
}

/// Whether its rooms have a place to go to.
fn may_end(service: &Service, pod: &str) -> Result<(), String> {
    let takes =
        |other: &&Pod| other.is_ready && !other.is_terminating && !other.report().is_some_and(|report| report.draining);
    let rooms =
        service.pods.iter().find(|each| each.name == pod).and_then(Pod::report).map_or(0, |report| report.rooms);
    if rooms > 0 && !service.pods.iter().filter(|each| each.name != pod).any(|other| takes(&other)) {
        return Err(format!("no other pod is ready: {} of {pod} would end. Add a pod first", count(rooms, "room")));
    }
    Ok(())
}

/// As kubectl drain does it: PodDisruptionBudgets are kept.
async fn evict(api: &Api<ApiPod>, pod: &str, uid: &str) -> Result<()> {
    let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    let delete_options = Some(DeleteParams { preconditions, ..DeleteParams::default() });
    let evicted = api.evict(pod, &EvictParams { delete_options, ..EvictParams::default() }).await;
    match evicted {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 429 => {
            bail!(
                "{pod} may not be evicted now: {} Another pod is away; `kubectl chatd status` tells why",
                status.message
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot evict {pod}")),
    }
}

async fn rooms_of(api: &Api<ApiPod>, pod: &str) -> Result<Vec<String>> {
    let rooms = cluster::ask(api, pod, Admin::rooms).await?;
    Ok(rooms.into_iter().map(|room| room.id).collect())
}

/// Returns when this pod is gone, or another one has its name.
async fn follow(api: &Api<ApiPod>, pod: &str, uid: &str, left: &mut u64) -> Result<()> {
    let began = Instant::now();
    let mut last = String::new();
    loop {
        match api.get_opt(pod).await {
            Ok(Some(now)) if now.metadata.uid.as_deref() == Some(uid) => {}
            Ok(_) => return Ok(()),
            // It may be away for a moment.
            Err(error @ kube::Error::Api(_)) => return Err(error).with_context(|| format!("cannot read pod {pod}")),
            Err(_) => {}
        }
        if let Ok(report) = cluster::ask(api, pod, Admin::report).await {
            *left = report.rooms;
            let line = progress(pod, &report);
            if line != last {
                eprintln!("{:4} s: {line}", began.elapsed().as_secs());
                last = line;
            }
        }
        sleep(LOOK).await;
    }
}

fn progress(pod: &str, report: &Report) -> String {
    let (rooms, moved) = (count(report.rooms, "room"), report.figures.moved_out);
    format!("{pod}: {rooms} left, {moved} moved, {} left", count(report.figures.places_used, "connection"))
}

/// Looks for the rooms at the other pods, and for the records of those that nobody has.
async fn find(
    cluster: &Cluster,
    deployment: &operator::api::ChatDeployment,
    before: Vec<String>,
    drained: &mut Drained,
) -> Result<()> {
    let answers = cluster.ask_all(deployment, Admin::rooms).await?;
    let mut now = std::collections::BTreeSet::new();
    for (pod, rooms) in answers {
        match rooms {
            Ok(rooms) => now.extend(rooms.into_iter().map(|room| room.id)),
            // The successor that is just starting has no rooms of the old one.
            Err(_) if pod == drained.pod => {}
            Err(error) => eprintln!("warning: the rooms of {pod} are not known: {error:#}"),
        }
    }
    let (moved, missing): (Vec<_>, Vec<_>) = before.into_iter().partition(|room| now.contains(room));
    drained.moved = moved.len();
    drained.unknown = missing.len().saturating_sub(LOOKED_FOR);
    for room in missing.into_iter().take(LOOKED_FOR) {
        let ask = async |admin: &mut Admin| admin.room(&room).await;
        let answers = cluster.ask_all(deployment, ask).await?;
        let told: Vec<_> = answers.into_iter().filter_map(|(_, told)| told.ok()).collect();
        ensure!(!told.is_empty(), "no pod answers what has become of room {room}");
        if told.iter().any(|told| told.here.is_some()) {
            drained.moved += 1;
        } else if told.iter().any(|told| told.record.is_some()) {
            drained.left.push(room);
        }
    }
    drained.ended = drained.rooms - drained.moved - drained.left.len() - drained.unknown;
    Ok(())
}

fn text(drained: &Drained) -> String {
    let rooms = count(drained.rooms as u64, "room");
    let mut text = format!("{} has ended after {} s: {} of {rooms} moved", drained.pod, drained.seconds, drained.moved);
    if drained.ended > 0 {
        let _ = write!(text, ", {} ended meanwhile", drained.ended);
    }
    if !drained.left.is_empty() {
        let (number, left) = (drained.left.len(), drained.left.join(", "));
        let _ = write!(text, ", {number} left in Redis for the next JOIN or RESUME: {left}");
    }
    if drained.unknown > 0 {
        let _ = write!(text, ", {} not found at any pod and not looked for in Redis", drained.unknown);
    }
    text + ".\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Answer;

    fn pod(name: &str, is_ready: bool, rooms: u64) -> Pod {
        let report = Report { rooms, ..Report::default() };
        Pod { name: name.to_owned(), is_ready, answer: Answer::Report(Box::new(report)), ..Pod::default() }
    }

    #[test]
    fn a_pod_with_rooms_ends_only_beside_one_that_takes_them() {
        let of = |pods: Vec<Pod>| may_end(&Service { deployment: None, pods }, "chat-0");
        assert_eq!(of(vec![pod("chat-0", true, 3), pod("chat-1", true, 0)]), Ok(()));
        assert_eq!(of(vec![pod("chat-0", true, 0)]), Ok(()));
        let why = of(vec![pod("chat-0", true, 1), pod("chat-1", false, 0)]).expect_err("refused");
        assert!(why.contains("1 room of chat-0 would end"), "{why}");
        let ending = Pod { is_terminating: true, ..pod("chat-1", true, 0) };
        assert!(of(vec![pod("chat-0", true, 1), ending]).is_err());
        let mut draining = pod("chat-1", true, 0);
        draining.answer = Answer::Report(Box::new(Report { draining: true, ..Report::default() }));
        assert!(of(vec![pod("chat-0", true, 1), draining]).is_err());
    }

    #[test]
    fn the_end_says_where_each_room_is() {
        let mut drained = Drained { pod: "chat-0".to_owned(), seconds: 7, rooms: 4, moved: 4, ..Drained::default() };
        assert_eq!(text(&drained), "chat-0 has ended after 7 s: 4 of 4 rooms moved.\n");
        (drained.moved, drained.ended, drained.left) = (2, 1, vec!["abc12def".to_owned()]);
        let expected =
            "2 of 4 rooms moved, 1 ended meanwhile, 1 left in Redis for the next JOIN or RESUME: abc12def.\n";
        assert!(text(&drained).ends_with(expected), "{}", text(&drained));
        drained.unknown = 900;
        let expected = "abc12def, 900 not found at any pod and not looked for in Redis.\n";
        assert!(text(&drained).ends_with(expected), "{}", text(&drained));
    }
}
