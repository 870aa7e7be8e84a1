//! Asks those who know where the masters are: Sentinels, or the nodes of a cluster. Does I/O.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Value, cmd};
use tokio::time::timeout;

use super::dial::{self, Dialer, Dialled, Purpose};
use super::url::Address;
use crate::directory::{ANSWER_TIME, NoAnswer};

/// Several servers of which any may answer.
#[derive(Debug)]
pub struct Adviser {
    dialer: Arc<Dialer>,
    purpose: Purpose,
    addresses: Vec<Address>,
    /// Who answered last.
    current: Option<(Address, Dialled)>,
}

/// How many servers are asked at once.
const MOST_ASKED: usize = 16;

impl Adviser {
    pub fn new(dialer: Arc<Dialer>, purpose: Purpose, addresses: Vec<Address>) -> Self {
        Self { dialer, purpose, addresses, current: None }
    }

    /// Whom to ask from now on, if the one who answered last does not.
    pub fn set_addresses(&mut self, addresses: Vec<Address>) {
        self.addresses = addresses;
    }

    /// Asks who answered last, or else all, of whom the first to answer is kept. Says who it was. Takes at most twice
    /// [`ANSWER_TIME`].
    pub async fn ask(&mut self, command: &Cmd) -> Result<(Address, Value), NoAnswer> {
        if let Some((address, mut dialled)) = self.current.take()
            && let Ok(Ok(value)) = timeout(ANSWER_TIME / 2, dial::send(&mut dialled.connection, command)).await
        {
            let answer = (address.clone(), value);
            self.current = Some((address, dialled));
            return Ok(answer);
        }
        let mut attempts: FuturesUnordered<_> = self
            .addresses
            .iter()
            .take(MOST_ASKED)
            .map(|address| async { (address.clone(), self.first_answer(address, command).await) })
            .collect();
        let mut trouble = NoAnswer::Refused;
        while let Some((address, outcome)) = attempts.next().await {
            match outcome {
                Ok((dialled, value)) => {
                    drop(attempts);
                    self.current = Some((address.clone(), dialled));
                    return Ok((address, value));
                }
                Err(reason) => trouble = reason,
            }
        }
        Err(trouble)
    }

    async fn first_answer(&self, address: &Address, command: &Cmd) -> Result<(Dialled, Value), NoAnswer> {
        let answer = async {
            let mut dialled = self.dialer.dial(address, self.purpose).await?;
            let value =
                dial::send(&mut dialled.connection, command).await.map_err(|complaint| dial::reason(&complaint))?;
            Ok((dialled, value))
        };
        timeout(ANSWER_TIME, answer).await.unwrap_or(Err(NoAnswer::Timeout))
    }
}

/// The address of `master`, from the Sentinels.
pub async fn master_address(sentinels: &mut Adviser, master: &str) -> Result<Address, NoAnswer> {
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
    tracing::warn!(%sentinel, master, "the Sentinel knows no master of this name");
    Err(NoAnswer::ReadOnly)
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}
