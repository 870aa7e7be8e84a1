//! Deploys the demos to a cluster: databases, the operator, chat rooms and the HTTP demo; applies each and waits for it. Does I/O.

mod chat_deployment;
mod secrets;
mod waiting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use devcluster::cluster::{Kind, Selection};
use devcluster::kube::Kube;
use devcluster::load;
use programs::repository;
use waiting::{Workload, rolled_out};

/// Pods' templates hold this, so that a changed image under the same name makes new pods.
const IMAGE_NOTE: &str = "chatd.local/image: \"\"";
const DATABASES_LIMIT: Duration = Duration::from_mins(4);
const DEMO_LIMIT: Duration = Duration::from_mins(3);

const DATABASES: &[Workload] = &[
    workload("databases", "statefulset/redis", "app.kubernetes.io/name=redis"),
    workload("databases", "statefulset/postgres", "app.kubernetes.io/name=postgres"),
];
pub const OPERATOR: Workload =
    workload("chatd-operator", "deployment/chatd-operator", "app.kubernetes.io/name=chatd-operator");
pub const CHAT: Workload = Workload { maker: Some(&OPERATOR), ..workload("chatd", "chatdeployment/chat", CHAT_PODS) };
pub const HTTP_DEMO: Workload = workload("http-demo", "deployment/http-demo", "app.kubernetes.io/name=http-demo");

/// The label of the chat pods of deploy/chatd.
const CHAT_PODS: &str = "app.kubernetes.io/component=chat,app.kubernetes.io/instance=chat";

const fn workload(namespace: &'static str, name: &'static str, selector: &'static str) -> Workload {
    Workload { namespace, name, selector, maker: None }
}

/// Builds outdated images and loads missing ones into the cluster's nodes.
pub fn images(selection: &Selection, names: &[&str]) -> Result<()> {
    let cluster = selection.cluster();
    let record = cluster.at_hand()?;
    if record.kind == Kind::Current {
        println!(
            "==> images: this is somebody's own cluster; its nodes must be able to get the images named in deploy/"
        );
        return Ok(());
    }
    let archives = images::archives(names)?;
    let note = cluster.cache().join("loaded.json");
    let mut loaded: Loaded =
        std::fs::read(&note).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let missing = |name: &&str| loaded.get(*name) != Some(&(images::identity(name).unwrap_or_default(), record.nodes));
    let (old, archives): (Vec<&str>, Vec<PathBuf>) =
        names.iter().copied().zip(archives).filter(|(name, _)| missing(name)).unzip();
    if archives.is_empty() {
        return Ok(());
    }
    load::load(&cluster, &archives)?;
    for name in old {
        loaded.insert(name.to_owned(), (images::identity(name).unwrap_or_default(), record.nodes));
    }
    Ok(std::fs::write(&note, serde_json::to_vec(&loaded)?)?)
}

/// What each image on the nodes was made of, and on how many nodes it is. It goes with the cluster.
type Loaded = BTreeMap<String, (String, u8)>;

pub fn databases(kube: &Kube) -> Result<()> {
    step("databases", || {
        let folder = repository().join("deploy/databases");
        kube.apply(namespace(&folder)?.as_bytes())?;
        let redis = secrets::made_once(kube, "databases", "redis", || secrets::redis(secrets::random))?;
        let postgres = secrets::made_once(kube, "databases", "postgres", || secrets::postgres(secrets::random))?;
        // Redis reads its users at its start only.
        let identity = |name: &str| match images::identity(name)? {
            image if name == "redis" => Some(format!("{image}-{}", secrets::identity(&redis))),
            image => Some(image),
        };
        kube.apply_folder(&folder, |text| noted(text, identity))?;
        rolled_out(kube, DATABASES, DATABASES_LIMIT)?;
        let key = |key| secrets::key(&postgres, key, "postgres");
        set_roles(kube, key("password")?, key("http-demo")?)
    })
}

pub fn operator(kube: &Kube) -> Result<()> {
    step("operator", || {
        let folder = repository().join("deploy/operator");
        kube.apply(namespace(&folder)?.as_bytes())?;
        kube.apply_folder(&folder, |text| noted(text, images::identity))?;
        let crd = "customresourcedefinition/chatdeployments.chatd.dev";
        kube.run(&["wait", "--for=condition=Established", "--timeout=30s", crd])?;
        rolled_out(kube, &[OPERATOR], DEMO_LIMIT)
    })
}

/// The operator, and one ChatDeployment on the Redis of the databases.
pub fn chatd(kube: &Kube) -> Result<()> {
    operator(kube)?;
    step("chatd", || {
        let folder = repository().join("deploy/chatd");
        kube.apply(namespace(&folder)?.as_bytes())?;
        copy_password(kube, "redis", "chatd", "chatd")?;
        kube.apply_folder(&folder, |text| noted(text, images::identity))?;
        rolled_out(kube, &[CHAT], DEMO_LIMIT)
    })
}

/// Another ChatDeployment of this name and namespace, for which the operator is there.
pub fn chat(kube: &Kube, manifest: &str) -> Result<()> {
    step("chatd", || {
        kube.apply(namespace(&repository().join("deploy/chatd"))?.as_bytes())?;
        kube.apply(manifest.as_bytes())?;
        rolled_out(kube, &[CHAT], DEMO_LIMIT)
    })
}

pub fn http_demo(kube: &Kube) -> Result<()> {
    step("http-demo", || {
        let folder = repository().join("deploy/http-demo");
        kube.apply(namespace(&folder)?.as_bytes())?;
        copy_password(kube, "redis", "http-demo", "http-demo")?;
        copy_password(kube, "postgres", "http-demo", "http-demo")?;
        kube.apply_folder(&folder, |text| noted(text, images::identity))?;
        rolled_out(kube, &[HTTP_DEMO], DEMO_LIMIT)
    })
}

fn namespace(folder: &std::path::Path) -> Result<String> {
    Ok(std::fs::read_to_string(folder.join("00-namespace.yaml"))?)
}

/// A user's password, from the databases' Secret to one of its own in the user's namespace.
fn copy_password(kube: &Kube, database: &str, user: &str, namespace: &str) -> Result<()> {
    let all = secrets::made_once(kube, "databases", database, || {
        anyhow::bail!("the namespace databases has no Secret {database}: run xtask databases first")
    })?;
    let password = secrets::key(&all, user, database)?.to_owned();
    secrets::write(kube, namespace, database, &secrets::Content::from([("password".to_owned(), password)]))
}

/// The superuser's password, which a volume may have from an earlier Secret, and the demo's own role and database: it needs no
/// superuser. By the server's local socket, so that no password is on a command line.
fn set_roles(kube: &Kube, superuser: &str, demo: &str) -> Result<()> {
    let words = ["exec", "--stdin", "--namespace=databases", "postgres-0", "--"];
    let psql = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=postgres"];
    kube.run_with(&[&words[..], &psql[..]].concat(), role_statements(superuser, demo).as_bytes()).map(drop)
}

/// Can be run any number of times; passwords are letters and digits.
fn role_statements(superuser: &str, demo: &str) -> String {
    format!(
        "ALTER ROLE postgres PASSWORD '{superuser}';\n\
         SELECT 'CREATE ROLE \"http-demo\" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'http-demo')\\gexec\n\
         ALTER ROLE \"http-demo\" PASSWORD '{demo}';\n\
         SELECT 'CREATE DATABASE \"http-demo\" OWNER \"http-demo\"' \
         WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'http-demo')\\gexec\n"
    )
}

/// Manifests with each template's note filled in: what the image that it names was made of.
fn noted(text: &str, identity: impl Fn(&str) -> Option<String>) -> String {
    let filled = text.split("\n---\n").map(|manifest| {
        let mut images = manifest.split("image: ").map(|rest| rest.trim_start_matches('"'));
        let image = images.find_map(|rest| rest.strip_prefix("chatd.local/")?.split(':').next());
        match image.and_then(&identity) {
            Some(identity) => manifest.replace(IMAGE_NOTE, &format!("chatd.local/image: \"{identity}\"")),
            None => manifest.to_owned(),
        }
    });
    filled.collect::<Vec<_>>().join("\n---\n")
}

fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    println!("==> {name}");
    let done = work()?;
    println!("==> {name}: done in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_notes_its_own_image_and_nothing_else_changes() {
        let text = "kind: Service\n---\nannotations: {chatd.local/image: \"\"}\nimage: \"chatd.local/redis:7\"\n---\n\
            image: chatd.local/postgres:15\nannotations:\n  chatd.local/image: \"\"\n";
        let noted = noted(text, |name| (name == "redis").then(|| "abc".to_owned()));
        assert_eq!(noted, text.replacen("image: \"\"", "image: \"abc\"", 1));
    }

    #[test]
    fn every_manifest_s_template_has_a_note_beside_an_image_of_ours() {
        for folder in ["databases", "operator", "chatd", "http-demo"] {
            let folder = repository().join("deploy").join(folder);
            let text = devcluster::kube::manifests(&folder).unwrap_or_default();
            let noted = noted(&text, |_| Some("abc".to_owned()));
            assert!(noted.contains("chatd.local/image: \"abc\"") && !noted.contains(IMAGE_NOTE), "{folder:?}");
        }
    }
}
