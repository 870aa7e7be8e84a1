//! Calls of the server API, beside centrifugo's. Does I/O.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Bench, SECRET, Work, rates};
use crate::centrifugo::{self, Centrifugo};
use crate::chatd::{Chatd, Way};
use crate::joins;
use crate::peers::{self, Contestant};
use crate::process::free_address;
use crate::talk::Talk;
use crate::wire;

const ROOMS: usize = 1_000;
const CALLERS: usize = 16;
/// Calls of each caller in a round.
const CALLS: usize = 500;

/// A connection of a backend that is kept open, and what its calls have in their heads.
pub struct Caller {
    talk: Talk,
    address: SocketAddr,
    credential: String,
}

impl Caller {
    pub fn new(address: SocketAddr, credential: String) -> Result<Self> {
        Ok(Self { talk: Talk::connect(address)?, address, credential })
    }

    /// The body of an answer that is no error.
    pub fn call(&mut self, (method, path, body): (&str, &str, &str)) -> Result<String> {
        let Self { talk, address, credential } = self;
        talk.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{credential}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))?;
        let status = talk.line()?;
        let mut length = 0;
        loop {
            let line = talk.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let body = talk.exact(length)?;
        ensure!(status.starts_with("HTTP/1.1 20"), "{method} {path}: {status} {body}");
        Ok(body)
    }
}

/// What starts chatd with its API.
pub fn api(folder: &Path) -> Result<(SocketAddr, [OsString; 4])> {
    let (address, file) = (free_address()?, folder.join("api-keys.json"));
    let keys = format!(r#"{{"keys":[{{"id":"bench","secret":"{SECRET}","scopes":["read","write"]}}]}}"#);
    std::fs::write(&file, keys)?;
    Ok((address, ["--api-listen".into(), address.to_string().into(), "--api-keys-file".into(), file.into()]))
}

pub fn bearer() -> String {
    format!("Authorization: Bearer {SECRET}")
}

/// Method, path and body of a caller's next call.
type Request<'a> = Box<dyn Fn(usize) -> (&'static str, String, String) + Sync + 'a>;

struct Row<'a> {
    name: String,
    server: &'a dyn Contestant,
    address: SocketAddr,
    credential: String,
    request: Request<'a>,
    works: Vec<Work>,
}

pub fn measure(bench: &Bench) -> Result<String> {
    let Bench { options, place, redis } = bench;
    let (address, more) = api(&place.scratch)?;
    let chatd = Chatd::start_with(place, &options.chatd, redis, "calls", Way::Lines, &more)?;
    let other = match &options.installed.centrifugo {
        Some(program) => Some((Centrifugo::start(place, program)?, peers::version(program, "version")?)),
        None => None,
    };
    let hosted = joins::host(&chatd, ROOMS)?;
    let room = |index: usize| &hosted.names[index % ROOMS];
    let text = wire::text(0, wire::LINE);
    let say = serde_json::json!({ "text": text }).to_string();
    let requests: [(&str, Request); 3] = [
        ("look at a room", Box::new(|index| ("GET", format!("/v1/rooms/{}", room(index)), String::new()))),
        ("say to a room", Box::new(|index| ("POST", format!("/v1/rooms/{}/messages", room(index)), say.clone()))),
        ("make a room", Box::new(|_| ("POST", "/v1/rooms".to_owned(), "{}".to_owned()))),
    ];
    let row = |name, server, address, credential, request| Row {
        name,
        server,
        address,
        credential,
        request,
        works: Vec::new(),
    };
    let mut rows = Vec::new();
    for (name, request) in requests {
        rows.push(row(format!("chatd, {name}"), &chatd as &dyn Contestant, address, bearer(), request));
    }
    let mut subscribers = Vec::new();
    if let Some((centrifugo, version)) = &other {
        subscribers = (0..ROOMS).map(|index| centrifugo.join(index)).collect::<Result<Vec<_>>>()?;
        let publish = |index: usize| {
            let body = serde_json::json!({ "channel": format!("room{}", index % ROOMS), "data": text }).to_string();
            ("POST", "/api/publish".to_owned(), body)
        };
        let version =
            version.trim_start_matches("Centrifugo ").trim_start_matches('v').split(' ').next().unwrap_or_default();
        let name = format!("centrifugo {version}, publish to a channel");
        rows.push(row(
            name,
            centrifugo,
            centrifugo.address(),
            format!("X-API-Key: {}", centrifugo::SECRET),
            Box::new(publish),
        ));
    }
    for round in 1..=options.rounds {
        for row in &mut rows {
            row.works.push(calls(row).with_context(|| row.name.clone())?);
            eprintln!("round {round}: {}: {:?}", row.name, row.works.last());
        }
    }
    drop(subscribers);
    let mut out = format!(
        "## Calls of the server API\n\n{CALLERS} connections that are kept open, one call under way on each. {ROOMS} rooms with one player \
         in each, or channels with one subscriber; 64 bytes of text.\n\n| call | a CPU second of the server | a second |\n|---|---|---|\n"
    );
    for row in &rows {
        let _ = writeln!(out, "| {} | {} |", row.name, rates(&row.works));
    }
    Ok(out)
}

/// One round.
fn calls(row: &Row) -> Result<Work> {
    let callers = (0..CALLERS).map(|_| Caller::new(row.address, row.credential.clone())).collect::<Result<Vec<_>>>()?;
    let (started, before) = (Instant::now(), row.server.cpu()?);
    std::thread::scope(|scope| {
        let request = &row.request;
        let work = |(index, mut caller): (usize, Caller)| -> Result<()> {
            for call in 0..CALLS {
                let (method, path, body) = request(index + call * CALLERS);
                caller.call((method, &path, &body))?;
            }
            Ok(())
        };
        let threads =
            callers.into_iter().enumerate().map(|caller| scope.spawn(move || work(caller))).collect::<Vec<_>>();
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a caller panicked")?)
    })?;
    Ok(Work { count: (CALLERS * CALLS) as u64, elapsed: started.elapsed(), cpu: row.server.cpu()?.since(before) })
}
