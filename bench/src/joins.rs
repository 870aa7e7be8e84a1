//! How long a JOIN takes while many rooms are open, and how many rooms a second one pod makes.
//! Does I/O.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::chatd::Chatd;
use crate::peers::Contestant;
use crate::talk::Talk;

/// Times from a JOIN to its JOINED, `samples` of them by each of `clients` at once, on a pod with `rooms` rooms open.
/// Each client's joins go round its share of the rooms, and it leaves before the next.
pub fn join_times(chatd: &Chatd, rooms: usize, clients: usize, samples: usize) -> Result<Vec<Duration>> {
    let pod = chatd.owner();
    // The hosts stay in their rooms until all is measured.
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
    let names = &names;
    let times = std::thread::scope(|scope| {
        let client = |index: usize| -> Result<Vec<Duration>> {
            let mut talk = Talk::connect(pod.tcp)?;
            let mut times = Vec::with_capacity(samples);
            for room in names.iter().skip(index).step_by(clients).cycle().take(samples) {
                let started = Instant::now();
                talk.send(&format!("JOIN {room} guest\n"))?;
                talk.line_that_starts("JOINED ")?;
                times.push(started.elapsed());
                talk.send("LEAVE\n")?;
                talk.line_that_starts("LEFT ")?;
            }
            Ok(times)
        };
        let threads = (0..clients).map(|index| scope.spawn(move || client(index))).collect::<Vec<_>>();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a client panicked")?)
            .collect::<Result<Vec<Vec<Duration>>>>()
    })?;
    drop(hosts);
    Ok(times.concat())
}

/// What making rooms took.
#[derive(Debug, Clone, Copy)]
pub struct Creation {
    pub rooms: usize,
    pub elapsed: Duration,
    pub cpu: Duration,
}

/// Makes `rounds` times `connections` rooms, one under way on each connection at all times.
pub fn create_rooms(chatd: &Chatd, connections: usize, rounds: usize) -> Result<Creation> {
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
    Ok(Creation { rooms: rounds * connections, elapsed: started.elapsed(), cpu: chatd.cpu()?.since(cpu).total() })
}
