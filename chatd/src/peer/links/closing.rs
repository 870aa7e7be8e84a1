//! The table of links closes those that nobody needs. Pure: no I/O.

use super::{Action, DIAL_TIME, LinkId, Links};
use crate::peer::handshake::Nonce;
use crate::peer::idle::{Idle, Stage, Wish, Word};
use crate::protocol::PodBoot;

/// How long the other end may take to answer [`Word::Close`] (ms): half the time of a dial, since somebody may be waiting for one.
const ANSWER_TIME: u64 = DIAL_TIME / 2;
/// From one look for idle links to the next (ms).
const LOOK: u64 = 1_000;
/// Bytes of frames that may come before the answer to [`Word::Close`].
const MOST_HELD: usize = 1024 * 1024;

impl Links {
    /// The other end understands [`Word`]: the link may be closed when it is idle.
    pub fn may_close(&mut self, now: u64, link: LinkId) {
        if let Some((boot, up)) = self.by_boot.iter_mut().find(|(_, up)| up.id == link) {
            let boot = *boot;
            up.idle = Some(Idle { quiet_since: now, stage: Stage::Open });
            self.keep(now, boot);
        }
    }

    /// Frames go to the process with `boot`.
    pub fn frames_go(&mut self, now: u64, boot: PodBoot) {
        self.keep(now, boot);
    }

    /// Whole frames have come from the process with `boot`. False: [`Action::Route`] brings them back.
    pub fn frames_came(&mut self, now: u64, boot: PodBoot, frames: &[u8]) -> bool {
        let Some(Idle { stage: Stage::Offered { held, .. }, .. }) = self.idle(boot) else {
            self.keep(now, boot);
            return true;
        };
        held.extend_from_slice(frames);
        if held.len() > MOST_HELD {
            self.end(boot);
        }
        false
    }

    /// What came of [`Action::AskShards`], from one shard.
    pub fn shard_answered(&mut self, now: u64, boot: PodBoot, query: u64, needed: bool) {
        let Some(up) = self.by_boot.get_mut(&boot) else {
            return;
        };
        let link = up.id;
        let Some(idle) = &mut up.idle else {
            return;
        };
        match &mut idle.stage {
            Stage::Asking { query: current, missing, answering } if *current == query && !needed => {
                *missing -= 1;
                if *missing > 0 {
                    return;
                }
                let answering = *answering;
                self.actions.push(Action::Say { link, word: Word::Close });
                if answering {
                    return self.over(boot);
                }
                idle.stage = Stage::Offered { since: now, held: Vec::new(), wish: None };
                self.look_at = self.look_at.min(now + ANSWER_TIME);
            }
            Stage::Asking { query: current, .. } if *current == query => self.keep(now, boot),
            _ => {}
        }
    }

    /// The other end has said this of its link.
    pub fn heard(&mut self, now: u64, boot: PodBoot, word: Word) {
        let quiet = self.rules.after / 2;
        let Some(up) = self.by_boot.get_mut(&boot) else {
            return;
        };
        let link = up.id;
        let Some(idle) = &mut up.idle else {
            return;
        };
        match (word, &mut idle.stage) {
            (Word::Close, Stage::Offered { .. }) => self.over(boot),
            (Word::Close, Stage::Asking { answering, .. }) => *answering = true,
            (Word::Close, Stage::Open) if now < idle.quiet_since + quiet => {
                self.actions.push(Action::Say { link, word: Word::Keep });
            }
            (Word::Close, Stage::Open) => self.ask_shards(boot, true),
            (Word::Keep, Stage::Offered { held, .. }) => {
                let frames = std::mem::take(held);
                idle.stage = Stage::Open;
                self.keep(now, boot);
                self.actions.push(Action::Up { boot });
                if !frames.is_empty() {
                    self.actions.push(Action::Route { link, boot, frames });
                }
            }
            (Word::Keep, _) => {}
        }
    }

    /// Somebody wants the link, which there is.
    pub(super) fn wanted(&mut self, now: u64, boot: PodBoot, wanted: Wish) {
        match self.idle(boot).map(|idle| &mut idle.stage) {
            Some(Stage::Offered { wish, .. }) => {
                wish.get_or_insert(wanted);
            }
            Some(Stage::Asking { .. }) => self.keep(now, boot),
            _ => self.actions.push(Action::Up { boot }),
        }
    }

    /// Looks for links that nobody has used for a while, and ends those whose other end does not answer.
    pub(super) fn close_idle(&mut self, now: u64) {
        if now < self.look_at {
            return;
        }
        let (mut unanswered, mut due) = (Vec::new(), Vec::new());
        let (mut next, mut next_answer, mut leaving) = (u64::MAX, u64::MAX, 0);
        for (boot, up) in &self.by_boot {
            let Some(idle) = &up.idle else {
                continue;
            };
            match idle.stage {
                Stage::Open => {
                    let at = idle.quiet_since + self.patience(up.nonce);
                    if at <= now { due.push((at, *boot)) } else { next = next.min(at) }
                }
                Stage::Asking { .. } => leaving += 1,
                Stage::Offered { since, .. } => {
                    leaving += 1;
                    let at = since + ANSWER_TIME;
                    if at <= now { unanswered.push(*boot) } else { next_answer = next_answer.min(at) }
                }
            }
        }
        let spare = self.by_boot.len().saturating_sub(self.rules.kept + leaving);
        // While others may turn out to be needed, one of those that are left here may become spare.
        let again = due.len() > spare && spare + leaving > 0;
        self.look_at = if again { now + LOOK } else { next.max(now + LOOK) }.min(next_answer);
        due.sort_unstable();
        due.truncate(spare);
        for (_, boot) in due {
            self.ask_shards(boot, false);
        }
        unanswered.sort_unstable();
        for boot in unanswered {
            self.end(boot);
        }
    }

    // ----

    fn idle(&mut self, boot: PodBoot) -> Option<&mut Idle> {
        self.by_boot.get_mut(&boot)?.idle.as_mut()
    }

    /// How long the link with this name may be quiet. The two ends of a link draw different times.
    fn patience(&self, nonce: Nonce) -> u64 {
        let drawn = nonce.0 as u64 ^ (nonce.0 >> 64) as u64 ^ self.me.0;
        self.rules.after + drawn.checked_rem(self.rules.spread).unwrap_or(0)
    }

    fn ask_shards(&mut self, boot: PodBoot, answering: bool) {
        self.last_query += 1;
        let (query, missing) = (self.last_query, self.shards);
        if let Some(idle) = self.idle(boot) {
            idle.stage = Stage::Asking { query, missing, answering };
            self.actions.push(Action::AskShards { boot, query });
        }
    }

    /// The link is needed: the shards that have given it up get it back.
    fn keep(&mut self, now: u64, boot: PodBoot) {
        let Some(up) = self.by_boot.get_mut(&boot) else {
            return;
        };
        let (link, nonce) = (up.id, up.nonce);
        let Some(idle) = &mut up.idle else {
            return;
        };
        idle.quiet_since = now;
        if let Stage::Asking { answering, .. } = idle.stage {
            idle.stage = Stage::Open;
            self.actions.push(Action::Up { boot });
            if answering {
                self.actions.push(Action::Say { link, word: Word::Keep });
            }
        }
        self.look_at = self.look_at.min(now + self.patience(nonce));
    }

    /// Both ends have said that they do not need it.
    fn over(&mut self, boot: PodBoot) {
        let link = self.to(boot);
        self.actions.extend(link.map(|link| Action::Over { link }));
        if let Some(Idle { stage: Stage::Offered { wish: Some(wish), .. }, .. }) = self.remove(boot) {
            self.start_dial(boot, wish);
        }
    }

    /// Ends a link that was offered without the other end's agreement.
    fn end(&mut self, boot: PodBoot) {
        if let Some(link) = self.to(boot) {
            self.actions.push(Action::Close { link });
            self.broken(link);
        }
    }
}

#[cfg(test)]
#[path = "closing_tests.rs"]
mod tests;
