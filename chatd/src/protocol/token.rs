//! Tokens: proof that a client holds a seat, signed with the deployment's key. Pure: no I/O.

use super::{ErrorCode, PlayerName, RoomId, SeatId};

/// The deployment's keys by id: one signs, all verify.
#[derive(Clone, Default)]
pub struct Keyring;

impl Keyring {
    /// A token for one seat.
    pub fn sign(&self, _room: RoomId, _name: PlayerName, _seat: SeatId) -> String {
        String::new()
    }

    /// The name and seat that `token` was made for, if it was made for a seat of `room` with one of these keys.
    pub fn verify(&self, _room: RoomId, _token: &str) -> Result<(PlayerName, SeatId), ErrorCode> {
        Err(ErrorCode::BadToken)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keyring")
    }
}
