//! `keys`: the token keys that the operator made, and their rotation in two steps that disconnect nobody: a second key is added, and the
//! old one removed once no client needs it. The decisions are pure; the rest does I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use kube::Api;
use kube::api::{Patch, PatchParams};
use operator::api::ChatDeployment;
use operator::desired::{Names, hexadecimal};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::findings::count;
use crate::observed::{Pod, Service};
use crate::output::{self, Format, Outcome};

/// How an id tells when its key was made: as the operator names keys.
const ID: &str = "%Y%m%d%H%M%S";
/// A kubelet brings a changed Secret into its pods' files within two minutes.
const SPREAD: Duration = Duration::from_mins(4);
/// A pod that starts this long after a rotation signs with the new key at once; one that starts earlier signs with the old one first
/// (chatd's `files/keys.rs`).
const KNOWN_AFTER: Duration = Duration::from_mins(10);
const LOOK: Duration = Duration::from_secs(1);
/// A key that all pods have signs after this long (docs/operations.md).
const SIGNS_AFTER: Duration = Duration::from_mins(3);

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    secret: String,
    /// By id, the one that signs last.
    ids: Vec<String>,
    /// How many keys each pod accepts; `None`: it does not answer.
    accepted: BTreeMap<String, Option<u64>>,
}

impl Keys {
    fn new(secret: &Secret, service: &Service) -> Self {
        let data = secret.data.iter().flatten().filter(|(id, value)| !id.starts_with('.') && !value.0.is_empty());
        let pods = service.pods.iter().filter(|pod| !pod.is_terminating);
        let accepted = |pod: &Pod| (pod.name.clone(), pod.report().map(|report| report.figures.token_keys));
        Self {
            secret: secret.metadata.name.clone().unwrap_or_default(),
            ids: data.map(|(id, _)| id.clone()).collect(),
            accepted: pods.map(accepted).collect(),
        }
    }

    /// The pods that do not accept all keys, or do not answer.
    fn behind(&self) -> Vec<&str> {
        let all = Some(self.ids.len() as u64);
        self.accepted.iter().filter(|(_, accepted)| **accepted != all).map(|(pod, _)| pod.as_str()).collect()
    }

    /// The first step: the id of a new key.
    fn next(&self, now: Timestamp) -> Result<String, String> {
        let id = now.strftime(ID).to_string();
        match &self.ids[..] {
            [] => Err(format!("Secret {} has no key; the operator adds one within 5 minutes", self.secret)),
            [only] if *only < id => Ok(id),
            [only] => Err(format!("the key {only} sorts behind {id}, and so goes on signing: add one by hand")),
            [.., newest] => Err(format!(
                "a rotation is under way: {newest} is the newest of {}. Finish it with `kubectl chatd keys retire`",
                count(self.ids.len() as u64, "key")
            )),
        }
    }

    /// The second step: the ids that go, if nobody needs them any more. `sessions`: the longest that a client stays connected.
    fn retired(&self, now: Timestamp, sessions: Duration) -> Result<&[String], String> {
        let [old @ .., newest] = &self.ids[..] else {
            return Err(format!("Secret {} has no key", self.secret));
        };
        if old.is_empty() {
            return Err(format!("there is one key, {newest}: `kubectl chatd keys rotate` adds the next one"));
        }
        let behind = self.behind();
        if !behind.is_empty() {
            return Err(format!("not all pods accept all keys yet, or answer: {}", behind.join(", ")));
        }
        let made = DateTime::strptime(ID, newest).and_then(|time| time.to_zoned(TimeZone::UTC));
        let Ok(made) = made else {
            return Err(format!("the id {newest} does not tell when its key was made: remove the older ones by hand"));
        };
        let age = now.duration_since(made.timestamp()).unsigned_abs();
        let wait = (KNOWN_AFTER + SIGNS_AFTER + sessions).saturating_sub(age);
        if now < made.timestamp() || !wait.is_zero() {
            return Err(format!(
                "{newest} is too new: clients may hold tokens of older keys. Wait {} s, or state with --sessions how long \
                 clients stay connected at most",
                wait.as_secs()
            ));
        }
        Ok(old)
    }

    fn text(&self) -> String {
        let last = self.ids.len().saturating_sub(1);
        let rows = self.ids.iter().enumerate().map(|(number, id)| {
            vec![
                id.clone(),
                if number == last { "signs, 3 minutes after all pods have it" } else { "accepted" }.to_owned(),
            ]
        });
        let keys = format!("Secret {}\n{}\n", self.secret, output::table(&["KEY", "USE"], rows));
        let behind = self.behind();
        if behind.is_empty() {
            return keys + "All pods accept all keys.\n";
        }
        format!("{keys}These pods do not accept all keys yet, or do not answer: {}.\n", behind.join(", "))
    }
}

async fn look(cluster: &Cluster, deployment: &ChatDeployment, api: &Api<Secret>) -> Result<(Secret, Keys)> {
    if let Some(secret) = &deployment.spec.token_keys.secret_ref {
        bail!(
            "the token keys are in Secret {}, which is yours: docs/operations.md tells how to rotate them (Token keys)",
            secret.name
        );
    }
    let name = Names::new(deployment.metadata.name.as_deref().unwrap_or_default()).token_keys();
    let secret = api.get(&name).await.with_context(|| format!("cannot read Secret {name}"))?;
    let keys = Keys::new(&secret, &cluster.observe(deployment).await?);
    Ok((secret, keys))
}

/// Changes the Secret unless somebody else has changed it meanwhile.
async fn change(api: &Api<Secret>, secret: &Secret, data: BTreeMap<&str, Option<ByteString>>) -> Result<()> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let patch = json!({ "metadata": { "resourceVersion": secret.metadata.resource_version }, "data": data });
    let changed = api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch)).await;
    match changed {
        Err(kube::Error::Api(status)) if status.code == 409 => bail!("somebody else has just changed Secret {name}"),
        changed => changed.map(|_| ()).with_context(|| format!("cannot change Secret {name}")),
    }
}

/// Shows the keys' ids.
pub async fn list(cluster: &Cluster, name: Option<&str>, format: Format) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let (_, keys) = look(cluster, &deployment, &cluster.secrets_of(&deployment)).await?;
    output::print(&if format.is_table() { keys.text() } else { format.document(&keys)? })?;
    Ok(if keys.behind().is_empty() { Outcome::Well } else { Outcome::Wrong })
}

/// Adds a key, and waits until all pods accept it.
pub async fn rotate(cluster: &Cluster, name: Option<&str>) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let api = cluster.secrets_of(&deployment);
    let (secret, keys) = look(cluster, &deployment, &api).await?;
    let id = keys.next(Timestamp::now()).map_err(|why| anyhow!(why))?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system's random source")?;
    change(&api, &secret, [(id.as_str(), Some(ByteString(hexadecimal(&random).into_bytes())))].into()).await?;
    eprintln!(
        "Added the key {id} to Secret {}. Waiting until all pods accept it, two minutes most often.",
        keys.secret
    );
    tokio::select! {
        waited = spread(cluster, &deployment, &api) => waited?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("stopped waiting. The key is added and reaches the pods by itself; `kubectl chatd keys list` shows it");
        }
    }
    output::print(&format!(
        "All pods accept {id}, and sign with it in 3 minutes. When no client is connected any more that was before, \
         remove the old key:\n  kubectl chatd keys retire\n"
    ))?;
    Ok(Outcome::Well)
}

async fn spread(cluster: &Cluster, deployment: &ChatDeployment, api: &Api<Secret>) -> Result<()> {
    let deadline = Instant::now() + SPREAD;
    let mut last = Vec::new();
    loop {
        // The API server may be away for a moment.
        let behind: Vec<String> = match look(cluster, deployment, api).await {
            Ok((_, keys)) => keys.behind().into_iter().map(str::to_owned).collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "not all pods accept the new key after {} s: {}; their logs tell why",
                SPREAD.as_secs(),
                behind.join(", ")
            );
        }
        if behind != last {
            eprintln!("without it: {}", behind.join(", "));
            last = behind;
        }
        sleep(LOOK).await;
    }
}

/// Removes all keys but the newest.
pub async fn retire(cluster: &Cluster, name: Option<&str>, sessions: Duration) -> Result<Outcome> {
    let deployment = cluster.deployment(name).await?;
    let api = cluster.secrets_of(&deployment);
    let (secret, keys) = look(cluster, &deployment, &api).await?;
    let old = keys.retired(Timestamp::now(), sessions).map_err(|why| anyhow!(why))?;
    change(&api, &secret, old.iter().map(|id| (id.as_str(), None)).collect()).await?;
    output::print(&format!(
        "Removed from Secret {}: {}. Pods follow within two minutes.\n",
        keys.secret,
        old.join(", ")
    ))?;
    Ok(Outcome::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str], accepted: &[Option<u64>]) -> Keys {
        let pods = accepted.iter().enumerate().map(|(number, accepted)| (format!("chat-{number}"), *accepted));
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        Keys { secret: "chat-token-keys".to_owned(), ids, accepted: pods.collect() }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap_or_default()
    }

    #[test]
    fn a_new_key_sorts_behind_the_only_one() {
        let now = at("2026-11-29T10:00:00Z");
        assert_eq!(keys(&["20261124010203"], &[]).next(now), Ok("20261129100000".to_owned()));
        for (ids, why) in [
            (&[][..], "has no key"),
            (&["20270101000000"], "goes on signing"),
            (&["mine"], "goes on signing"),
            (&["20261124010203", "20261129095900"], "a rotation is under way"),
        ] {
            let refused = keys(ids, &[]).next(now).expect_err("refused");
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }

    #[test]
    fn an_old_key_goes_when_nobody_needs_it() {
        let (now, hour) = (at("2026-11-29T10:00:00Z"), Duration::from_hours(1));
        let two = ["20261124010203", "20261129084659"];
        let all = [Some(2), Some(2)];
        assert_eq!(keys(&two, &all).retired(now, hour), Ok(&["20261124010203".to_owned()][..]));
        for (keys, why) in [
            (keys(&two, &[Some(2), Some(1)]), "not all pods accept all keys yet, or answer: chat-1"),
            (keys(&two, &[None, Some(2)]), "answer: chat-0"),
            (keys(&["20261124010203", "20261129084701"], &all), "Wait 1 s"),
            (keys(&["20261124010203", "20261130000000"], &all), "is too new"),
            (keys(&["20261124010203", "mine"], &all), "by hand"),
            (keys(&["20261124010203"], &[Some(1)]), "there is one key"),
            (keys(&[], &[Some(0)]), "has no key"),
        ] {
            let refused = keys.retired(now, hour).expect_err("refused");
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }

    #[test]
    fn keys_are_read_without_their_values() {
        let data = json!({ "b": "c2VjcmV0", "a": "c2VjcmV0", ".hidden": "c2VjcmV0", "empty": "" });
        let secret = json!({ "metadata": { "name": "chat-token-keys" }, "data": data });
        let secret: Secret = serde_json::from_value(secret).unwrap_or_default();
        let keys = Keys::new(&secret, &Service::default());
        assert_eq!(keys.ids, ["a", "b"]);
        assert!(!keys.text().contains("secret"), "{}", keys.text());
    }
}
