//! The pod's own thread: lease, directory, links, start and end. Does I/O through its parts; `lease` decides about the lease.

mod asking;
mod ending;
pub mod figures;
pub mod inspection;
pub mod message;
pub mod notices;
mod phase;
mod watching;

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};

use crate::death_notice::DeathNotice;
use crate::directory::Key;
use crate::directory::any::AnyDirectory;
use crate::failure_detector::{DetectorEffect, DetectorRules, FailureDetector, Finding, Suspect};
use crate::files::{JoinKeyWatch, KeyWatch, Watcher};
use crate::hub::Advertised;
use crate::ids::Time;
use crate::lease::{Lease, LeaseEffect, LeaseIdentity, LeaseNotice};
use crate::peer::connecting::attempt;
use crate::peer::{LinkEvent, Peers};
use crate::pod::message::PodMessage;
use crate::protocol::PodBoot;
use crate::shard;
use crate::shard::message::{Report, ShardMessage};
use asking::Asking;
use figures::Figures;
use message::PodEvent;
use notices::Notices;
use phase::Phase;

pub use phase::Ended;

/// Mail that is handled in one batch, so that what it sends leaves in one write a link.
const BATCH: usize = 1_024;
/// How often the shards are polled for their metrics and checked.
const ROUND: Duration = Duration::from_secs(1);
/// The same while draining: the end should not wait.
const DRAINING_ROUND: Duration = Duration::from_millis(100);
/// A report that has not come is complained of this often.
const REPORT_TIME: Duration = Duration::from_secs(5);

/// Arguments of the pod's thread.
#[derive(Debug)]
pub struct PodStart {
    /// Whose lease it keeps.
    pub identity: LeaseIdentity,
    /// Where leases and records are.
    pub directory: AnyDirectory,
    /// The links to other pods.
    pub peers: Peers,
    /// What `/status` and metrics show.
    pub figures: Figures,
    /// Where the admin port hands in what the operator says.
    pub notices: Notices,
    /// The mailboxes of the shard threads, by number.
    pub shards: Vec<UnboundedSender<ShardMessage>>,
    /// Those threads, to be waited for at the end.
    pub threads: Vec<JoinHandle<()>>,
    /// What shards ask of the pod.
    pub mail: UnboundedReceiver<PodMessage>,
    /// `None`: the key was made at start.
    pub keys: Option<KeyWatch>,
    /// `None`: no keys of join tokens.
    pub join_keys: Option<JoinKeyWatch>,
    /// `None`: no file of addresses.
    pub advertised: Option<Watcher<HashMap<String, Advertised>>>,
    /// From SIGTERM to the end.
    pub drain_deadline: Duration,
    /// How much of that new connections are accepted at least.
    pub linger: Duration,
    /// Becomes false when connections are no longer to be accepted.
    pub accepting: watch::Sender<bool>,
}

struct Pod {
    shards: Vec<UnboundedSender<ShardMessage>>,
    threads: Vec<JoinHandle<()>>,
    peers: Peers,
    lease: Lease,
    /// The key of the lease.
    lease_key: Key,
    detector: FailureDetector,
    notices: Notices,
    /// Who waits for what comes of a notice.
    told: HashMap<PodBoot, Vec<oneshot::Sender<Finding>>>,
    asking: Asking,
    figures: Figures,
    events: UnboundedSender<PodEvent>,
    drain_deadline: Duration,
    linger: Duration,
    accepting: watch::Sender<bool>,
    phase: Phase,
    /// A signal has asked this process to end.
    signalled: bool,
    /// Another process has this pod's name, and keeps it.
    twin: bool,
    next_round: Instant,
    /// A round's reports are on their way.
    asked: bool,
    effects: Vec<LeaseEffect>,
}

/// Runs the pod until it has ended. Has to run inside a `LocalSet`.
pub async fn run(start: PodStart) -> Ended {
    let (events, mut happened) = unbounded_channel();
    watching::signals(&events);
    if let Some(keys) = start.keys {
        spawn_local(watching::keys(keys, events.clone()));
    }
    if let Some(keys) = start.join_keys {
        spawn_local(watching::join_keys(keys, events.clone()));
    }
    if let Some(watcher) = start.advertised {
        spawn_local(watching::addresses(watcher, events.clone()));
    }
    let (observer, mut links) = unbounded_channel();
    start.peers.observe(observer);
    let mut mail = start.mail;
    let LeaseIdentity { pod_id, uid, boot, .. } = start.identity.clone();
    let mut pod = Pod {
        asking: Asking::new(start.directory, start.shards.clone(), events.clone(), start.figures.clone()),
        shards: start.shards,
        threads: start.threads,
        peers: start.peers,
        lease: Lease::new(start.identity),
        lease_key: Key::Pod(pod_id),
        detector: FailureDetector::new(boot, uid, DetectorRules::ALL, boot.0),
        notices: start.notices,
        told: HashMap::new(),
        figures: start.figures,
        events,
        drain_deadline: start.drain_deadline,
        linger: start.linger,
        accepting: start.accepting,
        phase: Phase::Serving,
        signalled: false,
        twin: false,
        next_round: Instant::now(),
        asked: false,
        effects: Vec::new(),
    };
    spawn_local(pod.asking.clone().follow_changes());
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        pod.due();
        if let Some(ended) = pod.settle() {
            pod.stop_shards().await;
            return ended;
        }
        let wake = pod.next_wake();
        tokio::select! {
            _ = mail.recv_many(&mut batch, BATCH) => batch.drain(..).for_each(|mail| pod.mail(mail)),
            Some(event) = happened.recv() => pod.event(event),
            Some(event) = links.recv() => pod.link_event(event),
            () = sleep_until(wake) => {}
        }
    }
}

impl Pod {
    fn mail(&mut self, mail: PodMessage) {
        match mail {
            PodMessage::Directory { shard, ticket, request } => self.asking.for_shard(shard, ticket, request),
            PodMessage::Ask { request, reply } => self.asking.for_admin(request, reply),
            PodMessage::Dial { boot, address } => self.peers.dial(boot, &address),
            PodMessage::LinkAnswer { boot, query, needed } => self.peers.shard_answered(boot, query, needed),
            PodMessage::Frames { to, link, bytes } => self.peers.send(to, link, bytes),
            PodMessage::DirectoryWentBack => self.lease.went_back(shard::now()),
            PodMessage::HandOver => self.hand_over(shard::now()),
            PodMessage::Dead { notice, reply } => {
                let DeathNotice { pod, boot } = notice;
                self.told.entry(boot).or_default().push(reply);
                self.detector.told(shard::now(), Suspect { boot, pod_id: pod, peer: String::new() });
            }
        }
    }

    fn event(&mut self, event: PodEvent) {
        let time = shard::now();
        match event {
            PodEvent::LeaseAnswered(ticket, answer) => self.lease.answered(time, ticket, answer),
            PodEvent::DetectorAnswered(ticket, answer) => self.detector.answered(time, ticket, answer),
            PodEvent::Dialled(boot, outcome) => self.detector.dialled(boot, outcome),
            PodEvent::DirectoryChanged => {
                self.asking.look_for_resets();
                self.lease.connected(time, self.asking.connection(&self.lease_key));
            }
            PodEvent::DirectoryReset => self.lease.reset(time),
            PodEvent::Reported(report) => self.reported(time, report.as_deref()),
            PodEvent::Keys(keys, count) => {
                self.figures.set_token_keys(count);
                self.peers.set_keys(keys.clone());
                self.notices.set_keys(keys.clone());
                self.tell_all(|| ShardMessage::Keys(keys.clone()));
            }
            PodEvent::JoinKeys(verifier) => self.tell_all(|| ShardMessage::JoinKeys(verifier.clone())),
            PodEvent::Advertised(addresses) => self.tell_all(|| ShardMessage::Advertised(Some(addresses.clone()))),
            PodEvent::Signal(name) => self.signal(time, name),
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(boot) => self.detector.link_is_up(boot),
            LinkEvent::Ended(suspect, end) => self.detector.link_ended(shard::now(), suspect, end),
        }
    }

    /// Does what time has made due.
    fn due(&mut self) {
        let time = shard::now();
        if self.lease.next_deadline() <= time.now {
            self.lease.tick(time);
        }
        if self.peers.next_deadline().is_some_and(|at| at <= time.now) {
            self.peers.tick();
        }
        if self.detector.next_deadline().is_some_and(|at| at <= time.now) {
            self.detector.tick(time);
        }
        if Instant::now() >= self.next_round {
            self.round();
        }
        self.ending_due(time);
    }

    fn next_wake(&self) -> Instant {
        let now = shard::now().now;
        let lease = Some(self.lease.next_deadline());
        let others = [self.peers.next_deadline(), self.detector.next_deadline(), self.ending_deadline()];
        let next = others.into_iter().chain([lease]).flatten().min().unwrap_or(u64::MAX);
        // A deadline that is due and that nobody can act on yet must not make this thread spin.
        let wait = Duration::from_millis(next.saturating_sub(now).max(1));
        self.next_round.min(Instant::now().checked_add(wait).unwrap_or(self.next_round))
    }

    /// Checks everything that sends no events.
    fn round(&mut self) {
        let draining = !matches!(self.phase, Phase::Serving);
        self.next_round = Instant::now() + if draining { DRAINING_ROUND } else { ROUND };
        self.asking.look_for_resets();
        self.figures.set_links(&self.peers);
        if !std::mem::replace(&mut self.asked, true) {
            let (figures, events) = (self.figures.clone(), self.events.clone());
            spawn_local(async move {
                let mut report = std::pin::pin!(figures.report());
                let report = loop {
                    match timeout(REPORT_TIME, &mut report).await {
                        Ok(report) => break report,
                        // What it said last still counts: no rooms at all would make this pod the best target of a move.
                        Err(_) => tracing::error!(seconds = REPORT_TIME.as_secs(), "shard thread does not respond"),
                    }
                };
                let _ = events.send(PodEvent::Reported(report.map(Box::new)));
            });
        }
    }

    /// Carries out what the failure detector wants done.
    fn detect(&mut self) {
        let mut effects = Vec::new();
        self.detector.take_effects(&mut effects);
        for effect in effects {
            match effect {
                DetectorEffect::Dial { boot, address } => {
                    let events = self.events.clone();
                    spawn_local(async move {
                        let _ = events.send(PodEvent::Dialled(boot, attempt(&address).await));
                    });
                }
                DetectorEffect::Directory { ticket, request } => self.asking.for_detector(ticket, request),
                DetectorEffect::LeaseGone { boot } => self.tell_all(|| ShardMessage::PodLostLease { boot }),
                DetectorEffect::Declared { pod_id, boot, after } => {
                    tracing::warn!(pod = pod_id, %boot, after_ms = after, "a pod has ended without releasing its lease; lease deleted");
                }
                DetectorEffect::Found { boot, finding } => {
                    for waiting in self.told.remove(&boot).into_iter().flatten() {
                        // Who has gone away asks again.
                        let _ = waiting.send(finding);
                    }
                }
            }
        }
    }

    /// Carries out what the lease wants done. `Some`: the pod has ended.
    fn settle(&mut self) -> Option<Ended> {
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            self.lease.take_effects(&mut effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects.drain(..) {
                self.carry_out(effect);
            }
            self.effects = effects;
        }
        self.detect();
        self.figures.set_status(self.lease.status());
        self.ended()
    }

    fn carry_out(&mut self, effect: LeaseEffect) {
        match effect {
            LeaseEffect::Directory { ticket, request } => self.asking.for_lease(ticket, request),
            LeaseEffect::View(view) => self.tell_all(|| ShardMessage::Lease(view)),
            LeaseEffect::Lost => self.tell_all(|| ShardMessage::LeaseLost),
            LeaseEffect::CheckRecords => self.tell_all(|| ShardMessage::DirectoryReset),
            LeaseEffect::Superseded => self.start_drain(shard::now()),
            LeaseEffect::Twin => self.twin_found(),
            LeaseEffect::Targets(targets) => self.tell_all(|| ShardMessage::Targets(targets.clone())),
            LeaseEffect::Ended => self.lease_ended(),
            LeaseEffect::Log(notice) => {
                self.figures.count(&notice);
                log(&notice, &self.figures);
            }
        }
    }

    fn tell_all(&self, mail: impl Fn() -> ShardMessage) {
        for shard in &self.shards {
            // A shard that has ended is noticed by its missing report.
            let _ = shard.send(mail());
        }
    }

    fn reported(&mut self, time: Time, report: Option<&Report>) {
        self.asked = false;
        match report {
            Some(report) => {
                self.lease.counts(report.gauges.rooms, report.gauges.players);
                self.shards_reported(time, report);
            }
            None => self.shard_ended(time),
        }
    }
}

fn log(notice: &LeaseNotice, figures: &Figures) {
    match notice {
        LeaseNotice::Taken => tracing::info!("lease acquired; ready"),
        LeaseNotice::PrefixInUse { pod_id } => {
            tracing::error!(
                pod = pod_id,
                "another deployment (--deployment-uid) uses this --redis-key-prefix; not serving"
            );
        }
        LeaseNotice::Ousted => tracing::error!(
            "another deployment (--deployment-uid) holds this pod's lease; refusing new clients, keeping rooms"
        ),
        LeaseNotice::Lost => tracing::warn!("lease lost and acquired again; reasserting every room"),
        LeaseNotice::Superseded => tracing::warn!("a newer process has this pod's name; exiting"),
        LeaseNotice::SupersededAgain => tracing::error!(
            "two processes have this --pod-id and put each other out, twice within a minute: this one, the older, ends with code 3; \
             give each a --pod-id of its own"
        ),
        LeaseNotice::Earlier => {
            tracing::error!("a later pod of this name holds the lease (--pod-uid); exiting with code 3");
        }
        LeaseNotice::Unreadable { pod_id } => tracing::warn!(pod = pod_id, "cannot parse a lease in the directory"),
        LeaseNotice::DirectoryWentBack => {
            tracing::warn!("directory lost data; rewriting what is missing");
        }
        LeaseNotice::DirectoryAway { why } => {
            let reason = figures.why(*why);
            tracing::warn!(why = why.as_str(), %reason, "directory unavailable; rooms continue");
        }
        LeaseNotice::DirectoryBack => tracing::info!("directory available again"),
        LeaseNotice::GivenUp => tracing::info!("lease released"),
        LeaseNotice::NotGivenUp => ending::lease_is_left(),
    }
}
