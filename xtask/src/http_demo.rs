//! The command `http-demo`: a cluster if there is none, its databases, the HTTP demo, and a port to it until Ctrl-C.

use std::process::ExitCode;

use anyhow::Result;

use crate::deploy::{self, kube::Kube};
use crate::forward::{Destination, LocalPorts, Ports};
use crate::up;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    up: up::Arguments,
    /// Ends when the pods are ready, with no port opened.
    #[arg(long)]
    no_forward: bool,
    #[command(flatten)]
    local: LocalPorts,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let ports = if arguments.no_forward { None } else { Some(Ports::open(Destination::HttpDemo, &arguments.local)?) };
    if up::run(&arguments.up)? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let selection = &arguments.up.selection;
    let kube = Kube::of(selection)?;
    deploy::images(selection, &["redis", "postgres", "http-demo"])?;
    deploy::databases(&kube)?;
    deploy::http_demo(&kube)?;
    let Some(ports) = ports else { return Ok(ExitCode::SUCCESS) };
    println!("{}", next_steps(ports.local(8080)));
    ports.keep(&kube)
}

fn next_steps(port: u16) -> String {
    let address = format!("http://localhost:{port}");
    format!(
        "
Values in Redis and the way to Postgres, from two pods:

  page      {address}
  values    curl -X PUT --data hello {address}/kv/greeting && curl {address}/kv/greeting
  Postgres  curl {address}/db

Take a database away and look again: 503 and why, never a hang; it comes back by itself.
  make -s kubectl ARGS=\"delete pod redis-0 -n databases\"
Ctrl-C closes the port; make down takes everything away.
"
    )
}
