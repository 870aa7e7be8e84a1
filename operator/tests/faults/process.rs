//! An operator as a process, which can be ended at any moment and started again. Does I/O.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::json;

/// Ended by its process id when it is dropped.
pub struct Operator {
    command: Command,
    child: Child,
    starts: u32,
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Operator {
    /// Of these namespaces. `proxy` is where it thinks that the API server is; without one it goes by KUBECONFIG. Its log is in
    /// target/tmp, under `name`.
    pub fn start(name: &str, proxy: Option<SocketAddr>, namespaces: &[String], arguments: &[&str]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let log = folder.join(format!("{name}.log"));
        let mut command = super::enter(env!("CARGO_BIN_EXE_chatd-operator"), proxy.is_none());
        command
            .args(["run", "--admin-listen", "127.0.0.1:0", "--namespace", "operator"])
            .args(["--chatd-image", &super::chatd_image(), "--valkey-image", &super::redis_image()])
            .args(namespaces.iter().flat_map(|namespace| ["--watch-namespace", namespace]))
            .args(arguments)
            .stdout(File::options().create(true).append(true).open(log).unwrap());
        if let Some(proxy) = proxy {
            let kubeconfig = folder.join(format!("{name}.kubeconfig"));
            let content = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
                "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{proxy}") } }],
                "users": [{ "name": "proxy", "user": {} }],
                "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
            });
            std::fs::write(&kubeconfig, content.to_string()).unwrap();
            command.env("KUBECONFIG", kubeconfig);
        }
        let child = command.spawn().unwrap();
        Self { command, child, starts: 1 }
    }

    /// No signal that it could hear: as when its node dies.
    pub fn end_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
        self.starts += 1;
    }

    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}
