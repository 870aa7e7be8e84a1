//! `cargo run -p images -- make redis`, and what the Dockerfile calls. `xtask images` is the former too.

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
    /// Makes the archives that are missing or old.
    Make(images::Arguments),
    /// What the Dockerfile's first stage runs: the files that images hold.
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
