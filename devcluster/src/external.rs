//! Clusters of kind, k3d or minikube: their commands (pure), and running them (I/O).

use crate::cluster::{Cluster, Kind};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Node images may have to be pulled.
const LIMIT: Duration = Duration::from_mins(15);

/// One command; with `into`, what it prints becomes that file.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub words: Vec<String>,
    pub into_kubeconfig: bool,
}

fn line(words: &[&str]) -> Line {
    Line { words: words.iter().map(|&word| word.to_owned()).collect(), into_kubeconfig: false }
}

/// Makes the cluster; the user's own kubeconfig is left alone.
pub fn create(kind: Kind, name: &str, nodes: u8, kubeconfig: &str, config: &str) -> Vec<Line> {
    let agents = nodes.saturating_sub(1).to_string();
    let nodes = nodes.to_string();
    match kind {
        Kind::Kind => vec![line(&[
            "kind",
            "create",
            "cluster",
            "--name",
            name,
            "--kubeconfig",
            kubeconfig,
            "--config",
            config,
            "--wait",
            "180s",
        ])],
        Kind::K3d => vec![
            line(&[
                "k3d",
                "cluster",
                "create",
                name,
                "--agents",
                &agents,
                "--kubeconfig-update-default=false",
                "--kubeconfig-switch-context=false",
                "--wait",
                "--timeout",
                "300s",
            ]),
            Line { into_kubeconfig: true, ..line(&["k3d", "kubeconfig", "get", name]) },
        ],
        Kind::Minikube => vec![line(&["minikube", "start", "--profile", name, "--nodes", &nodes, "--wait=all"])],
        Kind::Current | Kind::Builtin => Vec::new(),
    }
}

pub fn delete(kind: Kind, name: &str, kubeconfig: &str) -> Vec<Line> {
    match kind {
        Kind::Kind => vec![line(&["kind", "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig])],
        Kind::K3d => vec![line(&["k3d", "cluster", "delete", name])],
        Kind::Minikube => vec![line(&["minikube", "delete", "--profile", name])],
        Kind::Current | Kind::Builtin => Vec::new(),
    }
}

pub fn load(kind: Kind, name: &str, archive: &str) -> Vec<Line> {
    match kind {
        Kind::Kind => vec![line(&["kind", "load", "image-archive", archive, "--name", name])],
        Kind::K3d => vec![line(&["k3d", "image", "import", archive, "--cluster", name])],
        Kind::Minikube => vec![line(&["minikube", "--profile", name, "image", "load", archive])],
        Kind::Current | Kind::Builtin => Vec::new(),
    }
}

/// kind takes the number of nodes from a file.
pub fn kind_config(nodes: u8) -> String {
    let workers = "- role: worker\n".repeat(usize::from(nodes.saturating_sub(1)));
    format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n{workers}")
}

/// Runs them one after the other, with what they print on the terminal. KUBECONFIG is the cluster's own file throughout.
pub fn run(cluster: &Cluster, lines: &[Line]) -> Result<()> {
    for line in lines {
        let (program, rest) = line.words.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(rest).env("KUBECONFIG", cluster.kubeconfig()).stdin(Stdio::null());
        if line.into_kubeconfig {
            command.stdout(private_file(&cluster.kubeconfig())?);
        }
        let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
        let Some(status) = programs::wait(&mut child, LIMIT)? else {
            bail!("`{}` did not end within {} minutes", line.words.join(" "), LIMIT.as_secs() / 60);
        };
        ensure!(status.success(), "`{}` ended with {status}", line.words.join(" "));
    }
    Ok(())
}

pub fn private_file(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut open = std::fs::File::options();
    open.write(true).create(true).truncate(true).mode(0o600);
    open.open(path).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_is_one_worker_more() {
        assert!(!kind_config(1).contains("worker"));
        assert_eq!(kind_config(2).matches("worker").count(), 1);
        let words = create(Kind::K3d, "chatd-demo", 2, "/k", "/c").remove(0).words;
        assert!(words.windows(2).any(|pair| pair == ["--agents", "1"]), "{words:?}");
    }

    #[test]
    fn every_command_names_the_cluster() {
        for kind in [Kind::Kind, Kind::K3d, Kind::Minikube] {
            let all = [
                create(kind, "chatd-demo", 1, "/k", "/c"),
                delete(kind, "chatd-demo", "/k"),
                load(kind, "chatd-demo", "/a"),
            ];
            for line in all.iter().flatten() {
                assert!(line.words.iter().any(|word| word == "chatd-demo"), "{line:?}");
            }
        }
        assert!(delete(Kind::Current, "chatd-demo", "/k").is_empty());
    }
}
