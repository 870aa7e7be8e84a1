//! One connection between two pods, from dialling or accepting it to the link's end. Does I/O.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::LinkError;
use super::handshake::{Dialling, Listening, Peer, Refusal, read_verdict, verdict};
use super::link::{self, Wire};
use super::links::{Choice, DIAL_TIME, LinkId};
use super::{LinkEvent, Peers};
use crate::failure_detector::{Dialled, LinkEnd, Suspect};

/// How long an attempt to connect may take that is to show whether anybody listens.
const ATTEMPT: Duration = Duration::from_millis(200);

/// Whether the system at `address` refuses connections.
pub async fn attempt(address: &str) -> Dialled {
    match timeout(ATTEMPT, TcpStream::connect(address)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Dialled::Refused,
        _ => Dialled::Other,
    }
}

impl Peers {
    /// A dial, from its start to the link's end.
    pub(super) async fn reach(&self, link: LinkId, address: &str) {
        let dialled = timeout(Duration::from_millis(DIAL_TIME), self.shake_as_dialler(link, address)).await;
        match dialled {
            Ok(Ok(Some((wire, peer)))) => self.carry(link, wire, &peer).await,
            // Another connection to the same pod stays: the table knows.
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                // Most often the pod is gone; the takeover of its rooms is logged by the hub.
                tracing::debug!(address, %error, "cannot reach a pod");
                if let Some(refusal) = error.refusal().filter(|refusal| *refusal != Refusal::Oneself) {
                    self.count_refusal(refusal);
                    if refusal != Refusal::OtherProcess && self.may_complain() {
                        tracing::warn!(address, reason = %refusal, "the peer at this address belongs to another deployment");
                    }
                }
                self.change(|links, _| links.failed(link));
            }
            Err(_) => self.change(|links, _| links.failed(link)),
        }
    }

    async fn shake_as_dialler(&self, link: LinkId, address: &str) -> Result<Option<(Wire, Peer)>, LinkError> {
        let Some((boot, nonce)) = self.0.links.borrow().dialled(link) else {
            return Ok(None);
        };
        let stream = TcpStream::connect(address).await?;
        let mut wire = Wire::dial(stream, self.0.channels.dial()?).await?;
        let dialling = Dialling::new(self.0.me.clone(), boot, nonce, wire.channel().binding()?);
        wire.send_message(dialling.hello()).await?;
        let hello = wire.read_message().await?;
        let proof = wire.read_message().await?;
        let keys = self.0.keys.borrow().clone();
        let greeted = dialling.greeted(&keys, &hello, &proof)?;
        let they = &greeted.peer.identity;
        let Choice::Commit { last } = self.change(|links, _| links.greeted(link, they.boot, &they.peer)) else {
            return if they.boot == boot { Ok(None) } else { Err(Refusal::OtherProcess.into()) };
        };
        wire.send_message(&greeted.commit(&keys, last)).await?;
        if !read_verdict(&wire.read_message().await?)? {
            self.change(|links, _| links.declined(link));
            return Ok(None);
        }
        self.0.outboxes.borrow_mut().entry(link).or_default();
        Ok(self.change(|links, _| links.accepted(link)).then_some((wire, greeted.peer)))
    }

    /// A connection that came in, from its start to the link's end.
    pub(super) async fn welcome(&self, link: LinkId, stream: TcpStream) {
        let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        let greeted = timeout(Duration::from_millis(DIAL_TIME), self.shake_as_listener(link, stream)).await;
        self.0.strangers.borrow_mut().left(link);
        match greeted {
            Ok(Ok(Some((wire, peer)))) => self.carry(link, wire, &peer).await,
            Ok(Ok(None) | Err(LinkError::Refused(Refusal::Oneself))) => {}
            Ok(Err(error)) => {
                let refusal = error.refusal();
                if let Some(refusal) = refusal {
                    self.count_refusal(refusal);
                }
                // A process that is gone is dialled as long as its rooms have not been taken over.
                if refusal == Some(Refusal::OtherProcess) {
                    tracing::debug!(address, %error, "refused a connection to the peer port");
                } else if self.may_complain() {
                    tracing::warn!(address, %error, "refused a connection to the peer port");
                }
            }
            // It may have been taken, and the verdict not been read.
            Err(_) => self.broken(link),
        }
    }

    async fn shake_as_listener(&self, link: LinkId, stream: TcpStream) -> Result<Option<(Wire, Peer)>, LinkError> {
        let mut wire = Wire::listen(stream, self.0.channels.listen()?).await?;
        let hello = wire.read_message().await?;
        let keys = self.0.keys.borrow().clone();
        let binding = wire.channel().binding()?;
        let (listening, [hello, proof]) = Listening::answer(&self.0.me, &keys, self.nonce(), &binding, &hello)?;
        wire.send_message(&hello).await?;
        wire.send_message(&proof).await?;
        if !listening.meant() {
            return Err(Refusal::OtherProcess.into());
        }
        let (peer, last) = listening.committed(&keys, &wire.read_message().await?)?;
        let boot = peer.identity.boot;
        self.0.outboxes.borrow_mut().entry(link).or_default();
        let taken = self.change(|links, _| links.offered(link, boot, peer.link, last));
        if let Err(error) = wire.send_message(&verdict(taken)).await {
            self.broken(link);
            return Err(error);
        }
        Ok(taken.then_some((wire, peer)))
    }

    async fn carry(&self, link: LinkId, wire: Wire, peer: &Peer) {
        let boot = peer.identity.boot;
        let Some(outbox) = self.0.outboxes.borrow().get(&link).cloned() else {
            return;
        };
        if !self.0.keys.borrow().has(peer.key) {
            // It was removed during the handshake.
            return self.broken(link);
        }
        let (pod_id, address) = (peer.identity.pod_id.clone(), peer.identity.peer.clone());
        self.0.proven.borrow_mut().insert(link, (Suspect { boot, pod_id, peer: address }, peer.key));
        self.change(|links, now| links.may_close(now, link));
        tracing::info!(pod = peer.identity.pod_id, boot = %boot, "peer link established");
        self.observed(LinkEvent::Up(boot));
        let error = link::run(wire, &outbox, &self.0.scratch, |frames| self.route(link, boot, frames)).await;
        let error = if outbox.is_finished() { LinkError::Idle } else { error };
        tracing::info!(pod = peer.identity.pod_id, boot = %boot, reason = %error, "peer link closed");
        self.ended(link, if error.is_reset() { LinkEnd::Reset } else { LinkEnd::Other });
        self.broken(link);
    }
}
