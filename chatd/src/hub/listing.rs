//! What the server API asks other pods: each of them for its rooms that fit, and one of them to hand its rooms over (`hand_overs.rs`). A pod
//! has two seconds to answer, or one where somebody waits for a place. Pure: no I/O.
//!
//! A question for rooms reaches all threads of a pod (`peer/routing.rs`), and each of them answers: the first answer says how many there are.

use std::collections::BTreeMap;

use super::context::{Context, Purpose, Timer};
use super::hand_overs::HandOvers;
use super::interface::{Effect, HubSettings};
use super::ownership::Owned;
use super::request::PATIENCE;
use super::rooms::Rooms;
use crate::directory::{Answer, NoAnswer, Request};
use crate::ids::Time;
use crate::join_token::Subject;
use crate::lease::LeaseRecord;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};
use crate::room_list::{ListFilter, ListedRoom, RoomList, Standing};

/// How long the pods have to answer where somebody waits for a place (ms): one that hangs does not hold up everyone's quick join for long.
const PATIENCE_FOR_PERSON: u64 = PATIENCE / 2;
/// Lists that are gathered at a time.
const MOST: usize = 100;

/// A pod that is asked.
#[derive(Debug)]
struct Asked {
    pod: String,
    boot: PodBoot,
    /// How many of its threads have answered.
    answers: u16,
}

/// A list that is gathered.
#[derive(Debug)]
struct Listing {
    filter: ListFilter,
    list: RoomList,
    asked: Vec<Asked>,
    /// The directory has listed the pods.
    has_asked: bool,
    until: u64,
}

/// See the module's documentation. Each list is known by the number of its query.
#[derive(Debug, Default)]
pub struct Listings {
    lists: BTreeMap<u64, Listing>,
    /// Pods that are asked to hand their rooms over.
    pub hand_overs: HandOvers,
}

impl Listings {
    /// Begins with the list of pods; [`Effect::Listed`] is the answer.
    pub fn begin(&mut self, context: &mut Context, time: Time, query: u64, filter: ListFilter) {
        if self.lists.len() >= MOST || !context.serves() {
            return context.effects.push(Effect::Listed { query, result: Err(ErrorCode::Unavailable) });
        }
        let patience = if filter.sub.is_some() { PATIENCE_FOR_PERSON } else { PATIENCE };
        let until = time.now + patience;
        self.lists
            .insert(query, Listing { filter, list: RoomList::default(), asked: Vec::new(), has_asked: false, until });
        context.arm(until, Timer::Listings);
        context.ask(Purpose::Listing(query), Request::Pods);
    }

    /// Whether the pod with `boot` has been asked.
    pub fn wait_for(&self, boot: PodBoot) -> bool {
        let lists = || self.lists.values().any(|listing| listing.asked.iter().any(|asked| asked.boot == boot));
        self.hand_overs.wait_for(boot) || lists()
    }

    /// The directory has listed the pods, or failed to. `room`: one of this thread, to which the answers come.
    pub fn pods_listed(
        &mut self,
        context: &mut Context,
        time: Time,
        (query, room): (u64, RoomId),
        answer: Result<Answer, NoAnswer>,
    ) {
        let Some(listing) = self.lists.get_mut(&query) else {
            return;
        };
        let Ok(Answer::Pods(pods)) = answer else {
            self.lists.remove(&query);
            return context.effects.push(Effect::Listed { query, result: Err(ErrorCode::Unavailable) });
        };
        listing.has_asked = true;
        let me = context.me.ownership.boot;
        for (pod, lease) in pods {
            let Some(lease) = LeaseRecord::parse(&lease).filter(|lease| lease.boot != me) else {
                continue;
            };
            if context.reach(time, lease.boot, &lease.peer) {
                let frame = Frame::List { room, query, filter: listing.filter.clone() };
                context.peers.send_or_queue(lease.boot, &frame);
                listing.asked.push(Asked { pod, boot: lease.boot, answers: 0 });
            } else {
                listing.list.incomplete.push(pod);
            }
        }
        self.finish_whole(context);
    }

    /// One of the `threads` threads of the pod with `boot` has answered.
    pub fn answered(&mut self, context: &mut Context, boot: PodBoot, query: u64, threads: u16, rooms: Vec<ListedRoom>) {
        let Some(listing) = self.lists.get_mut(&query) else {
            return;
        };
        let Some(at) = listing.asked.iter().position(|asked| asked.boot == boot) else {
            return;
        };
        listing.asked[at].answers += 1;
        listing.list.rooms.extend(rooms);
        if listing.asked[at].answers >= threads {
            listing.asked.remove(at);
        }
        self.finish_whole(context);
    }

    /// The link to the pod with `boot` is gone, or cannot be made.
    pub fn pod_is_gone(&mut self, context: &mut Context, boot: PodBoot) {
        self.hand_overs.pod_is_gone(context, boot);
        for listing in self.lists.values_mut() {
            let gone = listing.asked.extract_if(.., |asked| asked.boot == boot);
            listing.list.incomplete.extend(gone.map(|asked| asked.pod));
        }
        self.finish_whole(context);
    }

    /// Ends what has had its time.
    pub fn due(&mut self, context: &mut Context, time: Time) {
        self.hand_overs.due(context, time);
        for listing in self.lists.values_mut().filter(|listing| listing.until <= time.now) {
            listing.has_asked = true;
            listing.list.incomplete.extend(listing.asked.drain(..).map(|asked| asked.pod));
        }
        self.finish_whole(context);
    }

    /// Ends the lists that wait for nobody.
    fn finish_whole(&mut self, context: &mut Context) {
        let whole = self.lists.extract_if(.., |_, listing| listing.asked.is_empty() && listing.has_asked);
        let answers = whole.map(|(query, Listing { list, .. })| Effect::Listed { query, result: Ok(list) });
        context.effects.extend(answers);
    }
}

impl Rooms {
    /// The rooms of this thread that fit at `now` (ms). `pod`: this one.
    pub fn list(&self, settings: &HubSettings, pod: &str, filter: &ListFilter, now: u64) -> Vec<ListedRoom> {
        let fits = |owned: &&Owned| filter.fits(owned.room.id, owned.room.descriptor());
        let rooms = self.iter().map(|(_, owned)| owned).filter(|owned| !owned.is_over());
        let fitting = rooms.filter(fits).filter_map(|owned| {
            let (room, terms) = (&owned.room, settings.terms(owned.room.descriptor()));
            let sub = filter.sub.as_deref().map(|sub| Subject::new(room.id, sub));
            let standing = room.standing_of(sub, now);
            // Who has a place in a room that moves is to wait for that one.
            if !owned.is_serving() && (standing == Standing::Stranger || owned.moving().is_none()) {
                return None;
            }
            let descriptor = room.descriptor();
            let listed = ListedRoom {
                room: room.id,
                pod: pod.into(),
                players: room.player_seats().count() as u32,
                max_players: terms.max_players(),
                locked: room.is_locked(),
                listed: descriptor.is_some_and(|descriptor| descriptor.listed),
                kind: descriptor.and_then(|descriptor| descriptor.kind.clone()),
                labels: descriptor.map(|descriptor| descriptor.labels.clone()).unwrap_or_default(),
                standing,
            };
            let has_place = || room.players_beside(sub, now) < listed.max_players as usize;
            let is_free = standing == Standing::Seated || !listed.locked && has_place();
            let is_open = is_free && !terms.needs_token();
            ((is_free || !filter.free) && (is_open || !filter.open)).then_some(listed)
        });
        filter.first(fitting.collect())
    }
}
