//! What the command line makes of a hub. No I/O.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::settings::{Invocation, parse};

#[test]
fn a_hub_is_by_default_what_the_command_line_makes_it() {
    let Invocation::Serve(settings) = parse(["chatd"], "chat-0").unwrap() else { panic!() };
    assert_eq!(format!("{:?}", hub_settings(&settings, 1)), format!("{:?}", HubSettings::default()));
}

#[test]
fn a_thread_remembers_whom_to_tell_of_as_many_takeovers_as_the_pod_may_have_rooms() {
    for max_rooms in [100, 30_000] {
        let words = ["chatd", "--max-rooms", &max_rooms.to_string()];
        let Invocation::Serve(settings) = parse(words, "chat-0").unwrap() else { panic!() };
        let limits = hub_settings(&settings, 2).limits;
        // Rooms with people are taken over up to twice --max-rooms, and all may be of one thread.
        assert!(limits.takeover_notices >= 2 * max_rooms, "{limits:?}");
    }
}
