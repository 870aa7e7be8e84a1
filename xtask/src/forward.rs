//! The command `forward`: forwards ports of this machine to a running demo, until Ctrl-C.

use std::process::ExitCode;

use anyhow::Result;
use devcluster::cluster::Selection;
use devcluster::forward::{Destination, LocalPorts, Ports};
use devcluster::kube::Kube;

use crate::deploy::{CHAT, HTTP_DEMO};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// To what: chatd or http-demo.
    to: To,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    local: LocalPorts,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum To {
    Chatd,
    HttpDemo,
}

pub const CHATD_PORTS: Destination =
    Destination { namespace: CHAT.namespace, selector: CHAT.selector, ports: &[7654, 8081] };
pub const HTTP_DEMO_PORT: Destination =
    Destination { namespace: HTTP_DEMO.namespace, selector: HTTP_DEMO.selector, ports: &[8080] };

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let to = match arguments.to {
        To::Chatd => &CHATD_PORTS,
        To::HttpDemo => &HTTP_DEMO_PORT,
    };
    Ports::open(to, &arguments.local)?.keep(&Kube::of(&arguments.selection)?)
}
