//! The cluster's commands alone: `cargo run -p devcluster -- up`. xtask has the same commands, and those of the images and the
//! demos.

use clap::Parser;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "devcluster", about = "A Kubernetes cluster for development")]
struct CommandLine {
    #[command(subcommand)]
    command: devcluster::Command,
}

fn main() -> ExitCode {
    programs::exit_code(CommandLine::parse().command.run())
}

#[cfg(test)]
mod tests {
    use super::CommandLine;

    #[test]
    fn no_two_arguments_of_a_command_are_in_each_other_s_way() {
        <CommandLine as clap::CommandFactory>::command().debug_assert();
    }
}
