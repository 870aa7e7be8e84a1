//! The load generator: rooms of four sockets, one member of each sends, and all four must get each line once.
//! Does I/O: one epoll loop over non-blocking sockets, level-triggered, one read an event.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::process::Cpu;
use crate::socket::Socket;
use crate::wire::Decoder;

pub const MEMBERS: usize = 4;

/// Without a single delivery for this long a run has failed; far above any wake-up on a busy machine.
const STALL: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Member {
    stream: Socket,
    decoder: Decoder,
    /// Messages of the room's current batch that this member has not got yet.
    due: u32,
}

#[derive(Debug)]
struct Room {
    /// One message as the sender writes it.
    message: Vec<u8>,
    /// Members that wait for messages of the current batch.
    waiting: usize,
    sent: Instant,
}

/// One contestant's connections. Room r's members are 4r to 4r+3, the first of them sends.
pub struct Load {
    epoll: OwnedFd,
    members: Vec<Member>,
    rooms: Vec<Room>,
    /// What a run sends for a room, built once a run.
    batch: Vec<u8>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    ready: VecDeque<usize>,
    /// Messages that have come so far. A slow server's batches may take as long as a window, so they are not counted as wholes.
    delivered: u64,
}

/// What one measuring window saw.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub deliveries: u64,
    pub elapsed: Duration,
    /// CPU time of the server's processes.
    pub cpu: Cpu,
}

impl Load {
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            members: Vec::new(),
            rooms: Vec::new(),
            batch: Vec::new(),
            buffer: vec![0; 64 * 1024],
            events: Vec::with_capacity(1024),
            ready: VecDeque::new(),
            delivered: 0,
        })
    }

    /// Adds a room of four connections that have joined it and have nothing left to read.
    pub fn add_room(&mut self, streams: Vec<(Socket, Decoder)>, message: Vec<u8>) -> Result<()> {
        ensure!(streams.len() == MEMBERS, "a room has {MEMBERS} members, not {}", streams.len());
        for (stream, decoder) in streams {
            stream.stream().set_nonblocking(true)?;
            let index = epoll::EventData::new_u64(self.members.len() as u64);
            epoll::add(&self.epoll, stream.stream(), index, epoll::EventFlags::IN)?;
            self.members.push(Member { stream, decoder, due: 0 });
        }
        self.rooms.push(Room { message, waiting: 0, sent: Instant::now() });
        Ok(())
    }

    pub fn connections(&self) -> usize {
        self.members.len()
    }

    /// Answers the pings that came while another contestant was driven.
    pub fn answer_pings(&mut self) -> Result<()> {
        while self.turn(Some(Duration::ZERO))? {}
        Ok(())
    }

    /// Keeps `lines` messages a room under way in every room, for `warm` and then for `window`, and waits until all
    /// have arrived. `cpu` reads the server's CPU time so far.
    ///
    /// # Errors
    /// A delivery that is missing, doubled or no message, a closed connection.
    pub fn run(
        &mut self,
        lines: u32,
        warm: Duration,
        window: Duration,
        cpu: &dyn Fn() -> Result<Cpu>,
    ) -> Result<Window> {
        self.answer_pings()?;
        for room in 0..self.rooms.len() {
            self.send(room, lines)?;
        }
        let warm_end = Instant::now() + warm;
        while Instant::now() < warm_end {
            self.next_round(lines)?;
        }
        let (started, cpu_before, before) = (Instant::now(), cpu()?, self.delivered);
        while started.elapsed() < window {
            self.next_round(lines)?;
        }
        let (elapsed, cpu_after, deliveries) = (started.elapsed(), cpu()?, self.delivered - before);
        self.drain()?;
        Ok(Window { deliveries, elapsed, cpu: cpu_after.since(cpu_before) })
    }

    /// Sends a message in each room `a_second` times a second, the rooms in turn, for `warm` and then for `window`, and waits until all
    /// have arrived. A room whose last one has not arrived is passed over.
    ///
    /// # Errors
    /// As [`Load::run`].
    pub fn run_paced(
        &mut self,
        a_second: f64,
        warm: Duration,
        window: Duration,
        cpu: &dyn Fn() -> Result<Cpu>,
    ) -> Result<Window> {
        self.answer_pings()?;
        let gap = Duration::from_secs_f64(1.0 / (a_second * self.rooms.len() as f64));
        let (begun, mut due) = (Instant::now(), Duration::ZERO);
        let (mut next, mut start) = (0, None);
        loop {
            let now = begun.elapsed();
            if start.is_none() && now >= warm {
                start = Some((Instant::now(), cpu()?, self.delivered));
            }
            if let Some((started, cpu_before, before)) = start
                && now >= warm + window
            {
                let (elapsed, cpu_after, deliveries) = (started.elapsed(), cpu()?, self.delivered - before);
                self.drain()?;
                return Ok(Window { deliveries, elapsed, cpu: cpu_after.since(cpu_before) });
            }
            while due <= now {
                if self.rooms[next].waiting == 0 {
                    self.send(next, 1)?;
                }
                next = (next + 1) % self.rooms.len();
                due += gap;
            }
            self.turn(Some(due.saturating_sub(begun.elapsed())))?;
            self.ready.clear();
        }
    }

    /// Round trips of single lines, one room at a time: from the write to the last of the four deliveries.
    pub fn round_trips(&mut self, count: usize) -> Result<Vec<Duration>> {
        self.answer_pings()?;
        let mut times = Vec::with_capacity(count);
        for index in 0..count {
            let room = index % self.rooms.len();
            self.send(room, 1)?;
            while self.rooms[room].waiting > 0 {
                self.expect_turn()?;
            }
            times.push(self.rooms[room].sent.elapsed());
            self.ready.clear();
        }
        Ok(times)
    }

    /// One turn of the loop, then the next batch for each room that got all of its last one.
    fn next_round(&mut self, lines: u32) -> Result<()> {
        self.expect_turn()?;
        while let Some(room) = self.ready.pop_front() {
            self.send(room, lines)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        while self.rooms.iter().any(|room| room.waiting > 0) {
            self.expect_turn()?;
        }
        self.ready.clear();
        Ok(())
    }

    fn send(&mut self, index: usize, lines: u32) -> Result<()> {
        let room = &mut self.rooms[index];
        let members = &mut self.members[index * MEMBERS..][..MEMBERS];
        for member in &mut *members {
            member.due = lines;
        }
        room.waiting = MEMBERS;
        self.batch.clear();
        for _ in 0..lines {
            self.batch.extend_from_slice(&room.message);
        }
        room.sent = Instant::now();
        // A batch is at most a few kB and the last one has been read, so a short write means a broken run.
        let written = members[0].stream.write(&self.batch).context("sending a batch")?;
        ensure!(written == self.batch.len(), "only {written} of {} bytes could be written", self.batch.len());
        Ok(())
    }

    fn expect_turn(&mut self) -> Result<()> {
        if !self.turn(Some(STALL))? {
            let room = self.rooms.iter().position(|room| room.waiting > 0);
            bail!("nothing was delivered for {STALL:?}; room {room:?} still waits");
        }
        Ok(())
    }

    /// Waits for input and handles it; rooms that are complete go to `ready`. False if nothing came.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<bool> {
        let timeout = timeout.map(Timespec::try_from).transpose()?;
        self.events.clear();
        let events = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, events, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        let mut answer = Vec::new();
        for event in &self.events {
            let index = event.data.u64() as usize;
            let member = &mut self.members[index];
            let got = match member.stream.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed connection {index}"),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error).with_context(|| format!("connection {index}")),
            };
            let messages = match member.decoder.count(&self.buffer[..got], &mut answer) {
                Ok(messages) => messages,
                Err(what) => bail!("connection {index}: {what}"),
            };
            if !answer.is_empty() {
                ensure!(member.stream.write(&answer)? == answer.len(), "an answer to a ping could not be written");
                answer.clear();
            }
            if messages == 0 {
                continue;
            }
            ensure!(messages <= member.due, "connection {index} got {messages} messages, {} were due", member.due);
            member.due -= messages;
            self.delivered += u64::from(messages);
            if member.due == 0 {
                let room = &mut self.rooms[index / MEMBERS];
                room.waiting -= 1;
                if room.waiting == 0 {
                    self.ready.push_back(index / MEMBERS);
                }
            }
        }
        Ok(!self.events.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use super::*;
    use crate::wire::Needle;

    /// A server that is slower than a window: of the two lines that it owes each member it writes one when the window begins,
    /// nothing that counts as long as that lasts, and the other one when it is over.
    #[test]
    fn what_came_of_an_unfinished_batch_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut load = Load::new().unwrap();
        let (streams, mut served): (Vec<_>, Vec<_>) = (0..MEMBERS)
            .map(|_| {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                ((stream.into(), Decoder::Needle(Needle::new("line"))), listener.accept().unwrap().0)
            })
            .unzip();
        load.add_room(streams, b"line".to_vec()).unwrap();
        let (mark, marks) = mpsc::channel();
        let server = std::thread::spawn(move || {
            let mut all = |bytes: &[u8]| served.iter_mut().try_for_each(|member| member.write_all(bytes)).unwrap();
            marks.recv().unwrap();
            all(b"line");
            while marks.try_recv().is_err() {
                all(b".");
            }
            all(b"line");
            served
        });
        let cpu = || Ok(mark.send(()).map(|()| Cpu::default())?);
        let window = load.run(2, Duration::ZERO, Duration::from_millis(100), &cpu).unwrap();
        assert_eq!(window.deliveries, MEMBERS as u64);
        server.join().unwrap();
    }
}
