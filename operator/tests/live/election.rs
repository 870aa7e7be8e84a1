//! Several operators, of which one writes: killed, ended in order, frozen and thawed, and told that another leads. Does I/O.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::account::{Operator, Request, everything, measured, requests_of, rights};
use super::world::{World, eventually, within};

/// From a kill to the next leader.
const TAKEOVER: Duration = Duration::from_secs(20);
/// "At once", as it can be with a look at the Lease every 2 s.
const HANDOVER: Duration = Duration::from_secs(5);

impl World {
    async fn holder(&self) -> String {
        let lease = self.api::<Lease>().get_opt("chatd-operator").await.unwrap();
        lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
    }

    /// `chat-0` and so on, with pods that no node runs.
    async fn apply_many(&self, count: usize) {
        for number in 0..count {
            self.apply_as(&format!("chat-{number}"), everything()).await;
        }
    }

    async fn sets(&self) -> usize {
        self.names::<StatefulSet>().await.len()
    }

    /// A child that is missing is made again: somebody works.
    pub async fn is_worked_on(&self) {
        self.api::<Service>().delete("chat-pods", &DeleteParams::default()).await.unwrap();
        eventually("the Service is back", async || self.api::<Service>().get_opt("chat-pods").await.unwrap().is_some())
            .await;
    }
}

pub async fn ends(operator: &mut Operator, limit: Duration) -> Option<i32> {
    let mut code = None;
    within(limit, "operator stopped", async || {
        let status = operator.has_ended();
        code = status.and_then(|status| status.code());
        status.is_some()
    })
    .await;
    code
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_killed_leader_is_replaced_within_20_s_and_one_that_ends_in_order_at_once() {
    let world = World::without_operator("election", json!({})).await;
    let first = world.candidate("first", None);
    eventually("the first one leads", async || first.leads()).await;
    let mut second = world.candidate("second", None);
    eventually("the second one is ready", async || {
        second.ask("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    assert!(second.ask("/livez").unwrap().starts_with("HTTP/1.1 200"));
    assert!(!second.leads() && world.holder().await == "first");
    world.apply(everything()).await;
    eventually("both StatefulSets are there", async || world.sets().await == 2).await;
    assert_eq!(second.metric("chatd_operator_api_writes_total"), Some(0), "a standby writes nothing");

    first.signal("KILL");
    measured(TAKEOVER, "kill to the next leader", async || second.leads()).await;
    assert_eq!(world.holder().await, "second");
    world.is_worked_on().await;

    let third = world.candidate("third", None);
    eventually("the third one is ready", async || {
        third.ask("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    second.signal("TERM");
    measured(HANDOVER, "SIGTERM to the next leader", async || third.leads()).await;
    assert_eq!(ends(&mut second, HANDOVER).await, Some(0));
    assert_eq!(world.holder().await, "third");
    world.is_worked_on().await;
    world.end().await;
}

/// What one of the operators wrote, or tried to.
fn writes_of(world: &World, name: &str) -> Vec<Request> {
    requests_of(&world.user(name)).into_iter().filter(Request::writes).collect()
}

#[tokio::test]
#[ignore = "needs a cluster with an audit log"]
async fn a_leader_that_was_frozen_writes_nothing_once_another_leads() {
    let world = World::without_operator("frozen", json!({})).await;
    let (one, two) = (world.account("first", &rights()).await, world.account("second", &rights()).await);
    let mut first = world.candidate("first", Some(&one));
    eventually("the first one leads", async || first.leads()).await;
    let second = world.candidate("second", Some(&two));
    let count = 12;
    world.apply_many(count).await;
    eventually("it is in the middle of its work", async || world.sets().await > 0).await;
    first.signal("STOP");
    assert!(world.sets().await < 2 * count, "something is left to do");
    measured(TAKEOVER, "freeze to the next leader", async || second.leads()).await;
    let lease = world.api::<Lease>().get("chatd-operator").await.unwrap().spec.unwrap();
    let since = lease.acquire_time.unwrap().0.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    assert_eq!(lease.holder_identity.as_deref(), Some("second"));
    eventually("the second one has done the work", async || world.sets().await == 2 * count).await;
    // Something is to be done again at the moment at which the first one wakes up.
    for number in 0..count {
        world.api::<Service>().delete(&format!("chat-{number}-pods"), &DeleteParams::default()).await.unwrap();
    }
    first.signal("CONT");
    assert_eq!(ends(&mut first, HANDOVER).await, Some(1));
    eventually("all Services are back", async || {
        let names = world.names::<Service>().await;
        (0..count).all(|number| names.contains(&format!("chat-{number}-pods")))
    })
    .await;
    let written = writes_of(&world, "first");
    assert!(written.iter().any(|request| request.resource == "statefulsets"), "it did work: {written:?}");
    // The Lease itself is guarded by its resource version. A request that hyper had at the freeze leaves at the thaw, and the process
    // ends before its answer, for which the API server notes 504.
    let refused = |request: &&Request| request.code == 504 || request.resource == "leases" && request.code >= 300;
    let late: Vec<_> = written.iter().filter(|request| request.at >= since && !refused(request)).collect();
    assert!(late.is_empty(), "since {since}: {late:?}");
    assert!(
        writes_of(&world, "second")
            .iter()
            .filter(|request| request.resource != "leases")
            .all(|request| request.at >= since)
    );
    world.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster with an audit log"]
async fn a_leader_that_finds_another_ones_name_in_the_lease_stops_at_once() {
    let world = World::without_operator("robbed", json!({})).await;
    let account = world.account("first", &rights()).await;
    let mut first = world.candidate("first", Some(&account));
    eventually("it leads", async || first.leads()).await;
    let count = 40;
    world.apply_many(count).await;
    let now = jiff_now();
    let patch = json!({ "spec": { "holderIdentity": "another", "renewTime": now } });
    let leases: Api<Lease> = world.api();
    leases.patch("chatd-operator", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(ends(&mut first, HANDOVER).await, Some(1));
    assert!(world.sets().await < 2 * count, "it was in the middle of its work");
    let requests = requests_of(&world.user("first"));
    let noticed = requests.iter().rposition(|request| request.resource == "leases").unwrap();
    assert_eq!(requests[noticed].verb, "get", "it saw the other one's name");
    // Those that had been sent before the answer about the Lease came.
    let after: Vec<_> = requests[noticed..].iter().filter(|request| request.writes()).collect();
    assert!(after.len() <= 16, "no more than were under way, one a worker: {after:?}");
    assert_eq!(world.holder().await, "another");
    world.end().await;
}

fn jiff_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
