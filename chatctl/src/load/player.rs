//! One player: enters its room, says numbered lines, follows REDIRECT, and comes back with RESUME when its connection ends. Does I/O.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::connection::{Connection, Door, Doors};
use super::tally::{Phase, Room, Tally};
use super::wire::{Command, Encoding, Event, Seat};

/// A server that does not answer within this time is given up: docs/protocol.md lets it wait for Redis and an owner, 2 s each.
const ANSWER: Duration = Duration::from_secs(10);
/// Redirects that a client follows before it asks to be relayed (docs/protocol.md).
const MOST_REDIRECTS: u32 = 3;
/// The first pause before another try, which doubles up to the second one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One player of one room.
pub struct Player {
    pub number: usize,
    pub room: Arc<Room>,
    pub doors: Doors,
    pub encoding: Encoding,
    /// Between two lines.
    pub period: Duration,
    pub tally: Arc<Tally>,
    pub phase: watch::Receiver<Phase>,
    /// Where it begins among the doors.
    pub turn: usize,
    pub seat: Option<Seat>,
    /// The last line said, if it has not been heard yet: since when, and whether the room has moved since.
    pub unanswered: Option<(u64, Instant)>,
}

/// From 0 to 1, evenly spread over successive numbers.
fn share(number: usize) -> f64 {
    // Hundredths, by multiples of a number near 100 times the golden ratio.
    f64::from(u8::try_from(number * 61 % 100).unwrap_or_default()) / 100.0
}

/// The server said how it ends, after all that it had for this client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

enum Entered {
    /// It has its seat.
    In,
    /// It shall go there.
    Elsewhere(String),
    Refused(String),
}

impl Player {
    /// Until the run ends.
    pub async fn play(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut redirect = None;
        let mut redirects = 0;
        while *self.phase.borrow() != Phase::End {
            let since = Instant::now();
            let relay = !self.doors.can_redirect() || redirects > MOST_REDIRECTS;
            let result = self.stay(redirect.take(), relay).await;
            self.tally.leaves(self.number_in_all());
            self.doubt();
            if result.as_ref().is_err_and(|error| !error.is::<Told>()) && self.encoding == Encoding::Lines {
                self.ledger(|ledger| ledger.breaks(self.number));
            }
            match result {
                Ok(Some(address)) => {
                    redirects += 1;
                    redirect = Some(address).filter(|_| self.doors.can_redirect() && redirects <= MOST_REDIRECTS);
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.tally.note(&format!("{error:#}")),
            }
            self.turn += 1;
            pause = if since.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            redirects = 0;
            // Spread, so that all do not come back at once.
            let spread = 0.5 + share(self.turn);
            let mut phase = self.phase.clone();
            tokio::select! {
                () = sleep(pause.mul_f64(spread)) => {}
                _ = phase.wait_for(|phase| *phase == Phase::End) => {}
            }
        }
    }

    fn number_in_all(&self) -> usize {
        self.room.first_player + self.number
    }

    /// The connection has ended: the last line sent, if it has not come back, may or may not have been delivered.
    fn doubt(&mut self) {
        if let Some((number, _)) = self.unanswered.take() {
            self.ledger(|ledger| ledger.doubts((self.number, number)));
        }
    }

    fn ledger<T>(&self, act: impl FnOnce(&mut super::ledger::Ledger) -> T) -> T {
        act(&mut self.room.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One connection, to its end. Returns the address of a REDIRECT, if there was one.
    async fn stay(&mut self, redirect: Option<String>, relay: bool) -> Result<Option<String>> {
        let door = match redirect {
            Some(address) => Door::Address(address),
            None => self.doors.choose(self.encoding, self.turn)?,
        };
        let mut connection = timeout(ANSWER, self.doors.connect(&door, self.encoding)).await??;
        let known = self.room.id.borrow().clone();
        let room = match known {
            Some(room) => room,
            None if self.number == 0 => {
                connection.send(Command::Create).await?;
                let Event::Room(room) = timeout(ANSWER, connection.next()).await?? else {
                    anyhow::bail!("CREATE_ROOM was refused");
                };
                self.room.id.send_replace(Some(room.clone()));
                room
            }
            None => return Ok(None),
        };
        match timeout(ANSWER, self.enter(&mut connection, &room, relay)).await?? {
            Entered::In => {}
            Entered::Elsewhere(address) => return Ok(Some(address)),
            Entered::Refused(code) => return Err(Told(format!("refused: {code}")).into()),
        }
        self.tally.enters(self.number_in_all());
        self.talk(&mut connection).await
    }

    async fn enter(&mut self, connection: &mut Connection, room: &str, relay: bool) -> Result<Entered> {
        let name = format!("p{}", self.number);
        match &self.seat {
            Some(seat) => connection.send(Command::Resume { room, seat, relay }).await?,
            None => connection.send(Command::Join { room, name: &name, relay }).await?,
        }
        loop {
            match connection.next().await? {
                Event::Joined(welcome) => {
                    let is_new = self.seat.is_none();
                    if is_new {
                        self.ledger(|ledger| ledger.enters(self.number));
                    }
                    if let Some(welcome) = welcome {
                        self.ledger(|ledger| ledger.misses(self.number, welcome.missed));
                        let mut seat = welcome.seat;
                        if let Some(before) = self.seat.take().filter(|_| seat.token.is_empty()) {
                            seat.token = before.token;
                        }
                        self.seat = Some(seat);
                    }
                    if !is_new {
                        self.tally.resumed();
                    }
                    return Ok(Entered::In);
                }
                Event::Redirect(address) => return Ok(Entered::Elsewhere(address)),
                Event::Error(code) => {
                    if ["bad_token", "room_not_found"].contains(&code.as_str()) && self.seat.take().is_some() {
                        // What comes until it has joined again is not for it.
                        self.tally.lost_seat();
                    }
                    return Ok(Entered::Refused(code));
                }
                Event::Bye(code) => return Ok(Entered::Refused(code)),
                _ => {}
            }
        }
    }

    /// Says and hears until the connection or the run ends. Returns the address of a REDIRECT, if there was one.
    async fn talk(&mut self, connection: &mut Connection) -> Result<Option<String>> {
        let mut elsewhere = None;
        // Each player at another time of the period.
        let first = self.period.mul_f64(share(self.number_in_all()));
        let mut due = interval_at(Instant::now() + first, self.period);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut phase = self.phase.clone();
        loop {
            let may_speak = *phase.borrow() == Phase::Talk && self.unanswered.is_none();
            tokio::select! {
                event = connection.next() => match event? {
                    Event::Bye(code) if elsewhere.is_none() => return Err(Told(format!("the server ended it: {code}")).into()),
                    Event::Bye(_) => return Ok(elsewhere),
                    Event::Redirect(address) => elsewhere = Some(address),
                    event => self.hear(event),
                },
                _ = due.tick(), if may_speak => {
                    let number = self.ledger(|ledger| ledger.says(self.number));
                    self.unanswered = Some((number, Instant::now()));
                    self.tally.said();
                    if let Err(error) = connection.send(Command::Say(&number.to_string())).await {
                        self.read_out(connection).await;
                        return Err(error);
                    }
                }
                _ = phase.changed() => if *phase.borrow() == Phase::End {
                    return self.quit(connection).await;
                },
            }
        }
    }

    /// Hears what came before the connection broke.
    async fn read_out(&mut self, connection: &mut Connection) {
        let rest = async {
            while let Ok(event) = connection.next().await {
                self.hear(event);
            }
        };
        let _ = timeout(ANSWER, rest).await;
    }

    async fn quit(&mut self, connection: &mut Connection) -> Result<Option<String>> {
        connection.send(Command::Quit).await?;
        let bye = async {
            while !matches!(connection.next().await?, Event::Bye(_)) {}
            anyhow::Ok(())
        };
        timeout(ANSWER, bye).await??;
        Ok(None)
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Message { from, text, seq } => {
                if let (Some(seat), Some(seq)) = (&mut self.seat, seq)
                    && let Some((_, last)) = &mut seat.position
                {
                    *last = seq;
                }
                let speaker = from.strip_prefix('p').and_then(|speaker| speaker.parse().ok());
                let (Some(speaker), Ok(number)) = (speaker, text.parse()) else { return };
                self.ledger(|ledger| ledger.hears(self.number, (speaker, number)));
                self.tally.heard();
                if let Some((said, since)) = self.unanswered
                    && (speaker, number) == (self.number, said)
                {
                    self.tally.answered(since.elapsed());
                    self.unanswered = None;
                }
            }
            Event::Token(token) => self.seat = Some(Seat { token, position: None }),
            Event::Missed(lines) => self.ledger(|ledger| ledger.misses(self.number, lines)),
            Event::Moved(position) => {
                self.tally.moved();
                if let (Some(seat), Some(position)) = (&mut self.seat, position) {
                    seat.position = Some(position);
                }
            }
            Event::Error(code) => {
                // It answers the line under way, which is not delivered then.
                self.tally.note(&format!("refused: {code}"));
                self.doubt();
            }
            Event::Room(_) | Event::Joined(_) | Event::Redirect(_) | Event::Bye(_) => {}
        }
    }
}
