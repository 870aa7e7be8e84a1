//! The bot of examples/apps/bot-rust, as a process: it answers, outlives its connection, and leaves.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::Pod;
use crate::support::proxy::Proxy;
use crate::support::wait_for;

const SECRET: [u8; 32] = [9; 32];

fn sign(sub: &str) -> String {
    let claims = json!({ "sub": sub, "room": "match-42", "create": true, "exp": 9_999_999_999_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(&SECRET).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

struct Bot(Child);

impl Bot {
    /// `cargo test --workspace` has built it beside the tests; with some of its targets only, it is built here, with the same features.
    fn start(way: &Proxy, token: Option<&str>) -> Self {
        let words = ["build", "--locked", "--quiet", "--workspace", "--example", "bot"];
        assert!(Command::new(env!("CARGO")).args(words).status().unwrap().success(), "the bot is not built");
        let program: PathBuf = Path::new(env!("CARGO_BIN_EXE_chatd")).with_file_name("examples").join("bot");
        let mut command = Command::new(program);
        command.args([&format!("http://{}", way.address), "match-42"]).env_remove("BOT_NAME").env_remove("BOT_TOKEN");
        Self(command.envs(token.map(|token| ("BOT_TOKEN", token))).stdin(Stdio::null()).spawn().unwrap())
    }

    fn exit_code(&mut self) -> Option<i32> {
        wait_for("the bot ends", PATIENCE, || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_bot_answers_outlives_its_connection_and_leaves() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("app-1"), STANDARD.encode(SECRET)).unwrap();
    let keys = keys.path().to_str().unwrap();
    let mut pod = Pod::launch("alone", None, &["--room-access", "token", "--join-keys-file", keys]);
    pod.ready();
    let way = Proxy::to(pod.web);
    let mut alice = Client::connect(pod.tcp);
    assert_eq!(alice.ask(&format!("JOIN match-42 alice AUTH={}", sign("alice"))), "JOINED match-42 alice alice");

    let mut refused = Bot::start(&way, None);
    assert_eq!(refused.exit_code(), Some(1), "it needs a token, and does not try again");
    let mut bot = Bot::start(&way, Some(&sign("bot")));
    alice.until("ENTERED dice", PATIENCE);
    alice.send("SAY !roll 20");
    let heard = alice.until("MSG dice ", PATIENCE).pop().unwrap();
    assert!(heard.starts_with("MSG dice alice rolls ") && heard.ends_with(" of 20"), "{heard}");
    alice.send("SAY !time");
    alice.until("MSG dice It is ", PATIENCE);

    // It comes back to its seat, again and again, and hears what was said meanwhile.
    for sides in [30, 40] {
        way.cut();
        alice.until("AWAY dice", PATIENCE);
        alice.send(&format!("SAY !roll {sides}"));
        alice.until("MSG alice !roll", PATIENCE);
        way.flow();
        alice.until("BACK dice", PATIENCE);
        let heard = alice.until("MSG dice ", PATIENCE).pop().unwrap();
        assert!(heard.ends_with(&format!(" of {sides}")), "{heard}");
    }

    kill_process(Pid::from_child(&bot.0), Signal::INT).unwrap();
    alice.until("EXITED dice left", PATIENCE);
    assert_eq!(bot.exit_code(), Some(0));
}
