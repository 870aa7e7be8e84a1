//! What `make` calls for everything around a cluster: `cargo run -p xtask -- <command>`. Parses the command line and calls the
//! module of the command; all I/O is theirs.

mod builtin;
mod choose;
mod cluster;
mod databases;
mod demo;
mod deploy;
mod down;
mod env;
mod external;
mod facts;
mod forward;
mod go_program;
mod helm;
mod http_demo;
mod kubectl;
mod load;
mod steps;
mod tcp_demo;
mod up;

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
    /// A cluster: the one at hand, one by kind, k3d or minikube, or one built from packages.
    Up(up::Arguments),
    /// Takes away what `up` made, and only that.
    Down(down::Arguments),
    /// Runs kubectl on the cluster; standard input and the exit code are passed on.
    Kubectl(kubectl::Arguments),
    /// Runs helm on the cluster, built from its Go module; standard input and the exit code are passed on.
    Helm(helm::Arguments),
    /// Prints the lines that point a shell at the cluster: eval "$(make -s env)".
    Env(env::Arguments),
    /// Brings image archives (OCI) into every node of the cluster.
    Load(load::Arguments),
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
    /// Builds the built-in cluster's program if what it depends on has changed; `up` does so too.
    #[command(hide = true)]
    ClusterProgram,
    /// The part of `up` that needs root.
    #[command(hide = true)]
    BuiltinUp(builtin::Arguments),
    /// The part of `down` that needs root.
    #[command(hide = true)]
    BuiltinDown(builtin::commands::Named),
    /// The part of `load` that needs root.
    #[command(hide = true)]
    BuiltinLoad(builtin::commands::Load),
    /// The parent of a built-in cluster's processes.
    #[command(hide = true)]
    Supervise(builtin::supervisor::Arguments),
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Down(arguments) => down::run(&arguments),
        Command::Kubectl(arguments) => kubectl::run(&arguments),
        Command::Helm(arguments) => helm::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Images(arguments) => images::run(&arguments),
        Command::Databases(arguments) => databases::run(&arguments),
        Command::TcpDemo(arguments) => demo::run(&arguments, &tcp_demo::DEMO),
        Command::HttpDemo(arguments) => demo::run(&arguments, &http_demo::DEMO),
        Command::Forward(arguments) => forward::run(&arguments),
        Command::ClusterProgram => up::program(&steps::Steps::begin()).map(|_| ExitCode::SUCCESS),
        Command::BuiltinUp(arguments) => builtin::commands::up(&arguments),
        Command::BuiltinDown(arguments) => builtin::commands::down(&arguments),
        Command::BuiltinLoad(arguments) => builtin::commands::load(&arguments),
        Command::Supervise(arguments) => builtin::supervisor::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CommandLine;

    #[test]
    fn no_two_arguments_of_a_command_are_in_each_other_s_way() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }
}
