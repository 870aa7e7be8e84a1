//! The API calls: list the open rooms, create a room, and list its players. Does I/O: reads the body, and queries the shards.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::timeout;

use super::Web;
use super::client::Client;
use super::failure::Failure;
use crate::hub::RoomSummary;
use crate::protocol::{ErrorCode, PlayerName, RoomId};
use crate::settings::BasePath;
use crate::shard;
use crate::shard::message::{ShardMessage, ask_one};

const MAX_BODY: usize = 4096;
/// From the header to the whole body.
const BODY_TIME: Duration = Duration::from_secs(10);

impl Web {
    pub(super) async fn create_room(
        &self,
        client: &Client,
        base: &BasePath,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response, Failure> {
        self.check_origin(client, parts)?;
        // What it says is of no interest; the connection goes on behind it.
        let body = timeout(BODY_TIME, Limited::new(Body::new(body), MAX_BODY).collect()).await;
        let whole = body.map_err(|_| Failure::bad_request("The body did not come in time."))?;
        whole.map_err(|_| Failure::too_large())?;
        let address = self.address(client, parts);
        self.check_limit(address)?;
        client.may_create()?;
        // Also if the client is gone before the answer: the room exists.
        let mut charge = Charge { web: self, address, is_due: true };
        let auth = bearer(&parts.headers);
        let room = ask_one(Some(self.next_shard()?), |reply| ShardMessage::CreateRoom { auth, reply }).await;
        charge.is_due = room.map_or_else(is_guess, |_| true);
        let room = room?;
        let place = HeaderValue::try_from(format!("{base}/api/rooms/{room}"));
        let mut response = (StatusCode::CREATED, Json(json!({"room": room}))).into_response();
        response.headers_mut().extend(place.map(|place| (LOCATION, place)));
        Ok(response)
    }

    /// The rooms of the lobby: what everyone may see, and not much more work than a page.
    pub(super) async fn list(&self, parts: &Parts) -> Result<Response, Failure> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Failure::method_not_allowed("GET, HEAD, POST"));
        }
        let body = self.open_rooms.body(&self.shards, self.next_turn()).await?;
        Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
    }

    pub(super) async fn look_up(&self, client: &Client, parts: &Parts, room: &str) -> Result<Response, Failure> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Failure::method_not_allowed("GET, HEAD"));
        }
        let room: RoomId = room.parse().map_err(|_| Failure::from(ErrorCode::BadRoom))?;
        let shard = self.shards.get(room.shard(self.shards.len()));
        let address = self.address(client, parts);
        self.check_limit(address)?;
        let mut charge = Charge { web: self, address, is_due: true };
        let auth = bearer(&parts.headers);
        let summary = ask_one(shard, |reply| ShardMessage::LookUp { room, auth, reply }).await;
        charge.is_due = summary.as_ref().is_err_and(|code| is_guess(*code));
        if charge.is_due {
            client.misses.fetch_add(1, Ordering::Relaxed);
            if self.has_missed_too_often(client) {
                return Err(ErrorCode::RateLimited.into());
            }
        }
        let RoomSummary { players, max_players } = summary?;
        let names: Vec<_> = players.iter().map(PlayerName::to_string).collect();
        let about = json!({"room": room, "players": names.len(), "max_players": max_players, "names": names});
        Ok(Json(about).into_response())
    }

    /// Whether this address may still make rooms and ask for them.
    fn check_limit(&self, address: IpAddr) -> Result<(), Failure> {
        let Some(limits) = &self.limits else {
            return Ok(());
        };
        match limits.wait(address, shard::now().now) {
            0 => Ok(()),
            wait => Err(Failure::rate_limited(wait.div_ceil(1000))),
        }
    }

    fn charge(&self, address: IpAddr) {
        if let Some(limits) = &self.limits {
            limits.charge(address, shard::now().now);
        }
    }
}

/// Whether it was perhaps a guess at a room or at a join token.
fn is_guess(code: ErrorCode) -> bool {
    ErrorCode::GUESSES.contains(&code)
}

/// The token that came along (RFC 6750 section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    // Of two the one that a proxy looks at could be the other one.
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = header.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Counts a miss or a creation for an address when the answer is known, and also if nobody waits for it any more.
struct Charge<'a> {
    web: &'a Web,
    address: IpAddr,
    is_due: bool,
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.web.charge(self.address);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_comes_as_a_bearer_and_in_no_other_way() {
        for (header, expected) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer  a.b.c ", Some("a.b.c")),
            ("Basic YTpi", None),
            ("a.b.c", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            assert_eq!(bearer(&headers).as_deref(), expected, "{header}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
