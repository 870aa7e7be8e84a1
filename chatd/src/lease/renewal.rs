//! Writes of the pod's lease: what each answer to the swap means. Pure: no I/O.

use std::time::Duration;

use bytes::Bytes;

use super::{Asked, DirectoryState, LEASE, Lease, LeaseEffect, LeaseNotice, LeaseRecord, RENEW};
use crate::directory::{Key, Request};
use crate::ids::Time;

impl Lease {
    pub(super) fn swap(&mut self, time: Time) {
        self.course.mark();
        // One that was not answered is sent again as it was: found there, it is recognised.
        self.renewals += u64::from(self.unanswered.is_none());
        self.named.clone_from(&self.connection);
        let identity = &self.identity;
        let record = LeaseRecord {
            uid: identity.uid.clone(),
            boot: identity.boot,
            addr: identity.tcp.clone(),
            peer: identity.peer.clone(),
            web: identity.web.clone(),
            rooms: self.rooms,
            players: self.players,
            // Nobody is to give it a room before it serves.
            draining: self.course.is_draining() || !self.tenure.is_taken(),
            pod_uid: identity.pod_uid.clone(),
            earlier: self.twins.earlier.clone(),
            connection: self.connection.clone(),
            renewals: self.renewals,
        };
        let bytes = record.to_bytes();
        let request = Request::Swap {
            key: Key::Pod(identity.pod_id.clone()),
            expected: self.stored.clone(),
            new: bytes.clone(),
            ttl: Duration::from_millis(LEASE),
        };
        self.ask(Asked::Swap { bytes, sent: time.now }, request);
    }

    pub(super) fn renewed(&mut self, time: Time, bytes: Bytes, sent: u64) {
        self.stored = Some(bytes);
        self.unanswered = None;
        self.confirmed = Some(sent);
        // Counted from when it was asked for: an answer that lay there during a freeze may be of a lease that has run out since.
        self.next = (sent + RENEW).max(time.now);
        if self.connection.is_some() && self.named != self.connection {
            self.next = time.now;
        }
        if self.course.is_draining() {
            self.next = self.next.min(self.targets_at.max(time.now));
        }
        if !self.tenure.is_taken() {
            // Another deployment may have looked in the same instant, and found nothing either.
            return self.ask(Asked::Pods, Request::Pods);
        }
        if self.tenure.regain() {
            self.steady_since = Some(time.now);
            self.look(time);
            self.effects.push(LeaseEffect::Log(LeaseNotice::Lost));
            self.effects.push(LeaseEffect::Lost);
        }
    }

    /// Another value is there than was expected.
    pub(super) fn differs(&mut self, time: Time, attempted: Bytes, found: Option<Bytes>) {
        let unanswered = self.unanswered.take();
        if found.is_some() && (found == unanswered || found.as_ref() == Some(&attempted)) {
            // An earlier renewal was carried out after all.
            self.stored = found;
            return self.swap(time);
        }
        let Some(bytes) = found else {
            if self.tenure.is_taken() && self.is_held(time) {
                self.went_back(time);
            }
            self.tenure.lose();
            self.stored = None;
            return self.swap(time);
        };
        match LeaseRecord::parse(&bytes) {
            Some(lease) if lease.uid != self.identity.uid => {
                let pod_id = self.identity.pod_id.clone();
                self.refused(time, pod_id);
            }
            Some(lease) if lease.boot != self.identity.boot && self.tenure.is_taken() => self.replaced(time),
            Some(lease) => {
                if !self.may_replace(time, &lease) {
                    return;
                }
                // An earlier process of this name, at the start; or my own lease as it was before: the store was rolled back.
                if lease.boot == self.identity.boot && self.tenure.is_taken() {
                    self.went_back(time);
                }
                self.stored = Some(bytes);
                self.swap(time);
            }
            None => {
                let pod_id = self.identity.pod_id.clone();
                self.effects.push(LeaseEffect::Log(LeaseNotice::Unreadable { pod_id }));
                self.tenure.lose();
                self.stored = Some(bytes);
                self.swap(time);
            }
        }
    }

    pub(super) fn refused(&mut self, time: Time, pod_id: String) {
        if self.tenure.refuse() {
            let notice = if self.tenure.is_taken() { LeaseNotice::Ousted } else { LeaseNotice::PrefixInUse { pod_id } };
            self.effects.push(LeaseEffect::Log(notice));
        }
        self.set_state(time, DirectoryState::PrefixInUse);
        self.next = time.now + RENEW;
        if !self.tenure.is_taken()
            && self.confirmed.take().is_some()
            && let Some(expected) = self.stored.take()
        {
            // Both have written, and neither serves: the first to retry gets the prefix, so not both at once.
            self.next += self.identity.boot.0.rotate_left(time.now as u32 % u64::BITS) % RENEW;
            let key = Key::Pod(self.identity.pod_id.clone());
            self.ask(Asked::Withdraw, Request::Delete { key, expected });
        }
    }
}
