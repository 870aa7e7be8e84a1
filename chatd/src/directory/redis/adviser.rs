//! Discovers masters through Sentinels or the nodes of a cluster. Does I/O.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Value, cmd};
use tokio::time::{Instant, sleep, timeout};

use super::dial::{self, Dialer, Dialled, Purpose};
use super::failure::Failure;
use super::url::Address;
use crate::directory::{ANSWER_TIME, NoAnswer};

/// Several servers of which any may answer.
#[derive(Debug)]
pub struct Adviser {
    dialer: Arc<Dialer>,
    purpose: Purpose,
    /// Those of the URL.
    named: Vec<Address>,
    /// Those that the named ones have told of.
    found: Vec<Address>,
    current: Option<Current>,
}

/// Who answered last.
#[derive(Debug)]
struct Current {
    address: Address,
    dialled: Dialled,
    /// After this time the names of the URL may lead elsewhere.
    until: Instant,
}

/// How many servers are asked at once.
const MOST_ASKED: usize = 16;
/// The servers of the URL are asked this much before the others, and are waited for so long behind them.
const HEAD_START: Duration = Duration::from_millis(250);

impl Adviser {
    pub fn new(dialer: Arc<Dialer>, purpose: Purpose, named: Vec<Address>) -> Self {
        Self { dialer, purpose, named, found: Vec::new(), current: None }
    }

    /// Whom else to ask from now on, where those of the URL do not answer.
    pub fn set_found(&mut self, found: Vec<Address>) {
        self.found = found;
    }

    /// Asks who answered last, and after a while the servers of the URL again, whose names are looked up then: they may have moved
    /// while who answered last lives on. Says who it was. Takes at most twice [`ANSWER_TIME`].
    pub async fn ask(&mut self, command: &Cmd) -> Result<(Address, Value), Failure> {
        let is_fresh = self.current.as_ref().is_some_and(|current| Instant::now() < current.until);
        if is_fresh && let Some(answer) = self.ask_current(command).await {
            return Ok(answer);
        }
        let until = Instant::now() + self.dialer.names().every();
        match self.ask_all(command).await {
            Ok((address, dialled, value)) => {
                self.current = Some(Current { address: address.clone(), dialled, until });
                Ok((address, value))
            }
            Err(failure) => self.ask_current(command).await.ok_or(failure),
        }
    }

    async fn ask_current(&mut self, command: &Cmd) -> Option<(Address, Value)> {
        let mut current = self.current.take()?;
        let reply = timeout(ANSWER_TIME / 2, dial::send(&mut current.dialled.connection, command)).await;
        let value = reply.ok()?.ok()?;
        let address = current.address.clone();
        self.current = Some(current);
        Some((address, value))
    }

    async fn ask_all(&self, command: &Cmd) -> Result<(Address, Dialled, Value), Failure> {
        let named = self.first_of(&self.named, command);
        if self.found.is_empty() {
            return named.await;
        }
        let found = async {
            sleep(HEAD_START).await;
            self.first_of(&self.found, command).await
        };
        tokio::pin!(named, found);
        tokio::select! {
            biased;
            answer = &mut named => match answer {
                Err(failure) => found.await.map_err(|_| failure),
                answer => answer,
            },
            answer = &mut found => match (answer, timeout(HEAD_START, &mut named).await) {
                // The one of the URL, if it came in time.
                (_, Ok(Ok(answer))) | (Ok(answer), _) => Ok(answer),
                (Err(_), Ok(Err(failure))) => Err(failure),
                (Err(_), Err(_)) => named.await,
            },
        }
    }

    /// Asks all of `addresses` at once.
    async fn first_of(&self, addresses: &[Address], command: &Cmd) -> Result<(Address, Dialled, Value), Failure> {
        let mut attempts: FuturesUnordered<_> = addresses
            .iter()
            .take(MOST_ASKED)
            .enumerate()
            .map(|(place, address)| async move { (place, address.clone(), self.first_answer(address, command).await) })
            .collect();
        // Of several failures the first in the list is reported, so that the same fault has the same message.
        let mut first: Option<(usize, Failure)> = None;
        while let Some((place, address, outcome)) = attempts.next().await {
            match outcome {
                Ok((dialled, value)) => return Ok((address, dialled, value)),
                Err(failure) if first.as_ref().is_none_or(|(earlier, _)| place < *earlier) => {
                    first = Some((place, failure));
                }
                Err(_) => {}
            }
        }
        Err(first.map_or(NoAnswer::Refused.into(), |(_, failure)| failure))
    }

    async fn first_answer(&self, address: &Address, command: &Cmd) -> Result<(Dialled, Value), Failure> {
        let answer = async {
            let mut dialled = self.dialer.dial(address, self.purpose).await?;
            let value = dial::send(&mut dialled.connection, command)
                .await
                .map_err(|complaint| dial::failure(complaint).at(address))?;
            Ok((dialled, value))
        };
        timeout(ANSWER_TIME, answer).await.unwrap_or(Err(NoAnswer::Timeout.into()))
    }
}

/// The address of `master`, from the Sentinels.
pub async fn master_address(sentinels: &mut Adviser, master: &str) -> Result<Address, Failure> {
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let (sentinel, reply) = sentinels.ask(&command).await?;
    let address = match reply {
        Value::Array(parts) => match &parts[..] {
            [Value::BulkString(host), Value::BulkString(port)] => {
                text(host).zip(text(port).and_then(|port| port.parse().ok()))
            }
            _ => None,
        },
        _ => None,
    };
    if let Some((host, port)) = address {
        return Ok(Address { host, port });
    }
    Err(Failure::new(NoAnswer::ReadOnly, &format!("the Sentinel does not monitor a master named {master}"))
        .at(&sentinel))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}
