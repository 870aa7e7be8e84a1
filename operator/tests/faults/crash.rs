//! Stories with faults: for every write of a story one that is ended there, and seeded ones. Side by side, a namespace each. Does I/O.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use futures::future::join_all;

use super::kubelet::Kubelet;
use super::rules::{Case, Weather};
use super::story::{End, Stage, Told, stages};
use super::{client, variable};

const SEEDED: [Weather; 4] = [Weather::Stale, Weather::Drops, Weather::Cuts, Weather::Errors];

/// Every write of the longest stage, and one more for when a run has more of them; so many seeds of each kind.
fn cases(ends: &[End], seeds: u32) -> VecDeque<Case> {
    let most = ends.iter().map(|end| end.writes).max().unwrap_or_default();
    let counted = (1..=most + 1).flat_map(|number| {
        [Weather::EndBefore, Weather::EndAfter, Weather::LoseAnswer].map(|weather| Case { weather, number })
    });
    let seeded = (1..=seeds).flat_map(|number| SEEDED.map(|weather| Case { weather, number }));
    let away = Case { weather: Weather::Away, number: 1 };
    // Those that take longest come first.
    seeded.chain([away]).chain(counted).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn ended_at_any_write_and_under_any_fault_it_comes_to_the_same_end() {
    let client = client().await;
    let id = std::process::id();
    let kubelet = Kubelet::start(client.clone(), &format!("faults-crash-{id}")).await;
    let lanes: usize = variable("CHATD_FAULT_LANES", "12").parse().unwrap();
    let namespaces: Vec<String> = (0..lanes).map(|lane| format!("faults-{id}-{lane}")).collect();
    join_all(namespaces.iter().map(|namespace| kubelet.namespace(namespace))).await;
    let started = Instant::now();
    let stage = |namespace: &str| Stage { client: &client, kubelet: &kubelet, namespace: namespace.to_owned() };
    let calm = Case { weather: Weather::Calm, number: 0 };
    let reference = stage(&namespaces[0]).play(calm, None).await.unwrap().ends;
    let writes: Vec<u32> = reference.iter().map(|end| end.writes).collect();
    for ((name, _), end) in stages().iter().zip(&reference) {
        println!("{name}: {} writes in {:?}", end.writes, end.time);
    }

    let seeds = variable("CHATD_FAULT_SEEDS", "2").parse().unwrap();
    let mut cases = cases(&reference, seeds);
    if let Ok(one) = std::env::var("CHATD_FAULT_CASE") {
        cases = VecDeque::from([one.parse().unwrap()]);
    }
    let all = cases.len();
    let cases = Mutex::new(cases);
    let told = Mutex::new(Vec::new());
    join_all(namespaces.iter().map(async |first| {
        let mut namespace = first.clone();
        loop {
            let Some(case) = cases.lock().unwrap().pop_front() else { return };
            let started = Instant::now();
            let result = stage(&namespace).play(case, Some(&reference)).await;
            if let Err(error) = &result {
                println!("{namespace}: {error}");
                // What it left behind would be in the way of the next one.
                namespace.push('x');
                kubelet.namespace(&namespace).await;
            }
            told.lock().unwrap().push((case, started.elapsed(), result));
        }
    }))
    .await;
    kubelet.end().await;

    let told = told.into_inner().unwrap();
    let failed: Vec<&Case> = told.iter().filter(|(.., result)| result.is_err()).map(|(case, ..)| case).collect();
    let told_well = || told.iter().filter_map(|(case, time, result)| Some((case, time, result.as_ref().ok()?)));
    for weather in
        [Weather::EndBefore, Weather::EndAfter, Weather::LoseAnswer].into_iter().chain(SEEDED).chain([Weather::Away])
    {
        let of = || told_well().filter(|(case, ..)| case.weather == weather);
        let longest = of().map(|(_, time, _)| *time).max().unwrap_or_default();
        let (struck, starts) = of().fold((0, 0), |sum, (.., told)| (sum.0 + told.struck, sum.1 + told.starts));
        // Runs differ by some writes of the status.
        let is_covered = !weather.is_counted() || all == 1 || struck * 10 >= writes.iter().sum::<u32>() * 8;
        assert!(is_covered || !failed.is_empty(), "{weather:?} struck {struck} times, at {writes:?} writes");
        println!("{weather:?}: {} stories, {struck} faults, {starts} starts, longest {longest:?}", of().count());
    }
    println!("{} of {all} stories in {:?}", told.len(), started.elapsed());
    for case in &failed {
        println!(
            "failed: {case}; alone: CHATD_FAULT_CASE={case} cargo test -p operator --test faults -- --ignored --nocapture any_write"
        );
    }
    assert!(
        failed.is_empty() && told.len() == all,
        "{} of {all} stories failed, {} were not told",
        failed.len(),
        all - told.len()
    );
    // How often the status is written on the way depends on who is faster: a fifth of a stage's writes may not come again.
    let is_struck = |told: &Told, case: &Case| told.struck > 0 || writes.iter().all(|most| case.number * 5 > most * 4);
    let in_vain: Vec<_> = told_well().filter(|(case, _, told)| !is_struck(told, case)).map(|(case, ..)| case).collect();
    assert!(in_vain.is_empty() || all == 1, "faults that never struck prove nothing: {in_vain:?}");
}
