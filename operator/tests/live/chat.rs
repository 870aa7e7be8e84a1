//! Clients of the chat: lines over `nc` or another program, which is run where pods can be reached. Does I/O.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::world::enter;

/// No answer takes this long: a takeover takes 13 s, a relayed session that finds no owner ends after 15 s.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);

/// One connection.
pub struct Chat {
    program: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Chat {
    pub fn connect(host: &str, port: i32) -> Self {
        let mut nc = enter("nc");
        nc.arg(host).arg(port.to_string());
        Self::over(nc)
    }

    /// Over a program whose input and output are the connection's.
    pub fn over(mut program: Command) -> Self {
        let mut program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { program, input, lines }
    }

    /// A reader notices a connection that has ended meanwhile.
    pub fn send(&mut self, line: &str) {
        let _ = self.input.write_all(format!("{line}\n").as_bytes());
    }

    /// The next line; nothing if the connection has ended.
    pub fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(LONGEST_ANSWER) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {LONGEST_ANSWER:?}"),
        }
    }

    /// Whether the program has not noticed an end.
    pub fn is_open(&mut self) -> bool {
        self.program.try_wait().unwrap().is_none()
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.next().unwrap_or_default()
    }

    /// Sends a line again and again until the answer starts so, and returns what follows.
    pub fn ask_until(host: &str, port: i32, line: &str, start: &str) -> (Self, String) {
        let deadline = Instant::now() + super::world::PATIENCE;
        loop {
            let mut chat = Self::connect(host, port);
            let answer = chat.ask(line);
            if let Some(rest) = answer.strip_prefix(start) {
                return (chat, rest.to_owned());
            }
            assert!(Instant::now() < deadline, "{line} is answered by {answer:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The lines of an answer to an HTTP request.
    pub fn page(host: &str, port: i32, path: &str) -> Vec<String> {
        let mut nc = enter("nc");
        nc.args([host, &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut nc = nc.spawn().unwrap();
        // nc ends when both sides have: its input is closed by waiting for it.
        write!(nc.stdin.as_mut().unwrap(), "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let output = nc.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// A new room.
    pub fn create(host: &str, port: i32) -> String {
        Self::ask_until(host, port, "CREATE_ROOM", "ROOM ").1
    }

    /// Takes a seat that can be resumed; returns its token. Through whatever pod it is connected to.
    pub fn join(host: &str, port: i32, room: &str, name: &str) -> (Self, String) {
        let line = format!("JOIN {room} {name} RESUMABLE RELAY");
        let (chat, _) = Self::ask_until(host, port, &line, &format!("JOINED {room} {name} "));
        let token = chat.next().unwrap_or_default();
        let token = token.strip_prefix("TOKEN ").unwrap_or_else(|| panic!("{token}")).to_owned();
        (chat, token)
    }
}

/// Somebody who talks without a pause, and comes back by the token whenever the connection is ended.
pub struct Talker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Told>,
}

/// What a talker has lived through.
#[derive(Debug, Default)]
pub struct Told {
    /// Lines that were answered; all that were said were.
    pub answered: u32,
    /// Lines that were heard by their sender more than once, or in another order, or without having been said.
    pub wrong: Vec<String>,
    /// Lines whose connection ended before the answer.
    pub cut: u32,
    /// Connections after the first.
    pub comebacks: u32,
    pub longest_wait: Duration,
}

impl Talker {
    pub fn start(host: &str, port: i32, room: &str, name: &str) -> Self {
        let (chat, token) = Chat::join(host, port, room, name);
        Self::of(chat, token, host, port, room, name)
    }

    /// Who has joined already, and comes back to `host`.
    pub fn of(chat: Chat, token: String, host: &str, port: i32, room: &str, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let speaker = Speaker {
            chat,
            token,
            home: (host.to_owned(), port),
            room: room.to_owned(),
            name: name.to_owned(),
            told: Told::default(),
        };
        let until = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || speaker.run(&until)) }
    }

    pub fn end(self) -> Told {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

struct Speaker {
    chat: Chat,
    token: String,
    home: (String, i32),
    room: String,
    name: String,
    told: Told,
}

impl Speaker {
    fn run(mut self, stop: &AtomicBool) -> Told {
        while !stop.load(Ordering::SeqCst) {
            self.say(self.told.answered);
            self.told.answered += 1;
            // The pace of talking: below the limit of 10 a second.
            std::thread::sleep(Duration::from_millis(150));
        }
        self.told
    }

    /// Until it is answered.
    fn say(&mut self, number: u32) {
        let asked = Instant::now();
        loop {
            self.chat.send(&format!("SAY {number}"));
            if self.is_answered(number) {
                break;
            }
            self.come_back();
        }
        self.told.longest_wait = self.told.longest_wait.max(asked.elapsed());
    }

    fn is_answered(&mut self, number: u32) -> bool {
        let own = format!("MSG {} ", self.name);
        while let Some(line) = self.chat.next() {
            match line.strip_prefix(&own) {
                Some(text) if text == number.to_string() => return true,
                Some(_) => self.told.wrong.push(line),
                None if line.starts_with("ERR ") || line.starts_with("MISSED ") => self.told.wrong.push(line),
                None if line == "BYE moved" => return false,
                None => {}
            }
        }
        self.told.cut += 1;
        false
    }

    fn come_back(&mut self) {
        self.told.comebacks += 1;
        let line = format!("RESUME {} {} RELAY", self.room, self.token);
        let start = format!("JOINED {} {} ", self.room, self.name);
        let (chat, _) = Chat::ask_until(&self.home.0, self.home.1, &line, &start);
        let token = chat.next().unwrap_or_default();
        if let Some(token) = token.strip_prefix("TOKEN ") {
            token.clone_into(&mut self.token);
        }
        self.chat = chat;
    }
}

/// Work for one pod: some thousands of lines a second that it answers, until it is dropped.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    pub fn start(host: &str, port: i32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, host) = (Arc::clone(&stop), host.to_owned());
        let work = move || {
            let room = Chat::create(&host, port);
            let (mut chat, _) = Chat::join(&host, port, &room, "worker");
            // Line by line: many at once cost the pod too little.
            while !until.load(Ordering::SeqCst) {
                let answer = chat.ask("SAY work");
                assert!(answer.starts_with("MSG worker "), "{answer:?}");
                // Below 10,000 a second, the most that a deployment's limits allow.
                std::thread::sleep(Duration::from_micros(100));
            }
        };
        Self { stop, thread: Some(std::thread::spawn(work)) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
