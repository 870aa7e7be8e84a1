//! Settings as a process takes them: wrong ones are refused, with what would be right.

use std::net::TcpListener;

use crate::demo::{Demo, program};

/// Exit code and standard error.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let output = program().args(arguments).envs(variables.iter().copied()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_settings_are_refused_with_what_would_be_right() {
    for (arguments, words) in [
        (&["--listen", "8080"][..], "127.0.0.1:8080"),
        (&["--listen", "localhost:8080"], "an IP address and a port"),
        (&["--redis-url", "rediss://redis:6379"], "does not speak TLS"),
        (&["--redis-url", "redis:6379"], "starts with redis://"),
        (&["--redis-url", "redis://:s3cret@redis:6379"], "--redis-password-file"),
        (&["--redis-url", "redis://redis:6379/x"], "redis://host:port/db"),
        (&["--redis-url", "redis://redis:0"], "host:port"),
        (&["--redis-username", "me"], "--redis-password-file"),
        (&["--redis-key-prefix", "a b"], "visible ASCII"),
        (&["--postgres-host", "postgres://db"], "host:port"),
        (&["--postgres-host", "user:s3cret@db"], "host:port"),
        (&["--postgres-user", ""], "1 to 63 bytes"),
        (&["--postgres-connections", "0"], "1 to 64"),
        (&["--default-ttl", "100", "--max-ttl", "10"], "raise --max-ttl"),
        (&["--max-ttl", "0"], "1 to 2592000"),
        (&["--max-value", "2MiB"], "1048576 bytes"),
        (&["--max-key", "4KB"], "4KiB"),
        (&["--drain-deadline", "0.5"], "1 to 300"),
        (&["--log-level", "loud"], "warn"),
        (&["--colour"], "unexpected argument"),
    ] {
        let (code, said) = refused(arguments, &[]);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let (code, said) = refused(&[], &[("HTTP_DEMO_REDIS_URL", "redis://:s3cret@h:1")]);
    assert!(code == 2 && !said.contains("s3cret"), "{said}");
}

#[test]
fn what_is_not_there_is_said_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&["--listen", &address], &[]);
    assert!(code == 1 && said.contains("cannot bind to this address: Address already in use"), "{said}");
    for flag in ["--redis-password-file", "--postgres-password-file"] {
        let (code, said) = refused(&["--listen", "127.0.0.1:0", flag, "/no/such/file"], &[]);
        assert!(code == 1 && said.contains(flag) && said.contains("cannot read /no/such/file"), "{said}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    for wrong in [b"\n".to_vec(), b"\xff".to_vec(), vec![b'a'; 65537]] {
        std::fs::write(file.path(), wrong).unwrap();
        let (code, said) =
            refused(&["--listen", "127.0.0.1:0", "--redis-password-file", file.path().to_str().unwrap()], &[]);
        assert!(code == 1 && (said.contains("must be a regular file") || said.contains("cannot read")), "{said}");
    }
    let (code, said) = refused(&["--listen", "127.0.0.1:0", "--redis-password-file", "/dev/zero"], &[]);
    assert!(code == 1 && said.contains("/dev/zero must be a regular file"), "{said}");
}

#[test]
fn help_and_version() {
    for (flag, words) in [("--help", "HTTP_DEMO_REDIS_URL"), ("-h", "--redis-url"), ("--version", "http-demo 0.")] {
        let output = program().arg(flag).output().unwrap();
        assert!(output.status.success(), "{flag}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(words), "{flag}");
    }
}

#[test]
fn variables_that_are_none_are_warned_of() {
    // What Kubernetes sets for a Service named http-demo is no mistake of anybody's.
    let mut command = program();
    command.args(["--listen", "192.0.2.1:1"]);
    let links =
        ["HTTP_DEMO_SERVICE_HOST", "HTTP_DEMO_SERVICE_PORT_WEB", "HTTP_DEMO_PORT", "HTTP_DEMO_PORT_80_TCP_ADDR"];
    let output = command.envs(links.map(|name| (name, "x"))).env("HTTP_DEMO_LISTN", "x").output().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("HTTP_DEMO_LISTN is not a setting"), "{log}");
}

#[test]
fn variables_are_settings_and_flags_win() {
    let demo = Demo::start(&["--max-ttl", "4000"]);
    assert_eq!(demo.get("/status").json()["limits"]["max_ttl"], 4000);
    let output = program().args(["--max-ttl", "1"]).env("HTTP_DEMO_MAX_TTL", "wrong").output().unwrap();
    // The flag's value is what is judged: too short for the default TTL.
    assert!(String::from_utf8(output.stderr).unwrap().contains("longer than --max-ttl 1"));
}
