//! What is known of the cluster, as the watches and the API server's answers tell it. In memory; no I/O.
//! A change is reported only if it is one in what is kept: a status that nobody looks at wakes nobody.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::ChatDeployment;
use crate::desired::Kind;
use crate::record::{Child, Key, PodRecord, version};

/// A ChatDeployment, or why it cannot be read.
#[derive(Clone, Debug)]
pub enum Deployment {
    Readable(Arc<ChatDeployment>),
    Unreadable { generation: i64, why: String },
}

/// What a watch covers: a list that starts anew replaces that, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    Deployments,
    Pods,
    Children(Kind),
}

/// A source, and the namespace if it is of one only.
type Scope = (Source, Option<String>);

#[derive(Debug, Default)]
pub struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    deployments: HashMap<Key, (u64, Deployment)>,
    children: HashMap<Key, BTreeMap<(Kind, String), Child>>,
    pods: HashMap<Key, BTreeMap<String, PodRecord>>,
    /// By child: the fingerprint at which its content was found to be what was applied under a hash.
    verified: HashMap<(Key, Kind, String), (String, String)>,
    /// What a list that is under way has named so far.
    listed: HashMap<Scope, HashSet<(Key, String)>>,
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn deployment(&self, key: &Key) -> Option<Deployment> {
        self.state().deployments.get(key).map(|(_, deployment)| deployment.clone())
    }

    pub fn deployments(&self) -> Vec<Key> {
        self.state().deployments.keys().cloned().collect()
    }

    pub fn children(&self, key: &Key) -> Vec<Child> {
        self.state().children.get(key).map(|children| children.values().cloned().collect()).unwrap_or_default()
    }

    pub fn pods(&self, key: &Key) -> Vec<PodRecord> {
        self.state().pods.get(key).map(|pods| pods.values().cloned().collect()).unwrap_or_default()
    }

    /// The hash under which the child was applied, if it has not changed since it was last looked at.
    pub fn verified(&self, key: &Key, child: &Child) -> Option<String> {
        let state = self.state();
        let (fingerprint, hash) = state.verified.get(&(key.clone(), child.kind, child.name.clone()))?;
        (*fingerprint == child.fingerprint).then(|| hash.clone())
    }

    pub fn verify(&self, key: &Key, child: &Child, hash: String) {
        let place = (key.clone(), child.kind, child.name.clone());
        self.state().verified.insert(place, (child.fingerprint.clone(), hash));
    }

    /// Returns whether it says anything new.
    pub fn put_deployment(&self, key: &Key, metadata_version: u64, deployment: Deployment) -> bool {
        let mut state = self.state();
        let before = state.deployments.get(key);
        if before.is_some_and(|(version, _)| *version > metadata_version) {
            return false;
        }
        let is_same = matches!(
            (before, &deployment),
            (Some((_, Deployment::Readable(before))), Deployment::Readable(now))
                if before.spec == now.spec
                    && before.status == now.status
                    && before.metadata.uid == now.metadata.uid
                    && before.metadata.generation == now.metadata.generation
                    && before.metadata.deletion_timestamp == now.metadata.deletion_timestamp
        );
        state.deployments.insert(key.clone(), (metadata_version, deployment));
        !is_same
    }

    pub fn put_readable(&self, key: &Key, mut deployment: ChatDeployment) -> bool {
        let version = version(&deployment.metadata);
        deployment.metadata.managed_fields = None;
        deployment.metadata.annotations = None;
        self.put_deployment(key, version, Deployment::Readable(Arc::new(deployment)))
    }

    pub fn put_child(&self, key: &Key, child: Child) -> bool {
        let mut state = self.state();
        let children = state.children.entry(key.clone()).or_default();
        let place = (child.kind, child.name.clone());
        let before = children.get(&place);
        if before.is_some_and(|before| before.uid == child.uid && before.version > child.version) {
            return false;
        }
        let is_new = before.is_none_or(|before| Child { version: child.version, ..before.clone() } != child);
        children.insert(place, child);
        is_new
    }

    pub fn put_pod(&self, key: &Key, pod: PodRecord) -> bool {
        let mut state = self.state();
        let pods = state.pods.entry(key.clone()).or_default();
        let before = pods.get(&pod.name);
        if before.is_some_and(|before| before.uid == pod.uid && before.version > pod.version) {
            return false;
        }
        let is_new = before.is_none_or(|before| PodRecord { version: pod.version, ..before.clone() } != pod);
        pods.insert(pod.name.clone(), pod);
        is_new
    }

    pub fn remove_deployment(&self, key: &Key) {
        self.state().deployments.remove(key);
    }

    /// Not its successor of the same name, which may be known already.
    pub fn remove_deployment_of(&self, key: &Key, uid: &str) {
        let is_of = |(_, deployment): &(u64, Deployment)| matches!(deployment, Deployment::Readable(deployment) if deployment.metadata.uid.as_deref() == Some(uid));
        let mut state = self.state();
        if state.deployments.get(key).is_some_and(is_of) {
            state.deployments.remove(key);
        }
    }

    /// What was read of one deployment's children of a kind, whole, at a version: what is not in it and not newer is gone.
    pub fn put_children(&self, key: &Key, kind: Kind, children: Vec<Child>, version: u64) {
        let is_gone = |child: &Child| {
            child.kind == kind && child.version <= version && children.iter().all(|read| read.name != child.name)
        };
        for gone in self.children(key).iter().filter(|child| is_gone(child)) {
            self.remove_child(key, kind, &gone.name);
        }
        for child in children {
            self.put_child(key, child);
        }
    }

    /// The same for pods.
    pub fn put_pods(&self, key: &Key, pods: Vec<PodRecord>, version: u64) {
        let is_gone = |pod: &PodRecord| pod.version <= version && pods.iter().all(|read| read.name != pod.name);
        for gone in self.pods(key).iter().filter(|pod| is_gone(pod)) {
            self.remove_pod(key, &gone.name);
        }
        for pod in pods {
            self.put_pod(key, pod);
        }
    }

    pub fn remove_child(&self, key: &Key, kind: Kind, name: &str) {
        let mut state = self.state();
        if let Some(children) = state.children.get_mut(key) {
            children.remove(&(kind, name.to_owned()));
        }
        state.verified.remove(&(key.clone(), kind, name.to_owned()));
        state.children.retain(|_, children| !children.is_empty());
    }

    pub fn remove_pod(&self, key: &Key, name: &str) {
        let mut state = self.state();
        if let Some(pods) = state.pods.get_mut(key) {
            pods.remove(name);
        }
        state.pods.retain(|_, pods| !pods.is_empty());
    }

    /// A list begins, of all namespaces or of one.
    pub fn list_begins(&self, source: Source, namespace: Option<&str>) {
        self.state().listed.insert((source, namespace.map(str::to_owned)), HashSet::new());
    }

    pub fn listed(&self, source: Source, namespace: Option<&str>, key: &Key, name: &str) {
        if let Some(listed) = self.state().listed.get_mut(&(source, namespace.map(str::to_owned))) {
            listed.insert((key.clone(), name.to_owned()));
        }
    }

    /// The list is whole: what it does not name is gone. Returns whose that was.
    pub fn list_ends(&self, source: Source, namespace: Option<&str>) -> Vec<Key> {
        let mut state = self.state();
        let Some(listed) = state.listed.remove(&(source, namespace.map(str::to_owned))) else { return Vec::new() };
        let mut gone = Vec::new();
        let mut stays = |key: &Key, name: &str| {
            let is_covered = namespace.is_none_or(|namespace| namespace == key.namespace);
            let stays = !is_covered || listed.contains(&(key.clone(), name.to_owned()));
            if !stays {
                gone.push(key.clone());
            }
            stays
        };
        match source {
            Source::Deployments => state.deployments.retain(|key, _| stays(key, &key.name)),
            Source::Pods => {
                for (key, pods) in &mut state.pods {
                    pods.retain(|name, _| stays(key, name));
                }
            }
            Source::Children(kind) => {
                for (key, children) in &mut state.children {
                    children.retain(|(of, name), _| *of != kind || stays(key, name));
                }
            }
        }
        gone.sort();
        gone.dedup();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Detail, Owner};

    fn key() -> Key {
        Key { namespace: "games".into(), name: "chat".into() }
    }

    fn child(name: &str, version: u64, fingerprint: &str) -> Child {
        Child {
            kind: Kind::Service,
            name: name.into(),
            uid: "u".into(),
            owner: Owner::Nobody,
            has_our_labels: true,
            is_deleting: false,
            fingerprint: fingerprint.into(),
            version,
            detail: Detail::Nothing,
        }
    }

    #[test]
    fn only_changes_wake_and_older_readings_do_not_count() {
        let cache = Cache::default();
        assert!(cache.put_child(&key(), child("chat", 5, "a")));
        assert!(!cache.put_child(&key(), child("chat", 6, "a")));
        assert!(!cache.put_child(&key(), child("chat", 4, "b")), "an older reading");
        assert_eq!(cache.children(&key())[0].fingerprint, "a");
        assert!(cache.put_child(&key(), child("chat", 7, "b")));
    }

    #[test]
    fn what_was_read_anew_counts_but_for_what_is_newer() {
        let cache = Cache::default();
        for (name, version) in [("gone", 1), ("changed", 2), ("newer", 9), ("made since", 8)] {
            cache.put_child(&key(), child(name, version, "a"));
        }
        cache.put_children(&key(), Kind::Service, vec![child("changed", 5, "b"), child("newer", 4, "b")], 6);
        let left: Vec<_> = cache.children(&key()).into_iter().map(|child| (child.name, child.fingerprint)).collect();
        let expected = [("changed", "b"), ("made since", "a"), ("newer", "a")];
        assert_eq!(left, expected.map(|(name, fingerprint)| (name.to_owned(), fingerprint.to_owned())));
    }

    #[test]
    fn what_was_verified_counts_until_the_child_changes() {
        let cache = Cache::default();
        let one = child("chat", 5, "a");
        cache.verify(&key(), &one, "hash".into());
        assert_eq!(cache.verified(&key(), &one).as_deref(), Some("hash"));
        assert_eq!(cache.verified(&key(), &child("chat", 6, "b")), None);
    }

    #[test]
    fn a_new_list_takes_away_what_it_does_not_name() {
        let cache = Cache::default();
        cache.put_child(&key(), child("old", 1, "a"));
        cache.put_child(&key(), child("stays", 1, "a"));
        let source = Source::Children(Kind::Service);
        cache.list_begins(source, None);
        cache.listed(source, None, &key(), "stays");
        assert_eq!(cache.list_ends(source, None), [key()]);
        assert_eq!(cache.children(&key()).len(), 1);
    }
}
