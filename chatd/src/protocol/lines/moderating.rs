//! Lines of moderators. Pure: no I/O.

use super::super::{Command, ErrorCode, MAX_BAN, MAX_LINE};
use super::{after_word, parsed, words};

/// What the line of a member whose seat has a join token says, if it is KICK; as [`super::refresh`].
pub fn kick(line: &[u8]) -> Option<Result<Command<'_>, ErrorCode>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = words(after_word(line, b"KICK")?);
    let name = words.next().and_then(parsed).ok_or(ErrorCode::BadName);
    let ban_s = words.next().map(|word| {
        let seconds = parsed(word).filter(|seconds| (1..=MAX_BAN).contains(seconds));
        seconds.ok_or(ErrorCode::BadCommand)
    });
    Some(match name {
        _ if line.len() >= MAX_LINE => Err(ErrorCode::LineTooLong),
        Ok(name) => ban_s.transpose().map(|ban_s| Command::Kick { name, ban_s }),
        Err(code) => Err(code),
    })
}
