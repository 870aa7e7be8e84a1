//! Forwards ports of this machine to a ready pod, until Ctrl-C. Does I/O.
//!
//! Uses kubectl, not the crate kube: its port-forward (5.0) closes both directions of a connection when a client has closed its sending side,
//! as `printf ... | nc -N` does, so that the answer is lost. It would also triple the crates that a first `make up` compiles.

mod child;
mod choice;
mod relay;
mod watch;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::kube::Kube;
use child::Child;
use choice::{Choice, choose};
use relay::Route;
use watch::Watch;

/// Ports of this machine.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LocalPorts {
    /// Other ports of this machine than those of the pods, in the same order; 0 is any that is free.
    #[arg(long = "local-ports", value_delimiter = ',', value_name = "PORT,...")]
    ports: Vec<u16>,
}

/// Pods that are alike.
#[derive(Debug)]
pub struct Destination {
    pub namespace: &'static str,
    /// Their label.
    pub selector: &'static str,
    pub ports: &'static [u16],
}

const POLL: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A tunnel that lasted this long was not broken from the start.
const GOOD: Duration = Duration::from_secs(5);

/// This machine's side, open before anything long is begun: a port that is taken is known at once.
#[derive(Debug)]
pub struct Ports {
    to: &'static Destination,
    listeners: Vec<(u16, TcpListener)>,
}

impl Ports {
    pub fn open(to: &'static Destination, local: &LocalPorts) -> Result<Self> {
        let mut listeners = Vec::new();
        for (at, &port) in to.ports.iter().enumerate() {
            let local = local.ports.get(at).copied().unwrap_or(port);
            listeners.extend(relay::listen(local)?.into_iter().map(|listener| (port, listener)));
        }
        Ok(Self { to, listeners })
    }

    /// This machine's port for one of the pods'.
    pub fn local(&self, port: u16) -> u16 {
        let listener = self.listeners.iter().find(|(pod_port, _)| *pod_port == port);
        listener.and_then(|(_, listener)| listener.local_addr().ok()).map_or(port, |address| address.port())
    }

    /// Until Ctrl-C, SIGTERM or the end of the terminal; then what was started is ended.
    pub fn keep(self, kube: &Kube) -> Result<ExitCode> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        for &port in self.to.ports {
            println!("    forwarding localhost:{} to port {port} of a pod", self.local(port));
        }
        let route = Route::default();
        for (port, listener) in self.listeners {
            relay::serve(listener, port, route.clone());
        }
        let watch = Watch::start(kube.clone(), self.to.namespace.to_owned(), self.to.selector.to_owned());
        let mut tunnels = Tunnels { kube, to: self.to, route, open: Vec::new(), pause: FIRST_PAUSE, not_before: None };
        while !stop.load(Ordering::Relaxed) {
            tunnels.turn(&watch)?;
            sleep(POLL);
        }
        println!("\nclosed the ports; the pods keep running (make down removes everything)");
        Ok(ExitCode::SUCCESS)
    }
}

/// One `kubectl port-forward` to one pod, on ports of loopback that the kernel chose.
struct Tunnel {
    pod: String,
    uid: String,
    child: Child,
    /// From the pod's port to ours; complete when it has all of them.
    ports: BTreeMap<u16, u16>,
    begun: Instant,
}

/// The last one gets new connections; the others serve open connections to terminating pods.
struct Tunnels<'a> {
    kube: &'a Kube,
    to: &'static Destination,
    route: Route,
    open: Vec<Tunnel>,
    pause: Duration,
    not_before: Option<Instant>,
}

impl Tunnels<'_> {
    fn turn(&mut self, watch: &Watch) -> Result<()> {
        let pods = watch.pods();
        self.hear();
        self.forget_ended();
        // A pod that is gone leaves kubectl waiting for ever.
        let last = self.open.len().saturating_sub(1);
        let mut at = 0;
        self.open.retain(|tunnel| {
            at += 1;
            at > last || pods.iter().any(|pod| pod.uid == tunnel.uid)
        });
        let current = self.open.last().map(|tunnel| tunnel.uid.as_str());
        if let Choice::Go(pod) = choose(current, &pods)
            && self.not_before.is_none_or(|time| Instant::now() >= time)
        {
            let words: Vec<String> = self.to.ports.iter().map(|port| format!(":{port}")).collect();
            let namespace = format!("--namespace={}", self.to.namespace);
            let target = format!("pod/{}", pod.name);
            let mut command = self.kube.command(&["port-forward", &namespace, "--address=127.0.0.1", &target]);
            command.args(words);
            let child = Child::start(command)?;
            let (pod, uid) = (pod.name.clone(), pod.uid.clone());
            self.open.push(Tunnel { pod, uid, child, ports: BTreeMap::new(), begun: Instant::now() });
        }
        Ok(())
    }

    /// What kubectl says about its ports: `Forwarding from 127.0.0.1:40001 -> 8081`.
    fn hear(&mut self) {
        let wanted = self.to.ports.len();
        for tunnel in &mut self.open {
            while let Some(line) = tunnel.child.line() {
                let Some((ours, theirs)) = forwarded(&line) else { continue };
                tunnel.ports.insert(theirs, ours);
                if tunnel.ports.len() == wanted {
                    println!("    connections go to {}", tunnel.pod);
                    self.route.set(tunnel.ports.clone());
                }
            }
        }
    }

    fn forget_ended(&mut self) {
        let mut ended = Vec::new();
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].child.has_ended() { ended.push(self.open.remove(at)) } else { at += 1 }
        }
        for tunnel in ended {
            self.route.clear(&tunnel.ports);
            let why = tunnel.child.last_complaint().unwrap_or_else(|| "kubectl ended".to_owned());
            println!("    the port-forward to {} ended: {why}", tunnel.pod);
            self.pause = if tunnel.begun.elapsed() > GOOD { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
            self.not_before = Some(Instant::now() + self.pause);
        }
    }
}

fn forwarded(line: &str) -> Option<(u16, u16)> {
    let (ours, theirs) = line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(" -> ")?;
    Some((ours.parse().ok()?, theirs.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::forwarded;

    #[test]
    fn kubectl_s_ports_are_read() {
        assert_eq!(forwarded("Forwarding from 127.0.0.1:40001 -> 8081"), Some((40001, 8081)));
        for other in
            ["Forwarding from [::1]:40001 -> 8081", "Handling connection for 8081", "", "Forwarding from x -> y"]
        {
            assert_eq!(forwarded(other), None);
        }
    }
}
