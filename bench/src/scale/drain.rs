//! One of three processes gets SIGTERM while its rooms are in use.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::lag::Lag;
use super::players::Players;
use super::pods::{Pod, Pods, Redis, figures, make_rooms};
use super::table::Column;
use super::{Bench, times};

/// A process ends at the latest after its deadline (25 s) and a little more.
const LIMIT: Duration = Duration::from_secs(40);
/// How often its figures are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A round trip to a Redis that is far away.
const FAR: Duration = Duration::from_millis(200);
/// Lines a second in all rooms together.
const LINES: f64 = 5_000.0;
/// Files that are neither speakers nor listeners.
const OTHER_FILES: usize = 500;

/// How a process ended.
struct End {
    asked: Instant,
    /// When it had no room any more.
    empty: Option<Instant>,
    moved: u64,
    failed: u64,
}

/// Looks at a process that ends, from a thread of its own, until it is gone.
fn watch(admin: SocketAddr) -> std::thread::JoinHandle<End> {
    let asked = Instant::now();
    std::thread::spawn(move || {
        let mut end = End { asked, empty: None, moved: 0, failed: 0 };
        while let Ok(now) = figures(admin) {
            if now.of("chatd_rooms") == 0 {
                end.empty.get_or_insert_with(Instant::now);
            }
            // Threads that have ended say nothing any more.
            end.moved = end.moved.max(now.of("chatd_outgoing_migrations_total"));
            end.failed = end.failed.max(now.of("chatd_outgoing_migrations_failed_total"));
            std::thread::sleep(LOOK);
        }
        end
    })
}

fn end(pod: &Pod) -> Result<std::thread::JoinHandle<End>> {
    let watch = watch(pod.admin);
    pod.process.signal(Signal::TERM)?;
    Ok(watch)
}

fn tell(column: &mut Column, end: &End) {
    let gone = end.empty.map_or("not in time".to_owned(), |at| seconds(at - end.asked));
    column.add("without rooms after", gone);
    column.add("rooms moved", end.moved.to_string());
    column.add("moves that failed, rooms given up included", end.failed.to_string());
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// With people: in each room one who is connected to the process that ends, and in as many as files allow one who speaks by
/// way of another process.
fn talking(bench: &Bench, rooms: usize, lag: Duration) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let delay = Lag::start(redis.address)?;
    let mut pods = Pods::start(&bench.place, &bench.chatd, delay.address, 3, &[])?;
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.open_rooms(rooms, &doors[..1])?;
    let speakers = rooms.min(bench.files.saturating_sub(rooms + OTHER_FILES));
    players.join_rooms(0, speakers, "s", &doors[1..])?;
    players.let_speak(speakers);
    players.doors = doors[1..].to_vec();
    delay.set(lag);
    players.speak(LINES, Duration::from_secs(3), |_| Ok(false))?;
    let mut before = std::mem::take(&mut players.met);
    ensure!(before.count.lost == 0 && before.closed == 0, "{before:?} before anything was ended");

    let watch = end(&pods.0[0])?;
    let ending = RefCell::new(&mut pods.0[0].process);
    let ended = Cell::new(None);
    players.speak(LINES, LIMIT, |_| {
        if ended.get().is_none() && ending.borrow_mut().has_ended()? {
            ended.set(Some(Instant::now()));
        }
        // The last client to reconnect has a second to receive everything.
        Ok(ended.get().is_some_and(|at| at.elapsed() > Duration::from_secs(1)))
    })?;
    players.settle(Duration::from_secs(10))?;
    let end = watch.join().ok().context("the thread that watches")?;

    let mut column = Column::new(rooms);
    tell(&mut column, &end);
    column.add("the process ended after", ended.get().map_or("-".to_owned(), |at| seconds(at - end.asked)));
    let met = &mut players.met;
    column.add("lines said meanwhile, and heard by two", met.lines.to_string());
    column.add("lines lost without a word", met.count.lost.to_string());
    column.add("lines that MISSED told of", met.count.missed.to_string());
    column.add("lines doubled", met.count.doubled.to_string());
    column.add("round trip of a line before (p50, p99, longest)", times(&mut before.trips));
    column.add("the same while the process ends", times(&mut met.trips));
    let met_it = met.moved_trips.len();
    column.add(
        "the same of the lines that met their room's move",
        format!("{} of {met_it}", times(&mut met.moved_trips)),
    );
    column.add("clients that were sent on: back after (p50, p99, longest)", times(&mut met.entered));
    let most = busiest(&met.entered_at, end.asked) as f64 / met.entered.len().max(1) as f64;
    column.add("of them in the busiest second", format!("{:.0} %", 100.0 * most));
    column.add("not back at the end", players.outside().to_string());
    Ok(column)
}

pub fn near(bench: &Bench, rooms: usize) -> Result<Column> {
    talking(bench, rooms, Duration::ZERO)
}

pub fn far(bench: &Bench, rooms: usize) -> Result<Column> {
    talking(bench, rooms, FAR)
}

/// Rooms that nobody is in: how fast they alone can go.
pub fn empty(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let pods = Pods::start(&bench.place, &bench.chatd, redis.address, 3, &[])?;
    make_rooms(rooms, pods.0[0].tcp)?;
    redis.wait_for_keys(rooms + pods.0.len())?;
    let (commands, cpu) = (redis.commands()?, pods.cpu()?);
    let watch = end(&pods.0[0])?;
    let end = watch.join().ok().context("the thread that watches")?;
    let mut column = Column::new(rooms);
    tell(&mut column, &end);
    column.add("Redis commands a room", redis.commands()?.since(&commands).a_room(rooms));
    let cpu = pods.cpu()?.since(cpu).total().as_secs_f64();
    column.add("CPU time of the two that took them", format!("{cpu:.2} s"));
    Ok(column)
}

/// The most of these times that lie in one second.
fn busiest(at: &[Instant], since: Instant) -> usize {
    let mut seconds = vec![0; LIMIT.as_secs() as usize + 60];
    for at in at {
        seconds[(at.duration_since(since).as_secs() as usize).min(LIMIT.as_secs() as usize + 59)] += 1;
    }
    seconds.into_iter().max().unwrap_or_default()
}
