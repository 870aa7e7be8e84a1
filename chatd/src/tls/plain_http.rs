//! What a client that speaks HTTP in plaintext to a port of TLS is answered. Does I/O on its socket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// From the request's first byte to the end of the connection.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const SENTENCE: &str = "This port speaks TLS: use https:// or wss:// instead of http:// or ws://.\n";

/// Whether the first byte, awaited until `deadline`, is a method's: TLS begins with the type of a record, 0x16.
pub(super) async fn begins(stream: &TcpStream, deadline: Instant) -> bool {
    let mut first = [0];
    matches!(timeout_at(deadline, stream.peek(&mut first)).await, Ok(Ok(1..))) && first[0].is_ascii_uppercase()
}

/// Answers with status 400, and closes.
pub(super) async fn refuse(stream: TcpStream) {
    // How it ends is the client's affair.
    let _ = timeout(REFUSAL_TIME, answer(stream)).await;
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let length = SENTENCE.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{SENTENCE}").as_bytes()).await?;
    stream.shutdown().await?;
    // Unread input would reset the connection, and the answer would be lost.
    let mut forgotten = [0; 1024];
    while stream.read(&mut forgotten).await? > 0 {}
    Ok(())
}
