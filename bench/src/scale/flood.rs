//! Quiet rooms beside a flooding one, on one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::players::Players;
use super::pods::{Pods, Redis};
use super::table::Column;
use super::{Bench, times};
use crate::chatd::members_by_lines;
use crate::load::Load;
use crate::wire;

/// Lines a second of all quiet rooms together.
const QUIET: f64 = 1_000.0;
const WHILE: Duration = Duration::from_secs(5);
/// Lines that the flood has under way.
const FLOOD: u32 = 64;

pub fn flood(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    // The flood is refused nothing.
    let wide = ["--rate", "1000000", "--burst", "1000000"];
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, 1, &wide)?;
    let door = pods.0[0].tcp;
    let mut players = Players::new()?;
    players.open_rooms(rooms, &[door])?;
    players.let_speak(rooms);
    players.doors = vec![door];
    players.speak(QUIET, Duration::from_secs(1), |_| Ok(false))?;
    players.met = super::players::Met::default();
    players.speak(QUIET, WHILE, |_| Ok(false))?;
    let mut alone = std::mem::take(&mut players.met);

    let room = super::pods::make_rooms(1, door)?.pop().context("no room for the flood")?;
    let members = members_by_lines(door, None, &room, "")?;
    let stop = Arc::new(AtomicBool::new(false));
    let of_thread = stop.clone();
    let thread = std::thread::spawn(move || -> Result<(u64, Duration)> {
        let mut load = Load::new()?;
        load.add_room(members, wire::line(0))?;
        let (mut deliveries, mut elapsed) = (0, Duration::ZERO);
        while !of_thread.load(Ordering::Relaxed) {
            let window =
                load.run(FLOOD, Duration::ZERO, Duration::from_millis(250), &|| Ok(crate::process::Cpu::default()))?;
            deliveries += window.deliveries;
            elapsed += window.elapsed;
        }
        Ok((deliveries, elapsed))
    });
    players.speak(QUIET, WHILE, |_| Ok(false))?;
    stop.store(true, Ordering::Relaxed);
    let (deliveries, elapsed) = thread.join().ok().context("the flood's thread")??;
    let mut beside = std::mem::take(&mut players.met);

    let mut column = Column::new(rooms);
    column.add("round trip of a quiet room's line alone (p50, p99, longest)", times(&mut alone.trips));
    column.add("the same beside the flood", times(&mut beside.trips));
    column.add("deliveries of the flood", format!("{:.0} a second", deliveries as f64 / elapsed.as_secs_f64()));
    Ok(column)
}
