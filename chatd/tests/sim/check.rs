//! The invariants as they look from inside the pods and the directory: I3, I4, I5, I9, I10, I11 and Settled. No I/O.

use std::collections::BTreeMap;

use chatd::hub::{Hub, RoomView};
use chatd::protocol::{PlayerName, RoomId};
use chatd::record::{Record, RecordedSeat};

use crate::client::Aim;
use crate::links::{MS, Micros, Node, SECOND};
use crate::overlaps::{YIELDS, YIELDS_AFTER_LOSS};
use crate::people::sub_of;
use crate::pod::{Pod, State};
use crate::world::World;

/// All that a record says of a seat, in a form that can be compared and sorted.
fn show_seat((name, seat): (PlayerName, RecordedSeat)) -> String {
    format!("{} {seat:?}", name.as_str())
}

impl World {
    /// After each step of a pod.
    pub fn check_pod(&mut self, number: usize) {
        if let Some(what) = self.pods[number].broken.take() {
            self.expected.fail("I11", format!("pod {number}: {what}"));
        }
        if let Some(what) = self.store.fell.take() {
            self.expected.fail("I4", what);
        }
        self.expected.closed.append(&mut self.store.closed);
        self.expected.unanswered.append(&mut self.store.unanswered);
        self.check_settled(number);
        self.check_descriptors(number);
        self.check_calls(number);
        let spoke = self.check_memory(number);
        self.check_moves(number);
        self.check_webhook(number);
        self.check_limits(number);
        self.check_hand_over(number);
        let slots = &self.pods[number].slots;
        // Where JOIN makes a room that is not there any more, the limit for new ones counts.
        let most = if self.expected.open_names { slots.most() } else { 2 * slots.most() };
        if slots.taken() >= most {
            self.pods[number].full_at = Some(self.net.now);
        }
        if self.pods[number].state != State::Up {
            return;
        }
        for index in 0..self.pods[number].views.len() {
            let view = self.pods[number].views[index];
            if view.ready && !self.pods[number].stands_still(view.room) || spoke.contains(&view.room) {
                self.check_alone(number, view);
            }
        }
    }

    /// Settled: a pod that has found the directory wanting takes over nothing for 10 s.
    fn check_settled(&mut self, number: usize) {
        let pod = &mut self.pods[number];
        let taken = std::mem::take(&mut pod.takeovers);
        self.takeovers += taken;
        self.moves += std::mem::take(&mut pod.moves);
        if let Some(room) = pod.took_unsettled.take() {
            self.expected.fail("Settled", format!("pod {number} takes over {room} and is not settled"));
        }
    }

    /// I4: ownerships only rise; I5: no room is overfull. Returns the rooms in which something was said.
    fn check_memory(&mut self, number: usize) -> Vec<RoomId> {
        let pod = &mut self.pods[number];
        let mut spoke = Vec::new();
        for view in &pod.views {
            let last = pod.last.insert(view.room, *view);
            if last.is_some_and(|last| last.timeline == view.timeline && last.seq < view.seq) {
                spoke.push(view.room);
            }
            // One that was never written may have been a try to make a room that another pod has made.
            if let Some(last) = last.filter(|last| last.written && view.ownership < last.ownership) {
                self.expected.fail("I4", format!("pod {number} has {view:?}, after {last:?}"));
            }
            if pod.has_too_many(view) {
                self.expected.fail("I5", format!("pod {number} has {} seats in {}", view.seats, view.room));
            }
        }
        spoke
    }

    /// I6: a planned move keeps the room's timeline and its count. Balance: a pod that does not end moves no room that has just come.
    fn check_moves(&mut self, number: usize) {
        for room in std::mem::take(&mut self.pods[number].arrived) {
            self.check_balance(number, room);
            let Some(here) = self.pods[number].last.get(&room).copied() else {
                continue;
            };
            // Who had it later, and has no more, unless it was released to this very ownership: it was closed there, and a former owner
            // that knew nothing of it has gone on.
            let epoch = here.ownership.epoch;
            let had = |pod: &&Pod| pod.has(room) || pod.released.get(&room) == Some(&epoch);
            let before = self.pods.iter().filter(had).filter_map(|pod| pod.last.get(&room));
            let before = before.filter(|view| view.ownership < here.ownership).max_by_key(|view| view.ownership);
            // Who is about to take the room over, and has never served it, is not where it comes from.
            let before = before.filter(|view| view.ready || view.written || view.seq > 0 || view.seats > 0);
            if let Some(source) = before
                && (source.timeline != here.timeline || source.seq > here.seq)
                && self.store.went_back.is_none()
            {
                let detail = format!("{room} has come to pod {number} as {here:?}, and was {source:?}");
                return self.expected.fail("I6", detail);
            }
        }
    }

    /// `room` has been moved to pod `number`: by which pod, and when had it come there?
    fn check_balance(&mut self, number: usize, room: RoomId) {
        let now = self.net.now;
        let here = self.pods[number].last.get(&room).map(|view| view.ownership);
        let owned = self.pods.iter().filter(|pod| pod.setup.number != number && pod.has(room));
        let owned = owned.filter_map(|pod| Some((pod, pod.last.get(&room)?.ownership)));
        let source = owned.filter(|(_, ownership)| here.is_none_or(|here| *ownership < here)).max_by_key(|(_, it)| *it);
        let Some((pod, _)) = source.filter(|(pod, _)| pod.gives_for_balance()) else {
            return;
        };
        self.balanced += 1;
        let came = pod.acquired.get(&room).map(|(at, _)| *at);
        // The store has lost that: who swaps the record may have been offered the room by its owner before.
        let came = came.filter(|came| self.store.went_back.is_none_or(|when| when < *came));
        // It was closed meanwhile, and made here under the same name.
        let closed = self.expected.closed.get(room.as_str()).copied();
        let came = came.filter(|came| closed.is_none_or(|when| when < *came));
        // A pod's clock has whole milliseconds.
        let stays = (pod.setup.settings.limits.balance.stay - 1) * MS;
        if let Some(came) = came.filter(|came| now < came + stays) {
            let detail = format!(
                "pod {} has moved {room} to pod {number}: it had come {} us before",
                pod.setup.number,
                now - came
            );
            self.expected.fail("Balance", detail);
        }
    }

    /// I11.
    fn check_limits(&mut self, number: usize) {
        let pod = &self.pods[number];
        if pod.state == State::Gone {
            return;
        }
        let settings = &pod.setup.settings;
        for socket in pod.sockets.values() {
            let queued = pod.hubs[socket.shard].output(socket.session).len();
            // The bound is looked at after each message; what a replay or a relay brings at once is bounded as well.
            if queued > settings.send_queue + 80 * 1024 {
                self.expected.fail("I11", format!("pod {number}: {queued} bytes are queued for a client"));
            }
        }
        let rooms = pod.room_count();
        // Those with people in them may come beyond the limit for new ones. Empty ones that make way are there a little longer.
        if rooms > 3 * settings.slots.most() {
            self.expected.fail("I11", format!("pod {number} has {rooms} rooms"));
        }
        let sessions = pod.hubs.iter().map(Hub::session_count).sum::<usize>();
        if sessions > pod.sockets.len() + pod.calls.waiting.len() {
            self.expected
                .fail("I11", format!("pod {number} has {sessions} sessions for {} sockets", pod.sockets.len()));
        }
        if let Some(over) = pod.hubs.iter().find_map(Hub::over_bounds) {
            self.expected.fail("I11", format!("pod {number}: {over}"));
        }
    }

    /// I3: nobody else delivers for this room, which may be delivered for here, or just was.
    fn check_alone(&mut self, number: usize, view: RoomView) {
        if self.is_behind(number, view) {
            self.expected.contested.insert(view.room, self.net.now);
        }
        for other in 0..self.pods.len() {
            if other == number || self.pods[other].state == State::Gone {
                continue;
            }
            let Some(theirs) = self.pods[other].views.iter().find(|theirs| theirs.room == view.room && theirs.ready)
            else {
                continue;
            };
            if self.pods[other].stands_still(view.room) {
                self.expected.contested.insert(view.room, self.net.now);
                continue;
            }
            let (lower, higher) = if theirs.ownership < view.ownership { (other, number) } else { (number, other) };
            let may = theirs.ownership != view.ownership && self.may_overlap(view.room, lower, higher).is_some();
            self.expected.contested.insert(view.room, self.net.now);
            if !may {
                let theirs = self.pods[other].views.iter().find(|theirs| theirs.room == view.room);
                let theirs = theirs.map(|theirs| theirs.ownership);
                let (mine, theirs) = (view.ownership, theirs);
                let detail =
                    format!("{} is delivered for by pod {number} {mine:?} and pod {other} {theirs:?}", view.room);
                return self.expected.fail("I3", detail);
            }
        }
    }

    /// The room was taken over from the pod, which cannot know: it is cut off, and who took the room may be gone again.
    fn is_behind(&self, number: usize, view: RoomView) -> bool {
        let now = self.net.now;
        let cut_off = self.reaches_directory(&self.pods[number]).is_none_or(|since| now < since + YIELDS);
        // That record may have expired.
        cut_off && self.store.highest(view.room).is_some_and(|highest| highest > view.ownership)
    }

    /// Whether, and until when, two pods may deliver for one room.
    fn may_overlap(&self, room: RoomId, lower: usize, higher: usize) -> Option<Micros> {
        let now = self.net.now;
        let (low, high) = (&self.pods[lower], &self.pods[higher]);
        let mut directory = self.reaches_directory(low);
        // Without its lease, which a newer process of its name has taken, it may be taken for dead in a freeze that is too
        // short for it to notice.
        let names = |pod: &Pod| pod.setup.name == low.setup.name && pod.setup.number > low.setup.number;
        // It finds that out with its next renewal.
        let named = self.pods.iter().filter(|pod| names(pod)).map(|pod| pod.thawed).max();
        if let Some(named) = named {
            directory = directory.map(|since| since.max(low.thawed).max(named));
        }
        if low.declared {
            // In a freeze that was too short for it to notice: it finds out with its next renewal.
            directory = directory.map(|since| since.max(low.thawed));
        }
        if let Some(when) = self.store.went_back {
            let both = directory.zip(self.reaches_directory(high)).map(|(one, other)| one.max(other).max(when));
            let both = both.map(|both| both.max(low.thawed).max(high.thawed));
            let until = both.map_or(Micros::MAX, |both| both + YIELDS_AFTER_LOSS);
            return (now <= until).then_some(until);
        }
        // Whom it refuses it does not hear of.
        let accepts = self.net.signs.accepts_since(lower);
        let peer =
            self.net.whole_since(low.node(), high.node()).zip(accepts).map(|(whole, accepts)| whole.max(accepts));
        let peer = peer.map(|since| since.max(low.thawed).max(high.thawed));
        // A pod that the room was moved to, or that took it over from a third, tells those who had it before. (From whom it
        // takes a room over it has to ask first.)
        let came = high.acquired.get(&room).filter(|(_, from)| from.as_ref() != Some(&low.setup.name));
        let peer = peer.map(|since| since.max(came.map_or(0, |(at, _)| *at)));
        let peer = peer.filter(|_| !self.was_made_again(room, low));
        let since = match (directory, peer) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let until = since.map_or(Micros::MAX, |since| since + YIELDS);
        (now <= until).then_some(until)
    }

    /// The room was made once more after it came to this pod: who had taken it over had closed it. Whoever has had it since then knows of no
    /// owner before, and only the directory can tell that one.
    fn was_made_again(&self, room: RoomId, pod: &Pod) -> bool {
        let came = pod.made.get(&room).max(pod.acquired.get(&room).map(|(at, _)| at));
        self.pods.iter().filter_map(|pod| pod.made.get(&room)).max() > came
    }

    /// Since when the pod and the directory have been able to talk.
    pub fn reaches_directory(&self, pod: &Pod) -> Option<Micros> {
        if !self.store.is_well() {
            return None;
        }
        Some(self.net.whole_since(pod.node(), Node::Store)?.max(self.store.well_since))
    }

    /// Who needs a takeover may have to wait for a lease to run out, or for a pod to settle.
    pub fn takeovers_wait(&self) -> bool {
        let found_wanting = self.pods.iter().filter_map(|pod| pod.unsettled).max();
        found_wanting.max(self.last_death).is_some_and(|at| self.net.now < at + 16 * SECOND)
    }

    /// I9: what is not at rest. `None`: all is.
    pub fn unrest(&self) -> Option<String> {
        let mut owners: BTreeMap<RoomId, Vec<(usize, RoomView)>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.state == State::Up) {
            for view in &pod.views {
                owners.entry(view.room).or_default().push((pod.setup.number, *view));
            }
        }
        for (room, owners) in &owners {
            let [(pod, view)] = owners[..] else {
                return Some(format!("{room} has the owners {owners:?}"));
            };
            let stored = self.store.record(*room, self.net.now);
            let Some(record) = stored.and_then(|bytes| Record::parse(bytes)).filter(|record| !record.ended) else {
                return Some(format!("{room} of pod {pod} has no record"));
            };
            let mut seats: Vec<_> =
                self.pods[pod].hubs.iter().flat_map(|hub| hub.seats_of(*room)).map(show_seat).collect();
            let mut recorded: Vec<_> = record.seats().map(show_seat).collect();
            seats.sort_unstable();
            recorded.sort_unstable();
            let described = self.pods[pod].hubs.iter().find_map(|hub| hub.descriptor_of(*room));
            if record.descriptor.as_deref() != described {
                return Some(format!("the record of {room} has {:?}, and pod {pod} {described:?}", record.descriptor));
            }
            if record.ownership() != view.ownership || recorded != seats {
                return Some(format!(
                    "the record of {room}, {record:?}, is not what pod {pod} has: {view:?}, {seats:?}"
                ));
            }
            if !view.ready || !view.written {
                return Some(format!("pod {pod} is not at rest with {room}: {view:?}"));
            }
        }
        let takeovers_wait = self.takeovers_wait();
        for client in self.clients.iter().filter(|client| client.aim == Aim::Live && client.reading) {
            if takeovers_wait || self.pods[client.pod].state != State::Up {
                continue;
            }
            // JOIN and RESUME are answered within 5 s, everything else at once or, without an owner, within 15 s.
            if let Some(front) = client.pending.front()
                && front.turn + 6 * SECOND < self.net.now
            {
                return Some(format!(
                    "client {} waits for a reply to {:?} since {:.3}",
                    client.number,
                    front.what,
                    front.turn as f64 / 1e6
                ));
            }
        }
        for pod in self.pods.iter().filter(|pod| pod.state == State::Up) {
            if let Some(called) = pod.calls.waiting.values().find(|called| called.at + 6 * SECOND < self.net.now) {
                return Some(format!("pod {}: {called:?} is not answered", pod.setup.number));
            }
            if let Some((query, since)) = pod.queries.iter().find(|(_, since)| *since + 6 * SECOND < self.net.now) {
                return Some(format!(
                    "pod {}: query {query} of {:.3} is not answered",
                    pod.setup.number,
                    *since as f64 / 1e6
                ));
            }
        }
        None
    }

    /// With all its places taken by rooms with people, a pod takes no more of them over: notes of a client that has just been told so
    /// whether that is true.
    pub fn note_full(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.outcome.as_deref() == Some("too_many_rooms") && !client.met_full {
            // Its answer was under way for up to 60 ms.
            client.met_full = self.pods[client.pod].full_at.is_some_and(|at| self.net.now < at + SECOND);
        }
    }

    /// I10: what the probes have found.
    pub fn judge_probes(&mut self) {
        let mut wrong = Vec::new();
        for client in &self.clients {
            let outcome = client.outcome.as_deref().unwrap_or("nothing");
            let what = match &client.aim {
                Aim::Take { .. } | Aim::Done if client.takes => "RESUME",
                Aim::Probe { .. } | Aim::Done if client.probes => "JOIN",
                _ => continue,
            };
            // An empty room's time may be over just then.
            let closed = outcome == "room_not_found" && self.expected.closed.contains_key(&client.wanted);
            let full = outcome == "too_many_rooms" && client.met_full;
            let unheld = what == "RESUME" && outcome == "bad_token" && self.has_lost_hold_by_key(client);
            let seat = client.wanted.split_once(" in ");
            let ended = seat.is_some_and(|(_, room)| self.expected.ends.may_have_ended(room, self.net.now));
            // Another client of the person has come meanwhile.
            let replaced = outcome == "replaced" && seat.is_some_and(|(name, _)| sub_of(name).is_some());
            let expired = outcome == "auth_expired" && seat.is_some_and(|seat| self.expected.may_expire(seat));
            let unheld = unheld || replaced || expired || outcome == "room_not_found" && ended;
            let locked = outcome == "room_locked" && self.expected.locks.was_asked(&client.wanted, None, true);
            let fine = outcome == "joined"
                || full
                || what == "JOIN" && locked
                || unheld
                || what == "JOIN" && (outcome == "room_full" || closed);
            if !fine {
                let pod = client.pod;
                wrong.push(format!(
                    "{what} of client {} by pod {pod}, for {:?}: {outcome}",
                    client.number, client.wanted
                ));
            }
        }
        if let Some(first) = wrong.first() {
            self.expected.fail("I10", format!("{first} ({} in all)", wrong.len()));
        }
    }

    /// I11: nothing is left of clients that are gone.
    pub fn check_leaks(&mut self) {
        let up: Vec<&Pod> = self.pods.iter().filter(|pod| pod.state == State::Up).collect();
        if up.iter().any(|pod| !pod.sockets.is_empty()) {
            return;
        }
        let mut left = Vec::new();
        for (pod, hub) in up.iter().flat_map(|pod| pod.hubs.iter().map(|hub| (pod.setup.number, hub))) {
            let clients = [
                ("sessions", hub.session_count()),
                ("remote members", hub.remote_member_count()),
                ("relays", hub.relay_count()),
            ];
            let all = clients.into_iter().chain(hub.under_way()).filter(|(_, count)| *count > 0);
            left.extend(all.map(|(what, count)| format!("pod {pod}: {count} {what}")));
        }
        if !left.is_empty() {
            self.expected.fail("I11", format!("left behind: {}", left.join("; ")));
        }
    }
}
