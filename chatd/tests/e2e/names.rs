//! Names of people in any script and a room of an application's choice: by raw TCP, redirected, relayed, resumed and moved.

use std::time::Duration;

use crate::support::client::PATIENCE;
use crate::town::{Town, redirected};

const ROOM: &str = "eu.match-42";

#[test]
fn people_of_three_scripts_meet_in_a_room_that_the_first_of_them_names() {
    let mut town = Town::start_with(3, &["--open-names"]);
    let mut jose = town.client(0);
    assert_eq!(jose.ask(&format!("JOIN {ROOM} Jose\u{301} RESUMABLE")), format!("JOINED {ROOM} José José"));
    let token = jose.line().strip_prefix("TOKEN ").unwrap().to_owned();

    let mut hanako = town.client(1);
    let answer = hanako.ask(&format!("JOIN {ROOM} 花子"));
    assert_eq!(answer, format!("REDIRECT {} {ROOM}", town.pods[0].tcp));
    let mut hanako = redirected(&answer, ROOM);
    assert_eq!(hanako.ask(&format!("JOIN {ROOM} 花子")), format!("JOINED {ROOM} 花子 José,花子"));
    jose.expect("ENTERED 花子");

    let mut anna = town.client(2);
    assert_eq!(anna.ask(&format!("JOIN {ROOM} Анна RELAY")), format!("JOINED {ROOM} Анна José,花子,Анна"));
    jose.expect("ENTERED Анна");
    hanako.expect("ENTERED Анна");
    let mut false_anna = town.client(1);
    let refused = false_anna.ask(&format!("JOIN {ROOM} AННA RELAY"));
    assert!(refused.starts_with("ERR name_taken "), "Latin letters between Cyrillic ones: {refused}");

    drop(jose);
    anna.expect("AWAY José");
    let mut jose = town.client(2);
    assert_eq!(jose.ask(&format!("RESUME {ROOM} {token} RELAY")), format!("JOINED {ROOM} José José,花子,Анна"));
    jose.expect_start("TOKEN ");
    anna.expect("BACK José");

    // A planned move: the room goes to another pod, and its people with it.
    town.pods[0].terminate();
    let moved = format!("MOVED {ROOM}");
    anna.expect(&moved);
    anna.send("Привет");
    // Meanwhile those who are connected to the pod that ends may leave.
    anna.until("MSG Анна Привет", PATIENCE);
    jose.expect(&moved);
    jose.until("MSG Анна Привет", PATIENCE);
    town.pods[0].exit_code(PATIENCE + Duration::from_secs(20));
    assert_ne!(town.owner(ROOM), "chat-0");
    assert!(town.record(ROOM)["seats"]["José"].is_object());
}
