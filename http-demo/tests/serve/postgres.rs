//! `/db`: the server's version over connections that are kept, and why there is none.

use std::fs;

use crate::demo::Demo;
use crate::postgres_server::{PASSWORD, postgres};
use crate::proxy::Proxy;
use crate::{demo, wait_for};

/// A folder with the superuser's password.
fn password_file(password: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, format!("{password}\n")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_version_comes_over_a_kept_connection() {
    let (_folder, file) = password_file(PASSWORD);
    let demo = Demo::with_postgres(&postgres().host(), &["--postgres-password-file", &file]);
    let first = demo.get("/db");
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")), "{}", first.text());
    let told = first.json();
    assert!(told["server_version"].as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()), "{told}");
    assert!(told["latency_ms"].as_f64().unwrap() > 0.0, "{told}");
    assert_eq!((&told["database"], &told["user"]), (&"postgres".into(), &"postgres".into()));
    assert_eq!(told["new_connection"], true);
    for _ in 0..5 {
        let told = demo.get("/db").json();
        assert_eq!((&told["new_connection"], &told["connections"]), (&false.into(), &1.into()), "{told}");
    }
    assert_eq!(demo.metric("http_demo_service_connections_total{service=\"postgres\"}"), 1);
    assert_eq!(demo.metric("http_demo_requests_total{route=\"/db\",method=\"GET\",status=\"200\"}"), 6);
    assert_eq!(demo.ask("HEAD", "/db", &[], b"").status, 200);
    demo.ask("POST", "/db", &[], b"x").is_error(405, "method_not_allowed");
}

#[test]
fn away_silent_and_back() {
    let proxy = Proxy::to(([127, 0, 0, 1], postgres().port).into());
    let (_folder, file) = password_file(PASSWORD);
    let demo = Demo::with_postgres(&proxy.address.to_string(), &["--postgres-password-file", &file]);
    assert_eq!(demo.get("/db").status, 200);
    // Silent on a connection that is kept, and then on new ones.
    proxy.swallow();
    demo.get("/db").is_away("postgres", "timeout");
    // One that waits for a connection does not hang longer than one that has it.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = demo.get("/db");
                let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
                assert!(["timeout", "busy"].contains(&reason.as_str()), "{reason}");
                answer.is_away("postgres", &reason);
            });
        }
    });
    proxy.flow();
    let back = demo.get("/db");
    assert_eq!((back.status, &back.json()["new_connection"]), (200, &true.into()));
    // Closed at once: also what a kept connection was is found out before the answer.
    proxy.cut();
    wait_for("it is away", || (demo.get("/db").status == 503).then_some(()));
    demo.get("/db").is_away("postgres", "closed");
    assert_eq!(demo.get("/readyz").status, 200);
    assert_eq!(demo.get("/livez").status, 200);
    proxy.flow();
    assert_eq!(demo.get("/db").status, 200);
    let log = demo.log();
    for words in ["\"reason\":\"timeout\"", "\"reason\":\"closed\"", "service available again"] {
        assert!(log.contains(words), "{words}");
    }
}

#[test]
fn a_connection_that_the_server_ends_is_made_again_without_an_error() {
    postgres().run("CREATE ROLE ended LOGIN PASSWORD 'x'");
    let (_folder, file) = password_file("x");
    let demo =
        Demo::with_postgres(&postgres().host(), &["--postgres-user", "ended", "--postgres-password-file", &file]);
    assert_eq!(demo.get("/db").status, 200);
    for _ in 0..5 {
        postgres().run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ended'");
        let told = demo.get("/db");
        assert_eq!((told.status, &told.json()["new_connection"]), (200, &true.into()), "{}", told.text());
    }
}

#[test]
fn a_query_that_finds_its_connection_ended_is_run_again() {
    let proxy = Proxy::to(([127, 0, 0, 1], postgres().port).into());
    let (_folder, file) = password_file(PASSWORD);
    let demo = Demo::with_postgres(&proxy.address.to_string(), &["--postgres-password-file", &file]);
    for made in 1..5 {
        let told = demo.get("/db");
        assert_eq!((told.status, &told.json()["new_connection"]), (200, &true.into()), "{}", told.text());
        assert_eq!(demo.metric("http_demo_service_connections_total{service=\"postgres\"}"), made);
        proxy.break_next();
    }
}

#[test]
fn nobody_there_and_an_unknown_host() {
    let demo = Demo::start(&["--postgres-host", &demo::nowhere().to_string()]);
    demo.get("/db").is_away("postgres", "refused");
    let demo = Demo::start(&["--postgres-host", "no-such-host.invalid"]);
    let answer = demo.get("/db");
    let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
    // A machine without a name server does not know in time that there is no such host.
    assert!(["unknown_host", "timeout"].contains(&reason.as_str()), "{reason}");
    answer.is_away("postgres", &reason);
}

#[test]
fn a_wrong_password_is_said_and_a_corrected_file_is_read() {
    postgres().run("CREATE ROLE careless LOGIN PASSWORD 'right'");
    let (_folder, file) = password_file("wrong");
    let user = ["--postgres-user", "careless"];
    let demo = Demo::with_postgres(&postgres().host(), &[&user[..], &["--postgres-password-file", &file]].concat());
    demo.get("/db").is_away("postgres", "auth");
    fs::write(&file, "right").unwrap();
    assert_eq!(demo.get("/db").status, 200);
    assert!(!demo.log().contains("right"), "{}", demo.log());
    // Without a password where one is asked for.
    Demo::with_postgres(&postgres().host(), &user).get("/db").is_away("postgres", "auth");
    // A role that does not exist is told like a wrong password, by Postgres too.
    let nobody = ["--postgres-user", "nobody", "--postgres-password-file", &file];
    Demo::with_postgres(&postgres().host(), &nobody).get("/db").is_away("postgres", "auth");
}

#[test]
fn a_file_that_goes_is_no_harm_until_it_is_needed() {
    postgres().run("CREATE ROLE turning LOGIN PASSWORD 'old'");
    let (_folder, file) = password_file("old");
    let arguments = ["--postgres-user", "turning", "--postgres-password-file", &file];
    let demo = Demo::with_postgres(&postgres().host(), &arguments);
    assert_eq!(demo.get("/db").status, 200);
    // The file is ahead of the server: the kept connection serves on.
    fs::write(&file, "new").unwrap();
    wait_for("the new password was tried", || {
        assert_eq!(demo.get("/db").status, 200);
        demo.log().contains("keeping the old connection").then_some(())
    });
    postgres().run("ALTER ROLE turning PASSWORD 'new'");
    wait_for("the new password is in use", || {
        assert_eq!(demo.get("/db").status, 200);
        demo.log().contains("using a changed password").then_some(())
    });
    fs::remove_file(&file).unwrap();
    postgres().run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'turning'");
    demo.get("/db").is_away("postgres", "password_file");
    fs::write(&file, "new").unwrap();
    assert_eq!(demo.get("/db").status, 200);
}

#[test]
fn read_only_and_no_database_and_full() {
    postgres().run(
        "CREATE DATABASE frozen; ALTER DATABASE frozen SET default_transaction_read_only = on; \
         CREATE DATABASE narrow CONNECTION LIMIT 0; CREATE ROLE few LOGIN PASSWORD 'x'",
    );
    let (_folder, file) = password_file(PASSWORD);
    let with = |database: &str| {
        let arguments = ["--postgres-database", database, "--postgres-password-file", &file];
        Demo::with_postgres(&postgres().host(), &arguments)
    };
    let frozen = with("frozen");
    frozen.get("/db").is_away("postgres", "read_only");
    postgres().run("ALTER DATABASE frozen SET default_transaction_read_only = off");
    assert_eq!(frozen.get("/db").status, 200);
    with("missing").get("/db").is_away("postgres", "no_database");
    fs::write(&file, "x").unwrap();
    let arguments = ["--postgres-user", "few", "--postgres-database", "narrow", "--postgres-password-file", &file];
    Demo::with_postgres(&postgres().host(), &arguments).get("/db").is_away("postgres", "full");
}
