//! What Redis, TLS or the system says stands in `/status` and in the log, and nothing secret does.

use std::fs;
use std::path::Path;

use crate::support::certificates::Certificates;
use crate::support::client::PATIENCE;
use crate::support::fake::FakeServer;
use crate::support::pod::Pod;
use crate::support::redis::Server;
use crate::support::wait_for;

const CONNECTED: &str = "connected to Redis";

/// A pod with this Redis comes to say that its directory is in `state`, for a reason that has all of `words`.
#[track_caller]
fn says(url: &str, more: &[&str], state: &str, words: &[&str]) -> Pod {
    let pod = Pod::launch("chat-0", Some(url), more);
    status_says(&pod, state, words);
    wait_for("the warning", PATIENCE, || words.iter().all(|word| pod.log().contains(word)).then_some(()));
    pod
}

#[track_caller]
fn status_says(pod: &Pod, state: &str, words: &[&str]) {
    wait_for(&format!("{state}: {words:?}"), PATIENCE, || {
        let directory = pod.try_status()?["directory"].take();
        let detail = directory["detail"].as_str()?;
        (directory["state"] == state && words.iter().all(|word| detail.contains(word))).then_some(())
    });
}

#[test]
fn a_server_that_turns_everyone_away_is_quoted_and_does_not_count_as_connected() {
    let server = FakeServer::turning_away("-DENIED Redis is running in protected mode because it is enabled.");
    let pod = says(&server.url(), &[], "auth", &["Redis: DENIED Redis is running in protected mode", "set a password"]);
    assert!(!pod.log().contains(CONNECTED), "{}", pod.log());

    let server = Server::start(&["--maxclients", "1"]);
    let client = redis::Client::open(server.url()).unwrap();
    let place = wait_for("the only place", PATIENCE, || client.get_connection().ok());
    let pod = says(&server.url(), &[], "refused", &["client limit", "Redis: ERR max number of clients"]);
    assert!(!pod.log().contains(CONNECTED), "{}", pod.log());
    drop(place);
    wait_for("the first good answer", PATIENCE, || pod.log().contains(CONNECTED).then_some(()));
    status_says(&pod, "ok", &[]);
}

#[test]
fn a_refusal_of_redis_is_quoted() {
    let server =
        FakeServer::saying("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
    let pod =
        says(&server.url(), &[], "refused", &["long-running script", "Redis: BUSY Redis is busy running a script"]);
    assert!(!pod.log().contains(CONNECTED), "{}", pod.log());

    let server = Server::start(&["--rename-command", "EVALSHA", ""]);
    says(&server.url(), &[], "auth", &["renamed, disabled", "Redis: ERR unknown command 'EVALSHA'"]);

    let server = Server::start(&[]);
    let _: String = server.run("ACL SETUSER default on nopass resetkeys ~other:* +@all");
    says(&server.url(), &[], "auth", &["this user may not", "Redis: NOPERM"]);

    let server = FakeServer::saying("HTTP/1.1 400 Bad Request");
    says(&server.url(), &[], "refused", &["not a Redis server", "HTTP/1.1 400 Bad Request"]);
}

#[test]
fn a_server_that_cannot_save_is_distinguished_from_a_replica() {
    let server = Server::start(&[]);
    let pod = Pod::start("chat-0", &server.url(), &[]);
    let at: Vec<String> = server.run("CONFIG GET dir");
    fs::create_dir(Path::new(&at[1]).join("dump.rdb")).unwrap();
    let mut save = redis::cmd("CONFIG");
    save.arg("SET").arg("save").arg("3600 1").exec(&mut server.connection()).unwrap();
    let _: String = server.run("BGSAVE");
    status_says(&pod, "read_only", &["cannot save to disk", "Redis: MISCONF"]);
}

#[test]
fn no_password_is_repeated() {
    let server = Server::start(&["--rename-command", "AUTH", ""]);
    let files = tempfile::tempdir().unwrap();
    let password = files.path().join("password");
    fs::write(&password, "open-sesame").unwrap();
    let more = ["--redis-password-file", password.to_str().unwrap()];
    let pod = says(&server.url(), &more, "auth", &["unknown command 'AUTH'"]);
    assert!(!pod.log().contains("open-sesame"), "{}", pod.log());
}

#[test]
fn an_invalid_certificate_is_named() {
    let expired = Certificates::with(&["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let nameless = Certificates::with(&[], |_| {});
    let other = Certificates::with(&["redis.example.org"], |_| {});
    let stranger = Certificates::new();
    for (server, authority, words) in [
        (&expired, &expired, "TLS: the server's certificate has expired"),
        (&nameless, &nameless, "TLS: the server's certificate has no SAN"),
        (&other, &other, "TLS: the server's certificate is not for 127.0.0.1 but for redis.example.org"),
        (&stranger, &other, "TLS: no CA of --redis-ca-file"),
    ] {
        let redis = Server::start_tls(server, &["--tls-auth-clients", "no"]);
        let url = format!("rediss://{}", redis.tls_address());
        says(&url, &["--redis-ca-file", authority.ca().to_str().unwrap()], "tls", &[words]);
    }
    let redis = Server::start_tls(&stranger, &[]);
    let ca = stranger.ca();
    let more = ["--redis-ca-file", ca.to_str().unwrap()];
    says(&format!("rediss://{}", redis.tls_address()), &more, "tls", &["the server refuses this client"]);
    says(&format!("rediss://{}", redis.address()), &more, "timeout", &["does not answer the TLS handshake"]);
    says(&format!("redis://{}", redis.tls_address()), &[], "refused", &["rediss://"]);
}

#[test]
fn the_system_error_of_an_address_is_reported() {
    says("redis://no-such-host.invalid:6379", &[], "unknown_host", &["no-such-host.invalid:6379: "]);
    let port = crate::support::redis::free_port();
    says(&format!("redis://127.0.0.1:{port}"), &[], "refused", &[&format!("127.0.0.1:{port}"), "onnection refused"]);
}
