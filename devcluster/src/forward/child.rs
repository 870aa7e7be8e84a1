//! A child process that ends with its parent: by its id, and by the kernel if the parent is killed. Does I/O.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child as Process, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context as _, Result};

use programs::find;

/// Ended when it is dropped.
#[derive(Debug)]
pub struct Child {
    process: Process,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

impl Child {
    /// In a process group of its own, so that Ctrl-C reaches it only by way of us.
    pub fn start(command: Command) -> Result<Self> {
        let mut command = guarded(command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().context("cannot start kubectl")?;
        let lines = read_lines(process.stdout.take());
        let complaints = read_lines(process.stderr.take());
        Ok(Self { process, lines, complaints })
    }

    /// The next line that it printed, if there is one yet.
    pub fn line(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// The same, waited for; None at the end.
    pub fn wait_for_line(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    pub fn last_complaint(&self) -> Option<String> {
        self.complaints.try_iter().last()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; then there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command, which the kernel ends with this thread. Without setpriv only we end it.
fn guarded(command: Command) -> Command {
    let Some(setpriv) = find("setpriv") else { return command };
    let mut outer = Command::new(setpriv);
    outer.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

fn read_lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}
