//! Tests of the failure detector. A directory is made up for it.

use super::*;

const ME: PodBoot = PodBoot(1);
const OTHER: PodBoot = PodBoot(2);
const RUN: &str = "bf5d";

fn suspect() -> Suspect {
    Suspect { boot: OTHER, pod_id: "chat-2".into(), peer: "10.0.0.2:7755".into() }
}

/// The suspect, its lease and its connection, as the detector finds them.
struct World {
    detector: FailureDetector,
    now: u64,
    lease: Option<Bytes>,
    connected: Option<bool>,
    dials: Dialled,
    renews_before_deletion: bool,
    /// What happened, in order.
    seen: Vec<DetectorEffect>,
}

fn lease(boot: PodBoot, uid: &str, renewals: u64, connection: Option<u64>) -> Bytes {
    let (addr, peer, web) = Default::default();
    let record = LeaseRecord {
        uid: uid.into(),
        boot,
        addr,
        peer,
        web,
        rooms: 0,
        players: 0,
        draining: false,
        pod_uid: String::new(),
        earlier: Vec::new(),
        connection: connection.map(|client| DirectoryConnection { run: RUN.into(), client }),
        renewals,
    };
    serde_json::to_vec(&record).unwrap_or_default().into()
}

impl World {
    /// Of a process that has ended.
    fn dead() -> Self {
        Self {
            detector: FailureDetector::new(ME, "uid".into(), DetectorRules::ALL, 7),
            now: 10_000,
            lease: Some(lease(OTHER, "uid", 5, Some(9))),
            connected: Some(false),
            dials: Dialled::Refused,
            renews_before_deletion: false,
            seen: Vec::new(),
        }
    }

    fn time(&self) -> Time {
        Time { now: self.now, wall: self.now }
    }

    fn link_ends(&mut self, end: LinkEnd) {
        let time = self.time();
        self.detector.link_ended(time, suspect(), end);
    }

    /// Time passes; what is asked for is answered at once.
    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += 10;
            let time = self.time();
            self.detector.tick(time);
            loop {
                let mut effects = Vec::new();
                self.detector.take_effects(&mut effects);
                if effects.is_empty() {
                    break;
                }
                for effect in effects {
                    self.seen.push(effect.clone());
                    self.carry_out(effect);
                }
            }
        }
    }

    fn carry_out(&mut self, effect: DetectorEffect) {
        let time = self.time();
        match effect {
            DetectorEffect::Dial { boot, address } => {
                assert_eq!((boot, address), (OTHER, suspect().peer));
                self.detector.dialled(boot, self.dials);
            }
            DetectorEffect::Directory { ticket, request } => {
                if self.renews_before_deletion && matches!(request, Request::Delete { .. }) {
                    self.lease = Some(lease(OTHER, "uid", 6, Some(10)));
                }
                let answer = match request {
                    Request::Connected { connection, .. } => {
                        assert_eq!((connection.run.as_str(), connection.client), (RUN, 9));
                        Answer::Connected(self.connected)
                    }
                    Request::Delete { expected, .. } if Some(&expected) == self.lease.as_ref() => {
                        self.lease = None;
                        Answer::Done
                    }
                    Request::Get { .. } | Request::Delete { .. } => Answer::Found(self.lease.clone()),
                    other => panic!("{other:?}"),
                };
                self.detector.answered(time, ticket, Ok(answer));
            }
            DetectorEffect::LeaseGone { .. } | DetectorEffect::Declared { .. } | DetectorEffect::Found { .. } => {}
        }
    }

    /// A notice comes, and what was asked for is answered at once.
    fn told(&mut self) {
        let time = self.time();
        self.detector.told(time, Suspect { peer: String::new(), ..suspect() });
        self.pass(10);
    }

    fn findings(&self) -> Vec<Finding> {
        let finding = |effect: &DetectorEffect| match effect {
            DetectorEffect::Found { boot: OTHER, finding } => Some(*finding),
            _ => None,
        };
        self.seen.iter().filter_map(finding).collect()
    }

    fn count(&self, is: impl Fn(&DetectorEffect) -> bool) -> usize {
        self.seen.iter().filter(|effect| is(effect)).count()
    }

    fn dials(&self) -> usize {
        self.count(|effect| matches!(effect, DetectorEffect::Dial { .. }))
    }

    fn declared(&self) -> bool {
        let gone = self.seen.contains(&DetectorEffect::LeaseGone { boot: OTHER });
        let declared = self.count(|effect| matches!(effect, DetectorEffect::Declared { .. })) == 1;
        assert!(gone || !declared);
        declared
    }

    /// It was asked for so many rounds, and nothing came of them.
    fn is_left_to_the_lease(&mut self, dials: usize) {
        self.pass(10_000);
        assert!(!self.declared() && self.dials() == dials, "{:#?}", self.seen);
        assert!(self.detector.cases.is_empty() && self.detector.next_deadline().is_none());
    }
}

#[test]
fn three_rounds_within_600_ms_of_a_reset_prove_a_death() {
    let mut world = World::dead();
    world.link_ends(LinkEnd::Reset);
    world.pass(490);
    assert!(!world.declared() && world.lease.is_some());
    world.pass(120);
    assert!(world.declared() && world.lease.is_none() && world.dials() == 3, "{:#?}", world.seen);
    assert!(world.detector.cases.is_empty());
}

#[test]
fn each_sign_alone_and_each_pair_prove_nothing() {
    for missing in 0..7 {
        let has = |sign: u32| missing & (1 << sign) != 0;
        let mut world = World::dead();
        world.dials = if has(1) { Dialled::Refused } else { Dialled::Other };
        world.connected = Some(!has(2));
        world.link_ends(if has(0) { LinkEnd::Reset } else { LinkEnd::Other });
        world.pass(10_000);
        assert!(!world.declared() && world.lease.is_some(), "{missing:03b}: {:#?}", world.seen);
        assert!(world.detector.cases.is_empty());
    }
}

#[test]
fn what_the_directory_cannot_know_proves_nothing() {
    let mut world = World::dead();
    world.connected = None;
    world.link_ends(LinkEnd::Reset);
    world.is_left_to_the_lease(1);

    let mut world = World::dead();
    world.lease = Some(lease(OTHER, "uid", 5, None));
    world.link_ends(LinkEnd::Reset);
    world.is_left_to_the_lease(1);

    let mut world = World::dead();
    world.lease = Some(lease(OTHER, "another deployment", 5, Some(9)));
    world.link_ends(LinkEnd::Reset);
    world.is_left_to_the_lease(1);
}

#[test]
fn a_renewed_lease_begins_all_again() {
    let mut world = World::dead();
    world.link_ends(LinkEnd::Reset);
    world.pass(400);
    let before = world.dials();
    world.lease = Some(lease(OTHER, "uid", 6, Some(9)));
    world.pass(400);
    assert!(!world.declared() && world.dials() > before, "{:#?}", world.seen);
    world.pass(400);
    assert!(world.declared());
}

#[test]
fn a_lease_that_is_renewed_in_the_last_instant_stays() {
    let mut world = World::dead();
    world.renews_before_deletion = true;
    world.link_ends(LinkEnd::Reset);
    world.is_left_to_the_lease(3);
    assert!(world.lease.is_some());
}

#[test]
fn a_server_that_has_not_noticed_yet_is_asked_again() {
    let mut world = World::dead();
    world.connected = Some(true);
    world.link_ends(LinkEnd::Reset);
    world.pass(300);
    world.connected = Some(false);
    world.pass(800);
    assert!(world.declared(), "{:#?}", world.seen);
}

#[test]
fn a_lease_that_another_pod_has_deleted_or_a_newer_process_has_replaced_is_gone() {
    for lease in [None, Some(lease(PodBoot(3), "uid", 1, Some(10)))] {
        let mut world = World::dead();
        world.lease.clone_from(&lease);
        world.link_ends(LinkEnd::Reset);
        world.pass(200);
        assert!(world.seen.contains(&DetectorEffect::LeaseGone { boot: OTHER }) && world.lease == lease);
        world.is_left_to_the_lease(1);
    }
}

#[test]
fn a_link_that_comes_up_again_ends_the_suspicion() {
    let mut world = World::dead();
    world.link_ends(LinkEnd::Reset);
    world.pass(300);
    world.detector.link_is_up(OTHER);
    let dials = world.dials();
    world.is_left_to_the_lease(dials);
}

#[test]
fn who_is_told_of_a_death_deletes_the_lease_without_rounds() {
    // Redis may still have the connection of a process whose machine is gone; and an older version names none.
    for connection in [Some(9), None] {
        let mut world = World::dead();
        world.connected = Some(true);
        world.lease = Some(lease(OTHER, "uid", 5, connection));
        world.told();
        assert_eq!(world.findings(), [Finding::Deleted]);
        assert!(world.declared() && world.lease.is_none() && world.dials() == 0, "{:#?}", world.seen);
    }
}

#[test]
fn what_comes_of_a_notice_is_said() {
    type Change = fn(&mut World);
    let table: [(Change, Finding); 6] = [
        (|world| world.lease = None, Finding::Gone),
        (|world| world.lease = Some(lease(PodBoot(3), "uid", 1, None)), Finding::Gone),
        (|world| world.lease = Some(lease(OTHER, "another deployment", 5, None)), Finding::OtherDeployment),
        (|world| world.renews_before_deletion = true, Finding::Lives),
        (|world| world.detector.link_is_up(OTHER), Finding::Lives),
        (
            |world| {
                // A new link is up before the end of the last one is noticed.
                world.detector.link_is_up(OTHER);
                world.detector.link_is_up(OTHER);
                world.link_ends(LinkEnd::Other);
            },
            Finding::Lives,
        ),
    ];
    for (number, (change, finding)) in table.into_iter().enumerate() {
        let mut world = World::dead();
        change(&mut world);
        world.told();
        assert_eq!(world.findings(), [finding], "{number}");
        assert!(!world.declared() && world.detector.cases.is_empty(), "{number}");
    }
}

#[test]
fn a_process_is_told_of_its_own_death_in_vain() {
    let mut world = World::dead();
    let time = world.time();
    world.detector.told(time, Suspect { boot: ME, ..suspect() });
    let mut effects = Vec::new();
    world.detector.take_effects(&mut effects);
    assert_eq!(effects, [DetectorEffect::Found { boot: ME, finding: Finding::Lives }]);
}

#[test]
fn a_notice_ends_the_rounds_that_are_under_way() {
    let mut world = World::dead();
    world.detector.link_is_up(OTHER);
    world.link_ends(LinkEnd::Reset);
    world.pass(150);
    assert!(world.dials() == 1 && !world.declared());
    world.told();
    assert!(world.declared() && world.dials() == 1, "{:#?}", world.seen);
    assert_eq!(world.findings(), [Finding::Deleted]);
}

#[test]
fn a_directory_that_does_not_answer_is_said_and_a_later_notice_heard() {
    let mut world = World::dead();
    let time = world.time();
    world.detector.told(time, suspect());
    world.detector.told(time, suspect());
    let mut effects = Vec::new();
    world.detector.take_effects(&mut effects);
    let Some(DetectorEffect::Directory { ticket, .. }) = effects.pop() else { panic!("{effects:?}") };
    world.detector.answered(time, ticket, Err(NoAnswer::Timeout));
    world.pass(10);
    assert_eq!(world.findings(), [Finding::Unknown], "once for both");
    world.told();
    assert!(world.declared());
}
