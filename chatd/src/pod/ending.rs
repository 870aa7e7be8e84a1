//! How a pod ends: by a signal, by a newer process of its name, or because a part of it has died. Does I/O through the pod's parts.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Pod;
use crate::hub::Time;
use crate::lease::LEASE;
use crate::mail::{Report, ShardMail};

/// After the deadline, what the hubs have said last still has to leave: the second that a closing connection has, and a moment.
const FLUSH: u64 = 1_500;
/// The lease's end may take as long as the directory takes to answer; then the process ends all the same.
const LEASE_END: u64 = 2_500;
/// How long the shards' threads have to end.
const STOP_TIME: Duration = Duration::from_secs(1);

/// How the pod has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In order: every room was handed over, or the deadline was reached.
    Drained,
    /// By a second signal.
    Aborted,
    /// A shard has died.
    Broken,
}

/// Times are milliseconds of [`Time::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Draining {
        accept_until: u64,
        deadline: u64,
    },
    /// The lease is being given up.
    Leaving {
        deadline: u64,
    },
    Over(Ended),
}

impl Pod {
    pub(super) fn signal(&mut self, time: Time, name: &'static str) {
        // A pod that ends already, since a newer process has its name, hears its first signal as any other does.
        if std::mem::replace(&mut self.signalled, true) {
            tracing::warn!(signal = name, "ended at once by a second signal");
            self.phase = Phase::Over(Ended::Aborted);
        } else {
            tracing::info!(signal = name, "handing over every room; a second signal ends this process at once");
            self.start_drain(time);
        }
    }

    pub(super) fn start_drain(&mut self, time: Time) {
        if !matches!(self.phase, Phase::Serving) {
            return;
        }
        let millis = |duration: Duration| duration.as_millis() as u64;
        let deadline = time.now + millis(self.drain_deadline);
        self.phase = Phase::Draining { accept_until: time.now + millis(self.linger), deadline };
        // The lease first: no pod should choose this one as a target any more, and targets are asked for.
        self.lease.drain(time);
        self.tell_all(|| ShardMail::Drain { deadline });
        self.next_round = Instant::now();
    }

    pub(super) fn shards_reported(&mut self, time: Time, report: &Report) {
        if let Phase::Draining { accept_until, .. } = self.phase
            && report.drained
            && time.now >= accept_until
        {
            self.leave(time);
        }
    }

    pub(super) fn shard_ended(&mut self) {
        if !matches!(self.phase, Phase::Over(_)) {
            tracing::error!("a thread with rooms has died: this process ends, and other pods take its rooms over");
            self.phase = Phase::Over(Ended::Broken);
        }
    }

    pub(super) fn ending_due(&mut self, time: Time) {
        match self.phase {
            Phase::Draining { accept_until, deadline } => {
                if time.now >= accept_until {
                    self.accepting.send_if_modified(|accepting| std::mem::replace(accepting, false));
                }
                if time.now >= deadline + FLUSH {
                    self.leave(time);
                }
            }
            Phase::Leaving { deadline } if time.now >= deadline => {
                lease_is_left();
                self.phase = Phase::Over(Ended::Drained);
            }
            _ => {}
        }
    }

    /// When [`Pod::ending_due`] has something to do next (ms).
    pub(super) fn ending_deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Draining { accept_until, .. } if *self.accepting.borrow() => Some(accept_until),
            Phase::Draining { deadline, .. } => Some(deadline + FLUSH),
            Phase::Leaving { deadline } => Some(deadline),
            Phase::Serving | Phase::Over(_) => None,
        }
    }

    fn leave(&mut self, time: Time) {
        self.phase = Phase::Leaving { deadline: time.now + LEASE_END };
        self.lease.end(time);
    }

    pub(super) fn lease_ended(&mut self) {
        if matches!(self.phase, Phase::Leaving { .. }) {
            self.phase = Phase::Over(Ended::Drained);
        }
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        if let Phase::Over(ended) = self.phase { Some(ended) } else { None }
    }

    /// Ends the shards' threads, and waits a moment for them to close their sockets properly.
    pub(super) async fn stop_shards(&mut self) {
        self.tell_all(|| ShardMail::Stop);
        let until = Instant::now() + STOP_TIME;
        while self.phase == Phase::Over(Ended::Drained)
            && Instant::now() < until
            && !self.threads.iter().all(JoinHandle::is_finished)
        {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// For the log.
pub(super) fn lease_is_left() {
    tracing::warn!(seconds = LEASE / 1_000, "the lease could not be given up: others wait until it has run out");
}
