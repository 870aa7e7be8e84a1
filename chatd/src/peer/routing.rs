//! What comes over a link goes to the shards, or is a word about the link itself. No I/O but messages to the shards.

use super::Peers;
use super::error::LinkError;
use super::idle::Word;
use super::links::LinkId;
use crate::peer_protocol;
use crate::protocol::PodBoot;
use crate::shard::message::ShardMessage;

impl Peers {
    /// Hands whole frames to the shards that have their rooms, and words about the link to the table; neighbours for one shard stay in
    /// one piece.
    pub(super) fn route(&self, link: LinkId, from: PodBoot, frames: &[u8]) -> Result<(), LinkError> {
        if self.0.links.borrow().to(from) != Some(link) {
            return Ok(());
        }
        let shards = self.0.shards.len();
        let mut batches: Vec<Vec<u8>> = vec![Vec::new(); shards];
        let (mut taken, mut rest) = (frames, frames);
        while let Some((payload, after)) = peer_protocol::split(rest)? {
            let whole = &rest[..rest.len() - after.len()];
            if let Some(word) = Word::parse(payload) {
                self.hand_out(from, &taken[..taken.len() - rest.len()], &mut batches);
                self.change(|links, now| links.heard(now, from, word));
                taken = after;
            } else if !payload.is_empty() {
                let room = peer_protocol::peek_room(payload).ok_or(LinkError::NoRoom)?;
                if peer_protocol::is_for_all(payload) {
                    for batch in &mut batches {
                        batch.extend_from_slice(whole);
                    }
                } else {
                    batches[room.shard(shards)].extend_from_slice(whole);
                }
            }
            rest = after;
        }
        self.hand_out(from, &taken[..taken.len() - rest.len()], &mut batches);
        Ok(())
    }

    /// `batches`: what of `frames` is for which shard.
    fn hand_out(&self, from: PodBoot, frames: &[u8], batches: &mut [Vec<u8>]) {
        if batches.iter().all(Vec::is_empty) {
            return;
        }
        let now = self.change(|links, now| links.frames_came(now, from, frames));
        for (shard, bytes) in self.0.shards.iter().zip(batches) {
            let bytes = std::mem::take(bytes);
            if now && !bytes.is_empty() {
                let _ = shard.send(ShardMessage::Frames { from, bytes });
            }
        }
    }
}
