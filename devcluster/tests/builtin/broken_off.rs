//! `up` and `down` that are killed in the middle.

use crate::hands::{Cluster, UP, eventually};
use crate::machine::Machine;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Signs of progress of `up`, in their order.
fn milestones(cluster: &Cluster) -> Vec<PathBuf> {
    let state = cluster.state();
    vec![
        state.join("cluster.json"),
        state.join("pki/complete"),
        PathBuf::from(format!("/run/netns/chatd-{}-1", cluster.name)),
        state.join("logs/supervisor.log"),
        state.join("supervisor.sock"),
        state.join("logs/kube-apiserver.log"),
        state.join("config/objects.applied"),
        state.join("node1/kubelet.json"),
    ]
}

#[test]
#[ignore = "needs root: make test-cluster"]
fn after_an_up_that_was_killed_down_leaves_nothing() {
    let cluster = Cluster::named("killed");
    let before = Machine::look(cluster.name);
    for (number, milestone) in milestones(&cluster).into_iter().enumerate() {
        let up = cluster.start("up");
        eventually(&format!("{}", milestone.display()), UP, || milestone.exists());
        up.kill(number % 2 == 0);
        assert!(Machine::look(cluster.name).traces() > 0, "nothing was there to take away at {}", milestone.display());
        cluster.down();
        before.assert_unchanged();
    }
}

#[test]
#[ignore = "needs root: make test-cluster"]
fn up_and_down_can_be_killed_at_any_moment() {
    let seed = std::env::var("CHATD_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124_u64);
    println!("CHATD_TEST_SEED={seed}");
    let mut random = seed;
    let mut draw = |below: u64| {
        // A linear congruential generator is random enough to spread a few moments.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((random >> 33) % below)
    };
    let cluster = Cluster::named("moments");
    let before = Machine::look(cluster.name);
    for _ in 0..3 {
        let (up_lives, down_lives) = (draw(6_000), draw(900));
        println!("up lives {up_lives:?}, down {down_lives:?}");
        let started = Instant::now();
        let up = cluster.start("up");
        eventually("the moment", UP, || started.elapsed() >= up_lives);
        up.kill(true);
        let started = Instant::now();
        let down = cluster.start("down");
        eventually("the moment", UP, || started.elapsed() >= down_lives);
        down.kill(false);
        cluster.down();
        before.assert_unchanged();
    }
}

#[test]
#[ignore = "needs root: make test-cluster"]
fn up_goes_on_where_it_was_broken_off() {
    let cluster = Cluster::named("goeson");
    let before = Machine::look(cluster.name);
    let supervisor = cluster.state().join("supervisor.sock");
    let node = cluster.state().join("node1/kubelet.json");
    for milestone in [&supervisor, &node] {
        let up = cluster.start("up");
        eventually(&format!("{}", milestone.display()), UP, || milestone.exists());
        up.kill(false);
    }
    cluster.up();
    let identity = std::fs::read(cluster.state().join("cluster.json")).expect("it is noted");
    let uid = cluster.must(&["get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"]);

    // A second one finds everything done.
    let second = cluster.up();
    assert!(second < Duration::from_secs(5), "an `up` with nothing to do took {second:?}");
    assert_eq!(std::fs::read(cluster.state().join("cluster.json")).expect("it is noted"), identity);

    // As after a restart of the machine: no process is left, and the cluster comes back with what it knew.
    let noted: serde_json::Value = serde_json::from_slice(&identity).expect("JSON");
    let pid =
        noted["supervisor"]["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("an id");
    kill_process(pid, Signal::KILL).expect("the supervisor can be killed");
    eventually("the end of the API server", Duration::from_secs(10), || {
        !cluster.kubectl(&["--request-timeout=1s", "get", "--raw", "/readyz"]).status.success()
    });
    cluster.up();
    assert_eq!(cluster.must(&["get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}"]), uid);
    cluster.must(&["wait", "node", "--all", "--for=condition=Ready", "--timeout=60s"]);

    cluster.down();
    before.assert_unchanged();
    cluster.down();
    before.assert_unchanged();
}
