//! ejabberd: a room is one of Multi-User Chat (XEP-0045), over XMPP's TCP streams. Does I/O: starts it and opens its rooms.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::load::MEMBERS;
use crate::peers::{Contestant, OpenRoom, Place, finish};
use crate::process::{Process, free_address};
use crate::talk::Talk;
use crate::wire::{self, Decoder, Needle};

/// What only a room's message ends with: an error has its cause behind the body.
const END: &str = "</body></message>";
const OPEN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

#[derive(Debug)]
pub struct Ejabberd {
    processes: [Process; 1],
    address: SocketAddr,
}

impl Ejabberd {
    /// `application`: the folder `ejabberd-<version>` beside those of the other Erlang applications that it needs.
    pub fn start(place: &Place, application: &Path) -> Result<Self> {
        let address = free_address()?;
        let folder = place.scratch.join(format!("ejabberd-{}", address.port()));
        std::fs::create_dir(&folder)?;
        let config = folder.join("ejabberd.yml");
        // Nothing but chat rooms, and no shapers: the ones of Debian's configuration let 3,000 bytes a second through.
        std::fs::write(
            &config,
            format!(
                "hosts: [localhost]\nloglevel: error\nauth_method: [anonymous]\nanonymous_protocol: sasl_anon\n\
                 listen:\n  - {{port: {}, ip: 127.0.0.1, module: ejabberd_c2s}}\nmodules:\n  mod_muc: {{}}\n",
                address.port()
            ),
        )?;
        let mut command = Command::new("erl");
        // As ejabberdctl starts it, but not as a node of a cluster: that would listen to more than loopback, and start a daemon.
        command
            .args(["-noinput", "+K", "true", "+P", "262144", "-mnesia", "dir"])
            .arg(format!("\"{}\"", folder.join("mnesia").display()))
            .args(["-s", "ejabberd"])
            .env("ERL_LIBS", application.parent().context("ejabberd's folder has no parent")?)
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("EJABBERD_CONFIG_PATH", &config)
            .env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"));
        let mut process = place.cpus.start_server(&mut command, &place.log("ejabberd"))?;
        process.wait_for(address)?;
        Ok(Self { processes: [process], address })
    }

    fn join(&self, room: usize, name: &str) -> Result<Talk> {
        let mut talk = Talk::connect(self.address)?;
        let steps = [
            (OPEN, "</stream:features>"),
            ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>", "xmpp-sasl'/>"),
            (OPEN, "</stream:features>"),
            ("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>"),
            (&enter(room, name), "<subject/></message>"),
        ];
        for (send, wanted) in steps {
            talk.send(send)?;
            talk.until(wanted)?;
        }
        Ok(talk)
    }
}

fn enter(room: usize, name: &str) -> String {
    format!("<presence to='{room}@conference.localhost/{name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
}

impl Contestant for Ejabberd {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn open_room(&self, index: usize) -> Result<OpenRoom> {
        let names = (0..MEMBERS).map(|member| format!("p{member}"));
        let mut talks = names.map(|name| self.join(index, &name)).collect::<Result<Vec<_>>>()?;
        let text = wire::text(index, wire::LINE);
        let message =
            format!("<message to='{index}@conference.localhost' type='groupchat'><body>{text}{END}").into_bytes();
        // The last one's message comes to all behind what the room told them of each other's entering.
        talks[MEMBERS - 1].send_bytes(&message)?;
        for talk in &mut talks {
            talk.until(END)?;
        }
        Ok(OpenRoom { members: finish(talks, || Decoder::Needle(Needle::new(END)))?, message })
    }
}

/// The version in an application's folder's name.
pub fn version(application: &Path) -> String {
    let name = application.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.trim_start_matches("ejabberd-").to_owned()
}
