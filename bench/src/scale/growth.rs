//! Three processes become six while their rooms are in use: how long until these are spread over all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::players::Players;
use super::pods::{Pods, Redis, figures, make_rooms};
use super::table::Column;
use super::{Bench, times};

const BEFORE: usize = 3;
/// Lines a second in all rooms together.
const LINES: f64 = 2_000.0;
/// Files that are neither speakers nor listeners.
const OTHER_FILES: usize = 500;
/// How often the processes are asked for their rooms, and one of the first three for a new room.
const LOOK: Duration = Duration::from_millis(500);
/// Of the mean, in per cent: that far from it is level.
const LEVEL: u64 = 15;
const LIMIT: Duration = Duration::from_mins(5);
/// Moves go on for a while: nothing may be lost then either.
const AFTER: Duration = Duration::from_secs(20);

/// What the rooms of each process came to.
struct Rooms {
    level: Option<Instant>,
    last: Vec<u64>,
    new: u64,
}

fn is_level(rooms: &[u64]) -> bool {
    let sum = rooms.iter().sum::<u64>();
    rooms.iter().all(|own| (own * rooms.len() as u64).abs_diff(sum) * 100 <= sum * LEVEL)
}

/// Asks for rooms, in both senses, from a thread of its own, until they have been level for a while or for `LIMIT`; then it is `over`.
fn watch(admins: Vec<SocketAddr>, doors: Vec<SocketAddr>, over: Arc<AtomicBool>) -> JoinHandle<Result<Rooms>> {
    std::thread::spawn(move || {
        let mut rooms = Rooms { level: None, last: Vec::new(), new: 0 };
        let started = Instant::now();
        for door in doors.iter().cycle() {
            if started.elapsed() > LIMIT || rooms.level.is_some_and(|at| at.elapsed() > AFTER) {
                break;
            }
            rooms.new += make_rooms(1, *door)?.len() as u64;
            rooms.last =
                admins.iter().map(|admin| Ok(figures(*admin)?.of("chatd_rooms"))).collect::<Result<Vec<_>>>()?;
            if is_level(&rooms.last) {
                rooms.level.get_or_insert_with(Instant::now);
            }
            std::thread::sleep(LOOK);
        }
        over.store(true, Ordering::Relaxed);
        Ok(rooms)
    })
}

pub fn growth(bench: &Bench, rooms: usize) -> Result<Column> {
    let redis = Redis::start(&bench.place)?;
    let balance = ["--balance", "on"];
    let mut pods = Pods::start(&bench.place, &bench.chatd, redis.address, BEFORE, &balance)?;
    let doors: Vec<_> = pods.0.iter().map(|pod| pod.tcp).collect();
    let mut players = Players::new()?;
    players.open_rooms(rooms, &doors)?;
    let speakers = rooms.min(bench.files.saturating_sub(rooms + OTHER_FILES));
    players.join_rooms(0, speakers, "s", &[doors[1], doors[2], doors[0]])?;
    players.let_speak(speakers);
    players.speak(LINES, Duration::from_secs(3), |_| Ok(false))?;
    let mut before = std::mem::take(&mut players.met);
    ensure!(before.count.lost == 0 && before.closed == 0, "{before:?} before there were more processes");

    pods.more(&bench.place, &bench.chatd, redis.address, BEFORE, &balance)?;
    let grown = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let watch = watch(pods.0.iter().map(|pod| pod.admin).collect(), doors, over.clone());
    players.speak(LINES, 2 * LIMIT, |_| Ok(over.load(Ordering::Relaxed) || watch.is_finished()))?;
    let spread = watch.join().ok().context("the thread that watches")??;
    players.settle(Duration::from_secs(10))?;

    let sum = |name: &str| pods.0.iter().map(|pod| Ok(pod.figures()?.of(name))).sum::<Result<u64>>();
    let mut column = Column::new(rooms);
    let at = spread.level.map_or("not in time".to_owned(), |at| format!("{:.0} s", (at - grown).as_secs_f64()));
    column.add("every process within 15 % of the mean after", at);
    let list: Vec<_> = spread.last.iter().map(u64::to_string).collect();
    column.add("rooms of each 20 s later", list.join(", "));
    column.add("rooms moved", sum("chatd_balance_migrations_total")?.to_string());
    column.add("moves that failed", sum("chatd_outgoing_migrations_failed_total")?.to_string());
    let created = sum("chatd_balance_creations_total")?;
    column.add("new rooms asked of the first three, and created by others", format!("{}, {created}", spread.new));
    let met = &mut players.met;
    column.add("lines said meanwhile, and heard by two", met.lines.to_string());
    column.add("lines lost without a word", met.count.lost.to_string());
    column.add("lines that MISSED told of", met.count.missed.to_string());
    column.add("lines doubled", met.count.doubled.to_string());
    column.add("connections that ended", met.closed.to_string());
    column.add("round trip of a line before (p50, p99, longest)", times(&mut before.trips));
    column.add("the same meanwhile", times(&mut met.trips));
    let met_it = met.moved_trips.len();
    column.add(
        "the same of the lines that met their room's move",
        format!("{} of {met_it}", times(&mut met.moved_trips)),
    );
    Ok(column)
}
