//! The command `down`: removes what `up` created, and only that. I/O.

use crate::cluster::{Kind, Selection};
use crate::steps::{Steps, seconds};
use crate::up::removal;
use crate::{builtin, external, facts};
use anyhow::Result;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let steps = Steps::begin();
    let cluster = arguments.selection.cluster();
    // A damaged record must not keep a cluster from going: builtin's own notes are elsewhere.
    let record = cluster.record().unwrap_or_else(|error| {
        println!("==> {error:#}");
        None
    });
    let kind = record.map(|record| record.kind);
    match kind {
        Some(Kind::Current) => println!("==> cluster `{}` was not created by `up`: leaving it unchanged", cluster.name),
        Some(kind @ (Kind::Kind | Kind::K3d | Kind::Minikube)) => {
            steps.step(&format!("{kind} removes its cluster"), || external::run(&cluster, &removal(&cluster, kind)))?;
        }
        Some(Kind::Builtin) | None => {}
    }
    let builtin = builtin::down::exists(&cluster.name);
    if builtin {
        let root = facts::root().map_err(anyhow::Error::msg)?;
        if root.is_empty() {
            builtin::down::down(&cluster.name, &steps)?;
        } else {
            builtin::as_root(&root, &["builtin-down".to_owned(), "--name".to_owned(), cluster.name.to_string()])?;
        }
    }
    cluster.forget()?;
    if kind.is_none() && !builtin {
        println!("==> there is no cluster `{}`", cluster.name);
    } else {
        println!("==> removed cluster `{}` in {}", cluster.name, seconds(steps.elapsed()));
    }
    Ok(ExitCode::SUCCESS)
}
