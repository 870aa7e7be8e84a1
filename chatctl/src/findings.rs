//! What is moving, what is wrong, and what to do: from observed data to findings. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observed::{Answer, Deployment, Pod, Report, Service};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// People who chat notice it, or soon will: `status` exits with 1.
    Error,
    /// Nobody notices it yet.
    Warning,
    /// It happened since the pod's start, and is over.
    Notice,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The pods or the part that it is about.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// What is under way by itself, one sentence each.
pub fn moving(service: &Service) -> Vec<String> {
    let mut moving = Vec::new();
    let progress = service.deployment.as_ref().and_then(|deployment| deployment.condition("Progressing", "True"));
    moving.extend(progress.map(|condition| format!("{}: {}", condition.reason, condition.message)));
    for pod in &service.pods {
        match pod.report() {
            Some(report) if report.draining => {
                let (rooms, out) = (report.rooms, report.figures.moved_out);
                moving.push(format!("{} drains: {}, {} moved", pod.name, left(rooms), count(out, "room")));
            }
            _ if pod.is_terminating => moving.push(format!("{} is being deleted", pod.name)),
            _ => {}
        }
    }
    moving
}

fn left(rooms: u64) -> String {
    format!("{} left", count(rooms, "room"))
}

/// A number of things, in words.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What is wrong, the worst first.
pub fn findings(service: &Service) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Some(deployment) = &service.deployment {
        all.extend(of_deployment(deployment));
    }
    all.extend(service.pods.iter().flat_map(of_pod));
    all.extend(of_redis(service));
    all.extend(of_all_pods(service));
    all.sort();
    all
}

/// As people read them.
pub fn text(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "\nNothing is wrong.\n".to_owned();
    }
    let mut text = "\nFindings:\n".to_owned();
    text.extend(findings.iter().map(|finding| {
        let severity = match finding.severity {
            Severity::Error => "ERROR  ",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE ",
        };
        format!("  {severity} {}: {}\n          -> {}\n", finding.subject, finding.problem, finding.remedy)
    }));
    text
}

/// One finding.
pub fn finding(severity: Severity, subject: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { severity, subject: subject.to_owned(), problem: problem.into(), remedy: remedy.into() }
}

fn of_deployment(deployment: &Deployment) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = &deployment.name;
    if !deployment.is_observed || deployment.conditions.is_empty() {
        found.push(finding(
            Severity::Warning,
            name,
            "no operator has seen the present spec",
            "If this stays so: is an operator running, and does it watch this namespace? kubectl logs -n chatd-operator \
             deployment/chatd-operator",
        ));
        return found;
    }
    let degraded = deployment.condition("Degraded", "True");
    let redis = deployment.condition("RedisReady", "False");
    for condition in [degraded, redis].into_iter().flatten() {
        // Degraded repeats what RedisReady tells.
        if condition.kind == "Degraded" && condition.reason == "RedisNotReady" && redis.is_some() {
            continue;
        }
        let problem = format!("{}: {}", condition.kind, condition.reason);
        found.push(finding(Severity::Error, name, problem, condition.message.clone()));
    }
    if let Some(ready) = deployment.condition("Ready", "False")
        && found.is_empty()
    {
        let problem = format!("Ready is False: {}", ready.reason);
        found.push(finding(Severity::Warning, name, problem, ready.message.clone()));
    }
    if let (Some(contender), Some(operator)) = (&deployment.contender, &deployment.operator) {
        let problem = format!("the operators {operator} and {contender} both claim it");
        found.push(finding(
            Severity::Warning,
            name,
            problem,
            "Uninstall one of them, or give each its own watchNamespaces.",
        ));
    }
    found
}

fn of_pod(pod: &Pod) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = pod.name.as_str();
    if let Some(reason) = &pod.waiting {
        // Every pod passes through these two.
        if !["ContainerCreating", "PodInitializing"].contains(&reason.as_str()) {
            let last = pod.last_end.as_ref().map(|end| format!("; it ended last with {end}")).unwrap_or_default();
            let remedy = format!("kubectl describe pod {name}, kubectl logs {name} --previous");
            found.push(finding(Severity::Error, name, format!("its container does not run: {reason}{last}"), remedy));
        }
    } else if pod.restarts > 0 {
        let end = pod.last_end.as_deref().unwrap_or("an end of unknown cause");
        let often = count(u64::from(pod.restarts.unsigned_abs()), "time");
        let remedy = if end.starts_with("OOMKilled") {
            "Raise pod.resources.limits.memory; docs/operations.md tells what chatd needs.".to_owned()
        } else {
            format!("kubectl logs {name} --previous: its last lines tell why.")
        };
        found.push(finding(
            Severity::Notice,
            name,
            format!("its container has restarted {often}, last after {end}"),
            remedy,
        ));
    }
    match &pod.answer {
        Answer::Silent(why) if !pod.is_terminating => found.push(finding(
            Severity::Warning,
            name,
            format!("its admin port does not answer: {why}"),
            "If it is not just starting: kubectl describe pod, kubectl logs.",
        )),
        Answer::Report(report) => found.extend(of_report(name, report)),
        _ => {}
    }
    found
}

fn of_report(name: &str, report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let figures = &report.figures;
    if figures.places > 0 && figures.places_used * 10 >= figures.places * 9 {
        let severity = if figures.places_used >= figures.places { Severity::Error } else { Severity::Warning };
        let problem = format!("{} of {} connection places are in use", figures.places_used, figures.places);
        let remedy = "Add pods (kubectl scale chatd), or raise limits.maxConnections.";
        found.push(finding(severity, name, problem, remedy));
    }
    if figures.reload_failures > 0 {
        let problem = format!("could not use a changed file {}", count(figures.reload_failures, "time"));
        found.push(finding(
            Severity::Warning,
            name,
            problem,
            "Its log names the file and what is wrong with it (`cannot use`); it keeps using the old content.",
        ));
    }
    for (reason, refused) in &figures.links_refused {
        let remedy = match reason.as_str() {
            "key" => "Do all pods have the same token keys?",
            "version" => "Pods of these two versions do not link: finish the rollout.",
            "deployment" => "Another deployment has this one's Redis prefix or addresses.",
            // It rises whenever pods restart, and strangers who knock do no harm.
            _ => continue,
        };
        let problem = format!("refused {} to other pods since its start, by {reason}", count(*refused, "link"));
        found.push(finding(Severity::Warning, name, problem, remedy));
    }
    let past: [(u64, &str, &str); 3] = [
        (
            figures.takeovers,
            "took over rooms of dead pods",
            "Find out why a pod died: kubectl get events, restarts above.",
        ),
        (
            figures.data_losses,
            "found Redis emptied or rolled back",
            "The pods wrote their records again; look at Redis' log.",
        ),
        (figures.refused, "refused connections because it was full", "Add pods, or raise limits.maxConnections."),
    ];
    for (times, what, remedy) in past {
        if times > 0 {
            found.push(finding(Severity::Notice, name, format!("{what} ({times} since its start)"), remedy));
        }
    }
    found
}

/// What pods say of Redis, one finding for each state.
fn of_redis(service: &Service) -> Vec<Finding> {
    let reports: Vec<(&str, &Report)> =
        service.pods.iter().filter_map(|pod| Some((pod.name.as_str(), pod.report()?))).collect();
    let mut states: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (pod, report) in &reports {
        if report.directory.state != "ok" {
            states.entry((&report.directory.state, &report.directory.detail)).or_default().push(pod);
        }
    }
    let described = |((state, detail), pods): ((&str, &str), Vec<&str>)| {
        let who = if pods.len() == reports.len() { String::new() } else { format!(" for {}", pods.join(", ")) };
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        finding(Severity::Error, "Redis", format!("{state}{who}{detail}"), redis_remedy(state))
    };
    states.into_iter().map(described).collect()
}

fn redis_remedy(state: &str) -> &'static str {
    match state {
        "refused" => "Does Redis run, and is its address right?",
        "unknown_host" => "Correct the host name, or the cluster's DNS.",
        "timeout" => "Is Redis overloaded, or does a NetworkPolicy keep pods from it?",
        "auth" => "Correct the user, the password, or the user's rights.",
        "tls" => "Correct the CA or the certificate; the host name must be in it.",
        "read_only" => "Name the master, or repair what keeps it from saving.",
        "full" => "Raise its maxmemory.",
        "prefix_in_use" => "Give this deployment a key prefix of its own.",
        _ => "See docs/operations.md, the states of /status.",
    }
}

/// What shows only when pods are compared, and what is the same for many.
fn of_all_pods(service: &Service) -> Vec<Finding> {
    let mut found = Vec::new();
    let forbidden = service.pods.iter().find_map(|pod| match &pod.answer {
        Answer::Forbidden(why) => Some(why),
        _ => None,
    });
    if let Some(why) = forbidden {
        found.push(finding(
            Severity::Warning,
            "pods",
            format!("this user may not ask them: {why}"),
            "Grant get and create on pods/portforward (docs/operations.md, kubectl chatd).",
        ));
    }
    let lasting = || {
        let pods = service.pods.iter().filter(|pod| !pod.is_terminating);
        pods.filter_map(|pod| pod.report().map(|report| (pod.name.as_str(), report)))
    };
    let rolls =
        service.deployment.as_ref().is_some_and(|deployment| deployment.condition("Progressing", "True").is_some());
    if !rolls && let Some(by_version) = differ(lasting().map(|(name, report)| (name, report.version.clone()))) {
        found.push(finding(
            Severity::Warning,
            "pods",
            format!("have different versions: {by_version}"),
            "Finish the rollout (rollout.paused, rollout.partition), or give all the same image.",
        ));
    }
    let keys = lasting().map(|(name, report)| (name, count(report.figures.token_keys, "key")));
    if let Some(by_keys) = differ(keys) {
        found.push(finding(
            Severity::Warning,
            "pods",
            format!("have different token keys: {by_keys}"),
            "A changed Secret reaches all pods within two minutes; if not, their logs say why.",
        ));
    }
    found
}

/// Which pods have which value, if not all have the same.
fn differ<'a>(values: impl Iterator<Item = (&'a str, String)>) -> Option<String> {
    let mut by_value: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (pod, value) in values {
        by_value.entry(value).or_default().push(pod);
    }
    let described: Vec<String> =
        by_value.iter().map(|(value, pods)| format!("{value} ({})", pods.join(", "))).collect();
    (described.len() > 1).then(|| described.join("; "))
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
