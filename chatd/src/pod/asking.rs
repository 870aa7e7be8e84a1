//! Passes requests of shards and lease to the directory, and its answers back. Does I/O through the directory.
//!
//! Identical requests about other pods are merged over all threads: each of them would read the lease of a dead pod whose rooms it
//! searches.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::figures::Figures;
use super::message::PodEvent;
use crate::directory::any::AnyDirectory;
use crate::directory::{Answer, Directory, DirectoryConnection, Key, NoAnswer, Request};
use crate::ids::Ticket;
use crate::shard::message::ShardMessage;

/// A shard hears after this long at the earliest that there is no answer: well within what its clients wait.
const LEAST_REFUSAL: Duration = Duration::from_millis(100);

/// The same is not asked again for threads before this has passed: as soon as one thread looks at a lease again.
const SHARED_EVERY: Duration = Duration::from_millis(250);

/// The way to the directory. Cheap to clone; lives on the pod's thread.
#[derive(Debug, Clone)]
pub struct Asking(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: AnyDirectory,
    shards: Vec<UnboundedSender<ShardMessage>>,
    events: UnboundedSender<PodEvent>,
    figures: Figures,
    resets: Cell<u64>,
    shared: RefCell<HashMap<OfPods, Shared>>,
}

/// What is asked of other pods.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum OfPods {
    Lease(String),
    All,
}

/// A request that one answer serves several threads for.
#[derive(Debug, Default)]
struct Shared {
    /// When it was last sent.
    sent: Option<Instant>,
    /// Tasks that wait for the next reading. It is sent after each of them asked, so none gets a stale answer.
    waiting: Vec<(usize, Ticket)>,
}

impl Asking {
    pub fn new(
        directory: AnyDirectory,
        shards: Vec<UnboundedSender<ShardMessage>>,
        events: UnboundedSender<PodEvent>,
        figures: Figures,
    ) -> Self {
        let resets = Cell::new(directory.resets());
        Self(Rc::new(Inner { directory, shards, events, figures, resets, shared: RefCell::default() }))
    }

    pub fn for_shard(&self, shard: usize, ticket: Ticket, request: Request) {
        match request {
            Request::Get { key: Key::Pod(pod) } => self.share(OfPods::Lease(pod), shard, ticket),
            Request::Pods => self.share(OfPods::All, shard, ticket),
            request => {
                let asking = self.clone();
                spawn_local(async move { asking.ask_for(request, vec![(shard, ticket)]).await });
            }
        }
    }

    fn share(&self, what: OfPods, shard: usize, ticket: Ticket) {
        let mut all = self.0.shared.borrow_mut();
        let old = |sent: Option<Instant>| sent.is_none_or(|sent| sent.elapsed() >= SHARED_EVERY);
        all.retain(|_, shared| !shared.waiting.is_empty() || !old(shared.sent));
        let shared = all.entry(what.clone()).or_default();
        shared.waiting.push((shard, ticket));
        if shared.waiting.len() > 1 {
            return;
        }
        let wait = shared.sent.map_or(Duration::ZERO, |sent| SHARED_EVERY.saturating_sub(sent.elapsed()));
        let asking = self.clone();
        spawn_local(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let waiting = asking.begin_shared(&what);
            let request = match what {
                OfPods::Lease(pod) => Request::Get { key: Key::Pod(pod) },
                OfPods::All => Request::Pods,
            };
            asking.ask_for(request, waiting).await;
        });
    }

    /// It is sent now: those who ask from here on wait for the next one.
    fn begin_shared(&self, what: &OfPods) -> Vec<(usize, Ticket)> {
        let mut all = self.0.shared.borrow_mut();
        let Some(shared) = all.get_mut(what) else {
            return Vec::new();
        };
        shared.sent = Some(Instant::now());
        std::mem::take(&mut shared.waiting)
    }

    async fn ask_for(&self, request: Request, waiting: Vec<(usize, Ticket)>) {
        let started = Instant::now();
        let answer = self.ask(request).await;
        if answer.is_err() {
            // A directory that has been away for a while refuses at once. Asking again at once would be a busy loop.
            sleep(LEAST_REFUSAL.saturating_sub(started.elapsed())).await;
        }
        for (shard, ticket) in waiting {
            if let Some(shard) = self.0.shards.get(shard) {
                let _ = shard.send(ShardMessage::Answered { ticket, answer: answer.clone() });
            }
        }
    }

    pub fn for_lease(&self, ticket: Ticket, request: Request) {
        let asking = self.clone();
        spawn_local(async move {
            let answer = asking.ask(request).await;
            let _ = asking.0.events.send(PodEvent::LeaseAnswered(ticket, answer));
        });
    }

    pub fn for_detector(&self, ticket: Ticket, request: Request) {
        let asking = self.clone();
        spawn_local(async move {
            let answer = asking.ask(request).await;
            let _ = asking.0.events.send(PodEvent::DetectorAnswered(ticket, answer));
        });
    }

    pub fn for_admin(&self, request: Request, reply: oneshot::Sender<Result<Answer, NoAnswer>>) {
        let asking = self.clone();
        spawn_local(async move {
            // Nobody waits any more if the answer cannot be sent.
            let _ = reply.send(asking.ask(request).await);
        });
    }

    /// This process's connection to the server that has `key`.
    pub fn connection(&self, key: &Key) -> Option<DirectoryConnection> {
        self.0.directory.connection(key)
    }

    /// Tells the pod of each connection to the directory that is made or lost.
    pub async fn follow_changes(self) {
        while self.0.events.send(PodEvent::DirectoryChanged).is_ok() {
            self.0.directory.changed().await;
        }
    }

    async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        let started = Instant::now();
        let answer = self.0.directory.ask(request).await;
        let reason = answer.as_ref().err().copied();
        self.0.figures.asked(started.elapsed(), reason);
        if let Some(reason) = reason {
            self.0.figures.set_words(reason, self.0.directory.words(reason));
        }
        // Before the answer: its receiver must know how far to trust it.
        self.look_for_resets();
        answer
    }

    /// Tells everyone if a connection to the store was lost.
    pub fn look_for_resets(&self) {
        let resets = self.0.directory.resets();
        if self.0.resets.replace(resets) == resets {
            return;
        }
        self.0.figures.set_resets(resets);
        for shard in &self.0.shards {
            let _ = shard.send(ShardMessage::DirectoryReset);
        }
        let _ = self.0.events.send(PodEvent::DirectoryReset);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::task::LocalSet;

    use super::*;
    use crate::admin::Pod as _;
    use crate::budget::Budget;
    use crate::connection_limit::ConnectionLimit;
    use crate::directory::memory::MemoryDirectory;
    use crate::files::ReloadFailures;
    use crate::shard::message::Report;
    use crate::web::Refusals;

    const SHARDS: usize = 16;

    #[tokio::test]
    async fn one_look_at_a_lease_serves_all_threads_that_ask_for_it() {
        let (shards, mut mails): (Vec<_>, Vec<_>) = (0..SHARDS).map(|_| unbounded_channel()).unzip();
        let (events, _happened) = unbounded_channel();
        let figures = Figures::new(
            shards.clone(),
            ReloadFailures::default(),
            ConnectionLimit::new(1, None),
            Refusals::default(),
            Budget::new(1, 1),
            1,
            None,
        );
        let directory = AnyDirectory::Memory(MemoryDirectory::new());
        let asking = Asking::new(directory, shards, events, figures.clone());
        let ask = async {
            for round in 0..3 {
                for shard in 0..SHARDS {
                    asking.for_shard(shard, Ticket(round), Request::Get { key: Key::Pod("chat-7".into()) });
                }
                for mail in &mut mails {
                    let Some(ShardMessage::Answered { ticket, answer }) = mail.recv().await else { panic!() };
                    assert_eq!((ticket, answer), (Ticket(round), Ok(Answer::Found(None))));
                }
            }
        };
        LocalSet::new().run_until(ask).await;
        let answer_all = async {
            for mail in &mut mails {
                let Some(ShardMessage::Report { reply }) = mail.recv().await else { panic!() };
                reply.send(Report::default()).unwrap();
            }
        };
        let (snapshot, ()) = tokio::join!(figures.snapshot(), answer_all);
        assert_eq!(snapshot.directory_counters.latency.count(), 3);
    }
}
