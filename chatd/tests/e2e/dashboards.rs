//! A real Prometheus scrapes a real deployment: each query of each panel of the service's dashboard has data, and the queries that
//! docs/operations.md gives for autoscalers have the right value. Runs prometheus.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::client::PATIENCE;
use crate::support::pod::get;
use crate::support::ports::free_port;
use crate::support::wait_for;
use crate::town::{TAKEOVER, Town, until_answered};

/// Ended by its id, however the test ends.
struct Prometheus(Child, SocketAddr);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Prometheus {
    /// Scrapes these pods each second, with the labels that a PodMonitor sets.
    fn start(folder: &Path, pods: &[(String, SocketAddr)]) -> Self {
        let target = |(name, address): &(String, SocketAddr)| {
            let labels = serde_json::json!({ "namespace": "games", "chatdeployment": "chat", "pod": name });
            serde_json::json!({ "targets": [address.to_string()], "labels": labels })
        };
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s" },
            "scrape_configs": [{ "job_name": "chat", "static_configs": pods.iter().map(target).collect::<Vec<_>>() }],
        });
        // JSON is YAML.
        fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = Command::new("prometheus")
            .args([format!("--web.listen-address={address}"), "--config.file=prometheus.yml".to_owned()])
            .arg("--storage.tsdb.path=data")
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("prometheus is missing: apt-get install prometheus");
        Self(child, address)
    }

    /// The values of a query now.
    fn values(&self, query: &str) -> Option<Vec<f64>> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        let answer = get(self.1, &format!("/api/v1/query?query={encoded}"))?;
        let answer: Value = serde_json::from_str(&answer.body).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let results = answer["data"]["result"].as_array()?;
        Some(results.iter().filter_map(|result| result["value"][1].as_str()?.parse().ok()).collect())
    }

    fn has_data(&self, query: &str) -> bool {
        self.values(query).is_some_and(|values| values.iter().any(|value| value.is_finite()))
    }
}

/// The queries of the dashboard that are about chatd's own metrics, with what Grafana fills in.
fn queries() -> Vec<(String, String)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/chatd-operator/dashboards/chatd-service.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap().replace("$namespace", "games");
            let query = query.replace("$chatdeployment", "chat").replace("$__rate_interval", "1m");
            // Those are the operator's: its test asks for them.
            if !query.contains("chatd_operator_") {
                queries.push((panel["title"].as_str().unwrap().to_owned(), query));
            }
        }
    }
    queries
}

/// The queries of docs/operations.md for autoscalers, with what the adapter fills in.
fn documented_queries() -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let lines: Vec<&str> = page.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let heads = lines.iter().enumerate().filter(|(_, line)| line.to_lowercase().ends_with("query: >-"));
    let text = |(place, head): (usize, &&str)| {
        let query: Vec<&str> =
            lines[place + 1..].iter().take_while(|line| indent(line) > indent(head)).copied().collect();
        query.join(" ").replace("<<.LabelMatchers>>", r#"chatdeployment="chat",namespace="games""#)
    };
    heads.map(text).collect()
}

#[test]
#[ignore = "needs prometheus"]
fn autoscalers_find_how_many_pods_would_be_full() {
    let folder = tempfile::tempdir().unwrap();
    let town = Town::start_with(2, &["--max-connections", "10", "--max-rooms", "8"]);
    let pods: Vec<_> = town.pods.iter().map(|pod| (pod.name.clone(), pod.admin)).collect();
    let prometheus = Prometheus::start(folder.path(), &pods);
    let queries = documented_queries();
    assert_eq!(queries.len(), 2, "{queries:#?}");
    let comes_to = |expected: f64| {
        for query in &queries {
            wait_for(&format!("{expected} of {query}"), PATIENCE, || {
                prometheus.values(query).filter(|values| *values == [expected])
            });
        }
    };
    comes_to(0.0);
    let mut hosts = [0, 0, 1].map(|index| town.client(index));
    let rooms = hosts.each_mut().map(|host| {
        let room = host.create_room();
        host.join(&room, "host", "");
        room
    });
    // Rooms are scarcer: 3 of 8 against 3 of 10.
    comes_to(0.375);
    let mut guests = [0, 0, 0, 1, 1].map(|index| (town.client(index), index));
    for (number, (guest, index)) in guests.iter_mut().enumerate() {
        guest.join_resumable(&rooms[usize::from(*index == 1) * 2], &format!("guest{number}"), "");
    }
    comes_to(0.8);
    // Whose connection drops is expected back.
    drop(guests);
    wait_for("held seats", PATIENCE, || (prometheus.values("sum(chatd_held_seats)")? == [5.0]).then_some(()));
    comes_to(0.8);
}

#[test]
#[ignore = "needs prometheus"]
fn every_panel_of_the_service_has_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::start(3);
    let pods: Vec<_> = town.pods.iter().map(|pod| (pod.name.clone(), pod.admin)).collect();
    let prometheus = Prometheus::start(folder.path(), &pods);
    wait_for("all are scraped", PATIENCE * 2, || (prometheus.values("sum(up)")? == [3.0]).then_some(()));

    // Lines, a relayed session, a move and a drain, a takeover.
    let mut alice = town.client(0);
    let room = alice.create_room();
    alice.join_resumable(&room, "alice", "RELAY");
    let mut bob = town.client(1);
    let other = bob.create_room();
    let token = bob.join_resumable(&other, "bob", "RELAY");
    for number in 0..200 {
        assert_eq!(bob.ask(&format!("SAY {number}")), format!("MSG bob {number}"));
    }
    town.pods[0].terminate();
    town.pods[0].exit_code(Duration::from_secs(40));
    town.pods[1].kill();
    until_answered(town.pods[2].tcp, &format!("RESUME {other} {token} RELAY"), "JOINED ", TAKEOVER);

    let queries = queries();
    assert!(queries.len() > 30, "{queries:#?}");
    for (title, query) in queries {
        wait_for(&format!("data in {title}: {query}"), PATIENCE * 2, || prometheus.has_data(&query).then_some(()));
    }
}
