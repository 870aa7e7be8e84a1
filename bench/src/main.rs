//! Benchmarks of chatd and comparable servers in one run: starts everything, measures in turn, writes the report. Does I/O: the
//! order of the whole run; the measuring itself is in the other files.

// Counts here are far below 2^52.
#![allow(clippy::cast_precision_loss)]

mod apps;
mod centrifugo;
mod certificate;
mod chatd;
mod ejabberd;
mod joins;
mod load;
mod node;
mod options;
mod peers;
mod process;
mod report;
mod scale;
mod socket;
mod talk;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use centrifugo::Centrifugo;
use chatd::{Chatd, Redis, Way};
use ejabberd::Ejabberd;
use load::{Load, MEMBERS};
use node::{Node, Package};
use options::{Installed, ReportOptions};
use peers::{Bare, Bun, Contestant, NatsServer, Place};
use process::Cpus;
use report::{Directory, Joins, Row, Setting, Times};

/// Rooms that are open before an idle connection's memory is counted, so that a server's own first growth is not.
const WARM_ROOMS: usize = 100;

/// Benchmarks of chatd.
#[derive(Debug, Parser)]
enum Command {
    Peers(Options),
    Scale(scale::Options),
    Apps(apps::Options),
}

/// Measures chatd and its peers side by side on loopback, in CPU time of the server.
#[derive(Debug, clap::Args)]
struct Options {
    /// chatd's binary; without it only the peers are measured
    #[arg(long)]
    chatd: Option<PathBuf>,
    #[command(flatten)]
    installed: Installed,
    /// The folder of ejabberd's Erlang application; without it, it is left out
    #[arg(long)]
    ejabberd: Option<PathBuf>,
    /// The bare epoll loop's binary
    #[arg(long)]
    epoll: PathBuf,
    /// More servers of the bare loop's kind, to compare designs
    #[arg(long, value_name = "NAME=PROGRAM")]
    bare: Vec<String>,
    /// Only the servers whose names contain one of these
    #[arg(long)]
    only: Vec<String>,
    /// Rooms of four for each server
    #[arg(long, default_value_t = 250)]
    rooms: usize,
    /// Lines in a write when pipelined
    #[arg(long, default_value_t = 16)]
    pipelined: u32,
    /// Windows for each server and mode
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// A window's length
    #[arg(long, default_value_t = 2000, value_name = "MILLISECONDS")]
    window: u64,
    /// Idle connections for the memory figure; 0 leaves it out
    #[arg(long, default_value_t = 5000)]
    idle: usize,
    #[command(flatten)]
    report: ReportOptions,
}

/// A contestant that can be started as often as it is needed.
struct Entry<'a> {
    name: String,
    version: String,
    is_chatd: bool,
    counts_idle: bool,
    start: Box<dyn Fn() -> Result<Box<dyn Contestant>> + 'a>,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Peers(options) => compare(&options),
        Command::Scale(options) => scale::run(&options),
        Command::Apps(options) => apps::run(&options),
    }
}

fn compare(options: &Options) -> Result<()> {
    let files = process::raise_open_files()?;
    let scratch = tempfile::tempdir()?;
    let place = Place { cpus: Cpus::split()?, scratch: scratch.path().to_owned() };
    let redis = options.chatd.as_ref().map(|_| Redis::start(&place)).transpose()?;
    anyhow::ensure!(files as usize > 2 * options.idle.max(1000), "at most {files} open files are allowed here");

    let mut entries = entries(options, &place, redis.as_ref())?;
    entries.retain(|entry| options.only.is_empty() || options.only.iter().any(|part| entry.name.contains(part)));
    let mut rows = measure(options, &entries)?;
    if options.idle > 0 {
        for (entry, row) in entries.iter().zip(&mut rows).filter(|(entry, _)| entry.counts_idle) {
            row.idle_bytes = Some(idle_bytes(entry, options.idle)?);
            eprintln!("{}: {:.0} bytes an idle connection", entry.name, row.idle_bytes.unwrap_or_default());
        }
    }
    let directory = match (&options.chatd, &redis) {
        (Some(program), Some(redis)) => {
            let start = |name: &str| Chatd::start(&place, program, redis, name, Way::Lines);
            Some(with_redis(&start, redis, options.rounds)?)
        }
        _ => None,
    };
    let setting = Setting {
        date: options.report.date.clone(),
        machine: machine(place.cpus, &options.report.conditions)?,
        rooms: options.rooms,
        pipelined: options.pipelined,
        rounds: options.rounds,
        window: Duration::from_millis(options.window),
        idle_connections: options.idle,
        left_out: left_out(options),
    };
    let report = report::markdown(&setting, &rows, directory.as_ref());
    options.report.publish(&report)
}

/// The peers that are not installed.
fn left_out(options: &Options) -> Vec<&'static str> {
    let packages = [Package::Ws, Package::SocketIo, Package::Colyseus]
        .map(|package| (package.name(), package.find(&options.installed.node_modules).is_some()));
    let others = [("centrifugo", options.installed.centrifugo.is_some()), ("ejabberd", options.ejabberd.is_some())];
    packages.into_iter().chain(others).filter(|(_, there)| !there).map(|(name, _)| name).collect()
}

fn entries<'a>(options: &'a Options, place: &'a Place, redis: Option<&'a Redis>) -> Result<Vec<Entry<'a>>> {
    let entry = |name: &str, version: String, start| Entry {
        name: name.to_owned(),
        version,
        is_chatd: false,
        counts_idle: true,
        start,
    };
    let mut entries = Vec::new();
    if let (Some(program), Some(redis)) = (&options.chatd, redis) {
        let version = peers::version(program, "--version")?;
        let ways = [
            (report::PLAIN, "lines", Way::Lines),
            (report::TLS, "tls", Way::Tls),
            (report::WEB, "web", Way::WebSocket),
            ("chatd, lines, relayed by a second process", "relay", Way::Relay),
            ("chatd, lines, a webhook that nobody answers", "webhook", Way::DeadWebhook),
        ];
        for (name, short, way) in ways {
            let version = version.trim_start_matches("chatd ").to_owned();
            let start = move || Ok(Box::new(Chatd::start(place, program, redis, short, way)?) as Box<dyn Contestant>);
            let mut entry = entry(name, version, Box::new(start) as Box<_>);
            entry.is_chatd = matches!(way, Way::Lines | Way::WebSocket);
            entry.counts_idle = !matches!(way, Way::Relay | Way::DeadWebhook);
            entries.push(entry);
        }
    }
    for (name, json) in [("bun, WebSocket", false), ("bun, WebSocket, JSON parsed and written", true)] {
        let version = peers::version(&options.installed.bun, "--version")?;
        let start = move || {
            Ok(Box::new(Bun::start(place, &options.installed.bun, &options.installed.bun_script, json)?)
                as Box<dyn Contestant>)
        };
        entries.push(entry(name, version, Box::new(start)));
    }
    for package in [Package::Ws, Package::SocketIo, Package::Colyseus] {
        let Some(modules) = package.find(&options.installed.node_modules) else { continue };
        let version = package.version(modules)?;
        let start = move || {
            Ok(Box::new(Node::start(place, modules, &options.installed.node_scripts, package)?) as Box<dyn Contestant>)
        };
        entries.push(entry(&format!("node, {}", package.name()), version, Box::new(start)));
    }
    if let Some(program) = &options.installed.centrifugo {
        let version = peers::version(program, "version")?;
        let version = version.split(['v', ' ']).find(|part| part.starts_with(|first: char| first.is_ascii_digit()));
        let start = move || Ok(Box::new(Centrifugo::start(place, program)?) as Box<dyn Contestant>);
        entries.push(entry("centrifugo, WebSocket", version.unwrap_or("unknown").to_owned(), Box::new(start)));
    }
    if let Some(application) = &options.ejabberd {
        let start = move || Ok(Box::new(Ejabberd::start(place, application)?) as Box<dyn Contestant>);
        entries.push(entry("ejabberd, XMPP", ejabberd::version(application), Box::new(start)));
    }
    let version = peers::version(&peers::nats_program(), "--version")?.replace("nats-server: v", "");
    let start = || Ok(Box::new(NatsServer::start(place)?) as Box<dyn Contestant>);
    entries.push(entry("nats-server", version, Box::new(start)));

    let bare = options.bare.iter().filter_map(|bare| bare.split_once('=')).map(|(name, path)| (name, path.into()));
    for (name, program) in [("epoll loop in C", options.epoll.clone())].into_iter().chain(bare) {
        let start = move || Ok(Box::new(Bare::start(place, &program, "bare")?) as Box<dyn Contestant>);
        entries.push(entry(name, "-".to_owned(), Box::new(start)));
    }
    Ok(entries)
}

/// All servers side by side, measured in turn, so that what else the machine does hits all alike.
fn measure(options: &Options, entries: &[Entry]) -> Result<Vec<Row>> {
    let mut running = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let server = (entry.start)()?;
        let mut load = Load::new()?;
        for index in 0..options.rooms {
            let room = server.open_room(index).with_context(|| format!("{}: opening a room", entry.name))?;
            load.add_room(room.members, room.message)?;
        }
        eprintln!("{}: {} connections open", entry.name, load.connections());
        running.push((server, load));
        rows.push(Row {
            name: entry.name.clone(),
            version: entry.version.clone(),
            is_chatd: entry.is_chatd,
            ..Row::default()
        });
    }
    for round in 1..=options.rounds {
        for mode in 0..2 {
            let lines = if mode == 0 { 1 } else { options.pipelined };
            for index in 0..running.len() {
                for (_, load) in &mut running {
                    load.answer_pings()?;
                }
                let (server, load) = &mut running[index];
                let window = Duration::from_millis(options.window);
                let window = load
                    .run(lines, Duration::from_millis(300), window, &|| server.cpu())
                    .with_context(|| rows[index].name.clone())?;
                eprintln!(
                    "round {round} of {}: {}, {lines} a write: {:.0} deliveries a CPU second, {:.0} a second, CPU {:.0} %",
                    options.rounds,
                    rows[index].name,
                    report::per_cpu_second(&window),
                    window.deliveries as f64 / window.elapsed.as_secs_f64(),
                    100.0 * window.cpu.total().as_secs_f64() / window.elapsed.as_secs_f64(),
                );
                rows[index].windows[mode].push(window);
            }
        }
    }
    for ((_, load), row) in running.iter_mut().zip(&mut rows) {
        row.round_trip = report::percentile(&mut load.round_trips(3000)?, 0.5);
    }
    Ok(rows)
}

/// A fresh server's growth over `connections` connections, divided by their number.
fn idle_bytes(entry: &Entry, connections: usize) -> Result<f64> {
    let server = (entry.start)()?;
    let mut open = Vec::new();
    for index in 0..WARM_ROOMS {
        open.push(server.open_room(index)?);
    }
    let before = settled_memory(server.as_ref())?;
    let rooms = connections / MEMBERS;
    for index in 0..rooms {
        open.push(server.open_room(WARM_ROOMS + index)?);
    }
    let after = settled_memory(server.as_ref())?;
    Ok((after as f64 - before as f64) / (rooms * MEMBERS) as f64)
}

/// The server's memory once two looks 300 ms apart agree within 1 %, or after 5 s.
fn settled_memory(server: &dyn Contestant) -> Result<u64> {
    let mut last = server.memory()?;
    for _ in 0..17 {
        std::thread::sleep(Duration::from_millis(300));
        let now = server.memory()?;
        if now.abs_diff(last) * 100 <= now {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

fn with_redis(start: &dyn Fn(&str) -> Result<Chatd>, redis: &Redis, rounds: usize) -> Result<Directory> {
    let rooms_open = 1000;
    let chatd = start("joins")?;
    let hosted = joins::host(&chatd, rooms_open)?;
    let mut all = Vec::new();
    for clients in [1, 16] {
        let (mut join, mut set) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (joins, sets) = joins::join_times(&chatd, redis, &hosted, clients, 2000 / clients)?;
            join.push(joins);
            set.push(sets);
        }
        if let (Some(join), Some(set)) = (Times::of(&mut join), Times::of(&mut set)) {
            eprintln!("JOIN to JOINED, {clients} at once: {join}; a bare SET: {set}");
            all.push(Joins { clients, join, set });
        }
    }
    drop(hosted);
    let creation = joins::create_rooms(&start("creation")?, redis, 1_000, 19)?;
    eprintln!("{} rooms created in {:?}", creation.rooms, creation.elapsed);
    Ok(Directory { rooms_open, joins: all, creation })
}

/// Cores, processor, kernel, and what else is said of the machine; nothing that names it.
fn machine(cpus: Cpus, conditions: &str) -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = kernel.split(['-', '\n']).next().unwrap_or_default();
    let pinned =
        if cpus.are_split() { "servers on one core, the generator and Redis on another" } else { "one core for all" };
    let conditions = if conditions.is_empty() { String::new() } else { format!(" {conditions}") };
    Ok(format!(
        "{} cores ({}), Linux {version}, {pinned}.{conditions}",
        info.lines().filter(|line| line.starts_with("processor")).count(),
        model.map_or("unknown", |(_, name)| name),
    ))
}
