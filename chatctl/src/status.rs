//! `status`: what there is, what moves, what is wrong and what to do. Does I/O: asks, then prints.

use anyhow::Result;
use comfy_table::Table;
use serde::Serialize;

use crate::admin::{self, Admin};
use crate::cluster::Cluster;
use crate::findings::{self, Finding, findings, moving};
use crate::observed::{Answer, Pod, Service};
use crate::output::{self, Format, Outcome};

/// What `status` reports of one chat service.
#[derive(Debug, Serialize)]
pub struct Entry {
    #[serde(flatten)]
    service: Service,
    moving: Vec<String>,
    findings: Vec<Finding>,
}

impl Entry {
    /// Judges what was observed.
    pub fn new(service: Service) -> Self {
        let (moving, findings) = (moving(&service), findings(&service));
        Self { service, moving, findings }
    }

    /// As people read it.
    pub fn text(&self, wide: bool) -> String {
        let mut text = heading(&self.service);
        if !self.service.pods.is_empty() {
            text.extend(["\n", &pods(&self.service.pods, wide).to_string(), "\n"]);
        }
        if !self.moving.is_empty() {
            text.push_str("\nMoving:\n");
            text.extend(self.moving.iter().map(|sentence| format!("  {sentence}\n")));
        }
        text.push_str(&findings::text(&self.findings));
        text
    }
}

/// Of ChatDeployments: one by name, those of the namespace, or all.
pub async fn of_cluster(cluster: &Cluster, name: Option<&str>, everywhere: bool, format: Format) -> Result<Outcome> {
    let mut entries = Vec::new();
    for deployment in cluster.deployments(name, everywhere).await? {
        entries.push(Entry::new(cluster.observe(&deployment).await?));
    }
    if entries.is_empty() && format.is_table() {
        let place = if everywhere { "this cluster".to_owned() } else { format!("namespace {}", cluster.namespace) };
        eprintln!("There is no ChatDeployment in {place}.");
    }
    show(&entries, format)
}

/// Of one process.
pub async fn of_process(address: &str, format: Format) -> Result<Outcome> {
    show(&[Entry::new(process(address).await?)], format)
}

/// One process, as a service of one pod.
pub async fn process(address: &str) -> Result<Service> {
    let report = admin::ask_at(address, Admin::report).await?;
    let is_ready = report.ready;
    let answer = Answer::Report(Box::new(report));
    let pod = Pod { name: address.to_owned(), is_ready, answer, ..Pod::default() };
    Ok(Service { deployment: None, pods: vec![pod] })
}

fn show(entries: &[Entry], format: Format) -> Result<Outcome> {
    if format.is_table() {
        let texts: Vec<String> = entries.iter().map(|entry| entry.text(format == Format::Wide)).collect();
        output::print(&texts.join("\n"))?;
    } else {
        output::print(&format.document(&entries)?)?;
    }
    Ok(Outcome::of(entries.iter().flat_map(|entry| &entry.findings)))
}

fn heading(service: &Service) -> String {
    let (mut rooms, mut players, mut answered) = (0, 0, 0);
    for report in service.pods.iter().filter_map(Pod::report) {
        (rooms, players, answered) = (rooms + report.rooms, players + report.players, answered + 1);
    }
    let Some(deployment) = &service.deployment else {
        return String::new();
    };
    let ready = service.pods.iter().filter(|pod| pod.is_ready && !pod.is_terminating).count();
    let of = if answered == service.pods.len() { "" } else { ", of the pods that answered" };
    let mut lines = format!(
        "{}/{}: {ready} of {} pods ready, {rooms} rooms, {players} players{of}\n",
        deployment.namespace, deployment.name, deployment.desired
    );
    let facts = [
        ("image", &deployment.image),
        ("Redis", &deployment.redis),
        ("lines", &deployment.tcp),
        ("web", &deployment.web),
    ];
    lines.extend(facts.iter().filter_map(|(name, value)| Some(format!("  {name:6} {}\n", value.as_ref()?))));
    lines
}

fn pods(pods: &[Pod], wide: bool) -> Table {
    let mut head = vec!["POD", "READY", "VERSION", "ROOMS", "PLAYERS", "CONNECTIONS", "REDIS", "STATE"];
    if wide {
        head.extend(["NODE", "RESTARTS", "HELD", "RELAYED", "LINKS", "KEYS", "MEMORY"]);
    }
    let rows = pods.iter().map(|pod| {
        let report = pod.report();
        let of = |value: &dyn Fn(&crate::observed::Report) -> String| report.map_or_else(|| "-".to_owned(), value);
        let mut row = vec![
            pod.name.clone(),
            if pod.is_ready { "yes" } else { "no" }.to_owned(),
            of(&|report| report.version.clone()),
            of(&|report| report.rooms.to_string()),
            of(&|report| report.players.to_string()),
            of(&|report| format!("{}/{}", report.figures.places_used, report.figures.places)),
            of(&|report| report.directory.state.clone()),
            state(pod),
        ];
        if wide {
            row.extend([
                pod.node.clone().unwrap_or_else(|| "-".to_owned()),
                pod.restarts.to_string(),
                of(&|report| report.figures.held_seats.to_string()),
                of(&|report| report.figures.relayed.to_string()),
                of(&|report| report.figures.links.to_string()),
                of(&|report| report.figures.token_keys.to_string()),
                of(&|report| format!("{} MiB", report.figures.memory >> 20)),
            ]);
        }
        row
    });
    output::table(&head, rows)
}

fn state(pod: &Pod) -> String {
    match (&pod.answer, &pod.waiting) {
        (Answer::Report(report), _) if report.draining => "draining".to_owned(),
        _ if pod.is_terminating => "terminating".to_owned(),
        (_, Some(waiting)) => waiting.clone(),
        (Answer::Report(report), _) if report.ready => "serving".to_owned(),
        (Answer::Report(_), _) => "starting".to_owned(),
        (Answer::Forbidden(_), _) => "not permitted to ask".to_owned(),
        (Answer::Silent(_) | Answer::NotRunning, _) => "silent".to_owned(),
    }
}
