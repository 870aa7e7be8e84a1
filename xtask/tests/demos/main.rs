//! What the demos promise, in a real cluster: `make test-cluster` makes one of two nodes, runs these in a row and takes it away. Does
//! I/O. Plain `cargo test` runs none of them.
//!
//! A word on the command line runs those whose name holds it. CHATD_TEST_KEEP=1 takes the cluster that is there and leaves it;
//! CHATD_TEST_KEEP=ready takes what is in it too.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends there

mod chat;
mod databases;
mod http;
mod operator;
mod page;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use world::World;

type Test = (&'static str, fn(&World));

/// In this order: the later ones disturb more.
const TESTS: &[Test] = &[
    ("a_room_is_made_and_joined_through_every_pod", chat::a_room_is_made_and_joined_through_every_pod),
    ("client_writes_share_system_calls_in_a_pod", chat::client_writes_share_system_calls_in_a_pod),
    ("a_redirect_is_followed_by_the_address_that_it_names", chat::a_redirect_is_followed_by_the_address_that_it_names),
    ("a_page_behind_one_port_shares_a_room_of_another_pod", page::shares_a_room_of_another_pod),
    ("the_page_goes_on_when_its_pod_and_the_owner_are_deleted", page::goes_on_when_its_pod_and_the_owner_are_deleted),
    ("the_owner_is_deleted_and_the_room_goes_on", chat::the_owner_is_deleted_and_the_room_goes_on),
    ("the_owner_crashes_and_the_room_goes_on", chat::the_owner_crashes_and_the_room_goes_on),
    ("what_is_deleted_comes_back", operator::what_is_deleted_comes_back),
    (
        "a_changed_image_under_the_same_name_makes_new_pods",
        operator::a_changed_image_under_the_same_name_makes_new_pods,
    ),
    ("databases_keep_their_data", databases::keep_their_data),
    ("passwords_are_made_once", databases::passwords_are_made_once),
    ("redis_refuses_whoever_has_no_password_and_what_a_user_has_no_right_to", databases::redis_refuses),
    ("a_deleted_secret_is_a_new_password", databases::a_deleted_secret_is_a_new_password),
    ("redis_is_away_and_back_and_rooms_go_on", chat::redis_is_away_and_back_and_rooms_go_on),
    ("http_demo_says_which_database_is_away_and_heals", http::says_which_database_is_away_and_heals),
    ("a_node_is_drained_and_rooms_go_on", chat::a_node_is_drained_and_rooms_go_on),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = |flag: &str| words.iter().any(|word| word == flag);
    if asked("--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !asked("--ignored") && !asked("--include-ignored") {
        println!("{} tests of the demos are left out: make test-cluster", TESTS.len());
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with('-')).cloned().unwrap_or_default();
    let chosen: Vec<Test> = TESTS.iter().filter(|(name, _)| name.contains(&filter)).copied().collect();
    if chosen.is_empty() {
        eprintln!("no test's name holds {filter}");
        return ExitCode::FAILURE;
    }
    let world = World::make();
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let begun = Instant::now();
        println!("--- {name}");
        let passed = catch_unwind(AssertUnwindSafe(|| test(&world))).is_ok();
        println!("--- {name}: {} in {:.1} s", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
        if !passed {
            failed.push(*name);
            world.show_state();
        }
    }
    drop(world);
    println!("demos: {} passed, {} failed: {}", chosen.len() - failed.len(), failed.len(), failed.join(" "));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
