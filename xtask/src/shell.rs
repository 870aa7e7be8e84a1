//! Other programs: run with a limit of time, and with what they said in the error when they fail. I/O.

use crate::command::{Output, output};
use anyhow::{Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// For programs that answer at once.
pub const SHORT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn good(&self) -> bool {
        self.code == Some(0)
    }

    /// The last words, for an error message.
    pub fn last_words(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        tail(text, 8)
    }
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

pub fn command<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(words.first().map_or(OsStr::new("false"), AsRef::as_ref));
    command.args(words.iter().skip(1));
    command
}

/// Runs it to its end, whatever its exit code; ends it when `limit` has passed.
pub fn ask(command: &mut Command, limit: Duration) -> Result<Said> {
    if command.get_program().is_empty() {
        bail!("no program");
    }
    let Output { status, stdout, stderr } = output(command, &[], limit)?;
    Ok(Said { code: status.code(), stdout, stderr })
}

/// Runs it and gives what it printed; an exit code other than 0 is an error with its last words.
pub fn run(command: &mut Command, limit: Duration) -> Result<String> {
    let said = ask(command, limit)?;
    if !said.good() {
        let code = said.code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
        bail!("`{}` ended with {code}:\n{}", words(command), said.last_words());
    }
    Ok(said.stdout)
}

/// `run` for a command given as words.
pub fn run_words<S: AsRef<OsStr>>(all: &[S]) -> Result<String> {
    run(&mut command(all), SHORT)
}

/// Where PATH has this program.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps some of what is needed out of a plain user's PATH.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn words(command: &Command) -> String {
    let mut all = vec![command.get_program().to_string_lossy().into_owned()];
    all.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let text = all.join(" ");
    if text.chars().count() > 200 { text.chars().take(200).chain("...".chars()).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_failure_carries_the_last_words() {
        let error = run_words(&["sh", "-c", "echo one; echo two >&2; exit 3"]).expect_err("it fails").to_string();
        assert!(error.contains("code 3") && error.ends_with("two"), "{error}");
    }

    #[test]
    fn what_hangs_is_ended() {
        let started = Instant::now();
        let error = run(&mut command(&["sleep", "60"]), Duration::from_millis(50)).expect_err("it hangs").to_string();
        assert!(error.contains("did not end") && started.elapsed() < Duration::from_secs(20), "{error}");
    }

    #[test]
    fn the_tail_of_a_text() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
