//! How long a JOIN takes while many rooms are open, and how many rooms a second one pod makes.
//! Does I/O.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::chatd::{Chatd, Redis};
use crate::peers::Contestant;
use crate::talk::Talk;

/// Open rooms, each with its host in it as long as this lives.
pub struct Hosted {
    pub names: Vec<String>,
    _hosts: Vec<Talk>,
}

/// Opens `rooms` rooms with a host each.
pub fn host(chatd: &Chatd, rooms: usize) -> Result<Hosted> {
    let pod = chatd.owner();
    let mut hosts = Vec::with_capacity(rooms);
    let mut names = Vec::with_capacity(rooms);
    for _ in 0..rooms {
        let mut host = Talk::connect(pod.tcp)?;
        host.send("CREATE_ROOM\n")?;
        let room = host.line_that_starts("ROOM ")?["ROOM ".len()..].to_owned();
        host.send(&format!("JOIN {room} host\n"))?;
        host.line_that_starts("JOINED ")?;
        hosts.push(host);
        names.push(room);
    }
    Ok(Hosted { names, _hosts: hosts })
}

/// Times from a JOIN to its JOINED, `samples` of them by each of `clients` at once; and as many times of a bare SET to
/// Redis, taken in between: what the machine makes of two processes that write to each other, at that moment.
/// Each client's joins go round its share of the open rooms, and it leaves before the next.
pub fn join_times(
    chatd: &Chatd,
    redis: &Redis,
    hosted: &Hosted,
    clients: usize,
    samples: usize,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (pod, names) = (chatd.owner(), &hosted.names);
    let times = std::thread::scope(|scope| {
        let client = |index: usize| -> Result<Vec<(Duration, Duration)>> {
            let (mut talk, mut store) = (Talk::connect(pod.tcp)?, Talk::connect(redis.address)?);
            let mut times = Vec::with_capacity(samples);
            for room in names.iter().skip(index).step_by(clients).cycle().take(samples) {
                let started = Instant::now();
                talk.send(&format!("JOIN {room} guest\n"))?;
                talk.line_that_starts("JOINED ")?;
                let join = started.elapsed();
                talk.send("LEAVE\n")?;
                talk.line_that_starts("LEFT ")?;
                let started = Instant::now();
                store.send("SET bench:probe x\r\n")?;
                store.line_that_starts("+OK")?;
                times.push((join, started.elapsed()));
            }
            Ok(times)
        };
        let threads = (0..clients).map(|index| scope.spawn(move || client(index))).collect::<Vec<_>>();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a client panicked")?)
            .collect::<Result<Vec<Vec<(Duration, Duration)>>>>()
    })?;
    Ok(times.into_iter().flatten().unzip())
}

/// What making rooms took.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    pub rooms: usize,
    pub elapsed: Duration,
    pub cpu: Duration,
}

/// Makes `rounds` times `connections` rooms, one under way on each connection at all times.
///
/// # Errors
/// A room that was answered and is not in `redis`.
pub fn create_rooms(chatd: &Chatd, redis: &Redis, connections: usize, rounds: usize) -> Result<Creation> {
    let keys_before = redis.keys()?;
    let mut talks = (0..connections).map(|_| Talk::connect(chatd.owner().tcp)).collect::<Result<Vec<_>>>()?;
    for talk in &mut talks {
        talk.send("CREATE_ROOM\n")?;
        talk.line_that_starts("ROOM ")?;
    }
    let (started, cpu) = (Instant::now(), chatd.cpu()?);
    for talk in &mut talks {
        talk.send("CREATE_ROOM\n")?;
    }
    for round in 1..=rounds {
        for talk in &mut talks {
            talk.line_that_starts("ROOM ")?;
            if round < rounds {
                talk.send("CREATE_ROOM\n")?;
            }
        }
    }
    let creation =
        Creation { rooms: rounds * connections, elapsed: started.elapsed(), cpu: chatd.cpu()?.since(cpu).total() };
    let keys = redis.keys()? - keys_before;
    ensure!(keys >= creation.rooms + connections, "{} rooms were answered, Redis holds {keys}", creation.rooms);
    Ok(creation)
}
