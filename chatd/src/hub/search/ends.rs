//! How a search ends for those who wait: sent to the owner, or told no. Pure: no I/O.

use super::{Asked, ErrorCode, Event, Hub, OnWrongPod, Owner, Place, Purpose, RoomId, Waiter};
use crate::ids::Time;

impl Hub {
    pub(super) fn found(&mut self, time: Time, room: RoomId, owner: &Owner) {
        for waiter in self.end_search(room, ErrorCode::Unavailable) {
            self.send_to(time, room, &waiter, owner);
        }
    }

    /// Sends one session to the owner: by an address, or over the peer link.
    fn send_to(&mut self, time: Time, room: RoomId, waiter: &Waiter, owner: &Owner) {
        let open = self.sessions.get(waiter.session).filter(|session| !matches!(session.place, Place::Closing));
        let Some(mode) = open.map(|session| session.mode) else {
            return;
        };
        let Purpose::Enter(entry) = &waiter.wanted else {
            return self.attach_there(time, room, waiter.session, owner);
        };
        if mode == OnWrongPod::Redirect
            && let Some((tcp, web)) = self.address_of(owner)
        {
            self.context.counters.redirects += 1;
            self.now_outside(time, waiter.session);
            let asked = Asked::here(waiter.session, waiter.id);
            self.reply(time, asked, &Event::Redirect { room, tcp: &tcp, web: &web });
            return self.sessions.wake(waiter.session);
        }
        self.open_there(time, room, waiter, entry, owner);
    }

    /// Where clients reach a pod; `None`: the deployment has not said (yet), so they are relayed.
    pub(in crate::hub) fn address_of(&self, owner: &Owner) -> Option<(String, String)> {
        match &self.advertised {
            Some(pods) => pods.get(&owner.pod_id).map(|pod| (pod.tcp.clone(), pod.web.clone())),
            None => Some((owner.tcp.clone(), owner.web.clone())),
        }
    }

    /// Nobody gets in.
    pub(super) fn give_up(&mut self, time: Time, room: RoomId, code: ErrorCode) {
        for waiter in self.end_search(room, code) {
            self.turn_away(time, &waiter, code);
        }
    }

    /// Those who want in are told no; those with a seat go on looking.
    pub(super) fn give_up_entering(&mut self, time: Time, room: RoomId, code: ErrorCode) {
        self.answer_queries(room, Err(code));
        self.tell_askers(room, None);
        if let Some(find) = self.search.finds.get_mut(&room) {
            let all = std::mem::take(&mut find.waiters);
            let (entering, attaching) =
                all.into_iter().partition::<Vec<_>, _>(|waiter| matches!(waiter.wanted, Purpose::Enter(_)));
            find.waiters = attaching;
            for waiter in entering {
                self.turn_away(time, &waiter, code);
            }
        }
    }

    pub(in crate::hub) fn turn_away(&mut self, time: Time, waiter: &Waiter, code: ErrorCode) {
        let asked = Asked::here(waiter.session, waiter.id);
        match waiter.wanted {
            Purpose::Enter(_) => {
                if self.sessions.get(waiter.session).is_some_and(|session| matches!(session.place, Place::Busy)) {
                    self.context.counters.joined(Err(code));
                    self.refuse_entry(time, asked, code);
                }
            }
            Purpose::Attach => self.lost_for_good(time, waiter.session, code),
        }
    }

    pub(in crate::hub) fn waiters_due(&mut self, time: Time, key: usize) {
        let Some(owned) = self.rooms.get_mut(key) else {
            return;
        };
        let late: Vec<Waiter> = owned.waiters.extract_if(.., |waiter| waiter.deadline <= time.now).collect();
        for waiter in late {
            self.turn_away(time, &waiter, ErrorCode::Unavailable);
        }
    }
}
