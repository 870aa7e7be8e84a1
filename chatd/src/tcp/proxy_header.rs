//! The PROXY protocol's header, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020). Pure: no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What to do with what has been read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Read exactly so many bytes more: they belong to the header.
    More(usize),
    /// That is all of it. `None`: no client is named (LOCAL, UNKNOWN, a family that is not IP).
    Done(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header, version 1 or 2")]
pub(super) struct NotAHeader;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const WORD: &[u8; 6] = b"PROXY ";
/// The shortest header of version 1: `PROXY UNKNOWN` and its line end. One of version 2 is longer.
const SHORTEST: usize = 15;
/// The longest of version 1.
const LONGEST_LINE: usize = 107;
/// The fixed part of version 2.
const FIXED: usize = 16;
/// Addresses of version 2 and what else a proxy may add to them; far more than any adds.
const LONGEST_REST: usize = 2048;

/// Judges the beginning of a connection.
pub(super) fn parse(bytes: &[u8]) -> Result<Step, NotAHeader> {
    // What cannot become a header is told apart by its first bytes.
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    if !begins(WORD) && !begins(SIGNATURE) {
        return Err(NotAHeader);
    }
    if bytes.is_empty() {
        // A client that waits to be spoken to is told apart from a proxy by its first byte.
        return Ok(Step::More(1));
    }
    if bytes.len() < SHORTEST {
        return Ok(Step::More(SHORTEST - bytes.len()));
    }
    if bytes.starts_with(WORD) { line(bytes) } else { binary(bytes) }
}

fn line(bytes: &[u8]) -> Result<Step, NotAHeader> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Ok(Step::More(1)) } else { Err(NotAHeader) };
    };
    let line = std::str::from_utf8(line).map_err(|_| NotAHeader)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(NotAHeader)?;
    if family == "UNKNOWN" {
        return Ok(Step::Done(None));
    }
    let (Some(source), Some(_), Some(from), Some(to), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(NotAHeader);
    };
    let ports = from.parse::<u16>().and(to.parse::<u16>());
    let address: IpAddr = source.parse().map_err(|_| NotAHeader)?;
    match (family, address, ports) {
        ("TCP4", IpAddr::V4(_), Ok(_)) | ("TCP6", IpAddr::V6(_), Ok(_)) => Ok(Step::Done(Some(address.to_canonical()))),
        _ => Err(NotAHeader),
    }
}

fn binary(bytes: &[u8]) -> Result<Step, NotAHeader> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Step::More(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length > LONGEST_REST {
        return Err(NotAHeader);
    }
    if rest.len() < length {
        return Ok(Step::More(length - rest.len()));
    }
    // The low half: 0 is LOCAL (the proxy's own connection, a health check), 1 is PROXY. The families: over TCP, IPv4 and IPv6.
    match (command & 15, family) {
        (0, _) => Ok(Step::Done(None)),
        (1, 0x11) if length >= 12 => {
            let source = rest.first_chunk::<4>().ok_or(NotAHeader)?;
            Ok(Step::Done(Some(Ipv4Addr::from(*source).into())))
        }
        (1, 0x21) if length >= 36 => {
            let source = rest.first_chunk::<16>().ok_or(NotAHeader)?;
            Ok(Step::Done(Some(IpAddr::from(Ipv6Addr::from(*source)).to_canonical())))
        }
        (1, 0x11 | 0x21) => Err(NotAHeader),
        (1, _) => Ok(Step::Done(None)),
        _ => Err(NotAHeader),
    }
}
