//! Tests of when a pod gives rooms away, and how many, without a hub.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::hub::interface::{Effect, HubSettings};
use crate::hub::{HubLimits, RoomSlots};
use crate::lease::LeaseView;
use crate::protocol::{Ownership, PodBoot};
use crate::record::Owner;

const LIMITS: BalanceLimits = BalanceLimits::USUAL;

fn at(now: u64) -> Time {
    Time { now, wall: now }
}

/// A pod with so many rooms, and leases of others with so many.
struct Pods {
    context: Context,
    balance: Balance,
    slots: Vec<crate::hub::capacity::RoomSlot>,
    others: Vec<u64>,
}

impl Pods {
    fn new(own: usize, others: &[u64]) -> Self {
        let (pod_id, tcp, web, peer) = ("chat-1".into(), String::new(), String::new(), "peer-1".into());
        let me = Owner { ownership: Ownership { epoch: 0, boot: PodBoot(1) }, pod_id, tcp, web, peer };
        let slots = RoomSlots::new(10_000);
        let settings = HubSettings { slots: slots.clone(), limits: HubLimits::USUAL, ..HubSettings::default() };
        let mut context = Context::new(settings, me, [1; 32]);
        context.directory_answers = true;
        let slots = (0..own).map(|_| slots.take().unwrap()).collect();
        Self { context, balance: Balance::default(), slots, others: others.to_vec() }
    }

    /// A look at this time, by the only thread.
    fn look(&mut self, now: u64) -> Option<Surplus> {
        self.context.lease.view = LeaseView { confirmed: Some(now), settled: true };
        self.context.effects.clear();
        let rooms = self.slots.len() as u64;
        let at_once = self.balance.due(at(now), &mut self.context, rooms);
        let asks = self.context.effects.iter().any(|effect| matches!(effect, Effect::Directory { .. }));
        let leases = self.others.iter().enumerate().map(|(number, rooms)| {
            let boot = PodBoot(10 + number as u64);
            let lease =
                format!(r#"{{"uid":"u","boot":"{boot}","addr":"a","peer":"p{number}","web":"w","rooms":{rooms}}}"#);
            (format!("chat-{}", 10 + number), lease.into_bytes().into())
        });
        let answer = Answer::Pods(leases.collect());
        let listed = asks.then(|| self.balance.pods_listed(at(now), &mut self.context, Ok(answer), rooms)).flatten();
        listed.or(at_once)
    }

    /// Looks as often as it wants to until `until`, from `from` on; what is given away is gone, and taken by the targets.
    fn run(&mut self, from: u64, until: u64) -> usize {
        let (mut now, mut given) = (from, 0);
        while now < until {
            if let Some(surplus) = self.look(now) {
                let own = self.slots.len();
                self.slots.truncate(own - surplus.rooms);
                for _ in 0..surplus.rooms {
                    let least = surplus.targets.iter().map(|target| (target.boot.0 - 10) as usize);
                    let least = least.min_by_key(|number| self.others[*number]).unwrap();
                    self.others[least] += 1;
                }
                given += surplus.rooms;
            }
            let timers = &mut self.context.timers;
            let times = std::iter::from_fn(|| timers.first().and_then(|(at, _)| timers.pop_due(at).map(|_| at)));
            now = times.last().unwrap();
        }
        given
    }
}

#[test]
fn a_pod_is_overloaded_for_a_minute_before_it_gives_rooms_away() {
    let mut pods = Pods::new(200, &[0, 0]);
    assert_eq!(pods.run(0, LIMITS.after), 0);
    assert!(pods.run(LIMITS.after, LIMITS.after + 20_000) > 0);
}

#[test]
fn twice_the_mean_is_level_within_three_minutes_at_one_per_cent_a_second() {
    let mut pods = Pods::new(1_000, &[500, 0, 500, 500]);
    let first = pods.run(0, LIMITS.after + 40_000);
    assert!((200..=400).contains(&first), "{first} in 40 s");
    pods.run(LIMITS.after + 40_000, 180_000);
    let mean = (pods.slots.len() as u64 + pods.others.iter().sum::<u64>()) / 5;
    assert_eq!(mean, 500);
    assert!(pods.slots.len() as u64 * 100 <= mean * END, "{} rooms of {mean}", pods.slots.len());
    assert!(pods.others.iter().all(|rooms| *rooms <= mean), "{:?}", pods.others);
    assert_eq!(pods.run(180_000, 600_000), 0, "level is level");
}

#[test]
fn few_rooms_and_small_differences_are_no_overload() {
    for (own, others) in [(15, &[0, 0][..]), (20, &[18, 17]), (129, &[100, 71]), (500, &[])] {
        assert_eq!(Pods::new(own, others).run(0, 300_000), 0, "{own} beside {others:?}");
    }
}

#[test]
fn a_pod_that_gets_level_by_itself_gives_nothing_away() {
    let mut pods = Pods::new(200, &[0, 0]);
    pods.run(0, 50_000);
    pods.others = vec![200, 200];
    pods.run(50_000, 70_000);
    pods.others = vec![0, 0];
    assert_eq!(pods.run(70_000, 70_000 + LIMITS.after), 0, "the minute begins anew");
}

#[test]
fn nothing_is_given_away_while_the_directory_is_away_or_the_lease_is_in_doubt() {
    let mut pods = Pods::new(200, &[0, 0]);
    pods.run(0, LIMITS.after + 10_000);
    assert_eq!(pods.balance.load, Load::Giving);
    pods.context.directory_answers = false;
    assert!(pods.look(LIMITS.after + 10_000).is_none());
    assert_eq!(pods.balance.load, Load::Level, "what was known of the others is old by the time that it answers");
    let mut pods = Pods::new(200, &[0, 0]);
    pods.run(0, LIMITS.after + 10_000);
    assert!(pods.balance.due(at(LIMITS.after + 30_000), &mut pods.context, 200).is_none());
    assert_eq!(pods.balance.load, Load::Level);
}

#[test]
fn only_pods_below_the_mean_take_rooms_and_no_more_than_to_the_mean() {
    let mut pods = Pods::new(3_000, &[1_195, 1_000, 5, 800]);
    pods.run(0, LIMITS.after + 1_000);
    let surplus = pods.look(LIMITS.after + 4_000).unwrap();
    assert!(surplus.targets.len() <= CHOICES);
    assert!(surplus.targets.iter().all(|target| target.rooms < 1_200), "{surplus:?}");
    let places = surplus.targets.iter().map(|target| 1_200 - target.rooms).sum::<u64>();
    assert!(surplus.rooms as u64 <= places, "{surplus:?}");
}

#[test]
fn where_it_is_switched_off_nothing_is_ever_looked_at() {
    let mut pods = Pods::new(200, &[0, 0]);
    pods.context.settings.balance = false;
    pods.balance.start(at(0), &mut pods.context);
    assert_eq!(pods.context.timers.first(), None);
    pods.context.settings.balance = true;
    pods.balance.start(at(0), &mut pods.context);
    pods.balance.start(at(1), &mut pods.context);
    assert_eq!(pods.context.timers.len(), 1, "one timer, however often the lease is confirmed");
}

#[test]
fn one_list_serves_all_threads() {
    let mut pods = Pods::new(200, &[0, 0]);
    pods.run(0, LIMITS.after + 10_000);
    let now = pods.context.settings.loads.within(LIMITS.after + 10_000, LIMITS.after).unwrap().at;
    let (mut other, rooms) = (Balance::default(), 200);
    pods.context.effects.clear();
    let next = look_every(&pods.context);
    assert!(other.due(at(now + next / 2 - 1), &mut pods.context, rooms).is_none());
    assert!(pods.context.effects.is_empty(), "{:?}", pods.context.effects);
    assert!(matches!(other.load, Load::Overloaded { .. }), "it has looked");
    assert!(other.due(at(now + next / 2), &mut pods.context, rooms).is_none());
    assert!(matches!(pods.context.effects[..], [Effect::Directory { request: Request::Pods, .. }]));
}
