//! A bot in a room: it rolls dice and tells the time. It stays, whatever happens to pods and networks, and leaves at Ctrl-C or SIGTERM.
//! README.md says how to run it. Does I/O.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use rand::RngExt;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(40); // The server pings every 25 s.
const ENTER: u64 = 1; // The id of JOIN and RESUME.
/// What would be the same the next time.
const FINAL: &str = "auth_expired auth_invalid auth_required bad_command bad_name bad_room banned closed forbidden kicked name_taken \
                     replaced room_not_found";

struct Bot {
    url: String,
    room: String,
    name: String,
    /// A JOIN with the same key gets the same seat, where the answer to the first one was lost.
    key: String,
    auth: Option<String>, // A join token, if the service wants one.
    /// The token of its seat, the room's timeline, and the number of the last message that it has heard there.
    seat: Option<(String, String, u64)>,
    over: Option<String>, // Why it may not come back.
    pause: Duration,
}

impl Bot {
    fn enter(&self) -> Value {
        let Self { room, name, key, auth, .. } = self;
        match &self.seat {
            Some((token, timeline, seq)) => json!({
                "type": "resume", "id": ENTER, "room": room, "token": token, "timeline": timeline, "last_seq": seq,
            }),
            None => json!({
                "type": "join", "id": ENTER, "room": room, "name": name, "resumable": true, "key": key, "auth": auth,
            }),
        }
    }

    /// What it says to an event. An error: it is to be tried again, on a new connection.
    fn hear(&mut self, event: &Value) -> Result<Option<Value>> {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let (kind, code, seq) = (text("type"), text("code"), event["seq"].as_u64().unwrap_or_default());
        match kind {
            "joined" => {
                // What it has missed follows, up to `seq`.
                let was = self.seat.take().filter(|was| event["resumed"] == true && was.1 == text("timeline"));
                self.seat = Some((text("token").into(), text("timeline").into(), was.map_or(seq, |was| was.2)));
                (self.name, self.pause) = (text("name").to_owned(), FIRST_PAUSE);
                eprintln!("in {} as {}", self.room, self.name);
            }
            "message" | "event" | "moved" => {
                if let Some((_, timeline, heard)) = &mut self.seat {
                    *heard = if seq == 0 { *heard } else { seq };
                    *timeline = event["timeline"].as_str().unwrap_or(timeline).to_owned();
                }
                if kind == "message" && text("from") != self.name && event["system"] != true {
                    return Ok(answer(text("from"), text("text")).map(|text| json!({ "type": "say", "text": text })));
                }
            }
            // Its seat has ended: it takes a new one.
            "left" | "error" if kind == "left" || code == "bad_token" => {
                self.seat = None;
                return Ok(Some(self.enter()));
            }
            "error" if event["id"] != ENTER => eprintln!("{code}: {}", text("message")),
            "error" | "bye" if FINAL.split(' ').any(|end| end == code) => self.over = Some(code.to_owned()),
            "error" | "bye" => bail!("{code}"),
            _ => {}
        }
        Ok(None)
    }

    /// One connection, until the bot has left or may not come back. An error: the connection is lost.
    async fn visit(&mut self, stop: &mut watch::Receiver<bool>) -> Result<()> {
        let url = format!("{}/ws", self.url.replacen("http", "ws", 1)).parse()?;
        let request = ClientRequestBuilder::new(url).with_sub_protocol("chatd.v1");
        let (mut socket, _) = timeout(PATIENCE, connect_async(request)).await.context("no answer")??;
        let (mut command, mut is_leaving) = (Some(self.enter()), false);
        while self.over.is_none() {
            if let Some(command) = command.take() {
                socket.send(Message::text(command.to_string())).await?;
            }
            tokio::select! {
                heard = timeout(if is_leaving { PATIENCE } else { SILENCE }, socket.next()) => {
                    let heard = heard.context("the server is silent")?.context("the connection has ended")??;
                    let Message::Text(text) = heard else { continue };
                    let event: Value = serde_json::from_str(&text)?;
                    if is_leaving && event["type"] == "left" {
                        return Ok(());
                    }
                    command = self.hear(&event)?;
                }
                _ = stop.wait_for(|stop| *stop), if !is_leaving => {
                    (command, is_leaving) = (Some(json!({ "type": "leave" })), true);
                }
            }
        }
        Ok(())
    }
}

fn answer(from: &str, text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (command, number) = (words.next()?, words.next().map_or(Ok(6), str::parse::<u32>));
    match (command, number) {
        ("!roll", Ok(sides @ 2..=1_000_000)) => {
            Some(format!("{from} rolls {} of {sides}", rand::rng().random_range(1..=sides)))
        }
        ("!time", _) => Some(format!("It is {} UTC", jiff::Timestamp::now().strftime("%H:%M:%S"))),
        ("!roll" | "!help", _) => Some("I know !roll, !roll 20 and !time".to_owned()),
        _ => None,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let [_, url, room] = env::args().collect::<Vec<_>>().try_into().ok().context("usage: bot <url> <room>")?;
    let (name, auth) = (env::var("BOT_NAME").unwrap_or("dice".into()), env::var("BOT_TOKEN").ok());
    let key = format!("{:032x}", rand::random::<u128>());
    let mut bot = Bot { url, room, name, key, auth, seat: None, over: None, pause: FIRST_PAUSE };
    let (stopping, mut stop) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        stopping.send_replace(true);
    });
    while let Err(error) = bot.visit(&mut stop).await {
        eprintln!("lost: {error:#}");
        let wait = bot.pause.mul_f64(rand::rng().random_range(0.5..1.5));
        bot.pause = (2 * bot.pause).min(LONGEST_PAUSE);
        if timeout(wait, stop.wait_for(|stop| *stop)).await.is_ok() {
            return Ok(());
        }
    }
    bot.over.map_or(Ok(()), |reason| bail!(reason))
}
