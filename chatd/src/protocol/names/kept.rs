//! A player's name as rooms keep it, in seats and in what is told again: of these there are many, and most names are short. Pure: no I/O.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::PlayerName;

/// The most bytes of a short name. With them the value is as large as one that points to a long name has to be anyway.
const SHORT: usize = 22;

#[derive(Clone)]
enum Form {
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    /// All that keep one name share it: a clone takes no memory.
    Long(Arc<str>),
}

/// See the module's documentation.
#[derive(Clone)]
pub struct KeptName(Form);

impl KeptName {
    /// The name, as a value.
    pub fn get(&self) -> PlayerName {
        PlayerName::holding(self.as_bytes())
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(name) => name.as_bytes(),
        }
    }

    /// The name as one of `others` keeps it, if it is long and one does: then it takes no memory.
    pub fn shared<'a>(name: PlayerName, mut others: impl Iterator<Item = &'a Self>) -> Self {
        let is_same = |other: &&Self| other.as_bytes() == name.as_bytes();
        let is_long = name.as_bytes().len() > SHORT;
        is_long.then(|| others.find(is_same)).flatten().cloned().unwrap_or_else(|| name.into())
    }
}

impl From<PlayerName> for KeptName {
    fn from(name: PlayerName) -> Self {
        let text = name.as_bytes();
        let mut bytes = [0; SHORT];
        Self(match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                Form::Short { length: text.len() as u8, bytes }
            }
            None => Form::Long(name.as_str().into()),
        })
    }
}

/// As players' names are equal: whatever their case.
impl PartialEq for KeptName {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for KeptName {}

impl PartialEq<PlayerName> for KeptName {
    fn eq(&self, other: &PlayerName) -> bool {
        self.get() == *other
    }
}

impl fmt::Debug for KeptName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for KeptName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for KeptName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeptName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PlayerName::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_it_was_given_and_shares_what_is_long() {
        let names = ["a", "Ana-Lucia.the_22nd_one", "Ana-Lucia.the_23rd__one", &"花".repeat(20)];
        for (index, name) in names.into_iter().enumerate() {
            let name: PlayerName = name.parse().unwrap();
            let kept = KeptName::from(name);
            assert_eq!((kept.as_str(), kept.get().as_str()), (name.as_str(), name.as_str()));
            assert_eq!(kept, name);
            assert_eq!(matches!(kept.0, Form::Long(_)), index >= 2, "{name}");
            let others = [KeptName::from("bob".parse::<PlayerName>().unwrap()), kept.clone()];
            let again = KeptName::shared(name, others.iter());
            assert_eq!(again.as_str(), name.as_str());
            if let (Form::Long(one), Form::Long(two)) = (&kept.0, &again.0) {
                assert!(Arc::ptr_eq(one, two), "{name}");
            }
            assert_eq!(KeptName::shared(name, [].iter()).as_str(), name.as_str());
        }
        let [lower, upper] = ["an-a.the_23rd_or_24th_x", "AN-A.the_23rd_or_24th_x"]
            .map(|name| KeptName::from(name.parse::<PlayerName>().unwrap()));
        assert_eq!(lower, upper);
        let other = KeptName::shared(upper.get(), [lower].iter());
        assert_eq!(other.as_str(), upper.as_str(), "as its player writes it");
        assert_eq!(size_of::<KeptName>(), 24);
    }
}
