//! The pod's metrics and status for its admin port. Sends messages to the shards; no other I/O but reading `/proc`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::admin;
use crate::api::figures::ApiFigures;
use crate::budget::Budget;
use crate::connection_limit::ConnectionLimit;
use crate::counters::DirectoryCounters;
use crate::directory::NoAnswer;
use crate::files::ReloadFailures;
use crate::lease::{DirectoryState, LeaseNotice, LeaseStatus};
use crate::metrics::{Snapshot, TlsFigures};
use crate::peer::Peers;
use crate::peer::handshake::REASONS;
use crate::process::Process;
use crate::shard::message::{Report, ShardMessage, ask_all};
use crate::tls::Tls;
use crate::web::Refusals;
use crate::webhook::WebhookReport;

/// The pod's figures; cheap to clone. The pod's thread writes them, the admin port reads them.
#[derive(Debug, Clone)]
pub struct Figures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shards: Vec<UnboundedSender<ShardMessage>>,
    failures: ReloadFailures,
    places: ConnectionLimit,
    refusals: Refusals,
    budget: Budget,
    room_places: u64,
    tls: Option<Tls>,
    ready: AtomicBool,
    own: Mutex<Own>,
}

/// What the pod's thread itself knows.
#[derive(Debug, Clone, Default)]
struct Own {
    status: Option<LeaseStatus>,
    /// Since when the pod drains before its end.
    draining_since: Option<Instant>,
    directory: DirectoryCounters,
    /// The text of the last failure, by reason.
    words: HashMap<NoAnswer, Arc<str>>,
    unreadable_leases: u64,
    peer_links: u64,
    peer_links_lost: u64,
    peer_links_closed: u64,
    peer_links_refused: [u64; REASONS.len()],
    token_keys: u64,
    /// `None`: no server API.
    api: Option<ApiFigures>,
    /// `None`: no webhook.
    webhook: Option<WebhookReport>,
}

impl Figures {
    /// `room_places`: how many rooms this pod may own.
    pub fn new(
        shards: Vec<UnboundedSender<ShardMessage>>,
        failures: ReloadFailures,
        places: ConnectionLimit,
        refusals: Refusals,
        budget: Budget,
        room_places: u64,
        tls: Option<Tls>,
    ) -> Self {
        let own = Mutex::default();
        Self(Arc::new(Inner {
            shards,
            failures,
            places,
            refusals,
            budget,
            room_places,
            tls,
            ready: AtomicBool::new(false),
            own,
        }))
    }

    /// The places for clients' connections.
    pub fn places(&self) -> ConnectionLimit {
        self.0.places.clone()
    }

    /// TLS of the clients' ports.
    pub fn tls(&self) -> Option<Tls> {
        self.0.tls.clone()
    }

    /// Counts whom the web port refuses for its host or origin.
    pub fn refusals(&self) -> Refusals {
        self.0.refusals.clone()
    }

    /// How the lease and the directory are now.
    pub fn set_status(&self, status: LeaseStatus) {
        self.0.ready.store(status.ready, Ordering::Relaxed);
        self.own().status = Some(status);
    }

    /// The pod drains, and then it ends.
    pub fn drains(&self) {
        self.own().draining_since.get_or_insert_with(Instant::now);
    }

    /// Takes over what is to be shown of the links.
    pub fn set_links(&self, peers: &Peers) {
        let mut own = self.own();
        own.peer_links = peers.count() as u64;
        own.peer_links_lost = peers.lost();
        own.peer_links_closed = peers.closed();
        own.peer_links_refused = peers.refused();
    }

    /// How many token keys are accepted now.
    pub fn set_token_keys(&self, count: usize) {
        self.own().token_keys = count as u64;
    }

    /// What the server API counts, if there is one.
    pub fn set_api(&self, figures: Option<ApiFigures>) {
        self.own().api = figures;
    }

    /// What the webhook's thread reports, if there is one.
    pub fn set_webhook(&self, report: Option<WebhookReport>) {
        self.own().webhook = report;
    }

    /// Counts a request to the directory.
    pub fn asked(&self, time: Duration, error: Option<NoAnswer>) {
        self.own().directory.asked(time, error);
    }

    /// The text of the last failure with this reason.
    pub fn set_words(&self, reason: NoAnswer, words: Option<Arc<str>>) {
        let mut own = self.own();
        match words {
            Some(words) => own.words.insert(reason, words),
            None => own.words.remove(&reason),
        };
    }

    /// Why the directory does not answer, as well as it is known.
    pub fn why(&self, reason: NoAnswer) -> Arc<str> {
        self.own().why(reason)
    }

    /// Connections to the directory that were lost or replaced, since the start.
    pub fn set_resets(&self, resets: u64) {
        self.own().directory.resets = resets;
    }

    /// Counts what the lease has come upon.
    pub fn count(&self, notice: &LeaseNotice) {
        match notice {
            LeaseNotice::DirectoryWentBack => self.own().directory.went_back += 1,
            LeaseNotice::Unreadable { .. } => self.own().unreadable_leases += 1,
            _ => {}
        }
    }

    /// The sum of all shards' reports, once each has come. `None`: a shard has ended.
    pub async fn report(&self) -> Option<Report> {
        let mut sum = Report { drained: true, ..Report::default() };
        for report in ask_all(&self.0.shards, |reply| ShardMessage::Report { reply }).await? {
            sum.counters += &report.counters;
            sum.gauges += &report.gauges;
            sum.drained &= report.drained;
        }
        Some(sum)
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        // Plain figures: no panic can leave them half changed.
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn drain_age(&self, rooms: u64) -> u64 {
        self.draining_since.filter(|_| rooms > 0).map_or(0, |since| since.elapsed().as_secs())
    }

    fn why(&self, reason: NoAnswer) -> Arc<str> {
        self.words.get(&reason).cloned().unwrap_or_else(|| reason.to_string().into())
    }
}

impl admin::Pod for Figures {
    fn ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    async fn snapshot(&self) -> Snapshot {
        let Some(report) = self.report().await else {
            // A pod without one of its shards is not responsive, and exits soon.
            return std::future::pending().await;
        };
        let own = self.own().clone();
        let detail = match own.status.and_then(|status| status.state) {
            None | Some(DirectoryState::Ok) => String::new(),
            Some(DirectoryState::Away(reason)) => own.why(reason).as_ref().to_owned(),
            Some(DirectoryState::PrefixInUse) => {
                "another deployment (--deployment-uid) uses this --redis-key-prefix".to_owned()
            }
        };
        let mut snapshot = Snapshot {
            ready: self.ready(),
            drain_age: own.drain_age(report.gauges.rooms),
            counters: report.counters,
            gauges: report.gauges,
            directory_counters: own.directory,
            connection_places: self.0.places.count(),
            connection_places_used: self.0.places.used(),
            connections_refused: self.0.places.refused(),
            room_places: self.0.room_places,
            buffered_bytes: self.0.budget.held() as u64,
            web_refused: self.0.refusals.counts(),
            peer_links: own.peer_links,
            peer_links_lost: own.peer_links_lost,
            peer_links_closed: own.peer_links_closed,
            peer_links_refused: own.peer_links_refused,
            token_keys: own.token_keys,
            api: own.api.as_ref().map(ApiFigures::answers),
            webhook: own.webhook.as_ref().map(WebhookReport::figures),
            file_reload_failures: self.0.failures.count(),
            tls: self.0.tls.as_ref().map(|tls| TlsFigures { validity: tls.validity(), handshakes: tls.counts() }),
            process: Process::read(),
            ..Snapshot::default()
        };
        snapshot.counters.unreadable_records += own.unreadable_leases;
        if let Some(status) = own.status {
            snapshot.draining = status.draining;
            snapshot.settled = status.settled;
            snapshot.directory_since = status.since / 1_000;
            snapshot.directory = status.state;
            snapshot.directory_detail = detail;
        }
        snapshot
    }
}
