//! A lease and a directory that is made up for it.

use bytes::Bytes;
use chatd::directory::{Answer, NoAnswer, Request};
use chatd::ids::{Ticket, Time};
use chatd::lease::LeaseView;
use chatd::lease::{Lease, LeaseEffect, LeaseIdentity, LeaseNotice, LeaseRecord};
use chatd::protocol::PodBoot;

pub struct World {
    pub lease: Lease,
    pub now: u64,
    pub stored: Option<Bytes>,
    pub others: Vec<(String, Bytes)>,
    /// Requests are carried out, or not, and not answered.
    pub silent: Option<bool>,
    /// Why there is no answer then.
    pub why: NoAnswer,
    /// What was asked, in order.
    pub asked: Vec<Request>,
    pub effects: Vec<LeaseEffect>,
}

pub fn record(uid: &str, boot: u64) -> Bytes {
    let record = LeaseRecord {
        uid: uid.into(),
        boot: PodBoot(boot),
        addr: "h:7654".into(),
        peer: "h:7755".into(),
        web: "h:8081".into(),
        rooms: 3,
        players: 4,
        draining: false,
        pod_uid: String::new(),
        earlier: Vec::new(),
        connection: None,
        renewals: 0,
    };
    serde_json::to_vec(&record).unwrap().into()
}

impl World {
    pub fn new() -> Self {
        Self::of(7, "")
    }

    /// A process with this boot, in the pod with this uid.
    pub fn of(boot: u64, pod_uid: &str) -> Self {
        let identity = LeaseIdentity {
            pod_id: "chat-0".into(),
            uid: "ours".into(),
            pod_uid: pod_uid.into(),
            boot: PodBoot(boot),
            tcp: "h:7654".into(),
            web: "h:8081".into(),
            peer: "h:7755".into(),
        };
        Self {
            lease: Lease::new(identity),
            now: 1_000,
            stored: None,
            others: Vec::new(),
            silent: None,
            why: NoAnswer::Timeout,
            asked: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub fn time(&self) -> Time {
        Time { now: self.now, wall: 1_700_000_000_000 + self.now }
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        match request {
            Request::Pods => {
                let own = self.stored.iter().map(|bytes| ("chat-0".to_owned(), bytes.clone()));
                Answer::Pods(own.chain(self.others.clone()).collect())
            }
            Request::Swap { expected, new, .. } if expected == self.stored => {
                self.stored = Some(new);
                Answer::Done
            }
            Request::Delete { expected, .. } if Some(&expected) == self.stored.as_ref() => {
                self.stored = None;
                Answer::Done
            }
            _ => Answer::Found(self.stored.clone()),
        }
    }

    /// Lets time pass in steps of 50 ms; what the lease asks for is answered at once.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 50;
            let time = self.time();
            self.lease.tick(time);
            self.serve();
        }
    }

    pub fn serve(&mut self) {
        let mut open: Vec<(Ticket, Request)> = Vec::new();
        loop {
            let mut effects = Vec::new();
            self.lease.take_effects(&mut effects);
            for effect in effects {
                match effect {
                    LeaseEffect::Directory { ticket, request } => open.push((ticket, request)),
                    other => self.effects.push(other),
                }
            }
            let Some((ticket, request)) = open.pop() else {
                return;
            };
            self.asked.push(request.clone());
            let answer = match self.silent {
                None => Ok(self.carry_out(request)),
                Some(acts) => {
                    if acts {
                        self.carry_out(request);
                    }
                    Err(self.why)
                }
            };
            let time = self.time();
            self.lease.answered(time, ticket, answer);
        }
    }

    pub fn view(&self) -> LeaseView {
        let views = self.effects.iter().filter_map(|effect| match effect {
            LeaseEffect::View(view) => Some(*view),
            _ => None,
        });
        views.last().unwrap_or_default()
    }

    pub fn heard(&mut self, effect: &LeaseEffect) -> bool {
        self.effects.contains(effect)
    }

    /// What the log was told of, in order.
    pub fn log(&self) -> Vec<LeaseNotice> {
        let notices = self.effects.iter().filter_map(|effect| match effect {
            LeaseEffect::Log(notice) => Some(notice.clone()),
            _ => None,
        });
        notices.collect()
    }

    pub fn went_back(&self) -> usize {
        self.log().iter().filter(|notice| **notice == LeaseNotice::DirectoryWentBack).count()
    }

    pub fn end(&mut self) {
        let time = self.time();
        self.lease.end(time);
        self.serve();
    }
}
