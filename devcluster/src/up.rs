//! The command `up`: chooses a cluster, prints the choice and its reason, and creates the cluster or its missing parts. I/O.

use crate::builtin::{self, binary};
use crate::choose::{Choice, Wish, choose};
use crate::cluster::{Cluster, Kind, Record, Selection};
use crate::external;
use crate::facts;
use crate::steps::{Steps, seconds};
use anyhow::{Context, Result, bail};
use programs::repository;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
// The demos take these too, beside arguments of their own.
#[group(id = "up")]
pub struct Arguments {
    #[command(flatten)]
    pub selection: Selection,
    /// Which cluster to take.
    #[arg(long, env = "CLUSTER", value_enum, default_value = "auto")]
    cluster: Wish,
    /// How many nodes a cluster that is made here has; an existing one is never made smaller.
    #[arg(long, env = "NODES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    nodes: u8,
    /// 1: builtin writes an audit log.
    #[arg(long, env = "CHATD_CLUSTER_AUDIT", default_value = "0")]
    audit: String,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let steps = Steps::begin();
    let cluster = arguments.selection.cluster();
    let record = cluster.record()?;
    let made_before = record.as_ref().map(|record| record.kind);
    let Some(choice) = decide(arguments.cluster, made_before)? else { return Ok(ExitCode::FAILURE) };
    println!("==> cluster `{}`: {}, since {}", cluster.name, choice.kind, choice.why);
    let nodes = arguments.nodes.max(record.map_or(1, |record| record.nodes));
    match make(&cluster, &choice, nodes, arguments.audit == "1", &steps) {
        Err(error) if !choice.asked_for && choice.kind != Kind::Builtin => {
            println!("==> {} failed: {error:#}", choice.kind);
            println!("==> removing what it created, and building a cluster from packages instead");
            external::run(&cluster, &removal(&cluster, choice.kind))?;
            cluster.forget()?;
            let Some(choice) = decide(Wish::Builtin, None)? else { return Ok(ExitCode::FAILURE) };
            make(&cluster, &choice, nodes, arguments.audit == "1", &steps)?;
        }
        done => done?,
    }
    println!("==> cluster `{}` is up after {}", cluster.name, seconds(steps.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// None when `hack/need` has already said what is missing.
fn decide(wish: Wish, made_before: Option<Kind>) -> Result<Option<Choice>> {
    let facts = facts::observe(wish, made_before);
    let lacks = match choose(wish, &facts) {
        Ok(choice) => return Ok(Some(choice)),
        Err(lacks) => lacks,
    };
    let programs = facts::lacking_programs();
    // Programs alone can be installed; with anything else missing that would be work for nothing.
    if !lacks.is_empty() && lacks.iter().all(|lack| programs.contains(lack)) {
        if !Command::new(repository().join("hack/need")).arg("cluster").status()?.success() {
            return Ok(None);
        }
        if let Ok(choice) = choose(wish, &facts::observe(wish, made_before)) {
            return Ok(Some(choice));
        }
    }
    bail!("cannot create a cluster. Missing:\n  - {}", lacks.join("\n  - "))
}

fn make(cluster: &Cluster, choice: &Choice, nodes: u8, audit: bool, steps: &Steps) -> Result<()> {
    let kubectl = match choice.kind {
        Kind::Builtin => vec![cluster.bin().join("kubectl").to_string_lossy().into_owned()],
        _ => vec!["kubectl".to_owned()],
    };
    let mut record = Record { kind: choice.kind, nodes, kubeconfig: cluster.kubeconfig(), kubectl, ready: false };
    cluster.remember(&record)?;
    match choice.kind {
        Kind::Builtin => make_builtin(cluster, nodes, audit, steps)?,
        Kind::Current => steps.step("using the cluster of KUBECONFIG", || take_current(cluster))?,
        kind => make_external(cluster, kind, nodes, steps)?,
    }
    record.ready = true;
    cluster.remember(&record)
}

fn make_builtin(cluster: &Cluster, nodes: u8, audit: bool, steps: &Steps) -> Result<()> {
    let program = program(steps)?;
    install_kubectl(cluster, &program)?;
    let pause = builtin::pause_archive()?;
    let root = facts::root().map_err(anyhow::Error::msg)?;
    let owner = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let arguments = builtin::Arguments {
        name: cluster.name.clone(),
        nodes,
        program,
        pause,
        kubeconfig: cluster.kubeconfig(),
        owner: (!root.is_empty()).then_some(owner),
        audit,
    };
    if root.is_empty() {
        return builtin::up(&arguments, steps);
    }
    builtin::as_root(&root, &arguments.words())
}

/// The built-in cluster's program, which takes minutes to build the first time.
pub fn program(steps: &Steps) -> Result<PathBuf> {
    steps.step("the cluster's programs", || binary::build(steps))
}

/// A link of its own, so that a newer build in the cache does not take it away from a cluster that is up.
fn install_kubectl(cluster: &Cluster, program: &std::path::Path) -> Result<()> {
    fs::create_dir_all(cluster.bin())?;
    let (kubectl, draft) = (cluster.bin().join("kubectl"), cluster.bin().join("draft"));
    let _ = fs::remove_file(&draft);
    if fs::hard_link(program, &draft).is_err() {
        fs::copy(program, &draft)?;
    }
    // Renaming a file onto another link of itself does nothing, and leaves the draft.
    let _ = fs::remove_file(&kubectl);
    fs::rename(&draft, &kubectl).context("installing kubectl")
}

/// The context of this moment, as a file of its own: what the user switches to later is not ours to touch.
fn take_current(cluster: &Cluster) -> Result<()> {
    let mut view = Command::new("kubectl");
    let text = programs::succeed(view.args(["config", "view", "--minify", "--flatten", "--raw"]), programs::SHORT)?;
    std::io::Write::write_all(&mut external::private_file(&cluster.kubeconfig())?, text.as_bytes())?;
    Ok(())
}

fn make_external(cluster: &Cluster, kind: Kind, nodes: u8, steps: &Steps) -> Result<()> {
    let answers = || {
        let mut ask = Command::new("kubectl");
        ask.env("KUBECONFIG", cluster.kubeconfig()).args(["--request-timeout=10s", "get", "--raw", "/readyz"]);
        cluster.kubeconfig().exists() && programs::succeed(&mut ask, programs::SHORT).is_ok()
    };
    if answers() {
        steps.note("it exists already");
        return Ok(());
    }
    // What a broken-off one left is in the way of a new one.
    steps.step(&format!("removing the remains of an earlier {kind}"), || {
        // There may be nothing, which k3d calls an error.
        let _ = external::run(cluster, &removal(cluster, kind));
        Ok(())
    })?;
    let config = cluster.cache().join("kind.yaml");
    fs::write(&config, external::kind_config(nodes))?;
    let lines = external::create(kind, &cluster.external_name(), nodes, &path(cluster.kubeconfig()), &path(config));
    steps.step(&format!("{kind} creates the cluster"), || external::run(cluster, &lines))?;
    anyhow::ensure!(answers(), "{kind} reports that the cluster exists, but it does not answer");
    Ok(())
}

fn path(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

pub fn removal(cluster: &Cluster, kind: Kind) -> Vec<external::Line> {
    external::delete(kind, &cluster.external_name(), &path(cluster.kubeconfig()))
}
