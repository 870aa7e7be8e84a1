//! The state of the cluster, from watches and answers of the API server. In memory; no I/O. Only a change of a kept field counts as
//! a change: an update of an unread status causes no reconcile.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::api::ChatDeployment;
use crate::death::{self, Death};
use crate::desired::Kind;
use crate::plan::Accepted;
use crate::record::{Child, Key, PodRecord, version};

/// A ChatDeployment, or why it cannot be read.
#[derive(Clone, Debug)]
pub enum Deployment {
    /// As it was last read.
    Readable(Arc<ChatDeployment>),
    /// It has another form than the definition of this operator's version.
    Unreadable {
        /// Its `metadata.generation`.
        generation: i64,
        /// What is wrong with it, for people.
        why: String,
    },
}

/// The scope of a watch: a new list replaces the objects in it, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// ChatDeployments themselves.
    Deployments,
    /// Pods of both components.
    Pods,
    /// Children of one kind.
    Children(Kind),
}

/// A source, and the namespace if it is of one only.
type Scope = (Source, Option<String>);

/// ChatDeployments, their children and their pods, by ChatDeployment.
#[derive(Debug, Default)]
pub struct Cache(Mutex<State>, Notify);

#[derive(Debug, Default)]
struct State {
    deployments: HashMap<Key, (u64, Deployment)>,
    /// Sorted by kind and name.
    children: HashMap<Key, Vec<Known>>,
    /// Sorted by name.
    pods: HashMap<Key, Vec<PodRecord>>,
    /// What a list that is under way has named so far.
    listed: HashMap<Scope, HashSet<(Key, String)>>,
    /// Processes that have ended, until somebody asks.
    deaths: Vec<(Key, Death)>,
}

/// More than these are left to their leases, which last 10 s.
const MOST_DEATHS: usize = 1_000;

#[derive(Debug)]
struct Known {
    child: Child,
    /// The hash of what was applied, if the content is known to be that since the child last changed.
    verified: Option<u64>,
    /// What the API server made of what was last applied to it.
    accepted: Option<Accepted>,
}

impl State {
    fn known(&mut self, key: &Key, kind: Kind, name: &str) -> Option<&mut Known> {
        let children = self.children.get_mut(key)?;
        place(children, kind, name).ok().map(|place| &mut children[place])
    }
}

/// Where a child is, or else belongs.
fn place(children: &[Known], kind: Kind, name: &str) -> Result<usize, usize> {
    children.binary_search_by(|known| (known.child.kind, known.child.name.as_str()).cmp(&(kind, name)))
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ChatDeployment; nothing if there is none.
    pub fn deployment(&self, key: &Key) -> Option<Deployment> {
        self.state().deployments.get(key).map(|(_, deployment)| deployment.clone())
    }

    /// All ChatDeployments, in no order.
    pub fn deployments(&self) -> Vec<Key> {
        self.state().deployments.keys().cloned().collect()
    }

    /// Every ChatDeployment, in no order.
    pub fn visit_deployments(&self, mut visit: impl FnMut(&Key, &Deployment)) {
        self.state().deployments.iter().for_each(|(key, (_, deployment))| visit(key, deployment));
    }

    /// The children of a ChatDeployment, by kind and name.
    pub fn children(&self, key: &Key) -> Vec<Child> {
        let state = self.state();
        state.children.get(key).into_iter().flatten().map(|known| known.child.clone()).collect()
    }

    /// The pods of a ChatDeployment, by name.
    pub fn pods(&self, key: &Key) -> Vec<PodRecord> {
        self.state().pods.get(key).cloned().unwrap_or_default()
    }

    /// The pods of every ChatDeployment that has some, sorted by name.
    pub fn visit_pods(&self, mut visit: impl FnMut(&Key, &[PodRecord])) {
        let state = self.state();
        for (key, pods) in state.pods.iter().filter(|(key, _)| state.deployments.contains_key(*key)) {
            visit(key, pods);
        }
    }

    /// The hash under which the child was applied, if it has not changed since it was last looked at.
    pub fn verified(&self, key: &Key, child: &Child) -> Option<u64> {
        let mut state = self.state();
        let known = state.known(key, child.kind, &child.name)?;
        known.verified.filter(|_| known.child.fingerprint == child.fingerprint)
    }

    /// The child's content is what is applied under this hash. A child that has changed meanwhile is not meant.
    pub fn verify(&self, key: &Key, child: &Child, hash: u64) {
        let mut state = self.state();
        let known = state.known(key, child.kind, &child.name);
        if let Some(known) = known.filter(|known| known.child.fingerprint == child.fingerprint) {
            known.verified = Some(hash);
        }
    }

    /// The API server holds something else than what was applied to this child.
    pub fn accept(&self, key: &Key, child: &Child, accepted: Accepted) {
        let mut state = self.state();
        let known = state.known(key, child.kind, &child.name);
        if let Some(known) = known.filter(|known| known.child.uid == child.uid) {
            known.accepted = Some(accepted);
        }
    }

    /// What the API server made of what was last applied to this very child, if that was something else.
    pub fn accepted(&self, key: &Key, child: &Child) -> Option<Accepted> {
        let mut state = self.state();
        let known = state.known(key, child.kind, &child.name)?;
        known.accepted.filter(|_| known.child.uid == child.uid)
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

    /// A ChatDeployment that can be read, without what nobody looks at. Returns whether it says anything new.
    pub fn put_readable(&self, key: &Key, mut deployment: ChatDeployment) -> bool {
        let version = version(&deployment.metadata);
        deployment.metadata.managed_fields = None;
        deployment.metadata.annotations = None;
        self.put_deployment(key, version, Deployment::Readable(Arc::new(deployment)))
    }

    /// A child as it was read. Older readings than what is known change nothing. Returns whether it says anything new.
    pub fn put_child(&self, key: &Key, mut child: Child) -> bool {
        let mut state = self.state();
        let children = state.children.entry(key.clone()).or_default();
        if let Some(alike) = children.iter().find(|known| known.child.owner == child.owner) {
            // One text for all: there are a dozen of each of thousands of deployments.
            child.owner = alike.child.owner.clone();
        }
        match place(children, child.kind, &child.name) {
            Err(place) => {
                // There are thousands of these lists, which hardly ever grow.
                children.reserve_exact(1);
                children.insert(place, Known { child, verified: None, accepted: None });
                true
            }
            Ok(place) => {
                let before = &mut children[place];
                if before.child.uid == child.uid && before.child.version > child.version {
                    return false;
                }
                before.verified = before.verified.filter(|_| before.child.fingerprint == child.fingerprint);
                before.child.version = child.version;
                let is_new = before.child != child;
                before.child = child;
                is_new
            }
        }
    }

    /// A pod as it was read. Older readings than what is known change nothing. Returns whether it says anything new.
    pub fn put_pod(&self, key: &Key, pod: PodRecord) -> bool {
        let mut state = self.state();
        let pods = state.pods.entry(key.clone()).or_default();
        match pods.binary_search_by(|known| known.name.cmp(&pod.name)) {
            Err(place) => {
                pods.reserve_exact(1);
                pods.insert(place, pod);
                true
            }
            Ok(place) => {
                let before = &mut pods[place];
                if before.uid == pod.uid && before.version > pod.version {
                    return false;
                }
                before.version = pod.version;
                let is_new = *before != pod;
                let death = death::death(before, &pod);
                *before = pod;
                if let Some(death) = death.filter(|_| state.deaths.len() < MOST_DEATHS) {
                    state.deaths.push((key.clone(), death));
                    self.1.notify_one();
                }
                is_new
            }
        }
    }

    /// Waits until processes have ended; each is returned once.
    pub async fn next_deaths(&self) -> Vec<(Key, Death)> {
        loop {
            let deaths = std::mem::take(&mut self.state().deaths);
            if !deaths.is_empty() {
                return deaths;
            }
            self.1.notified().await;
        }
    }

    /// A ChatDeployment is gone. Its children stay until they are gone themselves.
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

    /// A child is gone.
    pub fn remove_child(&self, key: &Key, kind: Kind, name: &str) {
        let mut state = self.state();
        let Some(children) = state.children.get_mut(key) else { return };
        children.retain(|known| (known.child.kind, known.child.name.as_str()) != (kind, name));
        if children.is_empty() {
            state.children.remove(key);
        }
    }

    /// A pod is gone.
    pub fn remove_pod(&self, key: &Key, name: &str) {
        let mut state = self.state();
        let Some(pods) = state.pods.get_mut(key) else { return };
        pods.retain(|pod| pod.name != name);
        if pods.is_empty() {
            state.pods.remove(key);
        }
    }

    /// A list begins, of all namespaces or of one.
    pub fn list_begins(&self, source: Source, namespace: Option<&str>) {
        self.state().listed.insert((source, namespace.map(str::to_owned)), HashSet::new());
    }

    /// A list that is under way names this object.
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
                    pods.retain(|pod| stays(key, &pod.name));
                }
            }
            Source::Children(kind) => {
                for (key, children) in &mut state.children {
                    children.retain(|known| known.child.kind != kind || stays(key, &known.child.name));
                }
            }
        }
        gone.sort();
        gone.dedup();
        gone
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
