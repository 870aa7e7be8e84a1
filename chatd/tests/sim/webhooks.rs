//! What rooms tell the webhook: numbered without a gap in each timeline, whichever pods they are at. No I/O.

use crate::world::World;

impl World {
    /// After each step of a pod. A store that has lost something may let two pods count one timeline, and so may an empty room that was
    /// closed: a former owner that knows nothing of that takes its record for lost, and goes on where it had it last.
    pub fn check_webhook(&mut self, pod: usize) {
        for (room, timeline, number) in std::mem::take(&mut self.pods[pod].webhook) {
            let last = self.expected.webhook.entry((room, timeline.0)).or_default();
            let expected = *last + 1;
            *last = number;
            let may_count_on = self.store.went_back.is_some() || self.expected.closed.contains_key(room.as_str());
            if number != expected && !may_count_on {
                let detail = format!("pod {pod} tells of {room} as {timeline} number {number}, not {expected}");
                self.expected.fail("Webhook", detail);
            }
        }
    }
}
