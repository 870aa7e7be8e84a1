//! Why a join token is refused: for the log and the metric. The client is told less. Pure: no I/O.

use crate::descriptor::DescriptorError;
use crate::protocol::ErrorCode;

/// The check that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each has its sentence")]
pub enum Failure {
    #[error("this pod has no keys for join tokens (--join-keys-file)")]
    NoKeys,
    #[error("longer than {} bytes", crate::protocol::MAX_JOIN_TOKEN)]
    TooLong,
    #[error("not three parts of base64url, or not JSON, or JSON that is too deep or has a member twice")]
    Malformed,
    #[error("the header's alg is not the algorithm of the key")]
    Algorithm,
    #[error("the header names a critical extension")]
    Critical,
    #[error("no key has the header's kid")]
    UnknownKey,
    #[error("the signature is wrong")]
    Signature,
    #[error("a claim is missing or has a wrong form: {0}")]
    Claim(&'static str),
    #[error("create holds a wrong descriptor: {0}")]
    Descriptor(DescriptorError),
    #[error("the iss is not --join-issuer")]
    Issuer,
    #[error("the aud does not hold --join-audience")]
    Audience,
    #[error("not valid yet (nbf)")]
    NotYet,
    #[error("expired (exp)")]
    Expired,
    #[error("for other rooms")]
    Room,
    #[error("for another name")]
    Name,
    #[error("for another sub than the seat")]
    Subject,
    #[error("it would make a player of a viewer, or a viewer of a player")]
    Role,
    #[error("it does not let its holder make a room of any id: create, and room *, and no expires_at that is over")]
    Create,
    #[error("for one JOIN only (once): used before, or shown for something else")]
    Once,
}

impl Failure {
    /// What metrics call the results of a check, `ok` first.
    pub const RESULTS: [&'static str; 19] = [
        "ok",
        "no_keys",
        "too_long",
        "malformed",
        "algorithm",
        "critical",
        "unknown_key",
        "signature",
        "claim",
        "issuer",
        "audience",
        "not_yet",
        "expired",
        "room",
        "name",
        "subject",
        "role",
        "create",
        "once",
    ];

    /// Where it stands in [`Failure::RESULTS`].
    pub const fn index(self) -> usize {
        match self {
            Failure::NoKeys => 1,
            Failure::TooLong => 2,
            Failure::Malformed => 3,
            Failure::Algorithm => 4,
            Failure::Critical => 5,
            Failure::UnknownKey => 6,
            Failure::Signature => 7,
            Failure::Claim(_) | Failure::Descriptor(_) => 8,
            Failure::Issuer => 9,
            Failure::Audience => 10,
            Failure::NotYet => 11,
            Failure::Expired => 12,
            Failure::Room => 13,
            Failure::Name => 14,
            Failure::Subject => 15,
            Failure::Role => 16,
            Failure::Create => 17,
            Failure::Once => 18,
        }
    }

    /// All that the client is told: who tries keys and claims learns nothing.
    pub const fn code(self) -> ErrorCode {
        match self {
            Failure::Expired => ErrorCode::AuthExpired,
            Failure::Room | Failure::Name | Failure::Subject | Failure::Role | Failure::Create => ErrorCode::Forbidden,
            _ => ErrorCode::AuthInvalid,
        }
    }
}
