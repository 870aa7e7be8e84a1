//! The seeded simulation: pods, a directory, a network and clients in one thread with simulated time, against the invariants of
//! docs/architecture.md. The lease, the hubs and the links under test are those that ship. No I/O but the report.
//!
//! `CHATD_SIM_SEEDS=100000` runs more seeds than the usual 1,000, `CHATD_SIM_SEED=17` one, with its trace; `CHATD_SIM_FIRST`
//! says where to start, and `CHATD_SIM_RULE=record_bans` which rule to break.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::option_option, clippy::format_push_string)]
// A condition in a match arm's guard would change which arm is taken.
#![allow(clippy::collapsible_match)]

mod actions;
mod calling;
mod check;
mod client;
mod cuts;
mod deaths;
mod descriptors;
mod ending;
mod entering;
mod expectations;
mod expiring;
mod faults;
mod habits;
mod handing_over;
mod held;
mod history;
mod injection;
mod links;
mod locking;
mod malformed;
mod moderating;
mod overlaps;
mod passing;
mod people;
mod pod;
mod pod_effects;
mod reached;
mod refreshing;
mod replies;
mod rng;
mod seats;
mod sockets;
mod stalls;
mod state;
mod steps;
mod store;
mod webhooks;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use chatd::counters::Counters;
use chatd::failure_detector::DetectorRules;
use chatd::hub::Rules;
use expectations::Failure;
use faults::Plan;
use world::{Options, Outcome};

const ALL: Options =
    Options { rules: Rules::ALL, detector: DetectorRules::ALL, mask: None, keep: None, sought: None, pods: None };
const TAIL: usize = 200;
/// Counters of what does not happen here: sockets are made up, and the directory holds no rubbish.
const STILL: [&str; 7] = [
    "connections_tcp",
    "connections_web",
    "connections_shed",
    "bytes_in",
    "bytes_out",
    "unreadable_records",
    "rooms_made_way",
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

thread_local! {
    static PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// A panic of the code under test is a failure like any other: it is noted, not printed.
fn note_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("seeds") {
                PANIC.with(|panic| *panic.borrow_mut() = info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}

/// Runs one seed.
fn run(seed: u64, options: &Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, options))).unwrap_or_else(|_| Outcome {
        failure: Some(Failure { rule: "panic".into(), detail: PANIC.with(|panic| panic.borrow().clone()) }),
        at: 0,
        trace: Vec::new(),
        hash: 0,
        steps: 0,
        messages: 0,
        sent_again: 0,
        takeovers: 0,
        moves: 0,
        balanced: 0,
        idle_closed: 0,
        told_deleted: 0,
        counters: Counters::default(),
    })
}

/// Leaves out every fault without which the same rule is violated still.
fn shrink(seed: u64, options: &Options, failure: &Failure) -> Vec<bool> {
    let plan = Plan::new(seed, options.pods);
    let mut mask = vec![true; plan.faults.len()];
    for index in (0..mask.len()).rev() {
        mask[index] = false;
        let without = run(seed, &Options { mask: Some(mask.clone()), ..options.clone() });
        if without.failure.as_ref().map(|other| &other.rule) != Some(&failure.rule) {
            mask[index] = true;
        }
    }
    mask
}

/// Everything that helps to understand a failure.
fn explain(seed: u64, options: &Options, failure: &Failure, lines: usize) -> String {
    let mask = shrink(seed, options, failure);
    let plan = Plan::new(seed, options.pods);
    let shrunk = run(seed, &Options { mask: Some(mask.clone()), keep: Some(lines), ..options.clone() });
    let shown = shrunk.failure.as_ref().unwrap_or(failure);
    let mut text =
        format!("seed {seed}: {} is violated at {:.3} s: {}\n", shown.rule, shrunk.at as f64 / 1e6, shown.detail);
    text += &format!("{} of {} faults are needed:\n", mask.iter().filter(|kept| **kept).count(), mask.len());
    for (fault, _) in plan.faults.iter().zip(&mask).filter(|(_, kept)| **kept) {
        text += &format!(
            "  {:>7.3} s, for {:.3} s: {:?}\n",
            fault.begins as f64 / 1e6,
            fault.lasts as f64 / 1e6,
            fault.what
        );
    }
    text + &shrunk.trace.join("\n") + "\n"
}

/// What a stretch of seeds came to.
#[derive(Debug, Default)]
struct Tally {
    run: u64,
    steps: u64,
    /// The sum of the traces' hashes: equal for equal behaviour, so a pure change of form leaves it as it is.
    trace: u64,
    messages: u64,
    sent_again: u64,
    takeovers: u64,
    moves: u64,
    balanced: u64,
    idle_closed: u64,
    told_deleted: u64,
    counters: Counters,
    failed: Vec<(u64, Failure)>,
}

/// Runs `count` seeds from `first` on, on two threads, until `enough` have failed.
fn stretch(first: u64, count: u64, options: &Options, enough: usize) -> Tally {
    note_panics();
    let next = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let seeds = std::thread::Builder::new().name("seeds".into());
            seeds
                .spawn_scoped(scope, || {
                    while tally.lock().unwrap().failed.len() < enough {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count {
                            break;
                        }
                        let outcome = run(seed, options);
                        let mut tally = tally.lock().unwrap();
                        tally.run += 1;
                        tally.steps += outcome.steps;
                        tally.trace = tally.trace.wrapping_add(outcome.hash);
                        tally.messages += outcome.messages;
                        tally.sent_again += outcome.sent_again;
                        tally.takeovers += u64::from(outcome.takeovers);
                        tally.moves += u64::from(outcome.moves);
                        tally.balanced += u64::from(outcome.balanced);
                        tally.idle_closed += u64::from(outcome.idle_closed);
                        tally.told_deleted += u64::from(outcome.told_deleted);
                        tally.counters += &outcome.counters;
                        tally.failed.extend(outcome.failure.map(|failure| (seed, failure)));
                    }
                })
                .unwrap();
        }
    });
    let mut tally = tally.into_inner().unwrap();
    tally.failed.sort_by_key(|(seed, _)| *seed);
    tally
}

#[test]
fn every_invariant_holds_for_every_seed() {
    let lines = setting("CHATD_SIM_LINES").map_or(TAIL, |lines| lines as usize);
    if let Some(seed) = setting("CHATD_SIM_SEED") {
        note_panics();
        let text = std::thread::Builder::new().name("seeds".into()).spawn(move || {
            run(seed, &Options { keep: Some(lines), ..ALL }).failure.map(|failure| explain(seed, &ALL, &failure, lines))
        });
        if let Some(text) = text.unwrap().join().unwrap() {
            panic!("{text}");
        }
        return;
    }
    let started = Instant::now();
    let first = setting("CHATD_SIM_FIRST").unwrap_or(0);
    let count = setting("CHATD_SIM_SEEDS").unwrap_or(1_000);
    let enough = setting("CHATD_SIM_ENOUGH").map_or(1, |enough| enough as usize);
    let tally = stretch(first, count, &ALL, enough);
    println!(
        "{} seeds from {first} in {:.1} s: {} steps, {} messages heard, {} sent again, {} takeovers, {} moves ({} for balance), {} rooms created elsewhere for balance, {} idle links closed, {} deaths told by the operator, trace {:016x}",
        tally.run,
        started.elapsed().as_secs_f64(),
        tally.steps,
        tally.messages,
        tally.sent_again,
        tally.takeovers,
        tally.moves,
        tally.balanced,
        tally.counters.balance_creations,
        tally.idle_closed,
        tally.told_deleted,
        tally.trace
    );
    for (seed, failure) in &tally.failed {
        println!("seed {seed}: {} {}", failure.rule, failure.detail);
    }
    if let Some((seed, failure)) = tally.failed.first().cloned() {
        let text = std::thread::Builder::new()
            .name("seeds".into())
            .spawn(move || explain(seed, &ALL, &failure, lines))
            .unwrap()
            .join()
            .unwrap();
        panic!(
            "{} of {} seeds failed; CHATD_SIM_SEED={seed} runs this one again\n{text}",
            tally.failed.len(),
            tally.run
        );
    }
    // A figure that never moves is not counted anywhere.
    let mut counters = tally.counters.clone();
    // Deliveries are measured by the threads, which there are none of here.
    counters.delivery_time.observe(std::time::Duration::from_micros(1));
    let text = format!("{counters:#?}");
    let still = text.lines().filter_map(|line| line.trim().strip_suffix(": 0,"));
    let still: Vec<_> = still.filter(|name| !STILL.contains(name)).collect();
    assert!(still.is_empty() || count < 1_000, "counters that nothing has moved: {still:?}");
}

#[test]
fn the_same_seed_runs_the_same() {
    note_panics();
    for seed in 0..20 {
        let (one, other) = (run(seed, &ALL), run(seed, &ALL));
        assert_eq!((one.hash, one.steps), (other.hash, other.steps), "seed {seed} does not run the same twice");
    }
}

/// What a few pods do with each other does not grow into what hundreds cannot do.
#[test]
fn five_hundred_pods_break_no_invariant() {
    let options = Options { pods: Some(500), ..ALL };
    let started = Instant::now();
    let tally = stretch(setting("CHATD_SIM_FIRST").unwrap_or(0), 2, &options, 1);
    println!(
        "{} seeds of 500 pods in {:.1} s: {} steps, {} messages heard, {} takeovers, {} moves, {} idle links closed",
        tally.run,
        started.elapsed().as_secs_f64(),
        tally.steps,
        tally.messages,
        tally.takeovers,
        tally.moves,
        tally.idle_closed
    );
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
}

/// Each broken rule must be noticed within 1,000 seeds: a simulation that sees nothing proves nothing.
#[test]
fn every_broken_rule_is_noticed() {
    type Break = fn(&mut Rules);
    // By which check, where another one would be first; and from which seed on, where the first ones notice nothing for minutes.
    let broken: [(&str, Break, Option<&'static str>, u64); 22] = [
        ("release_to_higher", |rules| rules.release_to_higher = false, None, 0),
        ("release_to_higher", |rules| rules.release_to_higher = false, Some("I3 heard"), 0),
        ("check_lease", |rules| rules.check_lease = false, None, 0),
        ("check_after_lapse", |rules| rules.check_after_lapse = false, None, 0),
        ("answer_after_write", |rules| rules.answer_after_write = false, None, 0),
        ("answer_after_write", |rules| rules.answer_after_write = false, Some("I8"), 0),
        ("number_commands", |rules| rules.number_commands = false, None, 500),
        ("settle_by_reading", |rules| rules.settle_by_reading = false, None, 250),
        ("wait_until_settled", |rules| rules.wait_until_settled = false, None, 0),
        ("tell_state", |rules| rules.tell_state = false, Some("I15"), 0),
        ("address_events", |rules| rules.address_events = false, Some("I17"), 0),
        ("record_bans", |rules| rules.record_bans = false, Some("I14"), 0),
        ("record_ends", |rules| rules.record_ends = false, Some("I13"), 0),
        ("keep_descriptor", |rules| rules.keep_descriptor = false, Some("I12"), 0),
        ("replace_former", |rules| rules.replace_former = false, Some("I16"), 0),
        ("keep_descriptor", |rules| rules.keep_descriptor = false, Some("I18"), 0),
        ("claim_tokens", |rules| rules.claim_tokens = false, Some("I19"), 0),
        ("record_profiles", |rules| rules.record_profiles = false, Some("I20"), 0),
        ("end_on_time", |rules| rules.end_on_time = false, Some("I21"), 0),
        ("keep_refreshed", |rules| rules.keep_refreshed = false, Some("I21"), 0),
        ("mute_viewers", |rules| rules.mute_viewers = false, Some("I23"), 0),
        ("hand_over_in_peace", |rules| rules.hand_over_in_peace = false, Some("I22"), 0),
    ];
    let mut unnoticed = Vec::new();
    let only = std::env::var("CHATD_SIM_RULE").ok();
    for (name, breaks, sought, first) in
        broken.into_iter().filter(|(name, ..)| only.as_deref().is_none_or(|it| it == *name))
    {
        let mut rules = Rules::ALL;
        breaks(&mut rules);
        let started = Instant::now();
        let count = setting("CHATD_SIM_SEEDS").unwrap_or(1_000).min(1_000);
        let tally = stretch(first, count, &Options { rules, sought, ..ALL }, 1);
        let took = started.elapsed().as_secs_f64();
        match tally.failed.first() {
            Some((seed, failure)) => println!(
                "without {name}: {} is violated by seed {seed} ({} seeds, {took:.1} s): {}",
                failure.rule, tally.run, failure.detail
            ),
            None => unnoticed.push((name, sought)),
        }
    }
    assert!(unnoticed.is_empty(), "nothing notices that these rules are broken: {unnoticed:?}");
}

/// The same for each sign that a process has ended: without it, one that lives is declared dead.
#[test]
fn every_missing_sign_of_a_death_is_noticed() {
    type Break = fn(&mut DetectorRules);
    let broken: [(&str, Break); 4] = [
        ("needs_reset", |rules| rules.needs_reset = false),
        ("needs_refusal", |rules| rules.needs_refusal = false),
        ("needs_disconnection", |rules| rules.needs_disconnection = false),
        ("looks_again", |rules| rules.looks_again = false),
    ];
    let mut unnoticed = Vec::new();
    for (name, breaks) in broken {
        let mut detector = DetectorRules::ALL;
        breaks(&mut detector);
        let options = Options { detector, sought: Some("Death"), ..ALL };
        let tally = stretch(0, setting("CHATD_SIM_SEEDS").unwrap_or(1_000).min(1_000), &options, 1);
        match tally.failed.first() {
            Some((seed, failure)) => println!("without {name}: seed {seed} ({} seeds): {}", tally.run, failure.detail),
            None => unnoticed.push(name),
        }
    }
    assert!(unnoticed.is_empty(), "nothing notices that these rules are broken: {unnoticed:?}");
}
