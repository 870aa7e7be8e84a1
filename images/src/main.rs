//! `cargo run -p images -- make redis` (also `xtask images`), and the command for the Dockerfile.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "images", about = "This repository's images and those of its databases, as OCI archives")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds missing and outdated archives.
    Make(images::Arguments),
    /// Writes the files of our images: the command of the Dockerfile's first stage.
    Files(images::image_files::Arguments),
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Command::Make(arguments) => images::run(&arguments),
        Command::Files(arguments) => images::image_files::run(&arguments),
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
