//! Tests of the end of idle links: two tables against each other.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::peer::idle::IdleRules;
use crate::peer::links::Choice;

const BOOTS: [PodBoot; 2] = [PodBoot(1), PodBoot(2)];
const RULES: IdleRules = IdleRules { after: 60_000, spread: 0, kept: 0 };
const FRAME: &[u8] = b"a frame";

/// Two pods with a link; the numbers that each has for it.
struct World {
    pods: [Links; 2],
    ids: [LinkId; 2],
    now: u64,
}

fn up(pod: usize) -> Action {
    Action::Up { boot: BOOTS[1 - pod] }
}

/// Hands a link from one table to the other; what each has for it.
fn connect(pods: &mut [Links; 2], from: usize) -> [LinkId; 2] {
    let actions = pods[from].take_actions();
    let dials = actions.iter().find_map(|action| match action {
        Action::Connect { link, .. } => Some(*link),
        _ => None,
    });
    let dialled = dials.unwrap_or_else(|| panic!("{actions:?}"));
    let (_, nonce) = pods[from].dialled(dialled).unwrap();
    let Choice::Commit { last } = pods[from].greeted(dialled, BOOTS[1 - from], "h:1") else { panic!() };
    let taken = pods[1 - from].arrived();
    assert!(pods[1 - from].offered(taken, BOOTS[from], nonce, last) && pods[from].accepted(dialled));
    if from == 0 { [dialled, taken] } else { [taken, dialled] }
}

impl World {
    fn new(rules: IdleRules) -> Self {
        let mut pods = BOOTS.map(|me| Links::new(me, 2, rules));
        pods[0].dial(0, BOOTS[1], "h:1", Nonce(1));
        let ids = connect(&mut pods, 0);
        let mut world = Self { pods, ids, now: 0 };
        for (pod, link) in ids.into_iter().enumerate() {
            world.pods[pod].may_close(0, link);
            assert_eq!(world.does(pod), [up(pod)]);
        }
        world
    }

    fn does(&mut self, pod: usize) -> Vec<Action> {
        self.pods[pod].take_actions()
    }

    fn pass(&mut self, pod: usize, millis: u64) -> Vec<Action> {
        self.now += millis;
        self.pods[pod].tick(self.now);
        self.does(pod)
    }

    fn hear(&mut self, pod: usize, word: Word) -> Vec<Action> {
        self.pods[pod].heard(self.now, BOOTS[1 - pod], word);
        self.does(pod)
    }

    fn dial(&mut self, pod: usize) -> Vec<Action> {
        self.pods[pod].dial(self.now, BOOTS[1 - pod], "h:1", Nonce(9));
        self.does(pod)
    }

    /// The shards' answers to the last question.
    fn shards(&mut self, pod: usize, needed: [bool; 2]) -> Vec<Action> {
        let query = self.pods[pod].last_query;
        for needed in needed {
            self.pods[pod].shard_answered(self.now, BOOTS[1 - pod], query, needed);
        }
        self.does(pod)
    }

    fn asks(&self, pod: usize) -> [Action; 1] {
        [Action::AskShards { boot: BOOTS[1 - pod], query: self.pods[pod].last_query }]
    }

    fn says(&self, pod: usize, word: Word) -> Action {
        Action::Say { link: self.ids[pod], word }
    }

    fn over(&self, pod: usize) -> Action {
        Action::Over { link: self.ids[pod] }
    }

    /// The first pod has said that it does not need the link.
    fn offered() -> Self {
        let mut world = Self::new(RULES);
        assert_eq!(world.pass(0, RULES.after), world.asks(0));
        assert_eq!(world.shards(0, [false; 2]), [world.says(0, Word::Close)]);
        world
    }
}

#[test]
fn both_ends_agree_and_nobody_hears_of_a_failure() {
    let mut world = World::offered();
    assert_eq!(world.hear(1, Word::Close), world.asks(1));
    assert_eq!(world.shards(1, [false; 2]), [world.says(1, Word::Close), world.over(1)]);
    assert_eq!(world.hear(0, Word::Close), [world.over(0)]);
    assert!(world.pods.iter().all(Links::is_empty));
    // What is heard of the connection's end means nothing any more, and who wants a link gets one.
    for pod in 0..2 {
        world.pods[pod].broken(world.ids[pod]);
        assert_eq!(world.does(pod), []);
    }
    world.pods[1].dial(world.now, BOOTS[0], "h:1", Nonce(2));
    connect(&mut world.pods, 1);
    assert!(world.pods.iter().all(|pod| pod.len() == 1));
}

#[test]
fn a_shard_that_needs_the_link_keeps_it() {
    let mut world = World::new(RULES);
    world.pass(0, RULES.after);
    // The one that has given it up gets it back, and no question follows for as long as it was quiet.
    assert_eq!(world.shards(0, [false, true]), [up(0)]);
    assert_eq!(world.pass(0, RULES.after - 1), []);
    assert_eq!(world.pass(0, 1), world.asks(0));
}

#[test]
fn the_other_end_keeps_it_and_what_it_has_sent_meanwhile_arrives() {
    let mut world = World::offered();
    assert!(!world.pods[0].frames_came(world.now, BOOTS[1], FRAME));
    assert_eq!(world.hear(1, Word::Close), world.asks(1));
    assert_eq!(world.shards(1, [true, false]), [up(1), world.says(1, Word::Keep)]);
    let frames = Action::Route { link: world.ids[0], boot: BOOTS[1], frames: FRAME.to_vec() };
    assert_eq!(world.hear(0, Word::Keep), [up(0), frames]);
    assert!(world.pods[0].frames_came(world.now, BOOTS[1], FRAME));
}

#[test]
fn who_has_just_used_the_link_keeps_it_unasked() {
    let mut world = World::offered();
    world.pods[1].frames_go(world.now, BOOTS[0]);
    assert_eq!(world.hear(1, Word::Close), [world.says(1, Word::Keep)]);
    // The same while its shards are being asked.
    let mut world = World::offered();
    world.hear(1, Word::Close);
    world.pods[1].frames_go(world.now, BOOTS[0]);
    assert_eq!(world.does(1), [up(1), world.says(1, Word::Keep)]);
    assert_eq!(world.shards(1, [false; 2]), [], "a late answer ends a link that is used");
}

#[test]
fn frames_while_the_shards_are_asked_keep_the_link() {
    type Use = fn(&mut Links, u64) -> bool;
    let uses: [Use; 3] = [
        |links, now| {
            links.frames_go(now, BOOTS[1]);
            true
        },
        |links, now| links.frames_came(now, BOOTS[1], FRAME),
        |links, now| {
            links.dial(now, BOOTS[1], "h:1", Nonce(9));
            true
        },
    ];
    for used in uses {
        let mut world = World::new(RULES);
        world.pass(0, RULES.after);
        assert!(used(&mut world.pods[0], world.now));
        assert_eq!(world.does(0), [up(0)]);
        assert_eq!(world.shards(0, [false; 2]), []);
        assert_eq!(world.pods[0].len(), 1);
    }
}

#[test]
fn who_wants_the_link_meanwhile_gets_it_or_a_new_one() {
    let mut world = World::offered();
    assert_eq!(world.dial(0), []);
    assert_eq!(world.hear(0, Word::Keep), [up(0)]);

    let mut world = World::offered();
    assert_eq!(world.dial(0), []);
    let actions = world.hear(0, Word::Close);
    assert!(matches!(&actions[..], [Action::Over { .. }, Action::Connect { .. }]), "{actions:?}");
}

#[test]
fn both_may_say_at_once_that_they_do_not_need_it() {
    let mut world = World::offered();
    assert_eq!(world.pass(1, 0), world.asks(1));
    assert_eq!(world.shards(1, [false; 2]), [world.says(1, Word::Close)]);
    for pod in 0..2 {
        assert_eq!(world.hear(pod, Word::Close), [world.over(pod)]);
    }
    // Or one is asked while it asks.
    let mut world = World::offered();
    assert_eq!(world.pass(1, 0), world.asks(1));
    assert_eq!(world.hear(1, Word::Close), []);
    assert_eq!(world.shards(1, [false; 2]), [world.says(1, Word::Close), world.over(1)]);
}

#[test]
fn without_an_answer_the_link_ends_in_time_for_a_new_one() {
    let mut world = World::offered();
    let close = Action::Close { link: world.ids[0] };
    assert_eq!(world.pass(0, DIAL_TIME / 2 - 1), []);
    assert_eq!(world.dial(0), []);
    let actions = world.pass(0, 1);
    assert!(matches!(&actions[..], [first, Action::Connect { .. }] if *first == close), "{actions:?}");
    // The dial that follows ends in the time of the one that was asked for.
    let unreachable = Action::Unreachable { boot: BOOTS[1], gone: false };
    assert_eq!(world.pass(0, DIAL_TIME - 1).last(), Some(&unreachable));

    // Whoever sends endlessly instead of answering is left, too.
    let mut world = World::offered();
    assert!(!world.pods[0].frames_came(world.now, BOOTS[1], &vec![0; MOST_HELD + 1]));
    assert_eq!(world.does(0), [close]);
}

#[test]
fn a_broken_link_is_told_of_only_where_it_was_used() {
    let mut world = World::offered();
    world.pods[0].broken(world.ids[0]);
    assert_eq!(world.does(0), []);
    world.hear(1, Word::Close);
    world.pods[1].broken(world.ids[1]);
    assert_eq!(world.does(1), [Action::Down { boot: BOOTS[0] }]);
}

#[test]
fn few_links_and_those_with_older_pods_stay() {
    let mut world = World::new(IdleRules { kept: 1, ..RULES });
    assert_eq!(world.pass(0, 10 * RULES.after), []);
    // Asked by a pod with many links, it agrees.
    assert_eq!(world.hear(0, Word::Close), world.asks(0));

    let mut pods = BOOTS.map(|me| Links::new(me, 1, RULES));
    pods[0].dial(0, BOOTS[1], "h:1", Nonce(1));
    connect(&mut pods, 0);
    pods[0].tick(10 * RULES.after);
    assert_eq!(pods[0].take_actions(), [Action::Up { boot: BOOTS[1] }]);
    assert_eq!(pods[0].next_deadline(), None);
}

#[test]
fn the_quietest_links_go_first_and_no_more_than_are_spare() {
    let mut links = Links::new(PodBoot(0), 1, IdleRules { kept: 2, ..RULES });
    for boot in 1..=5 {
        let link = links.arrived();
        assert!(links.offered(link, PodBoot(boot), Nonce(u128::from(boot)), None));
        links.may_close(100 - boot, link);
    }
    links.take_actions();
    let asked = |links: &mut Links, now| {
        links.tick(now);
        let asks = |action| if let Action::AskShards { boot, .. } = action { Some(boot.0) } else { None };
        links.take_actions().into_iter().filter_map(asks).collect::<Vec<_>>()
    };
    assert_eq!(asked(&mut links, RULES.after + 100), [5, 4, 3]);
    // One is needed, so another one is looked at when its time has come.
    links.shard_answered(RULES.after + 100, PodBoot(4), links.last_query - 1, true);
    assert_eq!(links.next_deadline(), Some(RULES.after + 100 + LOOK));
    assert_eq!(asked(&mut links, RULES.after + 100 + LOOK), [2]);
}

#[test]
fn words_are_no_frames() {
    for word in [Word::Close, Word::Keep] {
        let bytes = word.encode();
        let (payload, rest) = crate::peer_protocol::split(&bytes).unwrap().unwrap();
        assert_eq!((Word::parse(payload), rest), (Some(word), &[][..]));
        assert!(crate::peer_protocol::peek_room(payload).is_none());
    }
    assert_eq!((Word::parse(&[]), Word::parse(&[3]), Word::parse(&[1, 1])), (None, None, None));
}
