//! Messages that a webhook is told of, and a receiver on loopback. Does I/O.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::calls::{Caller, api, bearer};
use super::fanout::work;
use super::{Bench, Work, spread};
use crate::chatd::{self, Chatd, Way};
use crate::load::Load;
use crate::peers::Contestant;
use crate::wire::{self, LINE};

/// Messages a second of each room when paced.
const PACE: f64 = 8.0;
const WARM: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(3);
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// What came to the receiver.
#[derive(Debug, Default)]
struct Received {
    events: AtomicU64,
    /// Events of which the server says that it dropped them.
    dropped: AtomicU64,
}

impl Received {
    fn now(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

pub fn measure(bench: &Bench) -> Result<String> {
    let options = bench.options;
    let received = Arc::new(Received::default());
    let receiver = receive(received.clone())?;
    let (without, mut without_load) = start(bench, "untold", None)?;
    let (with, mut load) = start(bench, "told", Some(receiver))?;
    let (mut rates, mut costs, mut most, mut lost) = (Vec::new(), Vec::new(), Vec::new(), [0; 2]);
    for round in 1..=options.rounds {
        let plain = work(without_load.run_paced(PACE, WARM, WINDOW, &|| without.cpu())?);
        let before = received.now().1;
        let told = work(load.run_paced(PACE, WARM, WINDOW, &|| with.cpu())?);
        lost[0] += received.now().1 - before;
        // Each message has four deliveries.
        let cost = |work: &Work| work.cpu.total().as_secs_f64() * 1e6 / (work.count as f64 / 4.0);
        rates.push(told.a_second() / 4.0);
        costs.push(cost(&told) - cost(&plain));
        eprintln!(
            "round {round}: paced, with a webhook {:.1} µs a message, without {:.1} µs",
            cost(&told),
            cost(&plain)
        );
        let before_full = received.now().1;
        let marks = RefCell::new(Vec::new());
        let full = load.run(1, WARM, WINDOW, &|| {
            marks.borrow_mut().push(received.now().0);
            with.cpu()
        })?;
        let marks = marks.into_inner();
        let events = marks.last().zip(marks.first()).map_or(0, |(last, first)| last - first);
        lost[1] += received.now().1 - before_full;
        most.push(events as f64 / full.elapsed.as_secs_f64());
        eprintln!("round {round}: {events} events in {:?}, {:?}", full.elapsed, received.now());
    }
    Ok(format!(
        "## Webhook events\n\n{} rooms of 4 connections by lines, whose every message the webhook is told of: a signed POST each, to a receiver on \
         loopback that answers at once.\n\n| what | figure |\n|---|---|\n\
         | events a second at {PACE} messages a second in each room, {} dropped | {} |\n\
         | CPU of the server for an event, beside the message's own | {} µs |\n\
         | events a second while each room says the next line once it has one, {} dropped | {} |\n",
        options.rooms,
        lost[0],
        spread(rates),
        spread(costs),
        lost[1],
        spread(most),
    ))
}

/// A pod, and rooms of four.
fn start(bench: &Bench, name: &str, receiver: Option<SocketAddr>) -> Result<(Chatd, Load)> {
    let Bench { options, place, redis } = bench;
    let (address, arguments) = api(&place.scratch)?;
    let mut more = arguments.to_vec();
    if let Some(receiver) = receiver {
        more.extend(["--webhook-url".into(), format!("http://{receiver}/").into()]);
        more.extend(["--webhook-secret-file".into(), chatd::webhook_secret(place, name)?.into()]);
    }
    let pod = Chatd::start_with(place, &options.chatd, redis, name, Way::Lines, &more)?;
    let (mut caller, mut load) = (Caller::new(address, bearer())?, Load::new()?);
    for index in 0..options.rooms {
        let made = caller.call(("POST", "/v1/rooms", r#"{"descriptor":{"webhook":true}}"#))?;
        let made: serde_json::Value = serde_json::from_str(&made)?;
        let room = made["room"].as_str().with_context(|| format!("no room in {made}"))?;
        load.add_room(chatd::members_by_lines(pod.owner().tcp, None, room, "")?, wire::line(index))?;
    }
    eprintln!("{name}: {} connections open, lines of {LINE} bytes", load.connections());
    Ok((pod, load))
}

/// A receiver, until the process ends.
fn receive(received: Arc<Received>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let received = received.clone();
            std::thread::spawn(move || serve(stream, &received));
        }
    });
    Ok(address)
}

/// Answers each request of a connection, until it ends.
fn serve(mut stream: TcpStream, received: &Received) -> Option<()> {
    let (mut buffer, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        while let Some(head) = memchr::memmem::find(&buffer, b"\r\n\r\n").map(|end| end + 4) {
            let length = number_after(&buffer[..head].to_ascii_lowercase(), b"content-length: ").unwrap_or(0);
            let end = head + usize::try_from(length).ok()?;
            if buffer.len() < end {
                break;
            }
            received.events.fetch_add(1, Ordering::Relaxed);
            let dropped = number_after(&buffer[head..end], br#""dropped":"#).unwrap_or(0);
            received.dropped.fetch_add(dropped, Ordering::Relaxed);
            buffer.drain(..end);
            stream.write_all(NO_CONTENT).ok()?;
        }
        let got = stream.read(&mut chunk).ok().filter(|got| *got > 0)?;
        buffer.extend_from_slice(&chunk[..got]);
    }
}

fn number_after(bytes: &[u8], what: &[u8]) -> Option<u64> {
    let rest = &bytes[memchr::memmem::find(bytes, what)? + what.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
