//! The commands behind make's cluster targets: `cargo run -p xtask -- <command>`. The cluster and the images are crates of their
//! own, whose commands this one includes; the demos are here. Parses the command line and calls the module of the command.

mod databases;
mod demo;
mod deploy;
mod forward;
mod http_demo;
mod soak;
mod tcp_demo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "Commands behind make's targets: a Kubernetes cluster, images, databases and demos")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Cluster(devcluster::Command),
    /// Builds the images of this repository.
    Images(images::Arguments),
    /// Installs Redis and Postgres in the cluster.
    Databases(databases::Arguments),
    /// Runs three chatd replicas in the cluster, and forwards ports to them.
    TcpDemo(demo::Arguments),
    /// Runs the HTTP demo in the cluster, and forwards a port to it.
    HttpDemo(demo::Arguments),
    /// Forwards the ports of a running demo until Ctrl-C.
    Forward(forward::Arguments),
    /// Loads a deployment whose pods are killed and drained meanwhile, and checks that nothing grows.
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Cluster(command) => command.run(),
        Command::Images(arguments) => images::run(&arguments),
        Command::Databases(arguments) => databases::run(&arguments),
        Command::TcpDemo(arguments) => demo::run(&arguments, &tcp_demo::DEMO),
        Command::HttpDemo(arguments) => demo::run(&arguments, &http_demo::DEMO),
        Command::Forward(arguments) => forward::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
    };
    programs::exit_code(done)
}

#[cfg(test)]
mod tests {
    use super::CommandLine;

    #[test]
    fn no_two_arguments_of_a_command_are_in_each_other_s_way() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }
}
