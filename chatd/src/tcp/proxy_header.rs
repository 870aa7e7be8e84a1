//! The PROXY protocol's header, versions 1 and 2 (haproxy.org, "The PROXY protocol", 2020). Pure: no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What to do with what has been read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read on, but not more bytes than this: so many belong to the header.
    More(usize),
    /// That is all of it. `None`: no client is named (LOCAL, UNKNOWN, a family that is not IP).
    Done(Option<IpAddr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header, version 1 or 2")]
pub struct NotAHeader;

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
/// The longest header.
pub const LONGEST: usize = FIXED + LONGEST_REST;

/// Judges the beginning of a connection.
pub fn parse(bytes: &[u8]) -> Result<Step, NotAHeader> {
    // What cannot become a header is told apart by its first bytes.
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    if !begins(WORD) && !begins(SIGNATURE) {
        return Err(NotAHeader);
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
        (1, 0x11) if length >= 12 => {
            let source = rest.first_chunk::<4>().ok_or(NotAHeader)?;
            Ok(Step::Done(Some(Ipv4Addr::from(*source).into())))
        }
        (1, 0x21) if length >= 36 => {
            let source = rest.first_chunk::<16>().ok_or(NotAHeader)?;
            Ok(Step::Done(Some(IpAddr::from(Ipv6Addr::from(*source)).to_canonical())))
        }
        (1, 0x11 | 0x21) => Err(NotAHeader),
        (0 | 1, _) => Ok(Step::Done(None)),
        _ => Err(NotAHeader),
    }
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
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
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
            let start: &[u8] = [&b""[..], WORD, SIGNATURE][start];
            let bytes = [start, &rest].concat();
            let _ = read(&bytes, 1000);
        }
    }
}
