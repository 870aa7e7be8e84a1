//! What a made-up client makes of what it is told: each command gets exactly one reply, in order (I7). No I/O.

use crate::client::{Client, Pending, Seat, What};
use crate::heard::Heard;
use crate::links::{End, MS, Micros, Net, SECOND};
use crate::seats::{Arrival, SPREADS};
use crate::town::Town;
use crate::wire::{Joined, Told};

impl Client {
    pub fn told(&mut self, net: &mut Net, town: &mut Town, told: Told, id: Option<u64>) {
        let mut lost_seat = false;
        if let Some((code, _)) = self.error.clone() {
            match &told {
                Told::Bye(reason) if *reason == code => self.error = None,
                // The seat was lost: these codes answer nothing that is asked in a room.
                Told::Left if matches!(code.as_str(), "name_taken" | "room_full") => {
                    self.error = None;
                    lost_seat = true;
                    town.seat_lost(net.now, self.number, self.claim, &code);
                }
                _ => self.settle_error(net, town),
            }
        }
        if self.awaits_token && !matches!(told, Told::Token(_)) {
            return town.fail("I7", format!("client {}: {told:?} where TOKEN has to follow JOINED", self.number));
        }
        let ours = self.json && id.is_some();
        let inside = matches!(
            told,
            Told::Message { .. }
                | Told::Presence(_)
                | Told::Exited(_)
                | Told::Players(_)
                | Told::Moved { .. }
                | Told::Missed(_)
        );
        if inside && self.seated.is_none() {
            return town.fail("I7", format!("client {} is in no room and hears {told:?}", self.number));
        }
        let front = self.pending.front().map(|front| front.what.clone());
        match told {
            Told::Room(room) => {
                town.rooms.push(room);
                // CREATE_ROOM is wrong in a room, and right after the LEAVE before it.
                let what = front.filter(|front| *front == What::Rubbish).unwrap_or(What::Create);
                self.reply(net, town, &what, id);
            }
            Told::Joined(joined) => {
                let entering = matches!(front, Some(What::Join | What::Resume { .. })) && (!self.json || ours);
                self.joined(net, town, &joined, entering, id);
            }
            Told::Token(token) => {
                self.awaits_token = false;
                if let Some((room, name)) = self.seated.clone() {
                    let seat = Seat { room, name, token };
                    town.seats.token(self.claim, &seat);
                    self.seat = Some(seat);
                }
            }
            Told::Left => {
                if front == Some(What::Leave) && (!self.json || ours) && !lost_seat {
                    self.seat_ended(net, town);
                    self.reply(net, town, &What::Leave, id);
                }
                self.seat = None;
                self.leave_room(town);
            }
            Told::Message { from, text, seq, replay } => {
                self.last_message = net.now;
                let said = What::Say(text.clone());
                let mine = self.seated.as_ref().is_some_and(|(_, name)| *name == from);
                if self.json && id != town.ids.get(&text).copied() {
                    town.fail(
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
                    self.reply(net, town, &said, id);
                } else if mine && ours && self.pending.iter().any(|asked| Some(asked.id) == id) {
                    return town
                        .fail("I7", format!("client {}: {text:.20} comes with #{id:?}, out of order", self.number));
                }
                let verdict = self.heard.message(seq, &text);
                town.verdict(self.number, verdict);
                let place = self.heard.place.clone();
                if let (Some((room, _)), Some(place)) = (&self.seated, &place) {
                    town.delivered(net.now, room, &place.timeline, &text);
                }
                town.message(self.number, &from, &text, seq.zip(place.map(|place| place.timeline)));
                self.send_again(net, town);
            }
            Told::Presence(_) => {}
            Told::Exited(name) => {
                if let Some((room, _)) = self.seated.clone()
                    && self.hears_at_once(net, town)
                {
                    town.told_of_end(net.now, &room, &name);
                }
            }
            Told::Players(players) => {
                town.players(self.number, &players);
                if let (Some((room, _)), Some(front)) = (self.seated.clone(), self.pending.front()) {
                    town.named(net.now, self.number, &room, &players, front.at);
                }
                self.reply(net, town, &What::Who, id);
            }
            Told::Moved { place } => {
                let verdict = self.heard.moved(place);
                town.verdict(self.number, verdict);
            }
            Told::Missed(count) => self.heard.was_told_of_missed(count),
            Told::Redirect(address) => self.redirected(net, town, address, id),
            Told::Pong => self.reply(net, town, &What::Ping, id),
            Told::Help => self.reply(net, town, &What::Help, id),
            Told::Error(code) if ours => self.refused(net, town, &code, net.now),
            Told::Error(code) => self.error = Some((code, net.now)),
            Told::Bye(code) => self.bye(net, town, &code, id),
            Told::Unknown(what) => town.fail("I7", format!("client {} cannot read {what:?}", self.number)),
        }
    }

    pub fn joined(&mut self, net: &mut Net, town: &mut Town, joined: &Joined, entering: bool, id: Option<u64>) {
        town.players(self.number, &joined.players);
        self.has_arrived(net, town, joined, entering);
        let resuming = entering && matches!(self.pending.front(), Some(Pending { what: What::Resume { .. }, .. }));
        let said = match self.pending.front().map(|front| &front.what) {
            Some(What::Resume { said }) if entering => {
                let said = *said;
                if let Some(stale) = self.stale.take() {
                    if let Some(key) = &mut self.key {
                        key.shown = None;
                    }
                    town.stale_worked(net.now, &stale);
                    // It is in another seat now, which may not have heard what it has.
                    self.heard = Heard::default();
                } else if self.seat.as_ref().is_some_and(|seat| !seat.name.eq_ignore_ascii_case(&joined.name)) {
                    town.fail("I5", format!("client {} resumed as {}", self.number, joined.name));
                }
                self.reply(net, town, &What::Resume { said }, id);
                said
            }
            _ if entering => {
                if joined.resumed
                    && let Some(ended) = self.key.as_ref().and_then(|key| key.ended.as_ref().filter(|_| !key.shared))
                    && ended.room == joined.room
                    && ended.name.eq_ignore_ascii_case(&joined.name)
                {
                    town.stale_worked(net.now, ended);
                }
                self.reply(net, town, &What::Join, id);
                false
            }
            // Admitted again by a room's new owner.
            _ => false,
        };
        if !entering && self.seated.is_none() {
            return town.fail("I7", format!("client {}: JOINED, but it has not asked", self.number));
        }
        town.stays.push(std::mem::take(&mut self.heard.items));
        if !entering {
            self.heard = self.heard.copy_of();
        } else if !(resuming || joined.resumed && self.was == joined.name.to_ascii_lowercase()) {
            // What it has heard, if anything, was in another seat.
            self.heard = Heard::default();
        }
        self.was = joined.name.to_ascii_lowercase();
        if let (true, Some(place), Some(Some(missed))) = (said, &joined.place, joined.missed)
            && let Some(heard) = self.heard.place.as_ref().filter(|heard| heard.timeline == place.0)
        {
            let heard = heard.seq.unwrap_or_default();
            town.check_kept(self.number, net.now, place, heard, missed);
        }
        let verdict = self.heard.joined(joined, said);
        town.verdict(self.number, verdict);
        self.seated = Some((joined.room.clone(), joined.name.clone()));
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
        }
        self.redirects = 0;
        if entering {
            self.keeps_seat = resuming || self.resumable;
        }
        let seat = |token| Seat { room: joined.room.clone(), name: joined.name.clone(), token };
        self.seat = joined.token.clone().map(seat);
        if let Some(seat) = &self.seat {
            town.seats.token(self.claim, seat);
        }
        self.awaits_token = !self.json && self.keeps_seat;
        if self.json && self.keeps_seat != self.seat.is_some() {
            town.fail("I7", format!("client {}: a token is missing or too many: {joined:?}", self.number));
        }
        self.send_again(net, town);
    }

    pub fn redirected(&mut self, net: &mut Net, town: &mut Town, address: String, id: Option<u64>) {
        if let Some(front) = self.pending.front().filter(|_| self.seated.is_none()).cloned() {
            self.reply(net, town, &front.what, id);
            self.redirects += 1;
            if self.redirects >= 3 {
                self.mode = "RELAY";
            }
            self.next = Some(address);
            self.said_bye = Some("redirect".into());
            self.hang_up(net, town, End::Closed);
            self.retry = net.now;
        } else {
            // Go there and RESUME; BYE follows.
            self.next = Some(address);
        }
    }

    /// `heard`: when; that it was a reply shows a little later.
    pub fn refused(&mut self, net: &mut Net, town: &mut Town, code: &str, heard: Micros) {
        let Some(front) = self.answered(net.now) else {
            return town.fail("I7", format!("client {}: error {code}, and nothing was asked", self.number));
        };
        self.check_wait(net, town, &front, SECOND * 11 / 2 + (net.now - heard));
        town.refused(self.number, &front.what, code);
        self.last_word = net.now;
        match (&front.what, self.stale.as_ref().or(self.seat.as_ref())) {
            (What::Join, _) => town.join_refused(net.now, self.number, front.id, front.at, code),
            (What::Resume { .. }, Some(seat)) if code == "bad_token" => town.token_refused(net.now, seat),
            _ => {}
        }
        if matches!(front.what, What::Join | What::Resume { .. }) {
            self.outcome = self.outcome.take().or(Some(code.to_owned()));
            self.retry = net.now + self.dice.range(100, 900) * MS;
            self.stale = None;
            if code == "bad_token" || code == "room_not_found" {
                self.seat = None;
            }
            if front.what == What::Join
                && let Some(key) = &mut self.key
            {
                // Its seat is not there any more.
                key.shown.take_if(|_| matches!(code, "name_taken" | "room_full" | "room_not_found"));
            }
        }
    }

    pub fn bye(&mut self, net: &mut Net, town: &mut Town, code: &str, id: Option<u64>) {
        if code == "timeout" && self.seated.is_some() {
            town.fail("I8", format!("client {} has a seat, and is closed for its silence", self.number));
        }
        if code == "quit" && self.pending.front().is_some_and(|front| front.what == What::Quit) {
            self.seat_ended(net, town);
            self.reply(net, town, &What::Quit, id);
            self.seat = None;
        }
        if code == "replaced" {
            self.seat = None;
            if let Some(key) = &mut self.key {
                key.shown = None;
            }
        }
        self.said_bye = Some(code.to_owned());
        self.hang_up(net, town, End::Closed);
    }

    /// Who it is now, among those who have asked for seats.
    fn has_arrived(&mut self, net: &Net, town: &mut Town, joined: &Joined, entering: bool) {
        let front = self.pending.front().filter(|_| entering);
        let resumes = front.filter(|front| matches!(front.what, What::Resume { .. }));
        let arrival = Arrival {
            client: self.number,
            room: &joined.room,
            name: &joined.name,
            joins: front.filter(|front| front.what == What::Join).map(|front| front.id),
            resumes: resumes.and(self.stale.clone().or(self.seat.clone())),
            // Lines do not say so, and without a key it is not.
            resumed: (self.json || self.key.is_none()).then_some(joined.resumed),
            key: self.word(),
        };
        let asked = front.map(|front| front.at);
        self.claim = town.arrived(net.now, arrival);
        if let Some(asked) = asked {
            town.named(net.now, self.number, &joined.room, &joined.players, asked);
        }
    }

    /// Nothing of what it is told has waited for it.
    fn hears_at_once(&self, net: &Net, town: &Town) -> bool {
        self.reading && self.read_since + SPREADS < net.now && !town.narrow
    }

    pub fn seat_ended(&mut self, net: &mut Net, town: &mut Town) {
        if let Some(front) = self.pending.front() {
            town.has_left(net.now, self.claim, Town::waited_for_directory(net.now, front.at));
        }
        if let (Some(seat), Some(front)) = (self.seat.take(), self.pending.front()) {
            if let Some(key) = &mut self.key {
                key.ended = Some(seat.clone());
            }
            town.ended(net, seat, front.at);
        }
    }

    /// JOIN and RESUME are answered within 5 s, everything else within 15 s of the loss of a link (found within 6 s), if nothing stands between client and pod.
    pub fn check_wait(&self, net: &Net, town: &mut Town, asked: &Pending, limit: Micros) {
        let entering = matches!(asked.what, What::Join | What::Resume { .. });
        // What ends the stay is asked again where its answer was lost, and may be lost again.
        let again = matches!(asked.what, What::Leave | What::Quit);
        let limit = if entering { limit } else { 25 * SECOND * if again { 2 } else { 1 } };
        let Some(pipe) = self.pipe.filter(|_| net.now > asked.turn + limit && self.read_since < asked.turn) else {
            return;
        };
        if !town.excuses_close(net, pipe, asked.turn) && town.frozen == 0 && town.last_thaw < asked.turn {
            let detail = format!(
                "client {}: {:?} of {:.3} was not answered in time",
                self.number,
                asked.what,
                asked.turn as f64 / 1e6
            );
            town.fail("I7", detail);
        }
    }

    /// The reply to the first command.
    pub fn reply(&mut self, net: &Net, town: &mut Town, what: &What, id: Option<u64>) {
        match self.answered(net.now) {
            Some(front) if front.what == *what && (!self.json || id == Some(front.id)) => {
                self.check_wait(net, town, &front, SECOND * 11 / 2);
            }
            other => {
                town.fail("I7", format!("client {}: a reply to {what:?} #{id:?}, but first is {other:?}", self.number));
            }
        }
    }
}
