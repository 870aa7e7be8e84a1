//! Simultaneous arrivals: a new player into each room, all players after a network outage, and idle clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::players::{Met, Players};
use super::pods::{Pods, Redis};
use super::table::Column;
use super::{Bench, times};

const LIMIT: Duration = Duration::from_mins(1);
/// So many rooms' players sit idle: the rooms are full.
const PLAYERS: usize = 4;

struct Deployment {
    redis: Redis,
    pods: Pods,
    doors: Vec<SocketAddr>,
    players: Players,
}

fn deployment(bench: &Bench, pods: usize) -> Result<Deployment> {
    let redis = Redis::start(&bench.place)?;
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, pods, &[])?;
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.doors.clone_from(&doors);
    Ok(Deployment { redis, pods, doors, players })
}

/// A rate of those who came in between the first request and the last answer.
fn rate(met: &Met, since: Instant) -> String {
    let last = met.entered_at.iter().max().map_or(Duration::ZERO, |at| at.duration_since(since));
    format!("{:.0} a second", met.entered.len() as f64 / last.as_secs_f64().max(1e-3))
}

pub fn joins(bench: &Bench, rooms: usize) -> Result<Column> {
    let Deployment { redis, pods, doors, mut players } = deployment(bench, 3)?;
    let mut column = Column::new(rooms);
    // As many rooms as there are files for two players each.
    let rooms_here = rooms.min((bench.files - 500) / 2);
    players.open_rooms(rooms_here, &doors)?;
    redis.wait_for_keys(rooms_here + pods.0.len())?;
    players.met = Met::default();

    let (start, cpu, before) = (Instant::now(), pods.cpu()?, redis.commands()?);
    for room in 0..rooms_here {
        players.add(room, "b");
    }
    players.rush(rooms_here..2 * rooms_here, &doors)?;
    let sent = start.elapsed();
    players.run(LIMIT, |players| Ok(players.outside() == 0))?;
    column.add("all have connected and sent JOIN within", format!("{:.2} s", sent.as_secs_f64()));
    column.add("connecting and JOIN to JOINED (p50, p99, longest)", times(&mut players.met.entered));
    column.add("JOINs carried out", rate(&players.met, start));
    column.add("refusals", players.met.refusals.len().to_string());
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64() * 1e6 / rooms_here as f64;
    column.add("CPU time a JOIN", format!("{cpu:.0} µs"));
    players.pass(Duration::from_secs(1))?;
    column.add("Redis commands a JOIN", redis.commands()?.since(&before).a_room(rooms_here));
    column.add("not in after 60 s", players.outside().to_string());
    Ok(column)
}

pub fn returns(bench: &Bench, clients: usize) -> Result<Column> {
    let Deployment { redis, pods, doors, mut players } = deployment(bench, 3)?;
    let mut column = Column::new(clients);
    players.open_rooms(clients, &doors)?;
    redis.wait_for_keys(clients + pods.0.len())?;
    for player in 0..clients {
        players.drop_connection(player);
    }
    players.pass(Duration::from_secs(2))?;
    players.met = Met::default();
    let (start, cpu) = (Instant::now(), pods.cpu()?);
    players.rush(0..clients, &doors)?;
    let sent = start.elapsed();
    players.run(LIMIT, |players| Ok(players.outside() == 0))?;
    column.add("all have connected and sent RESUME within", format!("{:.2} s", sent.as_secs_f64()));
    column.add("connecting and RESUME to JOINED (p50, p99, longest)", times(&mut players.met.entered));
    column.add("RESUMEs carried out", rate(&players.met, start));
    column.add("refusals", players.met.refusals.len().to_string());
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64() * 1e6 / clients as f64;
    column.add("CPU time a RESUME", format!("{cpu:.0} µs"));
    column.add("not in after 60 s", players.outside().to_string());
    Ok(column)
}

pub fn idle(bench: &Bench, clients: usize) -> Result<Column> {
    let Deployment { redis: _redis, pods, doors, mut players } = deployment(bench, 1)?;
    let mut column = Column::new(clients);
    let made = super::pods::make_rooms(clients.div_ceil(PLAYERS), doors[0])?;
    let memory = pods.0[0].process.memory()?;
    let start = Instant::now();
    for client in 0..clients {
        let player = players.add(client / PLAYERS, ["a", "b", "c", "d"][client % PLAYERS]);
        players.connect(player, doors[0])?;
    }
    let born = start.elapsed();
    players.rooms = made;
    for player in 0..clients {
        players.ask_to_enter(player);
    }
    players.until_outside(0)?;
    players.pass(Duration::from_secs(1))?;
    players.met = Met::default();
    let cpu = pods.cpu()?;
    // A client that is cut off is counted, and reconnects.
    let since = Instant::now();
    players.pass(bench.idle)?;
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64() / since.elapsed().as_secs_f64();
    column.add("all born within", format!("{:.2} s", born.as_secs_f64()));
    column.add(&format!("cut off in {} s", bench.idle.as_secs()), players.met.closed.to_string());
    column.add("CPU meanwhile, of a core", format!("{:.2} %", 100.0 * cpu));
    let memory = (pods.0[0].process.memory()? - memory) as f64 / clients as f64;
    column.add("memory a client, with its part of the room", format!("{:.1} kB", memory / 1024.0));
    Ok(column)
}
