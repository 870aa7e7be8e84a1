//! The end of a pod: by a signal, by a newer process of its name, or because a thread panicked. Does I/O through the pod's parts.

use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Pod;
use super::phase::{Ended, Phase};
use crate::ids::Time;
use crate::lease::LEASE;
use crate::shard::message::{Report, ShardMessage};

/// After the deadline, what the hubs have said last still has to leave: the second that a closing connection has, and a moment.
const FLUSH: u64 = 1_500;
/// The lease's end may take as long as the directory takes to answer; then the process ends all the same.
const LEASE_END: u64 = 2_500;
/// The same where it ends at once.
const LEASE_END_AT_ONCE: u64 = 500;
/// How long the shards' threads have to end.
const STOP_TIME: Duration = Duration::from_secs(1);

impl Pod {
    pub(super) fn signal(&mut self, time: Time, name: &'static str) {
        // A pod that ends already, since a newer process has its name, hears its first signal as any other does.
        if std::mem::replace(&mut self.signalled, true) {
            tracing::warn!(signal = name, "second signal; exiting at once");
            self.break_off(time, Ended::Aborted);
        } else {
            tracing::info!(signal = name, "draining: moving every room; a second signal exits at once");
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
        // Alone there is nobody to wait for.
        let deadline = if self.linger.is_zero() { time.now } else { deadline };
        self.figures.places().drain();
        self.figures.drains();
        // The lease first: no pod should choose this one as a target any more, and targets are asked for.
        self.lease.drain(time);
        self.tell_all(|| ShardMessage::Drain { deadline });
        self.next_round = Instant::now();
    }

    /// The rooms go to other pods, and this one goes on without any.
    pub(super) fn hand_over(&mut self, time: Time) {
        if !matches!(self.phase, Phase::Serving) || self.lease.status().draining {
            return;
        }
        tracing::info!("handing every room over, as the server API asks; this process goes on");
        // The lease first, as for an end.
        self.lease.drain(time);
        self.tell_all(|| ShardMessage::HandOver);
    }

    pub(super) fn shards_reported(&mut self, time: Time, report: &Report) {
        if let Phase::Draining { accept_until, .. } = self.phase
            && report.drained
            && time.now >= accept_until
        {
            self.leave(time, LEASE_END, Ended::Drained);
        }
    }

    pub(super) fn shard_ended(&mut self, time: Time) {
        if !matches!(self.phase, Phase::Leaving { .. } | Phase::Over(_)) {
            tracing::error!("shard thread panicked; exiting so that other pods take over its rooms");
            self.break_off(time, Ended::Broken);
        }
    }

    /// The end, with rooms that others have to take over: they need not wait for the lease to run out. A second time, or where
    /// the directory takes long: the end all the same.
    fn break_off(&mut self, time: Time, ended: Ended) {
        if matches!(self.phase, Phase::Leaving { ended: Ended::Aborted | Ended::Broken, .. }) {
            self.phase = Phase::Over(ended);
            return;
        }
        // First the rooms, so that none is served here while another pod has it.
        self.tell_all(|| ShardMessage::Stop);
        self.leave(time, LEASE_END_AT_ONCE, ended);
    }

    pub(super) fn ending_due(&mut self, time: Time) {
        match self.phase {
            Phase::Draining { accept_until, deadline } => {
                if time.now >= accept_until {
                    self.accepting.send_if_modified(|accepting| std::mem::replace(accepting, false));
                }
                if time.now >= deadline + FLUSH {
                    self.leave(time, LEASE_END, Ended::Drained);
                }
            }
            Phase::Leaving { deadline, ended } if time.now >= deadline => {
                lease_is_left();
                self.phase = Phase::Over(ended);
            }
            _ => {}
        }
    }

    /// When [`Pod::ending_due`] has something to do next (ms).
    pub(super) fn ending_deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Draining { accept_until, .. } if *self.accepting.borrow() => Some(accept_until),
            Phase::Draining { deadline, .. } => Some(deadline + FLUSH),
            Phase::Leaving { deadline, .. } => Some(deadline),
            Phase::Serving | Phase::Over(_) => None,
        }
    }

    fn leave(&mut self, time: Time, within: u64, ended: Ended) {
        self.phase = Phase::Leaving { deadline: time.now + within, ended };
        self.lease.end(time);
    }

    pub(super) fn lease_ended(&mut self) {
        if let Phase::Leaving { ended, .. } = self.phase {
            self.phase = Phase::Over(ended);
        }
    }

    /// A process that serves drains next; one that has not served has nothing to hand over.
    pub(super) fn twin_found(&mut self) {
        self.twin = true;
        if !self.lease.status().ready {
            self.phase = Phase::Over(Ended::Drained);
        }
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        match self.phase {
            Phase::Over(Ended::Drained) if self.twin => Some(Ended::Twin),
            Phase::Over(ended) => Some(ended),
            _ => None,
        }
    }

    /// Ends the shards' threads, and waits a moment for them to close their sockets properly.
    pub(super) async fn stop_shards(&mut self) {
        self.tell_all(|| ShardMessage::Stop);
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
    tracing::warn!(seconds = LEASE / 1_000, "cannot release the lease; others wait until it expires");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::sync::watch;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::connection_limit::ConnectionLimit;
    use crate::directory::any::AnyDirectory;
    use crate::directory::memory::MemoryDirectory;
    use crate::directory::{Answer, Directory, Key, Request};
    use crate::files::ReloadFailures;
    use crate::lease::LeaseIdentity;
    use crate::peer::Peers;
    use crate::peer::handshake::Identity;
    use crate::peer::idle::IdleRules;
    use crate::pod::figures::Figures;
    use crate::pod::notices::Notices;
    use crate::pod::{PodStart, run};
    use crate::protocol::PodBoot;
    use crate::protocol::token::Keyring;

    async fn lease(directory: &MemoryDirectory) -> bool {
        let request = Request::Get { key: Key::Pod("chat-0".into()) };
        !matches!(directory.ask(request).await, Ok(Answer::Found(None)))
    }

    async fn ends_with_a_dead_shard() {
        let directory = MemoryDirectory::new();
        let (shard, mailbox) = unbounded_channel();
        let (mails, mail) = unbounded_channel();
        let (pod_id, uid, boot) = ("chat-0".to_owned(), "uid".to_owned(), PodBoot(7));
        let (tcp, web, peer) = ("h:1".to_owned(), "h:2".to_owned(), "h:3".to_owned());
        let me = Identity { pod_id: pod_id.clone(), uid: uid.clone(), boot, peer: peer.clone() };
        let mut random = StdRng::seed_from_u64(1);
        let keys = Arc::new(Keyring::generate(&mut random));
        let start = PodStart {
            identity: LeaseIdentity { pod_id, uid, pod_uid: String::new(), boot, tcp, web, peer },
            directory: AnyDirectory::Memory(directory.clone()),
            peers: Peers::new(me, keys.clone(), random, vec![shard.clone()], IdleRules::USUAL).unwrap(),
            figures: Figures::new(
                vec![shard.clone()],
                ReloadFailures::default(),
                ConnectionLimit::new(1, None),
                crate::web::Refusals::default(),
                crate::budget::Budget::new(1, 1),
                1,
                None,
            ),
            notices: Notices::new(keys, mails),
            shards: vec![shard],
            threads: Vec::new(),
            mail,
            keys: None,
            join_keys: None,
            advertised: None,
            drain_deadline: Duration::from_secs(25),
            linger: Duration::from_secs(5),
            accepting: watch::channel(true).0,
        };
        let running = spawn_local(run(start));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !lease(&directory).await {
            assert!(Instant::now() < deadline, "no lease");
            sleep(Duration::from_millis(5)).await;
        }
        drop(mailbox);
        assert_eq!(running.await.unwrap(), Ended::Broken);
        assert!(!lease(&directory).await, "the lease outlives its pod");
    }

    #[test]
    fn a_pod_whose_thread_has_died_gives_its_lease_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, ends_with_a_dead_shard());
    }
}
