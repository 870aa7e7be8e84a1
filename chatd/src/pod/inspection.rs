//! The pod's rooms and the directory for its admin port. Sends messages to the shards and to the pod's thread; no other I/O.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::message::PodMessage;
use crate::admin::rooms::{Gone, Rooms};
use crate::directory::{Answer, NoAnswer, Request};
use crate::hub::InspectedRoom;
use crate::protocol::RoomId;
use crate::shard::message::{ShardMessage, ask_all};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inspection {
    pod_id: Arc<str>,
    shards: Vec<UnboundedSender<ShardMessage>>,
    pod: UnboundedSender<PodMessage>,
}

impl Inspection {
    /// Of the pod with this name.
    pub fn new(pod_id: &str, shards: Vec<UnboundedSender<ShardMessage>>, pod: UnboundedSender<PodMessage>) -> Self {
        Self { pod_id: pod_id.into(), shards, pod }
    }
}

impl Rooms for Inspection {
    fn pod(&self) -> &str {
        &self.pod_id
    }

    async fn rooms(&self, after: Option<RoomId>, most: usize) -> Result<Vec<InspectedRoom>, Gone> {
        let lists =
            ask_all(&self.shards, |reply| ShardMessage::InspectRooms { after, most, reply }).await.ok_or(Gone)?;
        let mut all = lists.concat();
        all.sort_unstable_by_key(|room| room.room);
        all.truncate(most);
        Ok(all)
    }

    async fn room(&self, room: RoomId) -> Result<Option<InspectedRoom>, Gone> {
        let shard = self.shards.get(room.shard(self.shards.len())).ok_or(Gone)?;
        let (reply, answer) = oneshot::channel();
        shard.send(ShardMessage::Inspect { room, reply }).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    async fn stored(&self, request: Request) -> Result<Result<Answer, NoAnswer>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.pod.send(PodMessage::Ask { request, reply }).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}
