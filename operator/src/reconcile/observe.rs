//! The observed state of one ChatDeployment: from the cache, and changed objects from the API server. Does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use k8s_openapi::ByteString;

use super::state::{Secrets, Watchdog};
use crate::api::{ChatDeploymentSpec, RedisType};
use crate::backoff::random;
use crate::cache::Cache;
use crate::client::{CallError, Client};
use crate::desired::{CHAT, Kind, Names, VALKEY, has_api_keys, has_token_key, is_whole_valkey_secret};
use crate::plan::{Content, Observed, Seen, SeenSecret};
use crate::record::{self, Key, PodRecord};
use crate::rollout;

pub async fn observe(
    client: &Client,
    cache: &Cache,
    key: &Key,
    spec: &ChatDeploymentSpec,
    optional_kinds: BTreeSet<Kind>,
    watchdog: &mut Watchdog,
    secrets: &mut Secrets,
) -> Result<Observed, CallError> {
    if watchdog.reads_anew(Instant::now()) {
        read_anew(client, cache, key, &optional_kinds).await?;
    }
    let names = Names::new(&key.name);
    let mut children = BTreeMap::new();
    let known = cache.children(key).into_iter();
    // A request for any other would fail, and the reconcile with it.
    for record in known.filter(|record| record.kind.is_served(&optional_kinds)) {
        let verified = cache.verified(key, &record).filter(|_| may_stay_unread(&record, secrets));
        let content = match verified {
            Some(hash) => Content::Verified(hash),
            // Changed since it was last looked at, or never looked at.
            None => match client.get(record.kind, &key.namespace, &record.name).await? {
                Some(object) => {
                    let fresh = record::Child::of_object(record.kind, &object);
                    cache.put_child(key, fresh.clone());
                    children.insert(
                        (record.kind, record.name.clone()),
                        Seen { accepted: cache.accepted(key, &fresh), record: fresh, content: Content::Object(object) },
                    );
                    continue;
                }
                None => {
                    cache.remove_child(key, record.kind, &record.name);
                    continue;
                }
            },
        };
        children.insert((record.kind, record.name.clone()), Seen { record, content, accepted: None });
    }
    if secrets.are_good_for(Instant::now()).is_zero() {
        let (token_keys, valkey) = (names.token_keys(), names.valkey());
        secrets.token_keys = match spec.token_keys.secret_ref {
            None => read(client, key, &token_keys, has_token_key).await?,
            Some(_) => None,
        };
        secrets.api_keys = if spec.api.is_served() && spec.api.secret_ref.is_none() {
            read(client, key, &names.api(), has_api_keys).await?
        } else {
            None
        };
        secrets.valkey = if may_have_valkey(spec, &valkey, &children, secrets) {
            read(client, key, &valkey, is_whole_valkey_secret).await?
        } else {
            None
        };
        secrets.are_read(Instant::now(), random());
    }
    let pods = cache.pods(key);
    let chat = pods.iter().filter(|pod| pod.component == CHAT);
    let by_ordinal: BTreeMap<i32, &PodRecord> = chat.filter_map(|pod| Some((names.ordinal(&pod.name)?, pod))).collect();
    let hosts = by_ordinal.iter().filter_map(|(ordinal, pod)| Some((*ordinal, pod.host.clone()?))).collect();
    let cut_off = by_ordinal.iter().filter(|(_, pod)| pod.silent_node.is_some()).map(|(ordinal, _)| *ordinal).collect();
    Ok(Observed {
        children,
        pods: by_ordinal.into_iter().map(|(ordinal, pod)| (ordinal, counted(pod))).collect(),
        hosts,
        cut_off,
        valkey_pod: pods.iter().find(|pod| pod.component == VALKEY).map(counted),
        seats: None,
        token_keys: secrets.token_keys.clone(),
        api_keys: secrets.api_keys.clone(),
        valkey_secret: secrets.valkey.clone(),
        optional_kinds,
    })
}

/// Valkey's set is read whole when its password is another one, or is being made: where a change of it is held back, that alone is put into it.
fn may_stay_unread(record: &record::Child, secrets: &Secrets) -> bool {
    let record::Detail::Set(set) = &record.detail else { return true };
    let is_same = || secrets.valkey.as_ref().is_some_and(|secret| secret.record.uid == set.secret);
    set.secret.is_empty() || is_same()
}

/// Whether the Secret of this name is to be looked at. A spec of before may have left it behind, but not alone: it goes before the rest.
fn may_have_valkey(
    spec: &ChatDeploymentSpec,
    name: &str,
    children: &BTreeMap<(Kind, String), Seen>,
    secrets: &Secrets,
) -> bool {
    let is_managed = spec.redis.type_ == RedisType::Managed;
    is_managed || secrets.valkey.is_some() || children.keys().any(|(_, child)| child == name)
}

/// The state that the watches should have delivered, read from the API server itself.
async fn read_anew(client: &Client, cache: &Cache, key: &Key, optional: &BTreeSet<Kind>) -> Result<(), CallError> {
    let labels = format!("{},app.kubernetes.io/instance={}", crate::watch::OURS, key.name);
    let always = Kind::ALL.iter().filter(|kind| **kind != Kind::Secret);
    for kind in always.chain(optional).copied() {
        let (objects, version) = client.children(kind, &key.namespace, &labels).await?;
        let children = objects.iter().map(|object| record::Child::of_object(kind, object)).collect();
        cache.put_children(key, kind, children, version);
    }
    let (pods, version) = client.pods(&key.namespace, &labels).await?;
    cache.put_pods(key, pods.iter().map(PodRecord::of).collect(), version);
    Ok(())
}

fn counted(pod: &PodRecord) -> rollout::Pod {
    rollout::Pod {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        revision: pod.revision.clone(),
        directory: pod.directory.clone(),
        ready: pod.is_ready,
        terminating: pod.is_terminating,
    }
}

/// The values themselves are dropped here.
async fn read(
    client: &Client,
    key: &Key,
    name: &str,
    is_whole: fn(&BTreeMap<String, ByteString>) -> bool,
) -> Result<Option<SeenSecret>, CallError> {
    let secret = client.get_secret(&key.namespace, name).await?;
    Ok(secret.map(|secret| SeenSecret {
        record: record::Child::of_metadata(Kind::Secret, &secret.metadata),
        is_whole: secret.data.is_some_and(|data| is_whole(&data)),
    }))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    #[test]
    fn valkeys_secret_is_looked_at_only_where_there_may_be_one() {
        let managed = ChatDeploymentSpec::default();
        let mut external = managed.clone();
        external.redis.type_ = RedisType::External;
        let record = |kind| record::Child::of_metadata(kind, &ObjectMeta::default());
        let set = Seen { record: record(Kind::StatefulSet), content: Content::Verified(1), accepted: None };
        let rest = [((Kind::StatefulSet, "chat-valkey".to_owned()), set)].into();
        let mut left = Secrets::default();
        left.valkey = Some(SeenSecret { record: record(Kind::Secret), is_whole: true });
        let (nothing, none) = (BTreeMap::new(), Secrets::default());
        assert!(may_have_valkey(&managed, "chat-valkey", &nothing, &none));
        assert!(!may_have_valkey(&external, "chat-valkey", &nothing, &none));
        assert!(may_have_valkey(&external, "chat-valkey", &rest, &none), "the set is still there");
        assert!(may_have_valkey(&external, "chat-valkey", &nothing, &left), "it is known to be there");
    }
    #[test]
    fn valkeys_set_is_read_when_its_password_is_another_one() {
        let of = |secret: &str| {
            let detail = record::Set { secret: secret.into(), ..record::Set::default() };
            let record = record::Child::of_metadata(Kind::StatefulSet, &ObjectMeta::default());
            record::Child { detail: record::Detail::Set(Box::new(detail)), ..record }
        };
        let metadata = ObjectMeta { uid: Some("u1".into()), ..ObjectMeta::default() };
        let seen = SeenSecret { record: record::Child::of_metadata(Kind::Secret, &metadata), is_whole: true };
        let mut secrets = Secrets::default();
        secrets.valkey = Some(seen);
        assert!(may_stay_unread(&of("u1"), &secrets));
        assert!(!may_stay_unread(&of("u0"), &secrets), "it is another one");
        assert!(!may_stay_unread(&of("u1"), &Secrets::default()), "another one is being made");
        assert!(may_stay_unread(&of(""), &Secrets::default()), "the set of the chat pods");
    }
}
