//! Forty processes on one Redis: at rest, and when one of them is killed.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::players::{Met, Players};
use super::pods::{Pods, Redis};
use super::table::Column;
use super::{Bench, times};

const PODS: usize = 40;
const REST: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_mins(1);

pub fn many(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let started = Instant::now();
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, PODS, &[])?;
    let ready = started.elapsed();
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.open_rooms(rooms, &doors)?;
    redis.wait_for_keys(rooms + PODS)?;
    players.pass(Duration::from_secs(2))?;

    let mut column = Column::new(rooms);
    column.add("all ready after", format!("{:.1} s", ready.as_secs_f64()));
    let (commands, cpu) = (redis.commands()?, pods.cpu()?);
    players.pass(REST)?;
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64() / REST.as_secs_f64();
    column.add("CPU of a process at rest, of a core", format!("{:.2} %", 100.0 * cpu / PODS as f64));
    let asked = redis.commands()?.since(&commands).sum() as f64 / REST.as_secs_f64();
    column.add("Redis commands a second at rest, of all", format!("{asked:.0}"));
    let memory = pods.0.iter().map(|pod| pod.process.memory()).sum::<Result<u64>>()?;
    column.add("memory of a process", format!("{:.1} MB", memory as f64 / PODS as f64 / 1e6));

    players.met = Met::default();
    players.doors = doors[1..].to_vec();
    let before = redis.commands()?;
    pods.0[0].kill()?;
    let killed = Instant::now();
    players.pass(Duration::from_secs(2))?;
    players.run(LIMIT, |players| Ok(players.outside() == 0))?;
    players.pass(Duration::from_secs(1))?;
    let here = rooms / PODS;
    let commands = redis.commands()?.since(&before);
    commands.a_room(here);
    // Records are renewed now and then whatever happens, and by chance meanwhile.
    let others = (commands.sum() - commands.of("pexpire")) as f64 - asked * killed.elapsed().as_secs_f64();
    let mut back: Vec<_> = players.met.entered_at.iter().map(|at| at.duration_since(killed)).collect();
    column.add("one is killed: its clients back after (p50, p99, last)", times(&mut back));
    column.add("Redis commands because of it", format!("{others:.0}"));
    let taken =
        pods.0[1..].iter().map(|pod| Ok(pod.figures()?.of("chatd_takeovers_total"))).collect::<Result<Vec<_>>>()?;
    let most = taken.iter().max().copied().unwrap_or_default();
    column.add("its rooms, and the most that one took", format!("{}, {most}", taken.iter().sum::<u64>()));
    column.add("not back after 60 s", players.outside().to_string());
    Ok(column)
}
