//! One of three processes is killed while players who came by way of the others are in all its rooms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::crowd::{Crowd, Heard};
use super::pods::{Pods, Redis, make_rooms};
use super::table::Column;
use super::{Bench, times};

/// After this a room counts as lost.
const LIMIT: Duration = Duration::from_mins(1);
/// Requests to join under way at a time.
const UNDER_WAY: usize = 256;
/// A line that was refused is said again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// The player of one room.
#[derive(Debug, Default)]
struct Player {
    is_in: bool,
    /// Says a line when the process is killed; the others wait until they are told that their room has moved.
    speaks: bool,
    moved: Option<Instant>,
    delivered: Option<Instant>,
}

struct Room<'a> {
    crowd: &'a mut Crowd,
    players: &'a mut [Player],
    /// Lines to be said again: when, and by whom.
    again: VecDeque<(Instant, usize)>,
    refusals: u64,
    closed: u64,
}

impl Room<'_> {
    /// Lets all go on until `done`, or for `limit`.
    fn run(&mut self, limit: Duration, done: impl Fn(&[Player]) -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        let mut heard = Vec::new();
        while Instant::now() < end && !done(self.players) {
            while let Some((_, player)) = self.again.pop_front_if(|(at, _)| *at <= Instant::now()) {
                self.crowd.send(player, "SAY again");
            }
            self.crowd.turn(Duration::from_millis(5), &mut heard)?;
            for (player, heard) in heard.drain(..) {
                match heard {
                    Heard::Line(line) => self.hear(player, &line),
                    Heard::Closed(_) => self.closed += 1,
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, line: &str) {
        let player = &mut self.players[index];
        match line.split(' ').next().unwrap_or_default() {
            "JOINED" => player.is_in = true,
            "MOVED" => {
                player.moved.get_or_insert_with(Instant::now);
                if !player.speaks {
                    self.crowd.send(index, "SAY moved");
                }
            }
            "MSG" => drop(player.delivered.get_or_insert_with(Instant::now)),
            "ERR" => {
                self.refusals += 1;
                if player.is_in {
                    self.again.push_back((Instant::now() + AGAIN, index));
                }
            }
            _ => {}
        }
    }
}

pub fn crash(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, 3, &[])?;
    let ids = make_rooms(rooms, pods.0[0].tcp)?;
    let mut crowd = Crowd::new()?;
    let mut players: Vec<Player> =
        (0..rooms).map(|index| Player { speaks: index % 2 == 0, ..Player::default() }).collect();
    let mut all = Room { crowd: &mut crowd, players: &mut players, again: VecDeque::new(), refusals: 0, closed: 0 };
    for (index, room) in ids.iter().enumerate() {
        let player = all.crowd.add();
        all.crowd.connect(player, pods.0[1 + index % 2].tcp)?;
        all.crowd.send(player, &format!("JOIN {room} b RESUMABLE RELAY"));
        let least = index.saturating_sub(UNDER_WAY);
        all.run(LIMIT, |players| players[least].is_in)?;
    }
    all.run(LIMIT, |players| players.iter().all(|player| player.is_in))?;
    let outside = all.players.iter().filter(|player| !player.is_in).count();
    ensure!(outside == 0 && all.closed == 0, "{outside} of {rooms} players are not in their rooms");
    redis.wait_for_keys(rooms + pods.0.len())?;
    all.run(Duration::from_secs(2), |_| false)?;

    let before = redis.commands()?;
    pods.0[0].kill()?;
    let killed = Instant::now();
    for index in (0..rooms).step_by(2) {
        all.crowd.send(index, "SAY now");
    }
    all.run(LIMIT, |players| players.iter().all(|player| player.delivered.is_some()))?;
    let took = killed.elapsed();
    let commands = redis.commands()?.since(&before);

    let mut column = Column::new(rooms);
    let since = |which: &dyn Fn(&Player) -> Option<Instant>| {
        let mut found: Vec<_> = all.players.iter().filter_map(which).map(|at| at.duration_since(killed)).collect();
        times(&mut found)
    };
    let (said, waited) = (
        since(&|player| player.delivered.filter(|_| player.speaks)),
        since(&|player| player.delivered.filter(|_| !player.speaks)),
    );
    column.add("a line that is said at the kill is delivered after (p50, p99, longest)", said);
    let told = since(&|player| player.moved.filter(|_| !player.speaks));
    column.add("where nobody says anything, MOVED comes after (p50, p99, longest)", told);
    column.add("and the line that is said then is delivered after (p50, p99, longest)", waited);
    let lost = all.players.iter().filter(|player| player.delivered.is_none()).count();
    column.add("rooms without a delivered line after 60 s", lost.to_string());
    column.add("lines refused, and said again", all.refusals.to_string());
    column.add("connections of players that ended", all.closed.to_string());
    column.add("Redis commands a room, all in all", commands.a_room(rooms));
    let a_second = commands.sum() as f64 / took.as_secs_f64();
    column.add("Redis commands a second until the last line", format!("{a_second:.0}"));
    let taken = pods.0[1..]
        .iter()
        .map(|pod| Ok(pod.figures()?.of("chatd_takeovers_total").to_string()))
        .collect::<Result<Vec<_>>>()?;
    column.add("taken over by each survivor", taken.join(", "));
    Ok(column)
}
