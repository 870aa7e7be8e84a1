//! Links to the other pods: one for each pair of processes, for all their rooms. Does I/O; it runs on the pod's thread.
//!
//! `channel` encrypts, `handshake` (pure) authenticates, `links` (pure) chooses the connection that is the link, `link` carries
//! bytes. This file joins them to sockets and to the shards' mailboxes.

pub mod channel;
pub mod connecting;
mod error;
pub mod handshake;
pub mod idle;
pub mod link;
pub mod links;
mod outbox;
mod routing;
mod strangers;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::failure_detector::{LinkEnd, Suspect};
use crate::protocol::PodBoot;
use crate::protocol::token::{KeyPrint, Keyring};
use crate::shard;
use crate::shard::message::ShardMessage;
use channel::{ChannelError, Channels};
use handshake::{Identity, Nonce, REASONS, Refusal};
use idle::IdleRules;
use link::Scratch;
use links::{Action, LinkId, Links};
use outbox::{LATE_LOOK, LOOK, Outbox};
use strangers::Strangers;

/// What strangers do is logged this often at most (ms).
const COMPLAIN_EVERY: u64 = 1_000;

/// A link has come up, or has ended by itself.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are named by their types")]
pub enum LinkEvent {
    Up(PodBoot),
    Ended(Suspect, LinkEnd),
}

/// The pod's links. Cheap to clone; lives on one thread.
#[derive(Debug, Clone)]
pub struct Peers(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    me: Identity,
    keys: RefCell<Arc<Keyring>>,
    channels: Channels,
    scratch: Scratch,
    random: RefCell<StdRng>,
    shards: Vec<UnboundedSender<ShardMessage>>,
    links: RefCell<Links>,
    /// Of the links that are up.
    outboxes: RefCell<HashMap<LinkId, Rc<Outbox>>>,
    tasks: RefCell<HashMap<LinkId, AbortHandle>>,
    /// Who is at the other end of the links that are up, and the key with which it has proven itself.
    proven: RefCell<HashMap<LinkId, (Suspect, KeyPrint)>>,
    strangers: RefCell<Strangers>,
    /// When strangers may be complained of again (ms).
    complain_from: Cell<u64>,
    lost: Cell<u64>,
    closed: Cell<u64>,
    /// Who wants to hear of links that come up and end.
    observer: RefCell<Option<UnboundedSender<LinkEvent>>>,
    /// Connections that did not become links since nobody was proven to be there, by [`REASONS`].
    refused: Cell<[u64; REASONS.len()]>,
}

impl Peers {
    /// `random`: seeded from the system's secure random source.
    ///
    /// # Errors
    ///
    /// The process's certificate cannot be made.
    pub fn new(
        me: Identity,
        keys: Arc<Keyring>,
        random: StdRng,
        shards: Vec<UnboundedSender<ShardMessage>>,
        idle: IdleRules,
    ) -> Result<Self, ChannelError> {
        Ok(Self(Rc::new(Inner {
            links: RefCell::new(Links::new(me.boot, shards.len(), idle)),
            me,
            keys: RefCell::new(keys),
            channels: Channels::new()?,
            scratch: Scratch::default(),
            random: RefCell::new(random),
            shards,
            outboxes: RefCell::default(),
            tasks: RefCell::default(),
            proven: RefCell::default(),
            strangers: RefCell::default(),
            complain_from: Cell::new(0),
            lost: Cell::new(0),
            closed: Cell::new(0),
            observer: RefCell::default(),
            refused: Cell::default(),
        })))
    }

    /// Accepts and maintains links until the future is dropped. Must run inside a `LocalSet`, like everything here.
    pub async fn serve(&self, listener: TcpListener) {
        tokio::join!(self.accept(listener), self.look_after());
    }

    /// One timer for all links: it sends pings, and ends the links of silent peers.
    async fn look_after(&self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            looks.tick().await;
            let now = Instant::now();
            let late = now - looked > LATE_LOOK;
            looked = now;
            for outbox in self.0.outboxes.borrow().values() {
                outbox.look(late);
            }
        }
    }

    async fn accept(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let link = self.0.links.borrow_mut().arrived();
                    let leaves = self.0.strangers.borrow_mut().came(link, address.ip());
                    if let Some(leaves) = leaves {
                        if self.may_complain() {
                            tracing::warn!(%address, "too many unauthenticated connections to the peer port; closing the oldest");
                        }
                        self.close(leaves);
                        self.broken(leaves);
                    }
                    let peers = self.clone();
                    self.spawn(link, async move { peers.welcome(link, stream).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a link");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Sees to a link to the process with `boot`, which listens at `address`; all shards hear what came of it, within 2 s.
    pub fn dial(&self, boot: PodBoot, address: &str) {
        let nonce = self.nonce();
        self.change(|links, now| links.dial(now, boot, address, nonce));
    }

    /// From now on `observer` hears of links that come up and end.
    pub fn observe(&self, observer: UnboundedSender<LinkEvent>) {
        self.0.observer.replace(Some(observer));
    }

    fn observed(&self, event: LinkEvent) {
        if let Some(observer) = &*self.0.observer.borrow() {
            let _ = observer.send(event);
        }
    }

    /// Sends whole frames over this link to the pod with boot `to`; if it is gone they are lost, as the shards will hear.
    pub fn send(&self, to: PodBoot, link: LinkId, bytes: Vec<u8>) {
        if self.0.links.borrow().to(to) != Some(link) {
            return;
        }
        self.change(|links, now| links.frames_go(now, to));
        if !self.queue(link, bytes) {
            tracing::warn!(peer = %to, "closed a peer link: too many bytes are queued");
            self.close(link);
            self.broken(link);
        }
    }

    fn queue(&self, link: LinkId, bytes: Vec<u8>) -> bool {
        self.0.outboxes.borrow().get(&link).is_some_and(|outbox| outbox.push(bytes))
    }

    /// What a shard says to [`ShardMessage::ReleaseLink`].
    pub fn shard_answered(&self, boot: PodBoot, query: u64, needed: bool) {
        self.change(|links, now| links.shard_answered(now, boot, query, needed));
    }

    /// Links to peers that have proven themselves with a key which is none any more end; they may come again with another.
    pub fn set_keys(&self, keys: Arc<Keyring>) {
        let mut unproven: Vec<LinkId> =
            self.0.proven.borrow().iter().filter(|(_, (_, key))| !keys.has(*key)).map(|(link, _)| *link).collect();
        unproven.sort_unstable();
        self.0.keys.replace(keys);
        for link in unproven {
            tracing::info!("closed a peer link: its key has been removed");
            self.close(link);
            self.broken(link);
        }
    }

    /// Ends dials that have taken too long, and links that nobody needs.
    pub fn tick(&self) {
        self.change(Links::tick);
    }

    /// When [`Peers::tick`] has something to do next (ms, as [`shard::now`] counts).
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.links.borrow().next_deadline()
    }

    /// How many links are up.
    pub fn count(&self) -> usize {
        self.0.links.borrow().len()
    }

    /// How many links have broken so far.
    pub fn lost(&self) -> u64 {
        self.0.lost.get()
    }

    /// How many links have been closed so far since neither side needed them.
    pub fn closed(&self) -> u64 {
        self.0.closed.get()
    }

    /// How many connections did not become links since nobody was proven to be there, by [`REASONS`].
    pub fn refused(&self) -> [u64; REASONS.len()] {
        self.0.refused.get()
    }

    fn count_refusal(&self, refusal: Refusal) {
        let mut refused = self.0.refused.get();
        refused[refusal.reason()] += 1;
        self.0.refused.set(refused);
    }

    /// Strangers can make as many refusals as they like: their log lines must not push others out.
    fn may_complain(&self) -> bool {
        let now = shard::now().now;
        let may = now >= self.0.complain_from.get();
        if may {
            self.0.complain_from.set(now + COMPLAIN_EVERY);
        }
        may
    }

    fn nonce(&self) -> Nonce {
        Nonce(self.0.random.borrow_mut().random())
    }

    // ---- what the table says

    fn change<T>(&self, change: impl FnOnce(&mut Links, u64) -> T) -> T {
        let mut links = self.0.links.borrow_mut();
        let result = change(&mut links, shard::now().now);
        let actions = links.take_actions();
        drop(links);
        for action in actions {
            self.carry_out(action);
        }
        result
    }

    fn carry_out(&self, action: Action) {
        match action {
            Action::Connect { link, address } => {
                let peers = self.clone();
                self.spawn(link, async move { peers.reach(link, &address).await });
            }
            Action::Close { link } => self.close(link),
            Action::Up { boot } => {
                // None: it has broken since, and that is the next thing that the shards hear. No link has this number.
                let link = self.0.links.borrow().to(boot).unwrap_or(LinkId(0));
                self.tell_all(|| ShardMessage::PeerUp { boot, link });
            }
            Action::Down { boot } => {
                self.0.lost.set(self.0.lost.get() + 1);
                self.tell_all(|| ShardMessage::PeerDown { boot });
            }
            Action::Unreachable { boot, gone } => self.tell_all(|| ShardMessage::PeerUnreachable { boot, gone }),
            Action::AskShards { boot, query } => self.tell_all(|| ShardMessage::ReleaseLink { boot, query }),
            Action::Say { link, word } => {
                self.queue(link, word.encode().to_vec());
            }
            Action::Route { link, boot, frames } => {
                if self.route(link, boot, &frames).is_err() {
                    self.close(link);
                    self.broken(link);
                }
            }
            Action::Over { link } => {
                self.0.closed.set(self.0.closed.get() + 1);
                if let Some(outbox) = self.0.outboxes.borrow().get(&link) {
                    outbox.finish();
                }
            }
        }
    }

    fn tell_all(&self, mail: impl Fn() -> ShardMessage) {
        for shard in &self.0.shards {
            // A shard that has ended has nobody to tell.
            let _ = shard.send(mail());
        }
    }

    fn spawn(&self, link: LinkId, task: impl Future<Output = ()> + 'static) {
        let peers = self.clone();
        let handle = spawn_local(async move {
            task.await;
            peers.0.tasks.borrow_mut().remove(&link);
            peers.0.forget(link);
        });
        self.0.tasks.borrow_mut().insert(link, handle.abort_handle());
    }

    fn close(&self, link: LinkId) {
        self.ended(link, LinkEnd::Other);
        self.0.forget(link);
        let task = self.0.tasks.borrow_mut().remove(&link);
        if let Some(task) = task {
            task.abort();
        }
    }

    fn broken(&self, link: LinkId) {
        self.change(|links, _| links.broken(link));
    }

    /// A connection that was a link has ended, and so has its part as a sign of its peer's life.
    fn ended(&self, link: LinkId, end: LinkEnd) {
        if let Some((peer, _)) = self.0.proven.borrow_mut().remove(&link) {
            self.observed(LinkEvent::Ended(peer, end));
        }
    }
}

impl Inner {
    /// The connection is gone.
    fn forget(&self, link: LinkId) {
        self.outboxes.borrow_mut().remove(&link);
        self.proven.borrow_mut().remove(&link);
        self.strangers.borrow_mut().left(link);
    }
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod idle_tests;
#[cfg(test)]
#[path = "middle_tests.rs"]
mod middle_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
