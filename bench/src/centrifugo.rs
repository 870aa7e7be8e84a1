//! centrifugo: a room is a channel with four subscribers, who publish to it. JSON over a WebSocket. Does I/O: starts it and opens its rooms.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::load::MEMBERS;
use crate::peers::{Contestant, OpenRoom, Place, finish};
use crate::process::{Process, free_address};
use crate::talk::Talk;
use crate::wire::{self, Decoder, Needle};

/// What only a delivery has: the sender also gets an answer to each of its messages.
const PUSH: &str = r#"{"push":"#;
/// For the API, which is called on loopback alone.
pub const SECRET: &str = "chatd-bench";
const REFUSAL: &str = r#""error":{"#;

#[derive(Debug)]
pub struct Centrifugo {
    processes: [Process; 1],
    address: SocketAddr,
}

impl Centrifugo {
    pub fn start(place: &Place, program: &Path) -> Result<Self> {
        let address = free_address()?;
        let config = place.scratch.join("centrifugo.json");
        // The generator answers no pings of this protocol, and is not asked to. Usage statistics would go to the outside.
        std::fs::write(
            &config,
            format!(
                r#"{{"http_server": {{"address": "127.0.0.1", "port": {}}}, "log": {{"level": "warn"}},
                "http_api": {{"key": "{SECRET}"}},
                "usage_stats": {{"disabled": true}},
                "client": {{"allow_anonymous_connect_without_token": true, "ping_interval": "1h", "pong_timeout": "-1s"}},
                "channel": {{"without_namespace": {{
                    "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
                    "allow_publish_for_subscriber": true, "allow_publish_for_anonymous": true}}}}}}"#,
                address.port()
            ),
        )?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&config);
        let mut process = place.cpus.start_server(&mut command, &place.log("centrifugo"))?;
        process.wait_for(address)?;
        Ok(Self { processes: [process], address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn join(&self, room: usize) -> Result<Talk> {
        let mut talk = Talk::upgrade(self.address, "/connection/websocket", None)?;
        talk.send_frame(r#"{"id":1,"connect":{}}"#)?;
        talk.frame_with(r#""connect":{"#, REFUSAL)?;
        talk.send_frame(&format!(r#"{{"id":2,"subscribe":{{"channel":"room{room}"}}}}"#))?;
        talk.frame_with(r#""subscribe":{"#, REFUSAL)?;
        Ok(talk)
    }
}

impl Contestant for Centrifugo {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let talks = (0..MEMBERS).map(|_| self.join(index)).collect::<Result<Vec<_>>>()?;
        let text = wire::text(index, wire::LINE);
        let message = wire::frame(&format!(r#"{{"id":3,"publish":{{"channel":"room{index}","data":"{text}"}}}}"#));
        Ok(OpenRoom { members: finish(talks, || Decoder::Needle(Needle::new(PUSH)))?, message })
    }
}
