//! One of three processes is killed, and its clients reconnect through the others.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::players::Players;
use super::pods::{Pods, Redis};
use super::table::Column;
use super::{Bench, times};

/// After this a client that has not reconnected counts as lost.
const LIMIT: Duration = Duration::from_mins(1);

/// How long the survivors are watched afterwards: they look for the dead one each 2 s.
const REST: Duration = Duration::from_secs(4);

pub fn crash(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, 3, &[])?;
    let mut players = Players::new()?;
    players.open_rooms(rooms, &[pods.0[0].tcp])?;
    redis.wait_for_keys(rooms + pods.0.len())?;
    players.pass(Duration::from_secs(2))?;
    players.met = super::players::Met::default();
    players.doors = pods.0[1..].iter().map(|pod| pod.tcp).collect();

    let before = redis.commands()?;
    pods.0[0].kill()?;
    let killed = Instant::now();
    // Until the lease has run out there is nothing to do but to wait for it.
    players.pass(Duration::from_millis(2_500))?;
    let waiting = redis.commands()?;

    players.pass(Duration::from_secs(1))?;
    let waited = redis.commands()?.since(&waiting).sum();
    let nobody_back = players.met.entered.is_empty();
    players.run(LIMIT, |players| Ok(players.outside() == 0))?;
    players.pass(Duration::from_secs(1))?;
    let commands = redis.commands()?.since(&before);

    let mut column = Column::new(rooms);
    let mut back: Vec<_> = players.met.entered_at.iter().map(|at| at.duration_since(killed)).collect();
    let first = back.iter().min().copied().unwrap_or_default();
    column.add("first client back", format!("{:.2} s", first.as_secs_f64()));
    column.add("clients back, after the kill (p50, p99, last)", times(&mut back));
    column.add("not back after 60 s", players.outside().to_string());
    column.add("refusals a client", format!("{:.2}", players.met.refusals.len() as f64 / rooms as f64));
    column.add("Redis commands a room, all in all", commands.a_room(rooms));
    column.add(
        "Redis commands a second while all wait for the lease",
        if nobody_back { waited.to_string() } else { "-".to_owned() },
    );
    let taken =
        pods.0[1..].iter().map(|pod| Ok(pod.figures()?.of("chatd_takeovers_total"))).collect::<Result<Vec<_>>>()?;
    let sum = taken.iter().sum::<u64>().max(1);
    let shares: Vec<_> = taken.iter().map(|taken| format!("{:.0} %", 100.0 * *taken as f64 / sum as f64)).collect();
    column.add("taken over by each survivor", shares.join(", "));
    let cpu = pods.cpu()?;
    players.pass(REST)?;
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64() / REST.as_secs_f64() / taken.len() as f64;
    column.add("CPU of a survivor at rest afterwards, of a core", format!("{:.2} %", 100.0 * cpu));
    for refusal in players.met.refusals.iter().collect::<std::collections::BTreeSet<_>>() {
        eprintln!("  refused with: {refusal}");
    }
    Ok(column)
}
