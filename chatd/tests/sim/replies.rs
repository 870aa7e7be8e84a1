//! What a simulated client makes of what it is told: each command gets exactly one reply, in order (I7). No I/O.

use crate::client::{Client, Pending, Seat, What};
use crate::expectations::Expectations;
use crate::history::{History, Item};
use crate::links::{End, MS, Micros, Net, SECOND};
use crate::seats::SPREADS;
use crate::wire::{Joined, Received};

/// Where LEFT follows, the seat was lost: these codes answer nothing that is asked in a room.
const UNSEATS: [&str; 7] =
    ["name_taken", "room_full", "room_locked", "bad_token", "room_not_found", "auth_expired", "banned"];

impl Client {
    pub fn receive_one(&mut self, net: &mut Net, expected: &mut Expectations, received: Received, id: Option<u64>) {
        let mut lost_seat = false;
        if let Some((code, _)) = self.error.clone() {
            match &received {
                Received::Bye(reason) if *reason == code => self.error = None,
                Received::Left if UNSEATS.contains(&code.as_str()) => {
                    self.error = None;
                    lost_seat = true;
                    // Who is leaving shows no key to the new owner, and does not take a seat along that it has had since.
                    let leaves = |asked: &Pending| matches!(asked.what, What::Leave | What::Quit);
                    if !self.pending.iter().any(leaves) {
                        expected.seat_lost(net.now, self.number, self.claim, &code);
                    }
                }
                _ => self.settle_error(net, expected),
            }
        }
        if self.awaits_token && !matches!(received, Received::Token(_)) {
            return expected
                .fail("I7", format!("client {}: {received:?} where TOKEN has to follow JOINED", self.number));
        }
        let ours = self.json && id.is_some();
        if received.is_of_room() && self.seated.is_none() {
            return expected.fail("I7", format!("client {} is in no room and hears {received:?}", self.number));
        }
        let front = self.pending.front().map(|front| front.what.clone());
        match received {
            Received::Room(room) => {
                expected.rooms.push(room.clone());
                // CREATE_ROOM is wrong in a room, and right after the LEAVE before it.
                let what = front.filter(|front| *front == What::Rubbish).unwrap_or(What::Create);
                if what == What::Create {
                    self.has_made(net.now, expected, &room);
                }
                self.reply(net, expected, &what, id);
            }
            Received::Joined(joined) => {
                let entering = matches!(front, Some(What::Join | What::Resume { .. })) && (!self.json || ours);
                self.joined(net, expected, &joined, entering, id);
            }
            Received::Token(token) => {
                self.awaits_token = false;
                if let Some((room, name)) = self.seated.clone() {
                    let seat = Seat { room, name, token };
                    expected.seats.token(self.claim, &seat);
                    self.seat = Some(seat);
                }
            }
            Received::Left => {
                if front == Some(What::Leave) && (!self.json || ours) && !lost_seat {
                    self.seat_ended(net, expected);
                    self.reply(net, expected, &What::Leave, id);
                }
                self.seat = None;
                self.leave_room(expected);
            }
            Received::Message { from, text, seq, replay } => {
                self.last_message = net.now;
                let said = What::Say(text.clone());
                let mine = self.seated.as_ref().is_some_and(|(_, name)| *name == from);
                if self.json && id != expected.ids.get(&text).copied() {
                    expected.fail(
                        "I7",
                        format!("client {}: {text:.20} has #{id:?}, which is not its sender's", self.number),
                    );
                }
                if replay {
                    self.under_way.retain(|own| *own != text);
                } else if mine
                    && front.as_ref() == Some(&said)
                    && (!self.json || id == self.pending.front().map(|front| front.id))
                {
                    self.reply(net, expected, &said, id);
                } else if mine && ours && self.pending.iter().any(|asked| Some(asked.id) == id) {
                    return expected
                        .fail("I7", format!("client {}: {text:.20} comes with #{id:?}, out of order", self.number));
                }
                let verdict = self.heard.message(seq, &text);
                let forked = self.seated.as_ref().is_some_and(|(room, _)| expected.may_have_forked(room));
                expected.verdict(self.number, verdict.or_else(|failed| if forked { Ok(()) } else { Err(failed) }));
                let place = self.heard.place.clone();
                if let (Some((room, _)), Some(place)) = (&self.seated, &place) {
                    expected.delivered(net.now, room, &place.timeline, &text);
                }
                if let Some((room, _)) = &self.seated {
                    let place = seq.zip(place.map(|place| place.timeline));
                    expected.message(self.number, room, &from, &text, place);
                }
                self.send_again(net, expected);
            }
            Received::Event { from, text, to, reached } => self.passed(net, expected, id, (&from, &text), to, reached),
            Received::State(change) => self.state_changed(net, expected, &change, id),
            Received::StateAll(held) => self.all_state(net, expected, held),
            // The first is a notice: what it has by then is of the timeline that it is in.
            Received::StateLost | Received::Presence(_) | Received::Expiring => {}
            Received::Refreshed => self.has_refreshed(net, expected, id),
            Received::Player(name, text) => {
                if let Some(text) = &text {
                    expected.presence(self.number, &name, text);
                }
                let mine = self.seated.as_ref().is_some_and(|(_, own)| *own == name);
                if mine && front == Some(What::Set) && id == self.pending.front().map(|front| front.id) {
                    self.reply(net, expected, &What::Set, id);
                }
            }
            Received::Entered(shown) => {
                if let Some((room, _)) = &self.seated {
                    expected.check_profile(net.now, self.number, room, &shown, None);
                }
            }
            Received::Locked { by, locked } => self.hears_lock(net, expected, &by, locked, id),
            Received::Exited(name) => {
                if let Some((room, _)) = self.seated.clone()
                    && self.hears_at_once(net, expected)
                {
                    expected.exit_heard(net.now, &room, &name);
                }
            }
            Received::Players(players, shown) => {
                expected.players(self.number, &players);
                if let (Some((room, _)), Some(front)) = (self.seated.clone(), self.pending.front()) {
                    expected.named(net.now, self.number, &room, &players, front.at);
                    expected.shown(net.now, self.number, &room, &shown, Some(front.at));
                }
                self.reply(net, expected, &What::Who, id);
            }
            Received::Moved { place, locked } => self.room_moved(net, expected, place, locked),
            Received::Missed { count, locked } => self.missed(count, locked),
            Received::Redirect(address) => self.redirected(net, expected, address, id),
            Received::Kicked(name) => self.has_kicked(net, expected, &name, id),
            Received::Pong => self.reply(net, expected, &What::Ping, id),
            Received::Help => self.reply(net, expected, &What::Help, id),
            Received::Error(code) if ours => self.refused(net, expected, &code, net.now),
            Received::Error(code) => self.error = Some((code, net.now)),
            Received::Bye(code) => self.bye(net, expected, &code, id),
            Received::Unknown(what) => expected.fail("I7", format!("client {} cannot read {what:?}", self.number)),
        }
    }

    pub fn joined(
        &mut self,
        net: &mut Net,
        expected: &mut Expectations,
        joined: &Joined,
        entering: bool,
        id: Option<u64>,
    ) {
        expected.players(self.number, &joined.players);
        self.has_arrived(net, expected, joined, entering);
        let resuming = entering && matches!(self.pending.front(), Some(Pending { what: What::Resume { .. }, .. }));
        let said = match self.pending.front().map(|front| &front.what) {
            Some(What::Resume { said }) if entering => {
                let said = *said;
                if let Some(stale) = self.stale.take() {
                    if let Some(key) = &mut self.key {
                        key.shown = None;
                    }
                    expected.stale_worked(net.now, &stale);
                    // It is in another seat now, which may not have heard what it has.
                    self.heard = History::default();
                } else if self.seat.as_ref().is_some_and(|seat| !seat.name.eq_ignore_ascii_case(&joined.name)) {
                    expected.fail("I5", format!("client {} resumed as {}", self.number, joined.name));
                }
                self.reply(net, expected, &What::Resume { said }, id);
                said
            }
            _ if entering => {
                if joined.resumed
                    && self.person.is_none()
                    && let Some(ended) = self.key.as_ref().and_then(|key| key.ended.as_ref().filter(|_| !key.shared))
                    && ended.room == joined.room
                    && ended.name.eq_ignore_ascii_case(&joined.name)
                {
                    expected.stale_worked(net.now, ended);
                }
                self.reply(net, expected, &What::Join, id);
                false
            }
            // Admitted again by a room's new owner.
            _ => false,
        };
        if !entering && self.seated.is_none() {
            return expected.fail("I7", format!("client {}: JOINED, but it has not asked", self.number));
        }
        expected.stays.push(std::mem::take(&mut self.heard.items));
        if !entering {
            self.heard = self.heard.copy_of();
        } else if !(resuming || joined.resumed && self.was == joined.name.to_ascii_lowercase()) {
            // What it has heard, if anything, was in another seat.
            self.heard = History::default();
        }
        (self.was, self.arrived_at, self.dropped) = (joined.name.to_ascii_lowercase(), net.now, None);
        if let (true, Some(place), Some(Some(missed))) = (said, &joined.place, joined.missed)
            && let Some(heard) = self.heard.place.as_ref().filter(|heard| heard.timeline == place.0)
        {
            let heard = heard.seq.unwrap_or_default();
            expected.check_kept(self.number, net.now, place, heard, missed);
        }
        let verdict = self.heard.joined(joined, said);
        expected.verdict(self.number, verdict);
        if !self.json && !self.habits.events {
            self.heard.items.push(Item::NoEvents);
        }
        self.seated = Some((joined.room.clone(), joined.name.clone()));
        self.all_state(net, expected, (*joined.state).clone());
        for (name, text) in &joined.presence {
            expected.presence(self.number, name, text);
        }
        // All that was missed comes now: what it has said is in it, or was not delivered. Otherwise nobody knows.
        self.replay_ends =
            joined.place.as_ref().filter(|_| said && joined.missed == Some(Some(0))).map(|(_, seq)| *seq);
        if entering && self.replay_ends.is_none() {
            self.under_way.clear();
        }
        let found = !self.by_key || joined.resumed;
        self.outcome.get_or_insert_with(|| if found { "joined" } else { "joined anew" }.into());
        if let Some(key) = &mut self.key {
            key.ended = None;
            if entering && !resuming && !self.resumable {
                key.unheld = Some((net.now, joined.room.clone(), joined.name.clone()));
            }
        }
        self.redirects = 0;
        if entering {
            self.keeps_seat = resuming || self.resumable;
        }
        let seat = |token| Seat { room: joined.room.clone(), name: joined.name.clone(), token };
        self.seat = joined.token.clone().map(seat);
        if let Some(seat) = &self.seat {
            expected.seats.token(self.claim, seat);
        }
        self.awaits_token = !self.json && self.keeps_seat;
        if self.json && self.keeps_seat != self.seat.is_some() {
            expected.fail("I7", format!("client {}: a token is missing or too many: {joined:?}", self.number));
        }
        self.send_again(net, expected);
    }

    pub fn redirected(&mut self, net: &mut Net, expected: &mut Expectations, address: String, id: Option<u64>) {
        if let Some(front) = self.pending.front().filter(|_| self.seated.is_none()).cloned() {
            self.reply(net, expected, &front.what, id);
            self.redirects += 1;
            if self.redirects >= 3 {
                self.mode = "RELAY";
            }
            self.next = Some(address);
            self.said_bye = Some("redirect".into());
            self.hang_up(net, expected, End::Closed);
            self.retry = net.now;
        } else {
            // Go there and RESUME; BYE follows.
            self.next = Some(address);
        }
    }

    /// `heard`: when; that it was a reply shows a little later.
    pub fn refused(&mut self, net: &mut Net, expected: &mut Expectations, code: &str, heard: Micros) {
        let Some(front) = self.answered(net.now) else {
            return expected.fail("I7", format!("client {}: error {code}, and nothing was asked", self.number));
        };
        self.check_wait(net, expected, &front, SECOND * 11 / 2 + (net.now - heard));
        expected.refused(self.number, &front.what, code);
        self.last_word = net.now;
        match (&front.what, self.stale.as_ref().or(self.seat.as_ref())) {
            (What::Join, _) => self.join_refused(net.now, expected, &front, code),
            (What::Resume { .. }, _) if code == "room_locked" => self.check_locked_out(net.now, expected, &front),
            (What::Lock(locked), _) => self.lock_refused(expected, *locked, code),
            (What::Refresh, _) => expected.token_ends.refused(self.number, front.at, code),
            (What::Resume { .. }, Some(seat)) if code == "auth_expired" => {
                self.check_token_ended(net.now, expected, (&seat.room, &seat.name));
            }
            (What::Resume { .. }, Some(seat)) if code == "bad_token" => expected.token_refused(net.now, seat),
            _ => {}
        }
        if matches!(front.what, What::Join | What::Resume { .. }) {
            self.outcome = self.outcome.take().or(Some(code.to_owned()));
            self.retry = net.now + self.rng.range(100, 900) * MS;
            self.stale = None;
            if matches!(code, "bad_token" | "room_not_found" | "auth_expired") {
                self.seat = None;
            }
            if front.what == What::Join
                && let Some(key) = &mut self.key
            {
                // Its seat is not there any more.
                let gone = ["name_taken", "room_full", "room_not_found", "banned", "room_locked", "auth_invalid"];
                key.shown.take_if(|_| gone.contains(&code));
                // What was not answered in time may have been carried out: the key then finds that seat.
                key.ended.take_if(|_| matches!(code, "unavailable" | "shutting_down"));
            }
        }
    }

    pub fn bye(&mut self, net: &mut Net, expected: &mut Expectations, code: &str, id: Option<u64>) {
        if code == "timeout" && self.seated.is_some() {
            expected.fail("I8", format!("client {} has a seat, and is closed for its silence", self.number));
        }
        if code == "quit" && self.pending.front().is_some_and(|front| front.what == What::Quit) {
            self.seat_ended(net, expected);
            self.reply(net, expected, &What::Quit, id);
            self.seat = None;
        }
        self.check_sent_away(net, expected, code);
        if code == "kicked" {
            self.check_kicked(expected);
        }
        if let Some((room, name)) = self.seated.as_ref().filter(|_| code == "auth_expired") {
            self.check_token_ended(net.now, expected, (room, name));
        }
        if code == "closed" {
            self.check_closed(net.now, expected);
        }
        if matches!(code, "replaced" | "kicked" | "closed") {
            if code == "replaced" && self.takes && !self.pending.is_empty() {
                self.outcome.get_or_insert(code.into());
            }
            self.seat = None;
            self.spend_token();
            if let Some(key) = &mut self.key {
                key.shown = None;
            }
        }
        self.said_bye = Some(code.to_owned());
        self.hang_up(net, expected, End::Closed);
    }

    /// Nothing of what it is told has waited for it.
    fn hears_at_once(&self, net: &Net, expected: &Expectations) -> bool {
        self.reading && self.read_since + SPREADS < net.now && !expected.narrow
    }

    pub fn seat_ended(&mut self, net: &mut Net, expected: &mut Expectations) {
        self.spend_token();
        if let Some(front) = self.pending.front() {
            expected.has_left(net.now, self.claim, Expectations::waited_for_directory(net.now, front.at));
        }
        if let (Some(seat), Some(front)) = (self.seat.take(), self.pending.front()) {
            if let Some(key) = &mut self.key {
                key.ended = Some(seat.clone());
            }
            expected.ended(net, seat, front.at);
        }
    }

    /// JOIN and RESUME are answered within 5 s, everything else within 15 s of the loss of a link (found within 6 s), if nothing stands between client and pod.
    pub fn check_wait(&self, net: &Net, expected: &mut Expectations, asked: &Pending, limit: Micros) {
        let entering = matches!(asked.what, What::Join | What::Resume { .. });
        // What ends the stay is asked again where its answer was lost, and may be lost again.
        let again = matches!(asked.what, What::Leave | What::Quit);
        let limit = if entering { limit } else { 25 * SECOND * if again { 2 } else { 1 } };
        let Some(pipe) = self.pipe.filter(|_| net.now > asked.turn + limit && self.read_since < asked.turn) else {
            return;
        };
        if !expected.excuses_close(net, pipe, asked.turn) && expected.frozen == 0 && expected.last_thaw < asked.turn {
            let detail = format!(
                "client {}: {:?} of {:.3} was not answered in time",
                self.number,
                asked.what,
                asked.turn as f64 / 1e6
            );
            expected.fail("I7", detail);
        }
    }

    /// The reply to the first command.
    pub fn reply(&mut self, net: &Net, expected: &mut Expectations, what: &What, id: Option<u64>) {
        match self.answered(net.now) {
            Some(front) if front.what == *what && (!self.json || id == Some(front.id)) => {
                expected.check_replaced(net.now, self.number, &front);
                self.check_over(expected, &front);
                self.check_token_of_member(net.now, expected, &front);
                self.check_speaks(expected, &front);
                self.check_wait(net, expected, &front, SECOND * 11 / 2);
            }
            other => {
                expected
                    .fail("I7", format!("client {}: a reply to {what:?} #{id:?}, but first is {other:?}", self.number));
            }
        }
    }
}
