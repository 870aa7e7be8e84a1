//! Tables and properties of scaling by free seats: a fleet in memory does at once what is decided.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_mins(5);

fn settings(wanted: Wanted, min: i32, max: i32) -> Settings {
    Settings { wanted, players_per_room: 4, min, max, window: WINDOW, room_places: 100, connection_places: 100 }
}

fn load(rooms: i64, connections: i64) -> Load {
    Load { rooms, room_places: 100, connections, connection_places: 100 }
}

fn sound(load: Load) -> Pod {
    Pod { is_sound: true, is_draining: false, is_lost: false, known: Known::Now(load) }
}

fn fleet(pods: &[Pod]) -> Observed {
    let pods: BTreeMap<i32, Pod> = (0..).zip(pods.iter().copied()).collect();
    Observed { replicas: i32::try_from(pods.len()).unwrap(), pods }
}

/// A history in which nothing was needed for long.
fn quiet(now: Instant) -> History {
    History([(now, 0)].into())
}

#[test]
fn a_seat_takes_a_connection_and_a_place_in_a_room() {
    let table: [(&[Load], i64); 6] = [
        (&[], 0),
        (&[load(0, 0)], 100),
        (&[load(10, 40)], 60),
        (&[load(90, 40)], 40),
        (&[load(100, 0), load(0, 100)], 100),
        (&[load(150, 0)], 0),
    ];
    for (loads, free) in table {
        assert_eq!(free_seats(loads.iter().copied(), 4), free, "{loads:?}");
    }
}

#[test]
fn one_step_up_is_enough_and_one_step_down_is_one_pod() {
    let seats = |seats| Wanted::Seats(seats);
    let full = sound(load(25, 100));
    let half = sound(load(12, 50));
    let empty = sound(load(0, 0));
    let starting = Pod { is_sound: false, known: Known::Nothing, ..sound(load(0, 0)) };
    let silent = Pod { known: Known::Before(load(25, 100)), ..full };
    let draining = Pod { is_draining: true, ..full };
    let lost = Pod { is_sound: false, is_lost: true, known: Known::Before(load(0, 0)), ..empty };
    let never_ends = Pod { is_draining: true, ..lost };
    let broken = Pod { is_sound: false, ..empty };
    let roomy = sound(load(95, 5));
    let table: [(&str, Wanted, &[Pod], i32); 22] = [
        ("as many as are needed, at once", seats(250), &[full, full], 5),
        ("and no more than the most", seats(5000), &[full, full], 10),
        ("a share of all seats", Wanted::Percent(20), &[full, full, full], 4),
        ("that is there already", Wanted::Percent(20), &[full, full, full, full, empty], 5),
        ("rounded up", Wanted::Percent(1), &[full], 2),
        ("enough", seats(50), &[half], 1),
        ("one too few", seats(51), &[half], 2),
        ("rooms, where they are fewer", seats(50), &[roomy], 2),
        ("a pod that starts is on its way", seats(100), &[full, starting], 2),
        ("and not enough", seats(150), &[full, starting], 3),
        ("who fell silent holds what it held", seats(50), &[silent, half], 2),
        ("a pod that drains comes back empty", seats(50), &[full, draining], 2),
        ("a pod that is lost does not", seats(50), &[full, lost], 3),
        ("nor one that does not end", seats(50), &[full, never_ends], 3),
        ("of each that is lost another takes the place", Wanted::Percent(20), &[full, lost, lost], 4),
        ("what is lost takes nobody's place", seats(50), &[half, lost], 2),
        ("down, one pod", seats(50), &[empty, empty, empty, empty], 3),
        ("down to the fewest", seats(1), &[empty], 1),
        ("what it holds fits elsewhere", seats(50), &[empty, half], 1),
        ("its connections do not", seats(60), &[empty, half], 2),
        ("its rooms do not", seats(10), &[sound(load(85, 10)), sound(load(50, 50))], 2),
        ("one is broken", seats(50), &[empty, broken, empty], 3),
    ];
    let now = Instant::now();
    let later = now + WINDOW;
    for (why, wanted, pods, replicas) in table {
        let (decision, _) = scale(&fleet(pods), &settings(wanted, 1, 10), later, quiet(now));
        assert_eq!(decision.replicas, replicas, "{why}: {decision:?}");
    }
}

#[test]
fn nobody_goes_while_anything_is_unknown_or_under_way() {
    let now = Instant::now();
    let empty = sound(load(0, 0));
    let unknown = [
        Pod { known: Known::Nothing, ..empty },
        Pod { known: Known::Before(load(0, 0)), ..empty },
        Pod { is_sound: false, ..empty },
        Pod { is_draining: true, ..empty },
        Pod { is_sound: false, is_lost: true, ..empty },
    ];
    let decide = |observed: &Observed| scale(observed, &settings(Wanted::Seats(1), 1, 10), now + WINDOW, quiet(now)).0;
    for pod in unknown {
        let decision = decide(&fleet(&[empty, pod, empty]));
        assert_eq!((decision.replicas, decision.floor), (3, 1), "{pod:?}");
    }
    let mut missing = fleet(&[empty, empty, empty]);
    missing.pods.remove(&1);
    assert_eq!(decide(&missing).replicas, 3);
    let mut leaving = fleet(&[empty, empty, empty]);
    leaving.replicas = 2;
    assert_eq!(decide(&leaving).replicas, 2, "the one before has not gone yet");
    assert_eq!(decide(&fleet(&[empty, empty])).replicas, 1);
}

#[test]
fn the_window_looks_back_at_what_was_needed() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let settings = settings(Wanted::Seats(50), 1, 10);
    let mut history = History::default();
    let mut decide = |seconds, pods: &[Pod]| {
        let (decision, next) = scale(&fleet(pods), &settings, at(seconds), std::mem::take(&mut history));
        history = next;
        (decision.replicas, decision.floor, decision.again_in.map(|time| time.as_secs()))
    };
    let (full, empty) = (sound(load(25, 100)), sound(load(0, 0)));
    assert_eq!(decide(0, &[full, full]), (3, 3, None), "an operator that starts keeps what is needed");
    assert_eq!(decide(60, &[full, full, empty]), (3, 3, None));
    // What was needed at 60 s may have been so until 100 s.
    assert_eq!(decide(100, &[empty, empty, empty]), (3, 3, Some(300)));
    assert_eq!(decide(399, &[empty, empty, empty]), (3, 3, Some(1)));
    assert_eq!(decide(400, &[empty, empty, empty]), (2, 1, None));
    assert_eq!(decide(401, &[empty, empty]), (1, 1, None), "the window is over for all of them");
    assert_eq!(decide(402, &[full]), (2, 2, None), "up at once");
    assert_eq!(decide(410, &[empty, empty]), (2, 2, Some(300)), "and not back at once");
}

#[test]
fn replicas_that_somebody_else_lowered_come_back() {
    let now = Instant::now();
    let settings = settings(Wanted::Seats(50), 1, 10);
    let full = sound(load(25, 100));
    let (_, history) = scale(&fleet(&[full, full, full]), &settings, now, History::default());
    // All pods stopped, as for another directory.
    let (decision, _) = scale(&Observed::default(), &settings, now + Duration::from_mins(1), history);
    assert_eq!(decision.replicas, 4, "the people come back");
}

#[test]
fn a_lower_limit_counts_before_it_rolls_out_and_a_higher_one_after() {
    let now = Instant::now();
    let decide = |connection_places: i64, pods: &[Pod]| {
        let settings = Settings { connection_places, ..settings(Wanted::Seats(5), 1, 9) };
        scale(&fleet(pods), &settings, now, quiet(now)).0.replicas
    };
    let pods = [sound(load(1, 30)), sound(load(1, 30))];
    assert_eq!(decide(20, &pods), 4, "60 and 5 in pods of 20");
    assert_eq!(decide(100, &pods[..1]), 1);
    assert_eq!(decide(1_000, &[sound(load(1, 100))]), 2, "the pod that is there has 100 places");
}

#[test]
fn what_the_most_pods_do_not_give_is_said() {
    let now = Instant::now();
    let decide = |connections: i64| {
        let settings = settings(Wanted::Seats(50), 1, 2);
        let decision = scale(&fleet(&[sound(load(1, connections))]), &settings, now, quiet(now)).0;
        (decision.replicas, decision.is_limited)
    };
    assert_eq!(decide(50), (1, false));
    assert_eq!(decide(51), (2, false), "the other pod is yet to come");
    assert_eq!(decide(150), (2, false));
    assert_eq!(decide(151), (2, true));
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    seconds: u64,
    rooms: i64,
    connections: i64,
    /// The pod, from the highest down, that something is wrong with; beyond the pods: nothing.
    odd: usize,
    how: u8,
}

fn moment() -> impl Strategy<Value = Moment> {
    let busy = prop_oneof![Just(0), 0_i64..300, 250_i64..1000];
    (1_u64..200, busy.clone(), busy, 0_usize..12, 0_u8..5).prop_map(|(seconds, rooms, connections, odd, how)| Moment {
        seconds,
        rooms,
        connections,
        odd,
        how,
    })
}

/// The load in equal parts, and one pod that is not as the others.
fn observed(replicas: i32, moment: Moment) -> Observed {
    let count = i64::from(replicas.max(1));
    let part = load(moment.rooms / count, moment.connections / count);
    let mut observed = fleet(&vec![sound(part); usize::try_from(replicas).unwrap()]);
    let odd = observed.pods.len().checked_sub(1 + moment.odd);
    if let Some(pod) = odd.and_then(|odd| observed.pods.get_mut(&i32::try_from(odd).unwrap())) {
        match moment.how {
            0 => pod.known = Known::Nothing,
            1 => pod.known = Known::Before(part),
            2 => pod.is_draining = true,
            3 => pod.is_sound = false,
            _ => {}
        }
    }
    observed
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![(1_i64..500).prop_map(Wanted::Seats), (1_i64..99).prop_map(Wanted::Percent)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes: the bounds hold, a step down is one pod, is never taken with a pod unknown, leaves what is held and wanted its
    /// place, and comes a whole window after the last step up.
    #[test]
    fn no_load_makes_it_flap(
        moments in prop::collection::vec(moment(), 1..60),
        wanted in wanted(),
        (min, most) in (1_i32..5, 0_i32..10),
        first in 1_i32..14,
    ) {
        let settings = settings(wanted, min, min + most);
        let start = Instant::now();
        let (mut now, mut replicas, mut history, mut last_up) = (start, first, History::default(), None);
        for moment in moments {
            now += Duration::from_secs(moment.seconds);
            let observed = observed(replicas, moment);
            let (decision, next) = scale(&observed, &settings, now, history);
            history = next;
            prop_assert!((settings.min..=settings.max).contains(&decision.replicas));
            prop_assert!((settings.min..=settings.max).contains(&decision.floor));
            prop_assert!(history.0.len() <= usize::try_from(settings.max).unwrap() + 2);
            if decision.replicas > replicas {
                prop_assert!(need(&observed, &settings) == decision.replicas || decision.replicas == settings.min
                    || decision.replicas == history.most().min(settings.max), "enough and no more: {decision:?}");
                last_up = Some(now);
            } else if decision.replicas < replicas && replicas <= settings.max {
                prop_assert_eq!(decision.replicas, replicas - 1);
                prop_assert!(observed.pods.values().all(Pod::is_known_and_sound));
                let left = places(&observed, &settings, decision.replicas);
                let free = left.plus(used(&observed)).free(4);
                prop_assert!(free >= wanted.of(left, 4), "the people fit, with the wanted seats free");
                prop_assert!(last_up.is_none_or(|up| now - up >= WINDOW), "an up and a down within the window");
            }
            replicas = decision.replicas;
        }
    }

    /// With no load and all well, the fewest pods are reached, and nothing moves after that.
    #[test]
    fn a_quiet_fleet_comes_to_rest(first in 1_i32..14, wanted in 1_i64..150) {
        let settings = settings(Wanted::Seats(wanted), 1, 14);
        let (mut now, mut replicas, mut history) = (Instant::now(), first, History::default());
        let quiet = Moment { seconds: 30, rooms: 0, connections: 0, odd: 99, how: 9 };
        let mut seen = Vec::new();
        for _ in 0..40 {
            now += Duration::from_secs(30);
            let (decision, next) = scale(&observed(replicas, quiet), &settings, now, history);
            (replicas, history) = (decision.replicas, next);
            seen.push(replicas);
        }
        prop_assert_eq!(replicas, if wanted > 100 { 2 } else { 1 });
        prop_assert!(seen[35..].iter().all(|then| *then == replicas));
    }
}
