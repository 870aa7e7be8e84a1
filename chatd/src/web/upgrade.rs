//! The WebSocket handshake of `GET /ws` (RFC 6455 section 4.2). Does I/O: hands the socket to a shard once hyper is done with it.

use axum::body::Body;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;

use super::failure::Failure;
use crate::connection_limit::Permit;
use crate::shard::message::{ClientSocket, ShardMessage};
use crate::tls::socket::{self, Secured};

/// The only version of the protocol in JSON.
const SUBPROTOCOL: &str = "chatd.v1";
/// What is hashed with the key (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that is in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    accept: String,
    /// Whether the client asked for [`SUBPROTOCOL`]; if it asked for none it gets none, and version 1.
    subprotocol: bool,
}

impl Handshake {
    /// Checks all of the request except its Origin and Host.
    pub fn check(parts: &Parts) -> Result<Self, Failure> {
        if parts.method != Method::GET {
            return Err(Failure::method_not_allowed("GET"));
        }
        let headers = &parts.headers;
        let asks = parts.version >= Version::HTTP_11
            && has_word(headers, &CONNECTION, "upgrade")
            && has_word(headers, &UPGRADE, "websocket");
        if !asks || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Failure::bad_request("This address speaks WebSocket, version 13."));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        if STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
            let subprotocol = has_word(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
            if !subprotocol && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
                return Err(Failure::bad_request("The subprotocol is chatd.v1."));
            }
            let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize());
            Ok(Self { accept, subprotocol })
        } else {
            Err(Failure::bad_request("The Sec-WebSocket-Key is not 16 bytes in base64."))
        }
    }
}

impl IntoResponse for Handshake {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::try_from(self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }
}

/// Whether `word` stands in the header's list, in whatever case.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
}

/// Waits until the answer is on its way, then gives the socket, with what was read too much, to the shard.
pub(super) async fn hand_over(
    upgrade: OnUpgrade,
    address: std::net::IpAddr,
    permit: Permit,
    shard: UnboundedSender<ShardMessage>,
) {
    // Broken in between: there is nobody to tell.
    let Ok(upgraded) = upgrade.await else { return };
    let (stream, tls, early) = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io.into_inner(), None, parts.read_buf),
        Err(upgraded) => {
            let Ok(parts) = upgraded.downcast::<TokioIo<Secured>>() else { return };
            let (stream, tls) = socket::split(parts.io.into_inner());
            (stream, Some(tls), parts.read_buf)
        }
    };
    let Ok(stream) = stream.into_std() else { return };
    let socket = ClientSocket::Web { stream, tls, early: early.to_vec() };
    // A shard that has ended serves no clients: the socket closes with the message.
    let _ = shard.send(ShardMessage::Client { socket, address, permit });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn check(change: impl FnOnce(&mut HeaderMap)) -> Result<Handshake, Failure> {
        let request = Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let mut parts = request.body(()).unwrap().into_parts().0;
        change(&mut parts.headers);
        Handshake::check(&parts)
    }

    fn value(text: &str) -> HeaderValue {
        text.parse().unwrap()
    }

    #[test]
    fn the_key_is_answered_as_the_rfc_says() {
        // The example of RFC 6455 section 1.3.
        let expected = Handshake { accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), subprotocol: false };
        assert_eq!(check(|_| ()), Ok(expected));
    }

    #[test]
    fn of_subprotocols_ours_is_chosen_and_only_others_are_refused() {
        let protocols =
            |list: &'static str| check(move |headers| drop(headers.insert(SEC_WEBSOCKET_PROTOCOL, value(list))));
        assert!(protocols("chatd.v1").unwrap().subprotocol);
        assert!(protocols("chatd.v2, chatd.v1").unwrap().subprotocol);
        assert!(protocols("chatd.v2").is_err());
        assert!(protocols("").is_err());
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_KEY] {
            assert!(check(|headers| drop(headers.remove(&name))).is_err(), "{name}");
            assert!(check(|headers| drop(headers.insert(&name, value("8")))).is_err(), "{name}");
        }
        assert!(check(|headers| drop(headers.insert(SEC_WEBSOCKET_KEY, value("c2hvcnQ=")))).is_err());
    }
}
