//! The end of a lease: it is released, or a newer process of this name has taken it. Pure: no I/O.

use bytes::Bytes;

use super::{Asked, Lease, LeaseEffect, LeaseNotice, LeaseRecord};
use crate::directory::{Answer, Key, NoAnswer, Request};
use crate::ids::Time;

impl Lease {
    /// Gives the lease up; [`LeaseEffect::Ended`] follows.
    pub fn end(&mut self, time: Time) {
        self.course.end();
        if self.asked.is_some() {
            return;
        }
        let written = self.stored.clone().filter(|_| self.confirmed.is_some());
        match self.unanswered.clone().or(written).filter(|_| !self.tenure.is_superseded()) {
            Some(expected) => self.delete(expected, false),
            None => self.effects.push(LeaseEffect::Ended),
        }
        self.look(time);
    }

    fn delete(&mut self, expected: Bytes, again: bool) {
        let key = Key::Pod(self.identity.pod_id.clone());
        self.ask(Asked::Delete { again }, Request::Delete { key, expected });
    }

    /// The end. Also deletes what an unanswered or too early answered renewal left; no more than that.
    pub(super) fn deleted(&mut self, again: bool, answer: Result<Answer, NoAnswer>) {
        let notice = match answer {
            Ok(Answer::Found(Some(bytes))) if self.is_mine(&bytes) => {
                if !again {
                    return self.delete(bytes, true);
                }
                LeaseNotice::NotGivenUp
            }
            Ok(_) => LeaseNotice::GivenUp,
            Err(_) => LeaseNotice::NotGivenUp,
        };
        self.effects.push(LeaseEffect::Log(notice));
        self.effects.push(LeaseEffect::Ended);
    }

    /// Whether the lease of an earlier process of this name may be replaced; if not, this process ends.
    pub(super) fn may_replace(&mut self, time: Time, lease: &LeaseRecord) -> bool {
        let may = self.twins.may_replace(time, &self.identity, lease);
        if !may {
            self.next = u64::MAX;
            self.effects.push(LeaseEffect::Log(LeaseNotice::Earlier));
            self.effects.push(LeaseEffect::Twin);
        }
        may
    }

    /// A newer process has replaced the lease of this one, which served.
    pub(super) fn replaced(&mut self, time: Time) {
        self.tenure.supersede();
        if self.twins.is_replaced_again(time) {
            self.effects.push(LeaseEffect::Log(LeaseNotice::SupersededAgain));
            self.effects.push(LeaseEffect::Twin);
        } else {
            self.effects.push(LeaseEffect::Log(LeaseNotice::Superseded));
        }
        self.effects.push(LeaseEffect::Superseded);
    }

    fn is_mine(&self, bytes: &Bytes) -> bool {
        LeaseRecord::parse(bytes).is_some_and(|lease| lease.boot == self.identity.boot)
    }
}
