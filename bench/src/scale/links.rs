//! One process with a quiet link to each of many others, until nobody needs them any more.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use super::players::Players;
use super::pods::{Pods, Redis};
use super::table::Column;

const REST: Duration = Duration::from_mins(1);
/// Searches and leases of the start are over by then.
const SETTLED: Duration = Duration::from_secs(10);
/// Links that nobody needs are closed within four minutes.
const CLOSED: Duration = Duration::from_mins(6);
/// Links that a pod keeps.
const KEPT: usize = 8;

/// A room for each of the other processes, by way of which one of its players has come.
pub fn links(bench: &Bench, links: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let started = Instant::now();
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, links + 1, &[])?;
    let ready = started.elapsed();
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.open_rooms(links, &doors[..1])?;
    let one = &pods.0[0];
    let rest = |players: &mut Players| -> Result<f64> {
        players.pass(SETTLED)?;
        let before = one.process.cpu()?;
        players.pass(REST)?;
        Ok(one.process.cpu()?.since(before).total().as_secs_f64() / REST.as_secs_f64())
    };
    let alone = rest(&mut players)?;
    players.join_rooms(0, links, "b", &doors[1..])?;
    let linked = rest(&mut players)?;
    let up = one.figures()?.of("chatd_peer_links");
    ensure!(up == links as u64 && players.outside() == 0, "{up} links are up, {} players out", players.outside());
    (links..2 * links).for_each(|player| players.drop_connection(player));
    let left = Instant::now();
    let closed = players.run(CLOSED, |_| Ok(one.figures()?.of("chatd_peer_links") <= KEPT as u64))?;
    let closed_after = left.elapsed();
    let lost = one.figures()?.of("chatd_peer_links_lost_total");
    ensure!(closed && lost == 0, "links are not closed, or broken: {lost}");
    let without = rest(&mut players)?;

    let mut column = Column::new(links);
    column.add("all ready after", format!("{:.1} s", ready.as_secs_f64()));
    column.add("CPU of that process before the links, of a core", format!("{:.2} %", 100.0 * alone));
    column.add("CPU of that process with the links, of a core", format!("{:.2} %", 100.0 * linked));
    column.add(
        "the players by way of the others leave: at most 8 links after",
        format!("{:.0} s", closed_after.as_secs_f64()),
    );
    column.add("CPU of that process from then on, of a core", format!("{:.2} %", 100.0 * without));
    Ok(column)
}
