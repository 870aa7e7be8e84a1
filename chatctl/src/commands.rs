//! The command lines of both programs, and what each command calls. Does I/O.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::balance::balance;
use crate::bundle;
use crate::cluster::{Cluster, Where};
use crate::drain::drain;
use crate::keys;
use crate::load::{self, ChaosOptions};
use crate::logs::{Lines, logs};
use crate::output::{self, Format, Outcome};
use crate::rooms;
use crate::status;

/// A command could not be carried out: nothing is known. 2 is clap's, for a wrong command line.
const FAILED: u8 = 3;

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 something is wrong or lost, 2 a wrong command line, \
    3 it cannot be found out or done.";

#[derive(Debug, Parser)]
#[command(
    name = "kubectl-chatd",
    bin_name = "kubectl chatd",
    version,
    about = "Inspects and tests chat deployments in a cluster"
)]
#[command(after_help = EXIT_CODES)]
struct Kubectl {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    command: KubectlCommand,
}

#[derive(Debug, clap::Args)]
struct OutputFormat {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t, hide_default_value = true)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum KubectlCommand {
    #[command(flatten)]
    Cluster(ClusterCommand),
    #[command(flatten)]
    Document(Document),
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Shows pods, rooms, Redis and versions, what moves, what is wrong and what to do
    Status {
        /// A ChatDeployment; unset: all of the namespace
        name: Option<String>,
        /// Of all namespaces
        #[arg(short = 'A', long, conflicts_with = "name")]
        all_namespaces: bool,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Lists rooms with pod, players and age
    Rooms {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        /// Only rooms of this pod
        #[arg(long)]
        pod: Option<String>,
        #[command(flatten)]
        selection: rooms::Selection,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Shows what owner, record and lease say of a room, and whether they agree
    Room {
        /// The room's id
        room: String,
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Moves the rooms of a pod to the others and ends it; its successor starts empty
    Drain {
        /// The pod
        pod: String,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Shows how rooms are spread over pods, and what would move by itself
    Balance {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Prints the logs of all pods, each line with its pod
    Logs {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        #[command(flatten)]
        lines: Lines,
    },
    /// Rotates the token keys that the operator made, in two steps that disconnect nobody
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Writes resources, status, metrics, logs and versions to a file, without secrets
    SupportBundle {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        /// The file; unset: chatd-support-NAME-TIME.tar.gz
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// Lets players speak in rooms and checks order, loss and doubles; through the pods, or at addresses
    Load {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        #[command(flatten)]
        arguments: Box<load::Arguments>,
        #[command(flatten)]
        chaos: ChaosOptions,
    },
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Shows the keys' ids, and whether all pods accept them
    List {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// First step: adds a key, and waits until all pods accept it
    Rotate {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
    },
    /// Second step: removes the old keys, once no client holds a token of theirs
    Retire {
        /// A ChatDeployment; unset: the only one of the namespace
        name: Option<String>,
        /// How long clients stay connected at most; whose connection drops later cannot resume
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        sessions: u32,
    },
}

#[derive(Debug, Parser)]
#[command(name = "chatctl", version, about = "Inspects and tests chatd processes")]
#[command(after_help = EXIT_CODES)]
struct Chatctl {
    /// Address of the process's admin port
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:9090", env = "CHATCTL_ADMIN")]
    admin: String,
    #[command(subcommand)]
    command: ChatctlCommand,
}

#[derive(Debug, Subcommand)]
enum ChatctlCommand {
    /// Shows rooms, Redis and version, what is wrong and what to do
    Status {
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Lists rooms with players and age
    Rooms {
        #[command(flatten)]
        selection: rooms::Selection,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Shows what the process, the record and the lease say of a room
    Room {
        /// The room's id
        room: String,
        #[command(flatten)]
        format: OutputFormat,
    },
    /// Writes status, metrics and version to a file
    SupportBundle {
        /// The file; unset: chatd-support-process-TIME.tar.gz
        #[arg(short, long)]
        file: Option<PathBuf>,
    },
    /// Lets players speak in rooms and checks order, loss and doubles, at addresses of one or more processes
    Load {
        #[command(flatten)]
        arguments: load::Arguments,
    },
    #[command(flatten)]
    Document(Document),
}

/// What a package installs beside the program.
#[derive(Debug, Subcommand)]
enum Document {
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the man page
    Man,
}

impl Document {
    fn write(&self, mut command: clap::Command) -> Result<Outcome> {
        let name = command.get_name().to_owned();
        let mut text = Vec::new();
        match self {
            Self::Completions { shell } => clap_complete::generate(*shell, &mut command, name, &mut text),
            Self::Man => Man::new(command).render(&mut text)?,
        }
        output::print(&String::from_utf8(text)?)?;
        Ok(Outcome::Well)
    }
}

/// Runs `kubectl chatd` on this process's arguments.
pub fn kubectl_chatd() -> ExitCode {
    let Kubectl { place, command } = Kubectl::parse();
    finish(async {
        match command {
            KubectlCommand::Cluster(command) => command.run(&Cluster::open(&place).await?).await,
            KubectlCommand::Document(document) => document.write(Kubectl::command().bin_name("kubectl-chatd")),
        }
    })
}

impl ClusterCommand {
    async fn run(self, cluster: &Cluster) -> Result<Outcome> {
        match self {
            Self::Status { name, all_namespaces, format } => {
                status::of_cluster(cluster, name.as_deref(), all_namespaces, format.output).await
            }
            Self::Rooms { name, pod, selection, format } => {
                rooms::list_of_cluster(cluster, name.as_deref(), pod.as_deref(), &selection, format.output).await
            }
            Self::Room { room, name, format } => {
                rooms::one_of_cluster(cluster, name.as_deref(), &room, format.output).await
            }
            Self::Drain { pod, format } => drain(cluster, &pod, format.output).await,
            Self::Balance { name, format } => balance(cluster, name.as_deref(), format.output).await,
            Self::Logs { name, lines } => logs(cluster, name.as_deref(), &lines).await,
            Self::Keys(KeysCommand::List { name, format }) => keys::list(cluster, name.as_deref(), format.output).await,
            Self::Keys(KeysCommand::Rotate { name }) => keys::rotate(cluster, name.as_deref()).await,
            Self::Keys(KeysCommand::Retire { name, sessions }) => {
                keys::retire(cluster, name.as_deref(), Duration::from_hours(sessions.into())).await
            }
            Self::SupportBundle { name, file } => bundle::of_cluster(cluster, name.as_deref(), file).await,
            Self::Load { name, arguments, chaos } => {
                load::in_cluster(cluster, name.as_deref(), &arguments, &chaos).await
            }
        }
    }
}

/// Runs `chatctl` on this process's arguments.
pub fn chatctl() -> ExitCode {
    let Chatctl { admin, command } = Chatctl::parse();
    finish(async {
        match command {
            ChatctlCommand::Status { format } => status::of_process(&admin, format.output).await,
            ChatctlCommand::Rooms { selection, format } => {
                rooms::list_of_process(&admin, &selection, format.output).await
            }
            ChatctlCommand::Room { room, format } => rooms::one_of_process(&admin, &room, format.output).await,
            ChatctlCommand::SupportBundle { file } => bundle::of_process(&admin, file).await,
            ChatctlCommand::Load { arguments } => load::at_addresses(&arguments).await,
            ChatctlCommand::Document(document) => document.write(Chatctl::command()),
        }
    })
}

fn finish(command: impl Future<Output = Result<Outcome>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::new).and_then(|runtime| runtime.block_on(command));
    match done {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_arguments_of_a_command_are_in_each_other_s_way() {
        Kubectl::command().debug_assert();
        Chatctl::command().debug_assert();
    }
}
