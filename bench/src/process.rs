//! Processes under measurement: started on the servers' CPU, their CPU time and memory read from /proc, ended by id.
//! Does I/O.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A server may take this long from its start to its first accepted connection.
const START: Duration = Duration::from_mins(1);

/// Which CPUs may be used for what: with two or more, one is the servers' and another the generator's.
#[derive(Debug, Clone, Copy)]
pub struct Cpus {
    server: Option<usize>,
    client: Option<usize>,
}

impl Cpus {
    /// Picks among the CPUs this process may run on, and moves the calling thread to the generator's.
    pub fn split() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let (server, client) = (cpus.next(), cpus.next());
        let cpus = if client.is_none() { Self { server: None, client: None } } else { Self { server, client } };
        Self::run_on(cpus.client)?;
        Ok(cpus)
    }

    pub fn are_split(self) -> bool {
        self.client.is_some()
    }

    fn run_on(cpu: Option<usize>) -> Result<()> {
        if let Some(cpu) = cpu {
            let mut set = CpuSet::new();
            set.set(cpu);
            sched_setaffinity(None, &set)?;
        }
        Ok(())
    }

    /// Starts `command` so that all its threads run on the servers' CPU (a child inherits its parent's affinity).
    /// Its output goes to `log`.
    pub fn start_server(self, command: &mut Command, log: &Path) -> Result<Process> {
        Self::run_on(self.server)?;
        let process = Process::start(command, log);
        Self::run_on(self.client)?;
        process
    }
}

/// CPU time of a process, all its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    pub fn since(self, before: Self) -> Self {
        let (user, system) = (self.user.saturating_sub(before.user), self.system.saturating_sub(before.system));
        Self { user, system }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

/// A child process that is ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    what: String,
}

impl Process {
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        Ok(Self { child, what })
    }

    /// Waits until `address` accepts a connection.
    ///
    /// # Errors
    /// The process ended, or [`START`] has passed.
    pub fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(|| TcpStream::connect(address).is_ok())
    }

    /// Waits until `ready` holds.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let end = Instant::now() + START;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}", self.what);
            }
            ensure!(Instant::now() < end, "{} was not ready in {START:?}", self.what);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {}", self.what))
    }

    /// Whether it has ended by itself or by a signal.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// CPU time of all threads so far. /proc counts it in ticks of 10 ms.
    pub fn cpu(&self) -> Result<Cpu> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        cpu_of_stat(&stat, rustix::param::clock_ticks_per_second())
            .with_context(|| format!("{}: /proc/<pid>/stat is not as expected", self.what))
    }

    /// User-space memory in bytes: the proportional set size, so pages shared with other processes count in part.
    pub fn memory(&self) -> Result<u64> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        pss_of_smaps(&rollup).with_context(|| format!("{}: no Pss in smaps_rollup", self.what))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to do about a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_of_stat(stat: &str, ticks_per_second: u64) -> Option<Cpu> {
    // The command's name stands in parentheses and may hold anything, so fields are counted from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let time = |field: &str| Some(Duration::from_nanos(field.parse::<u64>().ok()? * 1_000_000_000 / ticks_per_second));
    Some(Cpu { user: time(fields.nth(11)?)?, system: time(fields.next()?)? })
}

fn pss_of_smaps(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 20_000;

/// An address of loopback that nothing listens at, another one each time. Its port is outside of the range that the system gives to
/// outgoing connections, of which there are thousands here: one of them would take it before the server starts.
pub fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin far from each other.
    let start = std::process::id().wrapping_mul(7_919);
    for _ in 0..PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + offset as u16));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// Raises the limit of open files to what the system allows; returns it.
pub fn raise_open_files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0";
        assert_eq!(
            cpu_of_stat(stat, 100),
            Some(Cpu { user: Duration::from_millis(1500), system: Duration::from_millis(500) })
        );
        assert_eq!(cpu_of_stat("12 (a) S 1", 100), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(pss_of_smaps("0-1 ---p [rollup]\nRss:  9 kB\nPss:   8 kB\nPss_Dirty: 7 kB\n"), Some(8192));
    }
}
