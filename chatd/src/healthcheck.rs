//! `chatd healthcheck`: queries the admin port of a chatd on this machine. Does blocking network I/O, for 2 s at most.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::settings::Healthcheck;

/// The whole check takes at most this long.
pub const BOUND: Duration = Duration::from_secs(2);

/// Why a check failed. `chatd healthcheck` prints it and exits with 1.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum Unhealthy {
    #[error("cannot connect to {0}: is chatd running, with this --admin-listen?")]
    NoConnection(SocketAddr),
    #[error("no answer from {0} within 2 s")]
    NoAnswer(SocketAddr),
    #[error("{path} answers {status}")]
    Status { path: &'static str, status: String },
}

/// Asks /readyz, or /livez.
pub fn ask(check: &Healthcheck) -> Result<(), Unhealthy> {
    let deadline = Instant::now() + BOUND;
    // A chatd that listens on every address is reached by loopback.
    let address = match check.admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), check.admin.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), check.admin.port()),
        _ => check.admin,
    };
    let path = if check.live { "/livez" } else { "/readyz" };
    let mut stream = TcpStream::connect_timeout(&address, BOUND).map_err(|_| Unhealthy::NoConnection(address))?;
    let status = exchange(&mut stream, address, path, deadline).ok_or(Unhealthy::NoAnswer(address))?;
    if status == "200" { Ok(()) } else { Err(Unhealthy::Status { path, status }) }
}

/// The three digits of the answer's status; `None` without a whole status line by `deadline`.
fn exchange(stream: &mut TcpStream, address: SocketAddr, path: &str, deadline: Instant) -> Option<String> {
    let left = || deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    stream.set_write_timeout(Some(left()?)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    // "HTTP/1.1 200" is all that counts.
    let mut answer = [0; 12];
    let mut length = 0;
    while length < answer.len() {
        stream.set_read_timeout(Some(left()?)).ok()?;
        match stream.read(&mut answer[length..]).ok()? {
            0 => return None,
            count => length += count,
        }
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    status.iter().all(u8::is_ascii_digit).then(|| String::from_utf8_lossy(status).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A listener that answers one request with `answer` (nothing: holds the connection) and gives back the request's line.
    fn listener(answer: &'static [u8]) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            // One byte at a time: answers come in pieces. Who asks may have seen enough before the end.
            let _ = answer.iter().try_for_each(|byte| stream.write_all(&[*byte]));
            if answer.is_empty() {
                let _ = stream.read(&mut byte);
            }
            String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
        });
        (address, thread)
    }

    #[test]
    fn only_200_is_healthy() {
        let (admin, server) = listener(b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(ask(&Healthcheck { admin, live: false }).is_ok());
        assert_eq!(server.join().unwrap(), "GET /readyz HTTP/1.1");

        let (admin, server) = listener(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        let error = ask(&Healthcheck { admin, live: true }).unwrap_err().to_string();
        assert_eq!((server.join().unwrap().as_str(), error.as_str()), ("GET /livez HTTP/1.1", "/livez answers 503"));

        for other in [b"SSH-2.0-OpenSSH".as_slice(), b"HTTP/1.1 2", b"HTTP/1.1 2x0 hm"] {
            let (admin, server) = listener(other);
            assert!(matches!(ask(&Healthcheck { admin, live: false }), Err(Unhealthy::NoAnswer(_))));
            server.join().unwrap();
        }
    }

    #[test]
    fn a_wildcard_is_asked_by_loopback() {
        let (admin, server) = listener(b"HTTP/1.1 200 OK\r\n\r\n");
        let admin = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), admin.port());
        assert!(ask(&Healthcheck { admin, live: false }).is_ok());
        server.join().unwrap();
    }

    #[test]
    fn nobody_there_and_silence_are_unhealthy() {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(ask(&Healthcheck { admin, live: false }), Err(Unhealthy::NoConnection(_))));

        let (admin, server) = listener(b"");
        let started = Instant::now();
        assert!(matches!(ask(&Healthcheck { admin, live: false }), Err(Unhealthy::NoAnswer(_))));
        assert!(started.elapsed() < BOUND * 2, "{:?}", started.elapsed());
        server.join().unwrap();
    }
}
