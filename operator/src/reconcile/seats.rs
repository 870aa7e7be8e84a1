//! Free seats: what the pods said, as the decision takes it, and what it has to remember. In memory; no I/O.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::patience::{STUCK_AFTER, grace, has_passed};
use crate::api::ChatDeploymentSpec;
use crate::plan::Observed;
use crate::queue::Requeue;
use crate::scale::{self, Decision, History, Known, Load, Pod, Settings};
use crate::status::Report;

/// Of one ChatDeployment.
#[derive(Debug, Default)]
pub struct Seats {
    history: History,
    /// The last answer of each pod, by uid: a silent one counts by its last report.
    last: BTreeMap<String, Load>,
    /// Since when pods end, by uid.
    ending: BTreeMap<String, Instant>,
}

impl Seats {
    /// What free seats ask for; nothing if the spec does not go by them. `set` is the name of the chat pods' StatefulSet.
    pub fn decide(
        &mut self,
        spec: &ChatDeploymentSpec,
        observed: &Observed,
        set: &str,
        reports: &BTreeMap<String, Report>,
        now: Instant,
        requeue: &mut Requeue,
    ) -> Option<Decision> {
        let Some(settings) = settings(spec) else {
            *self = Self::default();
            return None;
        };
        let current = observed.set_record(set).map_or_else(|| spec.effective_replicas(None), |set| set.replicas);
        self.last.retain(|uid, _| observed.pods.values().any(|pod| pod.uid == *uid));
        self.ending.retain(|uid, _| observed.pods.values().any(|pod| pod.uid == *uid));
        let pods = observed.pods.iter().map(|(ordinal, pod)| {
            let report = reports.get(&pod.name);
            let load = report.and_then(|report| report.load);
            if let Some(load) = load {
                self.last.insert(pod.uid.clone(), load);
            }
            // One that answers lives, whatever Kubernetes hears of its node.
            let is_cut_off = report.is_none() && observed.cut_off.contains(ordinal);
            let ends_too_long = pod.terminating && {
                let since = *self.ending.entry(pod.uid.clone()).or_insert(now);
                has_passed(grace(spec) + STUCK_AFTER, since, now, requeue)
            };
            let before = || self.last.get(&pod.uid).map_or(Known::Nothing, |load| Known::Before(*load));
            // By the server API it may hand its rooms over and go on: its successor is not to come.
            let takes_no_room = report.is_some_and(|report| report.is_draining) && !pod.terminating;
            let counted = Pod {
                is_sound: pod.ready && report.is_some_and(|report| report.state == "ok"),
                is_draining: pod.terminating,
                is_lost: is_cut_off || ends_too_long || takes_no_room,
                known: load.map_or_else(before, Known::Now),
            };
            (*ordinal, counted)
        });
        let observed = scale::Observed { replicas: current, pods: pods.collect() };
        let (decision, history) = scale::scale(&observed, &settings, now, std::mem::take(&mut self.history));
        self.history = history;
        if let Some(time) = decision.again_in {
            requeue.at_most(time);
        }
        Some(decision)
    }
}

fn settings(spec: &ChatDeploymentSpec) -> Option<Settings> {
    let autoscaling = spec.autoscaling.as_ref()?;
    let (min, max) = autoscaling.bounds();
    Some(Settings {
        wanted: autoscaling.free_seats.as_ref()?.wanted(),
        players_per_room: i64::from(spec.rooms.max_players),
        min,
        max,
        window: Duration::from_secs(
            u64::try_from(autoscaling.stabilization_seconds.unwrap_or(300)).unwrap_or_default(),
        ),
        room_places: i64::from(spec.limits.max_rooms),
        connection_places: i64::from(spec.limits.max_connections),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout;

    fn pod(ordinal: i32, uid: &str) -> (i32, rollout::Pod) {
        let pod = rollout::Pod {
            name: format!("chat-{ordinal}"),
            uid: uid.into(),
            revision: String::new(),
            directory: String::new(),
            ready: true,
            terminating: false,
        };
        (ordinal, pod)
    }

    fn report(connections: i64) -> Report {
        let load = Load { rooms: 0, room_places: 100, connections, connection_places: 100 };
        Report { state: "ok".into(), load: Some(load), ..Report::default() }
    }

    #[test]
    fn who_falls_silent_counts_as_it_said_and_its_successor_does_not() {
        let spec: ChatDeploymentSpec = serde_json::from_value(json!({
            "replicas": 2, "limits": { "maxConnections": 100, "maxRooms": 100 },
            "autoscaling": { "minReplicas": 1, "maxReplicas": 9, "freeSeats": "20%" },
        }))
        .unwrap();
        let now = Instant::now();
        let mut seats = Seats::default();
        let mut decide = |uid: &str, reports: &[(&str, Report)]| {
            let observed = Observed { pods: [pod(0, "u0"), pod(1, uid)].into(), ..Observed::default() };
            let reports = reports.iter().map(|(name, report)| ((*name).to_owned(), report.clone())).collect();
            let decision =
                seats.decide(&spec, &observed, "chat", &reports, now, &mut Requeue::within(Duration::MAX)).unwrap();
            (decision.replicas, decision.free)
        };
        assert_eq!(decide("u1", &[]), (2, 0), "nobody has answered: nothing is done");
        assert_eq!(decide("u1", &[("chat-0", report(60)), ("chat-1", report(90))]), (2, 50));
        assert_eq!(decide("u1", &[("chat-0", report(80))]), (3, 30), "the other is full, as it said");
        assert_eq!(decide("u2", &[("chat-0", report(80))]), (3, 20), "a new one is empty, and the window holds");
        let old = Report { load: None, ..report(0) };
        assert_eq!(decide("u2", &[("chat-0", old.clone()), ("chat-1", old)]), (3, 20), "an older version does not say");
    }

    #[test]
    fn who_is_cut_off_and_silent_or_does_not_end_is_lost() {
        let spec: ChatDeploymentSpec = serde_json::from_value(json!({
            "replicas": 2, "limits": { "maxConnections": 100, "maxRooms": 100 }, "drain": { "deadlineSeconds": 20 },
            "autoscaling": { "minReplicas": 1, "maxReplicas": 3, "freeSeats": 50 },
        }))
        .unwrap();
        let start = Instant::now();
        let decide = |seats: &mut Seats, seconds, cut_off: &[i32], terminating, reports: &[(&str, Report)]| {
            let mut pods = BTreeMap::from([pod(0, "u0"), pod(1, "u1")]);
            pods.get_mut(&1).unwrap().terminating = terminating;
            let observed = Observed { pods, cut_off: cut_off.iter().copied().collect(), ..Observed::default() };
            let reports = reports.iter().map(|(name, report)| ((*name).to_owned(), report.clone())).collect();
            let (now, mut requeue) = (start + Duration::from_secs(seconds), Requeue::within(Duration::MAX));
            let decision = seats.decide(&spec, &observed, "chat", &reports, now, &mut requeue).unwrap();
            (decision.replicas, decision.free, requeue.time().as_secs())
        };
        let never = u64::MAX;
        let (one, both) = ([("chat-0", report(90))], [("chat-0", report(90)), ("chat-1", report(0))]);
        let mut seats = Seats::default();
        assert_eq!(decide(&mut seats, 0, &[], false, &both), (2, 110, never));
        assert_eq!(decide(&mut seats, 1, &[1], false, &both), (2, 110, never), "it answers");
        assert_eq!(decide(&mut seats, 2, &[], false, &one), (2, 110, never), "its node is there");
        assert_eq!(decide(&mut seats, 3, &[1], false, &one), (3, 10, never));
        assert_eq!(decide(&mut seats, 4, &[1], true, &one), (3, 10, 90), "its node was given up");
        assert_eq!(decide(&mut seats, 5, &[0, 1], false, &[]), (3, 0, never), "both are");
        let mut seats = Seats::default();
        assert_eq!(decide(&mut seats, 0, &[], true, &one), (2, 10, 90), "a successor is to come");
        assert_eq!(decide(&mut seats, 89, &[], true, &one), (2, 10, 1));
        assert_eq!(decide(&mut seats, 90, &[], true, &one), (3, 10, never), "it does not come");
        let handed_over = Report { is_draining: true, ..report(0) };
        let both = [("chat-0", report(90)), ("chat-1", handed_over)];
        let mut seats = Seats::default();
        assert_eq!(decide(&mut seats, 0, &[], false, &both), (3, 10, never), "it lives, and takes no rooms");
    }

    #[test]
    fn without_free_seats_nothing_is_decided_or_kept() {
        let mut seats = Seats { last: [("u".to_owned(), Load::default())].into(), ..Seats::default() };
        let spec: ChatDeploymentSpec = serde_json::from_value(json!({ "autoscaling": { "maxReplicas": 9 } })).unwrap();
        let (observed, reports) = (Observed::default(), BTreeMap::new());
        let decision =
            seats.decide(&spec, &observed, "chat", &reports, Instant::now(), &mut Requeue::within(Duration::MAX));
        assert_eq!((decision, seats.last.len()), (None, 0));
    }
}
