//! How two pods prove to each other that they know the deployment's key, before a link carries anything. Pure: no I/O.
//!
//! The side that dialled speaks first:
//!
//! ```text
//! dialler                                   listener
//!   Hello                            ->
//!                                    <-     Hello, Proof (role "listener", over both hellos)
//!   Commit (role "dialler", over both
//!   hellos and the commit's content) ->
//!                                    <-     Verdict
//! ```
//!
//! Each hello has a fresh nonce, so an old proof never fits (replay); each proof names its role, so one's own proof sent back
//! never fits (reflection); both boots are in what is proven, so a link belongs to two processes. Each message is a 4-byte
//! big-endian length and JSON, whose unknown fields are ignored: later versions add fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::protocol::PodBoot;
use crate::protocol::token::{KeyPrint, Keyring};

/// The version of the frames that this process speaks, and the oldest that it can speak with an older pod.
pub const VERSION: u32 = 1;
pub const OLDEST_VERSION: u32 = 1;

/// The longest message of a handshake, in bytes: a hello with three names of 253 characters (DNS's limit) and room to spare.
pub const MAX_MESSAGE: usize = 4 * 1024;

const LISTENER: &str = "peer-listener";
const DIALLER: &str = "peer-dialler";

/// Who a pod is, to its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub pod_id: String,
    /// The deployment's; empty outside Kubernetes.
    pub uid: String,
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
    pub identity: Identity,
    /// The version that both sides speak.
    pub version: u32,
    /// The dialler's nonce: the link's name.
    pub link: Nonce,
    /// The key that it has proven to know.
    pub key: KeyPrint,
}

/// Why a handshake came to nothing. For the log of the pod that found it; the other side only sees the connection close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("what answers is not chatd's peer port, or is of a version without a common one")]
    NotAPeer,
    #[error("it speaks version {0} of the peer protocol at most, this pod {OLDEST_VERSION} at least")]
    TooOld(u32),
    #[error("it belongs to another deployment (another --deployment-uid)")]
    OtherDeployment,
    #[error("it is this process itself")]
    Oneself,
    #[error("it does not know the deployment's key (another --token-key-file?)")]
    WrongKey,
}

/// A dialler that has said hello.
#[derive(Debug)]
pub struct Dialling {
    me: Identity,
    nonce: Nonce,
    hello: Vec<u8>,
}

/// A dialler that knows whom it has reached.
#[derive(Debug)]
pub struct Greeted {
    pub peer: Peer,
    hellos: Vec<u8>,
}

/// A listener that has answered.
#[derive(Debug)]
pub struct Listening {
    identity: Identity,
    version: u32,
    link: Nonce,
    hellos: Vec<u8>,
}

impl Dialling {
    /// `nonce`: from the system's secure random source.
    pub fn new(me: Identity, nonce: Nonce) -> Self {
        let hello = hello(&me, nonce);
        Self { me, nonce, hello }
    }

    /// The first message.
    pub fn hello(&self) -> &[u8] {
        &self.hello
    }

    /// Checks the listener's two messages.
    pub fn greeted(self, keys: &Keyring, hello: &[u8], proof: &[u8]) -> Result<Greeted, Refusal> {
        let (identity, version, _) = read_hello(&self.me, hello)?;
        let proof: Proof = read(proof)?;
        let hellos = both(&self.hello, hello);
        let key = check_mac(keys, LISTENER, &hellos, &proof.mac)?;
        Ok(Greeted { peer: Peer { identity, version, link: self.nonce, key }, hellos })
    }
}

impl Greeted {
    /// The dialler's last message. `last`: the link with this peer that was the last to end here.
    pub fn commit(&self, keys: &Keyring, last: Option<Nonce>) -> Vec<u8> {
        let content = write(&CommitContent { last: last.map(|last| format!("{:032x}", last.0)) });
        let mac = STANDARD.encode(keys.mac(DIALLER, &both(&self.hellos, &content)));
        write(&Commit { content: String::from_utf8(content).unwrap_or_default(), mac })
    }
}

impl Listening {
    /// Answers a hello: the state to go on with, and the two messages to send.
    pub fn answer(me: &Identity, keys: &Keyring, nonce: Nonce, theirs: &[u8]) -> Result<(Self, [Vec<u8>; 2]), Refusal> {
        let (identity, version, link) = read_hello(me, theirs)?;
        let mine = hello(me, nonce);
        let hellos = both(theirs, &mine);
        let proof = write(&Proof { mac: STANDARD.encode(keys.mac(LISTENER, &hellos)) });
        Ok((Self { identity, version, link, hellos }, [mine, proof]))
    }

    /// Checks the dialler's last message: who it is, and the last link with this process that it has seen end.
    pub fn committed(self, keys: &Keyring, commit: &[u8]) -> Result<(Peer, Option<Nonce>), Refusal> {
        let commit: Commit = read(commit)?;
        let key = check_mac(keys, DIALLER, &both(&self.hellos, commit.content.as_bytes()), &commit.mac)?;
        let content: CommitContent = read(commit.content.as_bytes())?;
        let last = content.last.map(|last| parse_nonce(&last).ok_or(Refusal::NotAPeer)).transpose()?;
        Ok((Peer { identity: self.identity, version: self.version, link: self.link, key }, last))
    }
}

/// The listener's last message: whether it takes the link, or has one under way itself that stays.
pub fn verdict(taken: bool) -> Vec<u8> {
    write(&VerdictMessage { taken })
}

pub fn read_verdict(message: &[u8]) -> Result<bool, Refusal> {
    read::<VerdictMessage>(message).map(|verdict| verdict.taken)
}

fn check_mac(keys: &Keyring, role: &str, message: &[u8], mac: &str) -> Result<KeyPrint, Refusal> {
    let mac = STANDARD.decode(mac).map_err(|_| Refusal::NotAPeer)?;
    keys.verify_mac(role, message, &mac).ok_or(Refusal::WrongKey)
}

fn hello(me: &Identity, nonce: Nonce) -> Vec<u8> {
    write(&Hello {
        chatd_peer: VERSION,
        pod_id: me.pod_id.clone(),
        uid: me.uid.clone(),
        boot: me.boot,
        peer: me.peer.clone(),
        nonce: format!("{:032x}", nonce.0),
    })
}

fn read_hello(me: &Identity, message: &[u8]) -> Result<(Identity, u32, Nonce), Refusal> {
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
    Ok((identity, hello.chatd_peer.min(VERSION), nonce))
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
