//! What join tokens say of players for others to see: as a room has it, and its record. Pure: no I/O.

use serde::{Deserialize, Serialize};

use crate::protocol::{Profile, SeatId, check_presence, text};

/// The most bytes of `display`.
const MAX_DISPLAY: usize = 64;
/// What all of one room take at most, as the record has them: with 64 players, 64 viewers and all else it stays below
/// [`crate::record::MAX_RECORD`].
const MOST: usize = 18 * 1024;
/// What one takes besides its texts.
const OVERHEAD: usize = 64;

/// Of one seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SeatProfile {
    seat: SeatId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    info: Option<Box<str>>,
}

impl SeatProfile {
    /// Bytes in the record, where a quotation mark takes one more, and a control character is in neither text.
    fn size(&self) -> usize {
        let length = |text: &Option<Box<str>>| {
            let text = text.as_deref().unwrap_or_default();
            text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
        };
        OVERHEAD + length(&self.display) + length(&self.info)
    }
}

/// All of one room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profiles(Vec<SeatProfile>);

impl Profiles {
    /// Whether nothing is said of anybody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said of who has this seat.
    pub fn of(&self, seat: SeatId) -> Option<Profile> {
        let found = self.0.iter().find(|found| found.seat == seat)?;
        Some(Profile { display: found.display.clone(), info: found.info.clone() })
    }

    /// This is said of who has the seat, from now on. What has no place in the record is left out: `info` first. Returns whether the record
    /// has to follow.
    pub fn set(&mut self, seat: SeatId, profile: Option<&Profile>) -> bool {
        let index = self.0.iter().position(|found| found.seat == seat);
        let before = index.map(|index| self.0.remove(index));
        let after = profile.and_then(|profile| {
            let whole = SeatProfile { seat, display: profile.display.clone(), info: profile.info.clone() };
            let short = SeatProfile { info: None, ..whole.clone() };
            let left = MOST.saturating_sub(self.0.iter().map(SeatProfile::size).sum());
            let says = |it: &SeatProfile| it.display.is_some() || it.info.is_some();
            [whole, short].into_iter().find(|it| says(it) && it.size() <= left)
        });
        let is_new = before != after;
        self.0.extend(after);
        is_new
    }

    /// Only what is said of these seats.
    pub fn retain(&mut self, mut is_there: impl FnMut(SeatId) -> bool) {
        self.0.retain(|found| is_there(found.seat));
    }

    /// As another pod may have written them: without what no token says.
    #[must_use]
    pub fn checked(mut self) -> Self {
        let is_display = |display: &str| {
            display.len() <= MAX_DISPLAY
                && !display.contains(char::is_control)
                && text::clean_str(display).as_deref() == Ok(display)
        };
        self.0.retain(|found| {
            found.display.as_deref().is_none_or(is_display)
                && found.info.as_deref().is_none_or(|info| check_presence(info).is_ok())
        });
        while self.0.iter().map(SeatProfile::size).sum::<usize>() > MOST {
            self.0.pop();
        }
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn profile(display: &str, info: &str) -> Profile {
        Profile { display: Some(display.into()), info: Some(info.into()) }
    }

    #[test]
    fn all_of_a_room_fit_into_its_record() {
        let mut profiles = Profiles::default();
        let most = profile(&"\"".repeat(64), &format!("[{}]", vec!["\"\\\\\""; 102].join(",")));
        for seat in 0..128 {
            profiles.set(SeatId(seat), Some(&most));
        }
        let bytes = serde_json::to_vec(&profiles).unwrap();
        assert!(bytes.len() <= MOST && profiles.of(SeatId(0)) == Some(most.clone()), "{}", bytes.len());
        assert_eq!(profiles.of(SeatId(127)), None);
        assert_eq!(serde_json::from_slice::<Profiles>(&bytes).unwrap().checked(), profiles);
        assert!(profiles.set(SeatId(0), None) && profiles.of(SeatId(0)).is_none());
        assert!(profiles.set(SeatId(127), Some(&most)) && !profiles.set(SeatId(127), Some(&most)));
    }

    #[test]
    fn what_no_token_says_is_not_told() {
        let text = r#"[{"seat":"0000000000000001","display":"a\nb"},{"seat":"0000000000000002","info":"1}"},{"seat":"0000000000000003","display":"Ana"}]"#;
        let profiles = serde_json::from_str::<Profiles>(text).unwrap().checked();
        assert_eq!(profiles.0.len(), 1);
        assert_eq!(profiles.of(SeatId(3)).unwrap().display.as_deref(), Some("Ana"));
    }
}
