//! Runs programs until they exit: with a timeout, and with their last lines in the error when they fail. Does I/O.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The limit for programs that answer at once.
pub const SHORT: Duration = Duration::from_secs(20);
/// How many of its last lines a failed program is quoted with.
const LAST_LINES: usize = 20;
const POLL: Duration = Duration::from_millis(5);

/// The folder of this repository, which they are run for.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

/// What a command of ours ends with: its own code, or 1 once its error has been told.
pub fn exit_code(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The output of a program that has ended.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The last lines of the output, of stderr if it is not empty.
    pub fn last_lines(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines = tail(text, LAST_LINES);
        lines.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
    }
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A program and its arguments.
pub fn from_words<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(words.first().map_or(OsStr::new("false"), AsRef::as_ref));
    command.args(words.iter().skip(1));
    command
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

/// Runs it to its end, which is within `limit` or it is killed; a status other than 0 is no error.
pub fn output(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let name = shown(command);
    let (mut stdout, mut stderr) = (memory_file()?, memory_file()?);
    let mut stdin = memory_file()?;
    stdin.write_all(input)?;
    stdin.seek(SeekFrom::Start(0))?;
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout.try_clone()?)).stderr(Stdio::from(stderr.try_clone()?));
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let ended = wait(&mut child, limit)?;
    let (stdout, stderr) = (content(&mut stdout)?, content(&mut stderr)?);
    let output = Output { status: ended.unwrap_or_default(), stdout, stderr };
    if ended.is_none() {
        bail!("{name} did not end within {} s; its last lines:\n{}", limit.as_secs(), output.last_lines());
    }
    Ok(output)
}

/// Runs it to its end and gives what it printed; a status other than 0 is an error with its last lines.
pub fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    succeed_with(command, &[], limit)
}

/// The same, with something to read on its standard input.
pub fn succeed_with(command: &mut Command, input: &[u8], limit: Duration) -> Result<String> {
    let name = shown(command);
    let output = output(command, input, limit)?;
    if !output.status.success() {
        bail!("{name} failed ({}); its last lines:\n{}", output.status, output.last_lines());
    }
    Ok(output.stdout)
}

/// The same for a program and its arguments that answers at once.
pub fn succeed_words<S: AsRef<OsStr>>(words: &[S]) -> Result<String> {
    succeed(&mut from_words(words), SHORT)
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
    Ok(rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

fn content(file: &mut File) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
    fn the_tail_of_a_text() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
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
