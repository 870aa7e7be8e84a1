//! A process identified by its id and its start time, so that another process with the same id is never mistaken for it. I/O on
//! /proc.

use anyhow::Result;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// In clock ticks since the machine started.
    pub start: u64,
}

impl Identity {
    pub fn of(pid: i32) -> Option<Self> {
        let (state, _, start) = stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        // A zombie has ended.
        (state != 'Z' && state != 'X').then_some(Self { pid, start })
    }

    /// Its children of this moment.
    pub fn children(self) -> Result<Vec<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Processes come and go while this looks at them.
            let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let Some((_, parent, start)) = stat(&line) else { continue };
            if parent == self.pid {
                children.push(Self { pid, start });
            }
        }
        Ok(children)
    }

    pub fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether it lives, or has ended and was not reaped.
    pub fn exists(self) -> bool {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat(&line).is_some_and(|(_, _, start)| start == self.start)
    }

    /// Ends it at once if it still lives.
    pub fn kill(self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        // The handle is taken first and the start compared then: whatever is killed is what was compared.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.lives() {
            match pidfd_send_signal(&handle, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// State, parent and start of a line of /proc/PID/stat. The name, in brackets, may hold anything.
fn stat(line: &str) -> Option<(char, i32, u64)> {
    let mut rest = line.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?.chars().next()?;
    let parent = rest.next()?.parse().ok()?;
    // The 22nd field of the line; the parent is the 4th.
    let start = rest.nth(17)?.parse().ok()?;
    Some((state, parent, start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_brackets_and_blanks_is_no_trap() {
        let line = "12 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(stat(line), Some(('R', 1, 4711)));
        assert_eq!(stat("nonsense"), None);
    }

    #[test]
    fn only_the_process_that_was_meant_is_killed() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep starts");
        let pid = i32::try_from(child.id()).expect("a process id");
        let identity = Identity::of(pid).expect("it lives");
        let other = Identity { start: identity.start + 1, ..identity };
        other.kill().expect("nothing to do");
        assert!(identity.lives() && !other.lives());
        assert!(child.try_wait().expect("it can be asked").is_none());
        identity.kill().expect("it is killed");
        let _ = child.wait();
        assert!(!identity.lives());
    }
}
