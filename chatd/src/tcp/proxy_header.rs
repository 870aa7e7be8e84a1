//! The PROXY protocol's header, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020). Pure: no I/O.
//!
//! The crate `ppp` reads whole headers. What is here is how much of a connection belongs to one, since nothing may be read of what follows:
//! `ppp` does not say that of version 1, and takes a line that ends before its last port for a wrong one.

use std::net::IpAddr;

use ppp::{v1, v2};

/// What to do with what has been read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read on, but not more bytes than this: so many belong to the header.
    More(usize),
    /// That is all of it. `None`: no client is named (LOCAL, UNKNOWN, a family that is not IP).
    Done(Option<IpAddr>),
}

/// The connection begins with something else, or with a header that breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header, version 1 or 2")]
pub struct NotAHeader;

const WORD: &[u8] = b"PROXY ";
/// The shortest header of version 1: `PROXY UNKNOWN` and its line end. One of version 2 is longer.
const SHORTEST: usize = 15;
/// The longest of version 1.
const LONGEST_LINE: usize = 107;
/// The fixed part of version 2: signature, command, family, length of the rest.
const FIXED: usize = 16;
/// Where version 2 has its version and command, before the family; and those of LOCAL.
const COMMAND: usize = 12;
const LOCAL: u8 = 0x20;
/// Addresses of version 2 and what else a proxy may add to them; far more than any adds.
const LONGEST_REST: usize = 2048;
/// The longest header.
pub const LONGEST: usize = FIXED + LONGEST_REST;

/// Judges the beginning of a connection.
pub fn parse(bytes: &[u8]) -> Result<Step, NotAHeader> {
    // The first bytes show whether this can become a header.
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    if !begins(WORD) && !begins(v2::PROTOCOL_PREFIX) {
        return Err(NotAHeader);
    }
    if bytes.len() < SHORTEST {
        return Ok(Step::More(SHORTEST - bytes.len()));
    }
    if bytes.starts_with(WORD) { line(bytes) } else { binary(bytes) }
}

fn line(bytes: &[u8]) -> Result<Step, NotAHeader> {
    if !bytes.ends_with(b"\r\n") {
        return if bytes.len() < LONGEST_LINE { Ok(Step::More(1)) } else { Err(NotAHeader) };
    }
    let client = match v1::Header::try_from(bytes).map_err(|_| NotAHeader)?.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(IpAddr::from(addresses.source_address).to_canonical()),
        v1::Addresses::Unknown => None,
    };
    Ok(Step::Done(client))
}

fn binary(bytes: &[u8]) -> Result<Step, NotAHeader> {
    let mut header = bytes.to_vec();
    // LOCAL, the proxy's own connection (a health check), says nothing by its family, which `ppp` judges all the same.
    if header.get(COMMAND) == Some(&LOCAL) {
        header.iter_mut().skip(COMMAND + 1).take(1).for_each(|family| *family = 0);
    }
    let header = match v2::Header::try_from(header.as_slice()) {
        Ok(header) if header.length() <= LONGEST_REST => header,
        Err(v2::ParseError::Incomplete(read)) => return Ok(Step::More(FIXED - read)),
        Err(v2::ParseError::Partial(read, length)) if length <= LONGEST_REST => return Ok(Step::More(length - read)),
        _ => return Err(NotAHeader),
    };
    let client = match header.addresses {
        _ if header.protocol != v2::Protocol::Stream => None,
        v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::IPv6(addresses) => Some(IpAddr::from(addresses.source_address).to_canonical()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    };
    Ok(Step::Done(client))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads from `bytes` as a socket that gives at most `most` at once would. Also what was left unread.
    fn read(bytes: &[u8], most: usize) -> (Result<Option<IpAddr>, NotAHeader>, &[u8]) {
        let mut end = 0;
        loop {
            match parse(&bytes[..end]) {
                Ok(Step::More(count)) if end == bytes.len() => {
                    assert!(count > 0);
                    return (Err(NotAHeader), &[]);
                }
                Ok(Step::More(count)) => end = (end + count.clamp(1, most)).min(bytes.len()),
                Ok(Step::Done(address)) => return (Ok(address), &bytes[end..]),
                Err(error) => return (Err(error), &bytes[end..]),
            }
        }
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    #[test]
    fn headers_name_the_client() {
        let v4 = Some("192.0.2.1".parse().unwrap());
        let v6 = Some("2001:db8::1".parse().unwrap());
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        six[15] = 1;
        let table = [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 7654\r\n".to_vec(), v4),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 7654\r\n".to_vec(), v6),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 7654\r\n".to_vec(), v4),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ::1 ::1 1 1\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &[192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7]), v4),
            (version_2(0x21, 0x21, &six), v6),
            (version_2(0x20, 0x11, &[1; 12]), None),
            (version_2(0x20, 0, &[]), None),
            (version_2(0x20, 0x11, &[]), None),
            (version_2(0x20, 0x99, &[7; 20]), None),
            (version_2(0x21, 0x12, &[1; 12]), None),
            (version_2(0x21, 0x31, &[1; 216]), None),
        ];
        for (header, address) in table {
            for most in [1, 3, 1000] {
                let whole = [&header[..], b"PING\n"].concat();
                assert_eq!(read(&whole, most), (Ok(address), &b"PING\n"[..]), "{header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107));
        let table: [&[u8]; 13] = [
            b"PING\n",
            b"PROXY\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 7654 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n",
            b"PROXY TCP4 ::1 ::1 4711 7654\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 4711 7654\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 4711 7654\r\n",
            long.as_bytes(),
            &version_2(0x11, 0x11, &[1; 12]),
            &version_2(0x22, 0x11, &[1; 12]),
            &version_2(0x21, 0x11, &[1; 11]),
            &version_2(0x21, 0x21, &[1; 2100]),
        ];
        for bytes in table {
            assert_eq!(read(bytes, 1000).0, Err(NotAHeader), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_reading_ends(start in 0_usize..3, rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let start: &[u8] = [&b""[..], WORD, v2::PROTOCOL_PREFIX][start];
            let bytes = [start, &rest].concat();
            let _ = read(&bytes, 1000);
        }
    }
}
