//! A relayed session's commands that are not answered, numbered in their order: which an owner has, and which of them it has carried
//! out. Pure: no I/O.

use std::collections::VecDeque;

use crate::protocol::{Command, ErrorCode};

/// The client's own numbers of commands that are to be refused.
pub type Refused = Vec<Option<u64>>;

/// A command on its way.
#[derive(Debug)]
pub struct Pending {
    pub number: u64,
    /// The client's own number for it.
    pub id: Option<u64>,
    pub command: Result<Command<'static>, ErrorCode>,
    /// It has been given to an owner, who may have carried it out.
    pub sent: bool,
}

impl Pending {
    /// Bytes of memory that it takes.
    fn holds(&self) -> usize {
        let text = match &self.command {
            Ok(Command::Say { text }) => text.len(),
            _ => 0,
        };
        size_of::<Self>() + text
    }

    /// LEAVE or QUIT.
    pub fn ends(&self) -> bool {
        matches!(self.command, Ok(Command::Leave | Command::Quit))
    }

    /// Whether it has been carried out, or may have been, before the session attached. Where nobody knows, a LEAVE or QUIT has not:
    /// if it has, the session is in a new seat now, and leaves that.
    pub fn is_carried_out(&self, processed: Option<u64>) -> bool {
        processed.map_or(self.sent && !self.ends(), |processed| self.number <= processed)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct PendingCommands {
    queue: VecDeque<Pending>,
    last_number: u64,
    /// LEAVE or QUIT is on its way: what comes after it waits.
    ending: bool,
}

impl PendingCommands {
    /// `last_number`: of what was sent before the first.
    pub fn after(last_number: u64) -> Self {
        Self { last_number, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// A command that ends the session's stay is among them.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Bytes of memory that they take.
    pub fn holds(&self) -> usize {
        self.queue.iter().map(Pending::holds).sum()
    }

    pub fn push(&mut self, id: Option<u64>, command: Result<Command<'static>, ErrorCode>) {
        self.last_number += 1;
        let pending = Pending { number: self.last_number, id, command, sent: false };
        self.ending |= pending.ends();
        self.queue.push_back(pending);
    }

    /// Those that no owner has, which count as sent from now on.
    pub fn send(&mut self) -> impl Iterator<Item = &Pending> {
        self.queue.iter_mut().filter(|pending| !pending.sent).map(|pending| {
            pending.sent = true;
            &*pending
        })
    }

    /// The reply to `number` has come: earlier ones were carried out too, and their replies are lost.
    pub fn replied(&mut self, number: u64) -> Refused {
        let mut lost = Vec::new();
        while let Some(first) = self.queue.pop_front_if(|first| first.number <= number) {
            if first.number < number {
                lost.push(first.id);
            }
        }
        // A LEAVE that was refused ends nothing.
        self.ending = self.queue.iter().any(Pending::ends);
        lost
    }

    /// Commands after `processed` were not carried out by the owner that had them.
    pub fn take_back(&mut self, processed: u64) {
        for pending in self.queue.iter_mut().filter(|pending| pending.number > processed) {
            pending.sent = false;
        }
    }

    /// Those up to `processed` were carried out, or may have been (`None`: nobody knows), and will not be answered. The others are sent
    /// anew.
    pub fn settle(&mut self, processed: Option<u64>) -> Refused {
        let mut lost = Vec::new();
        self.queue.retain_mut(|pending| {
            let is_carried_out = pending.is_carried_out(processed);
            if is_carried_out {
                lost.push(pending.id);
            }
            pending.sent = false;
            !is_carried_out
        });
        self.ending = self.queue.iter().any(Pending::ends);
        lost
    }

    /// All of them, of a session that gives them up.
    pub fn take(&mut self) -> VecDeque<Pending> {
        self.ending = false;
        std::mem::take(&mut self.queue)
    }

    /// What must hold between calls; panics where it does not. `is_live`: an owner takes commands.
    pub fn check_invariants(&self, is_live: bool) {
        let Self { queue, last_number, ending } = self;
        assert!(queue.iter().is_sorted_by(|one, next| one.number < next.number), "out of order: {queue:?}");
        assert!(
            queue.back().is_none_or(|last| last.number == *last_number),
            "not numbered to {last_number}: {queue:?}"
        );
        assert_eq!(*ending, queue.iter().any(Pending::ends), "what ends the stay: {queue:?}");
        assert!(!is_live || queue.iter().all(|pending| pending.sent), "a command was not sent: {queue:?}");
    }
}
