//! The rooms that the lobby shows, and everyone may see: one answer of all pods for all who ask within two seconds. Does I/O: asks the
//! shards.
//!
//! Who asks often, or over many connections, makes the other pods no work: they are asked once at a time, also where nobody waits for
//! the answer any more.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::protocol::{ErrorCode, RoomId};
use crate::room_list::{ListFilter, ListedRoom, RoomList};
use crate::shard;
use crate::shard::message::{ShardMessage, list_all};

/// The most rooms of an answer.
const MOST: u16 = 50;
/// An answer is good for so long (ms).
const FRESH: u64 = 2_000;

/// A room as everyone may see it.
#[derive(Debug, Serialize)]
struct OpenRoom {
    room: RoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Box<str>>,
    players: u32,
    max_players: u32,
}

#[derive(Debug, Serialize)]
struct Body {
    rooms: Vec<OpenRoom>,
    incomplete: Vec<String>,
}

/// The body of an answer, or why there is none.
pub(super) type Answer = Result<Bytes, ErrorCode>;
/// An answer with its time (ms), once it is there.
type Kept = Option<(u64, Answer)>;

/// The last answer, or the one that is waited for. A failure is kept as long.
#[derive(Debug, Default)]
pub(super) struct OpenRooms(Mutex<Option<watch::Receiver<Kept>>>);

impl OpenRooms {
    /// The body of the answer. `turn`: which of the shards asks the other pods.
    pub async fn body(&self, shards: &[UnboundedSender<ShardMessage>], turn: usize) -> Answer {
        let gather = || {
            let shards = shards.to_vec();
            async move {
                let filter = ListFilter { listed: Some(true), open: true, limit: MOST, ..ListFilter::default() };
                let list = list_all(&shards, turn, &filter).await;
                (shard::now().now, list.map(body))
            }
        };
        self.ask(shard::now().now, gather).await
    }

    /// The answer that is good at `now`, or the next one. `gather` asks for that, and gives it with its time.
    async fn ask<F>(&self, now: u64, gather: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = (u64, Answer)> + Send + 'static,
    {
        let mut answer = {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match last.as_ref().filter(|last| is_good(last, now)) {
                Some(last) => last.clone(),
                None => {
                    let (sender, next) = watch::channel(None);
                    let gathered = gather();
                    // A client that goes away meanwhile takes nothing from the others.
                    tokio::spawn(async move { sender.send_replace(Some(gathered.await)) });
                    last.insert(next).clone()
                }
            }
        };
        let there = answer.wait_for(Option::is_some).await.map_err(|_| ErrorCode::ShuttingDown)?;
        there.as_ref().map_or(Err(ErrorCode::ShuttingDown), |(_, answer)| answer.clone())
    }
}

/// Whether it is young enough, or still asked for.
fn is_good(last: &watch::Receiver<Kept>, now: u64) -> bool {
    match &*last.borrow() {
        Some((at, _)) => now < at.saturating_add(FRESH),
        None => last.has_changed().is_ok(),
    }
}

fn body(RoomList { rooms, incomplete }: RoomList) -> Bytes {
    let open = |ListedRoom { room, kind, labels, players, max_players, .. }| OpenRoom {
        room,
        kind,
        labels,
        players,
        max_players,
    };
    let body = Body { rooms: rooms.into_iter().map(open).collect(), incomplete };
    // Plain values can always be written.
    serde_json::to_vec(&body).unwrap_or_default().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::room_list::Standing;

    #[tokio::test]
    async fn all_who_ask_within_two_seconds_get_one_answer_also_if_the_first_goes_away() {
        let (open, asked, may_answer) = (OpenRooms::default(), Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let ask = |now: u64| {
            let (asked, may_answer) = (asked.clone(), may_answer.clone());
            open.ask(now, move || {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                async move {
                    may_answer.notified().await;
                    (now, Ok(Bytes::from(number.to_string())))
                }
            })
        };
        // The first one asks, and does not wait.
        tokio::select! {
            biased;
            _ = ask(1_000) => panic!("there is no answer yet"),
            () = tokio::task::yield_now() => {}
        }
        may_answer.notify_one();
        let answers = tokio::join!(ask(1_000), ask(2_999));
        assert_eq!(answers, (Ok("0".into()), Ok("0".into())));
        assert_eq!(ask(2_999).await, Ok("0".into()));
        may_answer.notify_one();
        assert_eq!((ask(3_000).await, asked.load(Ordering::Relaxed)), (Ok("1".into()), 2));
    }

    #[tokio::test]
    async fn a_failure_is_kept_as_long_and_a_question_that_was_given_up_is_asked_again() {
        let open = OpenRooms::default();
        let fails = || async { (5, Err(ErrorCode::Unavailable)) };
        let works = || async { (9, Ok(Bytes::from("1"))) };
        assert_eq!(open.ask(5, fails).await, Err(ErrorCode::Unavailable));
        assert_eq!(open.ask(2_004, works).await, Err(ErrorCode::Unavailable));
        assert_eq!(open.ask(2_005, works).await, Ok("1".into()));
        let (sender, gone) = watch::channel(None);
        *open.0.lock().unwrap() = Some(gone);
        drop(sender);
        assert_eq!(open.ask(2_006, works).await, Ok("1".into()));
    }

    #[test]
    fn no_more_is_said_than_everyone_may_know() {
        let listed = ListedRoom {
            room: "abc".parse().unwrap(),
            pod: "chat-0".into(),
            players: 1,
            max_players: 4,
            locked: false,
            listed: true,
            kind: None,
            labels: Vec::new(),
            standing: Standing::default(),
        };
        let whole = ListedRoom {
            room: "abd".parse().unwrap(),
            kind: Some("duel".into()),
            labels: vec!["eu".into()],
            ..listed.clone()
        };
        let text = body(RoomList { rooms: vec![listed, whole], incomplete: vec!["chat-1".into()] });
        let expected = r#"{"rooms":[{"room":"abc","players":1,"max_players":4},{"room":"abd","kind":"duel","labels":["eu"],"players":1,"max_players":4}],"incomplete":["chat-1"]}"#;
        assert_eq!(text, expected);
    }
}
