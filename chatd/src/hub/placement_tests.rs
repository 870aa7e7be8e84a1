//! Tests of placement, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hub::capacity::RoomSlot;
use crate::hub::interface::{Effect, HubSettings};
use crate::lease::LeaseView;
use crate::protocol::Ownership;
use crate::record::Owner;

const BUSY: PodBoot = PodBoot(2);
const IDLE: PodBoot = PodBoot(3);

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

fn room(number: u64) -> RoomId {
    format!("room000{number}").parse().unwrap()
}

fn context() -> Context {
    let ownership = Ownership { epoch: 0, boot: PodBoot(1) };
    let (pod_id, tcp, web, peer) = ("chat-1".into(), String::new(), String::new(), "peer-1".into());
    Context::new(HubSettings::default(), Owner { ownership, pod_id, tcp, web, peer }, [1; 32])
}

fn lease(boot: PodBoot, rooms: u64, draining: bool) -> (String, bytes::Bytes) {
    let text = format!(
        r#"{{"uid":"","boot":"{boot}","addr":"a","peer":"peer-{}","web":"w","rooms":{rooms},"players":0,"draining":{draining}}}"#,
        boot.0
    );
    (format!("chat-{}", boot.0), text.into())
}

/// The pods of this deployment: this one, one that ends, and two others.
fn pods() -> Answer {
    let me = lease(PodBoot(1), 0, false);
    Answer::Pods(vec![me, lease(PodBoot(4), 0, true), lease(BUSY, 9, false), lease(IDLE, 8, false)])
}

fn new_room(number: u64) -> NewRoom {
    NewRoom { room: room(number), descriptor: None }
}

/// Room 1 has been asked for, and the pods were listed.
fn placing() -> (Context, Placement) {
    let (mut context, mut placement) = (context(), Placement::default());
    assert!(placement.place(at(0), &mut context, new_room(1), Requester::Query(1), Reason::Full).is_none());
    placement.check_invariants();
    assert!(matches!(context.effects[..], [Effect::Directory { request: Request::Pods, .. }]));
    context.effects.clear();
    assert!(placement.pods_listed(at(10), &mut context, Ok(pods())).is_empty());
    (context, placement)
}

fn dialled(context: &mut Context) -> Vec<PodBoot> {
    let dials = context.effects.drain(..).map(|effect| match effect {
        Effect::Dial { boot, .. } => boot,
        other => panic!("{other:?}"),
    });
    dials.collect()
}

fn outcomes(placed: &[Placed]) -> Vec<(u64, Outcome)> {
    let query = |placed: &Placed| match placed.requester {
        Requester::Query(query) => query,
        other => panic!("{other:?}"),
    };
    placed.iter().map(|placed| (query(placed), placed.outcome)).collect()
}

#[test]
fn the_pod_with_the_fewest_rooms_is_asked_first_and_counts_what_it_was_asked_for() {
    let (mut context, mut placement) = placing();
    // The list is fresh: the directory is not asked again.
    for number in [2, 3] {
        assert!(
            placement.place(at(20), &mut context, new_room(number), Requester::Query(number), Reason::Full).is_none()
        );
    }
    assert_eq!(dialled(&mut context), [IDLE, BUSY]);
    let made = placement.answered(at(30), &mut context, IDLE, room(1), Ok(()));
    assert_eq!(outcomes(&made), [(1, Outcome::Created(room(1)))]);
    assert!(placement.answered(at(30), &mut context, IDLE, room(1), Ok(())).is_empty());
    placement.check_invariants();
}

#[test]
fn a_pod_that_refuses_or_is_gone_is_followed_by_the_next_one() {
    let (mut context, mut placement) = placing();
    let no = Err(ErrorCode::TooManyRooms);
    assert!(placement.answered(at(20), &mut context, BUSY, room(1), no).is_empty(), "it was not asked");
    assert!(placement.answered(at(20), &mut context, IDLE, room(1), no).is_empty());
    assert_eq!(dialled(&mut context), [IDLE, BUSY]);
    assert_eq!(
        outcomes(&placement.pod_is_gone(at(30), &mut context, BUSY)),
        [(1, Outcome::Refused(ErrorCode::TooManyRooms))]
    );
    placement.check_invariants();
}

#[test]
fn what_no_pod_makes_in_time_is_unavailable() {
    let (_, mut placement) = placing();
    assert!(placement.take_due(at(PATIENCE - 1)).is_empty());
    assert_eq!(outcomes(&placement.take_due(at(PATIENCE))), [(1, Outcome::Refused(ErrorCode::Unavailable))]);
}

#[test]
fn while_the_directory_is_away_nothing_is_made_elsewhere() {
    let (mut context, mut placement) = (context(), Placement::default());
    for number in [1, 2] {
        assert!(
            placement.place(at(0), &mut context, new_room(number), Requester::Query(number), Reason::Full).is_none()
        );
    }
    assert_eq!(context.effects.len(), 1, "one question serves both");
    let placed = placement.pods_listed(at(10), &mut context, Err(NoAnswer::Refused));
    assert_eq!(
        outcomes(&placed),
        [(1, Outcome::Refused(ErrorCode::Unavailable)), (2, Outcome::Refused(ErrorCode::Unavailable))]
    );
}

// ---- an overloaded pod

const LEAST: u64 = 16;

/// A pod with so many rooms, as its lease said, and others with so many.
struct Loaded {
    context: Context,
    placement: Placement,
    slots: Vec<RoomSlot>,
}

impl Loaded {
    fn new(own: usize, leased: u64, others: &[u64]) -> Self {
        let mut context = context();
        context.directory_answers = true;
        context.lease.view = LeaseView { confirmed: Some(0), settled: true };
        let slots = (0..own).map(|_| context.settings.slots.take().unwrap()).collect();
        context.settings.loads.list(0, leases(leased, others), &context.me);
        Self { context, placement: Placement::default(), slots }
    }

    fn is_overloaded(&self) -> bool {
        is_overloaded(at(10), &self.context)
    }

    fn place(&mut self, now: u64, number: u64) -> Option<Outcome> {
        let requester = Requester::Query(number);
        let placed = self.placement.place(at(now), &mut self.context, new_room(number), requester, Reason::Overloaded);
        self.placement.check_invariants();
        placed.map(|placed| placed.outcome)
    }
}

/// The lease of this pod, and of others.
fn leases(own: u64, others: &[u64]) -> Vec<(String, bytes::Bytes)> {
    let others = others.iter().enumerate().map(|(number, rooms)| lease(PodBoot(10 + number as u64), *rooms, false));
    std::iter::once(lease(PodBoot(1), own, false)).chain(others).collect()
}

#[test]
fn a_pod_is_overloaded_above_the_mean_by_a_fifth_and_eight_rooms() {
    for (own, others) in [(121, &[100, 79][..]), (16, &[0, 0]), (25, &[9, 9])] {
        assert!(Loaded::new(own, own as u64, others).is_overloaded(), "{own} beside {others:?}");
    }
    for (own, others) in [(120, &[100, 80][..]), (15, &[0, 0]), (24, &[14, 14]), (500, &[])] {
        assert!(!Loaded::new(own, own as u64, others).is_overloaded(), "{own} beside {others:?}");
    }
    assert_eq!(crate::hub::BalanceLimits::USUAL.least, LEAST);
}

#[test]
fn what_all_pods_have_made_since_their_leases_is_no_overload() {
    assert!(!Loaded::new(5_000, 1_000, &[1_000, 1_000]).is_overloaded());
    assert!(!Loaded::new(1_000, 5_000, &[1_000, 1_000]).is_overloaded(), "it has given its rooms away meanwhile");
    assert!(Loaded::new(5_000, 5_000, &[1_000, 1_000]).is_overloaded());
}

#[test]
fn a_pod_that_knows_too_little_or_is_not_to_balance_creates_its_rooms_itself() {
    let overloaded = || Loaded::new(100, 100, &[0, 0]);
    assert!(overloaded().is_overloaded());
    let mut pod = overloaded();
    pod.context.settings.balance = false;
    assert!(!pod.is_overloaded());
    let mut pod = overloaded();
    pod.context.directory_answers = false;
    assert!(!pod.is_overloaded());
    let mut pod = overloaded();
    pod.context.lease.view.confirmed = None;
    assert!(!pod.is_overloaded());
    let mut pod = overloaded();
    pod.context.lease.view.confirmed = Some(KNOWN);
    assert!(!is_overloaded(at(KNOWN), &pod.context), "the list is old");
    pod.context.settings.loads = crate::hub::Loads::default();
    assert!(!pod.is_overloaded(), "nothing was ever listed");
}

#[test]
fn the_better_of_two_random_pods_with_fewer_rooms_is_asked() {
    let others: Vec<u64> = (0..10).map(|number| number * 10).collect();
    let mut asked = [0; 10];
    for number in 0..100 {
        let mut pod = Loaded::new(100, 100, &others);
        pod.context.random = rand::SeedableRng::seed_from_u64(number);
        assert_eq!(pod.place(10, 1), None);
        let [boot] = dialled(&mut pod.context)[..] else { panic!() };
        asked[boot.0 as usize - 10] += 1;
    }
    assert_eq!(asked[9], 0, "the worst one is never the better of two");
    assert!(asked[0] > 10 && asked[0] < 40 && asked[..5].iter().sum::<u32>() > 60, "{asked:?}");
    // One that has more rooms still is no help.
    let mut pod = Loaded::new(100, 100, &[0, 0, 0, 0]);
    pod.placement.knows_pods(at(10), &pod.context);
    pod.placement.pods.iter_mut().for_each(|other| other.rooms = 100);
    assert_eq!(pod.place(10, 1), Some(Outcome::Here));
}

#[test]
fn an_overloaded_pod_creates_the_room_itself_where_the_other_one_refuses_is_gone_or_silent() {
    let asked = || {
        let mut pod = Loaded::new(100, 100, &[0]);
        assert_eq!(pod.place(10, 1), None);
        assert_eq!(dialled(&mut pod.context), [PodBoot(10)]);
        pod
    };
    let here = [(1, Outcome::Here)];
    let Loaded { mut context, mut placement, .. } = asked();
    let no = Err(ErrorCode::ShuttingDown);
    assert_eq!(outcomes(&placement.answered(at(20), &mut context, PodBoot(10), room(1), no)), here);
    placement.check_invariants();
    let Loaded { mut context, mut placement, .. } = asked();
    assert_eq!(outcomes(&placement.pod_is_gone(at(20), &mut context, PodBoot(10))), here);
    let Loaded { mut placement, .. } = asked();
    assert!(placement.take_due(at(10 + PATIENCE / 2 - 1)).is_empty());
    assert_eq!(outcomes(&placement.take_due(at(10 + PATIENCE / 2))), here);
    let Loaded { mut context, mut placement, .. } = asked();
    let created = placement.answered(at(20), &mut context, PodBoot(10), room(1), Ok(()));
    assert_eq!(outcomes(&created), [(1, Outcome::Created(room(1)))]);
    assert_eq!(context.counters.balance_creations, 1);
}

#[test]
fn an_old_list_is_renewed_before_a_pod_is_asked() {
    let mut pod = Loaded::new(100, 100, &[0]);
    pod.context.lease.view.confirmed = Some(FRESH);
    assert_eq!(pod.place(FRESH, 1), None);
    assert!(matches!(pod.context.effects[..], [Effect::Directory { request: Request::Pods, .. }]));
    // The others have as many by now.
    let answer = Ok(Answer::Pods(leases(100, &[99])));
    let placed = pod.placement.pods_listed(at(FRESH + 10), &mut pod.context, answer);
    assert_eq!(outcomes(&placed), [(1, Outcome::Here)]);
    assert_eq!(pod.slots.len(), 100);
    // Another thread's list will do.
    pod.context.effects.clear();
    pod.context.settings.loads.list(3 * FRESH, leases(100, &[0]), &pod.context.me);
    assert_eq!(pod.place(3 * FRESH, 2), None);
    assert_eq!(dialled(&mut pod.context), [PodBoot(10)]);
    // Redis is away.
    let mut pod = Loaded::new(100, 100, &[0]);
    assert_eq!(pod.place(FRESH, 1), None);
    let placed = pod.placement.pods_listed(at(FRESH + 10), &mut pod.context, Err(NoAnswer::Timeout));
    assert_eq!(outcomes(&placed), [(1, Outcome::Here)]);
}
