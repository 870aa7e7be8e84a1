//! Docker, podman or buildah: finds the one that works, and builds a stage into an archive. Does I/O.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::architecture::Architecture;
use crate::{archive, tree};
use programs::{output, succeed};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    Docker,
    Podman,
    Buildah,
}

/// Whether registries of public images are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pull {
    /// If the registry can be reached at all.
    Auto,
    No,
}

const BUILD_LIMIT: Duration = Duration::from_mins(30);
const PULL_LIMIT: Duration = Duration::from_mins(10);
const LAYOUT: &str = "layout";
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// One final stage of a Dockerfile, to be an archive under a name.
#[derive(Debug)]
pub struct Build<'a> {
    /// The engine's own folder, so that nothing is left in the system's store.
    pub state: &'a Path,
    pub dockerfile: &'a Path,
    pub target: &'a str,
    pub name: &'a str,
    pub architecture: Architecture,
    /// What the Dockerfile's own stages may copy; none if all files come from `contexts`.
    pub context: Option<&'a Path>,
    /// Stages whose files come from folders of this machine.
    pub contexts: &'a [(&'a str, PathBuf)],
    pub archive: &'a Path,
}

/// The first that works. Docker's client alone, without its engine, does not.
pub fn find() -> Result<Engine> {
    for engine in [Engine::Docker, Engine::Podman, Engine::Buildah] {
        if engine.works() {
            return Ok(engine);
        }
    }
    bail!("none of docker, podman and buildah works here: install one, such as: sudo apt-get install buildah")
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.program())
    }
}

impl Engine {
    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    fn works(self) -> bool {
        let probe: &[&str] = match self {
            Self::Docker | Self::Podman => &["info"],
            Self::Buildah => &["--version"],
        };
        let ended = output(Command::new(self.program()).args(probe), &[], Duration::from_secs(10));
        ended.is_ok_and(|output| output.status.success())
    }

    /// Podman and buildah keep what they build in our folder; vfs and chroot work in containers and without root's help.
    fn command(self, state: &Path) -> Command {
        let mut command = Command::new(self.program());
        if self != Self::Docker {
            command.env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
            command.arg("--root").arg(state.join("store")).arg("--runroot").arg(state.join("run"));
        }
        command
    }

    pub fn build(self, build: &Build<'_>) -> Result<()> {
        let empty = build.state.join("empty");
        std::fs::create_dir_all(&empty)?;
        let mut command = self.command(build.state);
        command.args(build_words(self, build, build.context.unwrap_or(&empty)));
        // Times in docker's images, which has no --timestamp.
        command.env("SOURCE_DATE_EPOCH", "0");
        succeed(&mut command, BUILD_LIMIT)?;
        self.save(build.state, build.name, build.archive)?;
        if build.context.is_some() {
            // The base image and what was compiled on it serve the next stage, and the next build.
            return tree::remove(&build.state.join(LAYOUT));
        }
        self.forget(build.state, build.name)
    }

    /// Whether the engine has, or gets, this image as the base of a build.
    pub fn has(self, state: &Path, reference: &str) -> Result<bool> {
        std::fs::create_dir_all(state)?;
        Ok(output(self.command(state).args(["pull", reference]), &[], PULL_LIMIT)?.status.success())
    }

    /// A public image as an archive under our name; false if it is not to be had.
    pub fn pull(self, state: &Path, reference: &str, name: &str, archive: &Path) -> Result<bool> {
        tree::remove(state)?;
        std::fs::create_dir_all(state)?;
        let pulled = output(self.command(state).args(["pull", reference]), &[], PULL_LIMIT)?;
        if !pulled.status.success() {
            let why = pulled.stderr.trim_end().lines().last().unwrap_or("no reason given");
            eprintln!("    cannot pull {reference}: {why}");
            return Ok(false);
        }
        succeed(self.command(state).args(["tag", reference, name]), PULL_LIMIT)?;
        self.save(state, name, archive)?;
        self.forget(state, name)?;
        Ok(true)
    }

    fn save(self, state: &Path, name: &str, archive: &Path) -> Result<()> {
        let layout = state.join(LAYOUT);
        match self {
            Self::Docker => {
                let saved = state.join("saved.tar");
                succeed(Command::new("docker").arg("save").arg("--output").arg(&saved).arg(name), BUILD_LIMIT)?;
                archive::repack(&saved, archive)
            }
            Self::Podman => {
                let words = ["save", "--quiet", "--format", "oci-dir", "--output"];
                succeed(self.command(state).args(words).arg(&layout).arg(name), BUILD_LIMIT)?;
                archive::pack(&layout, archive)
            }
            Self::Buildah => {
                let to = format!("oci:{}:{name}", layout.display());
                succeed(self.command(state).args(["push", "--quiet", name]).arg(to), BUILD_LIMIT)?;
                archive::pack(&layout, archive)
            }
        }
    }

    /// The archive is what counts; what the engine keeps would only fill the disk.
    fn forget(self, state: &Path, name: &str) -> Result<()> {
        if self == Self::Docker {
            succeed(Command::new("docker").args(["image", "rm", name]), BUILD_LIMIT)?;
        }
        tree::remove(state)
    }
}

/// The arguments of each engine's command.
fn build_words(engine: Engine, build: &Build<'_>, context: &Path) -> Vec<String> {
    let mut words: Vec<String> = vec!["build".to_owned()];
    match engine {
        Engine::Docker => words.extend(["--provenance=false", "--sbom=false"].map(str::to_owned)),
        Engine::Podman | Engine::Buildah => {
            words.extend(["--timestamp=0", "--identity-label=false", "--omit-history"].map(str::to_owned));
        }
    }
    if engine != Engine::Docker && build.context.is_some() {
        words.push("--layers".to_owned());
    }
    words.push(format!("--file={}", build.dockerfile.display()));
    words.push(format!("--target={}", build.target));
    words.push(format!("--tag={}", build.name));
    if build.architecture.is_foreign() {
        words.push(format!("--platform=linux/{}", build.architecture));
    }
    words.push(format!("--build-arg=VERSION={}", env!("CARGO_PKG_VERSION")));
    words.extend(build.contexts.iter().map(|(name, folder)| format!("--build-context={name}={}", folder.display())));
    words.push(context.display().to_string());
    words
}

pub fn may_pull(pull: Pull) -> bool {
    static REACHED: OnceLock<bool> = OnceLock::new();
    pull == Pull::Auto && *REACHED.get_or_init(registry_answers)
}

/// Whether the registry of the public images can be connected to; through a proxy only an attempt can tell.
fn registry_answers() -> bool {
    if ["HTTPS_PROXY", "https_proxy"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return true;
    }
    ("registry-1.docker.io", 443)
        .to_socket_addrs()
        .is_ok_and(|mut addresses| addresses.any(|address| TcpStream::connect_timeout(&address, PROBE_LIMIT).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build<'a>(contexts: &'a [(&'a str, PathBuf)]) -> Build<'a> {
        Build {
            state: Path::new("/state"),
            dockerfile: Path::new("/repo/Dockerfile"),
            target: "chatd",
            name: "chatd.local/chatd:dev",
            architecture: Architecture::here(),
            context: None,
            contexts,
            archive: Path::new("/cache/chatd.oci.tar"),
        }
    }

    #[test]
    fn every_engine_builds_the_same_stage_from_the_same_files() {
        let contexts = [("files", PathBuf::from("/repo/target/image/files"))];
        for engine in [Engine::Docker, Engine::Podman, Engine::Buildah] {
            let words = build_words(engine, &build(&contexts), Path::new("/state/empty"));
            assert_eq!(
                (words.first().map(String::as_str), words.last().map(String::as_str)),
                (Some("build"), Some("/state/empty"))
            );
            for word in [
                "--file=/repo/Dockerfile",
                "--target=chatd",
                "--tag=chatd.local/chatd:dev",
                "--build-context=files=/repo/target/image/files",
            ] {
                assert!(words.iter().any(|other| other == word), "{engine}: {word} is not in {words:?}");
            }
        }
    }

    #[test]
    fn what_would_differ_from_one_build_to_the_next_is_turned_off_in_each_engine_s_words() {
        let docker = build_words(Engine::Docker, &build(&[]), Path::new("/empty"));
        assert!(
            docker.iter().any(|word| word == "--provenance=false")
                && !docker.iter().any(|word| word.contains("timestamp"))
        );
        for engine in [Engine::Podman, Engine::Buildah] {
            let words = build_words(engine, &build(&[]), Path::new("/empty"));
            assert!(words.iter().any(|word| word == "--timestamp=0"), "{engine}: {words:?}");
        }
    }

    #[test]
    fn podman_and_buildah_keep_to_a_folder_of_ours_and_docker_has_none() {
        let words = |engine: Engine| {
            let command = engine.command(Path::new("/state"));
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let own = ["--root", "/state/store", "--runroot", "/state/run"];
        assert_eq!(
            (words(Engine::Podman), words(Engine::Buildah)),
            (own.map(str::to_owned).to_vec(), own.map(str::to_owned).to_vec())
        );
        assert!(words(Engine::Docker).is_empty());
    }
}
