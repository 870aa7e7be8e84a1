//! The pod's limit on connections, shared by both ports.

use crate::client::{Lines, http, wait_until};
use crate::pod::{Options, Pod};
use crate::websocket::Browser;

#[test]
fn one_connection_too_many_is_told_so_and_a_place_comes_back() {
    let pod = Pod::start(Options { max_connections: 2, ..Options::default() });
    let mut first = Lines::connect(pod.tcp);
    assert_eq!(first.ask("PING"), "PONG");
    let mut browser = Browser::connect(&pod);
    assert_eq!(browser.ask(r#"{"type":"ping"}"#), r#"{"type":"pong"}"#);
    // It may have sent something already: the words must not be lost for that.
    let mut second = Lines::connect(pod.tcp);
    second.send("PING\n");
    second.expect_start("ERR too_many_connections ");
    second.expect("BYE too_many_connections");
    second.expect_closed();
    let refused = http(pod.web, "GET", "/", &[]);
    assert_eq!((refused.status, refused.code().as_str()), (503, "too_many_connections"));
    assert!(refused.header("retry-after").is_some());
    drop(browser);
    wait_until("a place on the web port", || http(pod.web, "GET", "/", &[]).status == 200);
    drop(first);
    wait_until("a place on the TCP port", || Lines::connect(pod.tcp).ask("PING") == "PONG");
}
