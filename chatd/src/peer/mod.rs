//! Links to the other pods: one for each pair of processes, for all their rooms. Does I/O; it runs on the pod's thread.
//!
//! `handshake` (pure) says who may talk, `links` (pure) which connection is the link, `link` carries bytes. This file joins them
//! to sockets and to the shards' mailboxes.

pub mod handshake;
pub mod link;
pub mod links;
mod strangers;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, timeout};

use crate::frame;
use crate::mail::ShardMail;
use crate::protocol::PodBoot;
use crate::protocol::token::{KeyPrint, Keyring};
use crate::shard;
use handshake::{Dialling, Identity, Listening, Nonce, Peer, Refusal, read_verdict, verdict};
use link::{LinkError, Outbox, read_message, send_message};
use links::{Action, Choice, DIAL_TIME, LinkId, Links};
use strangers::Strangers;

/// What strangers do is logged this often at most (ms).
const COMPLAIN_EVERY: u64 = 1_000;

/// The pod's links. Cheap to clone; lives on one thread.
#[derive(Debug, Clone)]
pub struct Peers(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    me: Identity,
    keys: RefCell<Arc<Keyring>>,
    random: RefCell<StdRng>,
    shards: Vec<UnboundedSender<ShardMail>>,
    links: RefCell<Links>,
    /// Of the links that are up.
    outboxes: RefCell<HashMap<LinkId, Rc<Outbox>>>,
    tasks: RefCell<HashMap<LinkId, AbortHandle>>,
    /// The keys with which the peers of the links that are up have proven themselves.
    proven: RefCell<HashMap<LinkId, KeyPrint>>,
    strangers: RefCell<Strangers>,
    /// When strangers may be complained of again (ms).
    complain_from: Cell<u64>,
    lost: Cell<u64>,
}

impl Peers {
    /// `random`: seeded from the system's secure random source.
    pub fn new(me: Identity, keys: Arc<Keyring>, random: StdRng, shards: Vec<UnboundedSender<ShardMail>>) -> Self {
        Self(Rc::new(Inner {
            links: RefCell::new(Links::new(me.boot)),
            me,
            keys: RefCell::new(keys),
            random: RefCell::new(random),
            shards,
            outboxes: RefCell::default(),
            tasks: RefCell::default(),
            proven: RefCell::default(),
            strangers: RefCell::default(),
            complain_from: Cell::new(0),
            lost: Cell::new(0),
        }))
    }

    /// Accepts links until the future is dropped. Has to run inside a `LocalSet`, as everything here.
    pub async fn serve(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let link = self.0.links.borrow_mut().arrived();
                    let leaves = self.0.strangers.borrow_mut().came(link, address.ip());
                    if let Some(leaves) = leaves {
                        if self.may_complain() {
                            tracing::warn!(%address, "too many connections to the peer port that have not proven themselves");
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

    /// Sends whole frames over this link to the pod with boot `to`; if it is gone they are lost, as the shards will hear.
    pub fn send(&self, to: PodBoot, link: LinkId, bytes: Vec<u8>) {
        if self.0.links.borrow().to(to) != Some(link) {
            return;
        }
        let fits = self.0.outboxes.borrow().get(&link).is_some_and(|outbox| outbox.push(bytes));
        if !fits {
            tracing::warn!(peer = %to, "a link was broken: too much waits to be sent");
            self.close(link);
            self.broken(link);
        }
    }

    /// Links to peers that have proven themselves with a key which is none any more end; they may come again with another.
    pub fn set_keys(&self, keys: Arc<Keyring>) {
        let mut unproven: Vec<LinkId> =
            self.0.proven.borrow().iter().filter(|(_, key)| !keys.has(**key)).map(|(link, _)| *link).collect();
        unproven.sort_unstable();
        self.0.keys.replace(keys);
        for link in unproven {
            tracing::info!("a link to another pod was broken: the key that it was made with has been removed");
            self.close(link);
            self.broken(link);
        }
    }

    /// Ends dials that have taken too long.
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
                self.tell_all(|| ShardMail::PeerUp { boot, link });
            }
            Action::Down { boot } => {
                self.0.lost.set(self.0.lost.get() + 1);
                self.tell_all(|| ShardMail::PeerDown { boot });
            }
            Action::Unreachable { boot, gone } => self.tell_all(|| ShardMail::PeerUnreachable { boot, gone }),
        }
    }

    fn tell_all(&self, mail: impl Fn() -> ShardMail) {
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
        self.0.forget(link);
        let task = self.0.tasks.borrow_mut().remove(&link);
        if let Some(task) = task {
            task.abort();
        }
    }

    fn broken(&self, link: LinkId) {
        self.change(|links, _| links.broken(link));
    }

    // ---- one connection

    /// A dial, from its start to the link's end.
    async fn reach(&self, link: LinkId, address: &str) {
        let dialled = timeout(Duration::from_millis(DIAL_TIME), self.shake_as_dialler(link, address)).await;
        match dialled {
            Ok(Ok(Some((stream, peer)))) => self.carry(link, stream, &peer).await,
            // Another connection to the same pod stays: the table knows.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                // Most often a pod that is gone: its rooms are taken over, and that is said where it happens.
                tracing::debug!(address, %error, "a pod cannot be reached");
                if let LinkError::Refused(refusal) = &error
                    && *refusal != Refusal::Oneself
                {
                    tracing::warn!(address, reason = %refusal, "what answers for a pod is not one of this deployment's");
                }
                self.change(|links, _| links.failed(link));
            }
            Err(_) => self.change(|links, _| links.failed(link)),
        }
    }

    async fn shake_as_dialler(&self, link: LinkId, address: &str) -> Result<Option<(TcpStream, Peer)>, LinkError> {
        let Some((_, nonce)) = self.0.links.borrow().dialled(link) else {
            return Ok(None);
        };
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let dialling = Dialling::new(self.0.me.clone(), nonce);
        send_message(&mut stream, dialling.hello()).await?;
        let hello = read_message(&mut stream).await?;
        let proof = read_message(&mut stream).await?;
        let keys = self.0.keys.borrow().clone();
        let greeted = dialling.greeted(&keys, &hello, &proof)?;
        let they = &greeted.peer.identity;
        let Choice::Commit { last } = self.change(|links, _| links.greeted(link, they.boot, &they.peer)) else {
            return Ok(None);
        };
        send_message(&mut stream, &greeted.commit(&keys, last)).await?;
        if !read_verdict(&read_message(&mut stream).await?)? {
            self.change(|links, _| links.declined(link));
            return Ok(None);
        }
        self.0.outboxes.borrow_mut().entry(link).or_default();
        Ok(self.change(|links, _| links.accepted(link)).then_some((stream, greeted.peer)))
    }

    /// A connection that came in, from its start to the link's end.
    async fn welcome(&self, link: LinkId, mut stream: TcpStream) {
        let greeted = timeout(Duration::from_millis(DIAL_TIME), self.shake_as_listener(link, &mut stream)).await;
        self.0.strangers.borrow_mut().left(link);
        match greeted {
            Ok(Ok(Some(peer))) => self.carry(link, stream, &peer).await,
            Ok(Ok(None) | Err(LinkError::Refused(Refusal::Oneself))) => {}
            Ok(Err(error)) if self.may_complain() => {
                let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
                tracing::warn!(address, %error, "a connection to the peer port was refused");
            }
            Ok(Err(_)) => {}
            // It may have been taken, and the verdict not been read.
            Err(_) => self.broken(link),
        }
    }

    async fn shake_as_listener(&self, link: LinkId, stream: &mut TcpStream) -> Result<Option<Peer>, LinkError> {
        stream.set_nodelay(true)?;
        let hello = read_message(stream).await?;
        let keys = self.0.keys.borrow().clone();
        let (listening, [hello, proof]) = Listening::answer(&self.0.me, &keys, self.nonce(), &hello)?;
        send_message(stream, &hello).await?;
        send_message(stream, &proof).await?;
        let (peer, last) = listening.committed(&keys, &read_message(stream).await?)?;
        let boot = peer.identity.boot;
        self.0.outboxes.borrow_mut().entry(link).or_default();
        let taken = self.change(|links, _| links.offered(link, boot, peer.link, last));
        if let Err(error) = send_message(stream, &verdict(taken)).await {
            self.broken(link);
            return Err(error);
        }
        Ok(taken.then_some(peer))
    }

    async fn carry(&self, link: LinkId, stream: TcpStream, peer: &Peer) {
        let boot = peer.identity.boot;
        let Some(outbox) = self.0.outboxes.borrow().get(&link).cloned() else {
            return;
        };
        if !self.0.keys.borrow().has(peer.key) {
            // It was removed during the handshake.
            return self.broken(link);
        }
        self.0.proven.borrow_mut().insert(link, peer.key);
        tracing::info!(pod = peer.identity.pod_id, boot = %boot, "a link to another pod is up");
        let error = link::run(stream, &outbox, |frames| self.route(link, boot, frames)).await;
        tracing::info!(pod = peer.identity.pod_id, boot = %boot, reason = %error, "a link to another pod has ended");
        self.broken(link);
    }

    /// Hands whole frames to the shards that have their rooms; neighbours for one shard stay in one piece.
    fn route(&self, link: LinkId, from: PodBoot, frames: &[u8]) -> Result<(), LinkError> {
        if self.0.links.borrow().to(from) != Some(link) {
            return Ok(());
        }
        let shards = self.0.shards.len();
        let mut batches: Vec<Vec<u8>> = vec![Vec::new(); shards];
        let mut rest = frames;
        while let Some((payload, after)) = frame::split(rest)? {
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            if payload.is_empty() {
                continue;
            }
            let room = frame::peek_room(payload).ok_or(LinkError::NoRoom)?;
            batches[room.shard(shards)].extend_from_slice(whole);
        }
        for (shard, bytes) in self.0.shards.iter().zip(batches) {
            if !bytes.is_empty() {
                let _ = shard.send(ShardMail::Frames { from, bytes });
            }
        }
        Ok(())
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
#[path = "tests.rs"]
mod tests;
