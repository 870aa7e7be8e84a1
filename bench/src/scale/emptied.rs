//! Redis restarts empty, under three processes whose rooms are in use.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::players::{Met, Players};
use super::pods::{Pods, Redis};
use super::table::Column;
use super::{Bench, times};

/// Lines a second in all rooms together.
const LINES: f64 = 5_000.0;
/// How long Redis is away.
const AWAY: Duration = Duration::from_secs(1);
/// How often Redis is asked how much it holds.
const LOOK: Duration = Duration::from_millis(50);
/// All of it is expected to be over by then.
const LIMIT: Duration = Duration::from_mins(1);

pub fn emptied(bench: &Bench, rooms: usize) -> Result<Column> {
    let mut redis = Redis::start(&bench.place)?;
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, 3, &[])?;
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.open_rooms(rooms, &doors)?;
    players.let_speak(rooms);
    players.doors = doors;
    redis.wait_for_keys(rooms + pods.0.len())?;
    players.speak(LINES, Duration::from_secs(2), |_| Ok(false))?;
    let mut before = std::mem::take(&mut players.met);
    ensure!(before.closed == 0, "{before:?} before anything was ended");

    redis.kill();
    players.speak(LINES, AWAY, |_| Ok(false))?;
    redis.start_again()?;
    let back = Instant::now();
    let (looks, written) = (Cell::new(0_u32), Cell::new(None));
    players.speak(LINES, LIMIT, |_| {
        // Each look is a connection of its own.
        if back.elapsed() > LOOK * looks.get() {
            looks.set(looks.get() + 1);
            if written.get().is_none() && redis.keys()? > rooms {
                written.set(Some(Instant::now()));
            }
        }
        Ok(written.get().is_some_and(|at| at.elapsed() > Duration::from_secs(5)))
    })?;
    let commands = redis.commands()?;
    players.settle(Duration::from_secs(10))?;
    let Met { mut trips, closed, count, refusals, lines, .. } = std::mem::take(&mut players.met);
    let mut column = Column::new(rooms);
    let written = written.get().map_or("never".to_owned(), |at| format!("{:.2} s", (at - back).as_secs_f64()));
    column.add("all records written again, after Redis is back", written);
    column.add("Redis commands a room until 5 s later", commands.a_room(rooms));
    column.add("connections that ended", closed.to_string());
    column.add("lines said, lost, doubled", format!("{lines}, {}, {}", count.lost, count.doubled));
    column.add("refusals", refusals.len().to_string());
    column.add("round trip of a line before (p50, p99, longest)", times(&mut before.trips));
    column.add("the same from its end on", times(&mut trips));
    Ok(column)
}
