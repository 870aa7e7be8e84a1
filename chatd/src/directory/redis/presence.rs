//! Whether a Redis server has a connection: what it says of its clients. Pure: no I/O.
//!
//! A connection counts only where nothing stands between: a proxy has connections of its own, and numbers them as it likes. It is the
//! client's own if the server has it from the very address that the client's socket has (docs/decisions/0014).

use std::net::SocketAddr;

use redis::{Cmd, Value, cmd};

use crate::directory::DirectoryConnection;

pub fn ask_id() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("ID");
    command
}

pub fn ask_client(id: u64) -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("LIST").arg("ID").arg(id);
    command
}

pub fn ask_run() -> Cmd {
    let mut command = cmd("INFO");
    command.arg("server");
    command
}

/// The reply to [`ask_id`].
pub fn id(reply: &Value) -> Option<u64> {
    if let Value::Int(id) = reply { u64::try_from(*id).ok() } else { None }
}

/// What the replies to the three questions say of a connection whose socket is at `local`.
pub fn connection(local: SocketAddr, client: u64, listed: &Value, info: &Value) -> Option<DirectoryConnection> {
    let line = clients(listed)?.into_iter().find(|(listed, _)| *listed == client)?.1;
    let address: SocketAddr = field(line, "addr=")?.parse().ok()?;
    let is_direct = address.port() == local.port() && address.ip().to_canonical() == local.ip().to_canonical();
    let run = text(info)?.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim();
    (is_direct && !run.is_empty()).then(|| DirectoryConnection { run: run.to_owned(), client })
}

/// Whether the reply to [`ask_client`] names the client; `None`: it is not a list of clients.
pub fn is_listed(reply: &Value, client: u64) -> Option<bool> {
    Some(clients(reply)?.iter().any(|(listed, _)| *listed == client))
}

/// The lines of a list of clients, by their ids.
fn clients(reply: &Value) -> Option<Vec<(u64, &str)>> {
    let lines = text(reply)?.lines().filter(|line| !line.is_empty());
    lines.map(|line| Some((field(line, "id=")?.parse().ok()?, line))).collect()
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|field| field.strip_prefix(name))
}

fn text(reply: &Value) -> Option<&str> {
    match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_connection_counts_only_where_the_server_sees_its_own_socket() {
        let info = text("# Server\r\nredis_version:7.0.15\r\nrun_id:bf5d8c\r\ntcp_port:6379\r\n");
        let list = |addr: &str| text(&format!("id=3 addr={addr} laddr=10.0.0.1:6379 fd=8 name= cmd=client|list\n"));
        let local: SocketAddr = "10.0.0.9:40000".parse().unwrap();
        let of = |list: &Value, info: &Value| connection(local, 3, list, info);
        let expected = DirectoryConnection { run: "bf5d8c".into(), client: 3 };
        assert_eq!(of(&list("10.0.0.9:40000"), &info), Some(expected.clone()));
        assert_eq!(of(&list("[::ffff:10.0.0.9]:40000"), &info), Some(expected));
        for wrong in ["10.0.0.9:40001", "10.0.0.8:40000", "/run/redis.sock:0", ""] {
            assert_eq!(of(&list(wrong), &info), None, "{wrong}");
        }
        assert_eq!(connection(local, 4, &list("10.0.0.9:40000"), &info), None, "another client");
        assert_eq!(of(&list("10.0.0.9:40000"), &text("# Server\r\n")), None);
        assert_eq!(of(&Value::Nil, &info), None);
    }

    #[test]
    fn only_a_list_of_clients_says_that_one_is_gone() {
        assert_eq!(is_listed(&text("id=3 addr=h:1\n"), 3), Some(true));
        assert_eq!(is_listed(&text(""), 3), Some(false));
        assert_eq!(is_listed(&text("id=33 addr=h:1\nid=4 addr=h:2\n"), 3), Some(false));
        for other in [text("nothing"), text("id=x"), Value::Nil, Value::Okay, Value::Int(3)] {
            assert_eq!(is_listed(&other, 3), None, "{other:?}");
        }
        assert_eq!((id(&Value::Int(7)), id(&Value::Int(-1)), id(&text("7"))), (Some(7), None, None));
    }
}
