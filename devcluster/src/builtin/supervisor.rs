//! The parent of all processes of one built-in cluster, and the first process of their own process namespace: when it ends, the
//! kernel ends all of them and the mounts they see, whatever state they are in. It restarts them and reaps orphans. I/O.

use super::control::{Answer, Request, State};
use super::layout::Layout;
use super::processes::Process;
use crate::cluster::Name;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, wait, waitid};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Where the host's named network namespaces are seen from inside.
const NETWORK_NAMESPACES: &str = "/run/chatd-netns";
/// Between the end of a process and its next start.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Settings of the whole machine that kubelet would change: it reads these values instead, and leaves the machine's alone.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long)]
    name: Name,
}

struct Kept {
    process: Process,
    pid: Option<Pid>,
    wanted: bool,
    ends: u32,
    last_end: Option<String>,
    start_at: Option<Instant>,
}

#[derive(Default)]
struct Table {
    kept: Mutex<BTreeMap<String, Kept>>,
    changed: Condvar,
}

/// The command `supervise`, started by `up` in new mount and process namespaces.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if std::process::id() != 1 {
        anyhow::bail!("supervise is started by `up`, in a process namespace of its own");
    }
    // `up` says so when it has written this process down. If it ended before that, nobody would find this one again.
    let mut word = String::new();
    if std::io::stdin().read_line(&mut word)? == 0 {
        anyhow::bail!("`up` exited before it had recorded this supervisor");
    }
    let state = Layout::state_of(&arguments.name);
    rearrange_mounts(&state).context("arranging the cluster's mounts")?;
    let socket = state.join("supervisor.sock");
    // Left by a supervisor that ended.
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).with_context(|| format!("listening at {}", socket.display()))?;
    let table = Arc::new(Table::default());
    let reaping = Arc::clone(&table);
    thread::spawn(move || reap(&reaping));
    let restarting = Arc::clone(&table);
    thread::spawn(move || restart(&restarting));
    for stream in listener.incoming() {
        match stream {
            // One caller at a time: they are `up` and `down`.
            Ok(stream) => {
                if let Err(error) = serve(&table, stream) {
                    eprintln!("a caller: {error:#}");
                }
            }
            Err(error) => eprintln!("accepting: {error}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Inside, /run, /var/lib and /var/log are the cluster's own: what containerd, kubelet and the network plugins leave there, at paths
/// that cannot be configured, goes with the namespace. The state folder and the named network namespaces stay visible.
fn rearrange_mounts(state: &Path) -> Result<()> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::SHARED)?;
    let open = |path: &Path| -> Result<_> {
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("opening {}", path.display()))
    };
    let through = |fd: &dyn AsRawFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let kept_state = open(state)?;
    let network_namespaces = open(Path::new("/run/netns"))?;

    let pod_logs = state.join("pod-logs");
    fs::create_dir_all(&pod_logs)?;
    mount_bind(&pod_logs, "/var/log")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options: Option<&std::ffi::CStr> = Some(c"mode=755");
    mount("tmpfs", "/var/lib", "tmpfs", flags, options)?;
    fs::create_dir_all(state)?;
    mount_bind_recursive(through(&kept_state), state)?;
    mount("tmpfs", "/run", "tmpfs", flags, options)?;
    fs::create_dir_all(NETWORK_NAMESPACES)?;
    fs::create_dir_all("/run/netns")?;
    fs::create_dir_all("/run/lock")?;
    mount_bind_recursive(through(&network_namespaces), NETWORK_NAMESPACES)?;

    let settings = Path::new("/run/chatd-settings");
    fs::create_dir_all(settings)?;
    for (setting, value) in KERNEL_SETTINGS {
        let target = Path::new("/proc/sys").join(setting);
        if !target.exists() {
            continue;
        }
        let file = settings.join(setting.replace('/', "."));
        fs::write(&file, format!("{value}\n"))?;
        mount_bind(&file, &target).with_context(|| format!("covering {}", target.display()))?;
    }
    Ok(())
}

fn lock(table: &Table) -> MutexGuard<'_, BTreeMap<String, Kept>> {
    table.kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(table: &Table, stream: UnixStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Keep(process)) => answer(keep(table, process)),
        Ok(Request::List) => Answer::Processes(list(table)),
        Err(error) => Answer::Failed(format!("not understood: {error}")),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    (&stream).write_all(&bytes)?;
    Ok(())
}

fn answer(done: Result<()>) -> Answer {
    done.map_or_else(|error| Answer::Failed(format!("{error:#}")), |()| Answer::Done)
}

fn list(table: &Table) -> Vec<State> {
    let state = |kept: &Kept| State {
        name: kept.process.name.clone(),
        running: kept.pid.is_some(),
        ends: kept.ends,
        last_end: kept.last_end.clone(),
        log: kept.process.log.clone(),
    };
    lock(table).values().map(state).collect()
}

fn keep(table: &Table, process: Process) -> Result<()> {
    let same = lock(table).get(&process.name).is_some_and(|kept| kept.process == process && kept.pid.is_some());
    if same {
        return Ok(());
    }
    end(table, &process.name)?;
    let mut kept = lock(table);
    let pid = spawn(&process)?;
    let name = process.name.clone();
    kept.insert(name, Kept { process, pid: Some(pid), wanted: true, ends: 0, last_end: None, start_at: None });
    table.changed.notify_all();
    Ok(())
}

fn end(table: &Table, name: &str) -> Result<()> {
    let mut kept = lock(table);
    let Some(process) = kept.get_mut(name) else { return Ok(()) };
    process.wanted = false;
    process.start_at = None;
    // It reaps itself only in `reap`, which needs the lock: the id cannot be another process's yet.
    if let Some(pid) = process.pid {
        kill_process(pid, Signal::KILL)?;
    }
    let limit = Duration::from_secs(5);
    let gone = |kept: &mut BTreeMap<String, Kept>| kept.get(name).is_some_and(|process| process.pid.is_some());
    let (mut kept, waited) =
        table.changed.wait_timeout_while(kept, limit, gone).unwrap_or_else(PoisonError::into_inner);
    if waited.timed_out() {
        anyhow::bail!("{name} does not end");
    }
    kept.remove(name);
    Ok(())
}

/// The caller holds the lock, so that `reap` cannot see the process end before it stands in the table.
fn spawn(process: &Process) -> Result<Pid> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(&process.log)
        .with_context(|| format!("opening {}", process.log.display()))?;
    let child = Command::new("nsenter")
        .arg(format!("--net={NETWORK_NAMESPACES}/{}", process.network_namespace))
        .arg("--")
        .arg(&process.program)
        .args(&process.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .current_dir("/")
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", process.name))?;
    Ok(Pid::from_child(&child))
}

/// Every process of the namespace that loses its parent becomes a child of this one.
fn reap(table: &Table) {
    loop {
        // Looked at first and taken with the lock held, since a failed `spawn` waits for its own child.
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => {}
            Err(Errno::CHILD) => {
                let kept = lock(table);
                // Until something is started there is nobody to wait for.
                let _ = table.changed.wait_timeout(kept, Duration::from_millis(100));
                continue;
            }
            Err(_) => continue,
        }
        let mut kept = lock(table);
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Some(process) = kept.values_mut().find(|process| process.pid == Some(pid)) else { continue };
            process.pid = None;
            process.ends += 1;
            process.last_end = Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => format!("signal {signal}"),
                _ => "unknown".to_owned(),
            });
            if process.wanted {
                process.start_at = Some(Instant::now() + RESTART_PAUSE);
            }
        }
        table.changed.notify_all();
    }
}

fn restart(table: &Table) {
    let mut kept = lock(table);
    loop {
        let now = Instant::now();
        for process in kept.values_mut() {
            if process.start_at.is_some_and(|at| at <= now) {
                process.start_at = None;
                match spawn(&process.process) {
                    Ok(pid) => process.pid = Some(pid),
                    Err(error) => {
                        process.ends += 1;
                        process.last_end = Some(format!("{error:#}"));
                        process.start_at = Some(now + RESTART_PAUSE);
                    }
                }
            }
        }
        let next = kept.values().filter_map(|process| process.start_at).min();
        let pause = next.map_or(Duration::from_mins(1), |at| at.saturating_duration_since(now));
        kept = table.changed.wait_timeout(kept, pause).map_or_else(|error| error.into_inner().0, |(kept, _)| kept);
    }
}
