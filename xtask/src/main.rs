//! What `make` calls for everything around a cluster: `cargo run -p xtask -- <command>`. The cluster and the images are crates of their
//! own, whose commands are among these; the demos are here. Parses the command line and calls the module of the command.

mod databases;
mod demo;
mod deploy;
mod forward;
mod http_demo;
mod tcp_demo;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "What make calls: a Kubernetes cluster, images, databases and demos")]
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
    /// Redis and Postgres in the cluster.
    Databases(databases::Arguments),
    /// Three chatd replicas in the cluster, and ports to them.
    TcpDemo(demo::Arguments),
    /// The HTTP demo in the cluster, and a port to it.
    HttpDemo(demo::Arguments),
    /// Keeps a port-forward up until Ctrl-C.
    Forward(forward::Arguments),
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Cluster(command) => command.run(),
        Command::Images(arguments) => images::run(&arguments),
        Command::Databases(arguments) => databases::run(&arguments),
        Command::TcpDemo(arguments) => demo::run(&arguments, &tcp_demo::DEMO),
        Command::HttpDemo(arguments) => demo::run(&arguments, &http_demo::DEMO),
        Command::Forward(arguments) => forward::run(&arguments),
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
