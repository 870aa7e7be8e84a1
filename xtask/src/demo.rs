//! The common steps of the demos: a cluster if none exists, images, databases, the demo's pods, and port-forwards until Ctrl-C.

use std::process::ExitCode;

use anyhow::Result;

use crate::deploy;
use devcluster::forward::{Destination, LocalPorts, Ports};
use devcluster::kube::Kube;
use devcluster::up;

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

/// In what the demos differ.
pub struct Demo {
    pub destination: Destination,
    /// The images of its pods, and of what makes them.
    pub images: &'static [&'static str],
    pub deploy: fn(&Kube) -> Result<()>,
    /// What is printed when its ports are open.
    pub next_steps: fn(&Ports) -> String,
}

pub fn run(arguments: &Arguments, demo: &'static Demo) -> Result<ExitCode> {
    let ports = if arguments.no_forward { None } else { Some(Ports::open(&demo.destination, &arguments.local)?) };
    if up::run(&arguments.up)? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let selection = &arguments.up.selection;
    let kube = Kube::of(selection)?;
    deploy::images(selection, &[&["redis", "postgres"], demo.images].concat())?;
    deploy::databases(&kube)?;
    (demo.deploy)(&kube)?;
    let Some(ports) = ports else { return Ok(ExitCode::SUCCESS) };
    println!("{}", (demo.next_steps)(&ports));
    ports.keep(&kube)
}
