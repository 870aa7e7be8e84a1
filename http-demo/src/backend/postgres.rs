//! The check of Postgres. Does I/O.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};
use tokio_util::task::AbortOnDropHandle;

use super::{Away, Dialer as Dial, Keeper, Reason, milliseconds};
use crate::settings::PostgresSettings;

/// One round trip that needs no table and no right.
const QUERY: &str = "SELECT current_setting('server_version'), current_setting('transaction_read_only'), current_database(), current_user";

pub struct Dialer(pub PostgresSettings);

pub struct Connection {
    client: Client,
    _driver: AbortOnDropHandle<()>,
}

impl Dial for Dialer {
    type Client = Connection;
    // What is left of the time is for the query.
    const WAIT: Option<Duration> = Some(Duration::from_secs(1));

    fn server(&self) -> &str {
        &self.0.server
    }

    async fn dial(&self, stream: TcpStream, password: Option<&str>) -> Result<Connection, Reason> {
        let mut config = Config::new();
        config.user(&self.0.user).dbname(&self.0.database).application_name("http-demo");
        if let Some(password) = password {
            config.password(password);
        }
        let (client, driver) = config.connect_raw(stream, NoTls).await.map_err(|error| reason(&error))?;
        // How it ends is seen by the next query.
        let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(driver.await) }));
        Ok(Connection { client, _driver: driver })
    }
}

impl Keeper<Dialer> {
    /// Runs the query: what `/db` answers. A server that can only be read counts as away.
    pub async fn check(&self) -> Result<Value, Away> {
        self.ask(|mut kept| async move {
            let new_connection = !std::mem::replace(&mut kept.used, true);
            let asked = Instant::now();
            let messages = kept.client.client.simple_query(QUERY).await.map_err(|error| reason(&error))?;
            let latency_ms = milliseconds(asked.elapsed());
            let row = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            let column = |index| row.and_then(|row| row.try_get(index).ok().flatten()).ok_or(Reason::Failed);
            if column(1)? != "off" {
                return Err(Reason::ReadOnly);
            }
            Ok(json!({
                "server_version": column(0)?,
                "latency_ms": latency_ms,
                "database": column(2)?,
                "user": column(3)?,
                "new_connection": new_connection,
                "connections": self.connections(),
            }))
        })
        .await
    }
}

fn reason(error: &Error) -> Reason {
    let known = [
        (SqlState::INVALID_PASSWORD, Reason::Auth),
        (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, Reason::Auth),
        (SqlState::INSUFFICIENT_PRIVILEGE, Reason::Auth),
        (SqlState::INVALID_CATALOG_NAME, Reason::NoDatabase),
        (SqlState::TOO_MANY_CONNECTIONS, Reason::Full),
        (SqlState::CANNOT_CONNECT_NOW, Reason::Starting),
        (SqlState::ADMIN_SHUTDOWN, Reason::Closed),
        (SqlState::CRASH_SHUTDOWN, Reason::Closed),
        (SqlState::IDLE_SESSION_TIMEOUT, Reason::Closed),
        (SqlState::QUERY_CANCELED, Reason::Timeout),
        (SqlState::READ_ONLY_SQL_TRANSACTION, Reason::ReadOnly),
    ];
    if let Some(code) = error.code() {
        return known.iter().find(|(known, _)| known == code).map_or(Reason::Failed, |(_, reason)| *reason);
    }
    // The client's own errors have no kind that can be asked for; these texts are fixed, and a test holds them.
    match error.to_string().as_str() {
        "connection closed" | "error communicating with the server" => Reason::Closed,
        // No password where the server wants one, or a way to log in that needs more than a password.
        "invalid configuration" | "authentication error" => Reason::Auth,
        _ => Reason::Failed,
    }
}
