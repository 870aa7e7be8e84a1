//! Settings, keys and deployments: what is wrong is said at the start, what changes is taken on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::client::{Client, PATIENCE};
use crate::support::pod::{self, Pod};
use crate::support::redis::Server;
use crate::support::wait_for;
use crate::town::{Town, until_answered};

#[test]
fn two_deployments_on_one_prefix() {
    let redis = Server::start(&[]);
    let url = redis.url();
    let mut first = Pod::start("chat-0", &url, &["--deployment-uid", "first"]);
    let mut other = Pod::launch("other-0", Some(&url), &["--deployment-uid", "second"]);
    let same_name = Pod::launch("chat-0", Some(&url), &["--deployment-uid", "second"]);
    for pod in [&other, &same_name] {
        wait_for("it says what is wrong", PATIENCE, || (pod.try_directory_state()? == "prefix_in_use").then_some(()));
        assert_eq!((pod.probe("/readyz"), pod.probe("/livez")), (503, 200));
        assert_eq!((pod.metric("chatd_prefix_in_use"), pod.metric("chatd_ready")), (1, 0));
        assert!(pod.log().contains("--redis-key-prefix"), "{}", pod.log());
        let refused = Client::connect(pod.tcp).ask("CREATE_ROOM");
        assert!(refused.starts_with("ERR unavailable "), "{refused}");
    }
    // The one that was there is not disturbed, and one of a prefix of its own neither.
    assert_eq!((first.probe("/readyz"), first.metric("chatd_prefix_in_use")), (200, 0));
    let apart = Pod::start("other-0", &url, &["--deployment-uid", "second", "--redis-key-prefix", "second:"]);
    assert!(Client::connect(apart.tcp).ask("CREATE_ROOM").starts_with("ROOM "));

    drop(same_name);
    first.terminate();
    assert_eq!(first.exit_code(Duration::from_secs(20)), 0);
    let gone = Instant::now();
    other.ready();
    assert!(gone.elapsed() < Duration::from_secs(5), "{:?}", gone.elapsed());
    assert!(Client::connect(other.tcp).ask("CREATE_ROOM").starts_with("ROOM "));
}

#[test]
fn a_newer_process_of_its_name_ends_the_older() {
    let redis = Server::start(&[]);
    let url = redis.url();
    let mut older = Pod::start("chat-0", &url, &[]);
    let mut alice = Client::connect(older.tcp);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let newer = Pod::start("chat-0", &url, &[]);
    assert_eq!(older.exit_code(Duration::from_secs(20)), 0);
    let mut alice = Client::connect(newer.tcp);
    let joined = wait_for("the seat is there", PATIENCE, || {
        let answer = alice.ask(&format!("RESUME {room} {token}"));
        answer.starts_with("JOINED ").then_some(answer)
    });
    assert_eq!(joined, format!("JOINED {room} alice alice"));
    // It was moved, and not only found again.
    assert_eq!(newer.metric("chatd_incoming_migrations_total"), 1);
    // The older has not taken the newer's lease with it.
    assert_eq!(newer.probe("/readyz"), 200);
    let lease: String = redis.run("GET chat:pod:chat-0");
    assert!(lease.contains(&newer.web.to_string()), "{lease}");
}

#[test]
fn keys_are_changed_while_it_runs() {
    let keys = tempfile::tempdir().unwrap();
    let write = |id: &str, digit: &str| {
        fs::write(keys.path().join(id), digit.repeat(64)).unwrap();
    };
    write("2026-01", "1");
    let town = Town::start_with(2, &["--token-key-file", keys.path().to_str().unwrap()]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    write("2026-02", "2");
    for pod in &town.pods {
        pod.metric_becomes("chatd_token_keys", 2);
    }
    let mut again = town.client(1);
    again.send(&format!("RESUME {room} {token} RELAY"));
    again.expect(&format!("JOINED {room} alice alice"));
    let token = again.expect_start("TOKEN ")["TOKEN ".len()..].to_owned();
    alice.until("BYE replaced", PATIENCE);
    // The older key goes: what it signed is worth nothing any more, and the newer one signs.
    fs::remove_file(keys.path().join("2026-01")).unwrap();
    for pod in &town.pods {
        pod.metric_becomes("chatd_token_keys", 1);
    }
    // So is the link that was made with it; it comes again once both pods have read the change.
    let resume = format!("RESUME {room} {token} RELAY");
    let (mut stranger, _) = until_answered(town.pods[1].tcp, &resume, "ERR bad_token ", PATIENCE);
    let token = stranger.join_resumable(&room, "bob", "RELAY");
    let mut bob = town.client(0);
    assert_eq!(bob.ask(&format!("RESUME {room} {token}")), format!("JOINED {room} bob alice,bob"));
    // Rubbish is not taken on; what was there counts.
    write("2026-03", "!");
    town.pods[0].metric_becomes("chatd_file_reload_failures_total", 1);
    assert_eq!(town.pods[0].metric("chatd_token_keys"), 1);
}

#[test]
fn clients_are_sent_where_the_file_of_addresses_says() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("addresses.json");
    let town = Town::start_with(2, &["--advertise-file", file.to_str().unwrap()]);
    let room = town.client(0).create_room();
    let join = format!("JOIN {room} alice REDIRECT");
    // The file is not there yet, and then lacks the owner: nobody is sent anywhere.
    assert_eq!(town.client(1).ask(&join), format!("JOINED {room} alice alice"));
    fs::write(&file, r#"{"chat-0":{"tcp":"chat.example.org:30001","web":"chat.example.org:30002","zone":"b"}}"#)
        .unwrap();
    let to = format!("REDIRECT chat.example.org:30001 {room}");
    until_answered(town.pods[1].tcp, &join, &to, PATIENCE);
    // The pod itself has not changed.
    assert_eq!(town.record(&room)["addr"], town.pods[0].tcp.to_string());
}

/// Runs the program with these arguments until it ends: its exit code and what it says on the error stream.
fn ended(arguments: &[&str]) -> (i32, String) {
    let mut child = pod::program()
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{arguments:?}: it runs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_settings_are_refused_with_what_would_be_right() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("key"), pod::KEY).unwrap();
    fs::write(path("short"), "abcdef").unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (key, short, empty, missing) = (path("key"), path("short"), path("empty"), path("missing"));
    let redis = ["--redis-url", "redis://127.0.0.1:6379"];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = ["--tcp-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"];
    let with = |more: &[&str]| [&free[..], &["--admin-listen", "127.0.0.1:0"], more].concat().join(" ");
    let wrong: Vec<(String, i32, Vec<&str>)> = vec![
        (with(&redis), 2, vec!["--token-key-file", "head -c 32"]),
        (with(&["--redis-url", "http://x:1", "--token-key-file", &key]), 2, vec!["--redis-url", "redis://"]),
        (with(&["--redis-url", "redis://:hush@x:1", "--token-key-file", &key]), 2, vec!["--redis-password-file"]),
        (with(&["--redis-username", "me"]), 2, vec!["--redis-username", "--redis-url"]),
        (with(&["--drain-deadline", "3"]), 2, vec!["--drain-deadline", "6"]),
        (with(&["--rate", "0"]), 2, vec!["--rate"]),
        (with(&["--burst", "5"]), 2, vec!["--burst", "--rate"]),
        (with(&["--pod-id", "no spaces"]).replace("no spaces", "no/slash"), 2, vec!["--pod-id"]),
        (with(&["--nonsense"]), 2, vec!["--nonsense"]),
        (with(&["--token-key-file", &missing]), 1, vec!["--token-key-file", &missing]),
        (with(&["--token-key-file", &short]), 1, vec!["--token-key-file", "32"]),
        (with(&["--token-key-file", &empty]), 1, vec!["--token-key-file"]),
        (
            with(&[&redis[..], &["--token-key-file", &key, "--redis-password-file", &missing]].concat()),
            1,
            vec!["--redis-password-file", &missing],
        ),
        (format!("--tcp-listen {taken}"), 1, vec!["--tcp-listen", &taken, "in use"]),
        ("--tcp-listen 0.0.0.0:0 --redis-url redis://h:1 --token-key-file k".to_owned(), 2, vec!["--advertise-tcp"]),
    ];
    for (arguments, code, parts) in wrong {
        let words: Vec<&str> = arguments.split(' ').collect();
        let (ended_with, said) = ended(&words);
        assert_eq!(ended_with, code, "{arguments}\n{said}");
        for part in parts {
            assert!(said.contains(part), "{arguments}: no {part:?} in\n{said}");
        }
        assert!(!said.contains("hush") && !said.contains("panicked"), "{arguments}\n{said}");
    }
}

#[test]
fn its_health_is_an_exit_code() {
    let mut pod = Pod::launch("chat-0", None, &[]);
    pod.ready();
    let admin = pod.admin.to_string();
    let ask = || ended(&["healthcheck", "--admin-listen", &admin]);
    assert_eq!(ask().0, 0);
    pod.kill();
    let (code, said) = ask();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&admin), "{said}");
}

#[test]
fn a_password_is_read_again_when_its_file_changes() {
    let redis = Server::start(&["--requirepass", "the right one"]);
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("password");
    fs::write(&file, "a wrong one\n").unwrap();
    let mut pod = Pod::launch("chat-0", Some(&redis.url()), &["--redis-password-file", file.to_str().unwrap()]);
    wait_for("it says why", PATIENCE, || (pod.try_directory_state()? == "auth").then_some(()));
    assert_eq!(pod.probe("/readyz"), 503);
    fs::write(&file, "the right one\n").unwrap();
    pod.ready();
    assert!(Client::connect(pod.tcp).ask("CREATE_ROOM").starts_with("ROOM "));
    assert!(!pod.log().contains("right one") && !pod.log().contains("wrong one"), "{}", pod.log());
}

#[test]
fn a_password_file_that_cannot_be_used_changes_nothing() {
    let redis = Server::start(&["--requirepass", "right"]);
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("password");
    fs::write(&file, "right").unwrap();
    let pod = Pod::start("chat-0", &redis.url(), &["--redis-password-file", file.to_str().unwrap()]);
    fs::write(&file, "").unwrap();
    pod.metric_becomes("chatd_file_reload_failures_total", 1);
    // Not even for the next connection.
    let login = redis.url().replace("redis://", "redis://:right@");
    let mut connection = redis::Client::open(login).unwrap().get_connection().unwrap();
    let _: redis::Value = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut connection).unwrap();
    pod.metric_becomes("chatd_directory_resets_total", 1);
    wait_for("the old password is used", PATIENCE, || {
        Client::connect(pod.tcp).ask("CREATE_ROOM").starts_with("ROOM ").then_some(())
    });
    // What Redis refuses counts too.
    for (count, password) in [(2, "wrong"), (3, "wrong too")] {
        fs::write(&file, password).unwrap();
        pod.metric_becomes("chatd_file_reload_failures_total", count);
    }
    assert_eq!(pod.directory_state(), "ok");
    let said = |words: &str| pod.log().lines().filter(|line| line.contains(words)).count();
    assert_eq!(said("cannot use a file of the Redis settings"), 1, "{}", pod.log());
    assert_eq!(said("keeping the connection"), 2, "{}", pod.log());
}

#[test]
fn chat_text_and_secrets_are_not_in_the_log() {
    let town = Town::start_with(2, &["--log-level", "trace", "--log-format", "json"]);
    let mut alice = town.client(0);
    let room = alice.create_room();
    let token = alice.join_resumable(&room, "alice", "");
    let mut bob = town.client(1);
    let bobs = bob.join_resumable(&room, "bob", "RELAY");
    bob.send("SAY a word in confidence");
    alice.until("MSG bob a word in confidence", PATIENCE);
    alice.send("a badly \u{7} written confidence");
    alice.until("ERR bad_text ", PATIENCE);
    town.client(0).ask(&format!("RESUME {room} {token}x"));
    assert!(pod::get(town.pods[0].web, "/room/x?name=confidence").is_some());
    assert!(pod::get(town.pods[0].admin, "/status?confidence").is_some());
    let lines = town.pods.iter().map(Pod::log).collect::<String>();
    assert!(lines.lines().count() > 4 && lines.lines().all(|line| line.starts_with('{')), "{lines}");
    for secret in ["confidence", &token, &bobs, pod::KEY] {
        assert!(!lines.contains(secret), "{secret} in\n{lines}");
    }
}
