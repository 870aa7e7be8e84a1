//! A cluster's name, its files, and its record between two commands. Reads and writes the record; the rest is pure.

use anyhow::{Context, Result, bail};
use programs::repository;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

/// A cluster's name. It becomes part of the names of network interfaces, which the kernel cuts off at 15 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub const LONGEST: usize = 8;
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if text.is_empty() || text.len() > Self::LONGEST || !text.bytes().all(allowed) {
            return Err(format!("a cluster's name is 1 to {} of a-z and 0-9", Self::LONGEST));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which cluster a command is about.
#[derive(Debug, Clone, clap::Args)]
pub struct Selection {
    /// The cluster's name.
    #[arg(long = "cluster-name", env = "CLUSTER_NAME", default_value = "demo")]
    pub name: Name,
}

impl Selection {
    pub fn cluster(&self) -> Cluster {
        Cluster { name: self.name.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct Cluster {
    pub name: Name,
}

/// How a cluster was created; it determines how it is removed and how images are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::enum_variant_names, reason = "one of the tools is called kind")]
pub enum Kind {
    /// Not ours: we never create or remove it.
    Current,
    Builtin,
    Kind,
    K3d,
    Minikube,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Current => "current",
            Self::Builtin => "builtin",
            Self::Kind => "kind",
            Self::K3d => "k3d",
            Self::Minikube => "minikube",
        })
    }
}

/// What `up` writes down before it makes anything, so that `down` knows even after a broken-off `up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub kind: Kind,
    pub nodes: u8,
    pub kubeconfig: PathBuf,
    /// The command that is kubectl for this cluster.
    pub kubectl: Vec<String>,
    /// Whether `up` came to its end.
    pub ready: bool,
}

impl Record {
    /// kubectl of this cluster, whatever KUBECONFIG the caller has.
    pub fn kubectl(&self) -> Command {
        let mut kubectl = programs::from_words(&self.kubectl);
        kubectl.env("KUBECONFIG", &self.kubeconfig);
        kubectl
    }
}

impl Cluster {
    pub fn cache(&self) -> PathBuf {
        repository().join(".cache/cluster").join(&self.name.0)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.cache().join("kubeconfig")
    }

    /// What `env` puts first in PATH.
    pub fn bin(&self) -> PathBuf {
        self.cache().join("bin")
    }

    fn record_file(&self) -> PathBuf {
        self.cache().join("record.json")
    }

    /// The name that kind, k3d and minikube know it by; the prefix keeps it apart from the user's own.
    pub fn external_name(&self) -> String {
        format!("chatd-{}", self.name)
    }

    pub fn record(&self) -> Result<Option<Record>> {
        let file = self.record_file();
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is damaged: run `make down`", file.display()))?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    /// Replaces the record as a whole, so that a killed `up` leaves the old one or the new one.
    pub fn remember(&self, record: &Record) -> Result<()> {
        let file = self.record_file();
        std::fs::create_dir_all(self.cache())?;
        let draft = file.with_extension("draft");
        std::fs::write(&draft, serde_json::to_vec_pretty(record)?)?;
        std::fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))
    }

    /// Removes its files from this repository's folder.
    pub fn forget(&self) -> Result<()> {
        match std::fs::remove_dir_all(self.cache()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The record of a cluster that is up.
    pub fn at_hand(&self) -> Result<Record> {
        match self.record()? {
            Some(record) if record.ready => Ok(record),
            Some(_) => bail!("cluster `{}` is not ready: `make up` was interrupted; run it again", self.name),
            None => bail!("there is no cluster `{}`: run `make up` first", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_the_names_of_network_interfaces() {
        for good in ["demo", "test", "t1", "abcdefgh"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "abcdefghi", "Demo", "a-b", "a/b", "..", "ä"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
