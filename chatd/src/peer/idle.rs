//! When links are closed since nobody needs them, and how both ends agree on that: the rules and the words. Pure: no I/O. The table
//! of links follows them (`links/closing.rs`).
//!
//! A link on which no frame has come or gone for a while is closed in two steps. The pod first asks its shards: one that needs the
//! link (it relays a session over it, or waits for an answer) says so, another gives it up and does not use it any more. When all have
//! given it up, the pod says [`Word::Close`] over the link and sends no frame until it is answered. The other end asks its own shards:
//! if none needs it, it says `Close` too, and with that the link is over, at both ends and for no failure. Otherwise it says
//! [`Word::Keep`], and all is as before.
//!
//! Nothing is lost on the way. Who wants the link while the pod waits for the answer gets it after `Keep`, and a new one after
//! `Close`. What the other end has sent meanwhile is kept until the answer: it was sent before that, so the answer is `Keep`.

use super::handshake::Nonce;

/// When links are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleRules {
    /// Without a frame for so long and up to `spread` longer, a link is closed if nobody needs it (ms).
    pub after: u64,
    /// Links that fell silent together are not closed together (ms).
    pub spread: u64,
    /// With so many links or fewer a pod closes none: they cost next to nothing, and by a link the death of a pod is noticed within
    /// a second, without the operator or its lease.
    pub kept: usize,
}

impl IdleRules {
    /// A link costs as much CPU time in two minutes as its handshake, so three to four minutes without a frame make it likely that
    /// closing it pays. They are much longer than anybody waits for an answer of another pod.
    pub const USUAL: Self = Self { after: 180_000, spread: 60_000, kept: 8 };
}

/// What the ends of a link say to each other about it, beside frames: a payload of one byte, which no frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The sender does not need the link. When both have said so, it is over.
    Close,
    /// The sender needs it.
    Keep,
}

impl Word {
    /// With its length, as it travels between frames.
    pub fn encode(self) -> [u8; 5] {
        [0, 0, 0, 1, if self == Self::Close { 1 } else { 2 }]
    }

    /// `None`: the payload is a frame's.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        match payload {
            [1] => Some(Self::Close),
            [2] => Some(Self::Keep),
            _ => None,
        }
    }
}

/// Somebody wants a link.
#[derive(Debug)]
#[allow(missing_docs, reason = "as the arguments of a dial")]
pub struct Wish {
    pub since: u64,
    pub address: String,
    pub nonce: Nonce,
}

/// How far the end of a link has come.
#[derive(Debug)]
#[allow(missing_docs, reason = "fields are explained by their variants")]
pub enum Stage {
    /// Nobody thinks of it.
    Open,
    /// So many shards have not said yet whether they need the link. `answering`: the other end does not.
    Asking { query: u64, missing: usize, answering: bool },
    /// No shard needs it, and the other end has to answer. `held`: what has come since.
    Offered { since: u64, held: Vec<u8>, wish: Option<Wish> },
}

/// Since when a link is quiet, and how far its end has come.
#[derive(Debug)]
pub struct Idle {
    /// When the last frame came or went (ms).
    pub quiet_since: u64,
    /// How far its end has come.
    pub stage: Stage,
}
