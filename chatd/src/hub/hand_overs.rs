//! Calls of the server API that ask another pod to hand its rooms over: each is a frame to that pod, which has two seconds to answer.
//! Pure: no I/O.

use std::collections::BTreeMap;

use super::context::{Context, Timer};
use super::interface::Effect;
use super::request::PATIENCE;
use crate::ids::Time;
use crate::peer_protocol::Frame;
use crate::protocol::{ErrorCode, PodBoot, RoomId};

/// A pod that is asked, and until when (ms).
#[derive(Debug)]
struct Asked {
    boot: PodBoot,
    until: u64,
}

/// Each is known by the number of its query.
#[derive(Debug, Default)]
pub struct HandOvers(BTreeMap<u64, Asked>);

impl HandOvers {
    /// Asks the pod with this boot at this address. `room`: one of this thread, to which the answer comes.
    pub fn ask(
        &mut self,
        context: &mut Context,
        time: Time,
        (query, room): (u64, RoomId),
        (boot, address): (PodBoot, &str),
    ) {
        if !context.reach(time, boot, address) {
            return context.effects.push(Effect::HandsOver { query, result: Err(ErrorCode::Unavailable) });
        }
        let until = time.now + PATIENCE;
        self.0.insert(query, Asked { boot, until });
        context.arm(until, Timer::Listings);
        context.peers.send_or_queue(boot, &Frame::HandOver { room, query });
    }

    /// Whether the pod with `boot` has been asked.
    pub fn wait_for(&self, boot: PodBoot) -> bool {
        self.0.values().any(|asked| asked.boot == boot)
    }

    /// The pod with `boot` hands its rooms over.
    pub fn answered(&mut self, context: &mut Context, boot: PodBoot, query: u64) {
        if self.0.get(&query).is_some_and(|asked| asked.boot == boot) {
            self.0.remove(&query);
            context.effects.push(Effect::HandsOver { query, result: Ok(()) });
        }
    }

    /// The link to the pod with `boot` is gone, or cannot be made.
    pub fn pod_is_gone(&mut self, context: &mut Context, boot: PodBoot) {
        self.end(context, |asked| asked.boot == boot);
    }

    /// Ends the calls whose time is over.
    pub fn due(&mut self, context: &mut Context, time: Time) {
        self.end(context, |asked| asked.until <= time.now);
    }

    fn end(&mut self, context: &mut Context, which: impl Fn(&Asked) -> bool) {
        let ended = self.0.extract_if(.., |_, asked| which(asked));
        let answers = ended.map(|(query, _)| Effect::HandsOver { query, result: Err(ErrorCode::Unavailable) });
        context.effects.extend(answers);
    }
}
