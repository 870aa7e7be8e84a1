//! What calls of the server API with an Idempotency-Key were answered, so that each is carried out once, whatever the ring keeps. Pure: no I/O.

use serde::{Deserialize, Serialize};

use super::Room;
use crate::room_call::CallKey;

/// A room remembers so many of the last calls, and so many bytes of their answers; the last one in any case.
const MOST: usize = 32;
const MOST_BYTES: usize = 4_096;

/// The last calls of one room and their answers, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredCalls(Vec<(CallKey, Box<str>)>);

impl AnsweredCalls {
    fn remember(&mut self, key: CallKey, answer: &str) {
        self.0.push((key, answer.into()));
        self.limit();
    }

    /// The same, no more than a room remembers.
    pub(super) fn limit(&mut self) {
        let (mut calls, mut bytes) = (0, 0);
        // From the newest on.
        let fits = |(_, answer): &&(CallKey, Box<str>)| {
            (calls, bytes) = (calls + 1, bytes + answer.len());
            calls == 1 || calls <= MOST && bytes <= MOST_BYTES
        };
        let kept = self.0.iter().rev().take_while(fits).count();
        self.0.drain(..self.0.len() - kept);
    }
}

impl Room {
    /// What a call with this key was answered: JSON.
    pub fn answer_to(&self, key: CallKey) -> Option<&str> {
        self.answered.0.iter().find(|(other, _)| *other == key).map(|(_, answer)| &**answer)
    }

    /// A call with this key is answered so.
    pub fn note_answer(&mut self, key: CallKey, answer: &str) {
        self.answered.remember(key, answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_calls_are_remembered_and_long_answers_take_the_places_of_others() {
        let mut calls = AnsweredCalls::default();
        for number in 0..40 {
            calls.remember(CallKey(number), "{}");
        }
        assert_eq!((calls.0.len(), calls.0[0].0), (32, CallKey(8)));
        calls.remember(CallKey(40), &"x".repeat(4_000));
        calls.remember(CallKey(41), &"x".repeat(90));
        assert_eq!(calls.0[0].0, CallKey(37), "three short ones fit beside them");
        calls.remember(CallKey(42), &"x".repeat(5_000));
        assert_eq!(calls.0.iter().map(|(key, _)| key.0).collect::<Vec<_>>(), [42]);
    }
}
