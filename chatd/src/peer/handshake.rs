//! How two pods prove to each other that they know the deployment's key, before a link carries anything. Pure: no I/O.
//!
//! The handshake is carried by an encrypted [`super::channel`]. The side that dialled speaks first:
//!
//! ```text
//! dialler                                   listener
//!   Hello                            ->
//!                                    <-     Hello, Proof (role "listener", over the channel's
//!                                           binding and both hellos)
//!   Commit (role "dialler", over the
//!   same and the commit's content)   ->
//!                                    <-     Verdict
//! ```
//!
//! A proof covers the channel's binding, so it is valid only for the channel that carried it: a process in the middle cannot
//! forward it between its two channels. Each hello has a fresh nonce, so an old proof never fits (replay); each proof names its
//! role, so a reflected proof never fits (reflection). A hello names both processes, so a link belongs to these two. Each message
//! is a 4-byte big-endian length and JSON, whose unknown fields are ignored: later versions add fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::channel::Binding;
use crate::protocol::PodBoot;
use crate::protocol::token::{KeyPrint, Keyring};

/// The version of the frames that this process speaks, and the oldest that it can speak with an older pod.
/// Version 1 was without encryption.
pub const VERSION: u32 = 3;
/// Pods that speak less are refused.
pub const OLDEST_VERSION: u32 = 3;

/// The longest message of a handshake, in bytes: a hello with three names of 253 characters (DNS's limit) and room to spare.
pub const MAX_MESSAGE: usize = 4 * 1024;

const LISTENER: &str = "peer-listener";
const DIALLER: &str = "peer-dialler";

/// Who a pod is, to its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The pod's name.
    pub pod_id: String,
    /// The deployment's; empty outside Kubernetes.
    pub uid: String,
    /// The process.
    pub boot: PodBoot,
    /// `host:port` where other pods reach it.
    pub peer: String,
}

/// A random number of one side of one handshake. The dialler's names the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub u128);

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    /// The highest version that the sender speaks. Its name tells other programs' JSON from ours.
    chatd_peer: u32,
    pod_id: String,
    uid: String,
    boot: PodBoot,
    peer: String,
    /// Whom it is for.
    to: PodBoot,
    /// 32 hexadecimal digits.
    nonce: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    /// In base64.
    mac: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Commit {
    /// What is proven besides the hellos, as JSON text of [`CommitContent`]: the MAC is over exactly these bytes.
    content: String,
    mac: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct CommitContent {
    /// The nonce of the last link between these two processes that the dialler has seen end.
    last: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct VerdictMessage {
    taken: bool,
}

/// The other side, once it has proven itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whom it says to be.
    pub identity: Identity,
    /// The version that both sides speak.
    pub version: u32,
    /// The dialler's nonce: the link's name.
    pub link: Nonce,
    /// The key that it has proven to know.
    pub key: KeyPrint,
}

/// Why a handshake came to nothing. For the log of the pod that found it; the other side only sees the connection close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum Refusal {
    #[error("it does not speak the peer protocol")]
    NotAPeer,
    #[error("it closed the connection without TLS: a pod of an older version, or not a pod")]
    HungUp,
    #[error("it is a pod of an older version, whose links are not encrypted")]
    Unencrypted,
    #[error("it supports the peer protocol up to version {0}, this pod from version {OLDEST_VERSION}")]
    TooOld(u32),
    #[error("it belongs to another deployment (another --deployment-uid)")]
    OtherDeployment,
    #[error("it is this process itself")]
    Oneself,
    #[error("it is, or has dialled, a different process than intended")]
    OtherProcess,
    #[error(
        "it does not know the deployment's key (another --token-key-file?), or a process in the middle has its channel"
    )]
    WrongKey,
}

/// What refusals are counted by. All of them, with what they are called in metrics.
pub const REASONS: [&str; 5] = ["version", "deployment", "process", "key", "protocol"];

impl Refusal {
    /// Index into [`REASONS`].
    pub fn reason(self) -> usize {
        match self {
            Self::Unencrypted | Self::TooOld(_) => 0,
            Self::OtherDeployment => 1,
            Self::Oneself | Self::OtherProcess => 2,
            Self::WrongKey => 3,
            Self::NotAPeer | Self::HungUp => 4,
        }
    }
}

/// What the first bytes of a connection from a pod of version 1 look like: a message's length, and its hello.
pub fn is_unencrypted(first: &[u8]) -> bool {
    first.len() > 4 && first[4..].starts_with(b"{\"chatd_peer\"")
}

/// A dialler that has sent its hello.
#[derive(Debug)]
pub struct Dialling {
    me: Identity,
    nonce: Nonce,
    binding: Binding,
    hello: Vec<u8>,
}

/// A dialler that knows whom it has reached.
#[derive(Debug)]
pub struct Greeted {
    /// Who the listener is.
    pub peer: Peer,
    /// What both proofs are over.
    transcript: Vec<u8>,
}

/// A listener that has answered.
#[derive(Debug)]
pub struct Listening {
    identity: Identity,
    meant: bool,
    version: u32,
    link: Nonce,
    transcript: Vec<u8>,
}

impl Dialling {
    /// `to`: the process that is dialled; `nonce`: from the system's secure random source; `binding`: the channel's.
    pub fn new(me: Identity, to: PodBoot, nonce: Nonce, binding: Binding) -> Self {
        let hello = hello(&me, to, nonce);
        Self { me, nonce, binding, hello }
    }

    /// The first message.
    pub fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// Checks the listener's two messages. Whether it is the one that was dialled is for [`super::links`] to say.
    pub fn greeted(self, keys: &Keyring, hello: &[u8], proof: &[u8]) -> Result<Greeted, Refusal> {
        let (identity, to, version, _) = read_hello(&self.me, hello)?;
        let proof: Proof = read(proof)?;
        let transcript = transcript(&self.binding, &self.hello, hello);
        let key = check_mac(keys, LISTENER, &transcript, &proof.mac)?;
        if to != self.me.boot {
            return Err(Refusal::OtherProcess);
        }
        Ok(Greeted { peer: Peer { identity, version, link: self.nonce, key }, transcript })
    }
}

impl Greeted {
    /// The dialler's last message. `last`: the link with this peer that was the last to end here.
    pub fn commit(&self, keys: &Keyring, last: Option<Nonce>) -> Vec<u8> {
        let content = write(&CommitContent { last: last.map(|last| format!("{:032x}", last.0)) });
        let mac = STANDARD.encode(keys.mac(DIALLER, &both(&self.transcript, &content)));
        write(&Commit { content: String::from_utf8(content).unwrap_or_default(), mac })
    }
}

impl Listening {
    /// Answers a hello: the state to go on with, and the two messages to send. One that is for another process is answered too:
    /// the answer tells the dialler which process has the address now.
    pub fn answer(
        me: &Identity,
        keys: &Keyring,
        nonce: Nonce,
        binding: &Binding,
        theirs: &[u8],
    ) -> Result<(Self, [Vec<u8>; 2]), Refusal> {
        let (identity, to, version, link) = read_hello(me, theirs)?;
        let mine = hello(me, identity.boot, nonce);
        let transcript = transcript(binding, theirs, &mine);
        let proof = write(&Proof { mac: STANDARD.encode(keys.mac(LISTENER, &transcript)) });
        Ok((Self { identity, meant: to == me.boot, version, link, transcript }, [mine, proof]))
    }

    /// This process is the one that was dialled. If not, nothing follows.
    pub fn meant(&self) -> bool {
        self.meant
    }

    /// Checks the dialler's last message: who it is, and the last link with this process that it has seen end.
    pub fn committed(self, keys: &Keyring, commit: &[u8]) -> Result<(Peer, Option<Nonce>), Refusal> {
        let commit: Commit = read(commit)?;
        let key = check_mac(keys, DIALLER, &both(&self.transcript, commit.content.as_bytes()), &commit.mac)?;
        if !self.meant {
            return Err(Refusal::OtherProcess);
        }
        let content: CommitContent = read(commit.content.as_bytes())?;
        let last = content.last.map(|last| parse_nonce(&last).ok_or(Refusal::NotAPeer)).transpose()?;
        Ok((Peer { identity: self.identity, version: self.version, link: self.link, key }, last))
    }
}

/// The listener's last message: whether it takes the link, or has one under way itself that stays.
pub fn verdict(taken: bool) -> Vec<u8> {
    write(&VerdictMessage { taken })
}

/// Whether the listener takes the link.
///
/// # Errors
/// [`Refusal::NotAPeer`]: it is no such message.
pub fn read_verdict(message: &[u8]) -> Result<bool, Refusal> {
    read::<VerdictMessage>(message).map(|verdict| verdict.taken)
}

fn check_mac(keys: &Keyring, role: &str, message: &[u8], mac: &str) -> Result<KeyPrint, Refusal> {
    let mac = STANDARD.decode(mac).map_err(|_| Refusal::NotAPeer)?;
    keys.verify_mac(role, message, &mac).ok_or(Refusal::WrongKey)
}

fn hello(me: &Identity, to: PodBoot, nonce: Nonce) -> Vec<u8> {
    write(&Hello {
        chatd_peer: VERSION,
        pod_id: me.pod_id.clone(),
        uid: me.uid.clone(),
        boot: me.boot,
        peer: me.peer.clone(),
        to,
        nonce: format!("{:032x}", nonce.0),
    })
}

fn read_hello(me: &Identity, message: &[u8]) -> Result<(Identity, PodBoot, u32, Nonce), Refusal> {
    let hello: Hello = read(message)?;
    let nonce = parse_nonce(&hello.nonce).ok_or(Refusal::NotAPeer)?;
    if hello.chatd_peer < OLDEST_VERSION {
        return Err(Refusal::TooOld(hello.chatd_peer));
    }
    if hello.boot == me.boot {
        return Err(Refusal::Oneself);
    }
    if hello.uid != me.uid {
        return Err(Refusal::OtherDeployment);
    }
    let identity = Identity { pod_id: hello.pod_id, uid: hello.uid, boot: hello.boot, peer: hello.peer };
    Ok((identity, hello.to, hello.chatd_peer.min(VERSION), nonce))
}

/// What proofs are over.
fn transcript(binding: &Binding, dialler: &[u8], listener: &[u8]) -> Vec<u8> {
    both(binding, &both(dialler, listener))
}

/// Two parts so that neither can grow at the other's cost.
fn both(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(8 + first.len() + second.len());
    whole.extend_from_slice(&(first.len() as u64).to_be_bytes());
    whole.extend_from_slice(first);
    whole.extend_from_slice(second);
    whole
}

fn parse_nonce(text: &str) -> Option<Nonce> {
    // 32 digits, and not 31 behind a plus sign.
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok().map(Nonce)).flatten()
}

fn write(message: &impl Serialize) -> Vec<u8> {
    // Serialising plain strings and numbers into memory cannot fail.
    serde_json::to_vec(message).unwrap_or_default()
}

fn read<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(message).map_err(|_| Refusal::NotAPeer)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
