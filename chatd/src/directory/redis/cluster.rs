//! Sends each request to the node of a Redis Cluster that has its key, and follows the cluster as it changes. Does I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::adviser::Adviser;
use super::backoff::patience;
use super::changes::Changes;
use super::complaint::{Complaint, Verdict};
use super::dial::{Dialer, Purpose};
use super::failure::Failure;
use super::link::{Link, Source};
use super::slots::{SlotMap, slot};
use super::task::Task;
use super::url::Address;
use crate::directory::{ANSWER_TIME, NoAnswer};

/// How often the map is read without a reason.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How often it is read at most, whatever the reasons.
const READ_AT_MOST_EVERY: Duration = Duration::from_millis(100);
/// How long a request rests that came while its key was between two nodes.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A request that was sent on more often than this finds no answer.
const MOST_HOPS: usize = 16;
/// The largest size that the Redis Cluster specification recommends.
const MOST_NODES: usize = 1_000;

/// Links to all masters, and a task that ends with the last clone.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// Ends with this value.
    _task: Task,
}

#[derive(Debug)]
struct Shared {
    dialer: Arc<Dialer>,
    changes: Arc<Changes>,
    map: watch::Sender<Map>,
    links: Mutex<HashMap<Address, Link>>,
    /// The runtime that the cluster was started in: it does the I/O for all callers.
    runtime: tokio::runtime::Handle,
    read_now: Notify,
}

/// What is known of the cluster.
#[derive(Debug, Clone, PartialEq)]
struct Map {
    slots: Arc<SlotMap>,
    /// Since when nobody has told, and why not.
    silence: Option<(Instant, Option<Failure>)>,
}

impl Cluster {
    /// Starts to connect, by any of `nodes`. `changes` hears of each connection that is made or lost, and of slots that change hands.
    /// Must be called inside a runtime, which does the work; requests may come from any.
    pub fn start(dialer: Arc<Dialer>, nodes: Vec<Address>, changes: Arc<Changes>) -> Self {
        let shared = Arc::new(Shared {
            dialer: dialer.clone(),
            changes,
            map: watch::Sender::new(Map { slots: Arc::default(), silence: Some((Instant::now(), None)) }),
            links: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            read_now: Notify::new(),
        });
        let adviser = Adviser::new(dialer, Purpose::Slots, nodes);
        let task = Task::spawn(shared.clone().follow(adviser));
        Self(Arc::new(Handle { shared, _task: task }))
    }

    /// The link to the node that has `key`, as far as is known.
    pub fn link_of(&self, key: &[u8]) -> Option<Link> {
        let shared = &self.0.shared;
        let master = shared.map.borrow().slots.master(slot(key)).cloned()?;
        shared.links().get(&master).cloned()
    }

    /// Asks the node that has `key`.
    pub async fn call(&self, key: &[u8], command: &Cmd, deadline: Instant) -> Result<Value, Complaint> {
        let shared = &self.0.shared;
        let slot = slot(key);
        let mut maps = shared.map.subscribe();
        let mut sent_to: Option<(Address, bool)> = None;
        for _ in 0..MOST_HOPS {
            let (address, asking) = match sent_to.take() {
                Some(there) => there,
                None => (shared.master(slot, &mut maps, deadline).await.map_err(no_answer)?, false),
            };
            let link = shared.link(&address).ok_or_else(|| no_answer(NoAnswer::Refused))?;
            if !link.is_up() {
                shared.read_now.notify_one();
            }
            let up = tokio::select! {
                biased;
                up = link.ready(deadline) => up.map_err(no_answer)?,
                // Another master may have taken the slot over.
                Ok(()) = maps.changed() => continue,
            };
            match link.send(up, command, asking, deadline).await {
                Err(Complaint::Moved(to)) => {
                    shared.read_now.notify_one();
                    sent_to = Some((named(to, &address), false));
                }
                Err(Complaint::Ask(to)) => sent_to = Some((named(to, &address), true)),
                Err(Complaint::TryAgain) => sleep(TRY_AGAIN_AFTER).await,
                Err(complaint @ Complaint::None(Failure { reason: NoAnswer::ReadOnly, .. }, _)) => {
                    shared.read_now.notify_one();
                    return Err(complaint);
                }
                reply => return reply,
            }
            if Instant::now() >= deadline {
                return Err(no_answer(NoAnswer::Timeout));
            }
        }
        Err(no_answer(NoAnswer::ReadOnly))
    }
}

fn no_answer(failure: impl Into<Failure>) -> Complaint {
    Complaint::None(failure.into(), Verdict::Keep)
}

/// A node that is sent to without a host's name is on the host that sends.
fn named(to: Address, sender: &Address) -> Address {
    if to.host.is_empty() { Address { host: sender.host.clone(), ..to } } else { to }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<Address, Link>> {
        // No panic can leave the map half changed.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, address: &Address) -> Option<Link> {
        let mut links = self.links();
        if let Some(link) = links.get(address) {
            return Some(link.clone());
        }
        if links.len() >= MOST_NODES {
            return None;
        }
        let _inside = self.runtime.enter();
        let link = Link::start(self.dialer.clone(), Source::Fixed(address.clone()), 0, self.changes.clone());
        links.insert(address.clone(), link.clone());
        Some(link)
    }

    /// The node that owns the slot; waits for an unknown topology as long as [`patience`] allows.
    async fn master(&self, slot: u16, maps: &mut watch::Receiver<Map>, deadline: Instant) -> Result<Address, Failure> {
        loop {
            let silence = {
                let map = maps.borrow_and_update();
                if let Some(master) = map.slots.master(slot) {
                    return Ok(master.clone());
                }
                map.silence.clone()
            };
            self.read_now.notify_one();
            // The cluster tells, and nobody has the slot.
            let (since, failure) =
                silence.ok_or_else(|| Failure::new(NoAnswer::ReadOnly, "no master of the cluster has this slot"))?;
            let reason = failure.as_ref().map(|failure| failure.reason);
            let give_up = failure.unwrap_or(NoAnswer::Timeout.into());
            let until = patience(since, reason, Instant::now(), deadline).ok_or(give_up)?;
            if let Ok(Err(_)) = timeout_at(until, maps.changed()).await {
                return Err(NoAnswer::Refused.into());
            }
        }
    }

    /// Reads the map again and again.
    async fn follow(self: Arc<Self>, mut adviser: Adviser) {
        let mut logged = None;
        loop {
            match self.read(&mut adviser).await {
                Ok(slots) => {
                    logged = None;
                    adviser.set_found(slots.masters().into_iter().cloned().collect());
                    self.adopt(slots);
                }
                Err(failure) => {
                    self.map.send_if_modified(|map| {
                        let since = map.silence.as_ref().map_or_else(Instant::now, |(since, _)| *since);
                        let silence = Some((since, Some(failure.clone())));
                        let changed = map.silence != silence;
                        map.silence = silence;
                        changed
                    });
                    if logged.replace(failure.reason) != Some(failure.reason) {
                        tracing::warn!(
                            reason = failure.reason.as_str(),
                            detail = failure.words(),
                            "no node of the Redis Cluster reports its slots"
                        );
                    }
                }
            }
            sleep(READ_AT_MOST_EVERY).await;
            let _ = timeout(READ_EVERY, self.read_now.notified()).await;
        }
    }

    async fn read(&self, adviser: &mut Adviser) -> Result<SlotMap, Failure> {
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let answer = timeout(ANSWER_TIME, adviser.ask(&command)).await.map_err(|_| NoAnswer::Timeout)?;
        let (asked, reply) = answer?;
        SlotMap::parse(reply, &asked)
            .ok_or_else(|| Failure::new(NoAnswer::Refused, "it is no node of a cluster").at(&asked))
    }

    fn adopt(&self, slots: SlotMap) {
        let masters: Vec<Address> = slots.masters().into_iter().cloned().collect();
        // Nodes that a request was sent on to, and that have no slot yet, are dialled again when they are next needed.
        self.links().retain(|address, _| masters.contains(address));
        for master in &masters {
            self.link(master);
        }
        self.map.send_if_modified(|map| {
            if map.slots.changed_hands(&slots) {
                self.changes.lost();
                tracing::warn!("slots of the Redis Cluster moved");
            }
            let map_now = Map { slots: Arc::new(slots), silence: None };
            let changed = *map != map_now;
            *map = map_now;
            changed
        });
    }
}
