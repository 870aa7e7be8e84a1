//! Two processes of one name on one Redis.

use std::time::Duration;

use crate::support::pod::Pod;
use crate::support::redis::Server;
use crate::support::wait_for;

/// A drain lasts 5 s at least (`LINGER`), and a superseded process notices at its next renewal.
const END: Duration = Duration::from_secs(40);
const SUPERSEDED: Duration = Duration::from_secs(20);

#[test]
fn the_second_time_the_older_one_ends_with_its_own_code_and_sentence() {
    let redis = Server::start(&[]);
    let mut first = Pod::start("chat-0", &redis.url(), &[]);
    let mut second = Pod::start("chat-0", &redis.url(), &[]);
    // Once is a restart.
    assert_eq!(first.exit_code(END), 0);
    first.start_again();
    first.ready();
    assert_eq!(second.exit_code(END), 3);
    assert!(second.log().contains("two processes have this --pod-id"), "{}", second.log());
    assert!(first.is_running());
}

#[test]
fn of_two_pods_of_one_name_the_one_that_came_later_stays() {
    let redis = Server::start(&[]);
    let mut old = Pod::start("chat-0", &redis.url(), &["--pod-uid", "made-first"]);
    let mut new = Pod::start("chat-0", &redis.url(), &["--pod-uid", "made-later"]);
    assert_eq!(old.exit_code(END), 0);
    // Whatever starts it again, as often as it likes.
    for _ in 0..2 {
        old.start_again();
        assert_eq!(old.exit_code(SUPERSEDED), 3);
        assert!(old.log().contains("a later pod of this name"), "{}", old.log());
    }
    assert_eq!(new.probe("/readyz"), 200);
    // A restart of the one that stays is a restart.
    new.kill();
    new.start_again();
    new.ready();
    wait_for("it serves", SUPERSEDED, || (new.probe("/readyz") == 200).then_some(()));
}
