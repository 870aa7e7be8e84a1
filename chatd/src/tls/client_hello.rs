//! Waits until a client's first record is whole. Does I/O: looks at its socket, and takes nothing from it.
//!
//! Until then a client costs what a silent one does, and stands in nobody's way.

use std::io::{self, ErrorKind};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The type of a TLS connection's first record, which is its first byte (RFC 8446 section 5.1).
pub const HANDSHAKE: u8 = 0x16;
/// Type, version and length.
const HEADER: usize = 5;
/// Of a longer record so much is enough. A ClientHello of today has 2 KB at most.
const MOST: usize = 4 * 1024;

/// `UnexpectedEof`: the client has ended its input before.
pub(super) async fn arrives(stream: &TcpStream) -> io::Result<()> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        // Before the bytes are looked at, so that none can come unnoticed.
        match stream.try_io(Interest::READABLE, || look(stream)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && ready.is_read_closed() => {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// `WouldBlock`: more has to come.
fn look(stream: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; MOST];
    let (_, count) = rustix::io::retry_on_intr(|| recv(stream, &mut bytes, RecvFlags::PEEK))?;
    match bytes.get(..count) {
        Some([]) => Err(ErrorKind::UnexpectedEof.into()),
        Some(bytes) if !is_enough(bytes) => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// Whether TLS can judge what has come.
fn is_enough(bytes: &[u8]) -> bool {
    match bytes {
        [HANDSHAKE, _, _, high, low, rest @ ..] => {
            rest.len() >= usize::from(u16::from_be_bytes([*high, *low])).min(MOST - HEADER)
        }
        [first, ..] => *first != HANDSHAKE,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_awaited_and_what_is_none_is_not() {
        let hello = [&[HANDSHAKE, 3, 1, 0, 200][..], &[1; 200]].concat();
        for count in 0..hello.len() {
            assert!(!is_enough(&hello[..count]), "{count}");
        }
        assert!(is_enough(&hello));
        assert!(is_enough(b"G") && is_enough(b"GET / HTTP/1.1"));
        let long = [&[HANDSHAKE, 3, 1, 0xff, 0xff][..], &[1; MOST]].concat();
        assert!(is_enough(&long[..MOST]) && !is_enough(&long[..MOST - 1]));
    }
}
