//! The life of one ChatDeployment in stages, and what must be so after each, whatever went wrong. Does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kubelet::Kubelet;
use super::objects::{self, Objects, differences};
use super::process::Operator;
use super::proxy::{Done, Proxy};
use super::rules::Case;
use super::{LIMIT, apply, delete, deployment, has_settled, within};

/// What goes wrong by chance goes on for this long in every stage.
const STORM: Duration = Duration::from_secs(4);

/// Two pods with Services of their own; a third; another template and no NetworkPolicies; one pod; and, with a roll-out under way, none.
pub fn stages() -> [(&'static str, Value); 5] {
    let spec = |replicas: i32, players: i32, policy: &str| {
        json!({
            "replicas": replicas, "rooms": { "maxPlayers": players }, "perPod": { "type": "NodePort" },
            "networkPolicy": { "type": policy },
        })
    };
    [
        ("create", spec(2, 4, "Managed")),
        ("scale out", spec(3, 4, "Managed")),
        ("roll out", spec(3, 5, "None")),
        ("scale in", spec(1, 5, "None")),
        ("delete", spec(1, 6, "None")),
    ]
}

/// How things are after a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    objects: Objects,
    status: Value,
    /// How many pods of each name there have been.
    pods_ever: BTreeMap<String, usize>,
    /// What the operator has deleted.
    deleted: BTreeSet<(String, String)>,
    pub writes: u32,
    pub time: Duration,
}

/// Where stories are played.
pub struct Stage<'a> {
    pub client: &'a kube::Client,
    pub kubelet: &'a Kubelet,
    pub namespace: String,
}

/// What came of a story: the ends of its stages, and how often something went wrong.
#[derive(Debug)]
pub struct Told {
    pub ends: Vec<End>,
    pub struck: u32,
    pub starts: u32,
}

impl Stage<'_> {
    /// Plays it to its end. `expected`: the ends of the stages as they are without faults; none, if this is to tell them.
    pub async fn play(&self, case: Case, expected: Option<&[End]>) -> Result<Told, String> {
        self.kubelet.forget(&self.namespace);
        let proxy = Proxy::start(self.client.clone(), case).await;
        let namespaces = [self.namespace.clone()];
        proxy.put_operator(Operator::start(&self.namespace, Some(proxy.address), &namespaces, &[]));
        let mut ends = Vec::new();
        for (index, (name, spec)) in stages().into_iter().enumerate() {
            let expected = expected.map(|ends| &ends[index]);
            let started = Instant::now();
            let end = self.play_stage(&proxy, case, name, &spec, expected).await;
            let end = end.map_err(|error| format!("{case}, {name}: {error}"))?;
            ends.push(End { time: started.elapsed(), ..end });
        }
        let (starts, has_ended) = proxy.starts();
        if has_ended {
            return Err(format!("{case}: the operator has ended by itself"));
        }
        twice(&proxy.done()).map_err(|error| format!("{case}: {error}"))?;
        Ok(Told { ends, struck: proxy.rules(|rules| rules.struck()), starts })
    }

    async fn play_stage(
        &self,
        proxy: &Proxy,
        case: Case,
        name: &str,
        spec: &Value,
        expected: Option<&End>,
    ) -> Result<End, String> {
        proxy.rules(super::rules::Rules::begin);
        apply(self.client, &self.namespace, spec).await.map_err(|error| error.to_string())?;
        let is_last = name == "delete";
        if is_last {
            // The roll-out has begun.
            within(LIMIT, async || (proxy.rules(|rules| rules.writes()) == 0).then(|| "no write".to_owned())).await?;
            delete(self.client, &self.namespace).await;
        }
        if !case.weather.is_counted() && case.weather != super::rules::Weather::Calm {
            tokio::time::sleep(STORM).await;
            proxy.rules(super::rules::Rules::end_storm);
        }
        if is_last {
            within(LIMIT, async || {
                let objects = self.objects().await;
                (!objects.is_empty()).then(|| format!("left behind: {:?}", objects.keys().collect::<Vec<_>>()))
            })
            .await?;
            return Ok(End { writes: proxy.rules(|rules| rules.writes()), ..End::default() });
        }
        let mut end = End::default();
        within(LIMIT, async || {
            let deployment = deployment(self.client, &self.namespace).await;
            if !has_settled(&deployment) {
                return Some(format!("not settled: {:?}", deployment.status.unwrap_or_default().conditions));
            }
            end = End {
                objects: self.objects().await,
                status: objects::said(&deployment, &self.namespace),
                pods_ever: self.kubelet.pods_ever(&self.namespace),
                deleted: deleted(&proxy.done()),
                writes: proxy.rules(|rules| rules.writes()),
                ..End::default()
            };
            expected.and_then(|expected| end.complaint(expected))
        })
        .await?;
        Ok(end)
    }

    async fn objects(&self) -> Objects {
        let mut objects = objects::children(self.client, &self.namespace).await;
        objects.extend(objects::pods(self.client, &self.namespace).await);
        objects
    }
}

impl End {
    fn complaint(&self, expected: &Self) -> Option<String> {
        let mut found = differences(&expected.objects, &self.objects);
        let status = |end: &Self| Objects::from([("status".to_owned(), end.status.clone())]);
        found.extend(differences(&status(expected), &status(self)));
        if self.pods_ever != expected.pods_ever {
            found.push(format!("pods made: {:?} expected, {:?} were", expected.pods_ever, self.pods_ever));
        }
        if self.deleted != expected.deleted {
            found.push(format!("deleted: {:?} expected, {:?} was", expected.deleted, self.deleted));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}

fn deleted(done: &[Done]) -> BTreeSet<(String, String)> {
    let deletes = done.iter().filter(|done| done.call.verb == "delete" && done.code < 300);
    deletes.map(|done| (done.call.resource.clone(), done.name.clone())).collect()
}

/// Whether anything came into being twice, or two of a name were deleted. Events are not counted: each is another one.
fn twice(done: &[Done]) -> Result<(), String> {
    let mut made = BTreeSet::new();
    let mut deleted: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for done in done.iter().filter(|done| done.call.resource != "events") {
        let place = (done.call.resource.as_str(), done.name.as_str());
        if done.code == 201 && !made.insert(place) {
            return Err(format!("{place:?} was made twice"));
        }
        if done.call.verb == "delete" && done.code < 300 {
            let uid = *deleted.entry(place).or_insert(&done.uid);
            if uid != done.uid {
                return Err(format!("{place:?} was deleted twice"));
            }
        }
    }
    Ok(())
}
