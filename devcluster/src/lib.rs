//! A Kubernetes cluster for development, and its commands: see README.md. A library for programs that deploy to a cluster: they
//! include [`Command`] in their own commands, since `up` restarts its own program, with sudo and as the parent of the cluster's
//! processes.

mod builtin;
mod choose;
pub mod cluster;
mod down;
mod env;
mod external;
mod facts;
pub mod forward;
mod go_program;
mod helm;
pub mod kube;
mod kubectl;
pub mod load;
pub mod pods;
mod steps;
pub mod up;

use std::process::ExitCode;

use steps::Steps;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Creates a cluster: the current one, one with kind, k3d or minikube, or one built from packages.
    Up(up::Arguments),
    /// Removes what `up` created, and only that.
    Down(down::Arguments),
    /// Runs kubectl on the cluster; standard input and the exit code are passed on.
    Kubectl(kubectl::Arguments),
    /// Runs helm on the cluster, built from its Go module; standard input and the exit code are passed on.
    Helm(helm::Arguments),
    /// Prints a shell's variables for the cluster: eval "$(make -s env)".
    Env(env::Arguments),
    /// Loads image archives (OCI) into every node of the cluster.
    Load(load::Arguments),
    /// Builds the built-in cluster's program if its inputs have changed; `up` does so too.
    #[command(hide = true)]
    ClusterProgram,
    /// The part of `up` that needs root.
    #[command(hide = true)]
    BuiltinUp(builtin::Arguments),
    /// The part of `down` that needs root.
    #[command(hide = true)]
    BuiltinDown(builtin::Named),
    /// The part of `load` that needs root.
    #[command(hide = true)]
    BuiltinLoad(builtin::Load),
    /// The parent of a built-in cluster's processes.
    #[command(hide = true)]
    Supervise(builtin::supervisor::Arguments),
}

impl Command {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let steps = Steps::begin();
        let done = |()| ExitCode::SUCCESS;
        match self {
            Self::Up(arguments) => up::run(arguments),
            Self::Down(arguments) => down::run(arguments),
            Self::Kubectl(arguments) => kubectl::run(arguments),
            Self::Helm(arguments) => helm::run(arguments),
            Self::Env(arguments) => env::run(arguments),
            Self::Load(arguments) => load::run(arguments),
            Self::ClusterProgram => up::program(&steps).map(drop).map(done),
            Self::BuiltinUp(arguments) => builtin::up(arguments, &steps).map(done),
            Self::BuiltinDown(arguments) => builtin::down::down(&arguments.name, &steps).map(done),
            Self::BuiltinLoad(arguments) => builtin::load(&arguments.name, &arguments.archives).map(done),
            Self::Supervise(arguments) => builtin::supervisor::run(arguments),
        }
    }
}
