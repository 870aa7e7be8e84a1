//! Programs that are run to their end: bounded in time, and with their last lines in the error when they fail. Does I/O.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How many of its last lines a failed program is quoted with.
const LAST_LINES: usize = 20;
const POLL: Duration = Duration::from_millis(5);

/// What a program that ended has said.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it to its end, which is within `limit` or it is killed; a status other than 0 is no error.
pub fn output(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let name = shown(command);
    let (mut stdout, mut stderr) = (memory_file()?, memory_file()?);
    let mut stdin = memory_file()?;
    stdin.write_all(input)?;
    stdin.seek(SeekFrom::Start(0))?;
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout.try_clone()?)).stderr(Stdio::from(stderr.try_clone()?));
    let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
    let ended = wait(&mut child, limit)?;
    let (stdout, stderr) = (content(&mut stdout)?, content(&mut stderr)?);
    match ended {
        Some(status) => Ok(Output { status, stdout, stderr }),
        None => {
            bail!("{name} did not end within {} s; its last lines:\n{}", limit.as_secs(), last_lines(&stdout, &stderr))
        }
    }
}

/// Runs it to its end and gives what it printed; a status other than 0 is an error with its last lines.
pub fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    succeed_with(command, &[], limit)
}

/// The same, with something to read on its standard input.
pub fn succeed_with(command: &mut Command, input: &[u8], limit: Duration) -> Result<String> {
    let name = shown(command);
    let Output { status, stdout, stderr } = output(command, input, limit)?;
    if !status.success() {
        bail!("{name} failed ({status}); its last lines:\n{}", last_lines(&stdout, &stderr));
    }
    Ok(stdout)
}

/// Waits for a child's end; after `limit` it is killed, and None is the answer.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(POLL);
    }
}

/// The program's name and its first words, enough to find it again.
fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words = command.get_args().take(4).map(|word| word.to_string_lossy().into_owned());
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

/// Not a pipe: a grandchild that holds it open keeps nobody waiting.
fn memory_file() -> Result<File> {
    Ok(rustix::fs::memfd_create("xtask", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

fn content(file: &mut File) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of what was said, complaints first if there are any.
fn last_lines(stdout: &str, stderr: &str) -> String {
    let said = if stderr.trim().is_empty() { stdout } else { stderr };
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    lines[from..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn what_it_prints_is_given_and_what_it_reads_is_passed() {
        let stdout = succeed_with(&mut shell("tr a-z A-Z"), b"chat", Duration::from_secs(10)).unwrap();
        assert_eq!(stdout, "CHAT");
    }

    #[test]
    fn a_failure_quotes_its_last_lines_only() {
        let error = succeed(&mut shell("seq 100 >&2; exit 3"), Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("    81\n") && !error.contains("    80\n"), "{error}");
    }

    #[test]
    fn what_does_not_end_is_killed_even_if_a_grandchild_holds_its_output() {
        let begun = Instant::now();
        let error =
            succeed(&mut shell("echo slow; sleep 2 & sleep 60"), Duration::from_millis(300)).unwrap_err().to_string();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(error.contains("did not end within") && error.contains("slow"), "{error}");
    }
}
