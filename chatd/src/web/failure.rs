//! HTTP errors as JSON, with the codes and statuses of docs/protocol.md, Errors and closes. Pure: no I/O.

use std::borrow::Cow;

use axum::Json;
use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::protocol::ErrorCode;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    /// Never holds what a client of the web port sent.
    message: Cow<'static, str>,
    /// Seconds.
    retry_after: Option<u64>,
    allow: Option<&'static str>,
}

impl Failure {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, allow: None }
    }

    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn bad_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "bad_origin", "Pages of this origin may not use this server.")
    }

    pub fn bad_host() -> Self {
        let message = "This server listens on loopback only; open it as localhost.";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "bad_host", message)
    }

    pub fn token_in_address() -> Self {
        let message =
            "A token does not belong in an address, where it is logged; it goes into join, or into Authorization.";
        Self::bad_request(message)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = "This address does not know this method.";
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message) }
    }

    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "A body is at most 4096 bytes.")
    }

    /// The same in other words.
    #[must_use]
    pub fn with_message(self, message: &'static str) -> Self {
        Self { message: message.into(), ..self }
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// `retry_after`: seconds.
    pub fn rate_limited(retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after.max(1)), ..ErrorCode::RateLimited.into() }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        let (status, retry_after) = match code {
            ErrorCode::RoomNotFound | ErrorCode::PlayerNotFound => (StatusCode::NOT_FOUND, None),
            ErrorCode::RoomExists | ErrorCode::StateFull => (StatusCode::CONFLICT, None),
            ErrorCode::AuthRequired | ErrorCode::AuthInvalid | ErrorCode::AuthExpired => {
                (StatusCode::UNAUTHORIZED, None)
            }
            ErrorCode::Forbidden => (StatusCode::FORBIDDEN, None),
            ErrorCode::RateLimited | ErrorCode::TooManyFromAddress => (StatusCode::TOO_MANY_REQUESTS, Some(2)),
            ErrorCode::TooManyConnections
            | ErrorCode::TooManyRooms
            | ErrorCode::Overloaded
            | ErrorCode::Unavailable
            | ErrorCode::ShuttingDown
            | ErrorCode::Moved => (StatusCode::SERVICE_UNAVAILABLE, Some(2)),
            _ => (StatusCode::BAD_REQUEST, None),
        };
        Self { retry_after, ..Self::new(status, code.as_str(), code.sentence()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
