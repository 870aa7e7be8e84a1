//! Settings through their public door: the command line and the environment. Starts this test binary again to set variables.

#![allow(clippy::unwrap_used)]

use super::*;

fn serve(arguments: &str) -> Result<Settings, String> {
    let words = std::iter::once("chatd").chain(arguments.split_whitespace());
    match parse(words, "host-1.example") {
        Ok(Invocation::Serve(settings)) => Ok(*settings),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

const REDIS: &str = "--redis-url redis://127.0.0.1:6379 --token-key-file key";

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn alone_it_needs_no_flag() {
    let settings = serve("").unwrap();
    assert_eq!(settings.listen.tcp.to_string(), "127.0.0.1:7654");
    assert_eq!(settings.redis, None);
    assert_eq!(settings.pod_id, "host-1.example");
    assert_eq!(settings.tcp_on_wrong_pod, OnWrongPod::Redirect);
    let Limits {
        max_players,
        balance,
        balance_after,
        open_names,
        seat_hold,
        empty_ttl,
        record_ttl,
        max_connections,
        max_connections_per_ip,
        max_rooms,
        rate,
        burst,
        first_line_timeout,
        http_keep_alive,
        idle_timeout,
        max_misses,
        send_queue,
        buffer_bytes,
        replay_messages,
        replay_bytes,
        replay_pod_bytes,
    } = settings.limits;
    let times = [seat_hold, empty_ttl, record_ttl, first_line_timeout, idle_timeout, settings.drain_deadline];
    assert_eq!(times.map(|time| time.as_secs()), [30, 600, 3600, 10, 120, 25]);
    assert_eq!(balance_after.as_secs(), 60);
    assert_eq!(http_keep_alive.as_secs(), 75);
    assert_eq!([max_players, max_connections, max_rooms, rate, burst, max_misses], [4, 10_000, 10_000, 10, 20, 10]);
    assert_eq!((replay_messages, max_connections_per_ip), (32, None));
    assert_eq!([send_queue, buffer_bytes, replay_bytes, replay_pod_bytes], [256 << 10, 128 << 20, 8 << 10, 32 << 20]);
    assert!(balance && !open_names && !settings.clients.proxy_protocol && !settings.clients.per_ip_limits);
}

#[test]
fn what_is_given_is_what_is_set() {
    let settings = serve(&format!(
        "{REDIS} --redis-key-prefix other: --pod-id chat-7 --deployment-uid u --tcp-listen [::]:1 --advertise-tcp chat.example:9 \
         --tcp-on-wrong-pod relay --trusted-proxies 10.0.0.0/8,fd00::/8 --web-base-path /chat/ --proxy-protocol --per-ip-limits on \
         --allowed-origins https://a.example,http://localhost:3000 --send-queue 1MiB --seat-hold 0.5 --rate 20 \
         --drain-deadline 6 --log-format json --log-level debug --advertise-file map.json"
    ))
    .unwrap();
    let redis = settings.redis.unwrap();
    assert_eq!((redis.url.to_string().as_str(), redis.key_prefix.as_str()), ("redis://127.0.0.1:6379/0", "other:"));
    assert_eq!((settings.pod_id.as_str(), settings.deployment_uid.as_str()), ("chat-7", "u"));
    assert_eq!(settings.advertise.tcp.unwrap().to_string(), "chat.example:9");
    assert_eq!(settings.tcp_on_wrong_pod, OnWrongPod::Relay);
    assert_eq!((settings.clients.trusted_proxies.len(), settings.clients.allowed_origins.len()), (2, 2));
    assert_eq!(settings.clients.web_base_path.to_string(), "/chat");
    assert!(settings.clients.proxy_protocol && settings.clients.per_ip_limits);
    assert_eq!((settings.limits.send_queue, settings.limits.seat_hold), (1 << 20, Duration::from_millis(500)));
    assert_eq!((settings.log_format, settings.log_level), (LogFormat::Json, LogLevel::Debug));
}

#[test]
fn behind_a_balancer_lines_are_kept_alive_unless_asked_otherwise() {
    let silence = |words: &str| serve(words).unwrap().clients.line_keep_alive.map(|silence| silence.as_secs());
    assert_eq!(silence(""), None);
    assert_eq!(silence("--proxy-protocol"), Some(30));
    assert_eq!(silence("--proxy-protocol --line-keep-alive 0"), None);
    assert_eq!(silence("--line-keep-alive 7"), Some(7));
}

#[test]
fn switches_are_taken_in_every_form() {
    for (words, on) in [("", true), ("=on", true), (" on", true), ("=off", false), (" off", false)] {
        let settings = serve(&format!("--per-ip-limits{words} --rate 9")).unwrap();
        assert_eq!((settings.clients.per_ip_limits, settings.limits.rate), (on, 9), "{words}");
    }
}

#[test]
fn a_certificate_is_for_both_ports_unless_tcp_tls_says_otherwise() {
    let tcp = |words: &str| serve(words).unwrap().tls.map(|tls| tls.tcp);
    assert_eq!(tcp(""), None);
    assert_eq!(tcp("--tcp-tls off"), None);
    assert_eq!(tcp("--tls-cert-file c --tls-key-file k"), Some(TcpTls::On));
    for (words, mode) in [("off", TcpTls::Off), ("on", TcpTls::On), ("both", TcpTls::Both)] {
        assert_eq!(tcp(&format!("--tls-cert-file c --tls-key-file k --tcp-tls {words}")), Some(mode));
    }
}

#[test]
fn the_server_api_has_an_address_and_keys() {
    let api = |words: &str| serve(words).map(|settings| settings.api);
    assert_eq!(api(""), Ok(None));
    let (listen, keys) = ("--api-listen 127.0.0.1:8082", "--api-keys-file keys.json");
    let settings = api(&format!("{listen} {keys}")).unwrap().unwrap();
    assert_eq!((settings.listen.port(), settings.keys_file.to_str()), (8082, Some("keys.json")));
    for (words, hint) in [
        (listen.to_owned(), "--api-listen needs --api-keys-file"),
        (keys.to_owned(), "--api-keys-file has no effect without --api-listen"),
        (format!("--api-listen 127.0.0.1:9090 {keys}"), "--admin-listen and --api-listen are both"),
    ] {
        let error = api(&words).unwrap_err();
        assert!(error.contains(hint), "{words}: {error}");
    }
}

#[test]
fn a_webhook_has_a_url_and_a_secret() {
    let webhook = |words: &str| serve(words).map(|settings| settings.webhook);
    assert_eq!(webhook(""), Ok(None));
    let url = "--webhook-url https://app.example.org/events?key=hidden";
    let secret = "--webhook-secret-file secret";
    let settings = webhook(&format!("{url} {secret} --webhook-ca-file ca.pem")).unwrap().unwrap();
    assert_eq!(settings.url.target.as_str(), "/events?key=hidden");
    assert!(!format!("{settings:?}").contains("hidden"));
    for (words, hint) in [
        (url, "--webhook-secret-file"),
        (secret, "--webhook-secret-file has no effect"),
        ("--webhook-ca-file ca.pem", "--webhook-ca-file has no effect"),
        (&format!("--webhook-url http://localhost/hidden {secret} --webhook-ca-file ca.pem"), "--webhook-ca-file"),
        (&format!("--webhook-url http://app.example.org/hidden {secret}"), "must begin with https://"),
        (&format!("--webhook-url https://hidden@app.example.org {secret}"), "no user and password"),
        (&format!("--webhook-url hidden {secret}"), "must be a URL"),
    ] {
        let error = webhook(words).unwrap_err();
        assert!(error.contains(hint) && !error.contains("hidden"), "{words}: {error}");
    }
}

#[test]
fn rooms_are_open_to_all_who_know_them_unless_there_are_keys_and_they_are_closed() {
    let join = |words: &str| serve(words).map(|settings| settings.join);
    assert_eq!(join(""), Ok(JoinSettings::default()));
    let keys = "--join-keys-file keys.json";
    assert_eq!(join(keys).map(|join| (join.keys_file.is_some(), join.access)), Ok((true, RoomAccess::Link)));
    let all = join(&format!("{keys} --room-access token --join-audience game --join-issuer backend")).unwrap();
    assert_eq!(
        (all.access, all.audience.as_deref(), all.issuer.as_deref()),
        (RoomAccess::Token, Some("game"), Some("backend"))
    );
    for (words, named) in [
        ("--room-access token", "--join-keys-file"),
        ("--room-access closed", "token"),
        ("--join-audience game", "--join-audience has no effect"),
        ("--join-issuer backend", "--join-issuer has no effect"),
    ] {
        let error = join(words).unwrap_err();
        assert!(error.contains(named), "{words}: {error}");
    }
}

#[test]
fn every_kind_of_redis_is_taken() {
    for url in [
        "redis://h:6379",
        "rediss://h:6379/3",
        "redis://[::1]:6379",
        "redis+sentinel://a:1,b:2/master",
        "rediss+sentinel://a:1/master/2",
        "redis+cluster://a:1,b:2",
        "rediss+cluster://a:1",
    ] {
        assert!(serve(&format!("--redis-url {url} --token-key-file k")).is_ok(), "{url}");
    }
}

/// Each wrong command line, and what its message must hold to be of use.
const REFUSED: &[(&str, &str)] = &[
    ("--redis-url redis://h:1", "--token-key-file"),
    ("--redis-url http://h:1 --token-key-file k", "redis+sentinel://"),
    ("--redis-url redis+tree://h:1 --token-key-file k", "redis+cluster://"),
    ("--redis-url h:6379 --token-key-file k", "redis://"),
    ("--redis-url redis:// --token-key-file k", "host:port"),
    ("--redis-url redis+sentinel://h:1 --token-key-file k", "master"),
    ("--redis-url redis://:hunter2@h:1 --token-key-file k", "--redis-password-file"),
    ("--redis-password-file p", "--redis-url"),
    ("--redis-ca-file p", "--redis-url"),
    ("--redis-url redis://h:1 --token-key-file k --redis-ca-file p", "rediss://"),
    ("--redis-url redis+cluster://h:1 --token-key-file k --redis-ca-file p", "rediss+"),
    ("--redis-url rediss://h:1 --token-key-file k --redis-cert-file p", "--redis-key-file"),
    ("--redis-url rediss://h:1 --token-key-file k --redis-key-file p", "--redis-cert-file"),
    ("--redis-url redis://h:1 --token-key-file k --redis-sentinel-password-file p", "redis+sentinel://"),
    ("--redis-url redis://h:1 --token-key-file k --redis-username u", "--redis-password-file"),
    ("--redis-url redis://h:1 --token-key-file k --tcp-listen 0.0.0.0:7654", "--advertise-tcp"),
    ("--redis-url redis://h:1 --token-key-file k --http-listen [::]:8081", "--advertise-web"),
    ("--redis-url redis://h:1 --token-key-file k --peer-listen 0.0.0.0:7755", "--advertise-peer"),
    ("--advertise-tcp 0.0.0.0:7654", "host name"),
    ("--tcp-listen localhost:7654", "127.0.0.1:7654"),
    ("--tcp-listen 127.0.0.1:9090", "port of its own"),
    ("--advertise-web nowhere", "host:port"),
    ("--rate 30", "--burst 20 is less than --rate 30"),
    ("--drain-deadline 5.9", "6 or more"),
    ("--seat-hold 120 --record-ttl 60", "--record-ttl"),
    ("--seat-hold 601", "from 0 to 600"),
    ("--max-players 65", "from 1 to 64"),
    ("--max-players 0", "from 1 to 64"),
    ("--replay-bytes 1MiB --replay-pod-bytes 1KiB", "--replay-pod-bytes"),
    ("--send-queue 1KiB", "32768"),
    ("--trusted-proxies 10.0.0.1/8", "10.0.0.0/8"),
    ("--web-base-path //evil.example", "/chat"),
    ("--allowed-origins chat.example.org", "https://chat.example.org"),
    ("--redis-key-prefix {a}", "chat:"),
    ("--pod-id a/b", "chat-0"),
    ("--proxy-protocol=maybe", "on or off"),
    ("--max-connections-per-ip 5", "--per-ip-limits"),
    ("--proxy-protocol maybe", "on or off"),
    ("--tcp-on-wrong-pod sometimes", "relay"),
    ("--log-format xml", "json"),
    ("--tcp-listn 127.0.0.1:1", "--tcp-listen"),
    ("--tls-cert-file c", "--tls-key-file"),
    ("--tls-key-file k", "--tls-cert-file"),
    ("--tcp-tls both", "--tls-cert-file"),
    ("--tls-client-ca-file a", "--tls-cert-file"),
    ("--tls-cert-file c --tls-key-file k --tcp-tls maybe", "both"),
];

#[test]
fn a_wrong_setting_is_refused_with_what_would_be_right() {
    for (arguments, right) in REFUSED {
        let error = serve(arguments).expect_err(arguments);
        assert!(error.contains(right), "{arguments}: {error}");
        assert!(!error.contains("hunter2"), "a password is shown: {error}");
    }
    let nameless = parse(["chatd"], "").unwrap_err().to_string();
    assert!(nameless.contains("--pod-id"), "{nameless}");
}

#[test]
fn a_wildcard_is_fine_alone_or_with_an_address_to_tell() {
    let wild =
        "--tcp-listen 0.0.0.0:7654 --http-listen 0.0.0.0:8081 --peer-listen 0.0.0.0:7755 --admin-listen 0.0.0.0:9090";
    assert!(serve(wild).is_ok());
    let told = "--advertise-tcp a:1 --advertise-web a:2 --advertise-peer a:3";
    assert!(serve(&format!("{REDIS} {wild} {told}")).is_ok());
}

#[test]
fn an_advertised_address_defaults_to_the_listening_address() {
    let bound = "127.0.0.1:7654".parse().unwrap();
    assert_eq!(Advertise::or_bound(None, bound).to_string(), "127.0.0.1:7654");
    let said = "chat.example:9".parse().unwrap();
    assert_eq!(Advertise::or_bound(Some(&said), bound), said);
}

#[test]
fn healthcheck_goes_by_the_admin_address() {
    let asked = |words: &[&str]| parse(words, "h").unwrap();
    let default = Healthcheck { admin: "127.0.0.1:9090".parse().unwrap(), live: false };
    assert_eq!(asked(&["chatd", "healthcheck"]), Invocation::Healthcheck(default));
    let other = Healthcheck { admin: "0.0.0.0:1".parse().unwrap(), live: true };
    for words in [
        ["chatd", "healthcheck", "--live", "--admin-listen", "0.0.0.0:1"],
        ["chatd", "--admin-listen", "0.0.0.0:1", "healthcheck", "--live"],
    ] {
        assert_eq!(asked(&words), Invocation::Healthcheck(other));
    }
}

#[test]
fn each_flag_has_its_variable_and_a_sentence() {
    for argument in command().get_arguments().filter(|argument| argument.get_long().is_some()) {
        let long = argument.get_long().unwrap();
        if matches!(long, "help" | "version") {
            continue;
        }
        let variable = format!("CHATD_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "--{long}");
        assert!(argument.get_help().is_some(), "--{long}");
    }
}

#[test]
fn help_teaches() {
    let help = parse(["chatd", "--help"], "h").unwrap_err().to_string();
    for part in ["Examples:", "CHATD_REDIS_URL", "[default: 256KiB]", "SECONDS", "Limits:", "head -c 32 /dev/urandom"] {
        assert!(help.contains(part), "{part}");
    }
    assert!(parse(["chatd", "--version"], "h").unwrap_err().to_string().starts_with("chatd 0."));
}

#[test]
fn unknown_variables_are_warned_of() {
    let variables = ["CHATD_RATE", "HOME", "CHATD_REDIS_URI"].map(|name| (name.to_owned(), "1".to_owned()));
    assert_eq!(unknown_variables(&variables.into()).len(), 1);
}

/// Run by the test below, in a process that has variables: prints what they set.
#[test]
#[ignore = "the other half of variables_are_read"]
fn show_settings_of_this_process() {
    match parse(["chatd", "--rate", "7"], "h") {
        Ok(Invocation::Serve(settings)) => {
            let Limits { rate, max_players, burst, .. } = settings.limits;
            println!("rate={rate} players={max_players} burst={burst} redis={:?}", settings.redis);
        }
        Ok(other) => println!("{other:?}"),
        Err(error) => println!("{error}"),
    }
}

#[test]
fn variables_are_read() {
    let run = |players: &str, burst: &str| {
        let this = std::env::current_exe().unwrap();
        let mut again = std::process::Command::new(this);
        again.args(["settings::tests::show_settings_of_this_process", "--exact", "--ignored", "--nocapture"]);
        again
            .env("CHATD_RATE", "9")
            .env("CHATD_MAX_PLAYERS", players)
            .env("CHATD_BURST", burst)
            .env("CHATD_REDIS_URL", "");
        String::from_utf8(again.output().unwrap().stdout).unwrap()
    };
    let shown = run("5", "");
    assert!(shown.contains("rate=7 players=5"), "a flag overrides its variable: {shown}");
    assert!(shown.contains("burst=20 redis=None"), "an empty variable is as if it were not there: {shown}");
    let shown = run("none", "");
    assert!(shown.contains("--max-players") && shown.contains("CHATD_MAX_PLAYERS"), "{shown}");
    let shown = run("5", "3");
    assert!(shown.contains("--burst 3 is less than --rate 7") && shown.contains("CHATD_BURST"), "{shown}");
    assert!(!shown.contains("CHATD_RATE"), "what a flag has set is not a variable's fault: {shown}");
}
