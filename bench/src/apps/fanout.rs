//! Events beside messages, and volatile events, beside socket.io and bun. Does I/O.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, Work, spread};
use crate::chatd::{Chatd, Way};
use crate::load::{Load, Window};
use crate::node::{Node, Package};
use crate::peers::{self, Bun, Contestant};

/// Of each room's sender when it is paced: below the 20 volatile events a second that chatd allows a player.
const PACE: f64 = 16.0;
const WARM: Duration = Duration::from_millis(300);
const PACED: Duration = Duration::from_secs(3);
const FULL: Duration = Duration::from_secs(2);
/// Messages in a write when pipelined.
const PIPELINED: u32 = 16;

struct Row {
    name: String,
    /// What is beyond its pace is refused or lost.
    is_limited: bool,
    server: Box<dyn Contestant>,
    load: Load,
    paced: Vec<Work>,
    full: [Vec<Work>; 2],
}

pub fn measure(bench: &Bench) -> Result<String> {
    let mut rows = rows(bench)?;
    for round in 1..=bench.options.rounds {
        for index in 0..rows.len() {
            for row in &mut rows {
                row.load.answer_pings()?;
            }
            let Row { name, is_limited, server, load, paced, full } = &mut rows[index];
            let cpu = || server.cpu();
            paced.push(work(load.run_paced(PACE, WARM, PACED, &cpu).with_context(|| name.clone())?));
            for (lines, works) in [1, PIPELINED].into_iter().zip(full).filter(|_| !*is_limited) {
                works.push(work(load.run(lines, WARM, FULL, &cpu).with_context(|| name.clone())?));
            }
            eprintln!("round {round}: {name}: paced, {:?}", paced.last());
        }
    }
    let mut out = format!(
        "## Deliveries of events a CPU second of the server\n\n{} rooms of 4 connections, over WebSockets; 64 bytes of text or of data, which one \
         member of each room sends and all four get. *Paced*: {PACE} a second in each room. *One a wake*: each room has one under \
         way. *Pipelined*: {PIPELINED} in a write. chatd takes 20 volatile events a second of a player, and socket.io loses those that a connection is not ready for, so only the paced \
         load has them. bun has no volatile messages: it parses and writes JSON here, as chatd does.\n\n\
         | server | paced | one a wake | pipelined |\n|---|---|---|---|\n",
        bench.options.rooms
    );
    for Row { name, paced, full, .. } in &rows {
        let [one, many] = full.each_ref().map(|works| spread(works.iter().map(Work::a_cpu_second)));
        let _ = writeln!(out, "| {name} | {} | {one} | {many} |", spread(paced.iter().map(Work::a_cpu_second)));
    }
    Ok(out)
}

fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let Bench { options, place, redis } = bench;
    let mut servers: Vec<(String, Box<dyn Contestant>)> = Vec::new();
    for (name, short, way) in [
        ("chatd, messages", "messages", Way::WebSocket),
        ("chatd, events", "events", Way::Events),
        ("chatd, volatile events", "volatile", Way::VolatileEvents),
    ] {
        servers.push((name.to_owned(), Box::new(Chatd::start(place, &options.chatd, redis, short, way)?)));
    }
    let version = peers::version(&options.installed.bun, "--version")?;
    let bun = Bun::start(place, &options.installed.bun, &options.installed.bun_script, true)?;
    servers.push((format!("bun {version}, JSON"), Box::new(bun)));
    if let Some(modules) = Package::SocketIo.find(&options.installed.node_modules) {
        let version = Package::SocketIo.version(modules)?;
        for (name, volatile) in [("messages", false), ("volatile", true)] {
            let mut node = Node::start(place, modules, &options.installed.node_scripts, Package::SocketIo)?;
            node.volatile = volatile;
            servers.push((format!("socket.io {version}, {name}"), Box::new(node)));
        }
    }
    let mut rows = Vec::new();
    for (name, server) in servers {
        let mut load = Load::new()?;
        for index in 0..options.rooms {
            let room = server.open_room(index).with_context(|| format!("{name}: opening a room"))?;
            load.add_room(room.members, room.message)?;
        }
        eprintln!("{name}: {} connections open", load.connections());
        let is_limited = name.contains("volatile");
        rows.push(Row { name, is_limited, server, load, paced: Vec::new(), full: [Vec::new(), Vec::new()] });
    }
    Ok(rows)
}

pub fn work(window: Window) -> Work {
    Work { count: window.deliveries, elapsed: window.elapsed, cpu: window.cpu }
}
