//! The command `tcp-demo`: a cluster if there is none, its databases, three chatd replicas, and ports to them until Ctrl-C.

use std::process::ExitCode;

use anyhow::Result;

use crate::deploy::{self, kube::Kube};
use crate::forward::{Destination, LocalPorts, Ports};
use crate::up;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    up: up::Arguments,
    /// Ends when the pods are ready, with no ports opened.
    #[arg(long)]
    no_forward: bool,
    #[command(flatten)]
    local: LocalPorts,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ports = if arguments.no_forward { None } else { Some(Ports::open(Destination::Chatd, &arguments.local)?) };
    if up::run(&arguments.up)? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let selection = &arguments.up.selection;
    let kube = Kube::of(selection)?;
    deploy::images(selection, &["redis", "postgres", "chatd"])?;
    deploy::databases(&kube)?;
    deploy::chatd(&kube)?;
    let Some(ports) = ports else { return Ok(ExitCode::SUCCESS) };
    println!("{}", next_steps(ports.local(8081), ports.local(7654)));
    ports.keep(&kube)
}

fn next_steps(web: u16, lines: u16) -> String {
    format!(
        "
Rooms for four, in three pods behind one Service:

  page    http://localhost:{web}
  lines   nc localhost {lines}      then CREATE_ROOM, JOIN <room> alice RELAY, any text, LEAVE
  pods    make -s kubectl ARGS=\"get pods -n chatd -o wide\"

Make a room on the page, join it with nc, and delete the pod that has it: the room goes on.
  make -s kubectl ARGS=\"delete pod chatd-0 -n chatd\"
With RELAY a pod carries you to the room's own; without it you are told its address, which only pods can reach.
Ctrl-C closes the ports; make down takes everything away.
"
    )
}
