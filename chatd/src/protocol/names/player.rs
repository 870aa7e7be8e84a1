//! Names of players: shown as normalised, compared without case, and told apart from those that look the same. Pure: no I/O.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{NameError, profile};

/// The most bytes of a name.
const MOST: usize = 64;
/// Stands before what the application speaks as. No player's name contains it.
const SYSTEM: u8 = b'*';

/// A player's name (docs/protocol.md, Names, rooms and text): as it is shown, equal whatever its case. A value of 65 bytes, which goes by
/// everywhere; what is kept for long is a [`super::KeptName`].
#[derive(Clone, Copy)]
pub struct PlayerName {
    length: u8,
    bytes: [u8; MOST],
}

impl PlayerName {
    /// The name in `text`, which is one.
    pub(super) fn holding(text: &[u8]) -> Self {
        let mut bytes = [0; MOST];
        bytes[..text.len()].copy_from_slice(text);
        Self { length: text.len() as u8, bytes }
    }

    /// Whom the application speaks as: `*`, or `*` before a name that it chooses, which no player has.
    ///
    /// # Errors
    ///
    /// Neither empty nor a name.
    pub fn system(name: &str) -> Result<Self, NameError> {
        let shown = if name.is_empty() { String::new() } else { name.parse::<Self>()?.to_string() };
        let mut system = Self { length: 1, bytes: [0; MOST] };
        system.bytes[0] = SYSTEM;
        let rest = system.bytes[1..].get_mut(..shown.len()).ok_or(NameError::Player)?;
        rest.copy_from_slice(shown.as_bytes());
        system.length += shown.len() as u8;
        Ok(system)
    }

    /// Whether the application speaks: then this is the name that it chose, or `*`.
    pub fn as_system(&self) -> Option<&str> {
        let name = self.as_str().strip_prefix(char::from(SYSTEM))?;
        Some(if name.is_empty() { self.as_str() } else { name })
    }

    /// As it is shown; names are compared without regard to case.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The form by which names are equal: without case, as RFC 8265 section 3.3.2 has it. Of an ASCII name it is the name in lower case.
    pub fn compared(&self) -> String {
        if self.as_bytes().is_ascii() {
            return self.as_str().to_ascii_lowercase();
        }
        profile::without_case(self.as_str())
    }

    /// Whether people could take the two for each other: they are equal, or look the same in another script (Unicode TS 39), as written or
    /// without case. Two ASCII names look the same only where they are equal: all can tell and type these.
    pub fn resembles(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        if self.as_bytes().is_ascii() && other.as_bytes().is_ascii() {
            return false;
        }
        let look_alike = |one: Cow<'_, str>, two: Cow<'_, str>| {
            unicode_security::skeleton(&one).eq(unicode_security::skeleton(&two))
        };
        look_alike(self.as_str().into(), other.as_str().into())
            || look_alike(self.compared().into(), other.compared().into())
    }

    /// Whether pods read it that know none but names of letters, digits, `_` and `-` in ASCII, up to 24 of them.
    pub fn is_plain(&self) -> bool {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        self.as_bytes().iter().all(plain)
    }
}

impl FromStr for PlayerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = if text.is_ascii() {
            profile::is_ascii_name(text).then_some(Cow::Borrowed(text))
        } else {
            profile::enforce(text).map(Cow::Owned)
        };
        let name = name.filter(|name| name.len() <= MOST).ok_or(NameError::Player)?;
        Ok(Self::holding(name.as_bytes()))
    }
}

impl PartialEq for PlayerName {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.as_bytes(), other.as_bytes());
        match (one.is_ascii(), two.is_ascii()) {
            (true, true) => one.eq_ignore_ascii_case(two),
            (false, false) => one == two || self.compared() == other.compared(),
            // Without case neither becomes ASCII that was not.
            _ => false,
        }
    }
}

impl Eq for PlayerName {}

impl fmt::Debug for PlayerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
