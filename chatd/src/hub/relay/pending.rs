//! The unanswered commands of a relayed session, numbered in order: which of them an owner has, and which it has carried
//! out. Pure: no I/O.

use std::collections::VecDeque;

use crate::protocol::{Command, ErrorCode};

/// The client's ids of commands to refuse.
pub type Refused = Vec<Option<u64>>;

/// An unanswered command.
#[derive(Debug)]
pub struct Pending {
    pub number: u64,
    /// The client's id for it.
    pub id: Option<u64>,
    pub command: Result<Command<'static>, ErrorCode>,
    /// An owner has it, and may have carried it out.
    pub sent: bool,
}

impl Pending {
    /// Bytes of memory that it takes.
    fn holds(&self) -> usize {
        size_of::<Self>() + self.command.as_ref().map_or(0, Command::holds)
    }

    /// LEAVE or QUIT.
    pub fn ends(&self) -> bool {
        matches!(self.command, Ok(Command::Leave | Command::Quit))
    }

    /// Whether it was, or may have been, carried out before the session attached. A LEAVE or QUIT in doubt counts as not carried out:
    /// if it was, the session has a new seat now and leaves that.
    pub fn is_carried_out(&self, processed: Option<u64>) -> bool {
        processed.map_or(self.sent && !self.ends(), |processed| self.number <= processed)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct PendingCommands {
    queue: VecDeque<Pending>,
    last_number: u64,
    /// A LEAVE or QUIT is pending: later commands wait.
    ending: bool,
}

impl PendingCommands {
    /// `last_number`: the number before the first command.
    pub fn after(last_number: u64) -> Self {
        Self { last_number, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether a LEAVE or QUIT is among them.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether later commands wait: for the end of the stay, or for an answer that waits for the record.
    pub fn hold_back(&self) -> bool {
        let waits = |last: &Pending| last.command.as_ref().is_ok_and(Command::waits_for_record);
        self.ending || self.queue.back().is_some_and(waits)
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

    /// The commands that no owner has; they count as sent from now on.
    pub fn send(&mut self) -> impl Iterator<Item = &Pending> {
        self.queue.iter_mut().filter(|pending| !pending.sent).map(|pending| {
            pending.sent = true;
            &*pending
        })
    }

    /// The reply to `number` arrived: earlier commands were carried out too, and their replies are lost.
    pub fn replied(&mut self, number: u64) -> Refused {
        let mut lost = Vec::new();
        while let Some(first) = self.queue.pop_front_if(|first| first.number <= number) {
            if first.number < number {
                lost.push(first.id);
            }
        }
        // A refused LEAVE does not end the stay.
        self.ending = self.queue.iter().any(Pending::ends);
        lost
    }

    /// The former owner did not carry out the commands after `processed`.
    pub fn take_back(&mut self, processed: u64) {
        for pending in self.queue.iter_mut().filter(|pending| pending.number > processed) {
            pending.sent = false;
        }
    }

    /// Removes the commands up to `processed`, which were carried out (`None`: may have been) and get no reply. The others are to be sent
    /// again.
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
        if self.queue.is_empty() {
            // An owner that went on from an older offer knows the session by numbers that it has not reached: it would ignore them.
            self.last_number = self.last_number.max(processed.unwrap_or_default());
        }
        self.ending = self.queue.iter().any(Pending::ends);
        lost
    }

    /// Removes all of them: the session abandons them.
    pub fn take(&mut self) -> VecDeque<Pending> {
        self.ending = false;
        std::mem::take(&mut self.queue)
    }

    /// Panics if an invariant is broken. `is_live`: an owner takes commands.
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
