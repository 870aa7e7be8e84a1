//! What a player makes of what it is told: each command gets exactly one reply, in order, and nothing comes that should not.

use std::time::{Duration, Instant};

use super::player::{Player, What};
use crate::history::{History, Place, Verdict};
use crate::wire::{Joined, Received};

/// What may answer any command as long as there are faults.
const OF_THE_ROOM: [&str; 5] = ["unavailable", "shutting_down", "not_in_room", "rate_limited", "bad_command"];

impl Player {
    pub fn receive_one(&mut self, received: Received, id: Option<u64>) {
        let mut lost_seat = false;
        if let Some((code, _)) = self.error.clone() {
            match &received {
                Received::Bye(reason) if *reason == code => self.error = None,
                // The seat was lost: these codes answer nothing that is asked in a room.
                Received::Left if matches!(code.as_str(), "name_taken" | "room_full" | "bad_token") => {
                    self.error = None;
                    lost_seat = true;
                }
                _ => self.settle_error(),
            }
        }
        if self.awaits_token && !matches!(received, Received::Token(_)) {
            self.fail(&format!("{received:?} where TOKEN has to follow JOINED"));
        }
        let ours = self.json && id.is_some();
        if received.is_of_room() && !self.seated {
            self.fail(&format!("it is in no room and hears {received:?}"));
        }
        let counted = match &received {
            Received::Joined(joined) if joined.resumed => "resumed".to_owned(),
            Received::Message { replay: true, .. } => "replayed".to_owned(),
            Received::Moved { .. } => "moved".to_owned(),
            Received::Missed { count: None, .. } => "missed ?".to_owned(),
            Received::Missed { count: Some(_), .. } => "missed".to_owned(),
            Received::Redirect(_) => "redirect".to_owned(),
            Received::Error(code) => format!("error {code}"),
            Received::Bye(code) => format!("bye {code}"),
            _ => String::new(),
        };
        if !counted.is_empty() {
            self.world.ledger().count(&counted);
        }
        let front = self.pending.front().map(|front| front.what.clone());
        match received {
            Received::Joined(joined) => {
                let entering = matches!(front, Some(What::Join | What::Resume { .. })) && (!self.json || ours);
                self.joined(&joined, entering, id);
            }
            Received::Token(token) => {
                self.awaits_token = false;
                self.token = Some(token);
            }
            Received::Left => {
                if front == Some(What::Leave) && (!self.json || ours) && !lost_seat {
                    self.reply(&What::Leave, id);
                }
                self.token = None;
                self.leave_room();
            }
            Received::Message { from, text, seq, replay } => self.message(&from, &text, seq, replay, id),
            Received::Presence(_)
            | Received::Entered(_)
            | Received::Exited(_)
            | Received::Kicked(_)
            | Received::Locked { .. } => {}
            Received::Players(players, _) => {
                if !players.contains(&self.name) {
                    self.fail(&format!("it is not among {players:?}"));
                }
                self.reply(&What::Who, id);
            }
            Received::Moved { place, .. } => {
                let verdict = self.heard.moved(place);
                self.verdict(verdict);
            }
            Received::Missed { count, .. } => self.heard.missed(count),
            Received::Redirect(address) => self.redirected(&address, id),
            Received::Pong => self.reply(&What::Ping, id),
            Received::Error(code) if ours => self.refused(&code),
            Received::Error(code) => self.error = Some((code, Instant::now())),
            Received::Bye(code) => self.bye(code, id),
            Received::Event { .. }
            | Received::Player(..)
            | Received::State(_)
            | Received::StateAll(_)
            | Received::StateLost
            | Received::Room(_)
            | Received::Expiring
            | Received::Refreshed
            | Received::Help
            | Received::Unknown(_) => self.fail("nobody has asked for that"),
        }
    }

    fn verdict(&self, verdict: Verdict) {
        if let Err((rule, what)) = verdict {
            self.fail(&format!("{rule}: {what}"));
        }
    }

    fn message(&mut self, from: &str, text: &str, seq: Option<u64>, replay: bool, id: Option<u64>) {
        if !text.starts_with(&format!("{}{from}/", self.prefix)) {
            self.fail(&format!("{from} has not said this here: {text:.60}"));
        }
        let said = What::Say(text.to_owned());
        let mine = from == self.name;
        let front = self.pending.front();
        if mine && !replay && front.is_some_and(|front| front.what == said && (!self.json || id == Some(front.id))) {
            self.reply(&said, id);
            self.answered += 1;
        } else if mine && self.pending.iter().any(|asked| asked.what == said) {
            self.fail(&format!("{text:.60} comes, and is not the answer of the first command"));
        }
        if mine {
            self.under_way.retain(|own| own != text);
        }
        let verdict = self.heard.message(seq, text);
        self.verdict(verdict);
        self.wanted.remove(text);
        let heard = self.world.ledger().heard(text);
        if let Err(what) = heard {
            self.fail(&what);
        }
        if let Some((place, seq)) = self.heard.place.clone().zip(seq) {
            let verdict = self.world.ledger().said.heard(&place.timeline, seq, text);
            self.verdict(verdict);
        }
        self.replay_may_end();
    }

    /// The replay was whole and is over: what it has not brought back was not delivered.
    fn replay_may_end(&mut self) {
        let seq = self.heard.place.as_ref().and_then(|place| place.seq);
        if self.replay_ends.is_some_and(|end| seq.is_some_and(|seq| seq >= end)) {
            self.replay_ends = None;
            for text in std::mem::take(&mut self.under_way) {
                let verdict = self.world.ledger().undelivered(text);
                if let Err(what) = verdict {
                    self.fail(&what);
                }
            }
        }
    }

    fn joined(&mut self, joined: &Joined, entering: bool, id: Option<u64>) {
        if joined.room != self.room || joined.name != self.name || !joined.players.contains(&self.name) {
            self.fail(&format!("it is somebody else: {joined:?}"));
        }
        let resuming = entering && matches!(self.pending.front().map(|front| &front.what), Some(What::Resume { .. }));
        let said = match self.pending.front().map(|front| front.what.clone()) {
            Some(What::Resume { said }) if entering => {
                self.reply(&What::Resume { said }, id);
                said
            }
            _ if entering => {
                self.reply(&What::Join, id);
                false
            }
            // Admitted again by a room's new owner.
            _ if self.seated => false,
            _ => self.fail("it has not asked to join"),
        };
        let items = std::mem::take(&mut self.heard.items);
        self.world.ledger().stays.push(items);
        if !entering {
            self.heard = self.heard.copy_of();
        } else if !resuming && !joined.resumed {
            self.heard = History::default();
        }
        if let (Some(Place { seq: Some(claimed), .. }), Some((_, last)), true) =
            (&self.heard.place, &joined.place, std::mem::take(&mut self.has_lied))
            && claimed > last
        {
            // Nobody can have heard what was not said yet: the room does not know what such a client has missed.
            self.heard.place = None;
        }
        if !joined.resumed {
            self.came.clone_from(&joined.place);
        }
        let verdict = self.heard.joined(joined, said);
        self.verdict(verdict);
        self.seated = true;
        self.redirects = 0;
        self.replay_ends =
            joined.place.as_ref().filter(|_| said && joined.missed == Some(Some(0))).map(|(_, seq)| *seq);
        if entering && self.replay_ends.is_none() {
            self.under_way.clear();
        }
        self.token.clone_from(&joined.token);
        self.awaits_token = !self.json;
        if self.json && self.token.is_none() {
            self.fail("JOINED without a token");
        }
        self.replay_may_end();
    }

    fn redirected(&mut self, address: &str, id: Option<u64>) {
        let Ok(address) = address.parse() else { self.fail(&format!("REDIRECT to {address}")) };
        self.next = Some(address);
        // In a room BYE follows.
        if !self.seated {
            let Some(front) = self.pending.front().map(|front| front.what.clone()) else {
                self.fail("REDIRECT without a question")
            };
            self.reply(&front, id);
            self.redirects += 1;
            self.hang_up();
            self.retry = Instant::now();
        }
    }

    /// An error that nothing followed was the reply to the first command.
    pub fn settle_error(&mut self) {
        if let Some((code, _)) = self.error.take() {
            if self.json {
                self.fail(&format!("the error {code} answers nothing, and nothing followed it"));
            }
            self.refused(&code);
        }
    }

    fn refused(&mut self, code: &str) {
        let Some(front) = self.pending.pop_front() else { self.fail(&format!("{code}, and nothing was asked")) };
        if let Some(next) = self.pending.front_mut() {
            next.turn = Instant::now();
        }
        match front.what {
            What::Join | What::Resume { .. } => {
                self.retry = Instant::now() + Duration::from_millis(self.rng.range(100, 700));
                if code == "name_taken" {
                    // By its own connection before, where it has neither token nor key.
                    self.former = None;
                }
                if matches!(code, "bad_token" | "room_not_found") {
                    self.token = None;
                }
            }
            What::Wrong(expected) if code != expected && !OF_THE_ROOM.contains(&code) => {
                self.fail(&format!("{code} where {expected} is right"));
            }
            What::Say(_) | What::Who | What::Ping | What::Leave | What::Quit if !OF_THE_ROOM.contains(&code) => {
                self.fail(&format!("{code} answers {:?}", front.what));
            }
            _ => {}
        }
    }

    fn bye(&mut self, code: String, id: Option<u64>) {
        if code == "quit" {
            self.reply(&What::Quit, id);
            self.token = None;
            self.has_left = self.world.phase() == super::player::phase::LEAVE;
        }
        // `replaced`: by what it had said on a connection before, which a pod has read only now.
        self.said_bye = Some(code);
        self.hang_up();
    }

    /// The reply to the first command.
    fn reply(&mut self, what: &What, id: Option<u64>) {
        match self.pending.pop_front() {
            Some(front) if front.what == *what && (!self.json || id == Some(front.id)) => {}
            other => self.fail(&format!("a reply to {what:?} {id:?}, but first is {other:?}")),
        }
        if let Some(next) = self.pending.front_mut() {
            next.turn = Instant::now();
        }
    }
}
