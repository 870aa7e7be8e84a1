//! Takes requests of shards and lease to the directory, and its answers back. Does I/O through the directory.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::PodEvent;
use super::figures::Figures;
use crate::directory::any::AnyDirectory;
use crate::directory::{Answer, Directory, NoAnswer, Request};
use crate::hub::Ticket;
use crate::mail::ShardMail;

/// A shard hears after this long at the earliest that there is no answer: well within what its clients wait.
const LEAST_REFUSAL: Duration = Duration::from_millis(100);

/// The way to the directory. Cheap to clone; lives on the pod's thread.
#[derive(Debug, Clone)]
pub struct Asking(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: AnyDirectory,
    shards: Vec<UnboundedSender<ShardMail>>,
    events: UnboundedSender<PodEvent>,
    figures: Figures,
    resets: Cell<u64>,
}

impl Asking {
    pub fn new(
        directory: AnyDirectory,
        shards: Vec<UnboundedSender<ShardMail>>,
        events: UnboundedSender<PodEvent>,
        figures: Figures,
    ) -> Self {
        let resets = Cell::new(directory.resets());
        Self(Rc::new(Inner { directory, shards, events, figures, resets }))
    }

    pub fn for_shard(&self, shard: usize, ticket: Ticket, request: Request) {
        let asking = self.clone();
        spawn_local(async move {
            let started = Instant::now();
            let answer = asking.ask(request).await;
            if answer.is_err() {
                // A directory that has been away for a while refuses at once. Who asks again at once would turn without end.
                sleep(LEAST_REFUSAL.saturating_sub(started.elapsed())).await;
            }
            if let Some(shard) = asking.0.shards.get(shard) {
                let _ = shard.send(ShardMail::Answered { ticket, answer });
            }
        });
    }

    pub fn for_lease(&self, ticket: Ticket, request: Request) {
        let asking = self.clone();
        spawn_local(async move {
            let answer = asking.ask(request).await;
            let _ = asking.0.events.send(PodEvent::LeaseAnswered(ticket, answer));
        });
    }

    async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        let started = Instant::now();
        let answer = self.0.directory.ask(request).await;
        let reason = answer.as_ref().err().copied();
        self.0.figures.asked(started.elapsed(), reason);
        if let Some(reason) = reason {
            self.0.figures.set_words(reason, self.0.directory.words(reason));
        }
        // Before the answer: whoever gets it has to know how far it can be trusted.
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
            let _ = shard.send(ShardMail::DirectoryReset);
        }
        let _ = self.0.events.send(PodEvent::DirectoryReset);
    }
}
