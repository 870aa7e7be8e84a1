//! chatd processes on one Redis, and their metrics. Does I/O.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::chatd::{KEY, is_ready, log_of};
use crate::peers::Place;
use crate::process::{Cpu, Process, free_address};
use crate::talk::Talk;

/// How long a Redis may take to hold what it is expected to.
const PATIENCE: Duration = Duration::from_mins(1);

const AT_ONCE: usize = 20;

/// A Redis without persistence, on the generator's CPU, which can be restarted, empty, at its address.
pub struct Redis {
    process: Option<Process>,
    pub address: SocketAddr,
    log: PathBuf,
    scratch: PathBuf,
}

impl Redis {
    pub fn start(place: &Place) -> Result<Self> {
        let (log, scratch) = (place.log("redis"), place.scratch.clone());
        let mut redis = Self { process: None, address: free_address()?, log, scratch };
        redis.start_again()?;
        Ok(redis)
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(&self.scratch);
        let mut process = Process::start(&mut command, &self.log)?;
        process.wait_for(self.address)?;
        self.process = Some(process);
        Ok(())
    }

    /// How often each command was carried out since its start, those of scripts too, but for those that ask for this.
    pub fn commands(&self) -> Result<Commands> {
        let mut talk = Talk::connect(self.address)?;
        talk.send("INFO commandstats\r\n")?;
        let length: usize = talk.line_that_starts("$")?[1..].parse()?;
        let (mut commands, mut read) = (BTreeMap::new(), 0);
        while read < length {
            let line = talk.line()?;
            read += line.len() + 2;
            let name = line.strip_prefix("cmdstat_").and_then(|rest| rest.split_once(":calls="));
            if let Some((name, rest)) = name.filter(|(name, _)| !["info", "dbsize"].contains(name)) {
                commands.insert(name.to_owned(), rest.split(',').next().unwrap_or_default().parse()?);
            }
        }
        Ok(Commands(commands))
    }

    /// How many keys it holds.
    pub fn keys(&self) -> Result<usize> {
        let mut talk = Talk::connect(self.address)?;
        talk.send("DBSIZE\r\n")?;
        Ok(talk.line_that_starts(":")?[1..].parse()?)
    }

    /// Waits until it holds so many keys.
    pub fn wait_for_keys(&self, keys: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.keys()? < keys {
            ensure!(Instant::now() < end, "Redis holds {} keys, not {keys}", self.keys()?);
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Numbers of commands by their names.
#[derive(Debug, Default)]
pub struct Commands(BTreeMap<String, u64>);

impl Commands {
    pub fn since(&self, before: &Self) -> Self {
        let new = |(name, count): (&String, &u64)| {
            let count = count - before.0.get(name).copied().unwrap_or_default();
            (count > 0).then(|| (name.clone(), count))
        };
        Self(self.0.iter().filter_map(new).collect())
    }

    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// What was sent to Redis: a script counts as one, and not the GET and the one write that it does.
    pub fn sum(&self) -> u64 {
        let scripts = self.of("evalsha") + self.of("eval");
        let writes = self.of("set") + self.of("pexpire") + self.of("del");
        self.0.values().sum::<u64>() - scripts - writes.min(scripts)
    }

    pub fn a_room(&self, rooms: usize) -> String {
        let kinds: Vec<_> = self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        eprintln!("  commands: {}", kinds.join(", "));
        format!("{:.2}", self.sum() as f64 / rooms as f64)
    }
}

/// One chatd process.
pub struct Pod {
    pub process: Process,
    pub tcp: SocketAddr,
    pub admin: SocketAddr,
}

impl Pod {
    pub fn figures(&self) -> Result<Figures> {
        figures(self.admin)
    }

    pub fn kill(&self) -> Result<()> {
        self.process.signal(Signal::KILL)
    }
}

/// Processes that share a Redis.
pub struct Pods(pub Vec<Pod>);

impl Pods {
    /// `redis`: where they reach it.
    pub fn start(place: &Place, program: &Path, redis: SocketAddr, count: usize, more: &[&str]) -> Result<Self> {
        let mut pods = Self(Vec::with_capacity(count));
        pods.more(place, program, redis, count, more)?;
        Ok(pods)
    }

    /// Starts so many further ones.
    pub fn more(
        &mut self,
        place: &Place,
        program: &Path,
        redis: SocketAddr,
        count: usize,
        more: &[&str],
    ) -> Result<()> {
        let key = place.scratch.join("scale.key");
        std::fs::write(&key, KEY)?;
        let first = self.0.len();
        for index in first..first + count {
            let pod_id = format!("chat-{index}");
            let [tcp, web, peer, admin] = [free_address()?, free_address()?, free_address()?, free_address()?];
            let mut command = Command::new(program);
            command
                .args(["--tcp-listen", &tcp.to_string(), "--http-listen", &web.to_string()])
                .args(["--peer-listen", &peer.to_string(), "--admin-listen", &admin.to_string()])
                .args(["--redis-url", &format!("redis://{redis}"), "--pod-id", &pod_id])
                .arg("--token-key-file")
                .arg(&key)
                // As many as one process of this machine may need; the other limits are those of a deployment.
                .args(["--max-connections", "18000", "--max-rooms", "20000"])
                .args(["--log-level", "warn", "--log-format", "text"])
                // Rooms are where a scenario makes them. An older chatd does not know the flag.
                .env("CHATD_BALANCE", "off")
                .args(more);
            let process = place.cpus.start_server(&mut command, &place.log(&pod_id))?;
            self.0.push(Pod { process, tcp, admin });
        }
        for (index, pod) in self.0.iter_mut().enumerate().skip(first) {
            let admin = pod.admin;
            pod.process.wait_until(|| is_ready(admin)).with_context(|| log_of(&place.log(&format!("chat-{index}"))))?;
        }
        Ok(())
    }

    /// CPU time of those that still run.
    pub fn cpu(&self) -> Result<Cpu> {
        self.0
            .iter()
            .filter_map(|pod| pod.process.cpu().ok())
            .map(Ok)
            .try_fold(Cpu::default(), |sum, cpu: Result<Cpu>| Ok(sum.plus(cpu?)))
    }
}

/// Makes rooms that nobody is in; their ids.
pub fn make_rooms(count: usize, door: SocketAddr) -> Result<Vec<String>> {
    let mut rooms = Vec::with_capacity(count);
    // As many as one connection may make at once (protocol.md, limits).
    for first in (0..count).step_by(AT_ONCE) {
        let mut talk = Talk::connect(door)?;
        let here = AT_ONCE.min(count - first);
        talk.send(&"CREATE_ROOM\n".repeat(here))?;
        for _ in 0..here {
            rooms.push(talk.line_that_starts("ROOM ")?["ROOM ".len()..].to_owned());
        }
    }
    Ok(rooms)
}

/// What a process says on its admin port.
#[derive(Debug)]
pub struct Figures(String);

pub fn figures(admin: SocketAddr) -> Result<Figures> {
    let mut talk = Talk::connect(admin)?;
    talk.send(&format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"))?;
    Ok(Figures(talk.rest()?))
}

impl Figures {
    /// The sum over the labels; 0 of a metric that is not there.
    pub fn of(&self, name: &str) -> u64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value =
                rest.strip_prefix('{').map_or(rest, |labels| labels.split_once('}').map_or("", |(_, value)| value));
            value.strip_prefix(' ')?.trim().parse::<f64>().ok()
        });
        #[allow(clippy::cast_sign_loss)]
        let sum = values.sum::<f64>() as u64;
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_their_labels() {
        let figures = Figures("# HELP a b\nrooms 3\nrooms_made{by=\"x\"} 4\nrooms_made{by=\"y\"} 5\n".to_owned());
        assert_eq!([figures.of("rooms"), figures.of("rooms_made"), figures.of("none")], [3, 9, 0]);
    }
}
