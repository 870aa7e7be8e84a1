//! A shard: one thread with a hub and the sockets of its clients. Does I/O; decides nothing that the hub can decide.
//!
//! The thread waits in one place (epoll, by `mio`) for sockets, messages and deadlines. It reads all ready sockets in a batch and
//! passes the input to the hub; at the batch's end it carries out the hub's effects and writes to each client once. A delivery
//! costs no task, timer, lock or wake-up. `mio` and not `tokio`: with a task per connection each wake costs a lock and two queues,
//! and an idle connection its future; here it costs one small table entry.

mod clock;
mod connection;
mod effects;
mod input;
mod lag;
mod mailbox;
pub mod message;
mod notice;
mod output;
pub mod websocket;
mod weight;
mod write;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aio::WriteBatch;
use bytes::Bytes;
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::budget::Budget;
use crate::heap;
use crate::hub::{Advertised, Effect, Hub, HubSettings, RoomSummary};
use crate::ids::{SessionId, Time};
use crate::join_token::Verifier;
use crate::limits::SharedLimits;
use crate::peer::links::LinkId;
use crate::pod::message::PodMessage;
use crate::protocol::token::Keyring;
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::record::Owner;
use crate::room_list::RoomList;
use crate::shard::message::ShardMessage;
use crate::shrink::{SHRINK_EVERY, Shrink, shrink_places};
use crate::tls::transport::UNFINISHED;
use crate::webhook::WebhookSender;

pub use clock::now;
pub use connection::Connection;
use connection::{Due, Leaving};
use lag::Lag;

/// Arguments of a shard.
#[derive(Debug)]
pub struct ShardStart {
    /// With this shard's number in it.
    pub settings: HubSettings,
    /// This pod, its boot and addresses.
    pub me: Owner,
    /// What signs and verifies tokens.
    pub keys: Arc<Keyring>,
    /// What verifies join tokens, if the settings name keys.
    pub join_keys: Option<Arc<Verifier>>,
    /// From the system's secure random source.
    pub seed: [u8; 32],
    /// Where clients reach each pod, if a file says so.
    pub advertised: Option<Arc<HashMap<String, Advertised>>>,
    /// Messages to this shard.
    pub mailbox: UnboundedReceiver<ShardMessage>,
    /// Every shard's mailbox, by number: sessions move between them.
    pub shards: Vec<UnboundedSender<ShardMessage>>,
    /// The pod's mailbox.
    pub pod: UnboundedSender<PodMessage>,
    /// With `--per-ip-limits`.
    pub limits: Option<SharedLimits>,
    /// Silence (ms) after which a client that speaks lines is sent one that means nothing.
    pub line_keep_alive: Option<u64>,
    /// For what clients hold in memory, shared by the shards.
    pub budget: Budget,
    /// Where the rooms' events go, if the settings name a webhook.
    pub webhook: Option<WebhookSender>,
}

/// Starts the thread; it ends with [`ShardMessage::Stop`]. Fails where the system has no more threads or descriptors.
pub fn spawn(start: ShardStart) -> io::Result<JoinHandle<()>> {
    let name = format!("shard-{}", start.settings.shard);
    let poll = Poll::new()?;
    let waker = Arc::new(MailWaker(Waker::new(poll.registry(), MAIL)?));
    std::thread::Builder::new().name(name).spawn(move || Shard::new(start, poll).run(waker))
}

/// The token of the mailbox.
const MAIL: Token = Token(usize::MAX);
/// Tokens of sessions are their index; those of [`Leaving`] sockets have this bit as well.
const LEAVING: usize = 1 << 40;
/// Readiness events taken in one batch.
const EVENTS: usize = 1024;
/// Bytes read at once, into one buffer that all connections share.
const READ: usize = 64 * 1024;

/// Wakes the thread when mail comes while it waits for sockets.
#[derive(Debug)]
struct MailWaker(Waker);

impl std::task::Wake for MailWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only for an event counter that is full: then the thread is being woken already.
        let _ = self.0.wake();
    }
}

/// A question of the HTTP interface that the hub has not answered yet.
#[derive(Debug)]
enum Query {
    Create(oneshot::Sender<Result<RoomId, ErrorCode>>),
    LookUp(oneshot::Sender<Result<RoomSummary, ErrorCode>>),
    List(oneshot::Sender<Result<RoomList, ErrorCode>>),
    HandOver(oneshot::Sender<Result<(), ErrorCode>>),
}

#[derive(Debug)]
struct Shard {
    hub: Hub,
    index: usize,
    poll: Poll,
    mailbox: UnboundedReceiver<ShardMessage>,
    shards: Vec<UnboundedSender<ShardMessage>>,
    pod: UnboundedSender<PodMessage>,
    /// The links that are up, as far as this shard has heard.
    links: HashMap<PodBoot, LinkId>,
    limits: Option<SharedLimits>,
    line_keep_alive: Option<u64>,
    budget: Budget,
    webhook: Option<WebhookSender>,
    /// What this shard's clients hold in memory.
    held: usize,
    /// What of it waits for clients of other pods, whose rooms are here.
    held_for_remote_members: usize,
    time: Time,
    lag: Lag,
    stopped: bool,

    /// By [`SessionId::index`]. Entries go only when the hub's session goes, and events of one batch name an index once, so no
    /// event can meet an index that has been used again.
    connections: Vec<Option<Connection>>,
    /// Closed sockets that still have to be told so properly.
    leaving: Slab<Leaving>,
    last_leaving: u32,
    deadlines: BinaryHeap<Reverse<(u64, Due)>>,
    /// Connections with more to do than one turn takes, in the order of their turns.
    again: VecDeque<SessionId>,
    /// Connections that have something to read, and are not wanted to.
    paused: Vec<SessionId>,
    queries: HashMap<u64, Query>,
    last_query: u64,
    /// Calls of the server API that wait for their answers.
    calls: HashMap<SessionId, oneshot::Sender<Result<Bytes, ErrorCode>>>,

    /// Kept between batches for their memory.
    buffer: Box<[u8]>,
    /// What was read of a connection with TLS: so much that with the rest of a record that came before it fits into `buffer`.
    sealed: Box<[u8]>,
    effects: Vec<Effect>,
    dirty: Vec<SessionId>,
    written: Vec<SessionId>,
    charges: Vec<SessionId>,
    batch: WriteBatch,
    results: Vec<io::Result<usize>>,
}

impl Shard {
    fn new(start: ShardStart, poll: Poll) -> Self {
        let index = start.settings.shard;
        let mut hub = Hub::new(start.settings, start.me, start.keys, start.seed);
        hub.set_join_keys(start.join_keys);
        hub.set_advertised(start.advertised);
        Self {
            hub,
            index,
            poll,
            mailbox: start.mailbox,
            shards: start.shards,
            pod: start.pod,
            links: HashMap::new(),
            limits: start.limits,
            line_keep_alive: start.line_keep_alive,
            budget: start.budget,
            webhook: start.webhook,
            held: 0,
            held_for_remote_members: 0,
            time: clock::now(),
            lag: Lag::default(),
            stopped: false,
            connections: Vec::new(),
            leaving: Slab::new(),
            last_leaving: 0,
            deadlines: BinaryHeap::new(),
            again: VecDeque::new(),
            paused: Vec::new(),
            queries: HashMap::new(),
            last_query: 0,
            calls: HashMap::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            sealed: vec![0; READ - UNFINISHED].into_boxed_slice(),
            effects: Vec::new(),
            dirty: Vec::new(),
            written: Vec::new(),
            charges: Vec::new(),
            batch: write_batch(index),
            results: Vec::new(),
        }
    }

    fn run(mut self, waker: Arc<MailWaker>) {
        let waker = std::task::Waker::from(waker);
        let mut events = Events::with_capacity(EVENTS);
        self.arm(SHRINK_EVERY, Due::Shrink);
        // Mail that came before the thread ran wakes nobody.
        self.read_mail(&waker);
        while !self.stopped {
            self.settle();
            self.lag.batch_ends(self.hub.counters_mut());
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, shard = self.index, "cannot poll sockets");
                std::thread::sleep(Duration::from_millis(100));
            }
            self.time = clock::now();
            self.lag.batch_begins(self.hub.counters_mut());
            for event in &events {
                self.ready(event);
            }
            self.read_again();
            self.read_mail(&waker);
            self.due();
        }
        self.settle();
    }

    /// How long nothing needs to be done.
    fn patience(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let own = self.deadlines.peek().map(|Reverse((at, _))| *at);
        let next = [own, self.hub.next_deadline()].into_iter().flatten().min()?;
        Some(Duration::from_millis(next.saturating_sub(clock::now().now)))
    }

    /// Does what time has made due.
    fn due(&mut self) {
        if self.hub.next_deadline().is_some_and(|at| at <= self.time.now) {
            self.hub.tick(self.time);
        }
        while let Some(Reverse((at, due))) = self.deadlines.peek()
            && *at <= self.time.now
        {
            let due = *due;
            self.deadlines.pop();
            self.deadline(due);
        }
    }

    fn arm(&mut self, after: u64, due: Due) {
        self.deadlines.push(Reverse((self.time.now + after, due)));
    }

    /// Gives back the memory of what is gone.
    fn shrink(&mut self) {
        self.hub.shrink();
        shrink_places(&mut self.connections);
        self.leaving.shrink();
        self.deadlines.shrink();
        self.again.shrink();
        self.paused.shrink();
        self.queries.shrink();
        self.calls.shrink();
        self.effects.shrink();
        self.dirty.shrink();
        self.written.shrink();
        self.charges.shrink();
        self.results.shrink();
        heap::forget_kept();
        self.arm(SHRINK_EVERY, Due::Shrink);
    }

    fn connection(&mut self, id: SessionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.index as usize)?.as_mut().filter(|connection| connection.id == id)
    }

    fn remove(&mut self, id: SessionId) -> Option<Connection> {
        let slot = self.connections.get_mut(id.index as usize)?;
        let mut connection = slot.take_if(|connection| connection.id == id)?;
        self.weigh_no_more(&mut connection);
        Some(connection)
    }
}

/// Says once for the process whether the writes of a batch share system calls.
fn write_batch(shard: usize) -> WriteBatch {
    let (batch, refused) = WriteBatch::new();
    match refused {
        _ if shard > 0 => {}
        None => tracing::info!("batching client writes with io_submit"),
        Some(error) => tracing::info!(%error, "io_setup refused; one system call per client write"),
    }
    batch
}
